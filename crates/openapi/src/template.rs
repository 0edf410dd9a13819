//! Path templates as sequences of segments.

use crate::pointer::percent_decode_bytes;

/// Most segments of a template or path; what follows is one last segment.
pub(crate) const MAX_SEGMENTS: usize = 128;

/// A segment that mixes literals and variables, `{id}.json` or `{a}-{b}`: the literals around the variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// One more than there are variables; the first and last may be empty.
    literals: Vec<Vec<u8>>,
}

impl Pattern {
    /// Whether the whole of a segment fits, each variable at least one byte. A segment of more than 2 KiB never does:
    /// what a hostile path may cost stays small.
    pub(crate) fn matches(&self, segment: &[u8]) -> bool {
        if segment.len() > 2048 {
            return false;
        }
        let [first, middle @ .., last] = self.literals.as_slice() else { return false };
        let Some(rest) = segment.strip_prefix(first.as_slice()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_slice()) else { return false };
        // The leftmost place for each literal leaves the most for those after it.
        for literal in middle {
            let Some(tail) = rest.get(1..) else { return false };
            let Some(at) = find(tail, literal) else { return false };
            rest = tail.get(at.saturating_add(literal.len())..).unwrap_or_default();
        }
        !rest.is_empty()
    }

    /// The literals with `{}` for variables.
    pub(crate) fn text(&self) -> String {
        let literals: Vec<_> = self.literals.iter().map(|literal| String::from_utf8_lossy(literal)).collect();
        literals.join("{}")
    }

    /// More literal bytes first, then fewer variables.
    pub(crate) fn rank(&self) -> (std::cmp::Reverse<usize>, usize) {
        (std::cmp::Reverse(self.literals.iter().map(Vec::len).sum()), self.literals.len())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// Bytes, percent-decoded.
    Literal(Vec<u8>),
    /// A whole segment.
    Variable,
    /// A part of a segment.
    Pattern(Pattern),
    /// One or more segments to the end, which must end in these bytes: `{path+}`, `{+name}:cancel`, `{path:.*}`.
    Rest(Vec<u8>),
}

/// Reads a template. A trailing slash is an empty last segment, as `/users/` is another path than `/users`.
pub(crate) fn segments(template: &str) -> Vec<Segment> {
    let template = spliced(template);
    let pieces = pieces(&template);
    let last = pieces.len().saturating_sub(1);
    pieces.iter().enumerate().map(|(place, piece)| segment(piece, place == last)).collect()
}

/// For each segment of a template the name of the variable that it is, if it is nothing else.
pub(crate) fn variables(template: &str) -> Vec<Option<String>> {
    let template = spliced(template);
    let name = |piece: &&str| {
        let name = piece.strip_prefix('{')?.strip_suffix('}')?;
        (!name.contains(['{', '}'])).then(|| name.split(':').next().unwrap_or_default().to_string())
    };
    pieces(&template).iter().map(name).collect()
}

/// Splits at slashes that are not inside braces.
fn pieces(template: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    let body = template.strip_prefix('/').unwrap_or(template);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 && pieces.len() + 1 < MAX_SEGMENTS => {
                pieces.push(body.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(body.get(start..).unwrap_or_default());
    pieces
}

/// `{name=projects/*}` of Google's HTTP rules written out: `projects/{name}`.
fn spliced(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        let Some(close) = tail.find('}') else {
            rest = tail;
            break;
        };
        let (variable, after) = tail.split_at(close + 1);
        let inside = variable.trim_matches(['{', '}']);
        match inside.split_once('=') {
            Some((name, parts)) if parts.contains(['*', '/']) => {
                let parts: Vec<String> = parts
                    .split('/')
                    .map(|part| match part {
                        "*" => format!("{{{name}}}"),
                        "**" => format!("{{{name}+}}"),
                        literal => literal.to_string(),
                    })
                    .collect();
                out.push_str(&parts.join("/"));
            }
            _ => out.push_str(variable),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn segment(text: &str, last: bool) -> Segment {
    let mut literals = vec![Vec::new()];
    let mut rest_variable = false;
    let mut rest = text;
    while let Some(open) = rest.find('{')
        && let Some(close) = rest.get(open..).and_then(|tail| tail.find('}'))
    {
        let name = rest.get(open + 1..open + close).unwrap_or_default();
        if let Some(literal) = literals.last_mut() {
            literal.extend(percent_decode_bytes(rest.get(..open).unwrap_or_default().as_bytes()));
        }
        literals.push(Vec::new());
        rest_variable |= name.starts_with('+')
            || name.ends_with(['+', '*'])
            || name.split_once(':').is_some_and(|(_, shape)| matches!(shape, ".*" | ".+"));
        rest = rest.get(open + close + 1..).unwrap_or_default();
    }
    if let Some(literal) = literals.last_mut() {
        literal.extend(percent_decode_bytes(rest.as_bytes()));
    }
    match literals.as_slice() {
        [literal] => Segment::Literal(literal.clone()),
        [before, after] if rest_variable && last && before.is_empty() => Segment::Rest(after.clone()),
        [before, after] if before.is_empty() && after.is_empty() => Segment::Variable,
        _ => Segment::Pattern(Pattern { literals }),
    }
}

/// The segments of a request path, percent-decoded. `%2F` stays inside its segment, as it is decoded after the split.
pub(crate) fn path_segments(path: &[u8]) -> Vec<Vec<u8>> {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.splitn(MAX_SEGMENTS, |byte| *byte == b'/').map(percent_decode_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.as_bytes().to_vec())
    }

    #[test]
    fn segments_of_a_template() {
        assert_eq!(segments("/users/{id}"), [literal("users"), Segment::Variable]);
        assert_eq!(segments("/"), [literal("")]);
        assert_eq!(segments("/users/"), [literal("users"), literal("")]);
        assert_eq!(segments("/a%20b/caf\u{e9}"), [literal("a b"), literal("caf\u{e9}")]);
        assert_eq!(segments("/files/{proxy+}"), [literal("files"), Segment::Rest(Vec::new())]);
        assert_eq!(segments("/{+name}:cancel"), [Segment::Rest(b":cancel".to_vec())]);
        assert_eq!(segments("/{path:.*}"), [Segment::Rest(Vec::new())]);
        assert_eq!(
            segments("/v1/{name=projects/*/x}"),
            [literal("v1"), literal("projects"), Segment::Variable, literal("x")]
        );
        assert_eq!(segments("/{id:[0-9]+/x}"), [Segment::Variable]);
        assert_eq!(segments("/open{brace"), [literal("open{brace")]);
        assert!(matches!(segments("/v{version}/x").as_slice(), [Segment::Pattern(_), _]));
    }

    #[test]
    fn patterns_hold_the_literals_around_variables() {
        let matches = |template: &str, segment: &str| match segments(template).remove(0) {
            Segment::Pattern(pattern) => pattern.matches(segment.as_bytes()),
            other => panic!("{template} is {other:?}"),
        };
        for (template, segment, expected) in [
            ("/{id}.json", "7.json", true),
            ("/{id}.json", "7.xml", false),
            ("/{id}.json", ".json", false),
            ("/{a}-{b}", "2024-01-02", true),
            ("/{a}-{b}", "-x", false),
            ("/{a}-{b}", "x-", false),
            ("/{a}-{b}", "--x", true),
            ("/{a}{b}", "ab", true),
            ("/{a}{b}", "a", false),
            ("/{name}.{ext}", "a.tar.gz", true),
            ("/v{n}", "v2", true),
            ("/v{n}", "w2", false),
            ("/{job}:cancel", "x:cancel", true),
        ] {
            assert_eq!(matches(template, segment), expected, "{template} {segment}");
        }
    }

    #[test]
    fn f075_percent_encoding_is_decoded_once_and_a_slash_stays_in_its_segment() {
        assert_eq!(path_segments(b"/a%2Fb/c?d/e"), [b"a/b".to_vec(), b"c".to_vec()]);
        assert_eq!(path_segments(b"/%2541"), [b"%41".to_vec()]);
        assert_eq!(path_segments(b"//x"), [b"".to_vec(), b"x".to_vec()]);
        assert_eq!(path_segments(&b"/a".repeat(1000)).len(), MAX_SEGMENTS);
        assert_eq!(segments(&"/a".repeat(1000)).len(), MAX_SEGMENTS);
    }
}
