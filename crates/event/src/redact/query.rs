//! Queries: names stay, values become types.

use std::net::IpAddr;

use super::class::classes;
use super::secret::{Secret, find_secret, is_uuid};
use super::{Redaction, decode};

/// More parameters than this are summed up as `{more}` (F073).
const MAX_PARAMETERS: usize = 256;
/// A longer name is no name.
const MAX_NAME_BYTES: usize = 128;
/// Values are typed by at most this many bytes; longer ones are strings or secrets.
const MAX_VALUE_BYTES: usize = 4096;

/// What kind of thing a value is. A closed set: the names appear in records as `{integer}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// No bytes.
    Empty,
    /// `true` or `false`.
    Boolean,
    /// Decimal digits with an optional sign.
    Integer,
    /// Digits with a point, an exponent allowed.
    Decimal,
    /// UUID (RFC 9562).
    Uuid,
    /// `2024-01-31`.
    Date,
    /// `2024-01-31T…` (RFC 3339).
    DateTime,
    /// IP address.
    Ip,
    /// `http://…` or another URL.
    Url,
    /// Something that looks like this secret.
    Secret(Secret),
    /// Anything else.
    String,
}

impl ValueType {
    /// The placeholder.
    pub const fn placeholder(self) -> &'static str {
        match self {
            ValueType::Empty => "{empty}",
            ValueType::Boolean => "{boolean}",
            ValueType::Integer => "{integer}",
            ValueType::Decimal => "{decimal}",
            ValueType::Uuid => "{uuid}",
            ValueType::Date => "{date}",
            ValueType::DateTime => "{datetime}",
            ValueType::Ip => "{ip}",
            ValueType::Url => "{url}",
            ValueType::String => "{string}",
            ValueType::Secret(secret) => match secret {
                Secret::Email => "{email}",
                Secret::Jwt => "{jwt}",
                Secret::ApiKey => "{api_key}",
                Secret::Card => "{card}",
                Secret::Iban => "{iban}",
                Secret::Phone => "{phone}",
                Secret::Ssn => "{ssn}",
                Secret::Hex => "{hex}",
                Secret::Token => "{token}",
                Secret::Userinfo => "{userinfo}",
            },
        }
    }

    /// The type of a value, percent-encoding undone.
    pub fn of(value: &[u8]) -> ValueType {
        let Some(first) = value.first() else { return ValueType::Empty };
        if first.is_ascii_digit() || matches!(first, b'-' | b'.') {
            if let Some(kind) = number_or_date(value) {
                return kind;
            }
        } else if value.eq_ignore_ascii_case(b"true") || value.eq_ignore_ascii_case(b"false") {
            return ValueType::Boolean;
        }
        if is_uuid(value) {
            return ValueType::Uuid;
        }
        let value = value.get(..MAX_VALUE_BYTES).unwrap_or(value);
        if let Some((secret, _)) = find_secret(value) {
            return ValueType::Secret(secret);
        }
        if value.len() <= 45
            && memchr::memchr2(b'.', b':', value).is_some()
            && std::str::from_utf8(value).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
        {
            return ValueType::Ip;
        }
        if value
            .iter()
            .take(10)
            .position(|byte| *byte == b':')
            .is_some_and(|at| value.get(at..).is_some_and(|rest| rest.starts_with(b"://")))
        {
            return ValueType::Url;
        }
        ValueType::String
    }
}

/// Types of values that start with a digit, sign or point; `None`: not one of these, or a secret made of digits.
fn number_or_date(value: &[u8]) -> Option<ValueType> {
    let unsigned = value.strip_prefix(b"-").unwrap_or(value);
    if unsigned.iter().all(u8::is_ascii_digit) && !unsigned.is_empty() {
        // 13 digits and more may be a card: the secret scan decides.
        return match find_secret(value).filter(|_| unsigned.len() >= 13) {
            Some((secret, _)) => Some(ValueType::Secret(secret)),
            None => Some(ValueType::Integer),
        };
    }
    if is_date(value) {
        return Some(ValueType::Date);
    }
    if value.len() >= 16
        && is_date(value.get(..10).unwrap_or_default())
        && matches!(value.get(10), Some(b'T' | b't' | b' '))
        && value
            .iter()
            .skip(11)
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'+' | b'-' | b'Z' | b'z' | b' '))
        && value.len() <= 35
    {
        return Some(ValueType::DateTime);
    }
    let point = memchr::memchr(b'.', unsigned);
    let exponent = memchr::memchr2(b'e', b'E', unsigned);
    let is_decimal = (point.is_some() || exponent.is_some_and(|at| at > 0))
        && std::str::from_utf8(value).is_ok_and(|text| text.len() <= 40 && text.parse::<f64>().is_ok());
    (is_decimal && find_secret(value).is_none()).then_some(ValueType::Decimal)
}

fn is_date(value: &[u8]) -> bool {
    value.len() == 10
        && value
            .iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
}

impl Redaction {
    /// Appends a query (without `?`): names kept, each value replaced by its type.
    pub fn query(&self, raw: &[u8], out: &mut Vec<u8>) {
        if self.reveal.query {
            out.extend_from_slice(raw);
            return;
        }
        for (index, parameter) in raw.split(|byte| *byte == b'&').enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            if index >= MAX_PARAMETERS {
                out.extend_from_slice(b"{more}");
                return;
            }
            self.parameter(parameter, out);
        }
    }

    /// `name`, or `name=value` with the value replaced.
    pub(super) fn parameter(&self, raw: &[u8], out: &mut Vec<u8>) {
        let Some(equals) = memchr::memchr(b'=', raw) else {
            return self.name(raw, out);
        };
        self.name(raw.get(..equals).unwrap_or_default(), out);
        out.push(b'=');
        let value = raw.get(equals + 1..).unwrap_or_default();
        let placeholder = if is_placeholder(value) {
            out.extend_from_slice(value);
            return;
        } else if memchr::memchr2(b'%', b'+', value).is_some() {
            let start = out.len();
            decode(value.get(..MAX_VALUE_BYTES).unwrap_or(value), true, out);
            let kind = ValueType::of(out.get(start..).unwrap_or_default());
            out.truncate(start);
            // A literal `+` may also be one: of a phone number or base64 that the client did not encode.
            match (kind, ValueType::of(value)) {
                (ValueType::Secret(_), _) => kind.placeholder(),
                (_, raw @ ValueType::Secret(_)) => raw.placeholder(),
                _ => kind.placeholder(),
            }
        } else {
            ValueType::of(value).placeholder()
        };
        out.extend_from_slice(placeholder.as_bytes());
    }

    /// A parameter's name.
    fn name(&self, raw: &[u8], out: &mut Vec<u8>) {
        if raw.len() > MAX_NAME_BYTES {
            self.placeholder(Secret::Token, raw, out);
        } else if super::may_be_secret(raw.len(), classes(raw)) {
            if !self.replace_encoded(raw, true, out) {
                self.text(raw, out);
            }
        } else {
            out.extend_from_slice(raw);
        }
    }
}

/// Is it what redaction writes? Then redacting again must not change it.
fn is_placeholder(value: &[u8]) -> bool {
    const PLAIN: [ValueType; 10] = [
        ValueType::Empty,
        ValueType::Boolean,
        ValueType::Integer,
        ValueType::Decimal,
        ValueType::Uuid,
        ValueType::Date,
        ValueType::DateTime,
        ValueType::Ip,
        ValueType::Url,
        ValueType::String,
    ];
    let secrets = Secret::ALL.iter().map(|secret| ValueType::Secret(*secret));
    value.first() == Some(&b'{') && PLAIN.into_iter().chain(secrets).any(|kind| kind.placeholder().as_bytes() == value)
}
