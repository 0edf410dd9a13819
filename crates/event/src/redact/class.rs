//! Byte classes: one table look-up a byte, OR-ed over a token, tells which checks it needs at all.

pub(crate) const DIGIT: u8 = 1;
pub(crate) const LOWER: u8 = 2;
pub(crate) const UPPER: u8 = 4;
/// `-`, `_`, `.`, `~`: inside words and inside base64url.
pub(crate) const JOIN: u8 = 8;
/// `@` and `%`: an e-mail address, or anything in disguise.
pub(crate) const AT: u8 = 16;
/// `+`, `=`, `/` and the soft delimiters `:`, `&`, `?`, `!`, `#`, `$`, `*`, `^`, `` ` ``.
pub(crate) const SOFT: u8 = 32;
/// Blanks, control bytes, brackets, quotes, `,`, `;`, `|`, `\`: end a token whatever it is.
pub(crate) const HARD: u8 = 64;
/// Bytes ≥ 0x80.
pub(crate) const ODD: u8 = 128;

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'a'..=b'z' => LOWER,
        b'A'..=b'Z' => UPPER,
        b'-' | b'_' | b'.' | b'~' => JOIN,
        b'@' | b'%' => AT,
        b'+' | b'=' | b'/' | b':' | b'&' | b'?' | b'!' | b'#' | b'$' | b'*' | b'^' | b'`' => SOFT,
        0..=b' '
        | 0x7f
        | b'('
        | b')'
        | b'<'
        | b'>'
        | b'['
        | b']'
        | b'{'
        | b'}'
        | b'"'
        | b'\''
        | b','
        | b';'
        | b'|'
        | b'\\' => HARD,
        _ => ODD,
    }
}

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
};

/// Class of a byte.
#[inline]
pub(crate) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Classes of all bytes together.
#[inline]
pub(crate) fn classes(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |all, byte| all | class(*byte))
}
