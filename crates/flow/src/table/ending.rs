//! How flows end: in silence, to make room, at the end of input; and when they are looked at.

use umbra_wire::Timestamp;

use crate::closed::Closed;
use crate::event::EndReason;
use crate::expiry::Due;
use crate::flow::FlowState;
use crate::key::Direction;
use crate::lane::Sync;
use crate::pending::Pending;

use super::FlowTable;
use super::place::Place;

/// Flows compared to choose one to evict: the one silent for longest among those due to be looked at soonest.
const EVICTION_SAMPLE: usize = 16;

impl<A> FlowTable<A> {
    /// Enters the flow in the wheel when its deadline came nearer.
    pub(super) fn schedule(&mut self, index: u32) {
        let Some((generation, flow)) = self.flows.entry_mut(index) else { return };
        flow.state.hurry = false;
        let config = &self.shared.config;
        let deadline = flow.state.deadline(config).after(config.sweep_slack);
        if deadline.nanos() / 1_000_000_000 + 1 < flow.state.timer_second {
            flow.state.timer_second = self.wheel.enter(index, generation, deadline);
        }
    }

    /// The wheel says that the time of a flow may have come.
    pub(super) fn look_at(&mut self, due: Due, now: Timestamp) {
        let Some((generation, flow)) = self.flows.entry_mut(due.flow) else { return };
        if generation != due.generation || flow.state.timer_second != due.second {
            return;
        }
        let config = &self.shared.config;
        let slack = config.sweep_slack;
        let idle = flow.state.facts.last_time.after(flow.state.idle_timeout(config));
        if idle.after(slack) < now {
            return self.expire(due.flow);
        }
        if flow.state.unsettled {
            let by = Timestamp(now.nanos().saturating_sub(slack.as_nanos() as u64));
            flow.state.expire_holes(by, due.flow, &mut self.shared);
            if flow.state.has_ended() {
                return self.leave(due.flow, true);
            }
        }
        let deadline = flow.state.deadline(&self.shared.config).after(slack);
        flow.state.timer_second = self.wheel.enter(due.flow, generation, deadline);
    }

    /// The input ended. What expired before is told as expired: whether a sweep came by must not show.
    pub(super) fn finish_flow(&mut self, index: u32, now: Timestamp) {
        let Some(flow) = self.flows.at_mut(index) else { return };
        let timeout = flow.state.idle_timeout(&self.shared.config);
        if now.since(flow.state.facts.last_time) > timeout {
            return self.expire(index);
        }
        let now = now.max(flow.state.facts.last_time);
        if flow.state.unsettled {
            flow.state.expire_holes(now, index, &mut self.shared);
        }
        self.terminate(index, EndReason::Finished, now);
    }

    /// A flow was silent for too long.
    pub(super) fn expire(&mut self, index: u32) {
        let Some(flow) = self.flows.at_mut(index) else { return };
        let timeout = flow.state.idle_timeout(&self.shared.config);
        let at = flow.state.facts.last_time.after(timeout);
        flow.state.expire_holes(at, index, &mut self.shared);
        if flow.state.has_ended() {
            return self.leave(index, true);
        }
        let reason = if flow.state.doubtful_reset { EndReason::Reset } else { EndReason::Idle };
        self.shared.counters.flows_idle += 1;
        self.terminate(index, reason, at);
    }

    /// Flushes a flow, ends it and takes it out of the index.
    pub(super) fn terminate(&mut self, index: u32, reason: EndReason, time: Timestamp) {
        let Some(flow) = self.flows.at_mut(index) else { return };
        if flow.state.ignored {
            flow.state.end_all(reason, time, index, &mut self.shared);
        } else {
            flow.state.finish(reason, time, index, &mut self.shared);
        }
        let fins = flow.state.lanes.iter().all(|lane| lane.fin.is_some());
        let remember = matches!(reason, EndReason::Idle | EndReason::Reset) && fins;
        self.leave(index, remember);
    }

    /// Takes a flow whose ends are told out of the index. Its slot is freed once the reader has polled the last step.
    pub(super) fn leave(&mut self, index: u32, remember: bool) {
        let Some(flow) = self.flows.at_mut(index) else { return };
        let state = &mut flow.state;
        state.discard(&mut self.shared);
        self.opening -= usize::from(std::mem::take(&mut state.opening));
        let hash = state.hash;
        let closed = remember.then(|| Closed::of(state));
        self.shared.queue.push(index, Pending::Release);
        let Some((closed, (slot, old))) = closed.and_then(|closed| Some((closed, self.closed.insert(closed)?))) else {
            return self.remove_place(hash, Place::Flow(index));
        };
        if let Some(old) = old {
            let still_fresh = closed.time.since(old.time) <= self.shared.config.closed_timeout;
            self.shared.counters.closed_forgotten += u64::from(still_fresh);
            self.remove_place(old.hash, Place::Closed(slot));
        }
        self.replace_place(hash, Place::Flow(index), Place::Closed(slot));
    }

    /// Ends the flow that was silent for longest among a sample of likely ones.
    #[cold]
    pub(super) fn evict_one(&mut self) {
        let mut sample = Vec::with_capacity(EVICTION_SAMPLE);
        let mut victim: Option<(Timestamp, Due)> = None;
        while victim.is_none() {
            sample.clear();
            self.wheel.soonest(EVICTION_SAMPLE, &mut sample);
            if sample.is_empty() {
                return;
            }
            sample.retain(|due| {
                self.flows.generation(due.flow) == Some(due.generation)
                    && self.flows.at(due.flow).is_some_and(|flow| flow.state.timer_second == due.second)
            });
            for due in &sample {
                let Some(flow) = self.flows.at(due.flow) else { continue };
                let last = flow.state.facts.last_time;
                if victim.is_none_or(|(time, _)| last < time) {
                    victim = Some((last, *due));
                }
            }
        }
        let Some((last, due)) = victim else { return };
        let config = &self.shared.config;
        for other in sample.iter().filter(|other| **other != due) {
            // Those that stay come up again when their time really comes.
            if let Some((generation, flow)) = self.flows.entry_mut(other.flow) {
                let deadline = flow.state.deadline(config).after(config.sweep_slack);
                flow.state.timer_second = self.wheel.enter(other.flow, generation, deadline);
            }
        }
        self.shared.counters.flows_evicted += 1;
        self.terminate(due.flow, EndReason::Evicted, last);
    }
}

impl Closed {
    fn of(state: &FlowState) -> Self {
        let ends = |number: fn(&crate::lane::Lane, u64) -> u32| {
            let seq = |direction: Direction| {
                let lane = &state.lanes[direction.index()];
                (lane.sync != Sync::No).then(|| number(lane, state.facts.direction(direction).offset))
            };
            let (client, server) = (seq(Direction::ToServer), seq(Direction::ToClient));
            if state.facts.client_is_low { [client, server] } else { [server, client] }
        };
        Closed {
            hash: state.hash,
            time: state.end_time.max(state.facts.last_time),
            start_seq: ends(|lane, offset| lane.next_seq.wrapping_sub(offset as u32)),
            end_seq: ends(|lane, offset| lane.next_seq.wrapping_add(lane.sent.saturating_sub(offset) as u32)),
        }
    }
}
