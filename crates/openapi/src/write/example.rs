//! Examples from types alone.

use super::json::number;
use crate::read::json_string;
use crate::schema::{Additional, Schema, SchemaId, Schemas, Types};

/// Levels of an example.
const DEPTH: usize = 8;
/// Values of an example.
const VALUES: usize = 256;

/// An example of a schema as JSON text, where its types say enough for one.
pub(super) fn of(schemas: &Schemas, id: SchemaId) -> Option<String> {
    let mut maker = Maker { schemas, values: VALUES };
    let mut out = String::new();
    maker.value(id, 0, &mut out).then_some(out)
}

struct Maker<'a> {
    schemas: &'a Schemas,
    values: usize,
}

impl Maker<'_> {
    /// Appends a value; false if none can be made.
    fn value(&mut self, id: SchemaId, depth: usize, out: &mut String) -> bool {
        let Some(schema) = self.schemas.schema(id) else { return false };
        let Some(left) = self.values.checked_sub(1) else { return false };
        self.values = left;
        if let Some(value) = schema.enumeration.first() {
            let value = serde_json::from_str::<serde_json::Value>(value);
            out.push_str(&value.map_or("null".into(), |value| value.to_string()));
            return true;
        }
        // What several schemas say together is not worked out here.
        if depth >= DEPTH || !schema.all_of.is_empty() || !schema.any_of.is_empty() {
            return false;
        }
        if schema.types.contains(Types::OBJECT) {
            return self.object(schema, depth, out);
        }
        if schema.types.contains(Types::ARRAY) {
            return self.list(schema, depth, out);
        }
        let text = match schema.types {
            types if types.contains(Types::STRING) => match text(schema) {
                Some(text) => json_string(&text),
                None => return false,
            },
            types if types.contains(Types::INTEGER) => number(within(schema, 1.0).round()),
            types if types.contains(Types::NUMBER) => number(within(schema, 1.5)),
            types if types.contains(Types::BOOLEAN) => "true".into(),
            types if types.contains(Types::NULL) => "null".into(),
            _ => return false,
        };
        out.push_str(&text);
        true
    }

    fn object(&mut self, schema: &Schema, depth: usize, out: &mut String) -> bool {
        out.push('{');
        let mut first = true;
        for property in &schema.properties {
            let mut member = String::new();
            if self.value(property.schema, depth + 1, &mut member) {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(&json_string(&property.name));
                out.push(':');
                out.push_str(&member);
            } else if property.required {
                return false;
            }
        }
        if let Additional::Shape(id) = schema.additional
            && schema.properties.is_empty()
        {
            let mut member = String::new();
            if self.value(id, depth + 1, &mut member) {
                out.push_str("\"key\":");
                out.push_str(&member);
            }
        }
        out.push('}');
        true
    }

    fn list(&mut self, schema: &Schema, depth: usize, out: &mut String) -> bool {
        let mut item = String::new();
        if let Some(id) = schema.items
            && !self.value(id, depth + 1, &mut item)
        {
            item.clear();
        }
        out.push('[');
        out.push_str(&item);
        out.push(']');
        true
    }
}

/// A text of the schema's format and length.
fn text(schema: &Schema) -> Option<String> {
    let fixed = match schema.format.as_deref() {
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("date") => "2024-01-01",
        Some("date-time") => "2024-01-01T00:00:00Z",
        Some("time") => "00:00:00Z",
        Some("duration") => "PT1H",
        Some("email" | "idn-email") => "user@example.com",
        Some("hostname" | "idn-hostname") => "host.example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uri" | "iri" | "url") => "https://example.com/",
        Some("uri-reference" | "iri-reference") => "/path",
        Some("byte" | "base64") => "c3RyaW5n",
        Some("int32" | "int64") => "1",
        _ => "",
    };
    let len = |text: &str| text.len() as u64;
    if !fixed.is_empty() {
        let fits = schema.min_length.is_none_or(|min| len(fixed) >= min)
            && schema.max_length.is_none_or(|max| len(fixed) <= max);
        return fits.then(|| fixed.to_string());
    }
    let (min, max) = (schema.min_length.unwrap_or(0), schema.max_length.unwrap_or(u64::MAX));
    if min > 256 {
        return None;
    }
    let wanted = len("string").clamp(min, max.max(min));
    Some("string".chars().cycle().take(usize::try_from(wanted).unwrap_or(6)).collect())
}

/// A number between the schema's bounds.
fn within(schema: &Schema, wanted: f64) -> f64 {
    let low = schema.minimum.unwrap_or(f64::MIN);
    let high = schema.maximum.unwrap_or(f64::MAX);
    wanted.max(low).min(high)
}
