//! Any bytes as a JSON string.
//!
//! One rule for whatever the wire carried:
//!
//! - `"` and `\` are escaped, and every control character: U+0000–001F, DEL, C1 (U+0080–009F).
//! - So are the characters that break lines or reorder text in viewers: U+2028, U+2029, the bidi controls (U+061C,
//!   U+200E, U+200F, U+202A–202E, U+2066–2069), zero-width ones (U+200B–200D, U+2060, U+FEFF), interlinear
//!   annotation (U+FFF9–FFFB) and tag characters (U+E0000–E007F). A JSON parser gives them back unchanged.
//! - Bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part (Unicode §3.9, as
//!   [`String::from_utf8_lossy`] does).
//! - All else is copied.
//!
//! So the output is valid UTF-8, strictly valid JSON (RFC 8259), and one line.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Can the byte be copied without a look at its neighbours?
#[inline]
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x7f && byte != b'"' && byte != b'\\'
}

/// Are the eight bytes of a word plain? Each lane's top bit tells; a borrow between lanes can only come from a byte that is not
/// plain itself, so the answer for the whole word is exact.
#[inline]
const fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES * 0x80;
    const fn has_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let below_space = word.wrapping_sub(ONES * 0x20);
    let not_plain = word
        | below_space
        | has_zero(word ^ (ONES * b'"' as u64))
        | has_zero(word ^ (ONES * b'\\' as u64))
        | has_zero(word ^ (ONES * 0x7f));
    not_plain & TOPS == 0
}

/// Are all bytes plain? Eight at a time; the last word may overlap the one before.
#[inline]
pub(crate) fn all_plain(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(true, |plain, byte| plain & is_plain(*byte));
    };
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().all(|word| is_plain_word(u64::from_ne_bytes(*word))) && is_plain_word(u64::from_ne_bytes(*last))
}

/// Appends `bytes` as a JSON string with its quotes.
#[inline]
pub fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(bytes, out);
    out.push(b'"');
}

/// Appends `bytes` as the inside of a JSON string.
#[inline]
pub fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    if all_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        write_slow(bytes, out);
    }
}

#[cold]
fn write_slow(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut copied = 0;
        for (at, character) in valid.char_indices() {
            if !needs_escape(character) {
                continue;
            }
            out.extend_from_slice(valid.as_bytes().get(copied..at).unwrap_or_default());
            copied = at + character.len_utf8();
            escape(character, out);
        }
        out.extend_from_slice(valid.as_bytes().get(copied..).unwrap_or_default());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn needs_escape(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

fn escape(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(HEX[usize::from(*unit >> shift & 15)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_is_copied() {
        assert_eq!(json(b""), "\"\"");
        assert_eq!(json(b"/api/v1/users?id=1&x=%20"), "\"/api/v1/users?id=1&x=%20\"");
    }

    #[test]
    fn specials_are_escaped() {
        assert_eq!(json(b"a\"b\\c\r\n\t\0\x1b\x7f"), r#""a\"b\\c\r\n\t\u0000\u001b\u007f""#);
        assert_eq!(json("\u{85}\u{2028}\u{202e}x\u{feff}".as_bytes()), r#""\u0085\u2028\u202ex\ufeff""#);
        assert_eq!(json("\u{e0041}".as_bytes()), r#""\udb40\udc41""#);
        assert_eq!(json("é漢😀".as_bytes()), "\"é漢😀\"");
    }

    /// Against the plain rule for one byte, in every lane and beside every kind of neighbour.
    #[test]
    fn a_word_is_plain_if_its_bytes_are() {
        for byte in 0..=255u8 {
            for filler in [b' ', b'a', b'~', b'!', b'#', b'[', b']'] {
                for lane in 0..8 {
                    let mut word = [filler; 8];
                    word[lane] = byte;
                    assert_eq!(is_plain_word(u64::from_ne_bytes(word)), is_plain(byte), "{byte} {filler} {lane}");
                }
            }
        }
    }

    /// F078: every byte, at every place of a block of 16 and past it, parses back to what `from_utf8_lossy` says.
    #[test]
    fn f078_every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for len in [1, 7, 8, 9, 15, 16, 17, 33] {
                for at in [0, len / 2, len - 1] {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    let text = json(&bytes);
                    assert!(text.bytes().all(|b| b >= 0x20 && b != 0x7f));
                    assert_eq!(serde_json::from_str::<String>(&text).unwrap(), String::from_utf8_lossy(&bytes));
                }
            }
        }
    }

    /// F078: every character outside the ones to be escaped is copied, the others come back from a parser.
    #[test]
    fn f078_every_character() {
        for character in (0..=0x10ffffu32).filter_map(char::from_u32) {
            let source = character.to_string();
            let text = json(source.as_bytes());
            if needs_escape(character) {
                assert!(text.is_ascii());
            }
            if (character as u32) < 0x3000 || (character as u32) & 0xff == 0x7f || needs_escape(character) {
                assert_eq!(serde_json::from_str::<String>(&text).unwrap(), source);
            }
        }
    }
}
