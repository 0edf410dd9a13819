//! Route templates by the shape of each path segment.
//!
//! A segment becomes `{id}` if it looks like an identifier: a number, a UUID, a hex or mixed token, a date, an e-mail
//! address. Words, version segments (`v1`, `2.0`) and short names stay. Each decision looks at one segment only, so the
//! template of a path does not depend on what else was seen.

/// Segments of a path that are looked at; a longer path ends in `/...`.
const SEGMENTS: usize = 32;

/// Writes the template of `path` (redacted, without query) to `out`, which is cleared first. Segments that redaction
/// replaced (`{…}`) are variables. Empty segments and a trailing slash are kept: servers tell them apart.
pub fn template(path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if !path.starts_with(b"/") {
        // `*`, an authority, or nothing: no segments.
        out.extend_from_slice(path);
        return;
    }
    // Copied up to here; segments that stay as they are go out together.
    let mut copied = 0;
    let (mut start, mut bits, mut number) = (1, 0, 0);
    for at in 1..=path.len() {
        let class = path.get(at).map_or(END, |&byte| CLASSES[usize::from(byte)]);
        if class != END {
            bits |= class;
            continue;
        }
        if number == SEGMENTS {
            out.extend_from_slice(&path[copied..start]);
            out.extend_from_slice(b"...");
            return;
        }
        if bits & LOOK != 0 {
            out.extend_from_slice(&path[copied..start]);
            write_segment(&path[start..at], out);
            copied = at;
        }
        (start, bits, number) = (at + 1, 0, number + 1);
    }
    out.extend_from_slice(&path[copied..]);
}

/// Small letters, marks that occur inside names, and `.` and `:`: segments of nothing else are names.
const NAME: u8 = 1;
/// Anything else: the segment is looked at.
const LOOK: u8 = 2;
/// The slash.
const END: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut table = [LOOK; 256];
    let mut byte = b'a';
    while byte <= b'z' {
        table[byte as usize] = NAME;
        byte += 1;
    }
    let marks = *b"-_.~:";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = NAME;
        at += 1;
    }
    table[b'/' as usize] = END;
    table
};

fn write_segment(segment: &[u8], out: &mut Vec<u8>) {
    // Matrix parameters (RFC 3986 §3.3) say nothing about which route it is.
    let segment = match segment.iter().position(|&byte| byte == b';') {
        Some(semicolon) => &segment[..semicolon],
        None => segment,
    };
    if is_variable(segment) {
        out.extend_from_slice(b"{id}");
        return;
    }
    // `{id}.json`, `levels:append`: the part before may be an identifier.
    if let Some(mark) = segment.iter().rposition(|&byte| byte == b'.' || byte == b':')
        && mark > 0
        && segment.len() - mark <= 12
        && segment[mark + 1..].iter().all(|byte| byte.is_ascii_alphabetic())
        && is_variable(&segment[..mark])
    {
        out.extend_from_slice(b"{id}");
        out.extend_from_slice(&segment[mark..]);
        return;
    }
    out.extend_from_slice(segment);
}

/// Does the segment look like an identifier?
fn is_variable(segment: &[u8]) -> bool {
    let (mut digits, mut hex_letters, mut other_letters, mut upper, mut marks, mut odd) = (0, 0, 0, 0, 0, 0);
    for &byte in segment {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'f' => hex_letters += 1,
            b'g'..=b'z' => other_letters += 1,
            b'A'..=b'F' => {
                hex_letters += 1;
                upper += 1;
            }
            b'G'..=b'Z' => {
                other_letters += 1;
                upper += 1;
            }
            b'-' | b'_' | b'.' | b'~' | b':' => marks += 1,
            // A placeholder of redaction; `{email:…}.json` is one with a suffix.
            b'{' => return segment[0] != b'{' || segment.ends_with(b"}"),
            b'@' => return true,
            _ => odd += 1,
        }
    }
    let letters = hex_letters + other_letters;
    let len = segment.len();
    match segment {
        [] => false,
        // A version: v1, v2.1, 2.0; dated versions like 2024-01-01 are dates and vary.
        [b'v' | b'V', rest @ ..] if len <= 6 && rest.iter().all(|b| b.is_ascii_digit() || *b == b'.') => false,
        [b'0'..=b'9', b'.', b'0'..=b'9'] => false,
        _ if letters == 0 && odd == 0 => digits > 0,
        // Hex tokens: object ids, digests, UUIDs.
        _ if other_letters == 0 && odd == 0 && digits > 0 && len >= 16 => true,
        _ if odd > 0 => digits >= 4,
        // Words with a number at the end (`oauth2`, `ipv4`, `log4j`) are names.
        _ if digits <= 2 && len < 20 => false,
        // Mixed tokens: ULID, base62, prefixed ids (`cus_x7…`), slugs with a number.
        _ if digits >= 3 && len >= 6 => true,
        // Long mixed case without separators: base64-like.
        _ => len >= 20 && marks == 0 && upper > 2 && upper < letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> String {
        let mut out = Vec::new();
        template(path.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn identifiers_become_variables_and_names_stay() {
        for (path, expected) in [
            ("/", "/"),
            ("/api/v1/users/12345", "/api/v1/users/{id}"),
            ("/api/v2.1/users", "/api/v2.1/users"),
            ("/2.0/files/998", "/2.0/files/{id}"),
            ("/users/550e8400-e29b-41d4-a716-446655440000/posts", "/users/{id}/posts"),
            ("/o/507f1f77bcf86cd799439011", "/o/{id}"),
            ("/customers/cus_9s6XKzkNRiz8i3", "/customers/{id}"),
            ("/k/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/k/{id}"),
            ("/oauth2/token", "/oauth2/token"),
            ("/reports/2024-05-01", "/reports/{id}"),
            ("/reports/7.json", "/reports/{id}.json"),
            ("/levels/42:append", "/levels/{id}:append"),
            ("/users/me", "/users/me"),
            ("/u/{email:0a1b2c3d4e5f}", "/u/{id}"),
            ("/a/b;jsessionid=1/c", "/a/b/c"),
            ("/a//b/", "/a//b/"),
            ("*", "*"),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }

    /// What is copied without a look is what a look would have left.
    #[test]
    fn names_of_small_letters_and_marks_are_no_variables() {
        let mut out = Vec::new();
        for text in [
            "",
            "a",
            "deadbeef",
            "abcdefabcdefabcdefabcdef",
            "a-b_c.d~e:f",
            "....",
            "~",
            "quite-a-long-name-of-small-letters",
        ] {
            out.clear();
            write_segment(text.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
        assert_eq!(of(&"/abc".repeat(SEGMENTS)), "/abc".repeat(SEGMENTS));
        assert_eq!(of(&"/123".repeat(SEGMENTS + 1)), "/{id}".repeat(SEGMENTS) + "/...");
        assert_eq!(of(&("/abc".repeat(SEGMENTS) + "/")), "/abc".repeat(SEGMENTS) + "/...");
    }

    #[test]
    fn a_template_is_its_own_template() {
        for path in ["/api/v1/users/12345/x.json", "/a/7.json/{email:ab}", "/%20/1234%20"] {
            assert_eq!(of(&of(path)), of(path));
        }
    }

    #[test]
    fn a_path_of_many_segments_is_bounded() {
        let path = "/a".repeat(10_000);
        assert!(of(&path).len() < 100);
    }
}
