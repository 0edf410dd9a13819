//! One flow: what a segment of it changes.
//!
//! ```text
//!            SYN, SYN-ACK            first ACK or data
//! (nothing) ─────────────► half-open ─────────────────► flow ──► closed (remembered for a while)
//!     └──────────────── data without a SYN ──────────────┘  FIN both ways and acknowledged, RST, silence,
//!                                                           eviction, same 5-tuple again, end of input
//! ```
//!
//! Nearly every segment is the next one of a healthy flow and takes a short way (`in_order`). Any other goes through: expiry of holes by its time, checksum, SYN and RST, synchronisation, plausibility (window, ACK,
//! PAWS), ACK of the other direction, payload, FIN.

use std::time::Duration;

use umbra_wire::{Checksum, SegmentHeader, TcpFlags, Timestamp};

use crate::assembler::{Arrival, Source};
use crate::config::{ChecksumPolicy, Config, UrgentPolicy};
use crate::counters::Counters;
use crate::event::{EndReason, GapCause};
use crate::facts::{DirectionFacts, FlowFacts};
use crate::half_open::{Handshake, Opening};
use crate::history::HistoryPool;
use crate::key::{Direction, PackedKey};
use crate::lane::{Lane, MAX_WINDOW, Mark, Scale, Sync};
use crate::pending::{Pending, Queue};

/// Both directions, for loops.
pub(crate) const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// What all flows of a table share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Silence after which every flow is still alive, in nanoseconds.
    pub(crate) surely_alive: u64,
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) queue: Queue,
    /// By [`Direction::index`].
    pub(crate) histories: [HistoryPool; 2],
    /// Empty buffers for waiting bytes.
    pub(crate) spare: Vec<Vec<u8>>,
    /// Cost of all waiting bytes.
    pub(crate) waiting_bytes: usize,
}

/// What the table has to do after a segment.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing.
    Stay,
    /// The flow closed: its ends are in the queue.
    Closed,
    /// The flow had closed before this segment, which was not looked at.
    ClosedBefore,
    /// The 5-tuple has a new connection: end this flow and look at the segment as if there were none.
    Renewed,
    /// The same, and the new connection's opening was seen already.
    Reused(Handshake),
}

/// A SYN inside a live flow: a new connection whose predecessor's end was missed, or a forgery. What comes next tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    pub(crate) direction: Direction,
    pub(crate) time: Timestamp,
    pub(crate) opening: Opening,
}

/// State of a flow without the reader's part.
#[derive(Debug)]
pub(crate) struct FlowState {
    pub(crate) facts: FlowFacts,
    pub(crate) lanes: [Lane; 2],
    pub(crate) hash: u64,
    /// Second under which the timer wheel holds the flow.
    pub(crate) timer_second: u64,
    pub(crate) rival: Option<Rival>,
    /// Something waits or is missing in a direction: holes have to be checked.
    pub(crate) unsettled: bool,
    /// The next deadline came nearer: enter the flow in the wheel again.
    pub(crate) hurry: bool,
    /// The reader does not want the bytes.
    pub(crate) ignored: bool,
    /// A SYN with data and nothing more was seen.
    pub(crate) opening: bool,
    /// Both sides announced timestamps (RFC 7323 §3.2).
    pub(crate) paws: bool,
    /// A RST inside the window but not at the expected number was seen, and no data since (RFC 5961 §3.2).
    pub(crate) doubtful_reset: bool,
    /// Cost of waiting bytes.
    pub(crate) waiting_bytes: usize,
    /// When the last end was told.
    pub(crate) end_time: Timestamp,
}

/// A direction and its counts, borrowed together.
pub(crate) struct Side<'a> {
    pub(crate) lane: &'a mut Lane,
    pub(crate) facts: &'a mut DirectionFacts,
}

impl FlowState {
    /// A flow joined in the middle.
    pub(crate) fn mid_stream(key: PackedKey, hash: u64, src_is_low: bool, h: &SegmentHeader) -> Self {
        // RFC 6335 §6: servers listen on low ports, clients take high ones. On equal ports whoever speaks is the client.
        let client_is_low = src_is_low == (h.src_port >= h.dst_port);
        FlowState::new(key, hash, client_is_low, h, h.time)
    }

    /// A flow whose opening was seen.
    pub(crate) fn opened(key: PackedKey, hash: u64, handshake: &Handshake, h: &SegmentHeader) -> Self {
        let mut flow = FlowState::new(key, hash, handshake.client_is_low, h, handshake.first_time.min(h.time));
        flow.facts.roles_certain = true;
        flow.facts.mid_stream = false;
        flow.facts.last_time = flow.facts.last_time.max(handshake.last_time);
        for (direction, opening) in BOTH.into_iter().zip([handshake.client, handshake.server]) {
            let side = flow.side(direction);
            side.facts.packets = u64::from(opening.packets);
            if let Some(isn) = opening.isn {
                side.lane.start_at(isn.wrapping_add(1), if opening.seen { Sync::Yes } else { Sync::Soft });
            }
            if opening.seen {
                flow.saw_syn(direction, opening.scale, opening.timestamps);
            }
        }
        flow
    }

    fn new(key: PackedKey, hash: u64, client_is_low: bool, h: &SegmentHeader, first_time: Timestamp) -> Self {
        FlowState {
            facts: FlowFacts {
                key,
                client_is_low,
                roles_certain: false,
                mid_stream: true,
                vlan: h.vlan,
                interface: h.interface,
                first_time,
                last_time: first_time,
                directions: [DirectionFacts::default(); 2],
            },
            lanes: [Lane::new(), Lane::new()],
            hash,
            timer_second: u64::MAX,
            rival: None,
            unsettled: false,
            hurry: true,
            ignored: false,
            opening: false,
            paws: false,
            doubtful_reset: false,
            waiting_bytes: 0,
            end_time: first_time,
        }
    }

    /// A direction with its counts.
    pub(crate) fn side(&mut self, direction: Direction) -> Side<'_> {
        self.sides(direction).0
    }

    /// A direction and the other one.
    #[inline]
    pub(crate) fn sides(&mut self, direction: Direction) -> (Side<'_>, Side<'_>) {
        let [lane_s, lane_c] = &mut self.lanes;
        let [facts_s, facts_c] = &mut self.facts.directions;
        let to_server = Side { lane: lane_s, facts: facts_s };
        let to_client = Side { lane: lane_c, facts: facts_c };
        match direction {
            Direction::ToServer => (to_server, to_client),
            Direction::ToClient => (to_client, to_server),
        }
    }

    #[inline]
    pub(crate) fn direction_of(&self, src_is_low: bool) -> Direction {
        if src_is_low == self.facts.client_is_low { Direction::ToServer } else { Direction::ToClient }
    }

    /// Silence after which the flow ends.
    #[inline]
    pub(crate) fn idle_timeout(&self, config: &Config) -> Duration {
        match (self.lanes[0].fin.is_some(), self.lanes[1].fin.is_some()) {
            (true, true) => config.closing_timeout,
            _ if self.doubtful_reset => config.closing_timeout,
            (false, false) if self.opening => config.half_open_timeout,
            (false, false) => config.established_timeout,
            _ => config.half_closed_timeout,
        }
    }

    /// Takes in a segment of this flow, `index` in the table.
    pub(crate) fn handle(
        &mut self,
        h: &SegmentHeader,
        payload: &[u8],
        src_is_low: bool,
        index: u32,
        shared: &mut Shared,
    ) -> Verdict {
        let direction = self.direction_of(src_is_low);
        if self.in_order(direction, h, payload, shared) {
            if !payload.is_empty() {
                shared.queue.push(index, Pending::Segment { direction, start: 0, end: payload.len() as u32 });
            }
            return Verdict::Stay;
        }
        let clock = self.facts.last_time.max(h.time);
        if self.unsettled {
            self.expire_holes(clock, index, shared);
            if self.has_ended() {
                return Verdict::ClosedBefore;
            }
        }
        self.facts.last_time = clock;
        let len = payload.len() as u32;
        let total = len.saturating_add(h.missing);
        {
            let side = self.side(direction);
            side.facts.packets += 1;
            side.facts.bytes += u64::from(total);
            if shared.config.checksum == ChecksumPolicy::Auto && h.checksum != Checksum::Unknown {
                let usually_right = side.lane.usually_right(h.checksum == Checksum::Good);
                if h.checksum == Checksum::Bad && usually_right {
                    shared.counters.bad_checksum += 1;
                    return Verdict::Stay;
                }
            }
        }
        let mut seq = h.seq;
        if h.flags.rst() {
            return self.reset(direction, h, clock, index, shared);
        }
        if h.flags.syn() {
            match self.syn(direction, h, shared) {
                Some(verdict) => return verdict,
                // The SYN takes one number.
                None => seq = seq.wrapping_add(1),
            }
        } else {
            if let Some(rival) = self.rival
                && rival.direction == direction
                && rival.opening.isn.is_some_and(|isn| isn.wrapping_add(1) == h.seq)
            {
                return Verdict::Reused(self.rival_handshake(rival, None));
            }
            self.opening = false;
        }
        self.synchronise(direction, seq, total, h.flags.fin());

        let (own, peer) = self.sides(direction);
        let position = own.lane.position(own.facts.offset, seq);
        let end = position + i64::from(total);
        let offset = own.facts.offset;
        let brings_new = end > offset as i64;

        // What the peer has received from the other direction, by this segment's ACK.
        let mut acked = 0;
        let mut reject = None;
        if h.flags.ack() && peer.lane.sync == Sync::Yes {
            acked = peer.lane.position(peer.facts.offset, h.ack).max(0) as u64;
            if acked > peer.lane.ack_limit() {
                reject = Some(&mut shared.counters.bad_ack);
            }
        }
        if !own.lane.plausible(offset, position, u64::from(total)) {
            reject = Some(&mut shared.counters.out_of_window);
        }
        let timestamp = h.options.timestamps.map(|(value, _)| value);
        if self.paws && brings_new && total > 0 {
            let (own, _) = self.sides(direction);
            if timestamp.is_some_and(|value| own.lane.timestamp_is_old(value)) {
                reject = Some(&mut shared.counters.paws);
            }
        }
        if let Some(counter) = reject {
            *counter += 1;
            let lane = self.side(direction).lane;
            if total == 0 || lane.ended || !lane.stray(seq, total) {
                return Verdict::Stay;
            }
            self.resynchronise(direction, seq, timestamp, clock, index, shared);
        }
        let (own, _) = self.sides(direction);
        // Again: the picture may have been corrected.
        let offset = own.facts.offset;
        let position = own.lane.position(offset, seq);
        let end = position + i64::from(total);
        if let Some(value) = timestamp
            && position <= offset as i64
            && !own.lane.timestamp_is_old(value)
        {
            own.lane.recent_timestamp = Some(value);
        }
        own.lane.sent = own.lane.sent.max(end.max(0) as u64);

        let mut after_peer = 0;
        if h.flags.ack() {
            after_peer = self.acknowledge(direction, h, acked, clock, shared);
        }
        if total > 0 {
            let arrival = Arrival { time: h.time, clock, after_peer };
            self.payload(direction, h, payload, position, arrival, index, shared);
        }
        if h.flags.fin() && !h.flags.syn() {
            self.fin(direction, end, shared);
        }
        if self.unsettled {
            self.settle(clock, index, shared);
        }
        if self.lanes[0].fin.is_some() || self.lanes[1].fin.is_some() {
            self.close(clock, index, shared);
            if self.has_ended() {
                return Verdict::Closed;
            }
        }
        Verdict::Stay
    }

    /// The way nearly every segment goes: the next bytes (or an ACK alone) of a direction of a flow in which nothing waits,
    /// is missing or has ended. Does what the long way does, with everything left out that cannot matter then, but for telling
    /// of the payload; false, and nothing is changed, when it is another kind of segment.
    #[inline]
    pub(crate) fn in_order(
        &mut self,
        direction: Direction,
        h: &SegmentHeader,
        payload: &[u8],
        shared: &mut Shared,
    ) -> bool {
        const LONG: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST | TcpFlags::URG | TcpFlags::ACK;
        if h.flags.0 & LONG != TcpFlags::ACK
            || self.unsettled
            || self.ignored
            || self.opening
            || self.rival.is_some()
            || h.missing != 0
            || shared.config.checksum == ChecksumPolicy::Auto
        {
            return false;
        }
        let (own, peer) = self.sides(direction);
        let len = payload.len() as u64;
        let (offset, peer_offset) = (own.facts.offset, peer.facts.offset);
        let behind = peer.lane.next_seq.wrapping_sub(h.ack);
        if h.seq != own.lane.next_seq
            || own.lane.sync != Sync::Yes
            || peer.lane.sync != Sync::Yes
            || own.lane.fin.is_some()
            || peer.lane.fin.is_some()
            || u64::from(behind) > peer_offset.min(MAX_WINDOW)
            || !own.lane.plausible(offset, offset as i64, len)
        {
            return false;
        }
        if let Some((value, _)) = h.options.timestamps {
            if own.lane.timestamp_is_old(value) {
                return false;
            }
            own.lane.recent_timestamp = Some(value);
        }
        own.facts.packets += 1;
        own.facts.bytes += len;
        let acked = peer_offset - u64::from(behind);
        if acked > peer.facts.acked {
            peer.facts.acked = acked;
            peer.lane.history.acknowledged(acked, &mut shared.histories[direction.opposite().index()]);
        }
        if let Scale::Known(shift) = own.lane.scale {
            let edge = acked + (u64::from(h.window) << shift);
            peer.lane.edge = if peer.lane.edge == u64::MAX { edge } else { peer.lane.edge.max(edge) };
        }
        self.facts.last_time = self.facts.last_time.max(h.time);
        if len > 0 {
            self.doubtful_reset = false;
            self.pass(direction, payload, shared);
        }
        true
    }

    /// Learns where a direction is from its first segments.
    #[inline]
    fn synchronise(&mut self, direction: Direction, seq: u32, total: u32, fin: bool) {
        let side = self.side(direction);
        match side.lane.sync {
            Sync::Yes => {}
            Sync::No => {
                let sync = if total > 0 || fin { Sync::Yes } else { Sync::Soft };
                side.lane.start_at(seq, sync);
            }
            Sync::Soft if total == 0 && !fin => {}
            Sync::Soft => {
                let position = side.lane.position(side.facts.offset, seq);
                let end = position + i64::from(total);
                if total == 1 && !fin && end <= side.facts.acked as i64 {
                    // A keep-alive probe repeats the last byte before the join: not data (RFC 9293 §3.8.4).
                } else if position < side.facts.offset as i64 && side.facts.offset == 0 {
                    // The ACK of these bytes was captured before them.
                    side.lane.restart_at(side.facts, seq);
                } else {
                    side.lane.sync = Sync::Yes;
                }
            }
        }
    }

    /// Notes what the sender of `direction` acknowledges of the other direction. Gives the offset of the other
    /// direction that has to be handed over before this segment's payload: 0 when it was already.
    #[inline]
    fn acknowledge(
        &mut self,
        direction: Direction,
        h: &SegmentHeader,
        acked: u64,
        clock: Timestamp,
        shared: &mut Shared,
    ) -> u64 {
        let pool = &mut shared.histories[direction.opposite().index()];
        let ignored = self.ignored;
        let (own, peer) = self.sides(direction);
        if peer.lane.sync != Sync::Yes {
            // Nothing of the other direction was seen: what this side has received tells where it is.
            if peer.lane.sync == Sync::No || peer.facts.packets == 0 {
                peer.lane.start_at(h.ack, Sync::Soft);
                return 0;
            }
        }
        let mut acked = if peer.lane.sync == Sync::Yes {
            acked
        } else {
            peer.lane.position(peer.facts.offset, h.ack).max(0) as u64
        };
        if acked > peer.lane.ack_limit() {
            return 0;
        }
        if let Some(fin) = peer.lane.fin
            && acked > fin
        {
            peer.lane.fin_acked = true;
            acked = fin;
        }
        if acked > peer.facts.acked {
            peer.facts.acked = acked;
            peer.lane.history.acknowledged(acked, pool);
        }
        if let Scale::Known(shift) = own.lane.scale {
            // RFC 7323 §2.2: the window of a SYN is never scaled.
            let shift = if h.flags.syn() { 0 } else { shift };
            let edge = acked.saturating_add(u64::from(h.window) << shift);
            peer.lane.edge = if peer.lane.edge == u64::MAX { edge } else { peer.lane.edge.max(edge) };
        }
        if acked <= peer.facts.offset
            || ignored
            || peer.facts.packets == 0
            || peer.lane.guessed_fin(peer.facts.offset, acked)
        {
            return 0;
        }
        if peer.lane.mark.is_none() {
            peer.lane.mark = Some(Mark { until: acked, since: clock });
        }
        self.unsettled = true;
        self.hurry = true;
        acked
    }

    /// Bytes `start..end` of the payload are the next ones of the direction.
    #[inline]
    fn hand_over(
        &mut self,
        direction: Direction,
        start: u32,
        end: u32,
        payload: &[u8],
        index: u32,
        shared: &mut Shared,
    ) {
        self.pass(direction, payload.get(start as usize..end as usize).unwrap_or_default(), shared);
        shared.queue.push(index, Pending::Segment { direction, start, end });
    }

    /// These are the next bytes of the direction: it goes past them.
    #[inline]
    fn pass(&mut self, direction: Direction, bytes: &[u8], shared: &mut Shared) {
        let (side, peer) = self.sides(direction);
        let len = bytes.len() as u64;
        // Without the peer's ACKs nobody would ever free it: one-sided flows keep none.
        if peer.facts.packets > 0 {
            let pool = &mut shared.histories[direction.index()];
            if !side.lane.history.record(side.facts.offset, bytes, pool) {
                shared.counters.limit_history += 1;
            }
        }
        side.facts.offset += len;
        side.lane.next_seq = side.lane.next_seq.wrapping_add(len as u32);
        side.lane.sent = side.lane.sent.max(side.facts.offset);
        shared.counters.delivered_bytes += len;
    }

    /// Takes in the bytes of a segment that start at `position`.
    #[cold]
    #[allow(clippy::too_many_arguments)]
    fn payload(
        &mut self,
        direction: Direction,
        h: &SegmentHeader,
        payload: &[u8],
        position: i64,
        arrival: Arrival,
        index: u32,
        shared: &mut Shared,
    ) {
        self.doubtful_reset = false;
        let total = u64::from((payload.len() as u32).saturating_add(h.missing));
        let mut end = position.saturating_add_unsigned(total).max(0) as u64;
        let ignored = self.ignored;
        let side = self.side(direction);
        if let Some(fin) = side.lane.fin
            && end > fin
        {
            if side.lane.ended || side.lane.fin_acked {
                // Nothing may follow a FIN.
                end = fin;
            } else {
                // Bytes go on past a FIN nobody acknowledged: it was not the sender's.
                side.lane.fin = None;
                shared.counters.bad_fin += 1;
            }
        }
        let offset = side.facts.offset;
        if position < offset as i64 {
            self.repeated(direction, payload, position, end.min(offset), index, shared);
        }
        let start = position.max(offset as i64) as u64;
        if end <= start {
            return;
        }
        if ignored {
            let side = self.side(direction);
            side.lane.next_seq = side.lane.next_seq.wrapping_add((end - offset) as u32);
            side.facts.offset = end;
            side.lane.sent = side.lane.sent.max(end);
            return;
        }
        shared.counters.urgent += u64::from(h.flags.urg());
        let urgent = h.flags.urg() && shared.config.urgent == UrgentPolicy::OutOfBand;
        let skip = start.saturating_add_signed(position.saturating_neg());
        let captured = payload.get(skip as usize..).unwrap_or_default();
        let captured = captured.get(..(end - start).min(captured.len() as u64) as usize).unwrap_or_default();
        let cut = end - start - captured.len() as u64;
        let side = self.side(direction);
        if start == offset && arrival.after_peer == 0 && side.lane.waiting.is_empty() && !urgent {
            if !captured.is_empty() {
                let skip = skip as u32;
                self.hand_over(direction, skip, skip + captured.len() as u32, payload, index, shared);
            }
            if cut > 0 {
                self.gap(direction, cut, GapCause::Truncated, arrival.time, index, shared);
            }
            let side = self.side(direction);
            side.lane.refresh_mark(side.facts, arrival.clock);
            return;
        }
        let pointer = usize::from(h.urgent);
        if urgent && pointer > skip as usize && pointer - 1 - (skip as usize) < captured.len() {
            // RFC 6093 §3.1: the urgent byte is the one before the pointer.
            let at = pointer - 1 - skip as usize;
            let (before, after) = captured.split_at(at);
            self.wait(direction, start, Source::Bytes(before), arrival, index, shared);
            self.wait(direction, start + at as u64, Source::Urgent, arrival, index, shared);
            let after = after.get(1..).unwrap_or_default();
            self.wait(direction, start + at as u64 + 1, Source::Bytes(after), arrival, index, shared);
        } else {
            self.wait(direction, start, Source::Bytes(captured), arrival, index, shared);
        }
        if cut > 0 {
            self.wait(direction, end - cut, Source::Missing(cut), arrival, index, shared);
        }
    }

    /// The part of a segment that lies before the expected byte.
    fn repeated(
        &mut self,
        direction: Direction,
        payload: &[u8],
        position: i64,
        end: u64,
        index: u32,
        shared: &mut Shared,
    ) {
        let ignored = self.ignored;
        let side = self.side(direction);
        let start = position.max(0) as u64;
        let length = end.saturating_sub(start);
        let (gap_start, gap_end) = side.lane.last_gap;
        let late = end.min(gap_end).saturating_sub(start.max(gap_start));
        side.facts.late_bytes += late;
        side.facts.retransmitted_bytes += length - late;
        shared.counters.late_bytes += late;
        shared.counters.retransmitted_bytes += length - late;
        // One byte just before the expected one is a keep-alive probe; its value means nothing (RFC 9293 §3.8.4).
        let probe = payload.len() == 1 && end == side.facts.offset;
        let skip = start.saturating_add_signed(position.saturating_neg()) as usize;
        let old = payload.get(skip..).unwrap_or_default();
        let old = old.get(..old.len().min(length as usize)).unwrap_or_default();
        if !ignored && !probe && side.lane.history.differs(start, old) {
            self.conflict(direction, index, shared);
        }
    }

    pub(crate) fn conflict(&mut self, direction: Direction, index: u32, shared: &mut Shared) {
        let side = self.side(direction);
        side.facts.conflicts = side.facts.conflicts.saturating_add(1);
        shared.counters.conflicts += 1;
        shared.queue.push(index, Pending::Conflict { direction });
    }

    /// The sender says its bytes end at `end`.
    fn fin(&mut self, direction: Direction, end: i64, shared: &mut Shared) {
        let ignored = self.ignored;
        let side = self.side(direction);
        match side.lane.fin {
            Some(fin) if fin as i64 == end => {}
            None if end >= 0 && end as u64 >= side.lane.sent && end as u64 >= side.facts.offset => {
                let end = end as u64;
                side.lane.fin = Some(end);
                if ignored {
                    side.lane.next_seq = side.lane.next_seq.wrapping_add((end - side.facts.offset) as u32);
                    side.facts.offset = end;
                }
                if side.facts.acked > end {
                    side.lane.fin_acked = true;
                    side.facts.acked = end;
                }
                side.lane.refresh_mark_after_fin();
                self.hurry = true;
                self.unsettled = true;
            }
            _ => shared.counters.bad_fin += 1,
        }
    }

    /// Hands over ends that were reached; the last one waits until all data is acknowledged, so that a reader can still
    /// ask `FlowFacts::acked` when it is told.
    pub(crate) fn close(&mut self, clock: Timestamp, index: u32, shared: &mut Shared) {
        for direction in BOTH {
            let other_ended = self.lanes[direction.opposite().index()].ended;
            let side = self.side(direction);
            if side.lane.fin == Some(side.facts.offset) && !side.lane.ended && !other_ended {
                side.lane.ended = true;
                shared.queue.push(index, Pending::End { direction, time: clock, reason: EndReason::Fin });
            }
        }
        let reached = |i: usize| self.lanes[i].fin == Some(self.facts.directions[i].offset);
        let acked = |i: usize| self.facts.directions[i].acked >= self.facts.directions[i].offset;
        if reached(0) && reached(1) && acked(0) && acked(1) {
            self.end_all(EndReason::Fin, clock, index, shared);
        }
    }

    /// Both ends were told.
    pub(crate) fn has_ended(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ended)
    }

    /// Tells the ends that were not told yet.
    pub(crate) fn end_all(&mut self, reason: EndReason, time: Timestamp, index: u32, shared: &mut Shared) {
        self.end_time = time;
        for direction in BOTH {
            let side = self.side(direction);
            if !std::mem::replace(&mut side.lane.ended, true) {
                let at_fin = side.lane.fin == Some(side.facts.offset);
                let reason = if at_fin { EndReason::Fin } else { reason };
                shared.queue.push(index, Pending::End { direction, time, reason });
            }
        }
    }
}
