//! A schema with its compositions taken together: what may stand at one place of a body.

use std::collections::HashSet;

use crate::schema::{Additional, Schema, SchemaId, Schemas, Types};

/// Schemas taken together for one place. More alternatives than that are not told apart: anything goes.
const PARTS: usize = 512;

/// What is documented for one place.
#[derive(Debug, Default)]
pub(super) struct View<'s> {
    /// Types; empty: any.
    pub(super) types: Types,
    /// Some alternative says nothing at all, or the place is too involved to say.
    pub(super) any: bool,
    parts: Vec<(&'s Schema, bool)>,
}

impl<'s> View<'s> {
    /// Takes schemas together that may each stand at the place.
    pub(super) fn of(schemas: &'s Schemas, ids: &[SchemaId]) -> View<'s> {
        let mut view = View::default();
        let mut seen = HashSet::new();
        // With each: whether it always holds, or only as one of several alternatives.
        let mut stack: Vec<(SchemaId, bool)> = ids.iter().map(|id| (*id, ids.len() == 1)).collect();
        while let Some((id, always)) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            if seen.len() > PARTS {
                view.any = true;
                return view;
            }
            let Some(schema) = schemas.schema(id) else {
                view.any = true;
                continue;
            };
            stack.extend(schema.all_of.iter().map(|part| (*part, always)));
            let alone = schema.any_of.len() == 1;
            stack.extend(schema.any_of.iter().map(|part| (*part, always && alone)));
            let types = implied_types(schema);
            let composed = !schema.all_of.is_empty() || !schema.any_of.is_empty();
            // Something that only composes says nothing itself; something that says nothing at all allows anything.
            view.any |= types.is_any() && !composed && schema.enumeration.is_empty();
            view.types = view.types.with(types);
            view.parts.push((schema, always));
        }
        view
    }

    /// Everything that was taken together.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &'s Schema> {
        self.parts.iter().map(|(schema, _)| *schema)
    }

    /// Shapes documented for a member; nothing if it is undocumented.
    pub(super) fn member(&self, name: &str) -> Option<Vec<SchemaId>> {
        let mut ids = Vec::new();
        let mut maps = Vec::new();
        let mut named = false;
        let mut open = self.any;
        for (schema, _) in &self.parts {
            if let Ok(place) = schema.properties.binary_search_by(|property| property.name.as_str().cmp(name)) {
                ids.extend(schema.properties.get(place).map(|property| property.schema));
            }
            named |= !schema.properties.is_empty();
            match schema.additional {
                Additional::Open => open = true,
                Additional::Shape(id) => maps.push(id),
                Additional::Unsaid | Additional::Closed => {}
            }
        }
        if !ids.is_empty() {
            return Some(ids);
        }
        if !maps.is_empty() {
            return Some(maps);
        }
        // An object of which no member is named is free-form.
        (open || !named).then(Vec::new)
    }

    /// Names of members that must always be there, with their shapes.
    pub(super) fn required(&self) -> impl Iterator<Item = (&'s str, SchemaId)> {
        let always = self.parts.iter().filter(|(_, always)| *always);
        always
            .flat_map(|(schema, _)| &schema.properties)
            .filter(|property| property.required)
            .map(|property| (property.name.as_str(), property.schema))
    }

    /// Shapes documented for the items of a list.
    pub(super) fn items(&self) -> Vec<SchemaId> {
        self.parts.iter().filter_map(|(schema, _)| schema.items).collect()
    }

    /// Whether any of it is for responses only, or for requests only.
    pub(super) fn one_way(&self) -> (bool, bool) {
        let any = |which: fn(&Schema) -> bool| self.parts.iter().any(|(schema, _)| which(schema));
        (any(|schema| schema.read_only), any(|schema| schema.write_only))
    }
}

/// The types that a schema's other keywords speak of where it names none.
fn implied_types(schema: &Schema) -> Types {
    if !schema.types.is_any() {
        return schema.types;
    }
    let mut types = Types::ANY;
    if !schema.properties.is_empty() || schema.additional != Additional::Unsaid {
        types = types.with(Types::OBJECT);
    }
    if schema.items.is_some() {
        types = types.with(Types::ARRAY);
    }
    types
}
