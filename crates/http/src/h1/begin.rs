//! What a head begins: a transaction or its answer, a body, another protocol.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::chunked::Chunked;
use super::framing::{BodyEnd, Facts};
use super::pairing::Pending;
use super::start_line::{Guess, may_start_with_known_method, recognise_request};
use super::switch::{Origin, Switch};
use super::{Http1, State};
use crate::anomaly::Anomaly;
use crate::engine::Engine;
use crate::message::{Request, Response, Version};
use crate::transaction::{Framing, Upgrade};

/// Interim responses to one request that are normal (F042).
const INTERIM_RESPONSES: u32 = 64;

impl Http1 {
    pub(super) fn begin_request(
        &mut self,
        engine: &mut Engine,
        time: Timestamp,
        request: Request,
        mut facts: Facts,
        used: usize,
        cut: bool,
    ) {
        if self.pairing.lost_response_has_ended() && self.pairing.answering {
            self.end_message_untimed(engine, Direction::ToClient, false);
        }
        self.drop_unlikely_body(engine);
        let is_connect = request.method() == b"CONNECT";
        let (end, ambiguous) = facts.request_body(request.version, is_connect);
        let mut transaction = engine.new_transaction();
        transaction.index = self.pairing.take_index();
        transaction.request_start = Some(self.client.start.0);
        transaction.request_end = Some(time);
        let start = self.client.start.1;
        transaction.request_offsets = start..start.saturating_add(used as u64);
        transaction.anomalies = facts.anomalies;
        // A Host that may be in the part that is missing is not guessed.
        transaction.coverage.tainted = self.pairing.doubt || ambiguous || (cut && request.authority().is_none());
        if std::mem::take(&mut self.client.conflict) {
            transaction.coverage.tainted = true;
            transaction.anomalies.insert(Anomaly::SegmentConflict);
        }
        let sampled = end != BodyEnd::None
            && !cut
            && engine
                .sampler
                .as_mut()
                .is_some_and(|sampler| sampler.sample_request(&request, transaction.request_start));
        let asked = if request.version == Version::Http11 { facts.upgrade() } else { None };
        let is_head = request.method() == b"HEAD";
        transaction.request_body.framing = framing(end);
        transaction.request = Some(request);
        let mut pending = Pending::new(transaction);
        pending.asked = asked;
        pending.is_head = is_head;
        pending.expects = facts.expects_continue();
        pending.holds = !cut && (is_connect || asked.is_some());
        self.pairing.doubt |= ambiguous || facts.anomalies.contains(Anomaly::HeaderLimit);
        self.pairing.add_request(engine, pending);
        if !cut {
            self.begin_body(engine, Direction::ToServer, time, end, sampled);
        }
    }

    pub(super) fn begin_response(
        &mut self,
        engine: &mut Engine,
        time: Timestamp,
        response: Response,
        mut facts: Facts,
        cut: bool,
    ) {
        let status = response.status;
        let start = self.server.start.0;
        let conflict = std::mem::take(&mut self.server.conflict);
        if cut && matches!(status, 100..=199) {
            engine.put_response_back(response);
            return;
        }
        if matches!(status, 100..=199) && !cut && !self.switches(engine, status, &facts) {
            if let Some(pending) = self.pairing.interim_mut(engine) {
                let transaction = &mut pending.transaction;
                transaction.anomalies.extend(facts.anomalies);
                if status == 101 {
                    transaction.anomalies.insert(Anomaly::UnexpectedUpgrade);
                }
                if transaction.informational < INTERIM_RESPONSES {
                    transaction.informational += 1;
                } else {
                    transaction.anomalies.insert(Anomaly::InterimLimit);
                }
            }
            engine.put_response_back(response);
            self.server.state = State::Start;
            return;
        }
        let doubt = self.pairing.doubt;
        let Some(pending) = self.pairing.begin_response(engine) else { return };
        let to_head = pending.is_head;
        let is_connect = pending.transaction.request.as_ref().is_some_and(|request| request.method() == b"CONNECT");
        let (end, ambiguous) = facts.response_body(response.version, status, to_head);
        let transaction = &mut pending.transaction;
        transaction.response_start = Some(start);
        transaction.response_end = Some(time);
        transaction.anomalies.extend(facts.anomalies);
        transaction.coverage.tainted |= doubt || ambiguous || conflict;
        if conflict {
            transaction.anomalies.insert(Anomaly::SegmentConflict);
        }
        if !pending.requested {
            match self.client.state {
                State::Length(left)
                    if pending.expects && left == pending.body_len && transaction.informational == 0 =>
                {
                    self.client.state = State::Unsent(left);
                }
                _ => transaction.anomalies.insert(Anomaly::EarlyResponse),
            }
        }
        if is_connect && matches!(status, 200..=299) && !cut {
            transaction.response = Some(response);
            transaction.response_body.complete = true;
            self.switch_to(engine, Upgrade::Tunnel);
            return;
        }
        if status == 101 && !cut {
            let upgrade = facts.upgrade_field().or(pending.asked).unwrap_or(Upgrade::Other);
            if upgrade == Upgrade::H2c && transaction.request.is_some() {
                // The final response is the one of stream 1.
                transaction.informational = transaction.informational.saturating_add(1);
                (transaction.response_start, transaction.response_end) = (None, None);
                engine.put_response_back(response);
            } else {
                transaction.response = Some(response);
                transaction.response_body.complete = true;
            }
            self.switch_to(engine, upgrade);
            return;
        }
        if pending.asked.is_some() {
            transaction.anomalies.insert(Anomaly::UnexpectedUpgrade);
        }
        let sampled = end != BodyEnd::None
            && !cut
            && engine.sampler.as_mut().is_some_and(|sampler| {
                sampler.sample_response(transaction.request.as_ref(), &response, transaction.request_start)
            });
        transaction.response_body.framing = framing(end);
        transaction.response = Some(response);
        self.pairing.doubt |= ambiguous || facts.anomalies.contains(Anomaly::HeaderLimit);
        if !cut {
            self.begin_body(engine, Direction::ToClient, time, end, sampled);
        }
    }

    /// The server answered before the body: is this the body, or the next request (RFC 9110 §10.1.1)?
    pub(super) fn read_unsent(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
        left: u64,
    ) -> usize {
        let side = self.side(direction);
        side.buffer.extend_from_slice(bytes);
        let is_long = side.buffer.len() >= engine.config.detect_bytes;
        // A method of our own choice is likelier to be a body's first word.
        let guess = if may_start_with_known_method(&side.buffer) { recognise_request(&side.buffer) } else { Guess::No };
        self.held.get_or_insert_default().push(direction, time, bytes);
        match guess {
            Guess::Yes => self.end_message_untimed(engine, direction, true),
            Guess::More if !is_long => return bytes.len(),
            Guess::More | Guess::No => self.side(direction).state = State::Length(left),
        }
        self.side(direction).clear_buffer();
        self.release = true;
        bytes.len()
    }

    /// Does this 101 change the protocol? Not if nobody asked for it (F044).
    fn switches(&mut self, engine: &mut Engine, status: u16, facts: &Facts) -> bool {
        if status != 101 {
            return false;
        }
        match self.pairing.interim_mut(engine) {
            Some(pending) => pending.asked.is_some() && pending.requested,
            None => facts.upgrade_field().is_some(),
        }
    }

    fn switch_to(&mut self, engine: &mut Engine, upgrade: Upgrade) {
        let transaction = self.pairing.take_switching(engine).map(|mut transaction| {
            transaction.upgrade = Some(upgrade);
            transaction
        });
        let transaction = match (upgrade, transaction) {
            (Upgrade::WebSocket, transaction) => transaction,
            // Stream 1 answers it.
            (Upgrade::H2c, Some(transaction)) if transaction.request.is_some() => Some(transaction),
            (_, Some(transaction)) => {
                engine.finish(transaction);
                None
            }
            (_, None) => None,
        };
        let held = self.held.take();
        let held_len = held.as_ref().map_or(0, |held| held.stream_bytes(Direction::ToServer));
        self.switch = Some(Box::new(Switch {
            upgrade,
            transaction,
            held,
            origin: Origin {
                mid_stream: self.pairing.mid_stream,
                next_index: self.pairing.next_index,
                gaps: [false; 2],
                offsets: [self.client.offset.saturating_sub(held_len), self.server.offset],
            },
        }));
    }

    /// The change of protocol, with the offsets brought up to date.
    pub(super) fn take_switch(&mut self) -> Option<Box<Switch>> {
        let mut switch = self.switch.take()?;
        switch.origin.offsets[1] = self.server.offset;
        Some(switch)
    }

    /// Is the next thing from the server the answer to a request of HTTP/0.9?
    pub(super) fn answers_http09(&mut self) -> bool {
        self.pairing
            .first_waiting()
            .and_then(|pending| pending.transaction.request.as_ref())
            .is_some_and(|request| request.version == Version::Http09)
    }

    pub(super) fn begin_http09_answer(&mut self, engine: &mut Engine, time: Timestamp) -> usize {
        self.server.start = (time, self.server.offset);
        let response = Response { version: Version::Http09, ..engine.new_response() };
        let facts = Facts::default();
        self.begin_response(engine, time, response, facts, false);
        0
    }

    /// A response whose request was not seen may be one to HEAD: no byte of the body came, and the client goes on.
    fn drop_unlikely_body(&mut self, engine: &mut Engine) {
        let pipelined = self.pairing.is_pipelined();
        if let State::Length(left) = self.server.state
            && let Some(pending) = self.pairing.response_mut()
            && pending.is_orphan
            && pending.body_len == left
            && !pipelined
        {
            pending.transaction.response_body.framing = Framing::None;
            self.end_message_untimed(engine, Direction::ToClient, true);
        }
    }

    fn begin_body(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, end: BodyEnd, sampled: bool) {
        let side = match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        };
        let state = match end {
            BodyEnd::None => return self.end_message(engine, direction, time, true),
            BodyEnd::Length(len) => State::Length(len),
            BodyEnd::Chunked => State::Chunks(Chunked::new()),
            BodyEnd::Close => State::Close,
            BodyEnd::Unknown => {
                self.pairing.doubt = true;
                return self.lose_place(engine, direction);
            }
        };
        side.state = state;
        side.has_body = true;
        let pending = match direction {
            Direction::ToServer => self.pairing.request_mut(),
            Direction::ToClient => self.pairing.response_mut(),
        };
        let Some(pending) = pending else { return };
        pending.body_len = if let BodyEnd::Length(len) = end { len } else { 0 };
        let transaction = &pending.transaction;
        let headers = match direction {
            Direction::ToServer => transaction.request.as_ref().map(|request| &request.headers),
            Direction::ToClient => transaction.response.as_ref().map(|response| &response.headers),
        };
        if let Some(headers) = headers {
            self.bodies.start(&mut side.body, engine, headers, direction == Direction::ToServer, sampled);
        }
    }
}

fn framing(end: BodyEnd) -> Framing {
    match end {
        BodyEnd::None | BodyEnd::Unknown => Framing::None,
        BodyEnd::Length(_) => Framing::Length,
        BodyEnd::Chunked => Framing::Chunked,
        BodyEnd::Close => Framing::Close,
    }
}
