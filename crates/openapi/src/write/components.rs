//! Which schemas become components, and the names of components.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Spec;
use crate::schema::{Additional, Schema, SchemaId};

/// Schemas inside schemas that are written in place; deeper ones become components.
const INLINE_DEPTH: usize = 32;

pub(super) struct Components {
    pub(super) schemas: HashMap<SchemaId, String>,
    /// Names of the security schemes, in their order.
    pub(super) security: Vec<String>,
}

impl Components {
    pub(super) fn of(spec: &Spec) -> Components {
        let mut names = Names::default();
        let security = spec.security_schemes.iter().map(|scheme| names.unique(&scheme.name, "security")).collect();
        let mut names = Names::default();
        let mut schemas = HashMap::new();
        for id in shared(spec) {
            let name = spec.schemas.schema(id).and_then(|schema| schema.name.as_deref()).unwrap_or_default();
            schemas.insert(id, names.unique(name, "Schema"));
        }
        Components { schemas, security }
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = (&str, SchemaId)> {
        let sorted: BTreeMap<&str, SchemaId> = self.schemas.iter().map(|(id, name)| (name.as_str(), *id)).collect();
        sorted.into_iter()
    }
}

/// Schemas that are used more than once, have a name, or lie too deep, in the order in which they are met. Every cycle
/// holds one: where it is entered it is used from outside and from inside.
fn shared(spec: &Spec) -> Vec<SchemaId> {
    let mut order = Vec::new();
    let mut chosen = BTreeSet::new();
    let mut met = BTreeSet::new();
    for operation in &spec.operations {
        let parameters = operation.parameters.iter().filter_map(|parameter| parameter.schema);
        let request = operation.request_body.iter().flat_map(|body| &body.content);
        let responses = operation.responses.iter().flat_map(|response| &response.content);
        let roots = parameters.chain(request.chain(responses).filter_map(|content| content.schema));
        for root in roots {
            let mut work = vec![(root, 0)];
            while let Some((id, depth)) = work.pop() {
                let Some(schema) = spec.schemas.schema(id) else { continue };
                let again = !met.insert(id);
                let choose = is_structured(schema) && (again || schema.name.is_some() || depth >= INLINE_DEPTH);
                if choose && chosen.insert(id) {
                    order.push(id);
                }
                if !again {
                    let depth = if choose { 0 } else { depth };
                    work.extend(children(schema).into_iter().map(|child| (child, depth + 1)));
                }
            }
        }
    }
    order
}

/// Whether a schema is more than a type with a format.
fn is_structured(schema: &Schema) -> bool {
    !schema.properties.is_empty()
        || schema.items.is_some()
        || !schema.all_of.is_empty()
        || !schema.any_of.is_empty()
        || matches!(schema.additional, Additional::Shape(_))
}

fn children(schema: &Schema) -> Vec<SchemaId> {
    let mut children: Vec<SchemaId> = schema.properties.iter().map(|property| property.schema).collect();
    children.extend(schema.items);
    children.extend(schema.all_of.iter().chain(&schema.any_of));
    if let Additional::Shape(id) = schema.additional {
        children.push(id);
    }
    children
}

/// Names that are allowed for components, each once.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// Next number to try per name.
    next: HashMap<String, usize>,
}

impl Names {
    pub(super) fn unique(&mut self, name: &str, otherwise: &str) -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
        let name: String = name.chars().map(allowed).take(100).collect();
        let (base, first) = if name.is_empty() { (otherwise.to_string(), 1) } else { (name, 0) };
        let number = self.next.entry(base.clone()).or_insert(first);
        loop {
            let name = if *number == 0 { base.clone() } else { format!("{base}{number}") };
            *number = if *number == 0 { 2 } else { number.saturating_add(1) };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}
