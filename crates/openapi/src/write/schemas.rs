//! Schemas in the dialect of OpenAPI 3.1, JSON Schema 2020-12.

use super::components::Components;
use super::json::Json;
use crate::model::Spec;
use crate::schema::{Additional, Schema, SchemaId};

/// Writes a schema, or a reference to its component unless this is the component itself.
pub(super) fn write(json: &mut Json, spec: &Spec, components: &Components, id: SchemaId, in_place: bool) {
    if !in_place && let Some(name) = components.schemas.get(&id) {
        json.object(|json| json.text("$ref", &format!("#/components/schemas/{name}")));
        return;
    }
    let nothing = Schema::default();
    let schema = spec.schemas.schema(id).unwrap_or(&nothing);
    json.object(|json| {
        let names: Vec<&str> = schema.types.names().collect();
        match names.as_slice() {
            [] => {}
            [one] => json.text("type", one),
            several => json.member("type", |json| json.array(several, |json, name| json.string(name))),
        }
        if let Some(format) = &schema.format {
            json.text("format", format);
        }
        if !schema.enumeration.is_empty() {
            json.member("enum", |json| json.array(&schema.enumeration, |json, value| json.raw(&valid(value))));
        }
        if !schema.properties.is_empty() {
            json.member("properties", |json| {
                json.object(|json| {
                    for property in &schema.properties {
                        json.member(&property.name, |json| write(json, spec, components, property.schema, false));
                    }
                });
            });
            let required: Vec<&str> = schema
                .properties
                .iter()
                .filter(|property| property.required)
                .map(|property| property.name.as_str())
                .collect();
            if !required.is_empty() {
                json.member("required", |json| json.array(required, |json, name| json.string(name)));
            }
        }
        match schema.additional {
            Additional::Unsaid => {}
            Additional::Open => json.flag("additionalProperties", true),
            Additional::Closed => json.flag("additionalProperties", false),
            Additional::Shape(id) => {
                json.member("additionalProperties", |json| write(json, spec, components, id, false));
            }
        }
        if let Some(items) = schema.items {
            json.member("items", |json| write(json, spec, components, items, false));
        }
        for (key, list) in [("allOf", &schema.all_of), ("anyOf", &schema.any_of)] {
            if !list.is_empty() {
                json.member(key, |json| json.array(list, |json, id| write(json, spec, components, *id, false)));
            }
        }
        limits(json, schema);
    });
}

fn limits(json: &mut Json, schema: &Schema) {
    for (key, value) in [("minimum", schema.minimum), ("maximum", schema.maximum)] {
        if let Some(value) = value {
            json.number(key, value);
        }
    }
    for (key, value) in [("minLength", schema.min_length), ("maxLength", schema.max_length)] {
        if let Some(value) = value {
            json.count(key, value);
        }
    }
    for (key, value) in
        [("readOnly", schema.read_only), ("writeOnly", schema.write_only), ("deprecated", schema.deprecated)]
    {
        if value {
            json.flag(key, true);
        }
    }
}

/// Numbers that YAML allows and JSON does not (`0x1f`, `.5`) become texts.
fn valid(value: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(value) {
        Ok(value) => value.to_string(),
        Err(_) => crate::read::json_string(value),
    }
}
