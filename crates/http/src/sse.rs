//! Server-sent events in a `text/event-stream` body: counted, not kept (WHATWG HTML §9.2).

/// Where the reader is within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of the body: so many bytes of a byte order mark were there.
    Mark(u8),
    /// So many bytes of `data` were there, from the line's start.
    Name(u8),
    /// Past what matters of this line.
    Rest,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const DATA: [u8; 4] = *b"data";

/// Counts the events of one body: blocks that a blank line ends and that hold a `data` field. Lines end with LF, CR or CRLF.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SseReader {
    /// Events that ended.
    pub(crate) events: u64,
    place: Place,
    after_cr: bool,
    has_data: bool,
}

impl Default for SseReader {
    fn default() -> Self {
        SseReader { events: 0, place: Place::Mark(0), after_cr: false, has_data: false }
    }
}

impl SseReader {
    /// Is this Content-Type ours?
    pub(crate) fn is_event_stream(content_type: &[u8]) -> bool {
        if !matches!(content_type.first(), Some(b't' | b'T')) {
            return false;
        }
        let end = content_type.iter().position(|byte| b"; \t".contains(byte)).unwrap_or(content_type.len());
        content_type.get(..end).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    }

    /// The next bytes.
    pub(crate) fn data(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                bytes = rest;
                continue;
            }
            if self.place == Place::Rest {
                let len = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
                if len > 0 {
                    bytes = bytes.get(len..).unwrap_or_default();
                    continue;
                }
            }
            bytes = rest;
            self.byte(byte);
        }
    }

    /// Bytes are missing: the block around them counts if its end and a `data` field are seen.
    pub(crate) fn gap(&mut self) {
        self.place = Place::Rest;
        self.after_cr = false;
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'\r' || byte == b'\n' {
            self.after_cr = byte == b'\r';
            match self.place {
                Place::Name(0) | Place::Mark(0 | 3) => {
                    self.events = self.events.saturating_add(u64::from(self.has_data));
                    self.has_data = false;
                }
                // A line that is only `data` is a field with an empty value.
                Place::Name(4) => self.has_data = true,
                _ => {}
            }
            self.place = Place::Name(0);
            return;
        }
        if let Place::Mark(at) = self.place {
            if MARK.get(usize::from(at)) == Some(&byte) {
                self.place = Place::Mark(at + 1);
                return;
            }
            // Part of a mark is the start of some other line.
            self.place = if at == 0 || at == 3 { Place::Name(0) } else { Place::Rest };
        }
        if let Place::Name(at) = self.place {
            self.place = match DATA.get(usize::from(at)) {
                Some(&expected) if expected == byte => Place::Name(at + 1),
                None if byte == b':' => {
                    self.has_data = true;
                    Place::Rest
                }
                _ => Place::Rest,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SseReader;

    fn count(parts: &[&[u8]]) -> u64 {
        let mut reader = SseReader::default();
        parts.iter().for_each(|part| reader.data(part));
        reader.events
    }

    #[test]
    fn events_end_with_a_blank_line_and_hold_data() {
        let cases: &[(&[u8], u64)] = &[
            (b"", 0),
            (b"data: a\n\n", 1),
            (b"data: a\n", 0), // cut before the blank line: not dispatched
            (b"data: a\n\ndata: b\n\n", 2),
            (b"data: a\ndata: b\nid: 1\n\n", 1), // two lines of one event
            (b"event: ping\n\n", 0),             // no data field: nothing is dispatched
            (b": comment\n\n\n\n", 0),
            (b"data\n\n", 1), // field without colon
            (b"data:\r\n\r\n", 1),
            (b"data: a\r\rdata: b\r\r", 2),                  // CR alone
            (b"data: a\r\n\r\ndata: b\n\rdata: c\r\n\n", 3), // mixed
            (b"database: a\n\n", 0),
            (b" data: a\n\n", 0),            // names are not trimmed
            (b"\xef\xbb\xbfdata: a\n\n", 1), // byte order mark
            (b"\xef\xbbdata: a\n\n", 0),
            (b"\n\n\ndata: a\n\nrest", 1),
        ];
        for (bytes, expected) in cases {
            assert_eq!(count(&[bytes]), *expected, "{}", bytes.escape_ascii());
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(count(&singles), *expected, "byte by byte: {}", bytes.escape_ascii());
            for at in 0..bytes.len() {
                assert_eq!(count(&[&bytes[..at], &bytes[at..]]), *expected, "{} cut at {at}", bytes.escape_ascii());
            }
            let trailing = [bytes, &b"\n\ndata: more"[..]].concat();
            assert!(count(&[&trailing]) >= *expected);
        }
    }

    #[test]
    fn a_gap_costs_at_most_the_events_it_touches() {
        let mut reader = SseReader::default();
        reader.data(b"data: a\n\nda");
        reader.gap();
        reader.data(b"rest of a line\n\ndata: c\n\n");
        assert_eq!(reader.events, 2);
    }

    #[test]
    fn content_type() {
        assert!(SseReader::is_event_stream(b"text/event-stream"));
        assert!(SseReader::is_event_stream(b"Text/Event-Stream;charset=utf-8"));
        assert!(!SseReader::is_event_stream(b"text/event-streams"));
        assert!(!SseReader::is_event_stream(b""));
    }
}
