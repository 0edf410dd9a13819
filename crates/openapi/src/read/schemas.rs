//! Schemas, with one list of work instead of recursion: a chain of references may be as long as the document.

use super::{Place, Reader};
use crate::document::Kind;
use crate::model::Format;
use crate::schema::{Additional, Property, Schema, SchemaId, Types};

/// Keywords that say something beside a `$ref` in OpenAPI 3.1.
const SIBLINGS: [&str; 10] =
    ["type", "properties", "required", "allOf", "anyOf", "oneOf", "items", "enum", "additionalProperties", "nullable"];

/// Names longer than this name no component and no format.
const NAME_BYTES: usize = 128;

impl Reader<'_> {
    /// Remembers the names of a file's components by their places.
    pub(super) fn name_components(&mut self, file: u32) {
        let root = Place { file, value: 0 };
        let components = self.member(root, "components").and_then(|all| self.member(all, "schemas"));
        for map in components.into_iter().chain(self.member(root, "definitions")) {
            for (name, place) in self.entries(map) {
                if name.len() <= NAME_BYTES {
                    self.names.entry(place).or_insert(name);
                }
            }
        }
    }

    /// The id of the schema at a place; it is read later.
    pub(super) fn schema_at(&mut self, place: Place) -> Option<SchemaId> {
        let siblings = self.spec.format == Format::OpenApi31
            && self.member(place, "$ref").is_some_and(|_| SIBLINGS.iter().any(|key| self.member(place, key).is_some()));
        let at = if siblings { place } else { self.resolved(place)? };
        if let Some(&id) = self.known.get(&at) {
            return Some(id);
        }
        if !matches!(self.kind(at), Kind::Map | Kind::Bool) {
            let kind = self.kind(at).name();
            self.issue(at, format!("{kind} instead of a schema"));
            return None;
        }
        let id = self.spec.schemas.add(Schema::default());
        self.known.insert(at, id);
        self.to_read.push((at, id));
        Some(id)
    }

    /// What cannot be read may be anything: nothing that is seen in its place is called undocumented.
    fn schema_or_any(&mut self, place: Place) -> SchemaId {
        self.schema_at(place).unwrap_or_else(|| self.spec.schemas.add(Schema::default()))
    }

    /// Reads all schemas that have got an id, and those they lead to.
    pub(super) fn read_schemas(&mut self) {
        while let Some((place, id)) = self.to_read.pop() {
            let schema = self.schema(place);
            if let Some(slot) = self.spec.schemas.schema_mut(id) {
                *slot = schema;
            }
        }
    }

    fn schema(&mut self, at: Place) -> Schema {
        let mut schema = Schema { name: self.names.get(&at).cloned(), ..Schema::default() };
        if self.kind(at) != Kind::Map {
            return schema;
        }
        schema.types = self.types(at);
        schema.format = self.string(at, "format").filter(|format| format.len() <= NAME_BYTES);
        self.enumeration(at, &mut schema);
        self.properties(at, &mut schema);
        schema.additional = self.additional(at);
        schema.items = self.item_schema(at);
        for (key, any) in [("allOf", false), ("anyOf", true), ("oneOf", true)] {
            let Some(list) = self.member_of(at, key, Kind::List) else { continue };
            for item in self.items(list) {
                let target = self.schema_or_any(item);
                let list = if any { &mut schema.any_of } else { &mut schema.all_of };
                list.push(target);
            }
        }
        // Read through `$ref` only where something stands beside it.
        if self.member(at, "$ref").is_some()
            && let Some(target) = self.resolved(at)
            && target != at
            && let Some(id) = self.schema_at(target)
        {
            schema.all_of.push(id);
        }
        schema.minimum = self.number(at, "minimum");
        schema.maximum = self.number(at, "maximum");
        schema.min_length = self.string(at, "minLength").and_then(|text| text.parse().ok());
        schema.max_length = self.string(at, "maxLength").and_then(|text| text.parse().ok());
        schema.read_only = self.flag(at, "readOnly");
        schema.write_only = self.flag(at, "writeOnly");
        schema.deprecated = self.flag(at, "deprecated");
        schema
    }

    fn types(&mut self, at: Place) -> Types {
        let mut types = Types::ANY;
        if let Some(member) = self.member(at, "type") {
            let names = if self.kind(member) == Kind::List { self.items(member) } else { vec![member] };
            for name in names.into_iter().take(16) {
                match self.text(name).and_then(Types::named) {
                    Some(named) => types = types.with(named),
                    None => self.issue(name, "not the name of a type"),
                }
            }
        }
        if (self.flag(at, "nullable") || self.flag(at, "x-nullable")) && !types.is_any() {
            types = types.with(Types::NULL);
        }
        types
    }

    fn enumeration(&mut self, at: Place, schema: &mut Schema) {
        let values = match (self.member(at, "enum"), self.member(at, "const")) {
            (Some(list), _) if self.kind(list) == Kind::List => self.items(list),
            (_, Some(value)) => vec![value],
            _ => return,
        };
        if values.len() > self.limits.enumeration {
            return;
        }
        let mut seen = Types::ANY;
        for value in values {
            let (kind, text) = match self.kind(value) {
                Kind::Text => (Types::STRING, json_string(self.text(value).unwrap_or_default())),
                Kind::Number => {
                    let text = self.text(value).unwrap_or_default().to_string();
                    (if text.contains(['.', 'e', 'E']) { Types::NUMBER } else { Types::INTEGER }, text)
                }
                Kind::Bool => {
                    let value = self.document(value.file).and_then(|document| document.bool(value.value));
                    (Types::BOOLEAN, value.unwrap_or_default().to_string())
                }
                Kind::Null => (Types::NULL, "null".to_string()),
                // Whole objects and lists as values: of no use for comparing shapes.
                Kind::List | Kind::Map => {
                    schema.enumeration.clear();
                    return;
                }
            };
            seen = seen.with(kind);
            schema.enumeration.push(text);
        }
        if schema.types.is_any() {
            schema.types = seen;
        }
    }

    fn properties(&mut self, at: Place, schema: &mut Schema) {
        let required: std::collections::HashSet<String> = match self.member(at, "required") {
            Some(list) if self.kind(list) == Kind::List => {
                self.items(list).into_iter().filter_map(|name| self.text(name).map(str::to_string)).collect()
            }
            _ => Default::default(),
        };
        let Some(map) = self.member_of(at, "properties", Kind::Map) else {
            // Names required of a schema beside this one (`allOf`): kept without a shape.
            self.only_required(required, schema);
            return;
        };
        for (name, place) in self.entries(map) {
            let id = self.schema_or_any(place);
            schema.properties.push(Property { required: required.contains(&name), schema: id, name });
        }
        schema.properties.sort_by(|a, b| a.name.cmp(&b.name));
        let known = |name: &String| schema.properties.binary_search_by(|property| property.name.cmp(name)).is_ok();
        let others = required.into_iter().filter(|name| !known(name)).collect();
        self.only_required(others, schema);
    }

    fn only_required(&mut self, names: std::collections::HashSet<String>, schema: &mut Schema) {
        if names.is_empty() {
            return;
        }
        let any = self.spec.schemas.add(Schema::default());
        let properties = names.into_iter().map(|name| Property { name, schema: any, required: true });
        schema.properties.extend(properties);
        schema.properties.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn additional(&mut self, at: Place) -> Additional {
        if let Some(patterns) = self.member(at, "patternProperties")
            && self.kind(patterns) == Kind::Map
        {
            return match self.entries(patterns).as_slice() {
                [(_, one)] => self.schema_at(*one).map_or(Additional::Open, Additional::Shape),
                _ => Additional::Open,
            };
        }
        for key in ["additionalProperties", "unevaluatedProperties"] {
            let Some(place) = self.member(at, key) else { continue };
            let said = self.document(place.file).and_then(|document| document.bool(place.value));
            return match said {
                Some(true) => Additional::Open,
                Some(false) => Additional::Closed,
                None => self.schema_at(place).map_or(Additional::Open, Additional::Shape),
            };
        }
        Additional::Unsaid
    }

    /// One schema for all items: places of a tuple are alternatives.
    fn item_schema(&mut self, at: Place) -> Option<SchemaId> {
        let items = self.member(at, "items");
        let tuple = match (self.member(at, "prefixItems"), items) {
            (Some(list), _) if self.kind(list) == Kind::List => self.items(list),
            (_, Some(list)) if self.kind(list) == Kind::List => self.items(list),
            _ => Vec::new(),
        };
        let rest = items.filter(|items| self.kind(*items) == Kind::Map);
        if tuple.is_empty() {
            return rest.map(|items| self.schema_or_any(items));
        }
        let mut any_of: Vec<SchemaId> = tuple.into_iter().map(|item| self.schema_or_any(item)).collect();
        any_of.extend(rest.map(|items| self.schema_or_any(items)));
        Some(self.spec.schemas.add(Schema { any_of, ..Schema::default() }))
    }
}

/// A string as JSON text.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
