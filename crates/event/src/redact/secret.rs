//! Does a token look like a secret or like personal data?
//!
//! Errs towards yes for what is long and random, and towards no for what names a resource: numbers, UUIDs, ObjectIds
//! (24 hex digits), ULIDs, words. A false yes costs a readable path segment (its keyed hash still tells equal from
//! different); a false no would publish a secret.

use std::ops::Range;

use super::class::{AT, DIGIT, HARD, JOIN, LOWER, SOFT, UPPER, class, classes};

/// What a value looks like. The name is the type in a placeholder: `{email:3f2a9b1c2d4e}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// E-mail address.
    Email,
    /// JSON Web Token.
    Jwt,
    /// Key with a vendor's prefix (`sk_live_`, `AKIA`, `ghp_` …).
    ApiKey,
    /// Payment card number: issuer prefix, length and check digit fit (ISO/IEC 7812).
    Card,
    /// Bank account (ISO 13616, check digits fit).
    Iban,
    /// International phone number (`+`, 8 to 15 digits).
    Phone,
    /// US social security number as 3-2-4 digits.
    Ssn,
    /// At least 32 hex digits.
    Hex,
    /// Long and random.
    Token,
    /// `user:password@` in front of a host.
    Userinfo,
}

impl Secret {
    /// Every kind.
    pub const ALL: &'static [Secret] = &[
        Secret::Email,
        Secret::Jwt,
        Secret::ApiKey,
        Secret::Card,
        Secret::Iban,
        Secret::Phone,
        Secret::Ssn,
        Secret::Hex,
        Secret::Token,
        Secret::Userinfo,
    ];

    /// The name in placeholders.
    pub const fn name(self) -> &'static str {
        match self {
            Secret::Email => "email",
            Secret::Jwt => "jwt",
            Secret::ApiKey => "api_key",
            Secret::Card => "card",
            Secret::Iban => "iban",
            Secret::Phone => "phone",
            Secret::Ssn => "ssn",
            Secret::Hex => "hex",
            Secret::Token => "token",
            Secret::Userinfo => "userinfo",
        }
    }
}

/// Shorter than this nothing is looked at: `a@b.co`.
pub(crate) const SHORTEST: usize = 6;
/// Mixed letters and digits are a token from here on (120 bits of base64).
const TOKEN_LEN: usize = 20;
/// One case and digits are a token from here on; shorter ones are ids (NanoIDs, ObjectIds …).
const ONE_CASE_TOKEN_LEN: usize = 25;
/// Hex digits are a secret from here on (128 bits).
const HEX_LEN: usize = 32;
/// Longest text that the base64 look-through decodes.
const BASE64_LOOK_LEN: usize = 128;

/// Prefixes of keys, and how long such a key is at least.
const KEY_PREFIXES: &[(&[u8], usize)] = &[
    (b"sk_", 16),
    (b"pk_", 16),
    (b"rk_", 16),
    (b"sk-", 20),
    (b"whsec_", 16),
    (b"ghp_", 16),
    (b"gho_", 16),
    (b"ghu_", 16),
    (b"ghs_", 16),
    (b"ghr_", 16),
    (b"github_pat_", 20),
    (b"glpat-", 16),
    (b"xox", 14),
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"AIza", 20),
    (b"ya29.", 16),
    (b"SG.", 20),
    (b"npm_", 20),
    (b"hf_", 16),
    (b"shpat_", 16),
    (b"dop_v1_", 20),
    (b"EAAC", 20),
    (b"1//0", 20),
];

/// Does a key prefix begin with this byte?
fn begins_key(byte: &u8) -> bool {
    const FIRST: u128 = {
        let (mut set, mut at) = (0, 0);
        while at < KEY_PREFIXES.len() {
            set |= 1 << KEY_PREFIXES[at].0[0];
            at += 1;
        }
        set
    };
    *byte < 128 && FIRST >> *byte & 1 == 1
}

/// Could a token with these classes and this length be a secret? One comparison for nearly every path segment.
#[inline]
pub(crate) fn may_be_secret(len: usize, bits: u8) -> bool {
    if len < SHORTEST {
        return false;
    }
    if bits & !(DIGIT | LOWER | UPPER | JOIN) != 0 {
        return true;
    }
    match bits {
        LOWER => false,
        UPPER => len >= 16,
        DIGIT => len >= 13,
        _ if bits & !(DIGIT | JOIN) == 0 => len >= 11,
        _ if bits & (LOWER | UPPER) == LOWER | UPPER => len >= 8,
        _ => len >= 13,
    }
}

/// What a whole token looks like, its bits being [`classes`] of it. The token holds no delimiter that its caller knows.
pub(crate) fn classify(token: &[u8], bits: u8) -> Option<Secret> {
    let len = token.len();
    if !may_be_secret(len, bits) {
        return None;
    }
    if bits & AT != 0
        && let Some(secret) = with_at(token)
    {
        return Some(secret);
    }
    if is_uuid(token) {
        return None; // before the checks whose check digits a UUID passes by chance
    }
    if token.first() == Some(&b'+') && is_phone(token) {
        return Some(Secret::Phone);
    }
    if bits & DIGIT != 0
        && let Some(secret) = with_digits(token, bits)
    {
        return Some(secret);
    }
    if token.starts_with(b"eyJ") && len >= 16 {
        // `{"` in base64: the head of a JWT (RFC 7519), cut ones too.
        return Some(Secret::Jwt);
    }
    if len >= 14
        && token.first().is_some_and(begins_key)
        && KEY_PREFIXES.iter().any(|(prefix, min)| len >= *min && token.starts_with(prefix))
    {
        return Some(Secret::ApiKey);
    }
    if bits & UPPER != 0
        && let Some(secret) = inside_base64(token)
    {
        return Some(secret);
    }
    is_random(token, bits).then(|| if token.iter().all(u8::is_ascii_hexdigit) { Secret::Hex } else { Secret::Token })
}

/// `local@domain.tld`, or `user:password@host`.
fn with_at(token: &[u8]) -> Option<Secret> {
    let at = memchr::memrchr(b'@', token)?;
    let (local, domain) = (token.get(..at)?, token.get(at + 1..)?);
    if local.is_empty() || domain.is_empty() {
        return None; // `@scope`, a handle
    }
    let domain_len =
        domain.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')).count();
    let domain = domain.get(..domain_len)?;
    if memchr::memchr(b'.', domain.get(1..).unwrap_or_default()).is_some() {
        return Some(Secret::Email);
    }
    memchr::memchr(b':', local).map(|_| Secret::Userinfo)
}

fn is_phone(token: &[u8]) -> bool {
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let others =
        token.iter().skip(1).all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b' ' | b'(' | b')'));
    others && (8..=15).contains(&digits)
}

/// Cards, social security numbers and bank accounts.
fn with_digits(token: &[u8], bits: u8) -> Option<Secret> {
    if find_card(token).is_some() {
        return Some(Secret::Card);
    }
    if bits == DIGIT | JOIN && is_ssn(token) {
        return Some(Secret::Ssn);
    }
    if bits & (LOWER | UPPER) != 0 && is_iban(token) {
        return Some(Secret::Iban);
    }
    None
}

fn is_ssn(token: &[u8]) -> bool {
    token.len() == 11
        && token
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 3 || at == 6 { *byte == b'-' } else { byte.is_ascii_digit() })
}

/// Are there so many digits and separators in a row that a card number could be among them? Looks at few bytes of most tokens: a
/// letter rules all windows out that it lies in.
fn may_hold_card(text: &[u8]) -> bool {
    const SHORTEST_CARD: usize = 13;
    let mut rest = text;
    while let Some(window) = rest.get(..SHORTEST_CARD) {
        match window.iter().rposition(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'.' | b' ' | b'_')) {
            Some(at) => rest = rest.get(at + 1..).unwrap_or_default(),
            None => return true,
        }
    }
    false
}

/// A run of 13 to 19 digits, at most one `-`, `_`, `.` or blank between two, that is a card number.
fn find_card(text: &[u8]) -> Option<Range<usize>> {
    if !may_hold_card(text) {
        return None;
    }
    let mut digits = [0u8; 20];
    let (mut count, mut start, mut end, mut separated) = (0usize, 0, 0, false);
    for (at, byte) in text.iter().chain([&b'/']).enumerate() {
        match byte {
            b'0'..=b'9' => {
                if count == 0 {
                    start = at;
                }
                if let Some(slot) = digits.get_mut(count) {
                    *slot = byte - b'0';
                }
                count += 1;
                (end, separated) = (at + 1, false);
            }
            b'-' | b'.' | b' ' | b'_' if count > 0 && !separated => separated = true,
            _ => {
                if (13..=19).contains(&count) && is_card(digits.get(..count).unwrap_or_default()) {
                    return Some(start..end);
                }
                (count, separated) = (0, false);
            }
        }
    }
    None
}

/// Issuer prefix and length (ISO/IEC 7812, the large schemes) and the Luhn check digit. The prefix matters: without it
/// one numeric id in ten would pass.
fn is_card(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let len = digits.len();
    let issuer = match prefix {
        4000..=4999 => matches!(len, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => len == 16,
        3400..=3499 | 3700..=3799 => len == 15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => len == 14,
        6011 | 6440..=6599 | 3528..=3589 | 6200..=6299 => (16..=19).contains(&len),
        5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => (16..=19).contains(&len),
        _ => false,
    };
    issuer && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(*digit) << (at & 1);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Country, check digits, 11 to 30 letters and digits; blanks and hyphens between groups; remainder 1 modulo 97.
fn is_iban(token: &[u8]) -> bool {
    let [a, b, c, d, ..] = token else { return false };
    if !(a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return false;
    }
    let (mut count, mut remainder) = (0, 0u32);
    for byte in token.iter().skip(4).chain(token.iter().take(4)) {
        match byte {
            b'0'..=b'9' => remainder = (remainder * 10 + u32::from(byte - b'0')) % 97,
            b'a'..=b'z' | b'A'..=b'Z' => {
                remainder = (remainder * 100 + u32::from(byte.to_ascii_uppercase() - b'A' + 10)) % 97;
            }
            b' ' | b'-' => continue,
            _ => return false,
        }
        count += 1;
    }
    (15..=34).contains(&count) && remainder == 1
}

/// Long and without the look of words.
fn is_random(token: &[u8], bits: u8) -> bool {
    if token.len() < TOKEN_LEN || bits & (LOWER | UPPER) == 0 {
        return false; // short, or a number, a date, a version
    }
    if bits & (LOWER | UPPER) != LOWER | UPPER && token.len() < ONE_CASE_TOKEN_LEN {
        return false; // what follows asks for longer ones
    }
    let shape = Shape::of(token);
    if shape.hex_run >= HEX_LEN {
        return true;
    }
    // Two places for the separators that base64url has by chance.
    if shape.others > 0 || shape.alphanumeric + 2 < TOKEN_LEN || shape.is_wordy() {
        return false;
    }
    if bits & (LOWER | UPPER) == LOWER | UPPER {
        return shape.changes >= 5;
    }
    shape.longest >= ONE_CASE_TOKEN_LEN && shape.changes >= 3 && !is_ulid(token)
}

/// What a token is made of.
#[derive(Default)]
struct Shape {
    alphanumeric: usize,
    /// Neighbours of different class (lower, upper, digit).
    changes: usize,
    /// Of these, ones that begin a word: all but capital before small letter.
    breaks: usize,
    /// Neighbouring letters.
    pairs: usize,
    /// Of these, ones that are frequent in words.
    common_pairs: usize,
    /// Longest run without `-`, `_`, `.`.
    longest: usize,
    /// Longest run of hex digits that has both digits and letters.
    hex_run: usize,
    /// Bytes that are in no base64 alphabet.
    others: usize,
}

impl Shape {
    fn of(token: &[u8]) -> Shape {
        let mut shape = Shape::default();
        let (mut before, mut before_class, mut run, mut hex, mut hex_digits) = (0, JOIN, 0, 0, 0);
        for byte in token {
            let class = class(*byte);
            if class & (DIGIT | LOWER | UPPER) != 0 {
                shape.alphanumeric += 1;
                let change = class != before_class && before_class != JOIN;
                shape.changes += usize::from(change);
                shape.breaks += usize::from(change && (before_class, class) != (UPPER, LOWER));
                if class != DIGIT && before_class & (LOWER | UPPER) != 0 {
                    shape.pairs += 1;
                    shape.common_pairs += usize::from(is_common_pair(before, *byte));
                }
                run += 1;
                before_class = class;
            } else {
                shape.others += usize::from(!matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'='));
                run = 0;
                before_class = JOIN;
            }
            if byte.is_ascii_hexdigit() {
                hex += 1;
                hex_digits += usize::from(class == DIGIT);
            } else {
                (hex, hex_digits) = (0, 0);
            }
            // 32 digits without a letter are a number; 32 of both are not.
            if hex_digits > 0 && hex_digits < hex {
                shape.hex_run = shape.hex_run.max(hex);
            }
            shape.longest = shape.longest.max(run);
            before = *byte;
        }
        shape
    }

    /// Do its letters follow each other as in words, and are the words longer than three letters? Chance gives 43 % common pairs and
    /// a break at 43 % of the places; words and usual abbreviations over 85 % and under 25 %.
    fn is_wordy(&self) -> bool {
        self.pairs >= 4 && self.common_pairs * 5 >= self.pairs * 4 && self.breaks * 10 < self.alphanumeric * 3
    }
}

/// Letters that often follow a letter in English and in the identifiers of programs.
const FOLLOWERS: [&[u8]; 26] = [
    b"bcdgiklmnprstuvwy",
    b"abeilorsuy",
    b"acehikloprtuy",
    b"abdegilorsuy",
    b"abcdefgilmnopqrstuvwxy",
    b"aefilortu",
    b"aeghilnorsu",
    b"aeimortuy",
    b"abcdefgklmnoprstvz",
    b"aeosu",
    b"aeinosy",
    b"abdefiklmostuy",
    b"abeimopsuy",
    b"acdefgiknostuvy",
    b"abcdfgiklmnoprstuvw",
    b"adehilopqrstu",
    b"u",
    b"acdegiklmnopqstuvy",
    b"acehiklmopqstuwy",
    b"aceghilmoprstuwxy",
    b"abcdegilmnprst",
    b"aeiou",
    b"aehinors",
    b"aceimpt",
    b"aelmnopst",
    b"aeioz",
];

/// A bit for each second letter.
const COMMON_PAIRS: [u32; 26] = {
    let mut table = [0; 26];
    let mut first = 0;
    while first < 26 {
        let followers = FOLLOWERS[first];
        let mut at = 0;
        while at < followers.len() {
            table[first] |= 1 << (followers[at] - b'a');
            at += 1;
        }
        first += 1;
    }
    table
};

fn is_common_pair(first: u8, second: u8) -> bool {
    let first = usize::from((first | 0x20).wrapping_sub(b'a'));
    let second = (second | 0x20).wrapping_sub(b'a') & 31;
    COMMON_PAIRS.get(first).is_some_and(|row| row >> second & 1 == 1)
}

/// 8-4-4-4-12 hex digits (RFC 9562).
pub(crate) fn is_uuid(token: &[u8]) -> bool {
    let Ok(token) = <&[u8; 36]>::try_from(token) else { return false };
    let hyphens = [token[8], token[13], token[18], token[23]];
    // A count of all is quicker than a stop at the first that is none.
    hyphens == [b'-'; 4] && token.iter().fold(0u8, |count, byte| count + u8::from(byte.is_ascii_hexdigit())) == 32
}

/// A ULID of this age: 26 characters of Crockford's base32, of which the first two are 01 from 2004 to 2039.
fn is_ulid(token: &[u8]) -> bool {
    token.len() == 26
        && token.starts_with(b"01")
        && token
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U'))
}

/// Looks through base64 (either alphabet, padding optional): a text in it is hidden.
/// Most words fail at their first four letters, which are rarely three printable bytes.
fn inside_base64(token: &[u8]) -> Option<Secret> {
    if token.len() < 8 || token.len() > BASE64_LOOK_LEN {
        return None;
    }
    let mut text = [0u8; BASE64_LOOK_LEN];
    let mut len = 0;
    let (mut buffer, mut bits) = (0u32, 0);
    for byte in token {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let decoded = (buffer >> bits & 0xff) as u8;
            if !(0x20..0x7f).contains(&decoded) {
                return None;
            }
            *text.get_mut(len)? = decoded;
            len += 1;
        }
    }
    let text = text.get(..len)?;
    let classes = classes(text);
    let inside = if classes & AT != 0 {
        with_at(text)
    } else if classes & DIGIT != 0 {
        with_digits(text, classes).or_else(|| (text.first() == Some(&b'+') && is_phone(text)).then_some(Secret::Phone))
    } else {
        None
    };
    // Nine printable bytes are no accident (one word in 7,000): whoever hid a text had a reason.
    inside.or((text.len() >= 9).then_some(Secret::Token))
}

/// The first secret in a text, and where. The place is the whole token that holds it.
///
/// Tokens end at blanks, brackets, quotes, `,` and `;`. One that is no secret is taken apart again at `/`, `=`, `:` and the
/// like, which occur inside base64 and addresses too. Cards, phone numbers and accounts written in groups span tokens.
pub(crate) fn find_secret(text: &[u8]) -> Option<(Secret, Range<usize>)> {
    let in_tokens = find_in_tokens(text, HARD, |token, bits| {
        classify(token, bits).map(|secret| (secret, 0..token.len())).or_else(|| {
            if bits & (SOFT | AT) == 0 {
                return None;
            }
            find_in_tokens(token, SOFT, |token, bits| classify(token, bits).map(|secret| (secret, 0..token.len())))
        })
    });
    let in_groups = find_grouped(text);
    match (in_tokens, in_groups) {
        // The earlier one, so that nothing in front of it is skipped; of equals the longer one.
        (Some(token), Some(group)) => {
            let token_first = (token.1.start, group.1.end) <= (group.1.start, token.1.end);
            Some(if token_first { token } else { group })
        }
        (token, group) => token.or(group),
    }
}

/// Calls `look` for each token between bytes of the class `delimiters`; shifts its place to the text's.
fn find_in_tokens(
    text: &[u8],
    delimiters: u8,
    look: impl Fn(&[u8], u8) -> Option<(Secret, Range<usize>)>,
) -> Option<(Secret, Range<usize>)> {
    let (mut start, mut bits) = (0, 0);
    for at in 0..=text.len() {
        let class = text.get(at).map_or(delimiters, |byte| class(*byte));
        if class != delimiters {
            bits |= class;
            continue;
        }
        if may_be_secret(at - start, bits)
            && let Some((secret, place)) = look(text.get(start..at).unwrap_or_default(), bits)
        {
            return Some((secret, start + place.start..start + place.end));
        }
        (start, bits) = (at + 1, 0);
    }
    None
}

/// What tokens do not show whole: phone numbers (`+` is a delimiter inside tokens), and numbers in groups with blanks between.
fn find_grouped(text: &[u8]) -> Option<(Secret, Range<usize>)> {
    if text.len() < 9 {
        return None;
    }
    // At the start of a word, and `C++11` is none.
    let starts_word = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'+')
    };
    let phone = memchr::memchr_iter(b'+', text)
        .filter(|at| starts_word(*at))
        .find_map(|at| grouped_phone(text.get(at..)?).map(|len| (Secret::Phone, at..at + len)));
    if memchr::memchr(b' ', text).is_none() || text.iter().filter(|byte| byte.is_ascii_digit()).count() < 13 {
        return phone;
    }
    let card = find_card(text).map(|place| (Secret::Card, place));
    let iban = memchr::memchr_iter(b' ', text)
        .filter_map(|blank| blank.checked_sub(4))
        .filter(|at| starts_word(*at))
        .find_map(|at| grouped_iban(text.get(at..)?).map(|len| (Secret::Iban, at..at + len)));
    [phone, card, iban].into_iter().flatten().min_by_key(|(_, place)| place.start)
}

/// Length of `+49 170 1234567` at the start of a text.
fn grouped_phone(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'+') {
        return None;
    }
    let len = 1 + text
        .iter()
        .skip(1)
        .take_while(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'.' | b'(' | b')'))
        .count();
    let len = text.get(..len)?.iter().rposition(u8::is_ascii_digit)? + 1;
    is_phone(text.get(..len)?).then_some(len)
}

/// Length of `DE89 3704 0044 0532 0130 00` at the start of a text.
fn grouped_iban(text: &[u8]) -> Option<usize> {
    let [a, b, c, d, b' ', ..] = text else { return None };
    if !(a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    // 34 characters in groups of four.
    let longest = text.iter().take(42).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b' ').count();
    (15..=longest).rev().find(|len| text.get(..*len).is_some_and(|text| text.last() != Some(&b' ') && is_iban(text)))
}
