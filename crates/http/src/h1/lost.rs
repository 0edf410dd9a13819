//! The place in a direction is lost, and looked for again.

use umbra_flow::Direction;

use super::resync::{find_request, find_response};
use super::scan::LineScan;
use super::{Http1, State};
use crate::anomaly::Anomaly;
use crate::engine::Engine;

/// Bytes of a lost line kept beside the longest target: method, blanks and version.
const LINE_SPARE_BYTES: usize = 64;

impl Http1 {
    /// Something that is no message where one should begin.
    pub(super) fn lose_to_garbage(&mut self, engine: &mut Engine, direction: Direction) {
        self.pairing.doubt = true;
        self.pairing.anomalies.insert(Anomaly::ProtocolChange);
        self.lose_place(engine, direction);
    }

    /// Bytes are missing, and whole messages with them.
    pub(super) fn lose(&mut self, engine: &mut Engine, direction: Direction) {
        self.lose_place(engine, direction);
        match direction {
            Direction::ToServer => self.pairing.lose_requests(),
            Direction::ToClient => self.pairing.lose_responses(engine),
        }
    }

    /// The place in the stream is lost: the message being read ends here, the next one is looked for.
    pub(super) fn lose_place(&mut self, engine: &mut Engine, direction: Direction) {
        let reading = match direction {
            Direction::ToServer => self.pairing.requesting,
            Direction::ToClient => self.pairing.answering,
        };
        if reading {
            self.end_message_untimed(engine, direction, false);
        }
        if direction == Direction::ToClient {
            // Responses may stand in what is skipped.
            self.pairing.lose_responses(engine);
        }
        let side = self.side(direction);
        if !matches!(side.state, State::Lost) {
            engine.counters.resyncs += 1;
        }
        side.state = State::Lost;
        side.has_body = false;
        side.clear_buffer();
        side.aligned = false;
    }

    /// Looks for the start of a message, line by line.
    pub(super) fn read_lost(&mut self, engine: &mut Engine, direction: Direction, bytes: &[u8]) -> usize {
        let line_end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let awaited = self.pairing.awaits_response();
        let side = self.side(direction);
        let Some(len) = line_end else {
            let bound = engine.config.target_bytes.saturating_add(LINE_SPARE_BYTES);
            side.buffer.extend_from_slice(bytes);
            if side.buffer.len() > bound.saturating_mul(2) {
                let surplus = side.buffer.len() - bound;
                side.buffer.drain(..surplus);
                side.aligned = false;
                engine.counters.resync_bytes += surplus as u64;
            }
            return bytes.len();
        };
        let piece = bytes.get(..len).unwrap_or_default();
        let kept = side.buffer.len();
        if kept > 0 {
            side.buffer.extend_from_slice(piece);
        }
        let line = if kept > 0 { side.buffer.as_slice() } else { piece };
        let aligned = std::mem::take(&mut side.aligned);
        let found = match direction {
            Direction::ToServer => find_request(line, aligned),
            // Without a request that waits, text in a body is likelier than a response.
            Direction::ToClient => find_response(line).filter(|at| awaited || (aligned && *at == 0)),
        };
        let skipped = found.unwrap_or(line.len());
        engine.counters.resync_bytes += skipped as u64;
        let Some(at) = found else {
            side.clear_buffer();
            return len;
        };
        if !(aligned && at == 0) {
            // It may stand in a body: what follows confirms nothing until client and server agree again.
            self.pairing.doubt = true;
        }
        if direction == Direction::ToServer {
            let unclean = std::mem::take(&mut self.client.unclean);
            let clean = aligned && at == 0 && !unclean && matches!(self.server.state, State::Start);
            self.pairing.request_begins(clean);
        }
        let side = self.side(direction);
        side.state = State::Start;
        side.found = kept == 0 && direction == Direction::ToServer;
        if kept == 0 {
            return at;
        }
        // The start line came in pieces.
        let line = std::mem::take(&mut side.buffer);
        let start = line.get(at..).unwrap_or_default();
        let before = side.offset.saturating_sub(kept as u64).saturating_add(at as u64);
        self.restart_head(direction, start, before);
        len
    }

    fn restart_head(&mut self, direction: Direction, line: &[u8], offset: u64) {
        let time = self.last_time.unwrap_or_default();
        let side = self.side(direction);
        side.start = (time, offset);
        side.scan = LineScan::default();
        let _ = side.scan.find_end(line);
        side.buffer.extend_from_slice(line);
        side.state = State::Head;
    }
}
