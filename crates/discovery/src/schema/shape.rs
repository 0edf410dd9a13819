//! The shape of values: a lattice whose join is the union of what was seen.
//!
//! Every part is a sum, a minimum, a maximum or a union, and every bound an absorbing state, so that [`Shape::merge`] is
//! commutative and associative and any order of bodies gives the same shape.
//!
//! No value is kept. Of a text there are its format, its length and, while they are few, keyed 32-bit hashes of short plain
//! texts, which tell how many different ones there were and let a set of known values be compared; of a number the bounds as
//! powers of two; of a key only what [`is_name`] takes for the name of a field.

use serde::{Deserialize, Serialize};

use super::format::Format;
use super::hash::ValueKey;
use super::name::is_name;
use crate::room::make_room;

/// Properties of one object; past it they are taken together as additional ones (F066, F073).
pub const PROPERTIES: usize = 512;

/// Different short texts told apart; past it the set is open (no enumeration).
pub const MEMBERS: usize = 16;

/// Longest text that may be a member of an enumeration, bytes.
const MEMBER_BYTES: usize = 32;

/// The types of JSON. A whole number is an [`Integer`](Type::Integer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // each is the type of that name
pub enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// All of them.
    pub const ALL: [Type; 7] =
        [Type::Null, Type::Boolean, Type::Integer, Type::Number, Type::String, Type::Array, Type::Object];

    /// The name in JSON Schema.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::String => "string",
            Type::Array => "array",
            Type::Object => "object",
        }
    }
}

/// What was seen of the values at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Values by type; a count stays at its largest.
    #[serde(rename = "n")]
    pub(super) counts: [u32; 7],
    /// Smallest and largest number, as [`magnitude`]s.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<(i8, i8)>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Box<Texts>>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) array: Option<Box<Items>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Box<Object>>,
}

/// What was seen of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// Texts by format, in the order of [`Format`].
    #[serde(rename = "f")]
    pub(super) formats: Vec<(Format, u32)>,
    /// Shortest and longest, bytes.
    #[serde(rename = "l")]
    pub(super) len_bytes: (u32, u32),
    /// Keyed hashes of the different ones, ascending; nothing once they were too many or no members of an enumeration.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) members: Vec<u32>,
    /// They were too many, or no members of an enumeration.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) open: bool,
}

/// What was seen of the items of arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Fewest and most items in an array that was seen to its end; the first is above the second if none was.
    #[serde(rename = "l")]
    pub(super) len: (u32, u32),
    /// All items.
    #[serde(rename = "s")]
    pub(super) shape: Shape,
}

/// One property of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Name.
    #[serde(rename = "k")]
    pub name: Box<str>,
    /// Objects seen to their end that had it.
    #[serde(rename = "p")]
    pub present: u32,
    /// More than once in an object: a list in forms, queries and XML, an oddity in JSON.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// In the object that is being read. Never outside of a read.
    #[serde(skip)]
    pub(super) marked: bool,
    /// Its values.
    #[serde(rename = "s")]
    pub shape: Shape,
}

/// What was seen of objects (also queries, headers, cookies, forms, XML elements and protobuf messages).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Objects seen to their end.
    #[serde(rename = "w")]
    pub(super) whole: u32,
    /// By name.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) properties: Vec<Property>,
    /// Values of keys that are no names.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) additional: Option<Box<Shape>>,
    /// There were more than [`PROPERTIES`]: all values are in `additional`.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) overflow: bool,
}

impl Shape {
    /// Values seen, of any type.
    pub fn seen(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Values of a type.
    pub fn count(&self, kind: Type) -> u32 {
        self.counts[kind as usize]
    }

    /// Smallest and largest number as [`magnitude`]s.
    pub fn range(&self) -> Option<(i8, i8)> {
        self.range
    }

    /// Texts.
    pub fn texts(&self) -> Option<&Texts> {
        self.text.as_deref()
    }

    /// Items of arrays.
    pub fn items(&self) -> Option<&Items> {
        self.array.as_deref()
    }

    /// Objects.
    pub fn object(&self) -> Option<&Object> {
        self.object.as_deref()
    }

    pub(super) fn object_mut(&mut self) -> &mut Object {
        self.object.get_or_insert_default()
    }

    pub(super) fn items_mut(&mut self) -> &mut Items {
        self.array.get_or_insert_with(|| Box::new(Items { len: (u32::MAX, 0), shape: Shape::default() }))
    }

    pub(super) fn count_one(&mut self, kind: Type) {
        let count = &mut self.counts[kind as usize];
        *count = count.saturating_add(1);
    }

    /// Adds a number as JSON writes it.
    pub(super) fn add_number(&mut self, text: &str) {
        let kind =
            if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) { Type::Number } else { Type::Integer };
        // Short whole numbers are what most are; exact in either way.
        let size = match text.parse::<u64>() {
            Ok(number) if text.len() <= 12 => (u64::BITS - number.leading_zeros()) as i8,
            _ => magnitude(text.parse().unwrap_or(0.0)),
        };
        self.add_magnitude(kind, size);
    }

    pub(super) fn add_magnitude(&mut self, kind: Type, size: i8) {
        self.count_one(kind);
        let (low, high) = self.range.unwrap_or((size, size));
        self.range = Some((low.min(size), high.max(size)));
    }

    /// Adds a text. `key`: the hash for members of an enumeration; `None` where not even hashes of values are wanted.
    pub(super) fn add_text(&mut self, text: &str, key: Option<&ValueKey>) {
        self.count_one(Type::String);
        let format = Format::of(text);
        let is_open = self.text.as_ref().is_some_and(|texts| texts.open);
        let member = match key {
            Some(key) if !is_open && format == Format::Plain && is_member(text) => {
                Some(key.hash(text.as_bytes()) as u32)
            }
            _ => None,
        };
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.add_format(format, len, member);
    }

    /// Adds bytes that are no text.
    pub(super) fn add_bytes(&mut self, len: usize) {
        self.count_one(Type::String);
        self.add_format(Format::Binary, u32::try_from(len).unwrap_or(u32::MAX), None);
    }

    fn add_format(&mut self, format: Format, len: u32, member: Option<u32>) {
        let texts = self.text.get_or_insert_with(|| Box::new(Texts { len_bytes: (len, len), ..Texts::default() }));
        texts.count(format, 1);
        texts.len_bytes = (texts.len_bytes.0.min(len), texts.len_bytes.1.max(len));
        match member {
            Some(hash) => texts.add_member(hash),
            // The empty text says nothing about which others there are.
            None if format == Format::Empty => {}
            None => texts.close_members(),
        }
    }

    /// Adds the value of a parameter: what is written like a number or a truth value counts as one.
    pub(super) fn add_parameter(&mut self, text: &str, key: Option<&ValueKey>) {
        match Format::of(text) {
            Format::Boolean => self.count_one(Type::Boolean),
            // A leading zero tells a code (`007`) from a number.
            Format::Integer | Format::Number if !is_code(text) => self.add_number(text),
            _ => self.add_text(text, key),
        }
    }

    /// Adds all of another shape.
    pub fn merge(&mut self, other: &Shape) {
        for (ours, theirs) in self.counts.iter_mut().zip(other.counts) {
            *ours = ours.saturating_add(theirs);
        }
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        match (&mut self.text, &other.text) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
        match (&mut self.array, &other.array) {
            (Some(ours), Some(theirs)) => {
                ours.len = (ours.len.0.min(theirs.len.0), ours.len.1.max(theirs.len.1));
                ours.shape.merge(&theirs.shape);
            }
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
        match (&mut self.object, &other.object) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Nodes at each level from this one on, with what a level would have held had its objects not overflowed, so that
    /// adding values never makes it less.
    pub(super) fn weigh(&self, level: usize, times: u64, levels: &mut [u64]) {
        let Some((here, _)) = levels.get_mut(level..).and_then(<[u64]>::split_first_mut) else { return };
        *here = here.saturating_add(times);
        if let Some(array) = &self.array {
            array.shape.weigh(level + 1, times, levels);
        }
        if let Some(object) = &self.object {
            for property in &object.properties {
                property.shape.weigh(level + 1, times, levels);
            }
            if let Some(additional) = &object.additional {
                let times = if object.overflow { times.saturating_mul(PROPERTIES as u64 + 1) } else { times };
                additional.weigh(level + 1, times, levels);
            }
        }
    }

    /// Forgets what is nested deeper than `levels`.
    pub(super) fn prune(&mut self, levels: usize) {
        let Some(below) = levels.checked_sub(1) else {
            self.array = None;
            self.object = None;
            return;
        };
        if let Some(array) = &mut self.array {
            array.shape.prune(below);
        }
        if let Some(object) = &mut self.object {
            for property in &mut object.properties {
                property.shape.prune(below);
            }
            if let Some(additional) = &mut object.additional {
                additional.prune(below);
            }
        }
    }

    /// Memory held, bytes, roughly.
    pub fn memory_bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| {
            size_of::<Texts>() + text.formats.capacity() * size_of::<(Format, u32)>() + text.members.capacity() * 4
        });
        let array =
            self.array.as_ref().map_or(0, |items| size_of::<Items>() - size_of::<Shape>() + items.shape.memory_bytes());
        let object = self.object.as_ref().map_or(0, |object| size_of::<Object>() + object.memory_bytes());
        size_of::<Shape>() + text + array + object
    }
}

impl Texts {
    /// Texts by format, in the order of [`Format`].
    pub fn formats(&self) -> &[(Format, u32)] {
        &self.formats
    }

    /// Shortest and longest, bytes.
    pub fn len_bytes(&self) -> (u32, u32) {
        self.len_bytes
    }

    /// How many different ones there were, if each was short and plain and they were few: then this is an enumeration.
    pub fn distinct(&self) -> Option<usize> {
        (!self.open && !self.members.is_empty()).then_some(self.members.len())
    }

    fn count(&mut self, format: Format, count: u32) {
        match self.formats.binary_search_by_key(&format, |(format, _)| *format) {
            Ok(place) => {
                if let Some((_, ours)) = self.formats.get_mut(place) {
                    *ours = ours.saturating_add(count);
                }
            }
            Err(place) => {
                make_room(&mut self.formats);
                self.formats.insert(place, (format, count));
            }
        }
    }

    fn add_member(&mut self, hash: u32) {
        if self.open {
            return;
        }
        if let Err(place) = self.members.binary_search(&hash) {
            if self.members.len() == MEMBERS {
                self.close_members();
            } else {
                make_room(&mut self.members);
                self.members.insert(place, hash);
            }
        }
    }

    fn close_members(&mut self) {
        self.open = true;
        self.members = Vec::new();
    }

    fn merge(&mut self, other: &Texts) {
        for &(format, count) in &other.formats {
            self.count(format, count);
        }
        self.len_bytes = (self.len_bytes.0.min(other.len_bytes.0), self.len_bytes.1.max(other.len_bytes.1));
        if other.open {
            self.close_members();
        }
        for &hash in &other.members {
            self.add_member(hash);
        }
    }
}

impl Items {
    /// Fewest and most items of an array.
    pub fn len(&self) -> Option<(u32, u32)> {
        (self.len.0 <= self.len.1).then_some(self.len)
    }

    /// No array seen to its end had an item.
    pub fn is_empty(&self) -> bool {
        self.shape.seen() == 0
    }

    /// All items.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl Object {
    /// Objects seen to their end.
    pub fn whole(&self) -> u32 {
        self.whole
    }

    /// Properties by name.
    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// A property.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.get(self.place(name)?)
    }

    /// Values of keys that are no names, or of all keys after an [`overflow`](Self::overflow).
    pub fn additional(&self) -> Option<&Shape> {
        self.additional.as_deref()
    }

    /// There were more than [`PROPERTIES`] different names: all values are in [`additional`](Self::additional).
    pub fn overflow(&self) -> bool {
        self.overflow
    }

    /// Where the value of this key goes. Reading an object: `slot` for each member, then [`end`](Self::end) or
    /// [`abandon`](Self::abandon).
    pub(super) fn slot(&mut self, key: &str) -> &mut Shape {
        match self.place(key) {
            // What is there was found to be a name before.
            Some(place) => self.mark(place),
            None if !self.overflow && is_name(key) => self.slot_named(key),
            None => self.additional.get_or_insert_default(),
        }
    }

    /// As [`slot`](Self::slot), where the key is known to be no value (a field number).
    pub(super) fn slot_named(&mut self, key: &str) -> &mut Shape {
        if let Some(place) = self.place(key) {
            return self.mark(place);
        }
        if self.properties.len() == PROPERTIES {
            self.collapse();
        }
        if self.overflow {
            return self.additional.get_or_insert_default();
        }
        let place = self.properties.partition_point(|property| &*property.name < key);
        self.properties.insert(place, Property { name: key.into(), ..Property::default() });
        self.mark(place)
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.properties.binary_search_by(|property| (*property.name).cmp(key)).ok()
    }

    fn mark(&mut self, place: usize) -> &mut Shape {
        match self.properties.get_mut(place) {
            Some(property) => {
                property.repeated |= std::mem::replace(&mut property.marked, true);
                &mut property.shape
            }
            None => self.additional.get_or_insert_default(),
        }
    }

    /// The object was read to its end.
    pub(super) fn end(&mut self) {
        self.whole = self.whole.saturating_add(1);
        for property in &mut self.properties {
            let marked = std::mem::take(&mut property.marked);
            property.present = property.present.saturating_add(u32::from(marked));
        }
    }

    /// The object was not read to its end: what it lacks is not known.
    pub(super) fn abandon(&mut self) {
        for property in &mut self.properties {
            property.marked = false;
        }
    }

    fn collapse(&mut self) {
        self.overflow = true;
        let additional = self.additional.get_or_insert_default();
        for property in std::mem::take(&mut self.properties) {
            additional.merge(&property.shape);
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Object) {
        self.whole = self.whole.saturating_add(other.whole);
        if let Some(theirs) = &other.additional {
            self.additional.get_or_insert_default().merge(theirs);
        }
        if other.overflow && !self.overflow {
            self.collapse();
        }
        for theirs in &other.properties {
            let marked = self.marked(&theirs.name);
            self.slot_named(&theirs.name).merge(&theirs.shape);
            if let Ok(place) = self.properties.binary_search_by(|property| property.name.cmp(&theirs.name))
                && let Some(ours) = self.properties.get_mut(place)
            {
                ours.marked = marked;
                ours.repeated |= theirs.repeated;
                ours.present = ours.present.saturating_add(theirs.present);
            }
        }
    }

    /// Always false between reads; kept so that a merge changes no mark.
    fn marked(&self, name: &str) -> bool {
        self.property(name).is_some_and(|property| property.marked)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let own = self.properties.iter().map(|property| property.name.len() + property.shape.memory_bytes());
        let spare = (self.properties.capacity() - self.properties.len()) * size_of::<Property>();
        let frame = self.properties.len() * (size_of::<Property>() - size_of::<Shape>());
        own.sum::<usize>() + spare + frame + self.additional.as_ref().map_or(0, |shape| shape.memory_bytes())
    }
}

/// The power of two that bounds a number from above, with its sign: 5 → 3 (below 2³), -5 → -3, 0 → 0; what is between -1 and 1 but
/// not 0 → ±1; at most 127. A number can be a card or a telephone: so little of it is kept that neither can be read back.
pub fn magnitude(number: f64) -> i8 {
    if number == 0.0 {
        return 0;
    }
    let bits = if number.is_finite() { (number.abs().log2().floor() + 1.0).clamp(1.0, 127.0) as i8 } else { 127 };
    if number < 0.0 { -bits } else { bits }
}

/// Could it be a member of an enumeration: a short word or a few, no value of a person.
fn is_member(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= MEMBER_BYTES
        && digits <= 4
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./: +#".contains(&byte))
}

/// Digits that are no number: they begin with a zero, or are too many.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    matches!(digits, [b'0', b'0'..=b'9', ..]) || text.len() > 20
}
