//! Route templates by the shape of each path segment: what a transaction's endpoint is filed under until the routes of its
//! service are decided ([`crate::routes`]).
//!
//! A segment becomes `{id}` if its shape leaves no doubt that it is a value: a number, a UUID, a hex or mixed token, a date,
//! an e-mail address. It is the shape that route inference goes by (`shape_of`), on the same canonical text, so that nothing
//! comes together here that is told apart there. Each decision looks at one segment only: the template of a path does not
//! depend on what else was seen.

use crate::routes::{WORD_BYTES, append_canonical, shape_of};

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
        if bits & LOOK != 0 || at - start > WORD_BYTES {
            out.extend_from_slice(&path[copied..start]);
            write_segment(&path[start..at], out);
            copied = at;
        }
        (start, bits, number) = (at + 1, 0, number + 1);
    }
    out.extend_from_slice(&path[copied..]);
}

/// Small letters and marks that occur inside names: segments of nothing else are names.
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
    let marks = *b"-_.~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = NAME;
        at += 1;
    }
    table[b'/' as usize] = END;
    table
};

fn write_segment(segment: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    append_canonical(segment, out);
    let text = out.get(start..).unwrap_or_default();
    let (shape, stem) = shape_of(text);
    if shape.is_value() {
        let ending = start..start + stem;
        out.splice(ending, *b"{id}");
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

    /// What inference may tell apart must not come together here.
    #[test]
    fn words_with_digits_and_marks_stay() {
        for path in
            ["/users/@me", "/c/securityClassification-6VMV", "/AvailablePhoneNumbers.json", "/a/otter-2026", "/1.2.3"]
        {
            assert_eq!(of(path), path);
        }
    }

    #[test]
    fn a_template_is_its_own_template() {
        for path in ["/api/v1/users/12345/x.json", "/a/7.json/{email:ab}", "/%20/1234%20", "/%7Bid%7D", "/a{email:ab}"]
        {
            assert_eq!(of(&of(path)), of(path));
        }
    }

    #[test]
    fn a_path_of_many_segments_is_bounded() {
        let path = "/a".repeat(10_000);
        assert!(of(&path).len() < 100);
    }
}
