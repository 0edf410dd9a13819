//! The events of a `text/event-stream` (WHATWG HTML §9.2), with their data.

/// Events of one body, one after another.
#[derive(Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
    cut: bool,
    name: Vec<u8>,
    data: Vec<u8>,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its `event` field; empty if there was none.
    pub name: &'a [u8],
    /// Its `data` fields, joined by line feeds.
    pub data: &'a [u8],
}

impl<'a> Events<'a> {
    /// The events of a body. `cut`: the bytes are only its beginning, or the stream was still open at their end.
    pub fn new(bytes: &'a [u8], cut: bool) -> Self {
        Events { rest: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), cut, name: Vec::new(), data: Vec::new() }
    }

    /// The next event that a blank line ends; at the end of a whole body also one that the end ends, as servers forget the
    /// last line feed.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        self.name.clear();
        self.data.clear();
        let mut has_data = false;
        loop {
            let line = match self.line() {
                Some(line) => line,
                None if has_data && !self.cut => break,
                None => return None,
            };
            if line.is_empty() {
                if has_data {
                    break;
                }
                self.name.clear();
                continue;
            }
            let (field, value) = match line.iter().position(|&byte| byte == b':') {
                Some(colon) => line.split_at(colon),
                None => (line, [].as_slice()),
            };
            let value = value.strip_prefix(b":").unwrap_or(value);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"data" => {
                    if has_data {
                        self.data.push(b'\n');
                    }
                    has_data = true;
                    self.data.extend_from_slice(value);
                }
                b"event" => {
                    self.name.clear();
                    self.name.extend_from_slice(value);
                }
                _ => {}
            }
        }
        Some(Event { name: &self.name, data: &self.data })
    }

    /// The next line without its end (LF, CR or CRLF). What no line end follows is a line if the body is whole.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest;
        let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') else {
            self.rest = &[];
            return (!rest.is_empty() && !self.cut).then_some(rest);
        };
        let (line, after) = rest.split_at(end);
        self.rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..)).unwrap_or_default();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], cut: bool) -> Vec<(String, String)> {
        let mut events = Events::new(bytes, cut);
        let mut out = Vec::new();
        while let Some(event) = events.next_event() {
            out.push((String::from_utf8_lossy(event.name).into(), String::from_utf8_lossy(event.data).into()));
        }
        out
    }

    #[test]
    fn events_end_with_a_blank_line() {
        let body = b"\xef\xbb\xbf: hi\nevent: a\ndata: 1\ndata:2\n\nid: 7\n\r\ndata: x\r\n\r\ndata: last";
        let expected = [("a", "1\n2"), ("", "x"), ("", "last")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(all(body, false), expected);
        assert_eq!(all(body, true), expected[..2]);
    }
}
