//! Patterns in which `*` is any text.

use std::fmt;

/// Longest pattern, bytes: matching costs at most the product of the lengths of pattern and text.
const PATTERN_BYTES: usize = 512;

/// A text in which `*` stands for any text, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty, and would match nothing.
    Empty,
    /// It is longer than 512 bytes.
    Long,
    /// It holds a control character or a blank, which no name on the wire does.
    Blank,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternError::Empty => "a pattern must not be empty: write * for anything",
            PatternError::Long => "a pattern has at most 512 bytes: write * for the rest",
            PatternError::Blank => "a pattern holds no blanks and no control characters: take them out",
        })
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// A pattern.
    ///
    /// # Errors
    /// If it could match nothing, or is too long.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        match text {
            "" => Err(PatternError::Empty),
            text if text.len() > PATTERN_BYTES => Err(PatternError::Long),
            text if text.contains(|c: char| c.is_whitespace() || c.is_control()) => Err(PatternError::Blank),
            text => Ok(Pattern(text.into())),
        }
    }

    /// The same with small letters, for names that are compared in any case.
    pub fn lower(&self) -> Pattern {
        Pattern(self.0.to_ascii_lowercase().into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does the whole text fit?
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

/// Whether a text fits a pattern; costs at most the product of their lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut place) = (0, 0);
    // Where to go on after what a star has taken so far turned out too short.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(place) {
        match (pattern.get(at), retry) {
            (Some(b'*'), _) => {
                retry = Some((at + 1, place));
                at += 1;
            }
            (Some(wanted), _) if wanted == byte => {
                at += 1;
                place += 1;
            }
            (_, Some((after, taken))) => {
                retry = Some((after, taken + 1));
                (at, place) = (after, taken + 1);
            }
            (_, None) => return false,
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_with_stars() {
        for (pattern, text, expected) in [
            ("/v1/*", "/v1/orders/{id}", true),
            ("/v1/*", "/v2/orders", false),
            ("*orders*", "/v1/orders/{id}", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("get", "get", true),
            ("get*", "get", true),
            ("*.example.com", "example.com", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        // Quadratic at worst.
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }

    #[test]
    fn what_is_no_pattern() {
        assert_eq!(Pattern::new(""), Err(PatternError::Empty));
        assert_eq!(Pattern::new("a b"), Err(PatternError::Blank));
        assert_eq!(Pattern::new(&"a".repeat(513)), Err(PatternError::Long));
    }
}
