//! The shape of observed bodies against the documented ones.

use super::drift::{DriftKind, Drifts};
use super::view::View;
use crate::schema::{Additional, Schema, SchemaId, Schemas, Types};

/// Levels of a body that are compared.
const DEPTH: usize = 32;
/// Places of one body that are compared.
const STEPS: usize = 20_000;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// With their types: JSON.
    Typed,
    /// All as text: forms, parameters, XML.
    Text,
}

impl Writing {
    pub(super) fn of(media_type: &str) -> Writing {
        let typed = media_type.ends_with("json") || media_type.ends_with("cbor") || media_type.ends_with("msgpack");
        if typed { Writing::Typed } else { Writing::Text }
    }
}

/// Whether values of some types may stand where others are documented. Written as text, `7` may be a string or a list of
/// one; but `abc` is no number.
pub(super) fn allows(documented: Types, seen: Types, writing: Writing) -> bool {
    let textual = Types::STRING.with(Types::ARRAY).with(Types::OBJECT);
    match writing {
        Writing::Typed => documented.allows(seen),
        Writing::Text => !documented.both(textual).is_any() || documented.allows(seen.without(Types::NULL)),
    }
}

pub(super) struct Bodies<'a> {
    pub(super) seen: &'a Schemas,
    pub(super) documented: &'a Schemas,
    pub(super) writing: Writing,
    pub(super) is_request: bool,
    steps: usize,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(seen: &'a Schemas, documented: &'a Schemas, writing: Writing, is_request: bool) -> Self {
        Bodies { seen, documented, writing, is_request, steps: STEPS }
    }

    /// Compares one body. `place` is where it is, `response 200 application/json`.
    pub(super) fn compare(&mut self, seen: SchemaId, documented: SchemaId, place: &str, drifts: &mut Drifts) {
        self.at(seen, &[documented], place, String::new(), 0, drifts);
    }

    fn at(
        &mut self,
        seen: SchemaId,
        documented: &[SchemaId],
        place: &str,
        path: String,
        depth: usize,
        drifts: &mut Drifts,
    ) {
        let Some(schema) = self.seen.schema(seen) else { return };
        if depth >= DEPTH || self.steps == 0 || documented.is_empty() {
            return;
        }
        self.steps -= 1;
        let view = View::of(self.documented, documented);
        let at = || if path.is_empty() { place.to_string() } else { format!("{place} {path}") };
        if !view.any && !allows(view.types, schema.types, self.writing) {
            drifts.push(DriftKind::TypeChange, at(), view.types.to_string(), schema.types.to_string());
        }
        for property in &schema.properties {
            let below = format!("{path}/{}", crate::pointer::escape(&property.name));
            match view.member(&property.name) {
                // What is inside a place of another type altogether is not told again.
                None if !view.types.is_any() && !view.types.contains(Types::OBJECT) => {}
                None => {
                    let place = format!("{place} {below}");
                    let seen = self.seen.schema(property.schema).map_or(Types::ANY, |schema| schema.types);
                    drifts.push(DriftKind::UndocumentedField, place, String::new(), seen.to_string());
                }
                Some(shapes) => self.at(property.schema, &shapes, place, below, depth + 1, drifts),
            }
        }
        self.missing(schema, &view, place, &path, drifts);
        if let Some(items) = schema.items {
            self.at(items, &view.items(), place, format!("{path}/[]"), depth + 1, drifts);
        }
    }

    fn missing(&self, schema: &Schema, view: &View<'_>, place: &str, path: &str, drifts: &mut Drifts) {
        // Lists and nulls have no members; of an object that was not kept whole nobody knows what is missing.
        if !schema.types.contains(Types::OBJECT) || schema.additional != Additional::Unsaid {
            return;
        }
        for (name, shape) in view.required() {
            let found = schema.properties.binary_search_by(|property| property.name.as_str().cmp(name));
            let always =
                found.ok().and_then(|place| schema.properties.get(place)).is_some_and(|property| property.required);
            if always {
                continue;
            }
            let (read_only, write_only) = View::of(self.documented, &[shape]).one_way();
            if if self.is_request { read_only } else { write_only } {
                continue;
            }
            let place = format!("{place} {path}/{}", crate::pointer::escape(name));
            let seen = if found.is_ok() { "not always there" } else { "never there" };
            drifts.push(DriftKind::MissingRequired, place, "required".into(), seen.into());
        }
    }
}
