//! The usual head: every line ends with CRLF, every byte is printable ASCII, every field starts with a token and a colon.
//!
//! Most heads of a client say the same as its head before, but for the target, an id or a date. So a head is read against
//! the one before it: a line that is the same, byte by byte, is not parsed again, and where only the value differs the name
//! is known. That changes no answer: what is left of a line is only ever taken over from the same bytes. A head that is not
//! of this kind, or not all there, is left to others.

use super::framing::Facts;
use super::known::known_header;
use super::start_line::is_token;
use crate::message::{HeaderBlock, KnownHeader, Version};

/// Heads kept to read others against: connections take turns, and more of them than this share one.
const SLOTS: usize = 128;
/// Bytes and fields of a head that is kept.
const KEPT_BYTES: usize = 2048;
const KEPT_FIELDS: usize = 48;

/// Heads before, by direction, of a worker's connections. At most [`SLOTS`] times two of [`KEPT_BYTES`] and their fields.
#[derive(Debug, Default)]
pub(crate) struct UsualHeads {
    slots: Vec<[Before; 2]>,
    next: usize,
}

/// The fields of a head.
#[derive(Debug, Default)]
pub(crate) struct Before {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Heads since this one with a field that it does not have.
    misses: u8,
}

/// A field line in the text of a head.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u16,
    /// With its CRLF.
    len: u16,
    name_len: u16,
    /// Where the value begins in the line, and how long it is.
    value_start: u16,
    value_len: u16,
    known: KnownHeader,
    /// There is nothing to note of it.
    quiet: bool,
}

impl UsualHeads {
    /// A place for the heads of a new connection.
    pub(crate) fn slot(&mut self) -> usize {
        self.next = (self.next + 1) % SLOTS;
        if self.slots.len() <= self.next {
            self.slots.resize_with(self.next + 1, Default::default);
        }
        self.next
    }

    /// The last head of this place; `index`: of the direction.
    pub(crate) fn before(&mut self, slot: usize, index: usize) -> Option<&mut Before> {
        self.slots.get_mut(slot)?.get_mut(index)
    }
}

/// How many of the bytes, from the first, are printable ASCII; `LOWEST` is a blank, or the byte after it.
#[inline]
fn printable_len<const LOWEST: u8>(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for eight in words {
        let word = u64::from_le_bytes(*eight);
        // A carry or borrow only reaches bytes behind the first that stops.
        let above = word.wrapping_add(ONES) | word;
        let below = word.wrapping_sub(ONES.wrapping_mul(LOWEST as u64)) & !word;
        let stops = (above | below) & HIGH;
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + rest.iter().take_while(|byte| (LOWEST..0x7f).contains(*byte)).count()
}

/// By byte: may it be in a token?
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token(byte as u8);
        byte += 1;
    }
    table
};

fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !TOKEN[usize::from(*byte)]).unwrap_or(bytes.len())
}

/// Where things are in a request line.
pub(super) struct RequestStart {
    pub(super) method_end: usize,
    /// The target begins one byte after the method.
    pub(super) target_end: usize,
    pub(super) version: Version,
    /// Bytes of the line with its end.
    pub(super) len: usize,
}

/// Reads a request line as the standard has it.
pub(super) fn request_line(bytes: &[u8]) -> Option<RequestStart> {
    let method_end = token_len(bytes);
    if method_end == 0 || bytes.get(method_end) != Some(&b' ') {
        return None;
    }
    let target_len = printable_len::<0x21>(bytes.get(method_end + 1..)?);
    let target_end = method_end + 1 + target_len;
    let end = bytes.get(target_end..)?.first_chunk::<11>()?;
    let version = version(end.get(1..9)?)?;
    (target_len > 0 && end.first() == Some(&b' ') && end.ends_with(b"\r\n")).then_some(RequestStart {
        method_end,
        target_end,
        version,
        len: target_end + end.len(),
    })
}

/// Reads a status line as the standard has it: version, status, length with the line's end.
pub(super) fn status_line(bytes: &[u8]) -> Option<(Version, u16, usize)> {
    let version = version(bytes.get(..8)?)?;
    let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *bytes.get(8..12)? else { return None };
    let status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    let mut end = 12;
    if bytes.get(end) == Some(&b' ') {
        end += printable_len::<0x20>(bytes.get(end..)?);
    }
    bytes.get(end..)?.starts_with(b"\r\n").then_some((version, status, end + 2))
}

fn version(bytes: &[u8]) -> Option<Version> {
    match bytes {
        b"HTTP/1.1" => Some(Version::Http11),
        b"HTTP/1.0" => Some(Version::Http10),
        _ => None,
    }
}

/// Reads the field lines that begin at `start` of `bytes`, and the empty line: where the head ends. `block` is empty; its
/// fields are where they are in `bytes`. `None` if the head is not of the usual kind, or has more fields than `most`.
pub(super) fn fields(
    before: &mut Before,
    bytes: &[u8],
    start: usize,
    most: usize,
    block: &mut HeaderBlock,
    facts: &mut Facts,
) -> Option<usize> {
    let mut at = start;
    let mut guess = 0;
    let mut news = false;
    // Up to here the bytes from `at` on are those of the head before from the line expected next on.
    let mut same_until = start;
    let end = loop {
        let rest = bytes.get(at..)?;
        if same_until <= at {
            same_until = at + before.same_len(guess, rest);
        }
        let line = match before.lines.get(guess) {
            Some(line) if at + usize::from(line.len) <= same_until => {
                guess += 1;
                *line
            }
            _ if rest.starts_with(b"\r\n") => break at + 2,
            _ => {
                let line = match before.like(&mut guess, rest, same_until - at) {
                    Like::Line(line) => line,
                    Like::Name(number, known, name_len) => {
                        let line = value(rest, known, name_len)?;
                        before.renew(number, line, rest);
                        line
                    }
                    Like::None => {
                        news = true;
                        let name_len = token_len(rest);
                        if name_len == 0 || rest.get(name_len) != Some(&b':') {
                            return None;
                        }
                        value(rest, known_header(rest.get(..name_len)?), name_len)?
                    }
                };
                same_until = at + usize::from(line.len);
                line
            }
        };
        if block.fields().len() >= most {
            return None;
        }
        let value_start = at + usize::from(line.value_start);
        let value_end = value_start + usize::from(line.value_len);
        let place = value_start as u32..value_end as u32;
        if !line.quiet {
            facts.note(line.known, bytes.get(value_start..value_end)?, place.clone());
        }
        block.push_stored(line.known, at as u32..(at + usize::from(line.name_len)) as u32, place);
        at += usize::from(line.len);
    };
    if news {
        before.replace(bytes.get(start..end)?, start, block);
    }
    Some(end)
}

/// The line that begins with a name of `name_len` bytes and a colon.
#[inline]
fn value(line: &[u8], known: KnownHeader, name_len: usize) -> Option<Line> {
    let start = name_len + 1;
    let text = line.get(start..)?;
    let text_len = printable_len::<0x20>(text);
    if !text.get(text_len..)?.starts_with(b"\r\n") {
        // A tab among them: rare enough for the others.
        return None;
    }
    let text = text.get(..text_len)?;
    let lead = text.iter().take_while(|byte| **byte == b' ').count();
    let trail = text.get(lead..)?.iter().rev().take_while(|byte| **byte == b' ').count();
    Some(Line {
        start: 0,
        len: u16::try_from(start + text_len + 2).ok()?,
        name_len: name_len as u16,
        value_start: (start + lead) as u16,
        value_len: (text_len - lead - trail) as u16,
        known,
        quiet: !Facts::is_about(known),
    })
}

/// How many bytes two texts have in common from the first.
#[inline]
fn common_len(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut at = 0;
    for (a, b) in pairs {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return at + differ.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let (a, b) = (a.get(at..).unwrap_or_default(), b.get(at..).unwrap_or_default());
    at + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Before {
    /// How much `rest` begins with of the text from this line on.
    #[inline]
    fn same_len(&self, number: usize, rest: &[u8]) -> usize {
        let from = self.lines.get(number).and_then(|line| self.text.get(usize::from(line.start)..));
        from.map_or(0, |text| common_len(text, rest))
    }

    fn text(&self, line: &Line) -> &[u8] {
        let start = usize::from(line.start);
        self.text.get(start..start + usize::from(line.len)).unwrap_or_default()
    }

    /// What `rest` begins with, if it is like the line expected next, of which `same_len` bytes are the same, or like the one after
    /// that.
    #[inline]
    fn like(&self, guess: &mut usize, rest: &[u8], same_len: usize) -> Like {
        if let Some(line) = self.lines.get(*guess)
            && same_len > usize::from(line.name_len)
        {
            *guess += 1;
            return Like::Name(*guess - 1, line.known, usize::from(line.name_len));
        }
        for number in *guess..*guess + 2 {
            let Some(line) = self.lines.get(number) else { break };
            let text = self.text(line);
            if rest.starts_with(text) && !text.is_empty() {
                *guess = number + 1;
                return Like::Line(*line);
            }
            let name_len = usize::from(line.name_len);
            if text.get(..=name_len).is_some_and(|name| rest.starts_with(name)) {
                *guess = number + 1;
                return Like::Name(number, line.known, name_len);
            }
        }
        Like::None
    }

    /// What comes next may be like the line at hand: a date, say. It takes the place of one as long.
    #[inline]
    fn renew(&mut self, number: usize, new: Line, rest: &[u8]) {
        let Some(line) = self.lines.get_mut(number) else { return };
        let start = usize::from(line.start);
        let len = usize::from(line.len);
        if line.len == new.len
            && let (Some(text), Some(new_text)) = (self.text.get_mut(start..start + len), rest.get(..len))
        {
            // Noted or not is up to the value.
            *line = Line { start: line.start, ..new };
            text.copy_from_slice(new_text);
        }
    }

    /// Keeps the field lines of a head that has others instead; not each time where two kinds take turns. They begin at `start` of the
    /// head, and say what `block` holds.
    #[cold]
    fn replace(&mut self, text: &[u8], start: usize, block: &HeaderBlock) {
        self.misses = self.misses.wrapping_add(1);
        if text.len() > KEPT_BYTES || !(self.lines.is_empty() || self.misses.is_multiple_of(4)) {
            return;
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        self.lines.clear();
        let fields = block.fields().get(..KEPT_FIELDS).unwrap_or(block.fields());
        for (number, field) in fields.iter().enumerate() {
            let (name, value) = (field.name_place(), field.value_place());
            let next = block.fields().get(number + 1).map(|next| next.name_place().start as usize);
            // The last one is followed by the empty line.
            let end = next.unwrap_or((start + text.len()).saturating_sub(2));
            let at = name.start as usize;
            let quiet = match field.known {
                KnownHeader::Connection => {
                    let value = value.start as usize - start..value.end as usize - start;
                    text.get(value).is_some_and(|value| !Facts::asks_for_upgrade(value))
                }
                known => !Facts::is_about(known),
            };
            self.lines.push(Line {
                start: (at - start) as u16,
                len: (end - at) as u16,
                name_len: name.len() as u16,
                value_start: (value.start as usize - at) as u16,
                value_len: value.len() as u16,
                known: field.known,
                quiet,
            });
        }
    }
}

/// How a line is like one before.
enum Like {
    /// In every byte.
    Line(Line),
    /// In its name: which line, what the name means, how long it is.
    Name(usize, KnownHeader, usize),
    None,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::head::{fast_request, fast_response};
    use super::*;
    use crate::engine::Config;
    use crate::message::{Request, Response};
    use proptest::prelude::*;

    type Said = Option<(usize, String, Vec<(KnownHeader, Vec<u8>, Vec<u8>)>)>;

    fn fields_of(block: &HeaderBlock) -> Vec<(KnownHeader, Vec<u8>, Vec<u8>)> {
        block.iter().map(|(field, name, value)| (field.known, name.to_vec(), value.to_vec())).collect()
    }

    fn request(before: Option<&mut Before>, bytes: &[u8]) -> Said {
        let mut request = Request::default();
        let (used, facts) = fast_request(&Config::default(), before, bytes, &mut request)?;
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let line = (text(Some(request.method())), text(request.target()), text(request.authority()));
        let said = format!("{line:?} {:?} {:?} {}", request.version, request.scheme, facts.spelled());
        Some((used, said, fields_of(&request.headers)))
    }

    fn response(before: Option<&mut Before>, bytes: &[u8]) -> Said {
        let mut response = Response::default();
        let (used, facts) = fast_response(&Config::default(), before, bytes, &mut response)?;
        let said = format!("{:?} {} {}", response.version, response.status, facts.spelled());
        Some((used, said, fields_of(&response.headers)))
    }

    fn head(start: &'static [&'static str]) -> impl Strategy<Value = String> {
        let line = prop::sample::select(&[
            "Host: a.example\r\n",
            "Host: b.example\r\n",
            "Host:\r\n",
            "host: a.example\r\n",
            "Hosts: a\r\n",
            "Accept: */*\r\n",
            "Accept:   */*  \r\n",
            "Accept: \t*/*\t\r\n",
            "Accept: */*\n",
            "Content-Length: 5\r\n",
            "Content-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: x\r\n",
            "Connection: keep-alive\r\n",
            "Connection: keep-alive, Upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "X-Request-Id: 0123456789abcdef\r\n",
            "X-Request-Id: 0123456789abcdeg\r\n",
            "X-Request-Id: 0123456789abcd\u{e9}\r\n",
            "X-Request-Id: 0123\x7f\r\n",
            "X-Request-Id: 01\r23\r\n",
            "X Request: 1\r\n",
            "X-Request : 1\r\n",
            ": 1\r\n",
            " folded\r\n",
            "no colon\r\n",
            "\r\n",
            "\n",
        ]);
        let end = prop::sample::select(&["\r\n", "\r\n", "\r\n", "\r\nbody\r\n\r\n", "\n", "\r", ""]);
        (prop::sample::select(start), prop::collection::vec(line, 0..7), end)
            .prop_map(|(start, lines, end)| format!("{start}{}{end}", lines.concat()))
    }

    const REQUESTS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "GET /a?b=c HTTP/1.1\r\n",
        "POST http://c.example/ HTTP/1.0\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.2\r\n",
        "GET / HTTP/1.1\n",
        "GET /\r\n",
        "CONNECT d.example:443 HTTP/1.1\r\n",
        "A-METHOD-OF-MORE-THAN-THIRTY-TWO-BYTES / HTTP/1.1\r\n",
    ];
    const RESPONSES: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 204\r\n",
        "HTTP/1.0 404 Not \u{e9}\r\n",
        "HTTP/1.1 099 Odd\r\n",
        "HTTP/1.1 2000 Odd\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 200 \tOK\r\n",
        "HTTP/2 200\r\n",
    ];

    proptest! {
        #[test]
        fn a_head_says_the_same_whatever_came_before(
            requests in prop::collection::vec(head(REQUESTS), 1..6),
            responses in prop::collection::vec(head(RESPONSES), 1..6),
        ) {
            let (mut client, mut server) = (Before::default(), Before::default());
            for head in requests.iter().chain(&requests) {
                prop_assert_eq!(request(Some(&mut client), head.as_bytes()), request(None, head.as_bytes()));
            }
            for head in responses.iter().chain(&responses) {
                prop_assert_eq!(response(Some(&mut server), head.as_bytes()), response(None, head.as_bytes()));
            }
        }
    }

    #[test]
    fn the_second_of_two_like_heads_is_read_against_the_first() {
        let heads =
            ["Host: a\r\nDate: Mon\r\nTe: x\r\n\r\n", "Host: a\r\nDate: Tue\r\n\r\n", "Host: a\r\nTe: x\r\n\r\n"];
        let mut before = Before::default();
        for (number, head) in heads.into_iter().enumerate() {
            let (mut block, mut facts) = (HeaderBlock::default(), Facts::default());
            let end = fields(&mut before, head.as_bytes(), 0, 64, &mut block, &mut facts);
            assert_eq!(end, Some(head.len()));
            // Only the first one had anything new.
            assert_eq!(before.lines.len(), 3, "{number}");
        }
        assert_eq!(before.text, b"Host: a\r\nDate: Tue\r\nTe: x\r\n\r\n");
    }

    #[test]
    fn printable_bytes_at_every_place() {
        for len in 0..40 {
            for stop in [0u8, 9, 13, 0x1f, 0x20, 0x7f, 0x80, 0xff] {
                let mut bytes = vec![b'~'; len];
                bytes.push(stop);
                bytes.extend([b'!'; 9]);
                assert_eq!(printable_len::<0x21>(&bytes), len);
                assert_eq!(printable_len::<0x20>(&bytes), if stop == 0x20 { bytes.len() } else { len });
            }
        }
    }
}
