//! Literal segments of observed templates where a specification has a variable.
//!
//! Any request for `/jobs/schedule` matches `/jobs/{id}`. But an inventory that lists it as an endpoint of its own, after a
//! server answered it with success, knows more: it is not a job if ids of jobs are integers, nor if the inventory has
//! `/jobs/{id}` beside it and kept the two apart.

use std::collections::HashSet;

use super::observed::Observed;
use super::view::View;
use crate::matching::{Found, OperationRef, SpecSet};
use crate::model::Location;
use crate::schema::{SchemaId, Schemas, Types};
use crate::template::{Segment, segments, variables};

/// From this confidence on an inventory's literal is taken for one.
const CERTAIN: f64 = 0.8;

/// Methods that path items have.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// Values that stand for a resource the server chooses: an endpoint of their own in an inventory, a value in documents.
const STAND_INS: [&str; 9] = ["-", "@me", "current", "default", "latest", "me", "mine", "self", "~"];

/// Where an inventory has variables.
pub(super) struct Literals {
    /// Host and the segments before the variable.
    variables: HashSet<(String, String)>,
}

impl Literals {
    pub(super) fn of(observed: &[Observed]) -> Literals {
        let mut variables = HashSet::new();
        for endpoint in observed {
            let segments = segments(&endpoint.operation.template);
            for (place, segment) in segments.iter().enumerate() {
                if *segment == Segment::Variable {
                    variables.insert((endpoint.host.clone(), prefix(&segments, place)));
                }
            }
        }
        Literals { variables }
    }

    /// Whether a literal of the endpoint cannot be a value of the operation's variable.
    pub(super) fn speak_against(&self, set: &SpecSet, at: OperationRef, endpoint: &Observed) -> bool {
        let certain = endpoint.operation.evidence.as_ref().is_none_or(|evidence| evidence.confidence >= CERTAIN);
        let seen = segments(&endpoint.operation.template);
        let beside = |place| certain && self.variables.contains(&(endpoint.host.clone(), prefix(&seen, place)));
        speak_against(set, at, &seen, &beside)
    }
}

/// Whether a literal of a template cannot be a value of the operation's variable: the variable's schema does not admit it, or it
/// is `certain` not to be one.
fn speak_against(set: &SpecSet, at: OperationRef, seen: &[Segment], certain: &dyn Fn(usize) -> bool) -> bool {
    let (Some(template), Some(operation), Some(spec)) = (set.template(at), set.operation(at), set.spec(at)) else {
        return false;
    };
    for (place, (name, segment)) in variables(&template).iter().zip(seen).enumerate() {
        let (Some(name), Segment::Literal(literal)) = (name, segment) else { continue };
        let text = String::from_utf8_lossy(literal);
        if STAND_INS.contains(&text.as_ref()) {
            continue;
        }
        let parameter = operation
            .parameters
            .iter()
            .find(|parameter| parameter.location == Location::Path && parameter.name == *name);
        let schema = parameter.and_then(|parameter| parameter.schema);
        if schema.is_some_and(|schema| !admits(&spec.schemas, schema, &text)) || certain(place) {
            return true;
        }
    }
    false
}

impl SpecSet {
    /// The template of the operation that documents what was asked for at `path`, a path or a template with the literals that
    /// are known; where none documents the method, that of another method there. `inferred` is the template that an inventory
    /// without specifications gives it, with how certain it is, 0 to 1, that the segment at a place is a literal, as it has a
    /// variable beside it: where that speaks against the operation, the path is no value of its variable, and nothing documents
    /// it. What nothing documents anyway is told by the name that it seems to have.
    pub fn claim(
        &self,
        host: &str,
        method: &str,
        path: &str,
        inferred: Option<(&str, &dyn Fn(usize) -> f64)>,
    ) -> Option<String> {
        let (refs, has_method) = match self.observed(host, method, path) {
            Found::Operations(refs) => (refs, true),
            // Nobody has looked for what is there with a method that is not documented and did not succeed.
            Found::NoMethod if inferred.is_some() => {
                let others = METHODS.iter().map(|other| self.observed(host, other, path));
                let mut others =
                    others.filter_map(|found| if let Found::Operations(refs) = found { Some(refs) } else { None });
                (others.next()?, false)
            }
            _ => return None,
        };
        let fits = |at: &&OperationRef| {
            let enough = if has_method { CERTAIN } else { 0.5 };
            let beside = |place: usize| inferred.is_some_and(|(_, certainty)| certainty(place) >= enough);
            inferred.is_none_or(|(template, _)| !speak_against(self, **at, &segments(template), &beside))
        };
        refs.iter().find(fits).and_then(|at| self.template(*at))
    }
}

/// Whether an endpoint's template has no literal where the operation's has a variable: it covers the operation whole.
pub(super) fn covers(set: &SpecSet, at: OperationRef, endpoint: &Observed) -> bool {
    let Some(template) = set.template(at) else { return false };
    let seen = segments(&endpoint.operation.template);
    let literal_over_variable = segments(&template)
        .iter()
        .zip(&seen)
        .any(|(documented, seen)| matches!(seen, Segment::Literal(_)) && !matches!(documented, Segment::Literal(_)));
    !literal_over_variable
}

/// The segments before a place, variables unnamed.
fn prefix(segments: &[Segment], place: usize) -> String {
    let mut out = String::new();
    for segment in segments.iter().take(place) {
        out.push('/');
        match segment {
            Segment::Literal(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
            _ => out.push_str("{}"),
        }
    }
    out
}

/// Whether the text of a segment may be a value of a shape.
fn admits(schemas: &Schemas, schema: SchemaId, text: &str) -> bool {
    let view = View::of(schemas, &[schema]);
    let enumerated: Vec<&String> = view.schemas().flat_map(|schema| &schema.enumeration).collect();
    if !enumerated.is_empty() {
        let quoted = crate::read::json_string(text);
        return view.any || enumerated.iter().any(|value| **value == quoted || value.as_str() == text);
    }
    if view.any || view.types.is_any() {
        return true;
    }
    let is_integer = || text.parse::<i128>().is_ok();
    if view.types.contains(Types::STRING) {
        return view.schemas().filter(|schema| schema.types.contains(Types::STRING)).all(|schema| {
            let len = text.chars().count() as u64;
            let fits = match schema.format.as_deref() {
                Some("uuid") => is_uuid(text),
                Some("int32" | "int64") => is_integer(),
                Some("date") => text.len() == 10 && text.starts_with(|c: char| c.is_ascii_digit()),
                Some("date-time") => text.len() >= 19 && text.starts_with(|c: char| c.is_ascii_digit()),
                _ => true,
            };
            fits && schema.min_length.is_none_or(|min| len >= min) && schema.max_length.is_none_or(|max| len <= max)
        });
    }
    view.types.contains(Types::INTEGER) && is_integer()
        || view.types.contains(Types::NUMBER) && text.parse::<f64>().is_ok()
        || view.types.contains(Types::BOOLEAN) && matches!(text, "true" | "false")
        // How lists and objects stand in a path depends on their style.
        || !view.types.both(Types::ARRAY.with(Types::OBJECT)).is_any()
}

/// With or without hyphens.
fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    digits == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
