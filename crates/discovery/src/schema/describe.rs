//! What JSON Schema can say of a shape: for records, exports and comparison.

use super::format::Format;
use super::shape::{Object, Shape, Type};

/// Fewer names than this are never taken for values.
const MAP_PROPERTIES: usize = 24;

/// A description of values, from a [`Shape`]. Says types and names only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Types seen, `null` apart; `integer` is left out beside `number`.
    pub types: Vec<Type>,
    /// `null` was seen.
    pub nullable: bool,
    /// The `format` that all texts (or, for numbers, all values) fit.
    pub format: Option<&'static str>,
    /// Different short words, if they are few and each was seen more than once on average: an enumeration of so many members.
    pub distinct: Option<usize>,
    /// Bounds of numbers, rounded outwards to powers of two less one.
    pub range: Option<(f64, f64)>,
    /// Items of arrays.
    pub items: Option<Box<Description>>,
    /// Properties of objects by name.
    pub properties: Vec<PropertyDescription>,
    /// Values of keys that are no fixed names.
    pub additional: Option<Box<Description>>,
    /// There were too many names to keep.
    pub overflow: bool,
    /// Values seen.
    pub seen: u64,
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyDescription {
    /// Name.
    pub name: Box<str>,
    /// Every object had it.
    pub required: bool,
    /// Objects that had it.
    pub present: u32,
    /// Of so many.
    pub of: u32,
    /// Was there more than once in one object.
    pub repeated: bool,
    /// Its values.
    pub value: Description,
}

/// What JSON Schema can say of a shape.
pub fn describe(shape: &Shape) -> Description {
    // An XML element that holds nothing but text is that text.
    if let Some(text) = only_text(shape) {
        return describe(text);
    }
    let mut out = Description { seen: shape.seen(), nullable: shape.count(Type::Null) > 0, ..Description::default() };
    let has = |kind| shape.count(kind) > 0;
    out.types = Type::ALL
        .into_iter()
        .filter(|&kind| kind != Type::Null && has(kind) && !(kind == Type::Integer && has(Type::Number)))
        .collect();
    if let Some((low, high)) = shape.range() {
        out.range = Some((lower(low, has(Type::Number)), upper(high)));
        if out.types == [Type::Integer] {
            out.format = match low.unsigned_abs().max(high.unsigned_abs()) {
                0..32 => Some("int32"),
                32..64 => Some("int64"),
                _ => None,
            };
        }
    }
    if let Some(texts) = shape.texts() {
        if out.types == [Type::String] {
            out.format = common_format(texts.formats());
        }
        let seen = shape.count(Type::String);
        out.distinct = texts.distinct().filter(|&members| seen as usize >= members.saturating_mul(2) && seen >= 4);
    }
    if let Some(items) = shape.items().filter(|items| !items.is_empty()) {
        out.items = Some(Box::new(describe(items.shape())));
    }
    if let Some(object) = shape.object() {
        describe_object(object, &mut out);
    }
    out
}

/// What JSON Schema can say of an object: of parameters, too.
pub fn describe_object(object: &Object, out: &mut Description) {
    out.overflow = object.overflow();
    let mut additional = object.additional().cloned();
    if is_map(object) {
        let values = additional.get_or_insert_default();
        for property in object.properties() {
            values.merge(&property.shape);
        }
    } else {
        out.properties = object
            .properties()
            .iter()
            .map(|property| PropertyDescription {
                name: property.name.clone(),
                required: object.whole() > 0 && property.present == object.whole(),
                present: property.present,
                of: object.whole(),
                repeated: property.repeated,
                value: describe(&property.shape),
            })
            .collect();
    }
    out.additional = additional.as_ref().map(|shape| Box::new(describe(shape)));
}

/// Many names, each in few of the objects, all with values of one type: the names are values (users, currencies, hosts).
fn is_map(object: &Object) -> bool {
    let properties = object.properties();
    if properties.len() < MAP_PROPERTIES {
        return false;
    }
    let rare = properties.iter().filter(|property| property.present.saturating_mul(4) <= object.whole()).count();
    let kinds = |shape: &Shape| Type::ALL.map(|kind| kind != Type::Null && shape.count(kind) > 0);
    let first = properties.first().map(|property| kinds(&property.shape));
    rare * 10 >= properties.len() * 9 && properties.iter().all(|property| Some(kinds(&property.shape)) == first)
}

fn only_text(shape: &Shape) -> Option<&Shape> {
    let object = shape.object()?;
    match object.properties() {
        [property] if &*property.name == "#text" && object.additional().is_none() => Some(&property.shape),
        _ => None,
    }
}

/// The one format of all texts that are not empty; a stray plain text among a hundred changes nothing.
fn common_format(formats: &[(Format, u32)]) -> Option<&'static str> {
    let total: u64 =
        formats.iter().filter(|(format, _)| *format != Format::Empty).map(|(_, count)| u64::from(*count)).sum();
    let (format, count) =
        formats.iter().filter(|(format, _)| *format != Format::Empty).max_by_key(|(_, count)| *count)?;
    (u64::from(*count) * 100 >= total * 99).then(|| format.name()).flatten()
}

fn lower(magnitude: i8, fractions: bool) -> f64 {
    match magnitude {
        0 => 0.0,
        // What lies between 0 and 1 is there too.
        1 if fractions => 0.0,
        1.. => 2_f64.powi(i32::from(magnitude) - 1),
        _ => -upper(-magnitude),
    }
}

fn upper(magnitude: i8) -> f64 {
    match magnitude {
        0 => 0.0,
        1.. => 2_f64.powi(i32::from(magnitude)) - 1.0,
        _ => -lower(-magnitude, false),
    }
}
