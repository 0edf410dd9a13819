//! Segments that belong to no flow, or to one no more: half-open and closed connections, and how a flow starts.

use umbra_wire::{Segment, Timestamp};

use crate::event::EndReason;
use crate::facts::FlowFacts;
use crate::flow::{FlowState, Verdict};
use crate::half_open::{Handshake, Opening};
use crate::key::PackedKey;

use super::place::Place;
use super::{Flow, FlowTable};

/// A segment that is not simply the next one of a flow, and what was found out about it on the way.
#[derive(Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) segment: &'a Segment<'a>,
    pub(super) key: PackedKey,
    pub(super) hash: u64,
    /// Its sender is the low end of the key.
    pub(super) src_is_low: bool,
}

/// New flows are looked at once after this: most are gone by then and cost no second look.
const FIRST_LOOK: std::time::Duration = std::time::Duration::from_secs(4);

impl<A> FlowTable<A> {
    /// Acts on what a flow made of a segment.
    pub(super) fn after(
        &mut self,
        index: u32,
        verdict: Verdict,
        arrived: Arrived<'_>,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let Arrived { segment, key, hash, .. } = arrived;
        match verdict {
            Verdict::Stay => self.schedule(index),
            Verdict::Closed => self.leave(index, true),
            Verdict::ClosedBefore => {
                self.leave(index, true);
                self.without_flow(arrived, new_app);
            }
            Verdict::Renewed => {
                self.shared.counters.flows_reused += 1;
                self.terminate(index, EndReason::Reused, segment.header.time);
                self.unknown(arrived, new_app);
            }
            Verdict::Reused(handshake) => {
                self.shared.counters.flows_reused += 1;
                self.terminate(index, EndReason::Reused, handshake.first_time);
                let state = FlowState::opened(key, hash, &handshake, segment.header);
                self.start(state, None, arrived, new_app);
            }
        }
    }

    /// A segment whose flow has just ended.
    pub(super) fn without_flow(&mut self, arrived: Arrived<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        match self.find(arrived.hash, &arrived.key) {
            Some(Place::Closed(index)) => self.closed(index, arrived, new_app),
            _ => self.unknown(arrived, new_app),
        }
    }

    /// A segment of a 5-tuple nothing is known of.
    #[cold]
    pub(super) fn unknown(&mut self, arrived: Arrived<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        let Arrived { segment, key, hash, src_is_low } = arrived;
        let h = segment.header;
        let empty = segment.payload.is_empty() && h.missing == 0;
        if h.flags.rst() || (empty && !h.flags.syn()) {
            self.shared.counters.empty_without_flow += 1;
            return;
        }
        if !h.flags.syn() {
            self.shared.counters.flows_mid_stream += 1;
            let state = FlowState::mid_stream(key, hash, src_is_low, h);
            return self.start(state, None, arrived, new_app);
        }
        let mut handshake = Handshake { first_time: h.time, last_time: h.time, ..Handshake::default() };
        if h.flags.ack() {
            // A SYN-ACK: its receiver is the client. The SYN was missed, or is still to come.
            handshake.client_is_low = !src_is_low;
            handshake.server = Opening::of(h);
            handshake.client.isn = Some(h.ack.wrapping_sub(1));
        } else {
            handshake.client_is_low = src_is_low;
            handshake.client = Opening::of(h);
        }
        self.shared.counters.half_open += 1;
        if !empty {
            self.shared.counters.syn_data += 1;
            if self.opening < self.shared.config.max_opening {
                return self.start_with_syn_data(handshake, arrived, new_app);
            }
            self.shared.counters.syn_data_dropped += 1;
        }
        self.make_room_half_open(h.time);
        let index = self.half_open.insert(hash, &handshake, self.shared.config.max_half_open);
        self.insert_place(hash, Place::HalfOpen(index));
    }

    /// A flow from a SYN with data: the SYN itself is counted when the flow takes the segment in.
    pub(super) fn start_with_syn_data(
        &mut self,
        mut handshake: Handshake,
        arrived: Arrived<'_>,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let Arrived { segment, key, hash, src_is_low } = arrived;
        let own = if src_is_low == handshake.client_is_low { &mut handshake.client } else { &mut handshake.server };
        own.packets = own.packets.saturating_sub(1);
        let mut state = FlowState::opened(key, hash, &handshake, segment.header);
        state.opening = !segment.header.flags.ack();
        self.opening += usize::from(state.opening);
        self.start(state, None, arrived, new_app);
    }

    /// A further segment of a half-open connection.
    #[cold]
    pub(super) fn half_open(&mut self, index: u32, arrived: Arrived<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        let Arrived { segment, key, hash, src_is_low } = arrived;
        let h = segment.header;
        let Some(mut handshake) = self.half_open.handshake(index) else { return };
        if h.time.since(handshake.last_time) > self.shared.config.half_open_timeout {
            self.shared.counters.half_open_expired += 1;
            self.forget_half_open(index, hash);
            return self.unknown(arrived, new_app);
        }
        let from_client = src_is_low == handshake.client_is_low;
        let follows = |isn: Option<u32>, number: u32| isn.is_some_and(|isn| isn.wrapping_add(1) == number);
        let (own, peer) = if from_client {
            (&mut handshake.client, &mut handshake.server)
        } else {
            (&mut handshake.server, &mut handshake.client)
        };
        let empty = segment.payload.is_empty() && h.missing == 0;
        if h.flags.rst() {
            // RFC 9293 §3.10.7.3: a refusal acknowledges the SYN; a withdrawal follows its own SYN.
            if (h.flags.ack() && follows(peer.isn, h.ack)) || follows(own.isn, h.seq) {
                self.shared.counters.half_open_refused += 1;
                self.forget_half_open(index, hash);
            } else {
                self.shared.counters.bad_reset += 1;
            }
            return;
        }
        handshake.last_time = handshake.last_time.max(h.time);
        if h.flags.syn() {
            if h.flags.ack() && peer.seen && !follows(peer.isn, h.ack) && empty {
                if !follows(peer.isn, h.ack.wrapping_sub(segment.payload.len() as u32)) {
                    // It answers another SYN than the newest. Which one is real is for the client to say.
                    peer.isn = Some(h.ack.wrapping_sub(1));
                }
            } else if h.flags.ack() && !peer.seen {
                peer.isn = Some(h.ack.wrapping_sub(1));
            }
            *own = Opening { packets: own.packets.saturating_add(1), ..Opening::of(h) };
            if !empty && self.opening < self.shared.config.max_opening {
                self.shared.counters.syn_data += 1;
                self.forget_half_open(index, hash);
                return self.start_with_syn_data(handshake, arrived, new_app);
            }
            self.half_open.update(index, &handshake);
            return;
        }
        // An empty segment makes a flow only when it is the client's and completes the handshake: a flood of SYNs that are
        // answered makes none.
        let completes = from_client && peer.isn.is_some() && peer.seen && h.flags.ack();
        if empty && !h.flags.fin() && !completes {
            own.packets = own.packets.saturating_add(1);
            self.half_open.update(index, &handshake);
            return;
        }
        if from_client && own.isn.is_some() && !follows(own.isn, h.seq) && h.flags.ack() && follows(peer.isn, h.ack) {
            // The newest SYN was not the one that counted: the client goes on from another number.
            let distance = h.seq.wrapping_sub(own.isn.unwrap_or(0).wrapping_add(1));
            if distance > 1 << 20 {
                own.isn = Some(h.seq.wrapping_sub(1));
            }
        }
        self.half_open.remove(index);
        let state = FlowState::opened(key, hash, &handshake, h);
        self.start(state, Some(Place::HalfOpen(index)), arrived, new_app);
    }

    /// A segment of a connection that closed a moment ago.
    #[cold]
    pub(super) fn closed(&mut self, index: u32, arrived: Arrived<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        let Arrived { segment, hash, src_is_low, .. } = arrived;
        let h = segment.header;
        let Some(closed) = self.closed.at(index) else { return };
        let len = (segment.payload.len() as u32).saturating_add(h.missing);
        let recent = h.time.since(closed.time) <= self.shared.config.closed_timeout;
        let from = usize::from(!src_is_low);
        // A SYN is late only when it is a copy of the one that started the connection.
        let late = if h.flags.syn() {
            closed.start_seq[from] == Some(h.seq.wrapping_add(1))
        } else {
            len == 0 || closed.covers(src_is_low, h.seq, len)
        };
        if recent && late {
            self.shared.counters.after_close += 1;
            return;
        }
        self.closed.remove(index);
        self.remove_place(hash, Place::Closed(index));
        self.unknown(arrived, new_app);
    }

    /// Puts a new flow in the table, where its 5-tuple was `before`, and gives it its first segment.
    pub(super) fn start(
        &mut self,
        state: FlowState,
        before: Option<Place>,
        arrived: Arrived<'_>,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        if self.flows.len() >= self.shared.config.max_flows {
            self.evict_one();
        }
        self.shared.counters.flows += 1;
        let Arrived { segment, key, hash, src_is_low } = arrived;
        let app = new_app(&state.facts);
        let index = self.flows.insert(Flow { state, app });
        match before {
            Some(before) => self.replace_place(hash, before, Place::Flow(index)),
            None => self.insert_place(hash, Place::Flow(index)),
        }
        let Some((generation, flow)) = self.flows.entry_mut(index) else { return };
        let look = segment.header.time.after(FIRST_LOOK);
        flow.state.timer_second = self.wheel.enter(index, generation, look);
        let opening = flow.state.opening;
        let verdict = flow.state.handle(segment.header, segment.payload, src_is_low, index, &mut self.shared);
        self.opening -= usize::from(opening && !flow.state.opening);
        match verdict {
            Verdict::Stay => self.schedule(index),
            Verdict::Closed => self.leave(index, true),
            // A flow that has just begun has no rival and no holes.
            Verdict::ClosedBefore | Verdict::Renewed | Verdict::Reused(_) => debug_assert!(false, "{key:?}"),
        }
    }

    pub(super) fn forget_half_open(&mut self, index: u32, hash: u64) {
        self.remove_place(hash, Place::HalfOpen(index));
        self.half_open.remove(index);
    }

    /// Forgets half-open connections whose time has passed.
    pub(super) fn expire_half_open(&mut self, now: Timestamp) {
        let config = &self.shared.config;
        let emergency = self.half_open.len() > config.max_half_open / 2;
        let timeout = if emergency { config.half_open_emergency_timeout } else { config.half_open_timeout };
        let slack = if emergency { std::time::Duration::ZERO } else { config.sweep_slack };
        while let Some((index, hash, time)) = self.half_open.oldest()
            && now.since(time) > timeout + slack
        {
            self.shared.counters.half_open_expired += 1;
            self.forget_half_open(index, hash);
        }
    }

    pub(super) fn make_room_half_open(&mut self, now: Timestamp) {
        let max = self.shared.config.max_half_open.max(1);
        if self.half_open.len() > max / 2 {
            self.expire_half_open(now);
        }
        while self.half_open.len() >= max {
            let Some((index, hash, _)) = self.half_open.oldest() else { return };
            self.shared.counters.half_open_evicted += 1;
            self.forget_half_open(index, hash);
        }
    }
}
