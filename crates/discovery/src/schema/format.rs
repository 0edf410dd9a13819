//! What kind of value a text is. Linear in its length, and bounded (F069).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Longest text looked at, bytes; a longer one is [`Format::Plain`].
const LOOKED_AT_BYTES: usize = 1024;

/// What kind of value a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Format {
    /// No characters at all: fits every format.
    Empty,
    /// Nothing known.
    Plain,
    /// RFC 9562.
    Uuid,
    /// RFC 3339 `date-time`.
    DateTime,
    /// RFC 3339 `full-date`.
    Date,
    /// RFC 3339 `partial-time`, with or without offset.
    Time,
    /// ISO 8601 duration.
    Duration,
    /// An e-mail address.
    Email,
    /// An absolute URI.
    Uri,
    /// Dotted IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// Ethernet address.
    Mac,
    /// JSON Web Token.
    Jwt,
    /// Hex digits, 16 and more.
    Hex,
    /// Base64 or base64url, 24 characters and more.
    Base64,
    /// A whole number written as text.
    Integer,
    /// A number with a fraction or exponent, written as text.
    Number,
    /// `true` or `false` written as text.
    Boolean,
    /// No text but bytes: a file, or a protobuf `bytes` field.
    Binary,
}

impl Format {
    /// All of them, in their order.
    pub(super) const ALL: [Format; Format::Binary as usize + 1] = [
        Format::Empty,
        Format::Plain,
        Format::Uuid,
        Format::DateTime,
        Format::Date,
        Format::Time,
        Format::Duration,
        Format::Email,
        Format::Uri,
        Format::Ipv4,
        Format::Ipv6,
        Format::Mac,
        Format::Jwt,
        Format::Hex,
        Format::Base64,
        Format::Integer,
        Format::Number,
        Format::Boolean,
        Format::Binary,
    ];

    /// The `format` of JSON Schema and OpenAPI, where there is one; own names for the others; `None` for no format.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Format::Empty | Format::Plain => return None,
            Format::Uuid => "uuid",
            Format::DateTime => "date-time",
            Format::Date => "date",
            Format::Time => "time",
            Format::Duration => "duration",
            Format::Email => "email",
            Format::Uri => "uri",
            Format::Ipv4 => "ipv4",
            Format::Ipv6 => "ipv6",
            Format::Mac => "mac",
            Format::Jwt => "jwt",
            Format::Hex => "hex",
            Format::Base64 => "byte",
            Format::Integer => "integer",
            Format::Number => "number",
            Format::Boolean => "boolean",
            Format::Binary => "binary",
        })
    }

    /// The format of a text.
    pub fn of(text: &str) -> Format {
        let bytes = text.as_bytes();
        let (Some(&first), true) = (bytes.first(), bytes.len() <= LOOKED_AT_BYTES) else {
            return if text.is_empty() { Format::Empty } else { Format::Plain };
        };
        if matches!(text, "true" | "false") {
            return Format::Boolean;
        }
        // Most texts: whatever else has a format has one of these bytes, but for a UUID.
        if bytes.len() != 36 && !bytes.iter().any(|byte| matches!(byte, b'0'..=b'9' | b':' | b'@' | b'.')) {
            return Format::Plain;
        }
        if (first.is_ascii_digit() || matches!(first, b'-' | b'+'))
            && let Some(format) = number(bytes).or_else(|| date_or_time(bytes))
        {
            return format;
        }
        if is_uuid(bytes) {
            return Format::Uuid;
        }
        if first.is_ascii_digit() && text.parse::<Ipv4Addr>().is_ok() {
            return Format::Ipv4;
        }
        if bytes.contains(&b':') {
            if is_mac(bytes) {
                return Format::Mac;
            }
            if bytes.len() <= 45 && text.parse::<Ipv6Addr>().is_ok() {
                return Format::Ipv6;
            }
            if is_uri(text) {
                return Format::Uri;
            }
        }
        if is_email(text) {
            return Format::Email;
        }
        if first == b'P' && is_duration(bytes) {
            return Format::Duration;
        }
        if bytes.starts_with(b"eyJ") && is_jwt(bytes) {
            return Format::Jwt;
        }
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        if bytes.len() >= 16 && digits > 0 && bytes.iter().all(u8::is_ascii_hexdigit) {
            return Format::Hex;
        }
        if is_base64(bytes) { Format::Base64 } else { Format::Plain }
    }
}

fn number(bytes: &[u8]) -> Option<Format> {
    let unsigned = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = unsigned.get(whole..)?;
    match rest.first() {
        _ if whole == 0 || whole > 40 => None,
        // A leading plus with digits is a telephone number.
        None if bytes.first() == Some(&b'+') => None,
        None => Some(Format::Integer),
        Some(b'.') => {
            let fraction = rest.get(1..)?;
            (!fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit)).then_some(Format::Number)
        }
        Some(_) => None,
    }
}

/// Do the bytes follow a pattern of `0` for a digit and literal marks? Gives the rest.
fn pattern<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    let head = bytes.get(..pattern.len())?;
    let same =
        head.iter().zip(pattern).all(|(&byte, &mark)| if mark == b'0' { byte.is_ascii_digit() } else { byte == mark });
    if same { bytes.get(pattern.len()..) } else { None }
}

fn two(bytes: &[u8], at: usize) -> u8 {
    let digit = |at: usize| bytes.get(at).map_or(0, |byte| byte.wrapping_sub(b'0'));
    digit(at).wrapping_mul(10).wrapping_add(digit(at + 1))
}

fn date_or_time(bytes: &[u8]) -> Option<Format> {
    if let Some(rest) = pattern(bytes, b"0000-00-00") {
        if !(1..=12).contains(&two(bytes, 5)) || !(1..=31).contains(&two(bytes, 8)) {
            return None;
        }
        return match rest.split_first() {
            None => Some(Format::Date),
            Some((b'T' | b't' | b' ', time)) => is_time(time).then_some(Format::DateTime),
            Some(_) => None,
        };
    }
    is_time(bytes).then_some(Format::Time)
}

/// `00:00:00`, a fraction, an offset; the last two may lack.
fn is_time(bytes: &[u8]) -> bool {
    let Some(mut rest) = pattern(bytes, b"00:00:00") else { return false };
    if two(bytes, 0) > 23 || two(bytes, 3) > 59 || two(bytes, 6) > 60 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = fraction.get(digits..).unwrap_or_default();
    }
    match rest {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', offset @ ..] => {
            pattern(offset, b"00:00").or_else(|| pattern(offset, b"0000")).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_mac(bytes: &[u8]) -> bool {
    bytes.len() == 17
        && bytes.iter().enumerate().all(|(at, byte)| if at % 3 == 2 { *byte == b':' } else { byte.is_ascii_hexdigit() })
}

/// `scheme:` of RFC 3986 §3.1 with an authority, or one of the few without.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let named = matches!(scheme.as_bytes(), [b'a'..=b'z' | b'A'..=b'Z', tail @ ..]
        if tail.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)));
    named
        && !text.bytes().any(|byte| byte <= b' ' || byte == b'"' || byte == b'<')
        && (rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty()) || matches!(scheme, "urn" | "mailto" | "data"))
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && local.len() <= 64
        && !local.bytes().any(|byte| byte <= b' ' || b"@\"<>,;:\\()[]".contains(&byte))
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte >= 0x80)
        })
}

/// `P3Y6M4DT12H30M5S`, `P4W`.
fn is_duration(bytes: &[u8]) -> bool {
    let mut digits = 0;
    let mut parts = 0;
    for byte in bytes.iter().skip(1) {
        match byte {
            b'0'..=b'9' | b'.' | b',' => digits += 1,
            b'T' if digits == 0 => {}
            b'Y' | b'M' | b'W' | b'D' | b'H' | b'S' if digits > 0 => {
                digits = 0;
                parts += 1;
            }
            _ => return false,
        }
    }
    parts > 0 && digits == 0
}

fn is_jwt(bytes: &[u8]) -> bool {
    let mut parts = 0;
    let sound = bytes.split(|&byte| byte == b'.').all(|part| {
        parts += 1;
        part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    });
    sound && parts == 3 && bytes.len() >= 24
}

/// Letters of both cases and digits, in groups of four or without padding; words and paths are no base64.
fn is_base64(bytes: &[u8]) -> bool {
    if bytes.len() < 24 {
        return false;
    }
    let body = bytes.strip_suffix(b"==").or_else(|| bytes.strip_suffix(b"=")).unwrap_or(bytes);
    let (mut digits, mut upper, mut lower) = (0, 0, 0);
    for byte in body {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'A'..=b'Z' => upper += 1,
            b'a'..=b'z' => lower += 1,
            b'+' | b'/' | b'-' | b'_' => {}
            _ => return false,
        }
    }
    (body.len() == bytes.len() || bytes.len().is_multiple_of(4)) && digits > 0 && upper > 1 && lower > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_formats() {
        for (text, format) in [
            ("", Format::Empty),
            ("hello", Format::Plain),
            ("550e8400-e29b-41d4-a716-446655440000", Format::Uuid),
            ("2024-02-29T12:00:00Z", Format::DateTime),
            ("2024-02-29T12:00:00.123456+02:00", Format::DateTime),
            ("2024-02-29 12:00:00", Format::DateTime),
            ("2024-13-29", Format::Plain),
            ("2024-02-29", Format::Date),
            ("12:00:00", Format::Time),
            ("P3Y6M4DT12H30M5S", Format::Duration),
            ("Paul", Format::Plain),
            ("a.b+c@mail.example", Format::Email),
            ("a@b", Format::Plain),
            ("https://x.example/a?b", Format::Uri),
            ("urn:isbn:1", Format::Uri),
            ("note: this", Format::Plain),
            ("10.1.2.3", Format::Ipv4),
            ("2001:db8::1", Format::Ipv6),
            ("00:1b:44:11:3a:b7", Format::Mac),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF123", Format::Jwt),
            ("507f1f77bcf86cd799439011", Format::Hex),
            ("TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcms=", Format::Base64),
            ("42", Format::Integer),
            ("-7", Format::Integer),
            ("4.25", Format::Number),
            ("+4915112345678", Format::Plain),
            ("true", Format::Boolean),
            ("1.2.3", Format::Plain),
        ] {
            assert_eq!(Format::of(text), format, "{text}");
        }
    }
}
