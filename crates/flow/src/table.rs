//! The flow table: which flow a segment belongs to, and the life of flows.

use std::fmt;

use hashbrown::HashTable;
use umbra_wire::{Checksum, Segment, SegmentHeader, Timestamp};

use crate::closed::{Closed, ClosedRing};
use crate::config::{ChecksumPolicy, Config};
use crate::counters::Counters;
use crate::event::{EndReason, FlowEvent};
use crate::expiry::{Due, Wheel};
use crate::facts::FlowFacts;
use crate::flow::{FlowState, Shared, Verdict};
use crate::half_open::{HalfOpenTable, Handshake, Opening};
use crate::history::HistoryPool;
use crate::key::{Direction, PackedKey, Seeds};
use crate::lane::Sync;
use crate::pending::{Pending, Queue};
use crate::slab::Slab;

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

/// Where a known 5-tuple is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Flow(u32),
    HalfOpen(u32),
    Closed(u32),
}

/// A [`Place`] in four bytes: which kind in the upper two bits, the index in the others. With eight bytes the index of a busy
/// table would not fit the second-level cache, and every new connection looks into it at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedPlace(u32);

/// Indexes stay below: the bounds of the configuration are clamped to it.
const MAX_RECORDS: usize = 1 << 30;

impl PackedPlace {
    const fn of(place: Place) -> PackedPlace {
        PackedPlace(match place {
            Place::Flow(index) => index,
            Place::HalfOpen(index) => 1 << 30 | index,
            Place::Closed(index) => 2 << 30 | index,
        })
    }

    #[inline]
    const fn place(self) -> Place {
        let index = self.0 & (MAX_RECORDS as u32 - 1);
        match self.0 >> 30 {
            0 => Place::Flow(index),
            1 => Place::HalfOpen(index),
            _ => Place::Closed(index),
        }
    }
}

/// New flows are looked at once after this: most are gone by then and cost no second look.
const FIRST_LOOK: std::time::Duration = std::time::Duration::from_secs(4);

/// Flows compared to choose one to evict: the one silent for longest among those due to be looked at soonest.
const EVICTION_SAMPLE: usize = 16;

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

/// Flows found again without a search: 8 KiB, so that they stay in the first-level cache.
const RECENT: usize = 2048;

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
        self.take_in_any(place, key, hash, segment, src_is_low, new_app);
        Taken::Queued
    }

    /// Takes in a segment that is not simply the next one of a flow.
    #[inline(never)]
    fn take_in_any(
        &mut self,
        place: Option<Place>,
        key: PackedKey,
        hash: u64,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
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
                            verdict => return self.after(index, verdict, key, segment, src_is_low, new_app),
                        }
                    }
                }
                self.expire(index);
                self.without_flow(key, hash, segment, src_is_low, new_app);
            }
            Some(Place::HalfOpen(index)) => self.half_open(index, key, hash, segment, src_is_low, new_app),
            Some(Place::Closed(index)) => self.closed(index, key, hash, segment, src_is_low, new_app),
            None => self.unknown(key, hash, segment, src_is_low, new_app),
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

    /// [`find`](FlowTable::find), with a look at the flows found last before. A flow that has left the index is not among them:
    /// its slot was freed with the last step, before this segment.
    #[inline]
    fn find_recent(&mut self, hash: u64, key: &PackedKey) -> Option<Place> {
        let recent = self.recent[hash as usize % RECENT];
        if self.flows.at(recent).is_some_and(|flow| flow.state.facts.key == *key) {
            return Some(Place::Flow(recent));
        }
        let place = self.find(hash, key);
        if let Some(Place::Flow(index)) = place {
            self.recent[hash as usize % RECENT] = index;
        }
        place
    }

    /// The flow, half-open connection or closed connection of a 5-tuple.
    fn find(&self, hash: u64, key: &PackedKey) -> Option<Place> {
        self.index
            .find(hash, |place| match place.place() {
                Place::Flow(index) => self.flows.at(index).is_some_and(|flow| flow.state.facts.key == *key),
                Place::HalfOpen(index) => self.half_open.hash(index) == hash,
                Place::Closed(index) => self.closed.at(index).is_some_and(|closed| closed.hash == hash),
            })
            .map(|place| place.place())
    }

    fn insert_place(&mut self, hash: u64, place: Place) {
        let (flows, half_open, closed) = (&self.flows, &self.half_open, &self.closed);
        self.index.insert_unique(hash, PackedPlace::of(place), |place| match place.place() {
            Place::Flow(index) => flows.at(index).map_or(0, |flow| flow.state.hash),
            Place::HalfOpen(index) => half_open.hash(index),
            Place::Closed(index) => closed.at(index).map_or(0, |closed| closed.hash),
        });
    }

    /// The 5-tuple that was kept at `old` is kept at `new`.
    fn replace_place(&mut self, hash: u64, old: Place, new: Place) {
        match self.index.find_mut(hash, |other| *other == PackedPlace::of(old)) {
            Some(place) => *place = PackedPlace::of(new),
            None => self.insert_place(hash, new),
        }
    }

    fn remove_place(&mut self, hash: u64, place: Place) {
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == PackedPlace::of(place)) {
            entry.remove();
        }
    }

    /// Acts on what a flow made of a segment.
    fn after(
        &mut self,
        index: u32,
        verdict: Verdict,
        key: PackedKey,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let time = segment.header.time;
        match verdict {
            Verdict::Stay => self.schedule(index),
            Verdict::Closed => self.leave(index, true),
            Verdict::ClosedBefore => {
                let hash = self.hash_of(index);
                self.leave(index, true);
                self.without_flow(key, hash, segment, src_is_low, new_app);
            }
            Verdict::Renewed => {
                let hash = self.hash_of(index);
                self.shared.counters.flows_reused += 1;
                self.terminate(index, EndReason::Reused, time);
                self.unknown(key, hash, segment, src_is_low, new_app);
            }
            Verdict::Reused(handshake) => {
                let hash = self.hash_of(index);
                self.shared.counters.flows_reused += 1;
                self.terminate(index, EndReason::Reused, handshake.first_time);
                let state = FlowState::opened(key, hash, &handshake, segment.header);
                self.start(state, None, segment, src_is_low, new_app);
            }
        }
    }

    /// A segment whose flow has just ended.
    fn without_flow(
        &mut self,
        key: PackedKey,
        hash: u64,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        match self.find(hash, &key) {
            Some(Place::Closed(index)) => self.closed(index, key, hash, segment, src_is_low, new_app),
            _ => self.unknown(key, hash, segment, src_is_low, new_app),
        }
    }

    fn hash_of(&self, index: u32) -> u64 {
        self.flows.at(index).map_or(0, |flow| flow.state.hash)
    }

    /// A segment of a 5-tuple nothing is known of.
    #[cold]
    fn unknown(
        &mut self,
        key: PackedKey,
        hash: u64,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let h = segment.header;
        let empty = segment.payload.is_empty() && h.missing == 0;
        if h.flags.rst() || (empty && !h.flags.syn()) {
            self.shared.counters.empty_without_flow += 1;
            return;
        }
        if !h.flags.syn() {
            self.shared.counters.flows_mid_stream += 1;
            let state = FlowState::mid_stream(key, hash, src_is_low, h);
            return self.start(state, None, segment, src_is_low, new_app);
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
                return self.start_with_syn_data(key, hash, handshake, segment, src_is_low, new_app);
            }
            self.shared.counters.syn_data_dropped += 1;
        }
        self.make_room_half_open(h.time);
        let index = self.half_open.insert(hash, &handshake, self.shared.config.max_half_open);
        self.insert_place(hash, Place::HalfOpen(index));
    }

    /// A flow from a SYN with data: the SYN itself is counted when the flow takes the segment in.
    fn start_with_syn_data(
        &mut self,
        key: PackedKey,
        hash: u64,
        mut handshake: Handshake,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let own = if src_is_low == handshake.client_is_low { &mut handshake.client } else { &mut handshake.server };
        own.packets = own.packets.saturating_sub(1);
        let mut state = FlowState::opened(key, hash, &handshake, segment.header);
        state.opening = !segment.header.flags.ack();
        self.opening += usize::from(state.opening);
        self.start(state, None, segment, src_is_low, new_app);
    }

    /// A further segment of a half-open connection.
    #[cold]
    fn half_open(
        &mut self,
        index: u32,
        key: PackedKey,
        hash: u64,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        let h = segment.header;
        let Some(mut handshake) = self.half_open.handshake(index) else { return };
        if h.time.since(handshake.last_time) > self.shared.config.half_open_timeout {
            self.shared.counters.half_open_expired += 1;
            self.forget_half_open(index, hash);
            return self.unknown(key, hash, segment, src_is_low, new_app);
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
                return self.start_with_syn_data(key, hash, handshake, segment, src_is_low, new_app);
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
        self.start(state, Some(Place::HalfOpen(index)), segment, src_is_low, new_app);
    }

    /// A segment of a connection that closed a moment ago.
    #[cold]
    fn closed(
        &mut self,
        index: u32,
        key: PackedKey,
        hash: u64,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
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
        self.unknown(key, hash, segment, src_is_low, new_app);
    }

    /// Puts a new flow in the table, where its 5-tuple was `before`, and gives it its first segment.
    fn start(
        &mut self,
        state: FlowState,
        before: Option<Place>,
        segment: &Segment<'_>,
        src_is_low: bool,
        new_app: impl FnOnce(&FlowFacts) -> A,
    ) {
        if self.flows.len() >= self.shared.config.max_flows {
            self.evict_one();
        }
        self.shared.counters.flows += 1;
        let (key, hash) = (state.facts.key, state.hash);
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

    /// Enters the flow in the wheel when its deadline came nearer.
    fn schedule(&mut self, index: u32) {
        let Some((generation, flow)) = self.flows.entry_mut(index) else { return };
        flow.state.hurry = false;
        let config = &self.shared.config;
        let deadline = flow.state.deadline(config).after(config.sweep_slack);
        if deadline.nanos() / 1_000_000_000 + 1 < flow.state.timer_second {
            flow.state.timer_second = self.wheel.enter(index, generation, deadline);
        }
    }

    /// The wheel says that the time of a flow may have come.
    fn look_at(&mut self, due: Due, now: Timestamp) {
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
    fn finish_flow(&mut self, index: u32, now: Timestamp) {
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
    fn expire(&mut self, index: u32) {
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
    fn terminate(&mut self, index: u32, reason: EndReason, time: Timestamp) {
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
    fn leave(&mut self, index: u32, remember: bool) {
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
    fn evict_one(&mut self) {
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

    fn forget_half_open(&mut self, index: u32, hash: u64) {
        self.remove_place(hash, Place::HalfOpen(index));
        self.half_open.remove(index);
    }

    /// Forgets half-open connections whose time has passed.
    fn expire_half_open(&mut self, now: Timestamp) {
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

    fn make_room_half_open(&mut self, now: Timestamp) {
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

impl FlowState {
    fn ignore(&mut self, shared: &mut Shared) {
        self.ignored = true;
        self.discard(shared);
        for lane in &mut self.lanes {
            lane.mark = None;
        }
    }
}
