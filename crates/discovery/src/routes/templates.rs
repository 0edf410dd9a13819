//! The templates of all services: what was decided, with names, types and confidence, and where a request belongs.

use std::collections::BTreeMap;

use super::decide::{Decided, Segment};
use super::evidence::{BodyKind, METHODS, method_number};
use super::pins::{Pin, PinSegment};
use super::shape::{SEGMENTS, Shape, canonical_segment, shape_of};
use super::tree::Leaf;
use super::words;

/// Branches looked at for one request: the way through a tree is found at once, unless it was built to be long.
const STEPS: u32 = 256;

/// An endpoint: service, method and template.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Service.
    pub service: String,
    /// Method.
    pub method: &'static str,
    /// Template, such as `/users/{user_id}`, in canonical form; with a slash at its end if all requests had one.
    pub template: String,
    /// What is behind it.
    pub kind: EndpointKind,
    /// Parameters in the order of the template.
    pub parameters: Vec<Parameter>,
    /// That the template is right, 0 to 1: that of its least certain segment.
    pub confidence: f64,
    /// The same of each segment.
    pub confidences: Vec<f64>,
    /// An operator pinned it.
    pub pinned: bool,
    /// Successful requests.
    pub requests: u32,
}

/// What is behind an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointKind {
    /// An API.
    Api,
    /// A file: a picture, text.
    Static,
}

/// A parameter of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name: of the segment before it (`user_id`), or as pinned.
    pub name: String,
    /// Type.
    pub kind: ParameterType,
    /// Format, as OpenAPI names it.
    pub format: Option<&'static str>,
    /// That it is a parameter, 0 to 1.
    pub confidence: f64,
    /// What speaks for it, the strongest first.
    pub reasons: Vec<&'static str>,
    /// Distinct values seen, an estimate above 64.
    pub distinct: u64,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParameterType {
    /// Any text.
    String,
    /// Decimal digits.
    Integer,
}

/// The templates of all services.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    endpoints: Vec<Endpoint>,
    services: BTreeMap<Box<str>, Place>,
}

/// A place in the tree that requests are matched with.
#[derive(Clone, Debug, Default)]
struct Place {
    literals: BTreeMap<Box<str>, Place>,
    /// By ending, the longest first.
    variables: Vec<(Box<str>, Place)>,
    /// Method and place in the list of endpoints; pinned ones are there once for all methods too.
    endpoints: Vec<(u8, u32)>,
}

impl Templates {
    /// All endpoints by service, template and method.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoint of a request: the most literal template that matches its path. Where no endpoint has the method, the one
    /// that has the path stands in, so that what was refused (405, 401) is told of the right place.
    pub fn find(&self, service: &str, method: &[u8], path: &[u8]) -> Option<&Endpoint> {
        let place = self.services.get(service)?;
        let mut segments: Vec<Vec<u8>> = Vec::new();
        for raw in path.split(|&byte| byte == b'/').filter(|raw| !raw.is_empty()) {
            if segments.len() == SEGMENTS {
                return None;
            }
            let mut text = Vec::new();
            canonical_segment(raw, &mut text);
            if !text.is_empty() {
                segments.push(text);
            }
        }
        let method = method_number(method);
        let has_method = place.find(&segments, &mut STEPS.clone(), &|place| {
            place.endpoints.iter().find(|(number, _)| *number == method).map(|(_, index)| *index)
        });
        let index = has_method.or_else(|| {
            place.find(&segments, &mut STEPS.clone(), &|place| place.endpoints.first().map(|(_, index)| *index))
        });
        self.endpoints.get(index? as usize)
    }

    /// The endpoint under whose template an endpoint of the inventory comes. A gRPC path names a method, never a resource.
    pub fn of(&self, endpoint: &crate::Endpoint) -> Option<&Endpoint> {
        if endpoint.style == crate::Style::Grpc {
            return None;
        }
        self.find(endpoint.host(), endpoint.method().as_bytes(), endpoint.route().as_bytes())
    }

    pub(crate) fn add(&mut self, service: &str, decided: &Decided, pins: &[&Pin], claims: Vec<Vec<Leaf>>) {
        let mut found = Vec::new();
        let mut way = Way::default();
        list(service, decided, &mut way, &mut found);
        for (pin, leaves) in pins.iter().zip(claims) {
            for leaf in leaves {
                found.push((pinned(service, pin, &leaf), pin.segments.iter().map(Key::of_pin).collect()));
            }
        }
        found.sort_by(|(a, _), (b, _)| (&a.template, a.method).cmp(&(&b.template, b.method)));
        let root = self.services.entry(service.into()).or_default();
        for (endpoint, keys) in found {
            let place = keys.iter().fold(&mut *root, |place, key| place.child(key));
            let method = method_number(endpoint.method.as_bytes());
            let index = self.endpoints.len() as u32;
            // A pinned endpoint and an inferred one with the same template are one; the pinned comes with its own name.
            match place.endpoints.iter().find(|(number, _)| *number == method).map(|&(_, index)| index as usize) {
                Some(known) => {
                    if let Some(known) = self.endpoints.get_mut(known) {
                        let requests = known.requests.saturating_add(endpoint.requests);
                        if endpoint.pinned {
                            *known = endpoint;
                        }
                        known.requests = requests;
                    }
                }
                None => {
                    place.endpoints.push((method, index));
                    self.endpoints.push(endpoint);
                }
            }
        }
    }
}

/// A segment as requests are matched with it.
#[derive(Clone, Debug)]
enum Key {
    Literal(Box<str>),
    Variable(Box<str>),
}

impl Key {
    fn of(segment: &Segment) -> Key {
        match segment {
            Segment::Literal { text, .. } => Key::Literal(text.as_str().into()),
            Segment::Variable { ending, .. } => Key::Variable(ending.as_str().into()),
        }
    }

    fn of_pin(segment: &PinSegment) -> Key {
        match segment {
            PinSegment::Literal(text) => Key::Literal(text.as_str().into()),
            PinSegment::Variable(_, ending) => Key::Variable(ending.as_str().into()),
        }
    }
}

impl Place {
    fn child(&mut self, key: &Key) -> &mut Place {
        match key {
            Key::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Key::Variable(ending) => {
                let found = self.variables.iter().position(|(other, _)| other == ending);
                let index = found.unwrap_or_else(|| {
                    let index = self.variables.partition_point(|(other, _)| other.len() >= ending.len());
                    self.variables.insert(index, (ending.clone(), Place::default()));
                    index
                });
                &mut self.variables[index].1
            }
        }
    }

    fn find(&self, segments: &[Vec<u8>], steps: &mut u32, pick: &impl Fn(&Place) -> Option<u32>) -> Option<u32> {
        let Some((first, rest)) = segments.split_first() else { return pick(self) };
        *steps = steps.checked_sub(1)?;
        let text = std::str::from_utf8(first).ok()?;
        if let Some(found) = self.literals.get(text).and_then(|place| place.find(rest, steps, pick)) {
            return Some(found);
        }
        if first.starts_with(b"{") {
            // A value that was hidden may be a part of the route that looks like one: a date, a number as a version.
            let looks_like_value = |text: &str| shape_of(text.as_bytes()).0.is_value();
            let hidden = self.literals.iter().filter(|(text, _)| looks_like_value(text));
            let mut variable = self
                .variables
                .iter()
                .filter(|(ending, _)| text.len() > ending.len() && text.ends_with(&**ending))
                .map(|(_, place)| place);
            let variable = variable.find_map(|place| place.find(rest, steps, pick));
            return variable.or_else(|| hidden.map(|(_, place)| place).find_map(|place| place.find(rest, steps, pick)));
        }
        self.variables
            .iter()
            .filter(|(ending, _)| text.len() > ending.len() && text.ends_with(&**ending))
            .find_map(|(_, place)| place.find(rest, steps, pick))
    }
}

/// The way down to a place.
#[derive(Default)]
struct Way {
    template: String,
    keys: Vec<Key>,
    parameters: Vec<Parameter>,
    confidence: Vec<f64>,
    /// The last literal that names a kind of thing, and whether a value stands directly behind it.
    noun: String,
    last_is_value: bool,
}

fn list(service: &str, decided: &Decided, way: &mut Way, out: &mut Vec<(Endpoint, Vec<Key>)>) {
    for leaf in &decided.leaves {
        let mut template = if way.template.is_empty() { "/".to_owned() } else { way.template.clone() };
        if leaf.slashes == leaf.requests && template.len() > 1 {
            template.push('/');
        }
        let endpoint = Endpoint {
            service: service.to_owned(),
            method: METHODS.get(usize::from(leaf.method)).copied().unwrap_or("OTHER"),
            kind: kind_of(leaf, &template),
            template,
            parameters: way.parameters.clone(),
            confidence: way.confidence.iter().copied().fold(1.0, f64::min),
            confidences: way.confidence.clone(),
            pinned: false,
            requests: leaf.requests,
        };
        out.push((endpoint, way.keys.clone()));
    }
    for child in &decided.children {
        let (len, noun, last_is_value) = (way.template.len(), way.noun.clone(), way.last_is_value);
        way.template.push('/');
        way.keys.push(Key::of(&child.segment));
        match &child.segment {
            Segment::Literal { text, confidence } => {
                way.template.push_str(text);
                way.confidence.push(*confidence);
                if !words::is_base(text) {
                    way.noun.clone_from(text);
                    way.last_is_value = false;
                }
            }
            Segment::Variable { ending, confidence, reasons, shapes, distinct } => {
                let shape = common_shape(shapes);
                let taken: Vec<&str> = way.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                let name = name_of(&way.noun, way.last_is_value, shape, &taken);
                way.template.push('{');
                way.template.push_str(&name);
                way.template.push('}');
                way.template.push_str(ending);
                way.confidence.push(*confidence);
                let (kind, format) = type_of(shape);
                let (confidence, reasons, distinct) = (*confidence, reasons.clone(), *distinct);
                way.parameters.push(Parameter { name, kind, format, confidence, reasons, distinct });
                way.last_is_value = true;
            }
        }
        list(service, child, way, out);
        if matches!(child.segment, Segment::Variable { .. }) {
            way.parameters.pop();
        }
        way.keys.pop();
        way.confidence.pop();
        way.template.truncate(len);
        (way.noun, way.last_is_value) = (noun, last_is_value);
    }
}

fn pinned(service: &str, pin: &Pin, leaf: &Leaf) -> Endpoint {
    let mut parameters = Vec::new();
    for segment in &pin.segments {
        if let PinSegment::Variable(name, _) = segment {
            parameters.push(Parameter {
                name: name.clone(),
                kind: ParameterType::String,
                format: None,
                confidence: 1.0,
                reasons: vec!["pinned"],
                distinct: 0,
            });
        }
    }
    Endpoint {
        service: service.to_owned(),
        method: METHODS.get(usize::from(leaf.method)).copied().unwrap_or("OTHER"),
        template: pin.template().to_owned(),
        kind: EndpointKind::Api,
        parameters,
        confidence: 1.0,
        confidences: vec![1.0; pin.segments.len()],
        pinned: true,
        requests: leaf.requests,
    }
}

/// A file near the root that is only read, as text or a picture, is no API.
fn kind_of(leaf: &Leaf, template: &str) -> EndpointKind {
    let files = BodyKind::Media.bit() | BodyKind::Text.bit();
    let is_file_name =
        template.rsplit_once('.').is_some_and(|(_, ending)| (2..=5).contains(&ending.len()) && !ending.contains('/'));
    let is_file = leaf.method == 0 && leaf.response_kinds & !files == 0 && is_file_name;
    if is_file && template.matches('/').count() < 4 { EndpointKind::Static } else { EndpointKind::Api }
}

/// The shape of nearly all values; [`Shape::Word`] if they differ.
fn common_shape(shapes: &BTreeMap<Shape, u64>) -> Shape {
    let all: u64 = shapes.values().sum();
    let most = shapes.iter().max_by_key(|(shape, requests)| (**requests, **shape));
    match most {
        Some((shape, requests)) if *requests >= all - all / 20 => *shape,
        // Hex digests without a letter look like numbers, and UUIDs may be mixed with other tokens.
        Some(_)
            if shapes.keys().all(|shape| matches!(shape, Shape::Hex | Shape::Token | Shape::Integer | Shape::Ulid)) =>
        {
            Shape::Token
        }
        _ => Shape::Word,
    }
}

fn type_of(shape: Shape) -> (ParameterType, Option<&'static str>) {
    match shape {
        Shape::Integer => (ParameterType::Integer, None),
        Shape::Uuid => (ParameterType::String, Some("uuid")),
        Shape::Date => (ParameterType::String, Some("date")),
        Shape::DateTime => (ParameterType::String, Some("date-time")),
        Shape::Email => (ParameterType::String, Some("email")),
        _ => (ParameterType::String, None),
    }
}

/// A name for the value behind `noun`: its singular, with what the value is; not one of `taken`.
fn name_of(noun: &str, follows_value: bool, shape: Shape, taken: &[&str]) -> String {
    let stem = noun.split('.').next().unwrap_or_default();
    let mut parts: Vec<String> = words::parts(stem).map(str::to_ascii_lowercase).collect();
    parts.retain(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if let Some(last) = parts.last_mut() {
        *last = words::singular(last);
    }
    if parts.is_empty() {
        parts.push("item".to_owned());
    }
    let suffix = match shape {
        Shape::Date | Shape::DateTime => "date",
        Shape::Email => "email",
        Shape::Address => "address",
        Shape::Phone => "phone",
        Shape::Word | Shape::Overflow | Shape::Long if follows_value => "key",
        Shape::Word | Shape::Overflow | Shape::Long => "name",
        _ => "id",
    };
    if parts.last().is_none_or(|last| last != suffix) {
        parts.push(suffix.to_owned());
    }
    let name = parts.join("_");
    let mut number = 2;
    let mut unique = name.clone();
    while taken.contains(&unique.as_str()) {
        unique = format!("{name}_{number}");
        number += 1;
    }
    unique
}
