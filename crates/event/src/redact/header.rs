//! Header fields: whose values are shown, and how a field becomes JSON.

use super::Redaction;
use super::class::classes;
use super::secret::may_be_secret;
use crate::compare::{same, slot};
use crate::text::{all_plain, write_escaped, write_string};

/// Fields whose values are shown by default: what kind of API it is, how it is coded, cached and protected, which software
/// speaks. None of them carries a credential by its definition; their values pass the secret scan all the same. Of
/// `content-type` only the media type and `charset`, `version` and `v` are shown. `traceparent` is shown if it has exactly the form of
/// W3C Trace Context.
pub const SHOWN_HEADERS: &[&str] = &[
    "accept",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "allow",
    "api-version",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "deprecation",
    "expect",
    "grpc-encoding",
    "grpc-status",
    "retry-after",
    "server",
    "strict-transport-security",
    "sunset",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "x-api-version",
    "x-content-type-options",
    "x-frame-options",
    "x-powered-by",
    "x-requested-with",
];

/// A longer name is cut: no real field comes near.
const MAX_NAME_BYTES: usize = 128;
/// A longer shown value is cut, and marked so.
const MAX_VALUE_BYTES: usize = 512;
/// The same under `--reveal headers`.
const MAX_REVEALED_BYTES: usize = 8192;
/// Rendered bytes of one message's fields; what does not fit is counted in `headers_omitted` (F079: two messages and a URL
/// stay under 256 KiB whatever their bytes expand to).
const MAX_RENDERED_BYTES: usize = 64 << 10;
/// 2^7 names whose rendering is remembered.
const NAME_BITS: u32 = 7;
/// 2^8 values whose rendering is remembered: at most 0.3 MiB for a buffer.
const VALUE_BITS: u32 = 8;
/// Names that a caller may number, from 1.
const NUMBERS: usize = 64;
/// Values up to here are looked at before the memory is asked.
const SHORT_VALUE_BYTES: usize = 12;

/// Redacted header fields of one message as the inside of a JSON array, in a buffer that is used again:
/// `{"name":"content-type","value":"application/json"},{"name":"x-foo"}`.
///
/// An array of objects in wire order, because repeated fields must not merge, order is a fact, and an object keyed by field
/// name could not have a closed schema. A field without `value` had one that HPACK state from before we joined hides.
#[derive(Clone, Debug, Default)]
pub struct HeaderJson {
    pub(crate) bytes: Vec<u8>,
    pub(crate) omitted: u32,
    /// Names by the caller's number of them, then the others by their bytes.
    names: Box<[NameMemo]>,
    values: Box<[ValueMemo]>,
    /// Names that got a slot so far.
    named: u64,
    scratch: Vec<u8>,
}

/// A field name and what was made of it. Fields repeat from message to message: a comparison is cheaper than rendering again.
#[derive(Clone, Debug, Default)]
struct NameMemo {
    name: Vec<u8>,
    /// Number of the name among all that had a slot; 0: none had this one.
    number: u64,
    /// Takes equal values of different names to different slots.
    spread: usize,
    shown: bool,
    /// The value takes more than the secret scan.
    special: bool,
    /// `{"name":"x"`.
    json: Vec<u8>,
    /// `{"name":"x","value":"`.
    open: Vec<u8>,
}

/// A value of the name with this number, and the field with it.
#[derive(Clone, Debug, Default)]
struct ValueMemo {
    number: u64,
    value: Vec<u8>,
    json: Vec<u8>,
}

/// What else is known of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldFacts {
    /// Came in the trailer section.
    pub trailer: bool,
    /// The value is not known: HPACK state from before we joined.
    pub unknown: bool,
}

impl HeaderJson {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.omitted = 0;
    }

    /// Nothing in it?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.omitted == 0
    }

    /// Appends a field, if its name is on the allow-list ([`SHOWN_HEADERS`]) or headers are revealed.
    ///
    /// One buffer must always be used with the same redaction: it remembers what it made of recent fields.
    pub fn push(&mut self, redaction: &Redaction, name: &[u8], value: &[u8], facts: FieldFacts) {
        self.push_numbered(redaction, 0, name, value, facts);
    }

    /// [`push`](Self::push) of a field whose name the caller knows: `number`, from 1 and below 64, always stands for this name, whatever
    /// the case of its letters, so that it need not be looked at. 0, and what is above, are no numbers.
    pub fn push_numbered(&mut self, redaction: &Redaction, number: u8, name: &[u8], value: &[u8], facts: FieldFacts) {
        if self.bytes.len() >= MAX_RENDERED_BYTES {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
        if self.names.is_empty() {
            self.names = vec![NameMemo::default(); NUMBERS + (1 << NAME_BITS)].into_boxed_slice();
            self.values = vec![ValueMemo::default(); 1 << VALUE_BITS].into_boxed_slice();
        }
        let numbered = (1..NUMBERS).contains(&usize::from(number));
        let place = if numbered { usize::from(number) } else { NUMBERS + slot(name, NAME_BITS) };
        let Some(memo) = self.names.get_mut(place) else { return };
        if memo.number == 0 || !(numbered || same(&memo.name, name)) {
            self.named += 1;
            memo.begin(redaction, name, self.named, &mut self.scratch);
        }
        if !memo.shown {
            return;
        }
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        let plain_facts = facts == FieldFacts::default() && value.len() <= MAX_VALUE_BYTES;
        if !plain_facts {
            let value = (!facts.unknown).then_some(value);
            return render(redaction, name, value, facts, &mut self.scratch, &mut self.bytes);
        }
        if value.len() <= SHORT_VALUE_BYTES && memo.shows_as_it_is(value) {
            return memo.write(value, &mut self.bytes);
        }
        let Some(remembered) = self.values.get_mut(slot(value, VALUE_BITS) ^ memo.spread) else { return };
        if remembered.number != memo.number || !same(&remembered.value, value) {
            if memo.shows_as_it_is(value) {
                return memo.write(value, &mut self.bytes);
            }
            remembered.number = memo.number;
            remembered.value.clear();
            remembered.value.extend_from_slice(value);
            remembered.json.clear();
            render(redaction, name, Some(value), facts, &mut self.scratch, &mut remembered.json);
        }
        self.bytes.extend_from_slice(&remembered.json);
    }
}

impl NameMemo {
    fn begin(&mut self, redaction: &Redaction, name: &[u8], number: u64, scratch: &mut Vec<u8>) {
        self.number = number;
        self.spread = number.wrapping_mul(0x2f) as usize % (1 << VALUE_BITS);
        self.name.clear();
        self.name.extend_from_slice(name);
        self.shown = redaction.reveal.headers || is_shown(name);
        self.special = redaction.reveal.headers
            || name.eq_ignore_ascii_case(b"content-type")
            || name.eq_ignore_ascii_case(b"traceparent");
        self.json.clear();
        write_name(redaction, name, scratch, &mut self.json);
        self.open.clear();
        self.open.extend_from_slice(&self.json);
        self.open.extend_from_slice(b",\"value\":\"");
    }

    /// Does neither redaction nor JSON change the value?
    #[inline]
    fn shows_as_it_is(&self, value: &[u8]) -> bool {
        !self.special && !may_be_secret(value.len(), classes(value)) && all_plain(value)
    }

    #[inline]
    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.open);
        out.extend_from_slice(value);
        out.extend_from_slice(b"\"}");
    }
}

/// One rendered field: the insides of its JSON strings, escapes still in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderedField<'a> {
    /// Name in lower case.
    pub name: &'a [u8],
    /// Value; `None`: not shown, or not known.
    pub value: Option<&'a [u8]>,
}

impl HeaderJson {
    /// The fields as they were rendered, for other formats that are JSON (HAR).
    pub fn fields(&self) -> impl Iterator<Item = RenderedField<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            // The buffer holds nothing but what `render` wrote.
            let (name, after) = string_of(rest.strip_prefix(b"{\"name\":\"")?)?;
            let value = after.strip_prefix(b",\"value\":\"").and_then(string_of);
            let tail = value.map_or(after, |(_, tail)| tail);
            let end = memchr::memchr(b'}', tail)?;
            let next = tail.get(end + 1..).unwrap_or_default();
            rest = next.strip_prefix(b",").unwrap_or(next);
            Some(RenderedField { name, value: value.map(|(value, _)| value) })
        })
    }
}

/// A JSON string from behind its opening quote: its inside, and what follows the closing one.
fn string_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        at += 2;
    }
}

fn render(
    redaction: &Redaction,
    name: &[u8],
    value: Option<&[u8]>,
    facts: FieldFacts,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    write_name(redaction, name, scratch, out);
    if let Some(value) = value {
        scratch.clear();
        let limit = if redaction.reveal.headers { MAX_REVEALED_BYTES } else { MAX_VALUE_BYTES };
        if redaction.reveal.headers {
            scratch.extend_from_slice(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            content_type(redaction, value, scratch);
        } else if name.eq_ignore_ascii_case(b"traceparent") {
            if !is_traceparent(value) {
                redaction.text(value, scratch);
            } else {
                scratch.extend_from_slice(value);
            }
        } else if may_be_secret(value.len(), classes(value)) {
            redaction.text(value, scratch);
        } else {
            scratch.extend_from_slice(value);
        }
        out.extend_from_slice(b",\"value\":");
        write_string(scratch.get(..limit).unwrap_or(scratch), out);
        if scratch.len() > limit {
            out.extend_from_slice(b",\"truncated\":true");
        }
    }
    if facts.trailer {
        out.extend_from_slice(b",\"trailer\":true");
    }
    if facts.unknown {
        out.extend_from_slice(b",\"unknown\":true");
    }
    out.push(b'}');
}

/// `{"name":"x"`.
fn write_name(redaction: &Redaction, name: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.clear();
    if may_be_secret(name.len(), classes(name)) {
        redaction.text(name, scratch);
    } else {
        scratch.extend_from_slice(name);
    }
    scratch.make_ascii_lowercase();
    out.extend_from_slice(b"{\"name\":\"");
    write_escaped(scratch, out);
    out.push(b'"');
}

fn is_shown(name: &[u8]) -> bool {
    // By length first: most names differ there, and the compiler makes a jump table of it.
    match name.len() {
        2..=32 => {
            SHOWN_HEADERS.iter().any(|shown| shown.len() == name.len() && name.eq_ignore_ascii_case(shown.as_bytes()))
        }
        _ => false,
    }
}

/// Media type with `charset`, `version` and `v`; a boundary says nothing and may say too much.
fn content_type(redaction: &Redaction, value: &[u8], out: &mut Vec<u8>) {
    for (index, part) in value.split(|byte| *byte == b';').enumerate() {
        let part = part.trim_ascii();
        if index == 0 {
            redaction.text(part, out);
            continue;
        }
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        if [&b"charset"[..], b"version", b"v"].iter().any(|kept| name.eq_ignore_ascii_case(kept)) {
            out.push(b';');
            redaction.text(part, out);
        }
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>` in lower case.
fn is_traceparent(value: &[u8]) -> bool {
    value.len() == 55
        && value.iter().enumerate().all(|(at, byte)| match at {
            0 | 1 => *byte == b'0',
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
