//! HTTP/2 (RFC 9113) of one connection: frames, HPACK, streams.
//!
//! Frames are read straight from the bytes given. Only an unfinished frame head, the payload of an unfinished HEADERS or
//! SETTINGS frame and an unfinished header block are kept; DATA is passed over by length unless a body reader wants it.
//!
//! After a gap the side looks for frames again by their grammar, and its HPACK table is unknown.

mod blocks;
mod fields;
mod frame;
pub(crate) mod hpack;
mod recognise;
mod side;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use self::frame::{FrameHead, kind, unpadded};
use self::hpack::Decoder;
pub(crate) use self::hpack::Memo;
use self::recognise::PREFACE;
pub(crate) use self::recognise::{Recognition, recognise};
use self::side::{Losses, Phase, Side};
use self::stream::{Finish, Streams};
use crate::anomaly::Anomaly;
use crate::body::FlowBodies;
use crate::engine::Engine;
use crate::message::HeaderBlock;
use crate::transaction::Transaction;

/// A SETTINGS or other small frame longer than this is passed over: no one sends 64 settings.
const SMALL_FRAME_BYTES: u32 = 384;
/// Gaps of which it is remembered which streams may have begun in them: answers come a little later.
const LOST_RANGES: usize = 4;
/// A buffer larger than this is given back once it is empty.
const KEPT_BUFFER_BYTES: usize = 16 * 1024;

/// HTTP/2 state of one connection.
#[derive(Debug)]
pub(crate) struct H2 {
    /// By role: 0 from the client, 1 from the server.
    sides: [Side; 2],
    streams: Streams,
    bodies: FlowBodies,
    /// Fields of the block that is being decoded; exchanged for the buffer of a recycled message.
    fields: HeaderBlock,
    /// Joined after the start.
    late: bool,
    /// Client and server are the other way round than the caller says.
    swapped: bool,
    /// A pseudo-header confirmed who is who.
    roles_known: bool,
    /// A limit was reached: nothing more is read (F050).
    given_up: bool,
    /// Number of the next transaction.
    next_index: u64,
    /// First and highest stream that the client opened, as far as seen.
    first_client_stream: u32,
    last_client_stream: u32,
    /// Highest stream that the server promised.
    last_promised_stream: u32,
    /// Client streams between these (exclusive) may have been opened in a gap.
    lost_streams: [(u32, u32); LOST_RANGES],
    /// When streams that lost their end are looked for next.
    next_sweep: Timestamp,
}

impl H2 {
    /// A connection that speaks HTTP/2; `mid_stream` if its start was not seen. `offsets`: of the first byte of each direction,
    /// by role.
    pub(crate) fn new(engine: &mut Engine, mid_stream: bool, offsets: [u64; 2]) -> H2 {
        let decoder = || Decoder::new(engine.config.hpack_table_bytes, mid_stream);
        let server = if mid_stream { Phase::Resync } else { Phase::Head(0) };
        H2 {
            sides: [Side::new(Phase::Preface(0), decoder(), offsets[0]), Side::new(server, decoder(), offsets[1])],
            streams: Streams::default(),
            bodies: FlowBodies::default(),
            fields: HeaderBlock::default(),
            late: mid_stream,
            swapped: false,
            roles_known: false,
            given_up: false,
            next_index: 0,
            first_client_stream: 0,
            last_client_stream: 0,
            last_promised_stream: 0,
            lost_streams: [(0, 0); LOST_RANGES],
            next_sweep: Timestamp(0),
        }
    }

    /// Takes over the HTTP/1 request that asked for h2c (RFC 7540 §3.2): it is stream 1, half closed.
    pub(crate) fn adopt_upgraded(&mut self, mut transaction: Box<Transaction>) {
        transaction.stream_id = Some(1);
        self.next_index = transaction.index.saturating_add(1);
        self.first_client_stream = 1;
        self.last_client_stream = 1;
        self.roles_known = true;
        let time = transaction.request_end.or(transaction.request_start).unwrap_or_default();
        let mut stream = self.streams.spare();
        stream.begin(1, self.losses(), time);
        stream.transaction = transaction;
        stream.halves.end(Direction::ToServer);
        self.streams.insert(stream);
    }

    /// The number of the first transaction: what is inside a tunnel is numbered on.
    pub(crate) fn number_from(&mut self, next_index: u64) {
        self.next_index = next_index;
    }

    /// Frames showed that client and server are the other way round than the `direction`s given.
    pub(crate) fn roles_swapped(&self) -> bool {
        self.swapped
    }

    /// The next bytes of a direction; `direction` is by role: `ToServer` is from the client.
    pub(crate) fn handle_data(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8]) {
        if self.given_up || bytes.is_empty() {
            return;
        }
        let direction = self.role(direction);
        self.side(direction).seen = true;
        if time >= self.next_sweep {
            self.sweep(engine, time);
        }
        self.read(engine, direction, time, bytes);
    }

    /// `len` bytes of a direction are missing; `truncated` if the snap length cut them.
    pub(crate) fn handle_gap(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        len: u64,
        truncated: bool,
    ) {
        if self.given_up || len == 0 {
            return;
        }
        let direction = self.role(direction);
        let side = self.side(direction);
        let before = side.offset;
        side.offset = before.saturating_add(len);
        let within = |remaining: u32| (u64::from(remaining).min(len), len < u64::from(remaining));
        let covered = match side.phase {
            Phase::Data { remaining, padding } => {
                let (covered, more) = within(remaining);
                let frame = side.frame;
                let content = covered.min(u64::from(remaining - u32::from(padding.unwrap_or(0)).min(remaining)));
                side.phase = if more {
                    // A pad length that was lost counts as content.
                    Phase::Data { remaining: remaining - covered as u32, padding: Some(padding.unwrap_or(0)) }
                } else {
                    Phase::Head(0)
                };
                if let Some(stream) = self.streams.find(frame.stream) {
                    stream.data_gap(direction, content, truncated);
                }
                if !more && frame.end_stream() {
                    self.end_stream(engine, direction, frame.stream, time);
                }
                covered
            }
            Phase::Skip { remaining } => {
                let (covered, more) = within(remaining);
                side.phase = if more { Phase::Skip { remaining: remaining - covered as u32 } } else { Phase::Head(0) };
                covered
            }
            Phase::Collect { remaining } => {
                let (covered, more) = within(remaining);
                let head = side.frame;
                side.payload.clear();
                side.phase = if more { Phase::Skip { remaining: remaining - covered as u32 } } else { Phase::Head(0) };
                if head.is_block() {
                    self.lose_block(engine, direction, time, head, covered, truncated);
                }
                covered
            }
            Phase::Preface(_) | Phase::Head(_) | Phase::Resync => 0,
        };
        if covered < len {
            self.lose_place(direction, len - covered, truncated);
        }
    }

    /// A retransmission contradicted bytes of this direction (F020).
    pub(crate) fn handle_conflict(&mut self, direction: Direction) {
        let direction = self.role(direction);
        let side = self.side(direction);
        side.losses.conflicts = side.losses.conflicts.saturating_add(1);
        // The receiver may have inserted other entries than we did.
        side.decoder.forget();
    }

    /// No more bytes in this direction.
    pub(crate) fn handle_end(&mut self, engine: &mut Engine, direction: Direction, reason: EndReason) {
        let direction = self.role(direction);
        self.side(direction).ended = true;
        // After a FIN of the client answers may still come. After one of the server, or a reset, none do.
        let over =
            direction == Direction::ToClient || reason != EndReason::Fin || self.sides.iter().all(|side| side.ended);
        if over {
            self.finish_all(engine, None);
        }
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.sides.iter().map(Side::memory_bytes).sum::<usize>()
            + self.streams.memory_bytes()
            + self.fields.capacity_bytes()
    }

    /// The direction by role.
    fn role(&self, direction: Direction) -> Direction {
        if self.swapped { direction.opposite() } else { direction }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        let [client, server] = &mut self.sides;
        match direction {
            Direction::ToServer => client,
            Direction::ToClient => server,
        }
    }

    fn losses(&self) -> [Losses; 2] {
        [self.sides[0].losses, self.sides[1].losses]
    }

    /// Reads frames.
    fn read(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8]) {
        let mut rest = bytes;
        let swapped_before = self.swapped;
        let given = direction;
        while !rest.is_empty() && !self.given_up {
            // The sides change places when a block tells who is who; these bytes stay with theirs.
            let direction = if self.swapped == swapped_before { given } else { given.opposite() };
            let side = self.side(direction);
            match side.phase {
                Phase::Head(have) => {
                    let Some(head) = side.read_head(have, time, &mut rest) else { return };
                    self.begin_frame(engine, direction, time, head, &mut rest);
                }
                Phase::Data { remaining, padding } => {
                    self.read_data(engine, direction, time, remaining, padding, &mut rest);
                }
                Phase::Collect { remaining } => {
                    let (now, after) = rest.split_at((remaining as usize).min(rest.len()));
                    rest = after;
                    side.offset += now.len() as u64;
                    side.payload.extend_from_slice(now);
                    let remaining = remaining - now.len() as u32;
                    side.phase = Phase::Collect { remaining };
                    if remaining == 0 {
                        side.phase = Phase::Head(0);
                        let head = side.frame;
                        let mut payload = std::mem::take(&mut side.payload);
                        self.frame(engine, direction, time, head, &payload);
                        let side = self.side(direction);
                        if payload.capacity() <= KEPT_BUFFER_BYTES && side.payload.is_empty() {
                            payload.clear();
                            side.payload = payload;
                        }
                    }
                }
                Phase::Skip { remaining } => {
                    let len = (remaining as usize).min(rest.len());
                    rest = rest.get(len..).unwrap_or_default();
                    side.offset += len as u64;
                    let remaining = remaining - len as u32;
                    side.phase = if remaining == 0 { Phase::Head(0) } else { Phase::Skip { remaining } };
                }
                Phase::Preface(matched) => self.read_preface(engine, direction, matched, &mut rest),
                Phase::Resync => {
                    self.resync(engine, direction, time, &mut rest);
                }
            }
        }
    }

    /// The client's preface, or the news that we joined after it.
    fn read_preface(&mut self, engine: &mut Engine, direction: Direction, matched: u8, rest: &mut &[u8]) {
        let late = self.late;
        let side = self.side(direction);
        let wanted = PREFACE.get(usize::from(matched)..).unwrap_or_default();
        let same = wanted.iter().zip(*rest).take_while(|(wanted, byte)| wanted == byte).count();
        if same == wanted.len() {
            *rest = rest.get(same..).unwrap_or_default();
            side.offset += same as u64;
            side.phase = Phase::Head(0);
            if late {
                // It began here after all: nothing is unknown of this side, nor of the other if it was silent so far.
                let bound = engine.config.hpack_table_bytes;
                side.decoder = Decoder::new(bound, false);
                let server = self.side(direction.opposite());
                if !server.seen {
                    server.decoder = Decoder::new(bound, false);
                    server.phase = Phase::Head(0);
                    self.late = false;
                }
            }
            self.roles_known = true;
        } else if same == rest.len() {
            *rest = &[];
            side.offset += same as u64;
            side.phase = Phase::Preface(matched.saturating_add(same as u8));
        } else {
            self.late = true;
            let side = self.side(direction);
            side.decoder.forget();
            side.phase = Phase::Resync;
            side.window.clear();
            // Bytes that look like the preface are no frames.
        }
    }

    /// Looks for frames, and reads those in the window once there are.
    fn resync(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, rest: &mut &[u8]) {
        let side = self.side(direction);
        let before = rest.len();
        let found = side.window.push(rest, time);
        side.offset += (before - rest.len()) as u64;
        if !found {
            return;
        }
        let (bytes, marks, start, passed) = side.window.take();
        side.offset = side.offset.saturating_sub((bytes.len() - start) as u64);
        side.phase = Phase::Head(0);
        engine.counters.resyncs += 1;
        engine.counters.resync_bytes += passed;
        let mut from = start;
        let swapped_before = self.swapped;
        for (to, time) in marks {
            if let Some(piece) = bytes.get(from..to) {
                let direction = if self.swapped == swapped_before { direction } else { direction.opposite() };
                self.read(engine, direction, time, piece);
                from = to;
            }
        }
    }

    fn lose_place(&mut self, direction: Direction, len: u64, truncated: bool) {
        self.side(direction).lose_place(len, truncated);
        if direction == Direction::ToServer {
            // The next stream seen says which may have been opened meanwhile.
            let range = (self.last_client_stream, u32::MAX);
            if self.lost_streams.first().is_some_and(|newest| newest.1 != u32::MAX) {
                self.lost_streams.rotate_right(1);
                self.lost_streams[0] = range;
            }
        }
    }

    /// A frame head came; its payload is read at once if it is there.
    fn begin_frame(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        rest: &mut &[u8],
    ) {
        let limit = engine.config.header_block_bytes as u64;
        let side = self.side(direction);
        side.frame = head;
        if head.is_bad() || (side.open_block.is_some() && head.kind != kind::CONTINUATION) {
            count(engine, Anomaly::BadFrame);
        }
        let len = head.len as usize;
        if head.kind == kind::DATA {
            side.phase = Phase::Data { remaining: head.len, padding: if head.padded() { None } else { Some(0) } };
            if side.open_block.is_some() {
                self.interleaved(direction);
            }
            if head.len == 0 || rest.is_empty() {
                // An empty frame has no later byte that would end it.
                if head.len == 0 {
                    self.read_data(engine, direction, time, 0, Some(0), rest);
                }
                return;
            }
            let padding = if head.padded() { None } else { Some(0) };
            self.read_data(engine, direction, time, head.len, padding, rest);
            return;
        }
        let collected = match head.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => true,
            kind::RST_STREAM | kind::SETTINGS => head.len <= SMALL_FRAME_BYTES && !head.is_bad(),
            _ => false,
        };
        if !collected {
            if side.open_block.is_some() {
                self.interleaved(direction);
            }
            let side = self.side(direction);
            side.phase = if len == 0 { Phase::Head(0) } else { Phase::Skip { remaining: head.len } };
            return;
        }
        if head.is_block() && u64::from(head.len) > limit.saturating_add(5 + 256) {
            // F053: no buffer for a claimed length, and no flow is given up for one.
            side.phase = Phase::Skip { remaining: head.len };
            self.oversized(engine, direction, time, head);
            return;
        }
        if let Some((payload, after)) = rest.split_at_checked(len) {
            *rest = after;
            side.offset += len as u64;
            side.phase = Phase::Head(0);
            self.frame(engine, direction, time, head, payload);
        } else {
            side.payload.clear();
            side.phase = Phase::Collect { remaining: head.len };
        }
    }

    /// Part of the payload of a DATA frame (§6.1).
    fn read_data(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        mut remaining: u32,
        mut padding: Option<u8>,
        rest: &mut &[u8],
    ) {
        let side = self.side(direction);
        let head = side.frame;
        if padding.is_none()
            && remaining > 0
            && let Some((&pad, after)) = rest.split_first()
        {
            *rest = after;
            side.offset += 1;
            remaining -= 1;
            if u32::from(pad) > remaining {
                // F053: more padding than payload, so no content.
                count(engine, Anomaly::BadFrame);
            }
            padding = Some(pad);
        }
        let side = self.side(direction);
        let content = remaining - u32::from(padding.unwrap_or(0)).min(remaining);
        let taken = (remaining as usize).min(rest.len());
        let (now, after) = rest.split_at(taken);
        *rest = after;
        side.offset += taken as u64;
        remaining -= taken as u32;
        side.phase = if remaining == 0 { Phase::Head(0) } else { Phase::Data { remaining, padding } };
        let now = now.get(..(content as usize).min(taken)).unwrap_or_default();
        match self.streams.find(head.stream) {
            Some(stream) => {
                if !now.is_empty() {
                    if stream.halves.ended(direction) {
                        stream.transaction.anomalies.insert(Anomaly::BadFrame);
                    } else {
                        stream.data(engine, direction, now);
                    }
                    stream.last_seen = time;
                }
                if remaining == 0 && head.end_stream() {
                    self.end_stream(engine, direction, head.stream, time);
                }
            }
            None => {
                // A stream that was reset, or opened before we joined; else one that is idle (F053).
                if remaining == 0
                    && head.stream > self.last_client_stream
                    && !self.late
                    && !head.stream.is_multiple_of(2)
                {
                    count(engine, Anomaly::BadFrame);
                }
            }
        }
    }

    /// A whole frame that was collected.
    fn frame(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, head: FrameHead, payload: &[u8]) {
        if self.side(direction).open_block.is_some() && head.kind != kind::CONTINUATION {
            self.interleaved(direction);
        }
        match head.kind {
            kind::HEADERS => self.headers(engine, direction, time, head, payload),
            kind::PUSH_PROMISE => self.push_promise(engine, direction, time, head, payload),
            kind::CONTINUATION => self.continuation(engine, direction, time, head, payload),
            kind::RST_STREAM => {
                if let Some(code) = payload.first_chunk::<4>() {
                    self.reset(engine, head.stream, u32::from_be_bytes(*code), time);
                }
            }
            _ => {}
        }
    }

    /// RST_STREAM (§6.4): either side ends both halves.
    fn reset(&mut self, engine: &mut Engine, id: u32, code: u32, time: Timestamp) {
        let Some(stream) = self.streams.find(id) else {
            if !self.late && !id.is_multiple_of(2) && id > self.last_client_stream {
                count(engine, Anomaly::BadFrame);
            }
            return;
        };
        stream.transaction.reset = Some(code);
        stream.last_seen = time;
        self.finish_stream(engine, id, Finish::Complete);
    }

    /// END_STREAM came in this direction.
    fn end_stream(&mut self, engine: &mut Engine, direction: Direction, id: u32, time: Timestamp) {
        let losses = self.losses();
        let client_seen = self.sides[0].seen;
        let Some(stream) = self.streams.find(id) else { return };
        stream.end_half(engine, &mut self.bodies, &losses, direction, Some(time));
        stream.last_seen = time;
        let orphan = stream.transaction.request.is_none()
            && direction == Direction::ToClient
            && (!client_seen || id <= self.last_client_stream || id.is_multiple_of(2));
        // The end of the request may have been lost: an answer that is complete is the end then.
        let request_end_lost = direction == Direction::ToClient && stream.may_have_ended(&losses);
        if stream.halves.both_ended() || orphan || request_end_lost {
            self.finish_stream(engine, id, Finish::Complete);
        }
    }

    fn finish_stream(&mut self, engine: &mut Engine, id: u32, cause: Finish) {
        let losses = self.losses();
        let one_sided = self.one_sided();
        if let Some(mut stream) = self.streams.take(id) {
            stream.finish(engine, &mut self.bodies, &losses, cause, one_sided);
            self.streams.give_back(stream);
        }
    }

    fn finish_all(&mut self, engine: &mut Engine, anomaly: Option<Anomaly>) {
        let losses = self.losses();
        let one_sided = self.one_sided();
        for mut stream in self.streams.take_all() {
            if let Some(anomaly) = anomaly {
                stream.transaction.anomalies.insert(anomaly);
            }
            stream.finish(engine, &mut self.bodies, &losses, Finish::Cut, one_sided);
            self.streams.give_back(stream);
        }
    }

    fn one_sided(&self) -> bool {
        self.sides.iter().any(|side| !side.seen)
    }

    /// Stops reading (F050): what is live is given out.
    fn give_up(&mut self, engine: &mut Engine) {
        self.given_up = true;
        engine.counters.given_up_flows += 1;
        self.finish_all(engine, Some(Anomaly::HeaderBlockLimit));
        for side in &mut self.sides {
            side.lose_place(0, false);
        }
        self.fields = HeaderBlock::default();
    }

    /// Gives out streams whose end we missed, or will never see, once they are idle. Others may be long and silent.
    fn sweep(&mut self, engine: &mut Engine, time: Timestamp) {
        let timeout = engine.config.transaction_timeout;
        self.next_sweep = time.after(timeout / 4);
        if self.streams.len() == 0 {
            return;
        }
        let losses = self.losses();
        let one_sided = self.one_sided();
        let stale = self.streams.pick(|stream| {
            time.since(stream.last_seen) > timeout
                && (one_sided
                    || stream.may_have_ended(&losses)
                    || (stream.transaction.request.is_none() && stream.halves.ended(Direction::ToClient)))
        });
        for id in stale {
            self.finish_stream(engine, id, Finish::Cut);
        }
    }
}

/// Counts an anomaly that belongs to no transaction.
fn count(engine: &mut Engine, anomaly: Anomaly) {
    if let Some(counter) = engine.counters.anomalies.get_mut(anomaly as usize) {
        *counter += 1;
    }
}
