//! Header blocks: from the frames that carry them to the stream they are for.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::fields::{BlockFacts, FieldSink};
use super::frame::{FrameHead, header_fragment};
use super::side::BlockHead;
use super::state::Half;
use super::stream::Connect;
use super::{H2, KEPT_BUFFER_BYTES, count, kind, unpadded};
use crate::anomaly::Anomaly;
use crate::engine::Engine;
use crate::h1::is_forbidden_trailer;
use crate::message::{HeaderBlock, Request, Version};
use crate::transaction::{Transaction, Upgrade};
use crate::ws::WebSocketReader;

impl H2 {
    /// HEADERS (§6.2).
    pub(super) fn headers(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        payload: &[u8],
    ) {
        let block = self.block_head(direction, head, None);
        match header_fragment(head, payload) {
            Some(fragment) => self.fragment(engine, direction, time, head, block, fragment),
            None => {
                count(engine, Anomaly::BadFrame);
                self.undecodable(direction, head, block);
            }
        }
    }

    /// PUSH_PROMISE (§6.6).
    pub(super) fn push_promise(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        payload: &[u8],
    ) {
        let promise = unpadded(head, payload).and_then(|payload| payload.split_first_chunk::<4>());
        let promised = promise.map(|(id, _)| u32::from_be_bytes(*id) & 0x7fff_ffff);
        let block = self.block_head(direction, head, promised.or(Some(0)));
        match promise {
            Some((_, fragment)) => self.fragment(engine, direction, time, head, block, fragment),
            None => {
                count(engine, Anomaly::BadFrame);
                self.undecodable(direction, head, block);
            }
        }
    }

    /// CONTINUATION (§6.10).
    pub(super) fn continuation(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        payload: &[u8],
    ) {
        let limits = (engine.config.header_block_frames, engine.config.header_block_bytes);
        let side = self.side(direction);
        let Some(mut block) = side.open_block.take() else {
            // Its block is not ours to know: its start was lost, or there was none. What it inserted is unknown.
            side.decoder.forget();
            if side.losses.bytes == 0 && !self.late {
                count(engine, Anomaly::BadFrame);
            }
            return;
        };
        if block.stream != head.stream {
            count(engine, Anomaly::BadFrame);
            side.block.clear();
            side.decoder.forget();
            return;
        }
        block.frames += 1;
        if block.frames > limits.0 || side.block.len() + payload.len() > limits.1 {
            count(engine, Anomaly::HeaderBlockLimit);
            return self.give_up(engine);
        }
        if !block.lost {
            side.block.extend_from_slice(payload);
        }
        if !head.end_headers() {
            side.open_block = Some(block);
            return;
        }
        if block.lost {
            return;
        }
        let mut bytes = std::mem::take(&mut side.block);
        self.block(engine, direction, time, block, &bytes);
        let side = self.side(direction);
        if bytes.capacity() <= KEPT_BUFFER_BYTES && side.block.is_empty() {
            bytes.clear();
            side.block = bytes;
        }
    }

    /// A frame came inside a block (§6.10 forbids it): the block is lost, and what it inserted.
    pub(super) fn interleaved(&mut self, direction: Direction) {
        let side = self.side(direction);
        side.open_block = None;
        side.block.clear();
        side.decoder.forget();
    }

    /// A frame of a block that is longer than any block is kept.
    pub(super) fn oversized(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, head: FrameHead) {
        if head.kind == kind::CONTINUATION {
            count(engine, Anomaly::HeaderBlockLimit);
            return self.give_up(engine);
        }
        let promised = (head.kind == kind::PUSH_PROMISE).then_some(0);
        let mut block = self.block_head(direction, head, promised);
        block.over_limit = true;
        self.undecodable(direction, head, block);
        self.unknown_head(engine, direction, time, block, 0, false);
    }

    /// `len` bytes of a frame of a block are missing.
    pub(super) fn lose_block(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        len: u64,
        truncated: bool,
    ) {
        let open = self.side(direction).open_block.take();
        let promised = (head.kind == kind::PUSH_PROMISE).then_some(0);
        let block = match open {
            Some(block) if head.kind == kind::CONTINUATION => block,
            _ => self.block_head(direction, head, promised),
        };
        self.undecodable(direction, head, block);
        let has_head = open.is_some() || head.kind != kind::CONTINUATION;
        if !block.lost && has_head {
            self.unknown_head(engine, direction, time, block, len, truncated);
        }
    }

    fn block_head(&mut self, direction: Direction, head: FrameHead, promised: Option<u32>) -> BlockHead {
        let side = self.side(direction);
        BlockHead {
            stream: head.stream,
            promised,
            end_stream: head.end_stream(),
            time: side.frame_time,
            offset: side.frame_offset,
            frames: 1,
            lost: false,
            over_limit: false,
        }
    }

    /// The block cannot be decoded: what it inserted is unknown, what follows of it is passed over.
    fn undecodable(&mut self, direction: Direction, head: FrameHead, block: BlockHead) {
        let side = self.side(direction);
        side.decoder.forget();
        side.block.clear();
        side.open_block = if head.end_headers() { None } else { Some(BlockHead { lost: true, ..block }) };
    }

    /// The first fragment of a block.
    fn fragment(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        head: FrameHead,
        block: BlockHead,
        fragment: &[u8],
    ) {
        if head.end_headers() {
            self.block(engine, direction, time, block, fragment);
        } else {
            let side = self.side(direction);
            side.block.clear();
            side.block.extend_from_slice(fragment);
            side.open_block = Some(block);
        }
    }

    /// A whole block.
    fn block(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, block: BlockHead, bytes: &[u8]) {
        self.fields.clear();
        let mut sink = FieldSink::new(&mut self.fields, &engine.config);
        let [client, server] = &mut self.sides;
        let decoder = match direction {
            Direction::ToServer => &mut client.decoder,
            Direction::ToClient => &mut server.decoder,
        };
        let result = decoder.decode_with(&mut engine.hpack_memo, bytes, &mut sink);
        let mut facts = sink.facts;
        if result.is_err() {
            facts.anomalies.insert(Anomaly::HpackError);
            // What came after the error is not known.
            facts.unknown = facts.unknown.saturating_add(1);
        }
        self.route(engine, direction, time, block, facts);
        if self.fields.capacity_bytes() > KEPT_BUFFER_BYTES {
            self.fields = HeaderBlock::default();
        }
    }

    /// The head of a message was there, but is not known.
    fn unknown_head(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        block: BlockHead,
        gap_bytes: u64,
        truncated: bool,
    ) {
        self.fields.clear();
        let mut facts = BlockFacts { unknown: 1, lost: true, ..BlockFacts::default() };
        if block.over_limit {
            facts.anomalies.insert(Anomaly::HeaderBlockLimit);
        }
        // The stream may be over once this is routed; so the gap is put on it before, or by its beginning.
        if let Some(stream) = self.streams.find(block.stream) {
            stream.note_gap(gap_bytes, truncated);
            self.route(engine, direction, time, block, facts);
        } else {
            let end_stream = block.end_stream;
            self.route(engine, direction, time, BlockHead { end_stream: false, ..block }, facts);
            if let Some(stream) = self.streams.find(block.stream) {
                stream.note_gap(gap_bytes, truncated);
            }
            if end_stream {
                self.end_stream(engine, direction, block.stream, time);
            }
        }
    }

    fn route(
        &mut self,
        engine: &mut Engine,
        mut direction: Direction,
        time: Timestamp,
        block: BlockHead,
        facts: BlockFacts,
    ) {
        if !self.roles_known {
            let from_client = facts.is_request() && block.promised.is_none();
            let from_server = facts.status.is_some() || block.promised.is_some();
            if from_client != from_server {
                self.roles_known = true;
                if from_client != (direction == Direction::ToServer) {
                    self.swap_roles(engine);
                    direction = direction.opposite();
                }
            }
        }
        if block.stream == 0 {
            return;
        }
        match (direction, block.promised) {
            (Direction::ToClient, Some(promised)) => self.promise(engine, time, block, facts, promised),
            (Direction::ToServer, Some(_)) => count(engine, Anomaly::BadFrame),
            (Direction::ToServer, None) => self.request_block(engine, time, block, facts),
            (Direction::ToClient, None) => self.response_block(engine, time, block, facts),
        }
    }

    /// Client and server are the other way round: only possible for a late join that knew nothing.
    fn swap_roles(&mut self, engine: &mut Engine) {
        self.finish_all(engine, None);
        self.sides.swap(0, 1);
        self.swapped = !self.swapped;
        (self.first_client_stream, self.last_client_stream, self.lost_streams) = (0, 0, Default::default());
        for side in &mut self.sides {
            if side.phase == super::Phase::Preface(0) {
                side.phase = super::Phase::Resync;
            }
        }
    }

    fn request_block(&mut self, engine: &mut Engine, time: Timestamp, block: BlockHead, facts: BlockFacts) {
        let id = block.stream;
        // Trailers of a stream that was open before we joined, or whose head was lost. A request shows at least its
        // :scheme, which is in the static table.
        let of_unseen_request = (self.late || self.sides[0].losses.bytes > 0)
            && !facts.is_request()
            && !facts.lost
            && (facts.unknown == 0 || facts.starts_regular || block.end_stream);
        if let Some(stream) = self.streams.find(id) {
            if of_unseen_request && stream.transaction.request.is_none() {
                if block.end_stream {
                    self.end_stream(engine, Direction::ToServer, id, time);
                }
                return;
            }
            if stream.transaction.request.is_some() || stream.transaction.pushed {
                return self.trailers(engine, Direction::ToServer, time, block, facts);
            }
        } else if id.is_multiple_of(2) {
            return count(engine, Anomaly::BadFrame);
        } else if id <= self.last_client_stream {
            // Trailers of a stream that was reset, or was open before we joined. A request is against §5.1.1 (F053).
            if facts.is_request() {
                count(engine, Anomaly::BadFrame);
            }
            return;
        } else if of_unseen_request {
            return;
        } else if !self.begin(engine, id, block.time) {
            self.note_client_stream(id);
            return self.over_stream_limit(engine, time, block, facts);
        }
        self.note_client_stream(id);
        let mut facts = facts;
        let request = self.request(engine, &mut facts);
        let end = self.sides[0].offset;
        let Some(stream) = self.streams.find(id) else { return };
        stream.connect = match (request.method() == b"CONNECT", &facts.protocol) {
            (false, _) => Connect::No,
            (true, None) => Connect::Tunnel,
            (true, Some(protocol)) if request.headers.stored(protocol) == b"websocket" => Connect::WebSocket,
            (true, Some(_)) => Connect::Other,
        };
        let transaction = &mut *stream.transaction;
        transaction.request = Some(request);
        transaction.request_start = Some(block.time);
        transaction.request_offsets = block.offset..end;
        transaction.anomalies.extend(facts.anomalies);
        add_unknown(transaction, &facts);
        stream.last_seen = time;
        if stream.halves.of(Direction::ToServer) == Half::Waiting {
            stream.halves.open(Direction::ToServer);
        }
        if block.end_stream {
            self.end_stream(engine, Direction::ToServer, id, time);
        } else {
            stream.start_body(engine, self.bodies, Direction::ToServer);
        }
    }

    fn response_block(&mut self, engine: &mut Engine, time: Timestamp, block: BlockHead, facts: BlockFacts) {
        let id = block.stream;
        if self.streams.find(id).is_none() {
            if !self.may_be_orphan(id, &facts, block.end_stream) {
                // In flight when the stream was reset; or for a stream that never was (F053).
                if id > self.last_client_stream || id.is_multiple_of(2) {
                    count(engine, Anomaly::BadFrame);
                }
                return;
            }
            if !self.begin(engine, id, block.time) {
                return count(engine, Anomaly::StreamLimit);
            }
            if let Some(stream) = self.streams.find(id) {
                stream.transaction.pushed = id.is_multiple_of(2);
            }
        }
        let Some(stream) = self.streams.find(id) else { return };
        let head_lost = facts.status.is_none() && (facts.starts_regular || stream.has_body(Direction::ToClient));
        let transaction = &mut *stream.transaction;
        stream.last_seen = time;
        if head_lost && block.end_stream && transaction.response.is_none() && self.sides[1].losses.bytes > 0 {
            // Trailers whose head was lost.
            let mut response = engine.new_response();
            response.version = Version::Http2;
            transaction.response = Some(response);
            return self.trailers(engine, Direction::ToClient, time, block, facts);
        }
        match (&transaction.response, facts.status) {
            // The earlier one, of unknown status, was an interim one then: trailers have no :status.
            (Some(earlier), Some(_)) if earlier.status == 0 && !stream.halves.ended(Direction::ToClient) => {
                transaction.informational = transaction.informational.saturating_add(1);
            }
            (Some(_), _) => return self.trailers(engine, Direction::ToClient, time, block, facts),
            (None, Some(100..=199)) => {
                transaction.informational = transaction.informational.saturating_add(1);
                if transaction.informational > MOST_INTERIM {
                    transaction.anomalies.insert(Anomaly::InterimLimit);
                }
                transaction.anomalies.extend(facts.anomalies);
                add_unknown(transaction, &facts);
                return;
            }
            (None, _) => {}
        }
        let mut response = transaction.response.take().unwrap_or_else(|| engine.new_response());
        response.clear();
        std::mem::swap(&mut response.headers, &mut self.fields);
        response.version = Version::Http2;
        response.status = facts.status.unwrap_or(0);
        if facts.status.is_none() && facts.unknown == 0 || facts.is_request() {
            transaction.anomalies.insert(Anomaly::BadPseudoHeader);
        }
        transaction.response = Some(response);
        transaction.response_start = Some(block.time);
        transaction.anomalies.extend(facts.anomalies);
        add_unknown(transaction, &facts);
        stream.grpc_status = facts.grpc_status.or(stream.grpc_status);
        stream.halves.open(Direction::ToClient);
        if matches!(facts.status, Some(200..=299)) {
            transaction.upgrade = match stream.connect {
                Connect::No => transaction.upgrade,
                Connect::Tunnel => Some(Upgrade::Tunnel),
                Connect::WebSocket => Some(Upgrade::WebSocket),
                Connect::Other => Some(Upgrade::Other),
            };
            if stream.connect == Connect::WebSocket {
                stream.websocket = Some(Box::new(WebSocketReader::new(&stream.transaction)));
            }
        }
        if block.end_stream {
            self.end_stream(engine, Direction::ToClient, id, time);
        } else if stream.websocket.is_none() {
            stream.start_body(engine, self.bodies, Direction::ToClient);
        }
    }

    /// A block after the head (§8.1): trailers.
    fn trailers(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        block: BlockHead,
        facts: BlockFacts,
    ) {
        let Some(stream) = self.streams.find(block.stream) else { return };
        stream.last_seen = time;
        let transaction = &mut *stream.transaction;
        if stream.halves.ended(direction) {
            transaction.anomalies.insert(Anomaly::BadFrame);
            return;
        }
        transaction.anomalies.extend(facts.anomalies);
        if facts.has_pseudo() {
            transaction.anomalies.insert(Anomaly::BadPseudoHeader);
        }
        if !block.end_stream && !block.lost {
            transaction.anomalies.insert(Anomaly::BadFrame);
        }
        add_unknown(transaction, &facts);
        let headers = match direction {
            Direction::ToServer => transaction.request.as_mut().map(|request| &mut request.headers),
            Direction::ToClient => transaction.response.as_mut().map(|response| &mut response.headers),
        };
        if let Some(headers) = headers {
            // Blocks of trailers without end would be a way around the limits of one block.
            let room = engine.config.header_block_bytes.saturating_sub(headers.len_bytes());
            let more_fields = engine.config.fields.saturating_sub(headers.fields().len());
            let mut forbidden = false;
            if self.fields.len_bytes() > room || self.fields.fields().len() > more_fields {
                transaction.anomalies.insert(Anomaly::HeaderBlockLimit);
            } else {
                for (field, name, value) in self.fields.iter() {
                    forbidden |= is_forbidden_trailer(field.known);
                    headers.push(field.known, name, value);
                    if let Some(last) = headers.last_mut() {
                        last.trailer = true;
                        last.unknown = field.unknown;
                    }
                }
            }
            if forbidden {
                transaction.anomalies.insert(Anomaly::ForbiddenTrailer);
            }
        }
        if direction == Direction::ToClient {
            stream.grpc_status = facts.grpc_status.or(stream.grpc_status);
        }
        if block.end_stream {
            self.end_stream(engine, direction, block.stream, time);
        }
    }

    /// The request whose head the decoded block is.
    fn request(&mut self, engine: &mut Engine, facts: &mut BlockFacts) -> Request {
        let mut request = engine.new_request();
        std::mem::swap(&mut request.headers, &mut self.fields);
        request.version = Version::Http2;
        facts.fill(&mut request);
        request
    }

    /// PUSH_PROMISE: the server says which request it answers next, unasked.
    fn promise(
        &mut self,
        engine: &mut Engine,
        time: Timestamp,
        block: BlockHead,
        mut facts: BlockFacts,
        promised: u32,
    ) {
        if promised == 0 && facts.unknown > 0 {
            return; // it was lost
        }
        if promised == 0 || !promised.is_multiple_of(2) || promised <= self.last_promised_stream {
            return count(engine, Anomaly::BadFrame);
        }
        self.last_promised_stream = promised;
        if !self.begin(engine, promised, block.time) {
            return count(engine, Anomaly::StreamLimit);
        }
        let request = self.request(engine, &mut facts);
        let Some(stream) = self.streams.find(promised) else { return };
        let transaction = &mut *stream.transaction;
        transaction.request = Some(request);
        transaction.pushed = true;
        transaction.request_start = Some(block.time);
        transaction.request_end = Some(time);
        transaction.request_body.complete = true;
        transaction.anomalies.extend(facts.anomalies);
        add_unknown(transaction, &facts);
        stream.halves.end(Direction::ToServer);
    }

    /// Begins a stream; false at the limit (F051).
    fn begin(&mut self, engine: &mut Engine, id: u32, time: Timestamp) -> bool {
        if self.streams.len() >= engine.config.streams {
            return false;
        }
        let losses = self.losses();
        let mut stream = self.streams.spare();
        stream.begin(id, losses, time);
        self.number(id, &mut stream.transaction);
        self.streams.insert(stream);
        true
    }

    fn number(&mut self, id: u32, transaction: &mut Transaction) {
        transaction.index = self.next_index;
        transaction.stream_id = Some(id);
        transaction.coverage.mid_stream = self.late;
        self.next_index = self.next_index.saturating_add(1);
    }

    /// A request for which there is no room is given out at once, without its answer.
    fn over_stream_limit(&mut self, engine: &mut Engine, time: Timestamp, block: BlockHead, mut facts: BlockFacts) {
        let mut transaction = engine.new_transaction();
        self.number(block.stream, &mut transaction);
        let request = self.request(engine, &mut facts);
        transaction.request = Some(request);
        transaction.request_start = Some(block.time);
        transaction.request_end = block.end_stream.then_some(time);
        transaction.request_offsets = block.offset..self.sides[0].offset;
        transaction.anomalies.extend(facts.anomalies);
        transaction.anomalies.insert(Anomaly::StreamLimit);
        add_unknown(&mut transaction, &facts);
        transaction.coverage.one_sided |= self.one_sided();
        engine.finish(transaction);
    }

    fn note_client_stream(&mut self, id: u32) {
        if self.first_client_stream == 0 {
            self.first_client_stream = id;
        }
        if let Some(newest) = self.lost_streams.first_mut()
            && newest.1 == u32::MAX
        {
            newest.1 = id;
        }
        self.last_client_stream = self.last_client_stream.max(id);
    }

    /// May a response come for a stream that is not live, because we did not see its request?
    fn may_be_orphan(&self, id: u32, facts: &BlockFacts, ends: bool) -> bool {
        if facts.status.is_none() && !facts.lost && (facts.unknown == 0 || facts.starts_regular || ends) {
            return false; // trailers, or not to be told from them
        }
        let lost = self.sides.iter().any(|side| side.losses.bytes > 0);
        if id.is_multiple_of(2) {
            return (self.late || lost) && id > self.last_promised_stream;
        }
        let before_us = self.late && (self.first_client_stream == 0 || id < self.first_client_stream);
        // Above the highest seen: the other direction may come a little later.
        before_us
            || id > self.last_client_stream
            || self.lost_streams.iter().any(|(after, before)| (after + 1..*before).contains(&id))
    }
}

/// Interim responses that are usual.
const MOST_INTERIM: u32 = 16;

fn add_unknown(transaction: &mut Transaction, facts: &BlockFacts) {
    let coverage = &mut transaction.coverage;
    coverage.unknown_fields = coverage.unknown_fields.saturating_add(facts.unknown);
}
