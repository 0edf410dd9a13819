//! Holes: what waits behind them, and when they are given up.
//!
//! A hole is given up when
//! - the peer acknowledged it and it did not show up within `reorder_grace` (`GapCause::Lost`): the capture missed it. The
//!   grace is there because mirror ports reorder: an ACK, or a whole answer, may be captured before what it acknowledges.
//!   While the bytes are only claimed by an ACK, and nothing of their sender's own shows that they were sent, `hole_timeout`
//!   applies instead, so that a forged ACK cannot make the real bytes late;
//! - nobody acknowledged it within `hole_timeout` of the first bytes behind it (`Timeout`);
//! - a cap is reached (`Limit`, or `Lost` when acknowledged);
//! - the flow ends.
//!
//! Giving up a hole never changes the order in which the two sides saw each other's bytes. What one side sent after it had
//! received bytes of the other waits for those bytes or for the gap in their place, and a gap is told in pieces where the
//! other side's waiting bytes come in between. Bytes that are here and wait only for the other direction are no hole, so
//! their own direction's deadline does not count.
//!
//! All of this is decided by the flow clock at the flow's own segments, and dated to the deadline itself, so a sweep that
//! comes earlier or later changes nothing.

use umbra_wire::Timestamp;

use crate::assembler::{Arrival, Body, CHUNK_COST, Source};
use crate::config::Config;
use crate::event::{EndReason, GapCause};
use crate::flow::{BOTH, FlowState, Shared};
use crate::key::Direction;
use crate::pending::Pending;

/// Spare buffers kept for use again, and the largest one worth keeping.
const MAX_SPARE: usize = 256;
const MAX_SPARE_BYTES: usize = 4096;

impl FlowState {
    /// Puts bytes aside until their turn, or hands them over when a cap forces their turn to come.
    pub(crate) fn wait(
        &mut self,
        direction: Direction,
        start: u64,
        source: Source<'_>,
        arrival: Arrival,
        index: u32,
        shared: &mut Shared,
    ) {
        let mut len = source.len() as usize;
        if len == 0 {
            return;
        }
        if !matches!(source, Source::Bytes(_)) {
            len = 0;
        }
        self.unsettled = true;
        self.hurry = true;
        while let Some(counter) = self.over(direction, len, shared) {
            *counter += 1;
            self.relieve(direction, start, arrival, index, shared);
            if self.lanes[direction.index()].waiting.is_empty() || start <= self.facts.direction(direction).offset {
                // Nothing is left to make room, or these bytes are next and go at once.
                break;
            }
        }
        let side = self.side(direction);
        let offset = side.facts.offset;
        let (start, source) = match source {
            // The relief may have handed over what came first in part.
            Source::Bytes(bytes) if start < offset => {
                let done = usize::try_from(offset - start).unwrap_or(usize::MAX);
                (offset, Source::Bytes(bytes.get(done..).unwrap_or_default()))
            }
            Source::Missing(len) if start < offset => (offset, Source::Missing(len.saturating_sub(offset - start))),
            Source::Urgent if start < offset => return,
            source => (start, source),
        };
        if source.len() == 0 {
            return;
        }
        let spare = &mut shared.spare;
        // Bytes that are next need no room: they are handed over at once.
        let max = if start <= offset { usize::MAX } else { shared.config.max_direction_segments };
        let done = side.lane.waiting.insert(start, source, arrival, max, || spare.pop().unwrap_or_default());
        side.facts.retransmitted_bytes += done.duplicate_bytes;
        shared.counters.retransmitted_bytes += done.duplicate_bytes;
        shared.counters.buffered_segments += 1;
        let cost = done.stored_bytes + done.stored_chunks * CHUNK_COST;
        self.waiting_bytes += cost;
        shared.waiting_bytes += cost;
        if done.conflict {
            self.conflict(direction, index, shared);
        }
    }

    /// The counter of the cap that `len` more bytes would pass.
    fn over<'a>(&self, direction: Direction, len: usize, shared: &'a mut Shared) -> Option<&'a mut u64> {
        let waiting = &self.lanes[direction.index()].waiting;
        let (config, counters) = (&shared.config, &mut shared.counters);
        if waiting.bytes() + len > config.max_direction_bytes || waiting.segments() >= config.max_direction_segments {
            return Some(&mut counters.limit_direction);
        }
        if self.waiting_bytes + len + CHUNK_COST > config.max_flow_bytes {
            return Some(&mut counters.limit_flow);
        }
        if shared.waiting_bytes + len + CHUNK_COST > config.max_total_bytes {
            return Some(&mut counters.limit_global);
        }
        None
    }

    /// Makes room: gives up the hole in front of the first waiting bytes, or what they wait for.
    fn relieve(&mut self, direction: Direction, start: u64, arrival: Arrival, index: u32, shared: &mut Shared) {
        let side = self.side(direction);
        let before = side.lane.waiting.segments();
        let (first, after_peer) = match side.lane.waiting.first() {
            Some((first, arrival)) if first <= start => (first, arrival.after_peer),
            // The new bytes come first: they will be next.
            _ => (start, arrival.after_peer),
        };
        if first > side.facts.offset {
            let acked = side.facts.acked >= first;
            let cause = if acked { GapCause::Lost } else { GapCause::Limit };
            self.give_up(direction, first, cause, arrival.clock, index, shared);
        }
        let opposite = direction.opposite();
        if after_peer > self.facts.directions[opposite.index()].offset {
            self.give_up(opposite, after_peer, GapCause::Lost, arrival.clock, index, shared);
        }
        self.drain(index, shared);
        // Whatever it is that still keeps the first bytes: they go now.
        if self.lanes[direction.index()].waiting.segments() >= before {
            self.deliver_first(direction, true, index, shared);
        }
        while self.over(direction, 0, shared).is_some() && self.deliver_first(direction, true, index, shared) {}
    }

    /// Hands over all waiting bytes whose turn has come.
    #[inline]
    pub(crate) fn drain(&mut self, index: u32, shared: &mut Shared) {
        // So it is at nearly every FIN.
        if self.lanes.iter().any(|lane| !lane.waiting.is_empty()) {
            self.drain_waiting(index, shared);
        }
    }

    fn drain_waiting(&mut self, index: u32, shared: &mut Shared) {
        loop {
            let mut moved = false;
            for direction in BOTH {
                while self.deliver_first(direction, false, index, shared) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Hands over the first waiting bytes of a direction if they are next, and (unless forced) the peer's bytes that
    /// their sender had received went before them.
    fn deliver_first(&mut self, direction: Direction, force: bool, index: u32, shared: &mut Shared) -> bool {
        let (side, peer) = self.sides(direction);
        let Some((start, arrival)) = side.lane.waiting.first() else { return false };
        let offset = side.facts.offset;
        let held = arrival.after_peer > peer.facts.offset && peer.lane.mark.is_some();
        if start > offset || (held && !force) {
            return false;
        }
        let peer_seen = peer.facts.packets > 0;
        let Some((_, chunk)) = side.lane.waiting.pop_first() else { return false };
        let stored = if let Body::Bytes(bytes) = &chunk.body { bytes.len() } else { 0 };
        let cost = stored + CHUNK_COST;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(cost);
        shared.waiting_bytes = shared.waiting_bytes.saturating_sub(cost);
        let skip = offset - start;
        match chunk.body {
            Body::Bytes(bytes) => {
                let side = self.side(direction);
                let fresh = bytes.get(skip as usize..).unwrap_or_default();
                let len = fresh.len() as u64;
                if peer_seen && !side.lane.history.record(offset, fresh, &mut shared.histories[direction.index()]) {
                    shared.counters.limit_history += 1;
                }
                side.facts.offset += len;
                side.lane.next_seq = side.lane.next_seq.wrapping_add(len as u32);
                shared.counters.delivered_bytes += len;
                if len > 0 {
                    shared.queue.push_chunk(index, direction, arrival.time, skip as u32, bytes);
                }
            }
            Body::Missing(len) => {
                if let Some(len) = len.checked_sub(skip).filter(|len| *len > 0) {
                    self.gap(direction, len, GapCause::Truncated, arrival.time, index, shared);
                }
            }
            Body::Urgent => {
                if skip == 0 {
                    let side = self.side(direction);
                    side.facts.offset += 1;
                    side.lane.next_seq = side.lane.next_seq.wrapping_add(1);
                    shared.counters.urgent_bytes += 1;
                }
            }
        }
        true
    }

    /// Reports `len` bytes as missing.
    pub(crate) fn gap(
        &mut self,
        direction: Direction,
        len: u64,
        cause: GapCause,
        time: Timestamp,
        index: u32,
        shared: &mut Shared,
    ) {
        let side = self.side(direction);
        let start = side.facts.offset;
        side.facts.offset += len;
        side.facts.gap_bytes += len;
        side.lane.next_seq = side.lane.next_seq.wrapping_add(len as u32);
        side.lane.sent = side.lane.sent.max(side.facts.offset);
        side.lane.last_gap = (start, side.facts.offset);
        shared.counters.gaps += 1;
        shared.counters.gap_bytes += len;
        if cause == GapCause::Truncated {
            side.facts.truncated_bytes += len;
            shared.counters.truncated_bytes += len;
        }
        if !self.ignored {
            shared.queue.push(index, Pending::Gap { direction, time, len, cause });
        }
    }

    /// Brings a direction to `until`: waiting bytes are handed over, what is missing is reported. What the other direction
    /// has to say in between is said in between; a hole of its own that stands in the way is given up too.
    pub(crate) fn give_up(
        &mut self,
        direction: Direction,
        until: u64,
        cause: GapCause,
        time: Timestamp,
        index: u32,
        shared: &mut Shared,
    ) {
        loop {
            self.drain(index, shared);
            if self.pass_hole(direction, until, cause, time, index, shared) {
                continue;
            }
            let peer = direction.opposite();
            let wanted = self.obstacle(direction).filter(|_| self.facts.direction(direction).offset < until);
            let Some(peer_until) = wanted else { return };
            if !self.pass_hole(peer, peer_until, GapCause::Lost, time, index, shared) {
                // Each waits for the other: there is no right order.
                self.deliver_first(direction, true, index, shared);
            }
        }
    }

    /// Reports the first piece of what is missing at the front of a direction, up to `until` at most. False if nothing is.
    fn pass_hole(
        &mut self,
        direction: Direction,
        until: u64,
        cause: GapCause,
        time: Timestamp,
        index: u32,
        shared: &mut Shared,
    ) -> bool {
        let lane = &self.lanes[direction.index()];
        let offset = self.facts.direction(direction).offset;
        // Nothing follows a FIN.
        let mut end = lane.fin.map_or(until, |fin| fin.min(until));
        if let Some((start, _)) = lane.waiting.first() {
            end = end.min(start);
        }
        // Here the other side spoke.
        let peer = &self.lanes[direction.opposite().index()];
        if let Some(after) = peer.waiting.waited_for().find(|after| *after > offset) {
            end = end.min(after);
        }
        if end <= offset {
            return false;
        }
        self.gap(direction, end - offset, cause, time, index, shared);
        true
    }

    /// The next bytes of a direction are here: what they wait for, a stream offset of the other direction.
    fn obstacle(&self, direction: Direction) -> Option<u64> {
        let facts = self.facts.direction(direction);
        let (_, arrival) = self.lanes[direction.index()].waiting.first().filter(|(start, _)| *start <= facts.offset)?;
        Some(arrival.after_peer)
    }

    /// The next bytes of a direction are here, and what they wait for is missing for certain.
    fn waits_for_peer(&self, direction: Direction) -> bool {
        let peer = direction.opposite();
        let lane = &self.lanes[peer.index()];
        self.obstacle(direction).is_some()
            && self.obstacle(peer).is_none()
            && lane.mark.is_some_and(|mark| lane.sent >= mark.until)
    }

    /// After something moved: hands over what can go, and finds out what is still open.
    pub(crate) fn settle(&mut self, clock: Timestamp, index: u32, shared: &mut Shared) {
        for direction in BOTH {
            let side = self.side(direction);
            side.lane.refresh_mark(side.facts, clock);
        }
        self.drain(index, shared);
        for direction in BOTH {
            let side = self.side(direction);
            side.lane.refresh_mark(side.facts, clock);
        }
        self.drain(index, shared);
        self.unsettled = self.lanes.iter().any(|lane| lane.mark.is_some() || !lane.waiting.is_empty());
        if self.unsettled {
            // This very segment may have shown that what was acknowledged had been sent.
            self.expire_holes(clock, index, shared);
        }
    }

    /// The next hole to give up: when, where, until which offset.
    fn next_hole(&self, config: &Config) -> Option<(Timestamp, Direction, u64, GapCause)> {
        let mut next: Option<(Timestamp, Direction, u64, GapCause)> = None;
        for direction in BOTH {
            let lane = &self.lanes[direction.index()];
            let facts = &self.facts.directions[direction.index()];
            let mark = lane.mark.filter(|_| !self.waits_for_peer(direction)).map(|mark| {
                let shown = lane.sent >= mark.until || lane.is_unseen_fin(facts.offset, mark.until);
                let wait = if shown { config.reorder_grace } else { config.hole_timeout };
                (mark.since.after(wait), direction, mark.until, GapCause::Lost)
            });
            let hole = lane.waiting.first().filter(|(start, _)| *start > facts.offset).map(|(start, arrival)| {
                let cause = if facts.acked >= start { GapCause::Lost } else { GapCause::Timeout };
                (arrival.clock.after(config.hole_timeout), direction, start, cause)
            });
            for candidate in [mark, hole].into_iter().flatten() {
                if next.is_none_or(|next| candidate.0 < next.0) {
                    next = Some(candidate);
                }
            }
        }
        next
    }

    /// Gives up the holes whose time had come by `clock`, each dated to its own deadline.
    #[cold]
    pub(crate) fn expire_holes(&mut self, clock: Timestamp, index: u32, shared: &mut Shared) {
        while let Some((at, direction, until, cause)) = self.next_hole(&shared.config) {
            if at > clock {
                break;
            }
            let side = self.side(direction);
            if side.lane.is_unseen_fin(side.facts.offset, until) {
                side.lane.fin_guess = until;
                side.lane.mark = None;
            } else if until > side.facts.offset
                && !self.pass_hole(direction, until, cause, at, index, shared)
                && !self.deliver_first(direction, true, index, shared)
            {
                self.break_off(direction, shared);
            }
            self.drain(index, shared);
            for direction in BOTH {
                let side = self.side(direction);
                side.lane.refresh_mark(side.facts, at);
            }
            self.drain(index, shared);
            self.close(at, index, shared);
        }
        self.unsettled = self.lanes.iter().any(|lane| lane.mark.is_some() || !lane.waiting.is_empty());
    }

    /// When the flow has to be looked at again, if no segment comes.
    pub(crate) fn deadline(&self, config: &Config) -> Timestamp {
        let idle = self.facts.last_time.after(self.idle_timeout(config));
        if !self.unsettled {
            return idle;
        }
        self.next_hole(config).map_or(idle, |(at, ..)| idle.min(at))
    }

    /// Hands over or reports everything left, then the ends.
    pub(crate) fn finish(&mut self, reason: EndReason, time: Timestamp, index: u32, shared: &mut Shared) {
        let unacked = if reason == EndReason::Evicted { GapCause::Limit } else { GapCause::Timeout };
        loop {
            self.drain(index, shared);
            for direction in BOTH {
                let side = self.side(direction);
                side.lane.refresh_mark(side.facts, time);
            }
            // A hole the peer acknowledged goes first: the other direction may wait for it.
            let open = BOTH.into_iter().filter_map(|direction| {
                let lane = &self.lanes[direction.index()];
                let facts = &self.facts.directions[direction.index()];
                let first = lane.waiting.first();
                let acked = lane.mark.is_some() && !lane.is_unseen_fin(facts.offset, facts.acked);
                match first {
                    Some((start, arrival)) if start <= facts.offset => {
                        Some((3, arrival.clock, direction, start, unacked))
                    }
                    Some((start, arrival)) if acked && facts.acked >= start => {
                        Some((0, arrival.clock, direction, start, GapCause::Lost))
                    }
                    Some((start, arrival)) => Some((2, arrival.clock, direction, start, unacked)),
                    None if acked => Some((1, lane.mark?.since, direction, facts.acked, GapCause::Lost)),
                    None => None,
                }
            });
            let Some((_, _, direction, until, cause)) = open.min_by_key(|(rank, clock, ..)| (*rank, *clock)) else {
                break;
            };
            if !self.pass_hole(direction, until, cause, time, index, shared)
                && !self.deliver_first(direction, true, index, shared)
            {
                self.break_off(direction, shared);
            }
        }
        self.end_all(reason, time, index, shared);
    }

    /// A hole that cannot be given up is our own mistake: it must not stop the machine.
    #[cold]
    fn break_off(&mut self, direction: Direction, shared: &mut Shared) {
        debug_assert!(false, "no way on: {:?} {:?}", self.facts.directions, self.lanes);
        self.forget_waiting(direction, shared);
        let side = self.side(direction);
        side.lane.mark = None;
        side.facts.acked = side.facts.acked.min(side.facts.offset);
    }

    /// Throws away what waits in a direction.
    pub(crate) fn forget_waiting(&mut self, direction: Direction, shared: &mut Shared) {
        if self.side(direction).lane.waiting.is_empty() {
            return;
        }
        while let Some((_, chunk)) = self.side(direction).lane.waiting.pop_first() {
            let mut cost = CHUNK_COST;
            if let Body::Bytes(bytes) = chunk.body {
                cost += bytes.len();
                shared.recycle(bytes);
            }
            self.waiting_bytes = self.waiting_bytes.saturating_sub(cost);
            shared.waiting_bytes = shared.waiting_bytes.saturating_sub(cost);
        }
    }

    /// Gives all buffers back.
    pub(crate) fn discard(&mut self, shared: &mut Shared) {
        for direction in BOTH {
            self.forget_waiting(direction, shared);
            self.side(direction).lane.history.clear(&mut shared.histories[direction.index()]);
        }
        self.unsettled = false;
    }
}

impl Shared {
    /// Keeps an empty buffer for the next bytes that have to wait.
    pub(crate) fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < MAX_SPARE && bytes.capacity() <= MAX_SPARE_BYTES {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}
