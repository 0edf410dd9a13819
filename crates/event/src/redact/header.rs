//! Header fields: whose values are shown, and how a field becomes JSON.

use super::Redaction;
use super::class::classes;
use super::secret::may_be_secret;
use crate::text::{write_escaped, write_string};

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
/// Names whose rendering is remembered.
const NAME_SLOTS: usize = 64;
/// Values remembered for each of them.
const VALUE_SLOTS: usize = 4;

/// Redacted header fields of one message as the inside of a JSON array, in a buffer that is used again:
/// `{"name":"content-type","value":"application/json"},{"name":"x-foo"}`.
///
/// An array of objects in wire order, because repeated fields must not merge, order is a fact, and an object keyed by field
/// name could not have a closed schema. A field without `value` had one that HPACK state from before we joined hides.
#[derive(Clone, Debug, Default)]
pub struct HeaderJson {
    pub(crate) bytes: Vec<u8>,
    pub(crate) omitted: u32,
    memo: Vec<NameMemo>,
    scratch: Vec<u8>,
}

/// A field name and what was made of it. Fields repeat from message to message: a comparison is cheaper than rendering again.
#[derive(Clone, Debug, Default)]
struct NameMemo {
    name: Vec<u8>,
    shown: bool,
    /// The field without its value.
    json: Vec<u8>,
    values: [ValueMemo; VALUE_SLOTS],
}

#[derive(Clone, Debug, Default)]
struct ValueMemo {
    value: Vec<u8>,
    /// The field with this value; empty: nothing is remembered.
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
        if self.bytes.len() >= MAX_RENDERED_BYTES {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
        if self.memo.is_empty() {
            self.memo.resize_with(NAME_SLOTS, NameMemo::default);
        }
        let Some(memo) = self.memo.get_mut(name_slot(name)) else { return };
        if memo.name != name || memo.json.is_empty() {
            memo.name.clear();
            memo.name.extend_from_slice(name);
            memo.shown = redaction.reveal.headers || is_shown(name);
            memo.json.clear();
            render(redaction, name, None, FieldFacts::default(), &mut self.scratch, &mut memo.json);
            memo.values.iter_mut().for_each(|value| value.json.clear());
        }
        if !memo.shown {
            return;
        }
        let shown = !facts.unknown;
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        if facts != FieldFacts::default() || (shown && value.len() > MAX_VALUE_BYTES) {
            return render(redaction, name, shown.then_some(value), facts, &mut self.scratch, &mut self.bytes);
        }
        if !shown {
            return self.bytes.extend_from_slice(&memo.json);
        }
        let Some(memo) = memo.values.get_mut(value_slot(value)) else { return };
        if memo.value != value || memo.json.is_empty() {
            memo.value.clear();
            memo.value.extend_from_slice(value);
            memo.json.clear();
            render(redaction, name, Some(value), facts, &mut self.scratch, &mut memo.json);
        }
        self.bytes.extend_from_slice(&memo.json);
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

fn name_slot(name: &[u8]) -> usize {
    let first = usize::from(name.first().copied().unwrap_or(0));
    let third = usize::from(name.get(2).copied().unwrap_or(0));
    let last = usize::from(name.last().copied().unwrap_or(0));
    (name.len() * 7 + first + third * 3 + last * 5) % NAME_SLOTS
}

fn value_slot(value: &[u8]) -> usize {
    (value.len() + usize::from(value.last().copied().unwrap_or(0))) % VALUE_SLOTS
}

fn render(
    redaction: &Redaction,
    name: &[u8],
    value: Option<&[u8]>,
    facts: FieldFacts,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
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
