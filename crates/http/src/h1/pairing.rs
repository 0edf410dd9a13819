//! Which response answers which request.
//!
//! HTTP/1 answers in order (RFC 9112 §9.3.2), so while nothing is lost a response belongs to the oldest request that
//! waits. What a gap may have swallowed is not guessed:
//!
//! - A client that was never seen to send a request before the answer to the last one works in lockstep. There the next
//!   request shows that everything before it was answered, and a response answers the newest request. So after a gap
//!   older requests are given out without response, and pairing goes on.
//! - A client that pipelines gives no such hint. After a gap its requests and responses are given out apart, until
//!   nothing has moved for [`QUIET`].
//! - A request that follows a gap in its own direction, with nothing from the server in between, may not be the one that
//!   the next response answers: both are given out apart.
//! - Where the flow was joined in its middle, answers to requests from before may still be on their way: the first exchange
//!   is kept until the client goes on or the server has nothing more to say. Another answer instead shows that it was a
//!   guess: given out apart, and so the next one is kept. (A client that keeps a constant number of requests under way
//!   looks like one in lockstep.)

use std::collections::VecDeque;
use std::time::Duration;

use umbra_flow::Direction;

use crate::anomaly::{Anomalies, Anomaly};
use crate::engine::Engine;
use crate::transaction::{Grpc, Transaction, Upgrade};

/// After this long without a byte in either direction and nothing waiting, the next request starts afresh.
const QUIET: Duration = Duration::from_secs(5);

/// A server that has kept silent so long when the flow ends has no more answers on their way.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// After this many exchanges, each answered before the next request and none with a loss, a client works in lockstep also
/// where a loss hides it.
const LOCKSTEP: u8 = 3;

/// A transaction that is not finished.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) transaction: Box<Transaction>,
    /// Answers to requests that were not kept come before the answer to this one.
    skip: u64,
    /// The protocol that the request asks to change to.
    pub(super) asked: Option<Upgrade>,
    pub(super) is_head: bool,
    /// Length of the body being read, if its head names one.
    pub(super) body_len: u64,
    /// What follows the request is not read before its answer is known (CONNECT, Upgrade).
    pub(super) holds: bool,
    /// The request has ended.
    pub(super) requested: bool,
    /// The final response has ended.
    pub(super) responded: bool,
    /// The client waits for 100 (Continue) before it sends the body.
    pub(super) expects: bool,
    /// There is no request.
    pub(super) is_orphan: bool,
    /// A request that cannot be paired with certainty.
    unsure: bool,
    /// Past the limit: given out as soon as the request ends.
    unkept: bool,
}

impl Pending {
    pub(super) fn new(transaction: Box<Transaction>) -> Self {
        Pending {
            transaction,
            skip: 0,
            asked: None,
            is_head: false,
            body_len: 0,
            holds: false,
            expects: false,
            requested: false,
            responded: false,
            is_orphan: false,
            unsure: false,
            unkept: false,
        }
    }
}

/// The transactions of a flow that are not finished, in order of their requests. The request being read is the last one,
/// the response being read belongs to the first one.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    pending: VecDeque<Pending>,
    pub(super) next_index: u64,
    /// Requests not kept since the last one that was.
    unkept_tail: u64,
    /// The last one's request is being read.
    pub(super) requesting: bool,
    /// The first one's response is being read.
    pub(super) answering: bool,
    /// A request was sent before the answer to the one before it.
    pipelined: bool,
    /// Whole responses may have been lost since the newest request.
    lost_responses: bool,
    /// Whole requests may have been lost, and nothing came from the server since.
    request_gap: bool,
    /// Whole requests may have been lost after the newest one that was seen.
    lost_after_newest: bool,
    /// Something was lost: pipelined messages can no longer be counted off.
    unanchored: bool,
    /// Exchanges of a client in lockstep before anything was lost, counted up to [`LOCKSTEP`].
    lockstep: u8,
    /// Nothing had moved for [`QUIET`] when the client went on.
    quiet: bool,
    /// Framing of the client's bytes is in doubt: what is read confirms nothing (F035).
    pub(super) doubt: bool,
    pub(super) mid_stream: bool,
    /// Joined in the middle, and no exchange has shown yet that nothing from before waits for its answer.
    unproven: bool,
    /// The exchange that is to show it.
    withheld: Option<Box<Transaction>>,
    /// Bytes came, by direction.
    pub(super) seen: [bool; 2],
    /// Oddities of the flow: every transaction from here on carries them.
    pub(super) anomalies: Anomalies,
}

impl Pairing {
    /// A request head begins. `clean`: it is the first thing after bytes of the server, which is at the end of a message.
    pub(super) fn request_begins(&mut self, clean: bool) {
        let quiet = std::mem::take(&mut self.quiet);
        if !self.pending.is_empty() {
            return;
        }
        if clean {
            // Everything read so far was answered and the client waited for it: both ends agree where messages end.
            self.doubt = false;
        }
        if quiet {
            (self.unanchored, self.pipelined) = (false, false);
            (self.request_gap, self.lost_responses, self.lost_after_newest) = (false, false, false);
            self.unproven = false;
        }
    }

    /// A gap begins so long after the last bytes of either direction. One of the server's confirms nothing: it may be shorter
    /// than what the requests in a gap before it were answered with.
    pub(super) fn time_passed(&mut self, silence: Duration) {
        self.quiet |= silence >= QUIET;
    }

    /// Bytes of a direction came, so long after the last ones of either.
    pub(super) fn bytes_came(&mut self, direction: Direction, silence: Duration) {
        self.time_passed(silence);
        if direction == Direction::ToClient {
            (self.quiet, self.request_gap) = (false, false);
        }
    }

    /// Whole requests may have been lost.
    pub(super) fn lose_requests(&mut self) {
        self.doubt_waiting();
        (self.request_gap, self.lost_after_newest, self.unanchored) = (true, true, true);
    }

    /// The flow was joined in the middle: requests from before may still wait for their answers.
    pub(super) fn join_mid_stream(&mut self) {
        (self.mid_stream, self.unanchored, self.unproven) = (true, true, true);
    }

    /// The client goes on before it has its answer. Where something was lost, a request in front of those that wait may be
    /// among it.
    fn doubt_waiting(&mut self) {
        if self.unanchored {
            let decided = usize::from(self.answering);
            self.pending.iter_mut().skip(decided).for_each(|pending| pending.unsure |= !pending.responded);
        }
    }

    /// Whole responses may have been lost.
    pub(super) fn lose_responses(&mut self, engine: &mut Engine) {
        self.release_withheld(engine, false);
        (self.lost_responses, self.unanchored) = (true, true);
        // What the client sends next acknowledges these bytes. In lockstep it has waited for the answers to everything
        // before, what was lost of it too: the next response is for the next request.
        self.request_gap &= self.pipelined || self.lockstep < LOCKSTEP;
    }

    /// A client in lockstep begins a request although a response was lost: that response has ended.
    pub(super) fn lost_response_has_ended(&self) -> bool {
        self.lost_responses && !self.pipelined
    }

    /// A new request, whose head is complete. The response being read must have been finished if
    /// [`lost_response_has_ended`](Self::lost_response_has_ended).
    pub(super) fn add_request(&mut self, engine: &mut Engine, mut request: Pending) {
        self.release_withheld(engine, true);
        if self.lost_response_has_ended() {
            self.give_out_all(engine);
            self.lost_responses = false;
        } else if self.pending.iter().any(|pending| !pending.responded && !pending.is_orphan) {
            // The flow stage hands over what a client sent after an answer only after that answer.
            self.pipelined = true;
            self.doubt_waiting();
        }
        self.lost_after_newest = false;
        request.unsure = self.request_gap || (self.pipelined && self.unanchored);
        request.skip = std::mem::take(&mut self.unkept_tail);
        if self.pending.len() >= engine.config.pending {
            request.unkept = true;
            request.transaction.anomalies.insert(Anomaly::PendingLimit);
            // The answer to HEAD is framed in its own way, and we shall not know which one it is.
            self.doubt |= request.is_head || request.holds;
        }
        self.requesting = true;
        self.pending.push_back(request);
    }

    /// The request being read.
    pub(super) fn request_mut(&mut self) -> Option<&mut Pending> {
        if self.requesting { self.pending.back_mut() } else { None }
    }

    /// The newest request, whether it has ended or not.
    pub(super) fn newest_mut(&mut self) -> Option<&mut Pending> {
        self.pending.back_mut().filter(|pending| !pending.is_orphan)
    }

    /// The request has ended.
    pub(super) fn end_request(&mut self, engine: &mut Engine) {
        self.requesting = false;
        let Some(last) = self.pending.back_mut() else { return };
        last.requested = true;
        if last.responded {
            let done = self.pending.pop_back();
            self.complete(engine, done);
        } else if last.unkept && self.pending.len() > 1 {
            let done = self.pending.pop_back();
            self.unkept_tail = done.as_ref().map_or(0, |done| done.skip).saturating_add(1);
            self.give_out_one(engine, done);
        }
    }

    /// A response that answers nothing that is waiting could still be real: only one that can be paired is looked for.
    pub(super) fn awaits_response(&self) -> bool {
        self.pending.iter().any(|pending| !pending.responded && !pending.is_orphan) || !self.seen[0]
    }

    /// The request that the response beginning now answers, if that is certain.
    fn settle(&mut self, engine: &mut Engine) {
        if self.lost_responses {
            self.lost_responses = false;
            let newest_is_known = !self.pipelined && !self.lost_after_newest;
            let keep = usize::from(newest_is_known || self.requesting);
            while self.pending.len() > keep {
                let done = self.pending.pop_front();
                self.give_out_one(engine, done);
            }
            if !newest_is_known && let Some(left) = self.pending.front_mut() {
                left.unsure = true;
            }
        }
    }

    /// The request that an interim response belongs to.
    pub(super) fn interim_mut(&mut self, engine: &mut Engine) -> Option<&mut Pending> {
        self.settle(engine);
        self.pending.front_mut().filter(|first| !first.responded && !first.unsure && first.skip == 0)
    }

    /// A final response begins: the transaction that it belongs to, which has no request if the pairing is not certain.
    pub(super) fn begin_response(&mut self, engine: &mut Engine) -> Option<&mut Pending> {
        self.settle(engine);
        let first = self.pending.front_mut();
        let orphan = match first {
            Some(first) if first.responded => Some(Anomaly::OrphanResponse),
            Some(first) if first.skip > 0 => {
                first.skip -= 1;
                Some(Anomaly::PendingLimit)
            }
            Some(first) if first.unsure => {
                if first.requested {
                    let done = self.pending.pop_front();
                    self.give_out_one(engine, done);
                }
                Some(Anomaly::OrphanResponse)
            }
            Some(_) => None,
            None if self.unkept_tail > 0 => {
                self.unkept_tail -= 1;
                Some(Anomaly::PendingLimit)
            }
            None => Some(Anomaly::OrphanResponse),
        };
        if let Some(anomaly) = orphan {
            self.release_withheld(engine, false);
            let mut transaction = engine.new_transaction();
            transaction.index = self.take_index();
            transaction.anomalies.insert(anomaly);
            let mut pending = Pending::new(transaction);
            (pending.is_orphan, pending.requested) = (true, true);
            self.pending.push_front(pending);
        }
        self.answering = true;
        self.pending.front_mut()
    }

    /// The transaction whose response is being read.
    pub(super) fn response_mut(&mut self) -> Option<&mut Pending> {
        if self.answering { self.pending.front_mut() } else { None }
    }

    /// The response has ended. True if what the client sent behind its request may now be read.
    pub(super) fn end_response(&mut self, engine: &mut Engine) -> bool {
        self.answering = false;
        let Some(first) = self.pending.front_mut() else { return false };
        first.responded = true;
        let held = first.holds;
        if first.requested {
            let done = self.pending.pop_front();
            self.complete(engine, done);
            if self.pending.is_empty() && !self.unanchored && !self.pipelined {
                self.lockstep = self.lockstep.saturating_add(1).min(LOCKSTEP);
            }
        }
        held
    }

    /// An exchange has ended: it is given out, or kept until it is certain.
    fn complete(&mut self, engine: &mut Engine, done: Option<Pending>) {
        match done {
            Some(done) if self.unproven && !done.is_orphan => {
                self.withheld = Some(done.transaction);
                if !self.pending.is_empty() {
                    self.release_withheld(engine, false);
                }
            }
            done => self.give_out_one(engine, done),
        }
    }

    /// Gives out the exchange that was kept; `certain`: request and response belong together.
    pub(super) fn release_withheld(&mut self, engine: &mut Engine, certain: bool) {
        let Some(mut transaction) = self.withheld.take() else { return };
        let mut orphan = None;
        if certain {
            self.unproven = false;
        } else {
            let mut answer = take_response(&mut transaction, engine.new_transaction());
            answer.index = self.take_index();
            orphan = Some(Pending::new(answer));
        }
        self.give_out_one(engine, Some(Pending::new(transaction)));
        self.give_out_one(engine, orphan);
    }

    /// Takes the transaction whose response changes the protocol; what waits behind it is given out.
    pub(super) fn take_switching(&mut self, engine: &mut Engine) -> Option<Box<Transaction>> {
        self.answering = false;
        self.requesting = false;
        let first = self.pending.pop_front();
        self.give_out_all(engine);
        first.map(|mut first| {
            self.complete_facts(&mut first.transaction);
            first.transaction
        })
    }

    /// Gives out everything that has ended or (`all`) is waiting, except a request still being read.
    pub(super) fn give_out_waiting(&mut self, engine: &mut Engine) {
        let keep = usize::from(self.requesting);
        while self.pending.len() > keep {
            let done = self.pending.pop_front();
            self.give_out_one(engine, done);
        }
    }

    fn give_out_all(&mut self, engine: &mut Engine) {
        while let Some(done) = self.pending.pop_front() {
            self.give_out_one(engine, Some(done));
        }
    }

    fn give_out_one(&self, engine: &mut Engine, done: Option<Pending>) {
        if let Some(mut done) = done {
            self.complete_facts(&mut done.transaction);
            engine.finish(done.transaction);
        }
    }

    fn complete_facts(&self, transaction: &mut Transaction) {
        transaction.coverage.mid_stream = self.mid_stream;
        transaction.coverage.one_sided = self.seen != [true, true];
        transaction.anomalies.extend(self.anomalies);
    }

    /// The next number of a transaction.
    pub(super) fn take_index(&mut self) -> u64 {
        let index = self.next_index;
        self.next_index = index.saturating_add(1);
        index
    }

    /// Is anything the client sent being kept from the parser?
    pub(super) fn holds(&self) -> bool {
        self.pending.iter().any(|pending| pending.holds && !pending.responded)
    }

    /// The request that the next response answers, as far as is known.
    pub(super) fn first_waiting(&self) -> Option<&Pending> {
        self.pending.front().filter(|first| !first.responded)
    }

    /// The client was seen not to wait for answers.
    pub(super) fn is_pipelined(&self) -> bool {
        self.pipelined
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        let of = |transaction: &Transaction| {
            size_of::<Transaction>()
                + transaction.request.as_ref().map_or(0, |request| request.headers.capacity_bytes())
                + transaction.response.as_ref().map_or(0, |response| response.headers.capacity_bytes())
        };
        let withheld = self.withheld.as_deref().map_or(0, of);
        let waiting = self.pending.iter().map(|pending| of(&pending.transaction)).sum::<usize>();
        self.pending.capacity() * size_of::<Pending>() + waiting + withheld
    }
}

/// Moves what belongs to the response.
fn take_response(from: &mut Transaction, mut to: Box<Transaction>) -> Box<Transaction> {
    to.response = from.response.take();
    to.response_body = std::mem::take(&mut from.response_body);
    (to.response_start, to.response_end) = (from.response_start.take(), from.response_end.take());
    to.informational = std::mem::take(&mut from.informational);
    to.sse_events = from.sse_events.take();
    to.grpc = from.grpc.map(|grpc| Grpc { request_messages: 0, ..grpc });
    from.grpc = from.grpc.map(|grpc| Grpc { response_messages: 0, status: None, ..grpc });
    // Which of the two it was said of is not known.
    to.coverage = from.coverage;
    to.anomalies.insert(Anomaly::OrphanResponse);
    to
}
