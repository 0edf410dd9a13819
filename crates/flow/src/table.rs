//! The flow table: which flow a segment belongs to, and the life of flows.

use std::fmt;

use hashbrown::HashTable;
use umbra_wire::{Checksum, Segment, SegmentHeader, Timestamp};

use crate::closed::ClosedRing;
use crate::config::{ChecksumPolicy, Config};
use crate::counters::Counters;
use crate::event::{EndReason, FlowEvent};
use crate::expiry::Wheel;
use crate::facts::FlowFacts;
use crate::flow::{FlowState, Shared, Verdict};
use crate::half_open::HalfOpenTable;
use crate::history::HistoryPool;
use crate::key::{Direction, PackedKey, Seeds};
use crate::pending::{Pending, Queue};
use crate::slab::Slab;

use self::place::{MAX_RECORDS, PackedPlace, Place, RECENT};
use self::start::Arrived;

mod ending;
mod place;
mod start;

/// Names a flow of a table. A later flow in the same place has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// One step of one flow.
#[derive(Debug)]
pub struct Step<'a, A> {
    /// Which flow.
    pub id: FlowId,
    /// What happened.
    pub event: FlowEvent<'a>,
    /// What is known about the flow, the whole of the last segment included.
    pub facts: &'a FlowFacts,
    /// The reader's state.
    pub app: &'a mut A,
}

#[derive(Debug)]
struct Flow<A> {
    state: FlowState,
    app: A,
}

/// What became of a segment.
enum Taken {
    /// There is nothing to tell.
    Quiet,
    /// Its payload is the next of this direction of this flow, and all there is to tell.
    InOrder(u32, Direction),
    /// What there is to tell is in the queue.
    Queued,
}

/// Silence after which every flow is still alive, in nanoseconds, whatever its state.
fn surely_alive(config: &Config) -> u64 {
    let timeouts =
        [config.closing_timeout, config.half_open_timeout, config.established_timeout, config.half_closed_timeout];
    timeouts.into_iter().min().map_or(0, |least| u64::try_from(least.as_nanos()).unwrap_or(u64::MAX))
}

/// What the reader is still to be told outside of segments.
#[derive(Clone, Copy, Debug, Default)]
enum Work {
    #[default]
    None,
    /// A sweep at this time.
    Sweep(Timestamp),
    /// The end of input at this time; slots before the index are done.
    Finish(Timestamp, u32),
}

/// All flows of a worker, each with the reader's state `A`.
///
/// Call order: [`handle_segment`](FlowTable::handle_segment), then [`poll`](FlowTable::poll) with the same segment until
/// `None`; about once a second [`handle_timeout`](FlowTable::handle_timeout), at the end [`finish`](FlowTable::finish), each
/// followed by [`poll_timeout`](FlowTable::poll_timeout) until `None`. Steps that are not polled are lost.
pub struct FlowTable<A> {
    shared: Shared,
    seeds: Seeds,
    index: HashTable<PackedPlace>,
    /// For some bits of the hash the flow that was found last: nearly every segment is spared the search in the index, which
    /// holds many closed connections besides and is seldom in the cache. What stands here is a guess: the flow's key decides.
    recent: Box<[u32; RECENT]>,
    flows: Slab<Flow<A>>,
    half_open: HalfOpenTable,
    closed: ClosedRing,
    wheel: Wheel,
    work: Work,
    /// Flows that are a SYN with data and nothing more.
    opening: usize,
    /// The bytes of the step polled last, when they had to wait.
    current: Vec<u8>,
}

impl<A> fmt::Debug for FlowTable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowTable")
            .field("flows", &self.flows.len())
            .field("half_open", &self.half_open.len())
            .field("counters", &self.shared.counters)
            .finish_non_exhaustive()
    }
}

impl<A> FlowTable<A> {
    /// An empty table.
    pub fn new(mut config: Config) -> Self {
        for bound in [&mut config.max_flows, &mut config.max_half_open, &mut config.max_closed] {
            *bound = (*bound).min(MAX_RECORDS);
        }
        let half = config.max_history_bytes / 2;
        let histories = [
            HistoryPool::new(config.history_to_server_bytes, half),
            HistoryPool::new(config.history_to_client_bytes, half),
        ];
        FlowTable {
            seeds: Seeds::new(config.hash_seed),
            index: HashTable::new(),
            recent: Box::new([0; RECENT]),
            flows: Slab::new(),
            half_open: HalfOpenTable::new(),
            closed: ClosedRing::new(config.max_closed),
            wheel: Wheel::new(),
            work: Work::None,
            opening: 0,
            current: Vec::new(),
            shared: Shared {
                surely_alive: surely_alive(&config),
                config,
                counters: Counters::default(),
                queue: Queue::default(),
                histories,
                spare: Vec::new(),
                waiting_bytes: 0,
            },
        }
    }

    /// Takes a segment in. `new_app` makes the reader's state when the segment starts a flow.
    pub fn handle_segment(&mut self, segment: &Segment<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        if let Taken::InOrder(index, direction) = self.take_in(segment, new_app) {
            let end = segment.payload.len() as u32;
            self.shared.queue.push(index, Pending::Segment { direction, start: 0, end });
        }
    }

    /// [`handle_segment`](FlowTable::handle_segment) and the first [`poll`](FlowTable::poll) in one, which spares nearly every
    /// segment the way through the queue.
    #[inline]
    pub fn advance<'a>(
        &'a mut self,
        segment: &'a Segment<'_>,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) -> Option<Step<'a, A>> {
        match self.take_in(segment, new_app) {
            Taken::Quiet => None,
            Taken::InOrder(index, direction) => {
                let (generation, flow) = self.flows.entry_mut(index)?;
                let event = FlowEvent::Data { direction, time: segment.header.time, bytes: segment.payload };
                Some(Step { id: FlowId { index, generation }, event, facts: &flow.state.facts, app: &mut flow.app })
            }
            Taken::Queued => self.poll(segment),
        }
    }

    #[inline]
    fn take_in(&mut self, segment: &Segment<'_>, new_app: impl FnOnce(&FlowFacts) -> A) -> Taken {
        self.drop_unpolled();
        self.shared.counters.segments += 1;
        let h = segment.header;
        if h.checksum == Checksum::Bad && self.shared.config.checksum == ChecksumPolicy::Strict {
            self.shared.counters.bad_checksum += 1;
            return Taken::Quiet;
        }
        let (key, src_is_low) = PackedKey::of(h, self.shared.config.vlan_in_key);
        let hash = key.hash(&self.seeds);
        let place = self.find_recent(hash, &key);
        if let Some(Place::Flow(index)) = place
            && let Some(flow) = self.flows.at_mut(index)
            && h.time.nanos().saturating_sub(flow.state.facts.last_time.nanos()) <= self.shared.surely_alive
        {
            let direction = flow.state.direction_of(src_is_low);
            if flow.state.in_order(direction, h, segment.payload, &mut self.shared) {
                if flow.state.hurry {
                    self.schedule(index);
                }
                return if segment.payload.is_empty() { Taken::Quiet } else { Taken::InOrder(index, direction) };
            }
        }
        self.take_in_any(place, Arrived { segment, key, hash, src_is_low }, new_app);
        Taken::Queued
    }

    /// Takes in a segment that is not simply the next one of a flow.
    #[inline(never)]
    fn take_in_any(&mut self, place: Option<Place>, arrived: Arrived<'_>, new_app: impl FnOnce(&FlowFacts) -> A) {
        let Arrived { segment, src_is_low, .. } = arrived;
        let h = segment.header;
        match place {
            Some(Place::Flow(index)) => {
                if let Some(flow) = self.flows.at_mut(index) {
                    let timeout = flow.state.idle_timeout(&self.shared.config);
                    if h.time.since(flow.state.facts.last_time) <= timeout {
                        let opening = flow.state.opening;
                        let verdict = flow.state.handle(h, segment.payload, src_is_low, index, &mut self.shared);
                        self.opening -= usize::from(opening && !flow.state.opening);
                        match verdict {
                            Verdict::Stay if !flow.state.hurry => return,
                            verdict => return self.after(index, verdict, arrived, new_app),
                        }
                    }
                }
                self.expire(index);
                self.without_flow(arrived, new_app);
            }
            Some(Place::HalfOpen(index)) => self.half_open(index, arrived, new_app),
            Some(Place::Closed(index)) => self.closed(index, arrived, new_app),
            None => self.unknown(arrived, new_app),
        }
    }

    /// The next step that came of the last segment; in-order bytes borrow from `segment`, which must be the one handled last.
    #[inline]
    pub fn poll<'a>(&'a mut self, segment: &'a Segment<'_>) -> Option<Step<'a, A>> {
        if self.shared.queue.is_empty() {
            return None;
        }
        let (index, pending) = self.next_pending()?;
        self.step(index, pending, segment.header.time, segment.payload)
    }

    /// Marks what expired by `now`, a clock that never goes back (see [`umbra_wire::PacketClock`]).
    ///
    /// Expiry is decided by the packets of each flow; the sweep only does the same earlier, to free memory.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.drop_unpolled();
        self.expire_half_open(now);
        self.wheel.sweep(now);
        if !matches!(self.work, Work::Finish(..)) {
            self.work = Work::Sweep(now);
        }
    }

    /// Marks the end of input: everything left is flushed and ended ([`EndReason::Finished`]; what had expired by `now` as
    /// expired). Workers that share an input must be given the same `now`.
    pub fn finish(&mut self, now: Timestamp) {
        self.drop_unpolled();
        self.work = Work::Finish(now, 0);
    }

    /// The next step that came of [`FlowTable::handle_timeout`] or [`FlowTable::finish`].
    pub fn poll_timeout(&mut self) -> Option<Step<'_, A>> {
        let (index, pending) = loop {
            if let Some(next) = self.next_pending() {
                break next;
            }
            match self.work {
                Work::None => return None,
                Work::Sweep(now) => match self.wheel.next() {
                    Some(due) => self.look_at(due, now),
                    None => self.work = Work::None,
                },
                Work::Finish(now, index) if index < self.flows.slots() => {
                    self.work = Work::Finish(now, index + 1);
                    self.finish_flow(index, now);
                }
                Work::Finish(..) => self.work = Work::None,
            }
        };
        self.step(index, pending, Timestamp(0), &[])
    }

    /// The reader has no interest in this flow any more: it is counted on, but nothing of it is buffered or delivered
    /// except its ends.
    pub fn ignore(&mut self, id: FlowId) {
        if self.flows.generation(id.index) == Some(id.generation)
            && let Some(flow) = self.flows.at_mut(id.index)
        {
            flow.state.ignore(&mut self.shared);
            let mut taken = Vec::new();
            self.shared.queue.take_back(id.index, |bytes| taken.push(bytes));
            taken.into_iter().for_each(|bytes| self.shared.recycle(bytes));
        }
    }

    /// Ends a flow to make room, counted in `flows_evicted`: this one, or without a name the one that was silent for longest
    /// among a sample of likely ones. Its last steps are there to be polled.
    pub fn evict(&mut self, id: Option<FlowId>) {
        let Some(id) = id else { return self.evict_one() };
        if self.flows.generation(id.index) == Some(id.generation)
            && let Some(flow) = self.flows.at(id.index)
        {
            let last = flow.state.facts.last_time;
            self.shared.counters.flows_evicted += 1;
            self.terminate(id.index, EndReason::Evicted, last);
        }
    }

    /// Does the segment belong to a flow that is known? Half-open and closed connections are none.
    pub fn contains(&self, header: &SegmentHeader) -> bool {
        let (key, _) = PackedKey::of(header, self.shared.config.vlan_in_key);
        matches!(self.find(key.hash(&self.seeds), &key), Some(Place::Flow(_)))
    }

    /// The reader failed on a step (a bug in it): what was not polled is dropped, and the flow of `header` ends without
    /// further steps. Its late segments are passed over like those of any closed connection.
    pub fn discard(&mut self, header: Option<&SegmentHeader>) {
        self.drop_unpolled();
        let Some(header) = header else { return };
        let (key, _) = PackedKey::of(header, self.shared.config.vlan_in_key);
        if let Some(Place::Flow(index)) = self.find(key.hash(&self.seeds), &key) {
            self.leave(index, true);
            self.drop_unpolled();
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Flows at the moment, half-open connections not counted.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// No flow at the moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Half-open connections at the moment.
    pub fn half_open_len(&self) -> usize {
        self.half_open.len()
    }

    /// Bytes of memory the table holds, what the reader's states own on the heap not counted.
    pub fn memory_bytes(&self) -> usize {
        self.flows.memory_bytes()
            // A place and its control byte, at a load of at most 7/8.
            + self.index.capacity() * 8 / 7 * (size_of::<PackedPlace>() + 1)
            + self.half_open.memory_bytes()
            + self.closed.memory_bytes()
            + self.wheel.memory_bytes()
            + self.shared.histories.iter().map(HistoryPool::memory_bytes).sum::<usize>()
            + self.shared.waiting_bytes
    }

    /// The next step to tell, after freeing what was told to the end.
    #[inline]
    fn next_pending(&mut self) -> Option<(u32, Pending)> {
        loop {
            match self.shared.queue.pop()? {
                (index, Pending::Release) => {
                    self.flows.remove(index);
                }
                next => return Some(next),
            }
        }
    }

    #[inline]
    fn step<'a>(&'a mut self, index: u32, pending: Pending, time: Timestamp, payload: &'a [u8]) -> Option<Step<'a, A>> {
        let event = match pending {
            Pending::Segment { direction, start, end } => {
                let bytes = payload.get(start as usize..end as usize).unwrap_or_default();
                FlowEvent::Data { direction, time, bytes }
            }
            Pending::Chunk { direction, time, skip } => {
                let done = std::mem::replace(&mut self.current, self.shared.queue.pop_chunk());
                self.shared.recycle(done);
                let bytes = self.current.get(skip as usize..).unwrap_or_default();
                FlowEvent::Data { direction, time, bytes }
            }
            Pending::Gap { direction, time, len, cause } => FlowEvent::Gap { direction, time, len, cause },
            Pending::Conflict { direction } => FlowEvent::Conflict { direction },
            Pending::End { direction, time, reason } => FlowEvent::End { direction, time, reason },
            Pending::Release => return None,
        };
        let (generation, flow) = self.flows.entry_mut(index)?;
        Some(Step { id: FlowId { index, generation }, event, facts: &flow.state.facts, app: &mut flow.app })
    }

    /// Forgets steps nobody polled, but not what they free.
    #[inline]
    fn drop_unpolled(&mut self) {
        if !self.shared.queue.is_empty() {
            self.drop_queue();
        }
    }

    #[inline(never)]
    fn drop_queue(&mut self) {
        while let Some((_, pending)) = self.next_pending() {
            if let Pending::Chunk { .. } = pending {
                let bytes = self.shared.queue.pop_chunk();
                self.shared.recycle(bytes);
            }
        }
    }
}

impl FlowState {
    fn ignore(&mut self, shared: &mut Shared) {
        self.ignored = true;
        self.discard(shared);
        for lane in &mut self.lanes {
            lane.mark = None;
        }
    }
}
