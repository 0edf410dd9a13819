//! Writes a model as OpenAPI 3.1, in an order that depends on nothing but the model.

mod components;
mod example;
mod json;
mod paths;
mod schemas;

use crate::model::{Location, SecurityKind, SecurityScheme, Server, Spec};
use components::Components;
use json::Json;

/// Writes a specification as OpenAPI 3.1 in JSON, two spaces of indent, ending in a newline. The same model gives the same
/// bytes: paths by template, methods in the order of the standard, members by name.
///
/// What the standard has no place for is left out: methods it does not know, status codes outside 100 to 599, a second
/// operation of the same method and template. Examples are made from types, never from anything seen. What is known of the
/// traffic behind an operation or parameter stands in `x-umbra`.
pub fn write(spec: &Spec) -> String {
    let components = Components::of(spec);
    let mut json = Json::default();
    json.object(|json| {
        json.text("openapi", "3.1.0");
        json.member("info", |json| {
            json.object(|json| {
                json.text("title", if spec.title.is_empty() { "Untitled" } else { &spec.title });
                json.text("version", if spec.version.is_empty() { "0" } else { &spec.version });
            });
        });
        if let Some(servers) = spec.server_lists.first() {
            write_servers(json, servers);
        }
        json.member("paths", |json| paths::write(json, spec, &components));
        write_components(json, spec, &components);
    });
    let mut out = json.finish();
    out.push('\n');
    out
}

fn write_servers(json: &mut Json, servers: &[Server]) {
    json.member("servers", |json| {
        json.array(servers, |json, server| {
            json.object(|json| {
                json.text("url", if server.url.is_empty() { "/" } else { &server.url });
                if server.variables.is_empty() {
                    return;
                }
                json.member("variables", |json| {
                    json.object(|json| {
                        for variable in &server.variables {
                            json.member(&variable.name, |json| {
                                json.object(|json| {
                                    if !variable.enumeration.is_empty() {
                                        json.member("enum", |json| {
                                            json.array(&variable.enumeration, |json, value| json.string(value));
                                        });
                                    }
                                    json.text("default", &variable.default);
                                });
                            });
                        }
                    });
                });
            });
        });
    });
}

fn write_components(json: &mut Json, spec: &Spec, components: &Components) {
    if components.schemas.is_empty() && spec.security_schemes.is_empty() {
        return;
    }
    json.member("components", |json| {
        json.object(|json| {
            if !components.schemas.is_empty() {
                json.member("schemas", |json| {
                    json.object(|json| {
                        for (name, id) in components.in_order() {
                            json.member(name, |json| schemas::write(json, spec, components, id, true));
                        }
                    });
                });
            }
            if !spec.security_schemes.is_empty() {
                json.member("securitySchemes", |json| {
                    json.object(|json| {
                        for (name, scheme) in components.security.iter().zip(&spec.security_schemes) {
                            json.member(name, |json| write_scheme(json, scheme));
                        }
                    });
                });
            }
        });
    });
}

fn write_scheme(json: &mut Json, scheme: &SecurityScheme) {
    json.object(|json| match &scheme.kind {
        SecurityKind::ApiKey { location, name } => {
            json.text("type", "apiKey");
            json.text("name", if name.is_empty() { "key" } else { name });
            json.text("in", if *location == Location::Path { "header" } else { location.name() });
        }
        SecurityKind::Http { scheme, bearer_format } => {
            json.text("type", "http");
            json.text("scheme", if scheme.is_empty() { "bearer" } else { scheme });
            if let Some(format) = bearer_format {
                json.text("bearerFormat", format);
            }
        }
        SecurityKind::OAuth2 => {
            json.text("type", "oauth2");
            json.member("flows", |json| json.object(|_| {}));
        }
        // Its address is not known, and on the wire it is a bearer token.
        SecurityKind::OpenIdConnect => {
            json.text("type", "http");
            json.text("scheme", "bearer");
        }
        SecurityKind::MutualTls => json.text("type", "mutualTLS"),
        SecurityKind::Other(kind) => {
            json.text("type", "apiKey");
            json.text("name", "Authorization");
            json.text("in", "header");
            json.member("x-umbra", |json| json.object(|json| json.text("kind", kind)));
        }
    });
}
