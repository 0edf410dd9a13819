//! What leaves the worker instead of secrets and personal data.
//!
//! | field | what is kept | what is replaced |
//! | --- | --- | --- |
//! | path | every ordinary segment: words, numbers, UUIDs, ObjectIds, ULIDs, dates, versions | a segment that holds a secret (also percent-encoded, in base64) by `{type:hash}`; the value of a matrix parameter (`;name=`) by its type |
//! | query | names, at most 256 | every value by its type: `{integer}`, `{string}` …; a name that is a secret by `{type:hash}` |
//! | header fields | those on the allow-list ([`SHOWN_HEADERS`]) | all others are left out |
//! | host | labels | a label that holds a secret by `{type:hash}` |
//! | any shown text | words | tokens that are secrets by `{type:hash}` |
//!
//! `hash` is 12 hex digits of a hash under the fleet key: equal secrets stay equal across sensors. Redacting twice
//! gives what redacting once gave. [`Reveal`] lifts it by name, for local analysis.

mod class;
mod header;
mod query;
mod secret;

pub use header::{FieldFacts, HeaderJson, RenderedField, SHOWN_HEADERS};
pub use query::ValueType;
pub use secret::Secret;

use std::ops::Range;

use class::{AT, DIGIT, JOIN, LOWER, UPPER, class, classes};
use secret::{classify, find_secret, may_be_secret};

use crate::address::hex128;
use crate::hash::{FleetKey, Role};

/// Hex digits of a hash in a placeholder: 48 bits tell the values of one field apart.
const HASH_DIGITS: usize = 12;
/// More secrets than this in one text: the rest of it goes as one, so that the work stays linear.
const MAX_REPLACED: usize = 16;

/// Percent-encoding is undone at most this often: attackers and broken clients encode twice.
const DECODE_ROUNDS: usize = 3;

/// What to show as it was on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reveal {
    /// Paths.
    pub path: bool,
    /// Queries, with their values.
    pub query: bool,
    /// Header values.
    pub headers: bool,
}

impl Reveal {
    /// Anything at all?
    pub const fn any(self) -> bool {
        self.path || self.query || self.headers
    }
}

/// The redaction rules with their key. Pure: it allocates only to grow the caller's buffers.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// What is shown as it is.
    pub reveal: Reveal,
    key: FleetKey,
}

impl Redaction {
    /// Rules under a fleet key.
    pub fn new(key: FleetKey, reveal: Reveal) -> Redaction {
        Redaction { reveal, key }
    }

    /// The key, for [`crate::auth`].
    pub fn key(&self) -> &FleetKey {
        &self.key
    }

    /// Appends a path (no query), its secret segments replaced.
    pub fn path(&self, raw: &[u8], out: &mut Vec<u8>) {
        if self.reveal.path {
            out.extend_from_slice(raw);
            return;
        }
        // Copied up to here; segments that need nothing are copied together.
        let mut copied = 0;
        let mut start = 0;
        let mut bits = 0;
        for (at, byte) in raw.iter().enumerate() {
            if *byte != b'/' {
                bits |= class(*byte);
                continue;
            }
            if may_be_secret(at - start, bits) {
                self.slow_segment(raw, start..at, bits, &mut copied, out);
            }
            (start, bits) = (at + 1, 0);
        }
        if may_be_secret(raw.len() - start, bits) {
            self.slow_segment(raw, start..raw.len(), bits, &mut copied, out);
        }
        out.extend_from_slice(raw.get(copied..).unwrap_or_default());
    }

    /// A segment of these [`classes`] that may hold a secret: what was not copied yet goes out, then the segment.
    fn slow_segment(&self, raw: &[u8], place: Range<usize>, bits: u8, copied: &mut usize, out: &mut Vec<u8>) {
        let segment = raw.get(place.clone()).unwrap_or_default();
        if bits & !(DIGIT | LOWER | UPPER | JOIN) == 0 && classify(segment, bits).is_none() {
            return;
        }
        out.extend_from_slice(raw.get(*copied..place.start).unwrap_or_default());
        *copied = place.end;
        // RFC 3986 §3.3: `segment;name=value;name`, as in `;jsessionid=…`.
        for (index, part) in segment.split(|byte| *byte == b';').enumerate() {
            if index == 0 {
                self.text(part, out);
            } else {
                out.push(b';');
                self.parameter(part, out);
            }
        }
    }

    /// Appends a text that is shown (a header value, an operation, a method, a route), each secret token in it replaced. Where
    /// percent-encoding hides the secret, the whole text is.
    pub fn text(&self, raw: &[u8], out: &mut Vec<u8>) {
        if memchr::memchr(b'%', raw).is_some() && self.replace_encoded(raw, false, out) {
            return;
        }
        let mut rest = raw;
        for _ in 0..MAX_REPLACED {
            let Some((secret, place)) = find_secret(rest) else {
                out.extend_from_slice(rest);
                return;
            };
            out.extend_from_slice(rest.get(..place.start).unwrap_or_default());
            self.placeholder(secret, rest.get(place.clone()).unwrap_or_default(), out);
            rest = rest.get(place.end..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.placeholder(Secret::Token, rest, out);
        }
    }

    /// Appends a host name, lower case, labels that are secrets replaced. Port, brackets and a final dot are not its business.
    pub fn host(&self, raw: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let bits = classes(raw);
        if self.reveal.path || !may_be_secret(raw.len(), bits) || is_ip(raw) {
            out.extend_from_slice(raw);
        } else {
            if bits & AT != 0 {
                // An address spans labels.
                self.text(raw, out);
            }
            if out.get(start..).is_some_and(|text| text.is_empty() || text == raw) {
                out.truncate(start);
                for (index, label) in raw.split(|byte| *byte == b'.').enumerate() {
                    if index > 0 {
                        out.push(b'.');
                    }
                    self.text(label, out);
                }
            }
        }
        if let Some(host) = out.get_mut(start..) {
            host.make_ascii_lowercase();
        }
    }

    /// If `raw`, percent-encoding undone, holds a secret: appends its placeholder in place of all of `raw`.
    fn replace_encoded(&self, raw: &[u8], plus_is_blank: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        decode(raw, plus_is_blank, out);
        let decoded = out.get(start..).unwrap_or_default();
        let found = find_secret(decoded)
            .map(|(secret, place)| (secret, self.key.hash128(Role::Value, decoded.get(place).unwrap_or_default())));
        out.truncate(start);
        if let Some((secret, hash)) = found {
            write_placeholder(secret, hash, out);
        }
        found.is_some()
    }

    fn placeholder(&self, secret: Secret, bytes: &[u8], out: &mut Vec<u8>) {
        write_placeholder(secret, self.key.hash128(Role::Value, bytes), out);
    }
}

fn write_placeholder(secret: Secret, hash: [u8; 16], out: &mut Vec<u8>) {
    out.push(b'{');
    out.extend_from_slice(secret.name().as_bytes());
    out.push(b':');
    out.extend_from_slice(hex128(hash).get(..HASH_DIGITS).unwrap_or_default());
    out.push(b'}');
}

/// IPv4, or IPv6 with or without brackets: never a phone number or a token.
fn is_ip(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'[' | b']'))
        && std::str::from_utf8(host)
            .is_ok_and(|text| text.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok())
}

/// Appends `raw` with percent-encoding undone, repeatedly. What is not `%` and two hex digits stays.
fn decode(raw: &[u8], plus_is_blank: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(raw);
    for round in 0..DECODE_ROUNDS {
        let Some(text) = out.get_mut(start..) else { return };
        let (mut read, mut write, mut changed) = (0, 0, false);
        while let Some(byte) = text.get(read).copied() {
            let mut value = byte;
            read += 1;
            if byte == b'%'
                && let (Some(high), Some(low)) =
                    (text.get(read).and_then(hex_digit), text.get(read + 1).and_then(hex_digit))
            {
                value = high << 4 | low;
                read += 2;
                changed = true;
            } else if byte == b'+' && plus_is_blank && round == 0 {
                value = b' ';
            }
            if let Some(slot) = text.get_mut(write) {
                *slot = value;
                write += 1;
            }
        }
        out.truncate(start + write);
        if !changed {
            return;
        }
    }
}

fn hex_digit(byte: &u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
