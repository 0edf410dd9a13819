//! Reading the heads of one direction.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::scan::LineScan;
use super::start_line::{is_token, parse_request_line, parse_status_line, strip_line_end};
use super::{Http1, State, head, lenient};
use crate::engine::Engine;
use crate::message::Version;

/// What is missing of a head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Nothing.
    No,
    /// What is past the limit; the whole head has so many bytes.
    Limit(usize),
    /// What a gap swallowed.
    Lost,
}

impl Cut {
    fn after(overflow: bool, total: usize) -> Cut {
        if overflow { Cut::Limit(total) } else { Cut::No }
    }
}

impl Http1 {
    /// Between messages: skips empty lines, then reads a head in place if it is all here.
    pub(super) fn read_start(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
        fresh: bool,
    ) -> usize {
        let Some(first) = bytes.first().copied() else { return 0 };
        if first == b'\r' || first == b'\n' {
            return bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        }
        if direction == Direction::ToClient && !matches!(first, b'H' | b'h') && self.answers_http09() {
            return self.begin_http09_answer(engine, time);
        }
        let plausible = match direction {
            Direction::ToServer => is_token(first),
            Direction::ToClient => matches!(first, b'H' | b'h'),
        };
        if !plausible {
            self.lose_to_garbage(engine, direction);
            return 0;
        }
        if direction == Direction::ToServer && !std::mem::take(&mut self.client.found) {
            let clean = fresh && matches!(self.server.state, State::Start);
            self.pairing.request_begins(clean);
        }
        let side = self.side(direction);
        side.start = (time, side.offset);
        side.scan = LineScan::default();
        // Once a message: where it does not succeed, the end is looked for first, so that no byte is parsed a third time (F033).
        if let Some(used) = self.take_whole_head(engine, direction, time, bytes) {
            return used;
        }
        let side = self.side(direction);
        let Some(end) = side.scan.find_end(bytes) else {
            let first_line = side.scan.first_line();
            side.state = State::Head;
            return self.keep_head(engine, direction, time, bytes, first_line);
        };
        let head = bytes.get(..end).unwrap_or_default();
        match self.take_head(engine, direction, time, head, Cut::No) {
            Some(used) => used,
            None => self.reject_line(engine, direction, head),
        }
    }

    /// In a head that began in an earlier segment.
    pub(super) fn read_head(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
    ) -> usize {
        let side = self.side(direction);
        let known_line = side.scan.first_line();
        let before = side.offset.saturating_sub(side.start.1);
        let end = side.scan.find_end(bytes);
        let first_line = side.scan.first_line().filter(|_| known_line.is_none());
        let Some(end) = end else {
            return self.keep_head(engine, direction, time, bytes, first_line);
        };
        // `head_bytes` is a bound on what is kept; the head's end is found all the same.
        let room = engine.config.head_bytes.saturating_sub(side.buffer.len());
        side.buffer.extend_from_slice(bytes.get(..end.min(room)).unwrap_or_default());
        let overflow = end > room;
        let head = std::mem::take(&mut side.buffer);
        let total = usize::try_from(before).unwrap_or(usize::MAX).saturating_add(end);
        let used = self.take_head(engine, direction, time, &head, Cut::after(overflow, total));
        let line = first_line.unwrap_or(head.len());
        self.put_buffer_back(direction, head);
        match used {
            // A head of one line (HTTP/0.9) ends before the empty line.
            Some(used) if !overflow => used.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX)).min(end),
            Some(_) => end,
            None => {
                self.lose_to_garbage(engine, direction);
                line.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX)).min(end)
            }
        }
    }

    /// Keeps a piece of an unfinished head. `first_line`: its first line ended in this piece, after so many bytes of the head.
    fn keep_head(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
        first_line: Option<usize>,
    ) -> usize {
        let side = self.side(direction);
        let before = side.offset.saturating_sub(side.start.1);
        let room = engine.config.head_bytes.saturating_sub(side.buffer.len());
        side.buffer.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        let Some(first_line) = first_line else { return bytes.len() };
        let in_piece = first_line.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX)).min(bytes.len());
        let line = side.buffer.get(..first_line).map(strip_line_end);
        let line = line.unwrap_or_default();
        let verdict = match direction {
            // The start line alone is past the limit.
            Direction::ToServer if first_line > side.buffer.len() => {
                lenient::long_request_line(&side.buffer).map(|line| line.version)
            }
            Direction::ToServer => parse_request_line(line).map(|line| line.version),
            Direction::ToClient => parse_status_line(line).map(|line| line.version),
        };
        match verdict {
            None => {
                self.lose_to_garbage(engine, direction);
                in_piece
            }
            Some(Version::Http09) => {
                let mut head = std::mem::take(&mut side.buffer);
                head.truncate(first_line);
                let _ = self.take_head(engine, direction, time, &head, Cut::No);
                self.put_buffer_back(direction, head);
                in_piece
            }
            Some(_) => bytes.len(),
        }
    }

    pub(super) fn put_buffer_back(&mut self, direction: Direction, buffer: Vec<u8>) {
        let side = self.side(direction);
        side.buffer = buffer;
        side.clear_buffer();
    }

    /// The line is no start line: goes on looking behind it.
    fn reject_line(&mut self, engine: &mut Engine, direction: Direction, head: &[u8]) -> usize {
        self.lose_to_garbage(engine, direction);
        memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1)
    }

    /// The head is all at the start of `bytes`, and `httparse` takes it.
    fn take_whole_head(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
    ) -> Option<usize> {
        match direction {
            Direction::ToServer => {
                let mut request = engine.new_request();
                let before = engine.usual_heads.before(self.heads, direction.index());
                match head::fast_request(&engine.config, before, bytes, &mut request) {
                    Some((used, facts)) => {
                        self.begin_request(engine, time, request, facts, used, false);
                        Some(used)
                    }
                    None => {
                        engine.put_request_back(request);
                        None
                    }
                }
            }
            Direction::ToClient => {
                let mut response = engine.new_response();
                let before = engine.usual_heads.before(self.heads, direction.index());
                match head::fast_response(&engine.config, before, bytes, &mut response) {
                    Some((used, facts)) => {
                        self.begin_response(engine, time, response, facts, false);
                        Some(used)
                    }
                    None => {
                        engine.put_response_back(response);
                        None
                    }
                }
            }
        }
    }

    /// `head` is a whole head, or the beginning of one: how much of it was read; `None` if it is none.
    fn take_head(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: &[u8],
        cut: Cut,
    ) -> Option<usize> {
        match direction {
            Direction::ToServer => {
                let mut request = engine.new_request();
                let before = engine.usual_heads.before(self.heads, direction.index());
                let Some((used, facts)) =
                    head::parse_request(&engine.config, before, head, cut == Cut::Lost, &mut request)
                else {
                    engine.put_request_back(request);
                    return None;
                };
                let len = if let Cut::Limit(total) = cut { total } else { used };
                self.begin_request(engine, time, request, facts, len, cut == Cut::Lost);
                Some(used)
            }
            Direction::ToClient => {
                let mut response = engine.new_response();
                let before = engine.usual_heads.before(self.heads, direction.index());
                let Some((used, facts)) =
                    head::parse_response(&engine.config, before, head, cut == Cut::Lost, &mut response)
                else {
                    engine.put_response_back(response);
                    return None;
                };
                self.begin_response(engine, time, response, facts, cut == Cut::Lost);
                Some(used)
            }
        }
    }

    /// A gap cuts a head: what was read of it is given out if it names the message.
    pub(super) fn cut_head(&mut self, engine: &mut Engine, direction: Direction) {
        let side = self.side(direction);
        let head = std::mem::take(&mut side.buffer);
        let time = side.start.0;
        let _ = self.take_head(engine, direction, time, &head, Cut::Lost);
        self.put_buffer_back(direction, head);
    }
}
