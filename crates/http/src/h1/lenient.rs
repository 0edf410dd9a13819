//! Heads that `httparse` refuses: folded lines, odd line ends, blanks, versions and bytes; over-long and cut ones.

use memchr::memchr;

use super::framing::Facts;
use super::head::is_forbidden_trailer;
use super::known::known_header;
use super::start_line::{RequestLine, StatusLine, is_token, parse_request_line, parse_status_line, strip_line_end};
use crate::anomaly::{Anomalies, Anomaly};
use crate::engine::Config;
use crate::message::{HeaderBlock, KnownHeader, Version};

/// The first line of a message.
#[derive(Debug)]
pub(super) enum StartLine {
    Request(RequestLine),
    Status(StatusLine),
}

/// Parses a head line by line: how long it is, its start line and what its fields say. `None`: no start line. `cut`: the
/// head goes on behind `bytes`; its last, unfinished line is left out.
pub(super) fn parse(
    config: &Config,
    bytes: &[u8],
    cut: bool,
    is_request: bool,
    block: &mut HeaderBlock,
) -> Option<(usize, StartLine, Facts)> {
    let kept = bytes.get(..bytes.len().min(config.head_bytes))?;
    let mut facts = Facts::default();
    let Some(line_end) = memchr(b'\n', kept).map(|at| at + 1) else {
        // The start line alone is past the limit.
        facts.anomalies.insert(Anomaly::HeaderLimit);
        let line = (is_request && !cut).then(|| long_request_line(kept))??;
        block.store(kept);
        return Some((bytes.len(), StartLine::Request(line), facts));
    };
    let line = kept.get(..line_end)?;
    note_line(line, &mut facts.anomalies);
    let line = strip_line_end(line);
    let start = if is_request {
        StartLine::Request(parse_request_line(line)?)
    } else {
        StartLine::Status(parse_status_line(line)?)
    };
    if let StartLine::Request(RequestLine { version: Version::Http09, .. }) = &start {
        block.store(kept.get(..line_end)?);
        return Some((line_end, start, facts));
    }
    let mut fields = Fields { config, facts: &mut facts, trailer: false };
    let (used, ended) = fields.parse(kept, line_end, block);
    if !ended && !cut {
        // The empty line lies behind the bytes that are kept.
        facts.anomalies.insert(Anomaly::HeaderLimit);
        return Some((bytes.len(), start, facts));
    }
    Some((used, start, facts))
}

/// Method and the beginning of the target of a request line that goes on behind `bytes`.
pub(super) fn long_request_line(bytes: &[u8]) -> Option<RequestLine> {
    let method_end = memchr(b' ', bytes)?;
    let method = bytes.get(..method_end)?;
    let target = method_end + 1;
    let target_end = bytes.get(target..)?.iter().position(|byte| *byte == b' ').map_or(bytes.len(), |len| target + len);
    (method_end > 0 && method.iter().all(|byte| is_token(*byte)) && target_end > target).then(|| RequestLine {
        method: (0, method_end),
        target: (target, target_end),
        version: Version::Http11,
        anomalies: Anomalies::default(),
    })
}

/// Parses a trailer section, the empty line at its end included, into the block of the message.
pub(super) fn parse_trailers(config: &Config, bytes: &[u8], block: &mut HeaderBlock) -> Anomalies {
    let mut facts = Facts::default();
    let room = config.head_bytes.saturating_sub(block.len_bytes().min(config.head_bytes));
    let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
    let mut fields = Fields { config, facts: &mut facts, trailer: true };
    let (_, ended) = fields.parse(kept, 0, block);
    if !ended {
        facts.anomalies.insert(Anomaly::HeaderLimit);
    }
    facts.anomalies
}

/// Oddities of a line (with its end) that do not depend on what it says.
fn note_line(line: &[u8], anomalies: &mut Anomalies) {
    if !line.ends_with(b"\r\n") {
        anomalies.insert(Anomaly::BareLineEnd);
    }
    for byte in strip_line_end(line) {
        match byte {
            b'\t' => {}
            b'\r' => anomalies.insert(Anomaly::BareLineEnd),
            0x00..=0x1f | 0x7f => anomalies.insert(Anomaly::ControlByte),
            0x80.. => anomalies.insert(Anomaly::NonAscii),
            _ => {}
        }
    }
}

struct Fields<'a> {
    config: &'a Config,
    facts: &'a mut Facts,
    trailer: bool,
}

/// A field whose next line may be a continuation. Places in the head.
struct Open {
    name: (usize, usize),
    value: (usize, usize),
    odd: bool,
}

impl Fields<'_> {
    /// Reads the lines from `start` to the empty one: how many bytes of the head were read, and whether it came.
    fn parse(&mut self, head: &[u8], start: usize, block: &mut HeaderBlock) -> (usize, bool) {
        // A fold is read as blanks (RFC 9112 §5.2): the line ends are overwritten in this copy.
        let mut text = head.to_vec();
        let mut open: Option<Open> = None;
        let mut pushed: Vec<Open> = Vec::new();
        let mut at = start;
        let mut ended = false;
        while let Some(len) = head.get(at..).and_then(|rest| memchr(b'\n', rest)) {
            let next = at + len + 1;
            let line = head.get(at..next).unwrap_or_default();
            let content = strip_line_end(line);
            let content_end = at + content.len();
            if content.is_empty() {
                if !line.ends_with(b"\r\n") {
                    self.facts.anomalies.insert(Anomaly::BareLineEnd);
                }
                (at, ended) = (next, true);
                break;
            }
            note_line(line, &mut self.facts.anomalies);
            if matches!(content.first(), Some(b' ' | b'\t')) {
                match &mut open {
                    Some(field) => {
                        self.facts.anomalies.insert(Anomaly::FoldedHeader);
                        if let Some(fold) = text.get_mut(field.value.1..at) {
                            fold.fill(b' ');
                        }
                        field.value.1 = content_end;
                        field.odd = true;
                    }
                    // RFC 9112 §2.2: such a line before the first field is left out.
                    None => self.facts.anomalies.insert(Anomaly::BadHeaderLine),
                }
            } else {
                pushed.extend(open.take());
                open = self.line(content, at);
            }
            at = next;
        }
        pushed.extend(open.take());
        let base = block.store(text.get(..at).unwrap_or_default()).start;
        for field in pushed {
            self.push(&text, base, field, block);
        }
        (at, ended)
    }

    /// A line that begins a field; `offset`: where it begins in the head.
    fn line(&mut self, content: &[u8], offset: usize) -> Option<Open> {
        let Some(colon) = memchr(b':', content) else {
            self.facts.anomalies.insert(Anomaly::BadHeaderLine);
            return None;
        };
        let name = content.get(..colon).unwrap_or_default();
        let name_len = name.trim_ascii_end().len();
        if name_len == 0 {
            self.facts.anomalies.insert(Anomaly::BadHeaderLine);
            return None;
        }
        let spaced = name_len != name.len();
        if spaced {
            self.facts.anomalies.insert(Anomaly::SpaceBeforeColon);
        }
        if !name.iter().take(name_len).all(|byte| is_token(*byte)) {
            self.facts.anomalies.insert(Anomaly::BadHeaderLine);
        }
        Some(Open {
            name: (offset, offset + name_len),
            value: (offset + colon + 1, offset + content.len()),
            odd: spaced,
        })
    }

    fn push(&mut self, text: &[u8], base: u32, field: Open, block: &mut HeaderBlock) {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let raw = text.get(field.value.0..field.value.1).unwrap_or_default();
        let lead = raw.iter().take_while(|byte| blank(byte)).count();
        let trail = raw.iter().skip(lead).rev().take_while(|byte| blank(byte)).count();
        let (start, end) = (field.value.0 + lead, field.value.1 - trail);
        let name = text.get(field.name.0..field.name.1).unwrap_or_default();
        let value = text.get(start..end).unwrap_or_default();
        let known = if name.iter().all(|byte| is_token(*byte)) { known_header(name) } else { KnownHeader::Other };
        let place = |start: usize, end: usize| base + start as u32..base + end as u32;
        if self.trailer {
            if is_forbidden_trailer(known) {
                self.facts.anomalies.insert(Anomaly::ForbiddenTrailer);
            }
        } else {
            self.facts.note(known, value, place(start, end));
            if field.odd {
                self.facts.note_odd_spelling(known);
            }
        }
        if block.fields().len() >= self.config.fields {
            self.facts.anomalies.insert(Anomaly::HeaderLimit);
            return;
        }
        block.push_stored(known, place(field.name.0, field.name.1), place(start, end));
        if self.trailer
            && let Some(field) = block.last_mut()
        {
            field.trailer = true;
        }
    }
}
