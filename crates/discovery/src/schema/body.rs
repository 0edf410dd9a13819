//! The schema of the bodies at one place: their shape, how many were read, and how deep.

use serde::{Deserialize, Serialize};

use super::hash::ValueKey;
use super::json::{Reader, Stop, Token};
use super::media::utf16_to_utf8;
use super::shape::{Object, Shape, Type};
use super::{form, protobuf, xml};

/// Levels of nesting kept; deeper ones are passed over (F066, F067).
pub const DEPTH: usize = 64;

/// Nodes of one schema; past it the deepest levels go until it fits.
pub const NODES: u64 = 4096;

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// One JSON text.
    Json,
    /// JSON texts one after another.
    JsonLines,
    /// Server-sent events whose data is JSON.
    EventStream,
    /// XML by element.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// A protobuf message, by wire shape.
    Protobuf,
    /// Length-prefixed protobuf messages (gRPC).
    Grpc,
    /// Not read.
    Opaque,
}

impl Syntax {
    /// All of them, in their order.
    pub(super) const ALL: [Syntax; Syntax::Opaque as usize + 1] = [
        Syntax::Json,
        Syntax::JsonLines,
        Syntax::EventStream,
        Syntax::Xml,
        Syntax::Form,
        Syntax::Multipart,
        Syntax::Protobuf,
        Syntax::Grpc,
        Syntax::Opaque,
    ];
}

/// The schema of bodies of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Bodies read.
    pub bodies: u32,
    /// Of these, seen only in part: cut by the sample limit or the capture.
    pub cut: u32,
    /// Of these, not what their type says from some byte on.
    pub malformed: u32,
    /// Levels of nesting kept; less than [`DEPTH`] if there were more than [`NODES`] nodes.
    pub depth: u8,
    /// Their shape.
    pub shape: Shape,
}

impl Default for Schema {
    fn default() -> Self {
        Schema { bodies: 0, cut: 0, malformed: 0, depth: DEPTH as u8, shape: Shape::default() }
    }
}

impl Schema {
    /// Adds a body. `content_type`: for the boundary of a multipart body. `cut`: the bytes are only its beginning.
    pub fn add(&mut self, syntax: Syntax, content_type: &[u8], bytes: &[u8], cut: bool, key: &ValueKey) {
        self.bodies = self.bodies.saturating_add(1);
        let depth = usize::from(self.depth);
        let converted = if syntax == Syntax::Json { utf16_to_utf8(bytes) } else { None };
        let bytes = converted.as_ref().map_or(bytes, String::as_bytes);
        let stop = match syntax {
            Syntax::Json => add_json(&mut self.shape, &mut Reader::new(bytes, cut), depth, key),
            Syntax::JsonLines => add_json(&mut self.shape, &mut Reader::many(bytes, cut), depth, key),
            Syntax::EventStream => add_events(&mut self.shape, bytes, cut, depth, key),
            Syntax::Xml => xml::add(&mut self.shape, bytes, cut, depth, key),
            Syntax::Form => form::add_urlencoded(&mut self.shape, bytes, cut, key),
            Syntax::Multipart => form::add_multipart(&mut self.shape, content_type, bytes, cut, key),
            Syntax::Protobuf => protobuf::add(&mut self.shape, bytes, cut, depth),
            Syntax::Grpc => protobuf::add_framed(&mut self.shape, bytes, cut, depth),
            Syntax::Opaque => {
                self.shape.add_bytes(bytes.len());
                if cut { Stop::Cut } else { Stop::End }
            }
        };
        match stop {
            Stop::End => {}
            Stop::Cut => self.cut = self.cut.saturating_add(1),
            Stop::Bad => self.malformed = self.malformed.saturating_add(1),
        }
        self.fit();
    }

    /// Adds all bodies of another schema.
    pub fn merge(&mut self, other: &Schema) {
        self.bodies = self.bodies.saturating_add(other.bodies);
        self.cut = self.cut.saturating_add(other.cut);
        self.malformed = self.malformed.saturating_add(other.malformed);
        self.shape.merge(&other.shape);
        if self.depth != other.depth {
            self.depth = self.depth.min(other.depth);
            self.shape.prune(usize::from(self.depth));
        }
        self.fit();
    }

    /// Lets the deepest levels go until the nodes fit. What a level weighs never shrinks as bodies come, so the last level kept
    /// is the same for any order.
    fn fit(&mut self) {
        let mut levels = [0; DEPTH + 1];
        self.shape.weigh(0, 1, &mut levels);
        let mut sum = 0_u64;
        let fits = levels.iter().take_while(|&&nodes| {
            sum = sum.saturating_add(nodes);
            sum <= NODES
        });
        let fits = fits.count().saturating_sub(1);
        if fits < usize::from(self.depth) {
            self.depth = fits as u8;
            self.shape.prune(fits);
        }
    }
}

/// Adds every JSON text of the reader.
pub(super) fn add_json(shape: &mut Shape, reader: &mut Reader<'_>, depth: usize, key: &ValueKey) -> Stop {
    loop {
        let added = reader.next().and_then(|token| add_value(shape, reader, token, depth, key));
        if let Err(stop) = added {
            return stop;
        }
    }
}

/// Adds the value that begins with `token`; `levels` of nesting are kept. Recursion ends there.
fn add_value(
    shape: &mut Shape,
    reader: &mut Reader<'_>,
    token: Token<'_>,
    levels: usize,
    key: &ValueKey,
) -> Result<(), Stop> {
    match token {
        Token::Null => shape.count_one(Type::Null),
        Token::Bool(_) => shape.count_one(Type::Boolean),
        Token::Number(text) => shape.add_number(text),
        Token::String(text) => shape.add_text(&text.decoded(), Some(key)),
        Token::Array => {
            shape.count_one(Type::Array);
            let Some(levels) = levels.checked_sub(1) else { return reader.skip(token) };
            let items = shape.items_mut();
            let mut len = 0_u32;
            loop {
                match reader.next()? {
                    Token::ArrayEnd => break,
                    token => add_value(&mut items.shape, reader, token, levels, key)?,
                }
                len = len.saturating_add(1);
            }
            items.len = (items.len.0.min(len), items.len.1.max(len));
        }
        Token::Object => {
            shape.count_one(Type::Object);
            let Some(levels) = levels.checked_sub(1) else { return reader.skip(token) };
            let object = shape.object_mut();
            let read = add_members(object, reader, levels, key);
            if read.is_err() {
                object.abandon();
            }
            read?;
            object.end();
        }
        // The reader gives these only where they are awaited.
        Token::Key(_) | Token::ObjectEnd | Token::ArrayEnd => return Err(Stop::Bad),
    }
    Ok(())
}

fn add_members(object: &mut Object, reader: &mut Reader<'_>, levels: usize, key: &ValueKey) -> Result<(), Stop> {
    loop {
        match reader.next()? {
            Token::Key(name) => {
                // The slot is made only for a value that begins: a cut key or value leaves no trace of its name.
                let token = reader.next()?;
                add_value(object.slot(&name.decoded()), reader, token, levels, key)?;
            }
            _ => return Ok(()),
        }
    }
}

/// Adds the JSON data of every event (WHATWG HTML §9.2); other data (`[DONE]`) is passed over.
fn add_events(shape: &mut Shape, bytes: &[u8], cut: bool, depth: usize, key: &ValueKey) -> Stop {
    let mut events = super::events::Events::new(bytes, cut);
    while let Some(event) = events.next_event() {
        if matches!(event.data.first(), Some(b'{' | b'[')) {
            add_json(shape, &mut Reader::new(event.data, false), depth, key);
        }
    }
    if cut { Stop::Cut } else { Stop::End }
}
