//! Is a key the name of a field, or a value that stands in its place?
//!
//! Decided by the key alone, so that the answer depends neither on order nor on what else was seen. What is no name is
//! never kept: an id, a date, an e-mail address or a token used as a key is personal data as much as it is anywhere else.

/// Longest name kept, bytes. Longer ones are values or noise.
pub const NAME_BYTES: usize = 64;

/// Is this the name of a field? Letters, digits and a few marks, and not what ids, dates, tokens and addresses look like.
pub fn is_name(key: &str) -> bool {
    let bytes = key.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_BYTES {
        return false;
    }
    // A JSON-LD or XML attribute mark.
    let rest = bytes.strip_prefix(b"@").or_else(|| bytes.strip_prefix(b"$")).unwrap_or(bytes);
    let (mut letters, mut digits, mut hex, mut turns, mut longest_digits, mut run) = (0, 0, 0, 0, 0, 0);
    let mut last_is_digit = None;
    for &byte in rest {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                hex += 1;
                run += 1;
                longest_digits = run.max(longest_digits);
                turns += usize::from(last_is_digit == Some(false));
                last_is_digit = Some(true);
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                letters += 1;
                hex += usize::from(byte.is_ascii_hexdigit());
                run = 0;
                turns += usize::from(last_is_digit == Some(true));
                last_is_digit = Some(false);
            }
            b'_' | b'-' | b'.' | b':' | b'[' | b']' | b'#' | b'/' | b'+' | b' ' => {
                run = 0;
            }
            // Names in other scripts; control and format characters are none (F075).
            0x80.. => {
                letters += 1;
                run = 0;
            }
            _ => return false,
        }
    }
    if letters == 0 || longest_digits > 4 || !key.chars().all(is_readable) {
        return false;
    }
    let len = letters + digits;
    // Digests, object ids, UUIDs: nothing but hex, with digits in it.
    if hex == len && digits > 0 && len >= 8 {
        return false;
    }
    // Letters and digits that take turns: tokens, ULIDs, base64. `ipv4`, `line1`, `sha256sum`, `oauth2_v2` are names.
    if turns > 3 || digits * 3 > len * 2 {
        return false;
    }
    // Long mixed case without a mark: base64-like. A name in camel case has few capitals.
    let upper = rest.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    // Keys with a vendor's prefix and the like.
    if len >= 16 && digits >= 3 && upper > 1 && letters > upper {
        return false;
    }
    let marks = rest.iter().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    !(len >= 20 && marks == 0 && upper * 3 > len && upper < letters)
}

/// Not a control, format, separator or private character.
fn is_readable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_values_are_not() {
        for name in [
            "id",
            "userId",
            "created_at",
            "X-Request-Id",
            "@type",
            "$ref",
            "ipv4",
            "line1",
            "sha256sum",
            "oauth2",
            "größe",
            "filter[name]",
            "ids[]",
            "user.email",
            "a",
            "deadline",
            "facade",
            "max_tokens_4k",
            "address_line_2",
            "iso8601",
            "isEligibleForAutomaticRenewal",
            "IPv4AddressMappedToIPv6",
        ] {
            assert!(is_name(name), "{name}");
        }
        for value in [
            "",
            "1",
            "12345",
            "550e8400-e29b-41d4-a716-446655440000",
            "507f1f77bcf86cd799439011",
            "2024-01-01",
            "a@b.example",
            "2024-01-01T00:00:00Z",
            "cus_9s6XKzkNRiz8i3",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "user-12345678",
            "10.0.0.1",
            "\u{202e}txt",
            "a\u{0}b",
            "https://x.example/?a=b",
            "dGhpc0lzQmFzZTY0VGV4dA",
            "order_20240101",
            "sk_live_abcdEFGH1234ijkl5678",
        ] {
            assert!(!is_name(value), "{value}");
        }
        assert!(!is_name(&"a".repeat(65)));
    }
}
