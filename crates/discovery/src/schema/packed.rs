//! Schemas that are seldom opened, in few bytes.
//!
//! Thousands of endpoints hold several [`Schemas`] each and add to them once in a long while. As objects they take some 150 bytes
//! for a property of a body; packed, some 20. Packing loses nothing and depends on nothing but what is packed: equal schemas are
//! equal bytes. The form is for memory only; on disk they are what they always were.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::auth::{Auth, Credential};
use super::body::{Schema, Syntax};
use super::format::Format;
use super::schemas::{Bodies, Place, Schemas};
use super::shape::{Items, Object, Property, Shape, Texts};

/// Schemas, open to be added to or packed.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    open: Option<Box<Schemas>>,
    /// Empty while open.
    packed: Box<[u8]>,
}

impl Default for Held {
    fn default() -> Self {
        Held { open: Some(Box::default()), packed: Box::default() }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        match (&self.open, &other.open) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, None) => self.packed == other.packed,
            (Some(open), None) => pack(open) == other.packed,
            (None, Some(open)) => self.packed == pack(open),
        }
    }
}

impl Eq for Held {}

impl Held {
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The schemas, to be added to.
    pub(crate) fn open(&mut self) -> &mut Schemas {
        let packed = &mut self.packed;
        self.open.get_or_insert_with(|| Box::new(unpack(&std::mem::take(packed))))
    }

    /// In few bytes from here on.
    pub(crate) fn pack(&mut self) {
        if let Some(open) = self.open.take() {
            self.packed = pack(&open);
        }
    }

    /// Adds these schemas to others.
    pub(crate) fn add_to(&self, all: &mut Schemas) {
        match &self.open {
            Some(open) => all.merge(open),
            None => all.merge(&unpack(&self.packed)),
        }
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.open {
            Some(open) => open.serialize(serializer),
            None => unpack(&self.packed).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Held { open: None, packed: pack(&Schemas::deserialize(deserializer)?) })
    }
}

fn pack(schemas: &Schemas) -> Box<[u8]> {
    let mut to = Vec::with_capacity(512);
    schemas.write(&mut to);
    to.as_slice().into()
}

/// Only what was packed here comes back, so nothing is ever wrong with it.
fn unpack(bytes: &[u8]) -> Schemas {
    let mut from = Unpacker { rest: bytes };
    let schemas = Schemas::read(&mut from);
    debug_assert!(schemas.is_some() && from.rest.is_empty(), "packed schemas are whole");
    schemas.unwrap_or_default()
}

/// Takes packed parts off the front.
struct Unpacker<'a> {
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let (mut number, mut shift) = (0_u32, 0);
        loop {
            let byte = self.byte()?;
            number |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.number()? as usize;
        let (text, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }
}

/// What can be packed.
trait Pack: Sized {
    fn write(&self, to: &mut Vec<u8>);
    fn read(from: &mut Unpacker<'_>) -> Option<Self>;
}

/// In groups of seven bits, the lowest first (LEB128).
impl Pack for u32 {
    fn write(&self, to: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            to.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        to.push(rest as u8);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        from.number()
    }
}

impl Pack for u8 {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        from.byte()
    }
}

impl Pack for bool {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        from.byte().map(|byte| byte != 0)
    }
}

impl Pack for Box<str> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u32).write(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        from.text().map(Box::from)
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl<T: Pack> Pack for Option<Box<T>> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(if bool::read(from)? { Some(Box::new(T::read(from)?)) } else { None })
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u32).write(to);
        self.iter().for_each(|entry| entry.write(to));
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        let len = from.number()? as usize;
        // An entry has a byte at least.
        let mut list = Vec::with_capacity(len.min(from.rest.len()));
        for _ in 0..len {
            list.push(T::read(from)?);
        }
        Some(list)
    }
}

impl Pack for Format {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self as u8);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        Format::ALL.get(usize::from(from.byte()?)).copied()
    }
}

impl Pack for Syntax {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self as u8);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        Syntax::ALL.get(usize::from(from.byte()?)).copied()
    }
}

impl Pack for Place {
    fn write(&self, to: &mut Vec<u8>) {
        match *self {
            Place::Request => 0,
            Place::Response(class) => u32::from(class) + 1,
        }
        .write(to);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        match from.number()?.checked_sub(1) {
            None => Some(Place::Request),
            Some(class) => u8::try_from(class).ok().map(Place::Response),
        }
    }
}

impl Pack for Credential {
    fn write(&self, to: &mut Vec<u8>) {
        let (kind, name) = match self {
            Credential::Jwt => (0, None),
            Credential::Bare => (1, None),
            Credential::Http(name) => (2, Some(name)),
            Credential::Header(name) => (3, Some(name)),
            Credential::Query(name) => (4, Some(name)),
            Credential::Cookie(name) => (5, Some(name)),
        };
        to.push(kind);
        if let Some(name) = name {
            name.write(to);
        }
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(match from.byte()? {
            0 => Credential::Jwt,
            1 => Credential::Bare,
            2 => Credential::Http(Pack::read(from)?),
            3 => Credential::Header(Pack::read(from)?),
            4 => Credential::Query(Pack::read(from)?),
            5 => Credential::Cookie(Pack::read(from)?),
            _ => return None,
        })
    }
}

/// Packs the members of a structure one after another. None can be forgotten: all are named in a pattern.
macro_rules! pack_members {
    ($name:ident { $($member:ident),* }) => {
        impl Pack for $name {
            fn write(&self, to: &mut Vec<u8>) {
                let $name { $($member),* } = self;
                $($member.write(to);)*
            }

            fn read(from: &mut Unpacker<'_>) -> Option<Self> {
                $(let $member = Pack::read(from)?;)*
                Some($name { $($member),* })
            }
        }
    };
}

pack_members!(Auth { kinds, anonymous });
pack_members!(Schema { bodies, cut, malformed, depth, shape });
pack_members!(Bodies { place, media_type, syntax, schema });
pack_members!(Schemas { exchanges, query, headers, cookies, auth, bodies, other });
pack_members!(Items { len, shape });
pack_members!(Texts { formats, len_bytes, members, open });
pack_members!(Object { whole, properties, additional, overflow });

impl Pack for Property {
    fn write(&self, to: &mut Vec<u8>) {
        // Marks are of a read that goes on.
        let Property { name, present, repeated, marked: _, shape } = self;
        name.write(to);
        present.write(to);
        repeated.write(to);
        shape.write(to);
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        let (name, present, repeated) = (Pack::read(from)?, Pack::read(from)?, Pack::read(from)?);
        Some(Property { name, present, repeated, marked: false, shape: Pack::read(from)? })
    }
}

/// Bits of what a shape has, above those of its types.
const RANGE: u32 = 1 << 7;
const TEXT: u32 = 1 << 8;
const ARRAY: u32 = 1 << 9;
const OBJECT: u32 = 1 << 10;

impl Pack for Shape {
    fn write(&self, to: &mut Vec<u8>) {
        let Shape { counts, range, text, array, object } = self;
        let types = counts.iter().rev().fold(0, |bits, count| bits << 1 | u32::from(*count > 0));
        let has =
            [(range.is_some(), RANGE), (text.is_some(), TEXT), (array.is_some(), ARRAY), (object.is_some(), OBJECT)];
        (types | has.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum::<u32>()).write(to);
        counts.iter().filter(|count| **count > 0).for_each(|count| count.write(to));
        if let Some((low, high)) = range {
            to.extend([*low as u8, *high as u8]);
        }
        if let Some(text) = text {
            text.write(to);
        }
        if let Some(array) = array {
            array.write(to);
        }
        if let Some(object) = object {
            object.write(to);
        }
    }

    fn read(from: &mut Unpacker<'_>) -> Option<Self> {
        let has = from.number()?;
        let mut shape = Shape::default();
        let seen = shape.counts.iter_mut().enumerate().filter(|(kind, _)| has & 1 << kind != 0);
        for (_, count) in seen {
            *count = from.number()?;
        }
        if has & RANGE != 0 {
            shape.range = Some((from.byte()? as i8, from.byte()? as i8));
        }
        if has & TEXT != 0 {
            shape.text = Some(Box::new(Pack::read(from)?));
        }
        if has & ARRAY != 0 {
            shape.array = Some(Box::new(Pack::read(from)?));
        }
        if has & OBJECT != 0 {
            shape.object = Some(Box::new(Pack::read(from)?));
        }
        Some(shape)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use umbra_http::{HeaderBlock, KnownHeader};

    use super::*;
    use crate::schema::{Exchange, Sample, ValueKey};

    /// Of everything that schemas can hold.
    fn full() -> Schemas {
        let key = ValueKey::new([1, 2]);
        let mut schemas = Schemas::default();
        let mut headers = HeaderBlock::default();
        headers.push(KnownHeader::ContentType, b"content-type", b"application/json");
        headers.push(KnownHeader::Authorization, b"authorization", b"Bearer eyJx");
        headers.push(KnownHeader::Authorization, b"authorization", b"Basic eA");
        headers.push(KnownHeader::Authorization, b"authorization", b"x");
        headers.push(KnownHeader::XApiKey, b"x-api-key", b"x");
        headers.push(KnownHeader::Cookie, b"cookie", b"theme=dark; session=x");
        headers.push(KnownHeader::Other, b"x-tenant", b"red");
        let bodies: [&[u8]; 6] = [
            br#"{"a":1,"b":[-2,3.5,null,[]],"c":{"d":true,"d":"x"},"e":"2026-03-02"}"#,
            br#"{"a":300000,"e":"","550e8400-e29b-41d4-a716-446655440000":{"f":"red"},"c":{"d":"blue"}}"#,
            br#"{"a":"b"#,
            b"[]",
            b"nonsense",
            br#"["red","green","blue","a@b.example"]"#,
        ];
        for (body, status) in bodies.into_iter().zip([200, 200, 404, 500, 201, 999]) {
            let sample = Some(Sample { bytes: body, cut: status == 404 });
            schemas.add(
                &Exchange {
                    query: Some(b"page=2&api_key=x&sort=name&sort=age"),
                    request_headers: Some(&headers),
                    request_body: sample,
                    status,
                    response_headers: Some(&headers),
                    response_body: sample,
                },
                &key,
            );
        }
        // More names than are kept apart.
        let many: String =
            (0..600).map(|n| format!("{}n{}{}=1&", n, (b'a' + (n % 26) as u8) as char, n / 26)).collect();
        schemas.add_parameters(&Exchange { query: Some(many.as_bytes()), ..Exchange::default() }, &key);
        schemas.other = u32::MAX;
        schemas
    }

    #[test]
    fn what_is_packed_comes_back_as_it_was() {
        for schemas in [Schemas::default(), full()] {
            let packed = pack(&schemas);
            assert_eq!(unpack(&packed), schemas);
            assert_eq!(pack(&unpack(&packed)), packed);
        }
        assert!(Format::ALL.iter().enumerate().all(|(place, format)| *format as usize == place));
        assert!(Syntax::ALL.iter().enumerate().all(|(place, syntax)| *syntax as usize == place));
        for number in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut bytes = Vec::new();
            number.write(&mut bytes);
            assert_eq!(Unpacker { rest: &bytes }.number(), Some(number));
        }
    }

    #[test]
    fn bytes_that_are_cut_are_told() {
        let packed = pack(&full());
        for len in (0..packed.len()).step_by(7) {
            assert!(Schemas::read(&mut Unpacker { rest: &packed[..len] }).is_none(), "{len}");
        }
    }

    #[test]
    fn open_or_packed_is_the_same() {
        let open = Held { open: Some(Box::new(full())), packed: Box::default() };
        let mut packed = open.clone();
        packed.pack();
        assert!(open.is_open() && !packed.is_open());
        assert_eq!(open, packed);
        assert_eq!(packed, open);
        assert_ne!(packed, Held::default());
        let text = serde_json::to_string(&open).unwrap();
        assert_eq!(serde_json::to_string(&packed).unwrap(), text);
        let back: Held = serde_json::from_str(&text).unwrap();
        assert!(!back.is_open());
        assert_eq!(back, open);
        let mut twice = full();
        twice.merge(&full());
        let mut sum = full();
        packed.add_to(&mut sum);
        assert_eq!(sum, twice);
    }
}
