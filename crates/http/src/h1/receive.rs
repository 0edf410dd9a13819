//! Reading one direction: heads, chunks, trailers, and the ends of messages.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use super::chunked::{Chunked, Step};
use super::framing::{BodyEnd, Facts};
use super::pairing::Pending;
use super::resync::{find_request, find_response};
use super::scan::LineScan;
use super::start_line::{
    Guess, is_token, may_start_with_known_method, parse_request_line, parse_status_line, recognise_request,
    strip_line_end,
};
use super::switch::{Origin, Switch};
use super::{Http1, State, body_mut, head, lenient};
use crate::anomaly::{Anomalies, Anomaly};
use crate::engine::Engine;
use crate::message::{Request, Response, Version};
use crate::transaction::{Framing, Upgrade};

/// Interim responses to one request that are normal (F042).
const INTERIM_RESPONSES: u32 = 64;
/// Bytes of a lost line kept beside the longest target: method, blanks and version.
const LINE_SPARE_BYTES: usize = 64;

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

    fn put_buffer_back(&mut self, direction: Direction, buffer: Vec<u8>) {
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

    fn begin_request(
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
            && engine.sampler.as_mut().is_some_and(|sampler| sampler.sample_request(&request));
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

    fn begin_response(
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
            && engine
                .sampler
                .as_mut()
                .is_some_and(|sampler| sampler.sample_response(transaction.request.as_ref(), &response));
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
    fn answers_http09(&mut self) -> bool {
        self.pairing
            .first_waiting()
            .and_then(|pending| pending.transaction.request.as_ref())
            .is_some_and(|request| request.version == Version::Http09)
    }

    fn begin_http09_answer(&mut self, engine: &mut Engine, time: Timestamp) -> usize {
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

    /// Something that is no message where one should begin.
    fn lose_to_garbage(&mut self, engine: &mut Engine, direction: Direction) {
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
    fn lose_place(&mut self, engine: &mut Engine, direction: Direction) {
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

fn framing(end: BodyEnd) -> Framing {
    match end {
        BodyEnd::None | BodyEnd::Unknown => Framing::None,
        BodyEnd::Length(_) => Framing::Length,
        BodyEnd::Chunked => Framing::Chunked,
        BodyEnd::Close => Framing::Close,
    }
}
