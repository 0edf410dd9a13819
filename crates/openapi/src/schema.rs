//! Schemas: the shapes of bodies and parameters, as one table per specification so that a shared or recursive schema is
//! there once.

use std::fmt;

/// A schema's place in [`Schemas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

/// A set of JSON Schema types. The empty set says nothing: any type.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Types(u8);

impl Types {
    /// Any type.
    pub const ANY: Types = Types(0);
    /// `null`.
    pub const NULL: Types = Types(1);
    /// `boolean`.
    pub const BOOLEAN: Types = Types(2);
    /// `integer`.
    pub const INTEGER: Types = Types(4);
    /// `number`.
    pub const NUMBER: Types = Types(8);
    /// `string`.
    pub const STRING: Types = Types(16);
    /// `array`.
    pub const ARRAY: Types = Types(32);
    /// `object`.
    pub const OBJECT: Types = Types(64);

    /// Every type with its name, in the order in which they are written.
    pub const NAMES: [(Types, &'static str); 7] = [
        (Types::OBJECT, "object"),
        (Types::ARRAY, "array"),
        (Types::STRING, "string"),
        (Types::INTEGER, "integer"),
        (Types::NUMBER, "number"),
        (Types::BOOLEAN, "boolean"),
        (Types::NULL, "null"),
    ];

    /// The type of a name; `file` of Swagger 2.0 is a string.
    pub fn named(name: &str) -> Option<Types> {
        let name = if name == "file" { "string" } else { name };
        Types::NAMES.iter().find(|(_, known)| *known == name).map(|(types, _)| *types)
    }

    /// Whether nothing is said.
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Both sets together. Any type with something is still any type only if both are: the empty set adds nothing.
    #[must_use]
    pub const fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// The set without some types.
    #[must_use]
    pub const fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    /// What both sets allow.
    #[must_use]
    pub const fn both(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Types) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a value of any type of `seen` may stand where this set is documented: an integer is a number.
    pub const fn allows(self, seen: Types) -> bool {
        let documented = if self.contains(Types::NUMBER) { self.with(Types::INTEGER) } else { self };
        self.is_any() || documented.contains(seen)
    }

    /// Names of the types in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Types::NAMES.iter().filter(move |(types, _)| self.contains(*types)).map(|(_, name)| *name)
    }
}

impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        for (place, name) in self.names().enumerate() {
            if place > 0 {
                f.write_str("|")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Name.
    pub name: String,
    /// Shape.
    pub schema: SchemaId,
    /// Documented as required; of an observed body: there in every one.
    pub required: bool,
}

/// What members an object may have besides the named ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Additional {
    /// Nothing is said: JSON Schema allows them, but nobody documented them.
    #[default]
    Unsaid,
    /// Any, on purpose: `additionalProperties: true`, `patternProperties`.
    Open,
    /// Any name, of this shape: a map.
    Shape(SchemaId),
    /// None: `additionalProperties: false`.
    Closed,
}

/// One schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// Name in the specification's components, or a title; names the component when written.
    pub name: Option<String>,
    /// Types, `null` among them where the value is nullable.
    pub types: Types,
    /// Format of a string or number.
    pub format: Option<String>,
    /// Allowed values as JSON texts, if they are few.
    pub enumeration: Vec<String>,
    /// Members of an object, in the order of their names.
    pub properties: Vec<Property>,
    /// Other members.
    pub additional: Additional,
    /// Items of an array.
    pub items: Option<SchemaId>,
    /// All of these hold too.
    pub all_of: Vec<SchemaId>,
    /// At least one of these holds (`anyOf` and `oneOf`).
    pub any_of: Vec<SchemaId>,
    /// Least number.
    pub minimum: Option<f64>,
    /// Greatest number.
    pub maximum: Option<f64>,
    /// Shortest string, in characters.
    pub min_length: Option<u64>,
    /// Longest string, in characters.
    pub max_length: Option<u64>,
    /// Only in responses.
    pub read_only: bool,
    /// Only in requests.
    pub write_only: bool,
    /// Marked as deprecated.
    pub deprecated: bool,
}

/// All schemas of a specification or of an inventory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schemas {
    table: Vec<Schema>,
}

impl Schemas {
    /// Adds a schema.
    pub fn add(&mut self, schema: Schema) -> SchemaId {
        let id = SchemaId(u32::try_from(self.table.len()).unwrap_or(u32::MAX));
        self.table.push(schema);
        id
    }

    /// The schema of an id that this table gave.
    pub fn schema(&self, id: SchemaId) -> Option<&Schema> {
        self.table.get(id.0 as usize)
    }

    pub(crate) fn schema_mut(&mut self, id: SchemaId) -> Option<&mut Schema> {
        self.table.get_mut(id.0 as usize)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Schema> {
        self.table.iter_mut()
    }

    /// Number of schemas.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_a_number_but_not_the_other_way() {
        assert!(Types::NUMBER.allows(Types::INTEGER));
        assert!(!Types::INTEGER.allows(Types::NUMBER));
        assert!(Types::ANY.allows(Types::OBJECT));
        assert!(!Types::STRING.allows(Types::STRING.with(Types::NULL)));
        assert_eq!(Types::STRING.with(Types::NULL).to_string(), "string|null");
    }
}
