//! Differences between an endpoint and the operation that documents it.

use super::auth;
use super::bodies::{Bodies, Writing, allows};
use super::observed::Observed;
use super::view::View;
use crate::matching::{OperationRef, SpecSet};
use crate::model::{Content, Location, Operation, Parameter, Response, SecurityKind, Spec, Status, Style};
use crate::schema::{Schemas, Types};

/// Differences listed of one endpoint; the rest is counted.
const DRIFTS: usize = 100;

/// Kinds of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriftKind {
    /// A parameter that is not documented.
    UndocumentedParameter,
    /// A member of a body that is not documented.
    UndocumentedField,
    /// A status code that is not documented.
    UndocumentedStatus,
    /// A media type that is not documented.
    UndocumentedContentType,
    /// Values of another type than documented.
    TypeChange,
    /// Something required is not (always) there.
    MissingRequired,
    /// Credentials of another scheme than documented, or none.
    AuthScheme,
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [DriftKind; 7] = [
        DriftKind::UndocumentedParameter,
        DriftKind::UndocumentedField,
        DriftKind::UndocumentedStatus,
        DriftKind::UndocumentedContentType,
        DriftKind::TypeChange,
        DriftKind::MissingRequired,
        DriftKind::AuthScheme,
    ];

    /// The word for it in records.
    pub const fn name(self) -> &'static str {
        match self {
            DriftKind::UndocumentedParameter => "undocumented_parameter",
            DriftKind::UndocumentedField => "undocumented_field",
            DriftKind::UndocumentedStatus => "undocumented_status",
            DriftKind::UndocumentedContentType => "undocumented_content_type",
            DriftKind::TypeChange => "type_change",
            DriftKind::MissingRequired => "missing_required",
            DriftKind::AuthScheme => "auth_scheme",
        }
    }
}

/// One difference. Holds names and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Drift {
    /// Kind.
    pub kind: DriftKind,
    /// Where: `query limit`, `request application/json /items/[]/id`, `response 200 text/html`.
    pub place: String,
    /// What is documented; empty: nothing.
    pub documented: String,
    /// What was observed.
    pub observed: String,
}

/// A bounded list of differences.
#[derive(Debug, Default)]
pub(super) struct Drifts {
    list: Vec<Drift>,
    more: usize,
}

impl Drifts {
    pub(super) fn push(&mut self, kind: DriftKind, place: String, documented: String, observed: String) {
        let drift = Drift { kind, place, documented, observed };
        if self.list.contains(&drift) {
        } else if self.list.len() < DRIFTS {
            self.list.push(drift);
        } else {
            self.more += 1;
        }
    }
}

/// Differences of an endpoint from the union of the operations that document it, in a fixed order.
pub(super) fn of(set: &SpecSet, refs: &[OperationRef], endpoint: &Observed, schemas: &Schemas) -> (Vec<Drift>, usize) {
    let documented: Vec<(&Spec, &Operation)> =
        refs.iter().filter_map(|at| Some((set.spec(*at)?, set.operation(*at)?))).collect();
    let mut drifts = Drifts::default();
    if documented.is_empty() || documented.iter().any(|(_, operation)| operation.incomplete || operation.method == "*")
    {
        return (Vec::new(), 0);
    }
    parameters(&documented, endpoint, schemas, &mut drifts);
    request_body(&documented, endpoint, schemas, &mut drifts);
    responses(&documented, endpoint, schemas, &mut drifts);
    auth::compare(&documented, endpoint, &mut drifts);
    drifts.list.sort();
    (drifts.list, drifts.more)
}

fn parameters(documented: &[(&Spec, &Operation)], endpoint: &Observed, schemas: &Schemas, drifts: &mut Drifts) {
    for seen in &endpoint.operation.parameters {
        // Variables of a path have names of their own in an inventory.
        if seen.location == Location::Path {
            continue;
        }
        let mut named: Vec<(&Spec, &Parameter)> = Vec::new();
        let mut known = false;
        for (spec, operation) in documented {
            let fitting = operation.parameters.iter().filter(|parameter| covers(spec, parameter, seen));
            for parameter in fitting {
                known = true;
                if same_name(parameter, seen) {
                    named.push((spec, parameter));
                }
            }
            known |= is_credential(spec, operation, seen);
        }
        let place = format!("{} {}", seen.location.name(), seen.name);
        let types = seen.schema.and_then(|id| schemas.schema(id)).map_or(Types::ANY, |schema| schema.types);
        if !known {
            drifts.push(DriftKind::UndocumentedParameter, place, String::new(), types.to_string());
            continue;
        }
        let shapes: Vec<(&Spec, _)> =
            named.iter().filter_map(|(spec, parameter)| parameter.schema.map(|id| (*spec, id))).collect();
        if shapes.len() < named.len() || named.is_empty() || types.is_any() {
            continue;
        }
        let views: Vec<View<'_>> = shapes.iter().map(|(spec, id)| View::of(&spec.schemas, &[*id])).collect();
        if !views.iter().any(|view| view.any || allows(view.types, types, Writing::Text)) {
            let names: Vec<String> = views.iter().map(|view| view.types.to_string()).collect();
            drifts.push(DriftKind::TypeChange, place, names.join(" or "), types.to_string());
        }
    }
    missing_parameters(documented, endpoint, drifts);
}

fn missing_parameters(documented: &[(&Spec, &Operation)], endpoint: &Observed, drifts: &mut Drifts) {
    let Some(((_, first), others)) = documented.split_first() else { return };
    for parameter in first.parameters.iter().filter(|parameter| parameter.required) {
        let everywhere = others.iter().all(|(_, operation)| {
            operation.parameters.iter().any(|other| other.required && same_name(other, parameter))
        });
        if parameter.location == Location::Path || !everywhere || !endpoint.looked_at.contains(&parameter.location) {
            continue;
        }
        let seen = &endpoint.operation.parameters;
        let itself = seen.iter().find(|seen| same_name(parameter, seen));
        // Members of an object are parameters of their own on the wire; which of them are needed nobody says.
        let any = itself.is_some()
            || seen.iter().any(|seen| documented.iter().any(|(spec, _)| covers(spec, parameter, seen)));
        if itself.map_or(!any, |itself| !itself.required) {
            let place = format!("{} {}", parameter.location.name(), parameter.name);
            let seen = if any { "not always there" } else { "never there" };
            drifts.push(DriftKind::MissingRequired, place, "required".into(), seen.into());
        }
    }
}

fn same_name(documented: &Parameter, seen: &Parameter) -> bool {
    documented.location == seen.location
        && match documented.location {
            Location::Header => documented.name.eq_ignore_ascii_case(&seen.name),
            _ => documented.name == seen.name,
        }
}

/// Whether a parameter on the wire is documented by one of the specification: itself, a key of its object, or an item of
/// its list written `name[]`.
fn covers(spec: &Spec, documented: &Parameter, seen: &Parameter) -> bool {
    if same_name(documented, seen) {
        return true;
    }
    if documented.location != seen.location || documented.location != Location::Query {
        return false;
    }
    let bare = |name: &str| name.split('[').next().unwrap_or_default().to_string();
    if seen.name.contains('[') && bare(&documented.name) == bare(&seen.name) && !bare(&seen.name).is_empty() {
        return true;
    }
    if documented.style != Style::Exploded {
        return false;
    }
    let Some(id) = documented.schema else { return false };
    let view = View::of(&spec.schemas, &[id]);
    view.types.contains(Types::OBJECT) && view.member(&seen.name).is_some()
}

/// A key in the query, a header or a cookie that a security scheme documents.
fn is_credential(spec: &Spec, operation: &Operation, seen: &Parameter) -> bool {
    let used = operation.security.iter().flatten().flatten();
    used.filter_map(|place| spec.security_schemes.get(*place as usize)).any(|scheme| match &scheme.kind {
        SecurityKind::ApiKey { location, name } => *location == seen.location && name.eq_ignore_ascii_case(&seen.name),
        SecurityKind::OAuth2 => seen.location == Location::Query && seen.name == "access_token",
        _ => false,
    })
}

fn request_body(documented: &[(&Spec, &Operation)], endpoint: &Observed, schemas: &Schemas, drifts: &mut Drifts) {
    let Some(seen) = &endpoint.operation.request_body else {
        let required =
            |(_, operation): &(&Spec, &Operation)| operation.request_body.as_ref().is_some_and(|body| body.required);
        if endpoint.bodies && documented.iter().all(required) {
            drifts.push(DriftKind::MissingRequired, "request".into(), "required".into(), "never there".into());
        }
        return;
    };
    let bodies: Vec<(&Spec, &[Content])> = documented
        .iter()
        .filter_map(|(spec, operation)| Some((*spec, operation.request_body.as_ref()?.content.as_slice())))
        .collect();
    for content in &seen.content {
        compare_content(&bodies, content, "request", true, schemas, drifts);
    }
}

fn responses(documented: &[(&Spec, &Operation)], endpoint: &Observed, schemas: &Schemas, drifts: &mut Drifts) {
    for seen in &endpoint.operation.responses {
        let Status::Code(code) = seen.status else { continue };
        let fitting: Vec<(&Spec, &Response)> =
            documented.iter().filter_map(|(spec, operation)| Some((*spec, response(operation, code)?))).collect();
        if fitting.is_empty() {
            if is_told(documented, code) {
                let names = documented.iter().flat_map(|(_, operation)| &operation.responses);
                let names: Vec<String> = names.map(|response| response.status.to_string()).collect();
                let place = format!("response {code}");
                drifts.push(DriftKind::UndocumentedStatus, place, names.join(" "), code.to_string());
            }
            continue;
        }
        let bodies: Vec<(&Spec, &[Content])> =
            fitting.iter().map(|(spec, response)| (*spec, response.content.as_slice())).collect();
        let place = format!("response {code}");
        for content in &seen.content {
            compare_content(&bodies, content, &place, false, schemas, drifts);
        }
    }
}

/// The documented response of a code: exact, then its class, then the default.
fn response(operation: &Operation, code: u16) -> Option<&Response> {
    let named = operation.responses.iter().filter(|response| response.status.names(code));
    let default = operation.responses.iter().find(|response| response.status == Status::Default);
    named.min_by_key(|response| response.status).or(default)
}

/// Whether an undocumented code is worth telling. Not: interim answers, `304` (RFC 9110 §15.4.5: for any conditional
/// request), and errors where the document does not bother to list errors of that class.
fn is_told(documented: &[(&Spec, &Operation)], code: u16) -> bool {
    let class = code / 100;
    let mut statuses =
        documented.iter().flat_map(|(_, operation)| &operation.responses).map(|response| response.status);
    match class {
        1 => false,
        _ if code == 304 => false,
        2 | 3 => true,
        _ => statuses.any(|status| match status {
            Status::Code(other) => other / 100 == class,
            Status::Class(other) => other == class,
            Status::Default => false,
        }),
    }
}

fn compare_content(
    documented: &[(&Spec, &[Content])],
    seen: &Content,
    place: &str,
    is_request: bool,
    schemas: &Schemas,
    drifts: &mut Drifts,
) {
    let place = format!("{place} {}", seen.media_type);
    let fitting: Vec<(&Spec, &Content)> =
        documented.iter().filter_map(|(spec, content)| Some((*spec, best(content, &seen.media_type)?))).collect();
    if fitting.is_empty() {
        let names: Vec<&str> =
            documented.iter().flat_map(|(_, content)| *content).map(|content| content.media_type.as_str()).collect();
        drifts.push(DriftKind::UndocumentedContentType, place, names.join(" "), seen.media_type.clone());
        return;
    }
    let Some(shape) = seen.schema else { return };
    // Of several documents the one that fits best counts.
    let mut least: Option<Drifts> = None;
    for (spec, content) in fitting {
        let Some(documented) = content.schema else { return };
        let mut here = Drifts::default();
        let mut bodies = Bodies::new(schemas, &spec.schemas, Writing::of(&seen.media_type), is_request);
        bodies.compare(shape, documented, &place, &mut here);
        if least.as_ref().is_none_or(|least| here.list.len() + here.more < least.list.len() + least.more) {
            least = Some(here);
        }
    }
    for drift in least.into_iter().flat_map(|least| least.list) {
        drifts.push(drift.kind, drift.place, drift.documented, drift.observed);
    }
}

/// The documented content of a media type: itself, then a type with the same suffix syntax, then a range (RFC 9110 §12.5.1).
fn best<'a>(content: &'a [Content], media_type: &str) -> Option<&'a Content> {
    let exact = content.iter().find(|content| content.media_type == media_type);
    let is_json = |media_type: &str| media_type.ends_with("+json") || media_type.ends_with("/json");
    let json = || content.iter().find(|content| is_json(media_type) && is_json(&content.media_type));
    let range = || {
        content.iter().find(|content| match content.media_type.strip_suffix('*') {
            Some("*/") => true,
            Some(start) => media_type.starts_with(start),
            None => false,
        })
    };
    exact.or_else(json).or_else(range)
}
