//! An observed endpoint as an operation of the specification model: for export and comparison.

use umbra_openapi::{
    Additional, Content, Evidence, Location, Operation, Parameter, Property, RequestBody, Response, Schema, SchemaId,
    Schemas, SecurityKind, Status, Types,
};

use crate::endpoint::Endpoint;
use crate::routes::ParameterType;
use crate::schema::describe::{Description, describe, describe_object};
use crate::schema::schemas::{Bodies, Place};
use crate::schema::shape::Object;
use crate::schema::{self, Credential, Syntax};

/// The endpoint as an operation, its shapes added to `schemas`. What is not known from the endpoint alone is left out: evidence,
/// security.
pub fn operation(endpoint: &Endpoint, schemas: &mut Schemas) -> Operation {
    let mut operation = Operation {
        method: endpoint.method().to_owned(),
        template: endpoint.route().to_owned(),
        parameters: path_parameters(endpoint.route()),
        ..Operation::default()
    };
    describe_path(endpoint, &mut operation, schemas);
    if let Some(learnt) = &endpoint.learnt {
        add(&learnt.schemas(), &mut operation, schemas);
    }
    let seen = endpoint.statuses.iter().map(|(status, _)| *status);
    add_statuses(seen, &mut operation);
    operation
}

/// What stands behind an endpoint.
pub fn evidence(endpoint: &Endpoint) -> Evidence {
    Evidence {
        // Of a route of which nothing was decided nothing is known: a literal may well be a value.
        confidence: endpoint.template.as_ref().map_or(0.5, |template| template.confidence),
        requests: endpoint.requests,
        first_seen_ns: endpoint.first_seen.nanos(),
        last_seen_ns: endpoint.last_seen.nanos(),
        remarks: Vec::new(),
    }
}

/// A credential as a security scheme.
pub fn security(credential: &Credential) -> SecurityKind {
    let key = |location, name: &str| SecurityKind::ApiKey { location, name: name.to_owned() };
    match credential {
        Credential::Jwt => SecurityKind::Http { scheme: "bearer".into(), bearer_format: Some("JWT".into()) },
        Credential::Http(scheme) => SecurityKind::Http { scheme: scheme.to_string(), bearer_format: None },
        Credential::Bare => key(Location::Header, "authorization"),
        Credential::Header(name) => key(Location::Header, name),
        Credential::Query(name) => key(Location::Query, name),
        Credential::Cookie(name) => key(Location::Cookie, name),
    }
}

/// Adds what was learnt of parameters and bodies to an operation.
pub fn add(learnt: &schema::Schemas, operation: &mut Operation, schemas: &mut Schemas) {
    for (location, object) in
        [(Location::Query, &learnt.query), (Location::Header, &learnt.headers), (Location::Cookie, &learnt.cookies)]
    {
        add_parameters(location, object, learnt.exchanges, operation, schemas);
    }
    let requests = learnt.bodies().iter().filter(|bodies| bodies.place == Place::Request);
    let content: Vec<Content> = requests.map(|bodies| content_of(bodies, schemas)).collect();
    if !content.is_empty() {
        // Bodies are sampled: whether there must be one is not known from them.
        operation.request_body = Some(RequestBody { required: false, content });
    }
    for class in 1..=9 {
        let bodies = learnt.bodies().iter().filter(|bodies| bodies.place == Place::Response(class));
        let content: Vec<Content> = bodies.map(|bodies| content_of(bodies, schemas)).collect();
        if !content.is_empty() {
            let status = Status::Class(u16::from(class));
            operation.responses.push(Response { status, content, headers: Vec::new() });
        }
    }
}

/// Puts the codes that were seen in the place of their classes; bodies were told apart by class only.
fn add_statuses(seen: impl Iterator<Item = u16>, operation: &mut Operation) {
    let by_class = std::mem::take(&mut operation.responses);
    for code in seen.filter(|code| (100..1000).contains(code)) {
        let content = match by_class.iter().find(|response| response.status.names(code)) {
            // No body, whatever others of the class have (RFC 9110 §6.4.1).
            Some(_) if matches!(code, 100..=199 | 204 | 304) => Vec::new(),
            Some(response) => response.content.clone(),
            None => Vec::new(),
        };
        operation.responses.push(Response { status: Status::Code(code), content, headers: Vec::new() });
    }
}

/// Says of path parameters what was decided of them.
fn describe_path(endpoint: &Endpoint, operation: &mut Operation, schemas: &mut Schemas) {
    let Some(template) = endpoint.template.as_ref() else { return };
    for parameter in &mut operation.parameters {
        let Some(decided) = template.parameters.iter().find(|decided| decided.name == parameter.name) else { continue };
        let types = match decided.kind {
            ParameterType::Integer => Types::INTEGER,
            ParameterType::String => Types::STRING,
        };
        let format = decided.format.map(str::to_owned);
        parameter.schema = Some(schemas.add(Schema { types, format, ..Schema::default() }));
        parameter.confidence = Some(decided.confidence);
    }
}

/// One for each `{name}` of the template.
fn path_parameters(route: &str) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut rest = route;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        if !parameters.iter().any(|parameter| parameter.name == name) {
            parameters.push(Parameter::new(name, Location::Path, true));
        }
        rest = after;
    }
    parameters
}

fn add_parameters(
    location: Location,
    object: &Object,
    exchanges: u32,
    operation: &mut Operation,
    schemas: &mut Schemas,
) {
    let mut description = Description::default();
    describe_object(object, &mut description);
    for property in description.properties {
        let required = exchanges > 0 && property.present >= exchanges;
        let value = match property.repeated {
            true => Description {
                types: vec![schema::shape::Type::Array],
                items: Some(Box::new(property.value)),
                ..Description::default()
            },
            false => property.value,
        };
        let mut parameter = Parameter::new(&property.name, location, required);
        parameter.schema = Some(add_schema(&value, schemas));
        operation.parameters.push(parameter);
    }
}

fn content_of(bodies: &Bodies, schemas: &mut Schemas) -> Content {
    let mut description = describe(&bodies.schema.shape);
    if bodies.syntax == Syntax::Xml {
        // The document element stands for the document.
        if let [root] = description.properties.as_mut_slice() {
            description = std::mem::take(&mut root.value);
        }
    }
    if bodies.schema.malformed.saturating_mul(2) > bodies.schema.bodies {
        description = Description::default();
    }
    let media_type = match &*bodies.media_type {
        "" => "application/octet-stream".to_owned(),
        media_type => media_type.to_owned(),
    };
    Content { media_type, schema: Some(add_schema(&description, schemas)) }
}

/// Adds a description to the table.
pub fn add_schema(description: &Description, schemas: &mut Schemas) -> SchemaId {
    let mut types = description.types.iter().filter_map(|kind| Types::named(kind.name())).fold(Types::ANY, Types::with);
    if description.nullable && !types.is_any() {
        types = types.with(Types::NULL);
    }
    let properties = description.properties.iter().map(|property| {
        let name = property.name.strip_prefix('@').unwrap_or(&property.name);
        Property { name: name.to_owned(), schema: add_schema(&property.value, schemas), required: property.required }
    });
    let properties = properties.collect();
    let additional = match &description.additional {
        Some(values) if !description.overflow => Additional::Shape(add_schema(values, schemas)),
        Some(_) => Additional::Open,
        None => Additional::Unsaid,
    };
    let items = description.items.as_ref().map(|items| add_schema(items, schemas));
    schemas.add(Schema {
        types,
        format: description.format.filter(|format| is_standard(format)).map(str::to_owned),
        properties,
        additional,
        items,
        ..Schema::default()
    })
}

/// Formats of JSON Schema and OpenAPI; our own words for texts stay inside.
fn is_standard(format: &str) -> bool {
    matches!(
        format,
        "uuid"
            | "date-time"
            | "date"
            | "time"
            | "duration"
            | "email"
            | "uri"
            | "ipv4"
            | "ipv6"
            | "int32"
            | "int64"
            | "binary"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::schema::{Exchange, Sample, ValueKey};

    #[test]
    fn an_endpoint_is_an_operation() {
        let key = ValueKey::new([1, 2]);
        let mut learnt = schema::Schemas::default();
        for (query, body) in
            [("page=1&tag=a&tag=b", r#"{"id":1,"at":"2024-01-01"}"#), ("page=2", r#"{"id":2,"note":null}"#)]
        {
            learnt.add(
                &Exchange {
                    query: Some(query.as_bytes()),
                    request_headers: Some(&umbra_http::HeaderBlock::default()),
                    status: 200,
                    response_body: Some(Sample { bytes: body.as_bytes(), cut: false }),
                    ..Exchange::default()
                },
                &key,
            );
        }
        let (mut operation, mut schemas) = (Operation::default(), Schemas::default());
        add(&learnt, &mut operation, &mut schemas);
        add_statuses([200, 204].into_iter(), &mut operation);
        let parameters: Vec<_> = operation.parameters.iter().map(|p| (p.name.as_str(), p.required)).collect();
        assert_eq!(parameters, [("page", true), ("tag", false)]);
        let tag = schemas.schema(operation.parameters[1].schema.unwrap()).unwrap();
        assert_eq!(tag.types, Types::ARRAY);
        let [ok, empty] = operation.responses.as_slice() else { panic!() };
        assert!(empty.content.is_empty());
        let body = schemas.schema(ok.content[0].schema.unwrap()).unwrap();
        let members: Vec<_> = body.properties.iter().map(|p| (p.name.as_str(), p.required)).collect();
        assert_eq!(members, [("at", false), ("id", true), ("note", false)]);
        assert_eq!(schemas.schema(body.properties[0].schema).unwrap().format.as_deref(), Some("date"));
        assert_eq!(path_parameters("/a/{id}/b/{x}.json").len(), 2);
    }
}
