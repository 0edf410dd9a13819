//! SYN and RST inside a flow, and jumps.

use umbra_wire::{SegmentHeader, Timestamp};

use crate::event::{EndReason, GapCause};
use crate::flow::{BOTH, FlowState, Rival, Shared, Verdict};
use crate::half_open::{Handshake, Opening};
use crate::key::Direction;
use crate::lane::{Scale, Sync};

impl FlowState {
    /// Notes the options of a SYN; once both are known, scale and PAWS are settled.
    pub(crate) fn saw_syn(&mut self, direction: Direction, scale: Option<u8>, timestamps: bool) {
        let lane = &mut self.lanes[direction.index()];
        lane.syn_scale = Some(scale);
        lane.syn_timestamps = timestamps;
        if let [Some(client), Some(server)] = [self.lanes[0].syn_scale, self.lanes[1].syn_scale] {
            // RFC 7323 §2.2: scaling is on only when both SYNs carry the option; §2.3: above 14 counts as 14.
            let both = client.is_some() && server.is_some();
            let shift = |scale: Option<u8>| Scale::Known(scale.filter(|_| both).unwrap_or(0).min(14));
            self.lanes[0].scale = shift(client);
            self.lanes[1].scale = shift(server);
            self.paws = self.lanes[0].syn_timestamps && self.lanes[1].syn_timestamps;
        }
    }

    /// A segment with SYN. `None`: go on with it, its data (if any) starts one past its number.
    #[cold]
    pub(crate) fn syn(&mut self, direction: Direction, h: &SegmentHeader, shared: &mut Shared) -> Option<Verdict> {
        let start = h.seq.wrapping_add(1);
        if let Some(rival) = self.rival
            && rival.direction != direction
            && h.flags.ack()
            && rival.opening.isn.is_some_and(|isn| isn.wrapping_add(1) == h.ack)
        {
            return Some(Verdict::Reused(self.rival_handshake(rival, Some(Opening::of(h)))));
        }
        let ended = self.lanes.iter().all(|lane| lane.fin.is_some());
        let side = self.side(direction);
        let known = side.lane.syn_scale.is_some();
        match side.lane.sync {
            Sync::Yes if side.lane.next_seq.wrapping_sub(side.facts.offset as u32) == start => {
                // Sent again, or a copy; or the SYN of which only data was seen so far.
                if !known && side.facts.offset < 1 << 31 {
                    self.saw_syn(direction, h.options.window_scale, h.options.timestamps.is_some());
                }
                None
            }
            Sync::No | Sync::Soft if side.facts.offset == 0 && side.lane.fin.is_none() => {
                match side.lane.sync {
                    Sync::No => side.lane.start_at(start, Sync::Yes),
                    _ => side.lane.restart_at(side.facts, start),
                }
                self.opening = false;
                self.saw_syn(direction, h.options.window_scale, h.options.timestamps.is_some());
                None
            }
            _ if ended && !h.flags.ack() => Some(Verdict::Renewed),
            _ if !h.flags.ack() => {
                // RFC 5961 §4: a SYN does not end a connection by itself.
                shared.counters.stray_syn += 1;
                self.rival = Some(Rival { direction, time: h.time, opening: Opening::of(h) });
                Some(Verdict::Stay)
            }
            _ => {
                shared.counters.stray_syn += 1;
                Some(Verdict::Stay)
            }
        }
    }

    /// The opening of the connection that took over the 5-tuple.
    pub(crate) fn rival_handshake(&self, rival: Rival, server: Option<Opening>) -> Handshake {
        Handshake {
            client_is_low: (rival.direction == Direction::ToServer) == self.facts.client_is_low,
            first_time: rival.time,
            last_time: rival.time,
            client: rival.opening,
            // The segment that confirmed it is counted when the new flow takes it in.
            server: server.map(|opening| Opening { packets: 0, ..opening }).unwrap_or_default(),
        }
    }

    /// A segment with RST: it counts only at the number the receiver expects (RFC 5961 §3).
    #[cold]
    pub(crate) fn reset(
        &mut self,
        direction: Direction,
        h: &SegmentHeader,
        clock: Timestamp,
        index: u32,
        shared: &mut Shared,
    ) -> Verdict {
        let (own, peer) = self.sides(direction);
        let (exact, in_window) = if own.lane.sync == Sync::No {
            let acked = peer.lane.position(peer.facts.offset, h.ack);
            let plausible = acked >= peer.facts.acked as i64 && acked <= peer.lane.sent as i64 + 1;
            (h.flags.ack() && peer.lane.sync != Sync::No && plausible, false)
        } else {
            let position = own.lane.position(own.facts.offset, h.seq);
            let at = |offset: u64| position == offset as i64;
            let exact = at(own.facts.offset) || at(own.lane.sent) || at(own.lane.sent + 1) || at(own.facts.acked);
            let edge = if own.lane.edge == u64::MAX { own.lane.sent + 65_535 } else { own.lane.edge };
            (exact, position >= own.facts.offset as i64 && position <= edge as i64)
        };
        if !exact {
            shared.counters.bad_reset += 1;
            if in_window {
                // Some receivers still obey such a RST. Silence after it says that this one did.
                self.doubtful_reset = true;
                self.hurry = true;
            }
            return Verdict::Stay;
        }
        // F025: what the receiver had acknowledged was real, whatever the capture missed of it.
        self.drain(index, shared);
        for direction in BOTH {
            let side = self.side(direction);
            if !side.lane.is_unseen_fin(side.facts.offset, side.facts.acked) {
                let acked = side.facts.acked;
                self.give_up(direction, acked, GapCause::Lost, clock, index, shared);
            }
        }
        self.drain(index, shared);
        self.end_all(EndReason::Reset, clock, index, shared);
        Verdict::Closed
    }

    /// The sender is somewhere else than we thought and means it: the capture missed a lot.
    #[cold]
    pub(crate) fn resynchronise(
        &mut self,
        direction: Direction,
        seq: u32,
        timestamp: Option<u32>,
        clock: Timestamp,
        index: u32,
        shared: &mut Shared,
    ) {
        let side = self.side(direction);
        side.lane.recent_timestamp = timestamp;
        let position = side.lane.position(side.facts.offset, seq);
        if position == side.facts.offset as i64 {
            return;
        }
        if side.lane.fin.take().is_some() {
            shared.counters.bad_fin += 1;
        }
        if position > side.facts.offset as i64 {
            self.give_up(direction, position as u64, GapCause::Lost, clock, index, shared);
        }
        // More than 2 GiB ahead looks like the past; a gap of the rest of the number space brings us there.
        let side = self.side(direction);
        let ahead = seq.wrapping_sub(side.lane.next_seq);
        if ahead > 0 && (ahead as i32) < 0 {
            self.forget_waiting(direction, shared);
            self.gap(direction, u64::from(ahead), GapCause::Lost, clock, index, shared);
        }
        let side = self.side(direction);
        if side.lane.edge != u64::MAX {
            side.lane.edge = side.lane.edge.max(side.facts.offset);
        }
    }
}
