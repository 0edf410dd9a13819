//! The flow table (first form: in-order bytes only).

use ahash::RandomState;
use hashbrown::HashMap;
use umbra_wire::{Segment, Timestamp};

use crate::config::Config;
use crate::counters::Counters;
use crate::event::{EndReason, FlowEvent};
use crate::facts::{DirectionFacts, FlowFacts};
use crate::key::{Direction, FlowKey, PackedKey};

/// Names a flow of a table; a later flow never has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

/// One step of one flow.
#[derive(Debug)]
pub struct Step<'a, A> {
    /// Which flow.
    pub id: FlowId,
    /// What happened.
    pub event: FlowEvent<'a>,
    /// What is known about the flow.
    pub facts: &'a FlowFacts,
    /// The reader's state.
    pub app: &'a mut A,
}

#[derive(Debug)]
struct Flow<A> {
    facts: FlowFacts,
    next: [Option<u32>; 2],
    ended: [bool; 2],
    ignored: bool,
    app: A,
}

#[derive(Debug)]
enum Pending {
    Data(Direction, usize),
    End(Direction, Timestamp, EndReason),
    Release,
}

/// All flows of a worker.
#[derive(Debug)]
pub struct FlowTable<A> {
    config: Config,
    counters: Counters,
    index: HashMap<FlowKey, u32, RandomState>,
    flows: Vec<Option<Flow<A>>>,
    pending: Vec<(u32, Pending)>,
    cursor: usize,
}

impl<A> FlowTable<A> {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        let [a, b, c, d] = config.hash_seed;
        FlowTable {
            index: HashMap::with_hasher(RandomState::with_seeds(a, b, c, d)),
            config,
            counters: Counters::default(),
            flows: Vec::new(),
            pending: Vec::new(),
            cursor: 0,
        }
    }

    /// Takes a segment in; then call [`FlowTable::poll`] with the same segment until it gives `None`.
    pub fn handle_segment(&mut self, segment: &Segment<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        let h = &segment.header;
        self.pending.clear();
        self.cursor = 0;
        self.counters.segments += 1;
        let (key, src_is_low) = PackedKey::of(h, self.config.vlan_in_key);
        let index = match self.index.get(&key.unpack()) {
            Some(index) => *index,
            None => {
                if segment.payload.is_empty() && !h.flags.syn() {
                    self.counters.empty_without_flow += 1;
                    return;
                }
                let client_is_low = match (h.flags.syn(), h.flags.ack()) {
                    (true, false) => src_is_low,
                    (true, true) => !src_is_low,
                    _ => src_is_low == (h.src_port >= h.dst_port),
                };
                let facts = FlowFacts {
                    key,
                    client_is_low,
                    roles_certain: h.flags.syn(),
                    mid_stream: !h.flags.syn(),
                    vlan: h.vlan,
                    interface: h.interface,
                    first_time: h.time,
                    last_time: h.time,
                    directions: [DirectionFacts::default(); 2],
                };
                let app = new_app(&facts);
                let index = self.flows.len() as u32;
                self.flows.push(Some(Flow { facts, next: [None; 2], ended: [false; 2], ignored: false, app }));
                self.index.insert(key.unpack(), index);
                self.counters.flows += 1;
                index
            }
        };
        let Some(Some(flow)) = self.flows.get_mut(index as usize) else { return };
        flow.facts.last_time = flow.facts.last_time.max(h.time);
        let direction = if src_is_low == flow.facts.client_is_low { Direction::ToServer } else { Direction::ToClient };
        let i = direction.index();
        flow.facts.directions[i].packets += 1;
        flow.facts.directions[i].bytes += segment.payload.len() as u64;
        let seq = if h.flags.syn() { h.seq.wrapping_add(1) } else { h.seq };
        let expected = *flow.next[i].get_or_insert(seq);
        if h.flags.ack() {
            let ahead = flow.next[1 - i].map_or(0, |next| h.ack.wrapping_sub(next) as i32);
            let peer = &mut flow.facts.directions[1 - i];
            peer.acked = peer.acked.max(peer.offset.saturating_add_signed(i64::from(ahead)));
        }
        let skip = expected.wrapping_sub(seq) as usize;
        if skip < segment.payload.len() {
            let len = segment.payload.len() - skip;
            flow.next[i] = Some(expected.wrapping_add(len as u32));
            flow.facts.directions[i].offset += len as u64;
            self.pending.push((index, Pending::Data(direction, skip)));
        }
        if h.flags.rst() || (h.flags.fin() && !flow.ended[i]) {
            let reason = if h.flags.rst() { EndReason::Reset } else { EndReason::Fin };
            let both = [direction, direction.opposite()];
            for end in if h.flags.rst() { &both[..] } else { &both[..1] } {
                if !std::mem::replace(&mut flow.ended[end.index()], true) {
                    self.pending.push((index, Pending::End(*end, h.time, reason)));
                }
            }
            if flow.ended == [true; 2] {
                self.pending.push((index, Pending::Release));
            }
        }
    }

    /// The next step that came of the last segment.
    pub fn poll<'a>(&'a mut self, segment: &'a Segment<'_>) -> Option<Step<'a, A>> {
        loop {
            let (index, pending) = self.pending.get(self.cursor)?;
            let index = *index;
            self.cursor += 1;
            let event = match *pending {
                Pending::Data(direction, skip) => FlowEvent::Data {
                    direction,
                    time: segment.header.time,
                    bytes: segment.payload.get(skip..).unwrap_or_default(),
                },
                Pending::End(direction, time, reason) => FlowEvent::End { direction, time, reason },
                Pending::Release => {
                    if let Some(flow) = self.flows.get_mut(index as usize).and_then(Option::take) {
                        self.index.remove(&flow.facts.key());
                    }
                    continue;
                }
            };
            let ignored = self.flows.get(index as usize)?.as_ref()?.ignored;
            if ignored && !matches!(event, FlowEvent::End { .. }) {
                continue;
            }
            let flow = self.flows.get_mut(index as usize)?.as_mut()?;
            let id = FlowId { index, generation: 0 };
            return Some(Step { id, event, facts: &flow.facts, app: &mut flow.app });
        }
    }

    /// Marks what expired by `now`; then call [`FlowTable::poll_timeout`] until it gives `None`.
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// The next step that came of [`FlowTable::handle_timeout`] or [`FlowTable::finish`].
    pub fn poll_timeout(&mut self) -> Option<Step<'_, A>> {
        loop {
            let (index, pending) = self.pending.get(self.cursor)?;
            let index = *index;
            self.cursor += 1;
            let Pending::End(direction, time, reason) = *pending else {
                if let Some(flow) = self.flows.get_mut(index as usize).and_then(Option::take) {
                    self.index.remove(&flow.facts.key());
                }
                continue;
            };
            let event = FlowEvent::End { direction, time, reason };
            let flow = self.flows.get_mut(index as usize)?.as_mut()?;
            let id = FlowId { index, generation: 0 };
            return Some(Step { id, event, facts: &flow.facts, app: &mut flow.app });
        }
    }

    /// The input ended: everything left is flushed and ended; then call [`FlowTable::poll_timeout`] until `None`.
    pub fn finish(&mut self, now: Timestamp) {
        self.pending.clear();
        self.cursor = 0;
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let Some(flow) = flow else { continue };
            for direction in [Direction::ToServer, Direction::ToClient] {
                if !std::mem::replace(&mut flow.ended[direction.index()], true) {
                    self.pending.push((index as u32, Pending::End(direction, now, EndReason::Finished)));
                }
            }
            self.pending.push((index as u32, Pending::Release));
        }
    }

    /// The reader has no interest in this flow any more: nothing of it is buffered or delivered but its ends.
    pub fn ignore(&mut self, id: FlowId) {
        if let Some(Some(flow)) = self.flows.get_mut(id.index as usize) {
            flow.ignored = true;
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows at the moment.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// No flow at the moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the table holds: records and buffers.
    pub fn memory_bytes(&self) -> usize {
        self.flows.capacity() * size_of::<Option<Flow<A>>>()
    }
}
