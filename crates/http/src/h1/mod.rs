//! HTTP/1 (RFC 9112, RFC 1945) of one connection: heads, framing, pairing, finding the place again after a loss.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────┐
//!            ▼                                                          │ end of message
//!  Start ──► Head ──► Length │ Chunks ──► Trailer │ Close ──────────────┤
//!    │        │          │        │                                     │
//!    │        │ gap, garbage, broken or unknown framing                 │
//!    └────────┴──────────┴────────┴──► Lost ── a message begins ────────┘
//!  (client) after CONNECT or Upgrade: Held, until the server answers
//! ```

mod begin;
mod chunked;
mod end;
mod framing;
mod head;
pub(crate) mod known;
mod lenient;
mod lost;
mod pairing;
mod receive;
mod resync;
mod scan;
mod start_line;
mod switch;
mod usual;

use std::time::Duration;

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use self::chunked::Chunked;
pub(crate) use self::head::is_forbidden_trailer;
use self::pairing::{LAST_WORD, Pairing};
use self::scan::LineScan;
pub(crate) use self::start_line::{Guess, recognise_request, recognise_response};
pub(crate) use self::switch::{Origin, Switch};
pub(crate) use self::usual::UsualHeads;
use crate::anomaly::Anomaly;
use crate::body::{BodyReader, FlowBodies};
use crate::engine::Engine;
use crate::replay::{Replay, Step};
use crate::transaction::Body;

/// Bytes kept of what a client sends behind CONNECT or Upgrade before the server has answered (F044).
const HELD_BYTES: usize = 16 * 1024;
/// A buffer larger than this is given back once a message has ended: idle flows stay small.
const KEPT_BUFFER_BYTES: usize = 512;

/// HTTP/1 state of one connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    client: Side,
    server: Side,
    pairing: Pairing,
    bodies: FlowBodies,
    /// Where its heads are kept to read the next ones against.
    heads: usize,
    /// What the client sent behind CONNECT or Upgrade, or instead of a body that it had announced.
    held: Option<Box<Replay>>,
    last_direction: Option<Direction>,
    last_time: Option<Timestamp>,
    /// Set where the connection changes its protocol: the loop ends there.
    switch: Option<Box<Switch>>,
    /// What is held may be read now.
    release: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    state: State,
    /// The unfinished head, trailer section or (lost) line.
    buffer: Vec<u8>,
    scan: LineScan,
    /// Bytes since the flow's start, gaps counted.
    offset: u64,
    /// Where and when the head being read began.
    start: (Timestamp, u64),
    /// Lost: nothing of this turn was read yet, a message is likely to begin here.
    aligned: bool,
    /// The client: bytes that were taken for a head were dropped, so framing stays in doubt.
    unclean: bool,
    /// The message that begins here was found while the place was lost.
    found: bool,
    /// A retransmission contradicted bytes of the head being read.
    conflict: bool,
    /// A body is being read.
    has_body: bool,
    ended: bool,
    body: BodyReader,
}

/// What the next byte of a direction belongs to.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between messages.
    #[default]
    Start,
    /// In a head, whose bytes so far are in the buffer.
    Head,
    /// In a body with so many bytes left.
    Length(u64),
    /// In a chunked body.
    Chunks(Chunked),
    /// In the trailer section.
    Trailer,
    /// In a body that ends with the connection.
    Close,
    /// Nobody knows.
    Lost,
    /// Before a body of so many bytes that the client, which had asked first, may not send after the answer it got.
    Unsent(u64),
    /// Behind a request whose answer decides who reads on.
    Held,
}

impl Http1 {
    /// A connection that speaks HTTP/1. `lost`: by direction, what was seen so far is not the start of a message.
    pub(crate) fn new(engine: &mut Engine, origin: Origin, lost: [bool; 2]) -> Self {
        let side = |index: usize| Side {
            state: if lost[index] { State::Lost } else { State::Start },
            offset: origin.offsets[index],
            ..Side::default()
        };
        for _ in lost.iter().filter(|lost| **lost) {
            engine.counters.resyncs += 1;
        }
        let mut pairing = Pairing::default();
        pairing.next_index = origin.next_index;
        if origin.mid_stream {
            pairing.join_mid_stream();
        }
        if lost[0] || origin.gaps[0] {
            pairing.lose_requests();
        }
        if lost[1] || origin.gaps[1] {
            pairing.lose_responses(engine);
        }
        Http1 {
            client: side(0),
            server: side(1),
            pairing,
            bodies: FlowBodies::default(),
            heads: engine.usual_heads.slot(),
            held: None,
            last_direction: None,
            last_time: None,
            switch: None,
            release: false,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    /// The next bytes of a direction (by role): how many were read, and what the connection becomes where not all were.
    pub(crate) fn handle_data(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
    ) -> (usize, Option<Box<Switch>>) {
        if self.side(direction).ended {
            return (bytes.len(), None);
        }
        let mut fresh = self.turn(direction);
        let silence = self.last_time.replace(time).map_or(Duration::ZERO, |last| time.since(last));
        self.pairing.bytes_came(direction, silence);
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let used = self.step(engine, direction, time, rest, fresh);
            let side = self.side(direction);
            side.offset = side.offset.saturating_add(used as u64);
            // Empty lines before a message change nothing.
            fresh &= rest.iter().take(used).all(|byte| matches!(byte, b'\r' | b'\n'));
            at = at.saturating_add(used);
            if self.switch.is_some() {
                return (at, self.take_switch());
            }
            if self.release {
                // At once: the next response in these bytes may answer what was held.
                self.release_held(engine);
            }
        }
        (at, None)
    }

    /// Takes note of who speaks. True if it was the other one before (or nobody).
    fn turn(&mut self, direction: Direction) -> bool {
        self.pairing.seen[direction.index()] = true;
        if self.last_direction.replace(direction) == Some(direction) {
            return false;
        }
        let doubt = self.pairing.doubt;
        let side = self.side(direction);
        if doubt && direction == Direction::ToServer && matches!(side.state, State::Head) {
            // Not a head: the server would not have answered in the middle of one.
            (side.state, side.unclean) = (State::Lost, true);
        }
        if matches!(side.state, State::Lost) {
            side.buffer.clear();
            side.aligned = true;
        }
        true
    }

    /// Reads some of the bytes (none only if the state changes).
    fn step(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8], fresh: bool) -> usize {
        match self.side(direction).state {
            State::Start => self.read_start(engine, direction, time, bytes, fresh),
            State::Head => self.read_head(engine, direction, time, bytes),
            State::Length(left) => {
                let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - len as u64;
                let side = self.side(direction);
                side.state = State::Length(left);
                side.pass(engine, bytes.get(..len).unwrap_or_default());
                if left == 0 {
                    self.end_message(engine, direction, time, true);
                } else {
                    self.touch(direction, time);
                }
                len
            }
            State::Close => {
                self.side(direction).pass(engine, bytes);
                self.touch(direction, time);
                bytes.len()
            }
            State::Chunks(chunked) => self.read_chunks(engine, direction, time, bytes, chunked),
            State::Trailer => self.read_trailer(engine, direction, time, bytes),
            State::Lost => self.read_lost(engine, direction, bytes),
            State::Unsent(left) => self.read_unsent(engine, direction, time, bytes, left),
            State::Held => {
                let held = self.held.get_or_insert_default();
                held.push(direction, time, bytes);
                if held.cost_bytes() > HELD_BYTES {
                    self.release = true;
                }
                bytes.len()
            }
        }
    }

    /// `len` bytes of a direction (by role) are missing; `truncated` if the snap length cut them.
    pub(crate) fn handle_gap(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        len: u64,
        truncated: bool,
    ) {
        if self.side(direction).ended {
            return;
        }
        self.settle_unsent(engine);
        self.turn(direction);
        let silence = self.last_time.replace(time).map_or(Duration::ZERO, |last| time.since(last));
        self.pairing.time_passed(silence);
        let side = self.side(direction);
        let state = side.state;
        // Where framing holds over the gap, so many of its bytes are the body's.
        let known = match state {
            State::Length(left) => left.min(len),
            State::Chunks(chunked) => chunked.data_left().filter(|left| *left >= len).map_or(0, |_| len),
            State::Close => len,
            _ => 0,
        };
        if known > 0 {
            side.body.gap(known);
        }
        if let State::Head = state {
            self.cut_head(engine, direction);
        }
        self.note_gap(direction, len, truncated);
        match state {
            State::Length(left) => {
                self.side(direction).state = State::Length(left - known);
                if left == known {
                    self.end_message(engine, direction, time, true);
                }
            }
            State::Chunks(mut chunked) if known > 0 => {
                chunked.pass(known);
                self.side(direction).state = State::Chunks(chunked);
            }
            State::Held => {
                self.held.get_or_insert_default().push_gap(direction, time, len, truncated);
                let side = self.side(direction);
                side.offset = side.offset.saturating_add(len);
                return;
            }
            _ => {}
        }
        if known < len {
            self.lose(engine, direction);
            let side = self.side(direction);
            side.aligned = true;
            side.buffer.clear();
        }
        let side = self.side(direction);
        side.offset = side.offset.saturating_add(len);
    }

    /// The transaction that lacks the bytes says so.
    fn note_gap(&mut self, direction: Direction, len: u64, truncated: bool) {
        let pending = match direction {
            Direction::ToServer if self.pairing.requesting => self.pairing.request_mut(),
            Direction::ToServer => None,
            Direction::ToClient if self.pairing.answering => self.pairing.response_mut(),
            Direction::ToClient => self.pairing.newest_mut(),
        };
        if let Some(pending) = pending {
            let coverage = &mut pending.transaction.coverage;
            coverage.gap_bytes = coverage.gap_bytes.saturating_add(len);
            coverage.truncated |= truncated;
        }
    }

    /// A retransmission contradicted bytes of a direction (by role).
    pub(crate) fn handle_conflict(&mut self, direction: Direction) {
        let side = self.side(direction);
        if let State::Head = side.state {
            side.conflict = true;
            return;
        }
        let pending = match direction {
            Direction::ToServer => self.pairing.newest_mut(),
            Direction::ToClient => self.pairing.response_mut(),
        };
        if let Some(pending) = pending {
            pending.transaction.coverage.tainted = true;
            pending.transaction.anomalies.insert(Anomaly::SegmentConflict);
        }
    }

    /// No more bytes in a direction (by role).
    pub(crate) fn handle_end(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, reason: EndReason) {
        self.settle_unsent(engine);
        let whole_flow = !matches!(reason, EndReason::Fin | EndReason::Reset);
        for ending in [Direction::ToServer, Direction::ToClient] {
            if ending == direction || whole_flow {
                self.end_direction(engine, ending, time, reason);
            }
        }
        if self.client.ended && self.server.ended {
            self.pairing.requesting = false;
            self.pairing.answering = false;
            self.pairing.give_out_waiting(engine);
            self.held = None;
        }
    }

    fn end_direction(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, reason: EndReason) {
        let side = self.side(direction);
        if std::mem::replace(&mut side.ended, true) {
            return;
        }
        // RFC 9112 §8: only an orderly end completes a body without length.
        let complete = matches!(side.state, State::Close) && reason == EndReason::Fin;
        side.buffer = Vec::new();
        let reading = match direction {
            Direction::ToServer => self.pairing.requesting,
            Direction::ToClient => self.pairing.answering,
        };
        if reading {
            // The last byte's time stands.
            self.end_message_untimed(engine, direction, complete);
        }
        if direction == Direction::ToClient {
            let silence = self.last_time.map_or(Duration::ZERO, |last| time.since(last));
            self.pairing.release_withheld(engine, reason == EndReason::Fin || silence >= LAST_WORD);
            self.pairing.give_out_waiting(engine);
            if !self.pairing.holds() {
                self.release_held(engine);
                self.pairing.give_out_waiting(engine);
            }
        }
    }

    /// What may be a body or the next request, and nothing shows which: a body.
    fn settle_unsent(&mut self, engine: &mut Engine) {
        if let State::Unsent(left) = self.client.state
            && self.held.is_some()
        {
            self.client.state = State::Length(left);
            self.client.buffer.clear();
            self.release_held(engine);
        }
    }

    /// What the client sent can be read now.
    fn release_held(&mut self, engine: &mut Engine) {
        self.release = false;
        if matches!(self.client.state, State::Held) {
            self.client.state = State::Start;
        }
        let Some(held) = self.held.take() else { return };
        // Their place in the stream was counted when they came.
        self.client.offset = self.client.offset.saturating_sub(held.stream_bytes(Direction::ToServer));
        let ended = std::mem::replace(&mut self.client.ended, false);
        // It was sent before what is being read now, and changes nothing of who speaks.
        let (last_direction, last_time) = (self.last_direction.replace(Direction::ToServer), self.last_time);
        for step in held.steps() {
            match step {
                Step::Data(direction, time, bytes) => {
                    let _ = self.handle_data(engine, direction, time, bytes);
                }
                Step::Gap(direction, time, len, truncated) => self.handle_gap(engine, direction, time, len, truncated),
            }
        }
        (self.last_direction, self.last_time) = (last_direction, last_time);
        self.client.ended = ended;
        if ended && self.pairing.requesting {
            self.end_message_untimed(engine, Direction::ToServer, false);
        }
    }

    /// Bytes of memory held, the struct included (its owner boxes it).
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Http1>()
            + self.client.buffer.capacity()
            + self.server.buffer.capacity()
            + self.client.body.memory_bytes()
            + self.server.body.memory_bytes()
            + self.held.as_ref().map_or(0, |held| size_of::<Replay>() + held.memory_bytes())
            + self.pairing.memory_bytes()
    }
}

impl Side {
    /// Body bytes go by.
    fn pass(&mut self, engine: &mut Engine, bytes: &[u8]) {
        if self.body.wants_bytes() {
            self.body.data(engine, bytes);
        } else {
            self.body.skip(bytes.len() as u64);
        }
    }

    fn clear_buffer(&mut self) {
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }
}

fn body_mut(transaction: &mut crate::transaction::Transaction, direction: Direction) -> &mut Body {
    match direction {
        Direction::ToServer => &mut transaction.request_body,
        Direction::ToClient => &mut transaction.response_body,
    }
}
