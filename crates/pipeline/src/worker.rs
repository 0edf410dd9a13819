//! One per core: owns its flows from the packet to the event line.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ahash::RandomState;
use umbra_discovery::Endpoints;
use umbra_discovery::routes::Routes;
use umbra_flow::{Direction, FlowEvent, FlowId, FlowTable, GapCause, Step};
use umbra_http::{Connection, Engine, Protocol};
use umbra_wire::{Decoder, Packet, Segment, SegmentHeader, Timestamp};

use crate::config::Config;
use crate::counters::Counters;
use crate::identity::Identity;
use crate::output::{Encode, Output};
use crate::record::{Acknowledged, Recorder};

/// What a worker keeps for one flow beside its reassembly.
#[derive(Debug)]
pub(crate) struct FlowState {
    connection: Connection,
    /// Made with the first transaction: most flows of a mirror port never have one.
    identity: Option<Box<Identity>>,
    /// Nothing more is handed over.
    ignored: bool,
    /// Directions that have ended, a bit for each.
    ended: u8,
    /// Bytes the connection held after its last step.
    held_bytes: usize,
}

/// Steps of shedding: `SHED_LEVELS - 1` of so many parts of the flows can be shed.
pub const SHED_LEVELS: u8 = 16;

/// Segments between two looks at the memory held.
const MEMORY_CHECK: u32 = 256;

/// Output bytes after which they are handed on while many flows end at once (F100).
const PORTION: usize = 128 * 1024;

/// Flows ended for one segment at most while memory is short.
const EVICTIONS: usize = 64;

/// Flows kept from the stages because one failed on them; then the oldest gets another chance.
const QUARANTINE: usize = 64;

/// Owns its flows from the packet to the event line.
///
/// Call order: [`handle_packet`](Worker::handle_packet) for each packet (or [`handle_segment`](Worker::handle_segment) where
/// a dispatcher has decoded it), [`handle_timeout`](Worker::handle_timeout) about once a second of packet time,
/// [`finish`](Worker::finish) at the end; take what is ready from [`output`](Worker::output) whenever it suits.
pub struct Worker {
    decoder: Decoder,
    stages: Stages,
    /// What a dispatcher counted that decoded for this worker and others.
    dispatched: umbra_wire::Counters,
}

/// Everything behind the decoder, apart from it, so that a segment may borrow the decoder meanwhile.
struct Stages {
    flows: FlowTable<FlowState>,
    engine: Engine,
    recorder: Recorder,
    endpoints: Endpoints,
    routes: Routes,
    /// Bytes the connections hold.
    http_bytes: usize,
    /// Bytes that reassembly held at the last look.
    flow_bytes: usize,
    memory_bytes: usize,
    until_memory_check: u32,
    short_of_memory: bool,
    shed_level: u8,
    shed_hasher: RandomState,
    shed_segments: u64,
    panics: u64,
    /// Hashes of the flows that a stage failed on.
    quarantine: VecDeque<u64>,
    /// Output bytes before the record that is being written.
    recording: Option<usize>,
}

impl Worker {
    /// A worker. Without an encoder it keeps the inventory only.
    pub fn new(config: Config, encoder: Option<Box<dyn Encode>>) -> Worker {
        let [a, b, c, d] = config.flow.hash_seed;
        let routes = Routes::new(umbra_discovery::routes::Config {
            key: config.discovery.value_key,
            hash_seed: config.discovery.hash_seed,
            ..config.routes
        });
        let endpoints = Endpoints::new(config.discovery);
        let mut engine = Engine::new(config.http);
        engine.sampler = config.discovers.then(|| endpoints.sampler());
        Worker {
            decoder: Decoder::new(config.wire),
            stages: Stages {
                flows: FlowTable::new(config.flow),
                engine,
                recorder: Recorder::new(config.event, config.discovers, encoder),
                routes,
                endpoints,
                http_bytes: 0,
                flow_bytes: 0,
                memory_bytes: config.memory_bytes,
                until_memory_check: MEMORY_CHECK,
                short_of_memory: false,
                shed_level: 0,
                shed_hasher: RandomState::with_seeds(d, c, b, a),
                shed_segments: 0,
                panics: 0,
                quarantine: VecDeque::new(),
                recording: None,
            },
            dispatched: umbra_wire::Counters::default(),
        }
    }

    /// Names the capture interfaces, in the order of [`Packet::interface`].
    pub fn name_interfaces(&mut self, names: &[String]) {
        self.stages.recorder.name_interfaces(names);
    }

    /// Sheds this many sixteenths of the flows, by hash, until told otherwise: below [`SHED_LEVELS`] (F101).
    pub fn shed(&mut self, level: u8) {
        self.stages.shed_level = level.min(SHED_LEVELS - 1);
    }

    /// Takes a packet in. Odd traffic is counted, not an error.
    pub fn handle_packet(&mut self, packet: &Packet<'_>) {
        if let Some(segment) = self.decoder.decode(packet) {
            self.stages.handle_segment(&segment);
        }
    }

    /// Takes a segment in that another [`Decoder`] made.
    pub fn handle_segment(&mut self, segment: &Segment<'_>) {
        self.stages.handle_segment(segment);
    }

    /// Packet time has reached `now`: ends what has been silent for too long. All that comes of it waits in
    /// [`output`](Worker::output).
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.handle_timeout_into(now, &mut |_| {});
    }

    /// The same; `ready` is called whenever [`output`](Worker::output) has grown large, to take what is in it and clear it: a
    /// whole table of flows may end at once (F100).
    pub fn handle_timeout_into(&mut self, now: Timestamp, ready: &mut dyn FnMut(&mut Output)) {
        self.stages.guarded(None, |stages| {
            stages.flows.handle_timeout(now);
            stages.drain_timeouts(ready);
        });
    }

    /// The input has ended: gives out everything that is left. All that comes of it waits in [`output`](Worker::output).
    pub fn finish(&mut self, now: Timestamp) {
        self.finish_into(now, &mut |_| {});
    }

    /// The same; `ready` as in [`handle_timeout_into`](Worker::handle_timeout_into).
    pub fn finish_into(&mut self, now: Timestamp, ready: &mut dyn FnMut(&mut Output)) {
        self.stages.flows.finish(now);
        // A flow that a stage fails on must not take the others along.
        while !self.stages.guarded(None, |stages| stages.drain_timeouts(ready)) {}
    }

    /// Records that are ready; the caller takes them and clears it.
    pub fn output(&mut self) -> &mut Output {
        self.stages.recorder.output()
    }

    /// What was seen of each endpoint.
    pub fn endpoints(&self) -> &Endpoints {
        &self.stages.endpoints
    }

    /// What was learnt of the routes.
    pub fn routes(&self) -> &Routes {
        &self.stages.routes
    }

    /// Adds the counters of a dispatcher that decoded packets for this worker and others.
    pub fn add_wire_counters(&mut self, counters: &umbra_wire::Counters) {
        self.dispatched.merge(counters);
    }

    /// Counters of all stages.
    pub fn counters(&self) -> Counters {
        let mut wire = self.decoder.counters().clone();
        wire.merge(&self.dispatched);
        let stages = &self.stages;
        Counters {
            wire,
            flow: *stages.flows.counters(),
            http: stages.engine.counters.clone(),
            events: stages.recorder.events(),
            shed_segments: stages.shed_segments,
            worker_panics: stages.panics,
            live_flows: stages.flows.len() as u64,
            memory_bytes: stages.held_bytes() as u64,
        }
    }
}

impl Stages {
    #[inline]
    fn handle_segment(&mut self, segment: &Segment<'_>) {
        if self.until_memory_check == 0 {
            self.until_memory_check = MEMORY_CHECK;
            self.flow_bytes = self.flows.memory_bytes();
            self.short_of_memory = self.flow_bytes + self.http_bytes > self.memory_bytes;
        }
        self.until_memory_check -= 1;
        if (self.shed_level > 0 || self.short_of_memory || !self.quarantine.is_empty()) && self.is_shed(segment.header)
        {
            self.shed_segments += 1;
            return;
        }
        self.guarded(Some(segment.header), |stages| stages.process(segment));
    }

    fn process(&mut self, segment: &Segment<'_>) {
        let (flows, mut reader) = self.split();
        let mut touched = None;
        let mut next = flows.advance(segment, |facts| FlowState {
            connection: Connection::new(facts.mid_stream),
            identity: None,
            ignored: false,
            ended: 0,
            held_bytes: 0,
        });
        while let Some(step) = next {
            let id = step.id;
            let (done, held) = reader.advance(step);
            touched = Some((id, held));
            if done {
                flows.ignore(id);
            }
            next = flows.poll(segment);
        }
        // New flows are shed from the bound on; should those that are known grow past it by a thirty-second part, some have to go.
        if self.http_bytes + self.flow_bytes > self.memory_bytes + self.memory_bytes / 32 {
            self.make_room(segment, touched);
        }
    }

    /// The flows, and what their steps are handed on to.
    #[inline]
    fn split(&mut self) -> (&mut FlowTable<FlowState>, Reader<'_>) {
        let reader = Reader {
            engine: &mut self.engine,
            recorder: &mut self.recorder,
            endpoints: &mut self.endpoints,
            routes: &mut self.routes,
            http_bytes: &mut self.http_bytes,
            recording: &mut self.recording,
        };
        (&mut self.flows, reader)
    }

    /// Ends flows until what is held is within the bound again (F100): the one at hand if it is an elephant, else those that
    /// were silent for longest. What is known of their transactions is told.
    #[cold]
    fn make_room(&mut self, segment: &Segment<'_>, touched: Option<(FlowId, usize)>) {
        self.short_of_memory = true;
        let mut next = touched.filter(|(_, held)| *held > self.memory_bytes / 8).map(|(id, _)| id);
        for _ in 0..EVICTIONS {
            let (flows, mut reader) = self.split();
            flows.evict(next.take());
            while let Some(step) = flows.poll(segment) {
                let id = step.id;
                if reader.advance(step).0 {
                    flows.ignore(id);
                }
            }
            self.flow_bytes = self.flows.memory_bytes();
            if self.held_bytes() <= self.memory_bytes || self.flows.is_empty() {
                break;
            }
        }
    }

    fn drain_timeouts(&mut self, ready: &mut dyn FnMut(&mut Output)) {
        let (flows, mut reader) = self.split();
        while let Some(step) = flows.poll_timeout() {
            reader.advance(step);
            let output = reader.recorder.output();
            if output.bytes.len() > PORTION {
                ready(output);
            }
        }
    }

    /// Runs a stage so that a bug in it costs the flow that met it and not the sensor (F099). False if there was one.
    #[inline]
    fn guarded(&mut self, header: Option<&SegmentHeader>, body: impl FnOnce(&mut Stages)) -> bool {
        // State that a panic left half changed belongs to the flow, which is discarded.
        let done = catch_unwind(AssertUnwindSafe(|| body(self))).is_ok();
        if !done {
            self.panics += 1;
            if let Some(whole) = self.recording.take() {
                self.recorder.output().bytes.truncate(whole);
            }
            self.flows.discard(header);
            if let Some(header) = header {
                if self.quarantine.len() == QUARANTINE {
                    self.quarantine.pop_front();
                }
                self.quarantine.push_back(self.shed_hash(header));
            }
            while self.engine.poll_transaction().is_some() {}
        }
        done
    }

    /// Is the segment of a flow that is shed? Under memory pressure flows that are known go on.
    fn is_shed(&self, header: &SegmentHeader) -> bool {
        let hash = self.shed_hash(header);
        (hash % u64::from(SHED_LEVELS)) < u64::from(self.shed_level)
            || (self.short_of_memory && !self.flows.contains(header))
            || self.quarantine.contains(&hash)
    }

    fn shed_hash(&self, header: &SegmentHeader) -> u64 {
        let (a, b) = ((header.src, header.src_port), (header.dst, header.dst_port));
        self.shed_hasher.hash_one(if a <= b { (a, b) } else { (b, a) })
    }

    fn held_bytes(&self) -> usize {
        self.flows.memory_bytes() + self.http_bytes
    }
}

/// What a step of a flow is handed on to.
struct Reader<'a> {
    engine: &'a mut Engine,
    recorder: &'a mut Recorder,
    endpoints: &'a mut Endpoints,
    routes: &'a mut Routes,
    http_bytes: &'a mut usize,
    recording: &'a mut Option<usize>,
}

impl Reader<'_> {
    /// Hands one step to the connection and records what came of it. True if the flow is of no further interest; and the
    /// bytes its connection holds.
    fn advance(&mut self, step: Step<'_, FlowState>) -> (bool, usize) {
        let Reader { engine, recorder, endpoints, routes, http_bytes, recording } = self;
        let state = step.app;
        // Not held until counted again: a flow that a stage fails on is not.
        **http_bytes = http_bytes.saturating_sub(std::mem::take(&mut state.held_bytes));
        let connection = &mut state.connection;
        match step.event {
            FlowEvent::Data { direction, time, bytes } => connection.handle_data(engine, direction, time, bytes),
            FlowEvent::Gap { direction, time, len, cause } => {
                connection.handle_gap(engine, direction, time, len, cause == GapCause::Truncated);
            }
            FlowEvent::Conflict { direction } => connection.handle_conflict(direction),
            FlowEvent::End { direction, time, reason } => {
                state.ended |= 1 << direction.index();
                connection.handle_end(engine, direction, time, reason);
            }
        }
        while let Some(transaction) = engine.poll_transaction() {
            let swapped = connection.roles_swapped();
            let (client, server) = match swapped {
                false => (step.facts.client(), step.facts.server()),
                true => (step.facts.server(), step.facts.client()),
            };
            let identity = state.identity.get_or_insert_with(|| recorder.identify(step.facts, client.0));
            let to_server = if swapped { Direction::ToClient } else { Direction::ToServer };
            let acknowledged = Acknowledged::of(&transaction, step.facts, to_server, state.ended == 3);
            **recording = Some(recorder.output().bytes.len());
            recorder.record(&transaction, step.facts, identity, (client, server), acknowledged, (endpoints, routes));
            **recording = None;
            engine.recycle(transaction);
        }
        // Both directions have ended: the flow is dropped after this step.
        let text = state.identity.as_ref().map_or(0, |identity| identity.held_bytes());
        let held = if state.ended == 3 { 0 } else { connection.memory_bytes() + text };
        state.held_bytes = held;
        **http_bytes += held;
        let done = matches!(connection.protocol(), Protocol::Tls | Protocol::Unknown);
        (done && !std::mem::replace(&mut state.ignored, true), held)
    }
}
