//! Bodies that are taken apart, trailers, and the ends of messages.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::chunked::{Chunked, Step};
use super::scan::LineScan;
use super::{Http1, State, body_mut, lenient};
use crate::anomaly::{Anomalies, Anomaly};
use crate::engine::Engine;

impl Http1 {
    /// Bytes of the body went by.
    pub(super) fn touch(&mut self, direction: Direction, time: Timestamp) {
        let pending = match direction {
            Direction::ToServer => self.pairing.request_mut(),
            Direction::ToClient => self.pairing.response_mut(),
        };
        if let Some(pending) = pending {
            let end = match direction {
                Direction::ToServer => &mut pending.transaction.request_end,
                Direction::ToClient => &mut pending.transaction.response_end,
            };
            *end = Some(time);
        }
    }

    /// A message has ended; `complete`: at its proper end.
    pub(super) fn end_message(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, complete: bool) {
        self.touch(direction, time);
        self.end_message_untimed(engine, direction, complete);
    }

    /// A message has ended with the byte before.
    pub(super) fn end_message_untimed(&mut self, engine: &mut Engine, direction: Direction, complete: bool) {
        let is_request = direction == Direction::ToServer;
        let (side, pending) = match direction {
            Direction::ToServer => (&mut self.client, self.pairing.request_mut()),
            Direction::ToClient => (&mut self.server, self.pairing.response_mut()),
        };
        let Some(pending) = pending else {
            side.state = State::Start;
            return;
        };
        let transaction = &mut pending.transaction;
        let holds = pending.holds;
        if std::mem::take(&mut side.has_body) {
            self.bodies.finish(&mut side.body, engine, complete, transaction, is_request);
        } else {
            body_mut(transaction, direction).complete = complete;
        }
        if !complete {
            transaction.anomalies.insert(Anomaly::IncompleteBody);
        }
        side.clear_buffer();
        side.state = if is_request && holds && !pending.responded { State::Held } else { State::Start };
        if is_request {
            self.pairing.end_request(engine);
        } else if self.pairing.end_response(engine) {
            self.release = true;
        }
    }

    pub(super) fn read_chunks(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
        mut chunked: Chunked,
    ) -> usize {
        let mut anomalies = Anomalies::default();
        let mut at = 0;
        let mut next = State::Lost;
        let mut broken = false;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match chunked.step(rest, &mut anomalies) {
                Step::Framing(len) => at += len,
                Step::Data(left) => {
                    let len = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.side(direction).pass(engine, rest.get(..len).unwrap_or_default());
                    chunked.pass(len as u64);
                    at += len;
                }
                Step::Trailer(len) => {
                    at += len;
                    next = State::Trailer;
                    let side = self.side(direction);
                    side.scan = LineScan::after_first_line();
                    side.buffer.clear();
                    break;
                }
                Step::Broken(len) => {
                    at += len;
                    broken = true;
                    break;
                }
            }
        }
        self.touch(direction, time);
        let mut odd = anomalies;
        odd.remove(Anomaly::LongChunkExtension);
        self.note(direction, anomalies, !odd.is_empty());
        if broken {
            self.lose_place(engine, direction);
            return at;
        }
        self.side(direction).state = if matches!(next, State::Trailer) { next } else { State::Chunks(chunked) };
        at
    }

    pub(super) fn read_trailer(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
    ) -> usize {
        let side = self.side(direction);
        let end = side.scan.find_end(bytes);
        let len = end.unwrap_or(bytes.len());
        let piece = bytes.get(..len).unwrap_or_default();
        if end.is_some() && side.buffer.is_empty() && piece == b"\r\n" {
            self.end_message(engine, direction, time, true);
            return len;
        }
        let room = engine.config.head_bytes.saturating_sub(side.buffer.len());
        side.buffer.extend_from_slice(piece.get(..len.min(room)).unwrap_or_default());
        if end.is_none() {
            return len;
        }
        let section = std::mem::take(&mut side.buffer);
        let pending = match direction {
            Direction::ToServer => self.pairing.request_mut(),
            Direction::ToClient => self.pairing.response_mut(),
        };
        if let Some(pending) = pending
            && section != b"\r\n"
        {
            let transaction = &mut pending.transaction;
            let block = match direction {
                Direction::ToServer => transaction.request.as_mut().map(|request| &mut request.headers),
                Direction::ToClient => transaction.response.as_mut().map(|response| &mut response.headers),
            };
            if let Some(block) = block {
                transaction.anomalies.extend(lenient::parse_trailers(&engine.config, &section, block));
            }
        }
        self.put_buffer_back(direction, section);
        self.end_message(engine, direction, time, true);
        len
    }

    /// Notes oddities with the message being read; `ambiguous`: readers may disagree about where it ends.
    fn note(&mut self, direction: Direction, anomalies: Anomalies, ambiguous: bool) {
        if anomalies.is_empty() {
            return;
        }
        let pending = match direction {
            Direction::ToServer => self.pairing.request_mut(),
            Direction::ToClient => self.pairing.response_mut(),
        };
        if let Some(pending) = pending {
            pending.transaction.anomalies.extend(anomalies);
            pending.transaction.coverage.tainted |= ambiguous;
        }
        self.pairing.doubt |= ambiguous;
    }
}
