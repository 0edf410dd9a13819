//! What a path segment looks like: its canonical text, and the class of identifiers it belongs to.
//!
//! # Canonical form
//!
//! A path is split at `/`. In each segment percent-encoded bytes are decoded once where the byte may stand in a segment
//! literally (RFC 3986 §3.3 `pchar` without `;`), and are upper-case `%XX` otherwise, so `%2F` is never a separator and
//! `%252e` never a dot. Matrix parameters (`;name=value`) are left out. Empty segments and one at the end are left out: a
//! trailing slash is a fact of an endpoint, not another endpoint. Dot segments that stand unescaped are left as they are: a
//! server that resolved them would have answered under the other path. Case matters.
//!
//! The form is idempotent: canonical text is its own canonical text.

use serde::{Deserialize, Serialize};

/// Segments of a path that are looked at; a longer path is not learnt from.
pub(crate) const SEGMENTS: usize = 24;

/// Longest text that can be a word of a route, bytes; what is longer is a value.
pub(crate) const WORD_BYTES: usize = 80;

/// A class of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Text that may be part of the route or a value: only its surroundings tell.
    Word,
    /// Decimal digits only.
    Integer,
    /// 8-4-4-4-12 hex digits.
    Uuid,
    /// 26 characters of Crockford's base 32 that start with a time.
    Ulid,
    /// Hex digits with letters and digits among them, 8 or more.
    Hex,
    /// Letters and digits mixed as no word has them: base62, base64, prefixed ids.
    Token,
    /// `2024-05-01`.
    Date,
    /// `2024-05-01T10:00:00Z`.
    DateTime,
    /// An e-mail address.
    Email,
    /// An IPv4 or IPv6 address.
    Address,
    /// `+` and digits.
    Phone,
    /// What redaction put in the place of a value.
    Hidden,
    /// Longer than any word.
    Long,
    /// The children that a node had no room for, together.
    Overflow,
}

impl Shape {
    /// Is a segment of this shape a value wherever nothing contradicts?
    pub fn is_value(self) -> bool {
        self != Shape::Word
    }
}

/// Writes the canonical text of a raw segment to `out`, which is cleared first.
pub fn canonical_segment(raw: &[u8], out: &mut Vec<u8>) {
    out.clear();
    append_canonical(raw, out);
}

/// The same behind what `out` holds.
pub(crate) fn append_canonical(raw: &[u8], out: &mut Vec<u8>) {
    if raw.iter().all(|&byte| is_pchar(byte)) {
        out.extend_from_slice(raw);
        return;
    }
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b';' => {
                // Matrix parameters; the text before them is the segment.
                break;
            }
            b'%' => {
                let digits = (tail.first().copied().and_then(hex), tail.get(1).copied().and_then(hex));
                if let (Some(high), Some(low)) = digits {
                    rest = tail.get(2..).unwrap_or_default();
                    let decoded = high << 4 | low;
                    if is_pchar(decoded) { out.push(decoded) } else { escape(decoded, out) }
                } else {
                    escape(b'%', out);
                }
            }
            _ if is_pchar(byte) => out.push(byte),
            _ => escape(byte, out),
        }
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// May stand in a segment literally (RFC 3986 §3.3), `;` left out as it starts matrix parameters.
fn is_pchar(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"-._~!$&'()*+,=:@{}";
        let mut place = 0;
        while place < marks.len() {
            table[marks[place] as usize] = true;
            place += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

/// The shape of a canonical segment, and where a literal ending starts: `{id}.json` and `{id}:append` have one.
pub(crate) fn shape_of(segment: &[u8]) -> (Shape, usize) {
    // Most segments of most paths.
    if segment.len() <= WORD_BYTES && segment.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'-' | b'_')) {
        return (Shape::Word, segment.len());
    }
    let whole = plain_shape(segment);
    if whole != Shape::Word || segment.len() < 3 {
        return (whole, segment.len());
    }
    // An ending of letters behind a value. A date-time or an address has been recognised above.
    if let Some(mark) = segment.iter().rposition(|&byte| matches!(byte, b'.' | b':'))
        && let (Some(stem), Some(ending)) = (segment.get(..mark), segment.get(mark + 1..))
        && (1..=24).contains(&ending.len())
        && ending.first().is_some_and(u8::is_ascii_alphabetic)
        && ending.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    {
        let shape = plain_shape(stem);
        if shape != Shape::Word {
            return (shape, mark);
        }
    }
    // What redaction has put in the middle of a word.
    let shape = if segment.contains(&b'{') { Shape::Hidden } else { Shape::Word };
    (shape, segment.len())
}

fn plain_shape(segment: &[u8]) -> Shape {
    let len = segment.len();
    let is_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    if is_digits(segment) {
        return Shape::Integer;
    }
    match segment {
        [] => return Shape::Word,
        [b'{', name @ .., b'}'] => return hidden_shape(name),
        [b'-', rest @ ..] if is_digits(rest) => return Shape::Integer,
        [b'+', rest @ ..] if is_digits(rest) && len >= 8 => return Shape::Phone,
        _ => {}
    }
    if is_version(segment) {
        return Shape::Word;
    }
    if is_uuid(segment) {
        return Shape::Uuid;
    }
    if let Some(shape) = date_shape(segment) {
        return shape;
    }
    if let Ok(text) = std::str::from_utf8(segment) {
        if len >= 7
            && segment.iter().any(|byte| matches!(byte, b'.' | b':'))
            && text.parse::<std::net::IpAddr>().is_ok()
        {
            return Shape::Address;
        }
        if let Some((user, host)) = text.split_once('@')
            && !user.is_empty()
            && host.split('.').count() > 1
            && host.split('.').all(|label| !label.is_empty())
        {
            return Shape::Email;
        }
    }
    if len > WORD_BYTES {
        return Shape::Long;
    }
    let ulid = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z') && !b"ILOU".contains(byte);
    if len == 26 && matches!(segment.first(), Some(b'0'..=b'7')) && segment.iter().all(ulid) {
        return Shape::Ulid;
    }
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_hex = |bytes: &[u8]| {
        bytes.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
            || bytes.iter().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte))
    };
    if len >= 8 && digits > 0 && is_hex(segment) {
        return Shape::Hex;
    }
    // `sha256:…`, `md5-…`: a digest with its name.
    if let Some(mark) = segment.iter().position(|byte| *byte == b':')
        && segment.get(mark + 1..).is_some_and(|rest| rest.len() >= 16 && is_hex(rest))
    {
        return Shape::Hex;
    }
    if is_token(segment, digits) { Shape::Token } else { Shape::Word }
}

/// The shape of what a placeholder of redaction stands for: `email:3f2a9b1c2d4e`.
fn hidden_shape(name: &[u8]) -> Shape {
    match name.split(|&byte| byte == b':').next() {
        Some(b"email") => Shape::Email,
        Some(b"phone") => Shape::Phone,
        Some(b"hex") => Shape::Hex,
        Some(b"token" | b"jwt" | b"api_key") => Shape::Token,
        _ => Shape::Hidden,
    }
}

/// `v1`, `v2.1`, `V3`, `2.0`, `1.2.3`, `v1beta1`.
pub(crate) fn is_version(segment: &[u8]) -> bool {
    let (marked, rest) = match segment {
        [b'v' | b'V', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if !rest.first().is_some_and(u8::is_ascii_digit) || segment.len() > 16 {
        return false;
    }
    let number = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let (number, stage) = rest.split_at(number);
    let dots = number.iter().filter(|byte| **byte == b'.').count();
    if !marked && dots == 0 || dots > 2 || number.len() > 10 {
        return false;
    }
    let stage = stage.strip_prefix(b"-").unwrap_or(stage);
    let word = stage.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, rest) = stage.split_at(word);
    matches!(word, b"" | b"alpha" | b"beta" | b"rc" | b"preview" | b"a" | b"b")
        && rest.iter().all(u8::is_ascii_digit)
        && (word.is_empty() <= rest.is_empty())
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn date_shape(segment: &[u8]) -> Option<Shape> {
    let date = segment.get(..10)?;
    let is_date = date.iter().enumerate().all(|(place, byte)| match place {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    match segment.get(10) {
        _ if !is_date => None,
        None => Some(Shape::Date),
        Some(b'T' | b' ' | b't') => Some(Shape::DateTime),
        Some(_) => None,
    }
}

/// Do letters and digits change as they do in no word? `oauth2`, `repositoriesV2` and `sage-otter-12` are words.
fn is_token(segment: &[u8], digits: usize) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Digit,
        Lower,
        Upper,
        Mark,
    }
    let (mut changes, mut letters, mut last) = (0, 0, Kind::Mark);
    let mut run = 0_usize;
    for byte in segment {
        let kind = match byte {
            b'0'..=b'9' => Kind::Digit,
            b'a'..=b'z' => Kind::Lower,
            b'A'..=b'Z' => Kind::Upper,
            b'-' | b'_' => Kind::Mark,
            _ => return false,
        };
        letters += usize::from(matches!(kind, Kind::Lower | Kind::Upper));
        // `Title`, `-x` and `x-` are no changes.
        let is_change = kind != last
            && last != Kind::Mark
            && kind != Kind::Mark
            && !(last == Kind::Upper && kind == Kind::Lower && run == 1);
        changes += usize::from(is_change);
        run = if kind == last { run + 1 } else { 1 };
        last = kind;
    }
    let len = segment.len();
    digits > 0 && letters > 0 && len >= 7 && changes >= 3 || len >= 9 && digits >= 6 && letters <= 3 && letters > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> String {
        let mut out = Vec::new();
        canonical_segment(raw.as_bytes(), &mut out);
        String::from_utf8(out).expect("canonical text is ASCII")
    }

    #[test]
    fn f075_one_canonical_form() {
        for (raw, expected) in [
            ("users", "users"),
            ("%75sers", "users"),
            ("%2e%2e", ".."),
            ("a%2Fb", "a%2Fb"),
            ("a%2fb", "a%2Fb"),
            ("%252e", "%252e"),
            ("%00", "%00"),
            ("a;jsessionid=1", "a"),
            ("%40me", "@me"),
            ("caf\u{e9}", "caf%C3%A9"),
            ("%zz", "%25zz"),
            ("\u{202e}x", "%E2%80%AEx"),
        ] {
            assert_eq!(canonical(raw), expected, "{raw:?}");
            assert_eq!(canonical(expected), expected, "idempotent: {expected:?}");
        }
    }

    #[test]
    fn shapes() {
        for (text, expected) in [
            ("users", Shape::Word),
            ("oauth2", Shape::Word),
            ("v1beta1", Shape::Word),
            ("2.0", Shape::Word),
            ("repositoriesV2", Shape::Word),
            ("sage-otter-12", Shape::Word),
            ("batchUpdateTitlesForVariants", Shape::Word),
            ("12345", Shape::Integer),
            ("550e8400-e29b-41d4-a716-446655440000", Shape::Uuid),
            ("01HZ3NDEKTSV4RRFFQ69G5FAVX", Shape::Ulid),
            ("507f1f77bcf86cd799439011", Shape::Hex),
            ("sha256:507f1f77bcf86cd799439011507f1f77", Shape::Hex),
            ("cus_9s6XKzkNRiz8i3", Shape::Token),
            ("U02AB3CDE4", Shape::Token),
            ("2024-05-01", Shape::Date),
            ("2024-05-01T10:00:00Z", Shape::DateTime),
            ("ann@example.com", Shape::Email),
            ("10.1.2.3", Shape::Address),
            ("+14155550100", Shape::Phone),
            ("@me", Shape::Word),
            ("{email:3f2a9b1c2d4e}", Shape::Email),
            ("{card:3f2a9b1c2d4e}", Shape::Hidden),
            ("x{card:3f2a9b1c2d4e}", Shape::Hidden),
            ("{id}", Shape::Hidden),
        ] {
            assert_eq!(shape_of(text.as_bytes()).0, expected, "{text}");
        }
        assert_eq!(shape_of(b"7.json"), (Shape::Integer, 1));
        assert_eq!(shape_of(b"42:append"), (Shape::Integer, 2));
    }
}
