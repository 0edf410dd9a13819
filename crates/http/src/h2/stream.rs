//! One stream, which carries one transaction, and the table of the live ones.

use std::collections::VecDeque;

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::side::Losses;
use super::state::Halves;
use crate::anomaly::Anomaly;
use crate::body::{BodyReader, FlowBodies};
use crate::engine::Engine;
use crate::message::KnownHeader;
use crate::transaction::{Framing, Transaction};
use crate::ws::WebSocketReader;

/// What a CONNECT request asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Connect {
    /// No CONNECT.
    #[default]
    No,
    /// A tunnel (RFC 9113 §8.5).
    Tunnel,
    /// A WebSocket (RFC 8441).
    WebSocket,
    /// Another `:protocol`.
    Other,
}

/// A live stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) halves: Halves,
    pub(super) connect: Connect,
    pub(super) transaction: Box<Transaction>,
    /// Bodies of the request and the response.
    bodies: [BodyReader; 2],
    /// The reader of that body was started.
    has_body: [bool; 2],
    pub(super) websocket: Option<Box<WebSocketReader>>,
    /// What each side had lost when the stream began.
    losses_before: [Losses; 2],
    pub(super) grpc_status: Option<u32>,
    /// When the last frame of it came.
    pub(super) last_seen: Timestamp,
    /// Memory held, as far as it is in the sum of [`Streams`].
    counted_bytes: usize,
}

/// Why a stream is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Both halves ended, or it was reset.
    Complete,
    /// The connection ended, or we stopped to wait.
    Cut,
}

impl Stream {
    /// Starts anew, keeping memory; `transaction` is empty already.
    pub(super) fn begin(&mut self, id: u32, losses: [Losses; 2], time: Timestamp) {
        self.id = id;
        self.halves = Halves::default();
        self.connect = Connect::No;
        self.has_body = [false; 2];
        self.websocket = None;
        self.losses_before = losses;
        self.grpc_status = None;
        self.last_seen = time;
    }

    /// The head of a message that has a body is complete.
    pub(super) fn start_body(&mut self, engine: &mut Engine, bodies: FlowBodies, direction: Direction) {
        let transaction = &*self.transaction;
        let start = transaction.request_start;
        let (headers, sampled, is_request) = match direction {
            Direction::ToServer => {
                let Some(request) = &transaction.request else { return };
                let sampled = engine.sampler.as_mut().is_some_and(|sampler| sampler.sample_request(request, start));
                (&request.headers, sampled, true)
            }
            Direction::ToClient => {
                let Some(response) = &transaction.response else { return };
                let request = transaction.request.as_ref();
                let sampled =
                    engine.sampler.as_mut().is_some_and(|sampler| sampler.sample_response(request, response, start));
                (&response.headers, sampled, false)
            }
        };
        let Some(reader) = self.bodies.get_mut(direction.index()) else { return };
        bodies.start(reader, engine, headers, is_request, sampled);
        if let Some(has_body) = self.has_body.get_mut(direction.index()) {
            *has_body = true;
        }
    }

    /// There is content, even where the head was lost.
    fn note_body(&mut self, direction: Direction) {
        if self.websocket.is_none()
            && let Some(has_body) = self.has_body.get_mut(direction.index())
        {
            *has_body = true;
        }
    }

    /// Content of this direction came, or its head said that it will.
    pub(super) fn has_body(&self, direction: Direction) -> bool {
        self.has_body.get(direction.index()).is_some_and(|has_body| *has_body)
    }

    /// DATA content.
    pub(super) fn data(&mut self, engine: &mut Engine, direction: Direction, bytes: &[u8]) {
        self.note_body(direction);
        if let Some(websocket) = &mut self.websocket {
            websocket.data(direction, bytes);
        } else if let Some(reader) = self.bodies.get_mut(direction.index()) {
            if reader.wants_bytes() {
                reader.data(engine, bytes);
            } else {
                reader.skip(bytes.len() as u64);
            }
        }
    }

    /// Bytes of this stream that the capture missed.
    pub(super) fn note_gap(&mut self, len: u64, truncated: bool) {
        let coverage = &mut self.transaction.coverage;
        coverage.gap_bytes = coverage.gap_bytes.saturating_add(len);
        coverage.truncated |= truncated;
    }

    /// DATA content that the capture missed.
    pub(super) fn data_gap(&mut self, direction: Direction, len: u64, truncated: bool) {
        self.note_gap(len, truncated);
        self.note_body(direction);
        if let Some(websocket) = &mut self.websocket {
            websocket.gap(direction, len);
        } else if let Some(reader) = self.bodies.get_mut(direction.index()) {
            reader.gap(len);
        }
    }

    /// One half ended at `time`; `complete` if by END_STREAM.
    pub(super) fn end_half(
        &mut self,
        engine: &mut Engine,
        bodies: &mut FlowBodies,
        losses: &[Losses; 2],
        direction: Direction,
        time: Option<Timestamp>,
    ) {
        if !self.halves.end(direction) {
            return;
        }
        let transaction = &mut *self.transaction;
        let lost = match (losses.get(direction.index()), self.losses_before.get(direction.index())) {
            (Some(now), Some(before)) => now.charge(before, transaction),
            _ => false,
        };
        let is_request = direction == Direction::ToServer;
        let complete = time.is_some() && !lost;
        let has_body = self.has_body.get(direction.index()).is_some_and(|has_body| *has_body);
        if has_body && let Some(reader) = self.bodies.get_mut(direction.index()) {
            bodies.finish(reader, engine, complete, transaction, is_request);
        }
        let (body, end) = match direction {
            Direction::ToServer => (&mut transaction.request_body, &mut transaction.request_end),
            Direction::ToClient => (&mut transaction.response_body, &mut transaction.response_end),
        };
        if has_body {
            body.framing = Framing::Frames;
        } else {
            body.complete = complete;
        }
        *end = end.or(time);
        if is_request
            && complete
            && body.missing_bytes == 0
            && let Some(request) = &transaction.request
            && let Some(length) = request.headers.first(KnownHeader::ContentLength)
            && std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()) != Some(body.len_bytes)
        {
            // RFC 9113 §8.1.1: what makes a request smuggle when it is rewritten as HTTP/1.
            transaction.anomalies.insert(Anomaly::BadContentLength);
        }
    }

    /// Gives the transaction out.
    pub(super) fn finish(
        &mut self,
        engine: &mut Engine,
        bodies: &mut FlowBodies,
        losses: &[Losses; 2],
        cause: Finish,
        one_sided: bool,
    ) {
        let cut = cause == Finish::Cut && !self.halves.both_ended();
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.end_half(engine, bodies, losses, direction, None);
        }
        // The next stream takes the empty one.
        let mut transaction = std::mem::replace(&mut self.transaction, engine.new_transaction());
        if let Some(websocket) = self.websocket.take() {
            websocket.finish(&mut transaction);
        }
        if let Some(status) = self.grpc_status {
            transaction.grpc.get_or_insert_default().status = Some(status);
        }
        let begun_unended = |has_body: Option<&bool>, body: &crate::transaction::Body| {
            has_body.is_some_and(|has_body| *has_body) && !body.complete
        };
        if cut
            && (begun_unended(self.has_body.first(), &transaction.request_body)
                || begun_unended(self.has_body.last(), &transaction.response_body))
        {
            transaction.anomalies.insert(Anomaly::IncompleteBody);
        }
        transaction.coverage.one_sided |= one_sided;
        engine.finish(transaction);
    }

    /// Did either side lose bytes since the stream began, so that its end may have been among them?
    pub(super) fn may_have_ended(&self, losses: &[Losses; 2]) -> bool {
        losses != &self.losses_before
    }

    fn memory_bytes(&self) -> usize {
        let heads = self.transaction.request.as_ref().map_or(0, |request| request.headers.capacity_bytes())
            + self.transaction.response.as_ref().map_or(0, |response| response.headers.capacity_bytes());
        size_of::<Stream>()
            + size_of::<Transaction>()
            + heads
            + self.bodies.iter().map(BodyReader::memory_bytes).sum::<usize>()
            + self.websocket.as_ref().map_or(0, |websocket| websocket.memory_bytes())
    }
}

/// The live streams of a connection, in order of id: clients count upwards, so nearly all are appended.
#[derive(Debug, Default)]
pub(super) struct Streams {
    live: VecDeque<Box<Stream>>,
    ids: VecDeque<u32>,
    #[allow(clippy::vec_box)] // the box itself goes to and from `live`
    spare: Vec<Box<Stream>>,
    /// Place of the stream found last: its next frame often follows, and only what it holds may differ from what was counted.
    at: usize,
    /// Sum of what the live streams were counted with: it is asked for after every segment, so they are not walked.
    counted_bytes: usize,
}

/// Stream objects kept for the next ones.
const SPARE_STREAMS: usize = 16;

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    #[inline]
    fn place(&self, id: u32) -> Result<usize, usize> {
        if self.ids.get(self.at) == Some(&id) {
            return Ok(self.at);
        }
        match self.ids.back() {
            Some(last) if *last == id => Ok(self.ids.len() - 1),
            Some(last) if *last < id => Err(self.ids.len()),
            _ => self.ids.binary_search(&id),
        }
    }

    #[inline]
    pub(super) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        let place = self.place(id).ok()?;
        if place != self.at {
            self.count_again();
            self.at = place;
        }
        self.live.get_mut(place).map(|stream| &mut **stream)
    }

    /// Brings the sum up to date with the stream that may have changed.
    fn count_again(&mut self) {
        if let Some(stream) = self.live.get_mut(self.at) {
            let now = stream.memory_bytes();
            let before = std::mem::replace(&mut stream.counted_bytes, now);
            self.counted_bytes = self.counted_bytes.saturating_sub(before).saturating_add(now);
        }
    }

    /// Takes a stream out.
    pub(super) fn take(&mut self, id: u32) -> Option<Box<Stream>> {
        let place = self.place(id).ok()?;
        self.count_again();
        // Places behind this one change; all is counted.
        self.at = usize::MAX;
        self.ids.remove(place);
        let stream = self.live.remove(place)?;
        self.counted_bytes = self.counted_bytes.saturating_sub(stream.counted_bytes);
        Some(stream)
    }

    /// A stream object to begin.
    pub(super) fn spare(&mut self) -> Box<Stream> {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives a stream object back.
    pub(super) fn give_back(&mut self, stream: Box<Stream>) {
        if self.spare.len() < SPARE_STREAMS {
            self.spare.push(stream);
        }
    }

    /// Adds a stream that was begun. Its id is not in the table.
    pub(super) fn insert(&mut self, mut stream: Box<Stream>) {
        if let Err(place) = self.place(stream.id) {
            self.count_again();
            self.at = place;
            stream.counted_bytes = 0;
            self.ids.insert(place, stream.id);
            self.live.insert(place, stream);
        }
    }

    /// Takes all streams out, lowest id first.
    pub(super) fn take_all(&mut self) -> VecDeque<Box<Stream>> {
        self.ids.clear();
        self.counted_bytes = 0;
        std::mem::take(&mut self.live)
    }

    /// Ids of the streams for which `pick` says so.
    pub(super) fn pick(&self, mut pick: impl FnMut(&Stream) -> bool) -> Vec<u32> {
        self.live.iter().filter(|stream| pick(stream)).map(|stream| stream.id).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let changed = self.live.get(self.at);
        let live = self.counted_bytes.saturating_sub(changed.map_or(0, |stream| stream.counted_bytes))
            + changed.map_or(0, |stream| stream.memory_bytes());
        debug_assert_eq!(live, self.live.iter().map(|stream| stream.memory_bytes()).sum::<usize>());
        live + self.spare.len() * size_of::<Stream>() + self.live.capacity() * (size_of::<usize>() + size_of::<u32>())
    }
}
