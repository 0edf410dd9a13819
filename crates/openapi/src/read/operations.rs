//! One operation: bodies and responses.

use super::parameters::Parameters;
use super::paths::essence;
use super::{Place, Reader};
use crate::document::Kind;
use crate::model::{Content, Format, Operation, RequestBody, Response, Status};
use crate::schema::{Property, Schema, SchemaId, Types};

/// What an operation inherits.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    pub(super) servers: u32,
    pub(super) security: Option<Vec<Vec<u32>>>,
    /// Swagger 2.0: media types of requests and responses.
    pub(super) consumes: Option<Vec<String>>,
    pub(super) produces: Option<Vec<String>>,
}

impl Reader<'_> {
    /// Reads an operation; `place` may be a `$ref`, which no version of the standard has and bundlers write. What is behind
    /// it is used, as it can only add knowledge; but `deprecated`, which accuses whoever still calls the operation, counts
    /// only where the standard has it.
    pub(super) fn operation(&mut self, place: Place, shared: &Parameters, around: &Around) -> Operation {
        let troubles = self.troubles;
        let at = self.resolved(place).unwrap_or(place);
        let mut own = self.parameters(at);
        own.inherit(shared, self.limits.parameters);
        let servers = self.own_servers(at, around.servers);
        let (request_body, responses) = if self.spec.format == Format::Swagger2 {
            let consumes = self.media_types(at, "consumes").or_else(|| around.consumes.clone());
            let produces = self.media_types(at, "produces").or_else(|| around.produces.clone());
            (self.swagger_body(&own, consumes.unwrap_or_default()), self.responses(at, &produces.unwrap_or_default()))
        } else {
            (self.request_body(at), self.responses(at, &[]))
        };
        if let Some(callbacks) = self.member_of(at, "callbacks", Kind::Map) {
            for (_, callback) in self.entries(callbacks).into_iter().take(self.limits.responses) {
                if let Some(callback) = self.resolved(callback) {
                    let count = self.count_operations(callback);
                    self.spec.callback_operations += count;
                }
            }
        }
        Operation {
            operation_id: self.string(at, "operationId"),
            deprecated: self.flag(place, "deprecated"),
            security: self.security(at).or_else(|| around.security.clone()),
            parameters: own.list,
            request_body,
            responses,
            servers,
            incomplete: shared.incomplete || self.troubles != troubles,
            ..Operation::default()
        }
    }

    fn request_body(&mut self, at: Place) -> Option<RequestBody> {
        let body = self.member(at, "requestBody")?;
        let body = self.resolved(body)?;
        Some(RequestBody { required: self.flag(body, "required"), content: self.content(body) })
    }

    /// `content` of OpenAPI 3: a schema per media type.
    pub(super) fn content(&mut self, at: Place) -> Vec<Content> {
        let Some(map) = self.member_of(at, "content", Kind::Map) else { return Vec::new() };
        let mut content = Vec::new();
        for (name, place) in self.entries(map) {
            if content.len() >= self.limits.responses {
                self.issue(map, "too many media types: the rest is left out");
                break;
            }
            if !self.take_part(place) {
                break;
            }
            let place = self.resolved(place).unwrap_or(place);
            let schema = self.member(place, "schema").and_then(|schema| self.schema_at(schema));
            content.push(Content { media_type: essence(&name), schema });
        }
        content
    }

    fn responses(&mut self, at: Place, produces: &[String]) -> Vec<Response> {
        let Some(map) = self.member_of(at, "responses", Kind::Map) else { return Vec::new() };
        let mut responses = Vec::new();
        for (name, place) in self.entries(map) {
            if name.starts_with("x-") {
                continue;
            }
            if responses.len() >= self.limits.responses {
                self.issue(map, "too many responses: the rest is left out");
                break;
            }
            let Some(status) = Status::parse(&name) else {
                self.issue(place, "neither a status code nor a class of them");
                continue;
            };
            if !self.take_part(place) {
                break;
            }
            let at = self.resolved(place).unwrap_or(place);
            let content = if self.spec.format == Format::Swagger2 {
                let schema = self.member(at, "schema").and_then(|schema| self.schema_at(schema));
                let media_types = produces.iter().filter(|_| schema.is_some());
                media_types.map(|media_type| Content { media_type: media_type.clone(), schema }).collect()
            } else {
                self.content(at)
            };
            let headers = self.member(at, "headers").map(|headers| self.entries(headers)).unwrap_or_default();
            let headers = headers.into_iter().take(self.limits.parameters).map(|(name, _)| name.to_ascii_lowercase());
            responses.push(Response { status, content, headers: headers.collect() });
        }
        responses.sort_by_key(|response| response.status);
        responses
    }

    /// The body of Swagger 2.0: a parameter `in: body`, or those `in: formData` together.
    fn swagger_body(&mut self, parameters: &Parameters, mut consumes: Vec<String>) -> Option<RequestBody> {
        let is_form = |media_type: &String| media_type == FORM || media_type == MULTIPART;
        if let Some((schema, required)) = parameters.body {
            // Media types of forms listed beside a body do not belong to it.
            consumes.retain(|media_type| !is_form(media_type));
            if consumes.is_empty() {
                consumes.push("application/json".into());
            }
            return Some(body(consumes, schema, required));
        }
        if parameters.form.is_empty() {
            return None;
        }
        consumes.retain(is_form);
        if consumes.is_empty() {
            consumes.push(if parameters.has_file { MULTIPART } else { FORM }.into());
        }
        let mut properties = parameters.form.clone();
        properties.sort_by(|a, b| a.name.cmp(&b.name));
        let required = properties.iter().any(|property| property.required);
        let schema = Schema { types: Types::OBJECT, properties, ..Schema::default() };
        let schema = self.spec.schemas.add(schema);
        Some(body(consumes, Some(schema), required))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

fn body(media_types: Vec<String>, schema: Option<SchemaId>, required: bool) -> RequestBody {
    let content = media_types.into_iter().map(|media_type| Content { media_type, schema }).collect();
    RequestBody { required, content }
}

/// A form parameter as a member of the form's schema.
pub(super) fn form_property(name: String, schema: SchemaId, required: bool) -> Property {
    Property { name, schema, required }
}
