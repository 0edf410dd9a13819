//! Finds the end of a head in bytes that come in pieces: every byte is looked at once (F033).

use memchr::memchr;

/// Where in a head's lines the next byte is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineScan {
    /// Bytes of the current line, saturating.
    line_len: u32,
    /// The current line's first byte is CR.
    starts_with_cr: bool,
    /// Bytes up to and with the first line end, once seen.
    first_line: Option<usize>,
    /// Bytes looked at.
    seen: usize,
}

impl LineScan {
    /// For a trailer section: what comes may be the empty line at once.
    pub(super) fn after_first_line() -> Self {
        LineScan { first_line: Some(0), ..LineScan::default() }
    }

    /// Length of the first line with its end, once it was seen.
    pub(super) fn first_line(&self) -> Option<usize> {
        self.first_line
    }

    /// Looks at the next bytes. The answer: how many of them belong to the head, when they hold its last one (the end
    /// of the first empty line, CRLF or bare LF).
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        let mut passed = 0usize;
        while let Some(at) = memchr(b'\n', rest) {
            if self.line_len == 0 {
                self.starts_with_cr = at > 0 && rest.first() == Some(&b'\r');
            }
            let len = (self.line_len as usize).saturating_add(at);
            let blank = len == 0 || (len == 1 && self.starts_with_cr);
            passed += at + 1;
            rest = rest.get(at + 1..).unwrap_or_default();
            self.line_len = 0;
            if self.first_line.is_none() {
                // The start line: `parse` has skipped empty lines before it.
                self.first_line = Some(self.seen.saturating_add(passed));
            } else if blank {
                self.seen = self.seen.saturating_add(passed);
                return Some(passed);
            }
        }
        if !rest.is_empty() {
            if self.line_len == 0 {
                self.starts_with_cr = rest.first() == Some(&b'\r');
            }
            self.line_len = self.line_len.saturating_add(u32::try_from(rest.len()).unwrap_or(u32::MAX));
        }
        self.seen = self.seen.saturating_add(bytes.len());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_end_for_every_split() {
        for (head, end) in [
            (&b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest"[..], Some(24)),
            (b"GET / HTTP/1.1\nA: b\n\nrest\r\n\r\n", Some(21)),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r", None),
            (b"GET / HTTP/1.1\r\nA: b\r\n\rx\r\n", None),
            (b"GET / HTTP/1.1\r\n\r\n", Some(18)),
        ] {
            for piece in 1..=head.len() {
                let (mut scan, mut before, mut found) = (LineScan::default(), 0, None);
                for bytes in head.chunks(piece) {
                    if let Some(len) = scan.find_end(bytes) {
                        found = Some(before + len);
                        break;
                    }
                    before += bytes.len();
                }
                assert_eq!(found, end, "{piece}");
            }
        }
    }
}
