//! One per core: owns its flows from the packet to the event line.

use umbra_discovery::Endpoints;
use umbra_flow::{Direction, FlowEvent, FlowTable, GapCause};
use umbra_http::{Connection, Engine, Protocol};
use umbra_wire::{Decoder, Packet, Segment, Timestamp};

use crate::config::Config;
use crate::counters::Counters;
use crate::identity::Identity;
use crate::output::{Output, OutputKind};
use crate::record::Recorder;

/// What a worker keeps for one flow beside its reassembly.
#[derive(Debug)]
pub(crate) struct FlowState {
    connection: Connection,
    /// Made with the first transaction: most flows of a mirror port never have one.
    identity: Option<Box<Identity>>,
    /// Nothing more is handed over.
    ignored: bool,
}

/// Owns its flows from the packet to the event line.
///
/// Call order: [`handle_packet`](Worker::handle_packet) for each packet (or [`handle_segment`](Worker::handle_segment) where
/// a dispatcher has decoded it), [`handle_timeout`](Worker::handle_timeout) about once a second of packet time,
/// [`finish`](Worker::finish) at the end; take what is ready from [`output`](Worker::output) whenever it suits.
pub struct Worker {
    decoder: Decoder,
    flows: FlowTable<FlowState>,
    engine: Engine,
    recorder: Recorder,
    endpoints: Endpoints,
}

impl Worker {
    /// A worker. `interfaces` names what [`Packet::interface`] counts; more can be added as they appear.
    pub fn new(config: Config, output: OutputKind) -> Worker {
        Worker {
            decoder: Decoder::new(config.wire),
            flows: FlowTable::new(config.flow),
            engine: Engine::new(config.http),
            recorder: Recorder::new(config.event, output),
            endpoints: Endpoints::new(config.discovery),
        }
    }

    /// Names the capture interfaces, in the order of [`Packet::interface`].
    pub fn name_interfaces(&mut self, names: &[String]) {
        self.recorder.name_interfaces(names);
    }

    /// Takes a packet in. Odd traffic is counted, not an error.
    pub fn handle_packet(&mut self, packet: &Packet<'_>) {
        if let Some(segment) = self.decoder.decode(packet) {
            process(&mut self.flows, &mut self.engine, &mut self.recorder, &mut self.endpoints, &segment);
        }
    }

    /// Takes a segment in that another [`Decoder`] made.
    pub fn handle_segment(&mut self, segment: &Segment<'_>) {
        process(&mut self.flows, &mut self.engine, &mut self.recorder, &mut self.endpoints, segment);
    }

    /// Packet time has reached `now`: ends what has been silent for too long.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.flows.handle_timeout(now);
        self.drain_timeouts();
    }

    /// The input has ended: gives out everything that is left.
    pub fn finish(&mut self, now: Timestamp) {
        self.flows.finish(now);
        self.drain_timeouts();
    }

    /// Records that are ready; the caller takes them and clears it.
    pub fn output(&mut self) -> &mut Output {
        self.recorder.output()
    }

    /// What was seen of each endpoint.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Counters of all stages.
    pub fn counters(&self) -> Counters {
        Counters {
            wire: self.decoder.counters().clone(),
            flow: *self.flows.counters(),
            http: self.engine.counters.clone(),
            events: self.recorder.events(),
            live_flows: self.flows.len() as u64,
            memory_bytes: self.flows.memory_bytes() as u64,
        }
    }

    fn drain_timeouts(&mut self) {
        while let Some(step) = self.flows.poll_timeout() {
            advance(step, &mut self.engine, &mut self.recorder, &mut self.endpoints);
        }
    }
}

/// Apart from `Worker`, so that the decoder may stay borrowed by the segment.
fn process(
    flows: &mut FlowTable<FlowState>,
    engine: &mut Engine,
    recorder: &mut Recorder,
    endpoints: &mut Endpoints,
    segment: &Segment<'_>,
) {
    flows.handle_segment(segment, |facts| FlowState {
        connection: Connection::new(facts.mid_stream),
        identity: None,
        ignored: false,
    });
    while let Some(step) = flows.poll(segment) {
        let id = step.id;
        if advance(step, engine, recorder, endpoints) {
            flows.ignore(id);
        }
    }
}

/// Hands one step to the connection and records what came of it. True if the flow is of no further interest.
fn advance(
    step: umbra_flow::Step<'_, FlowState>,
    engine: &mut Engine,
    recorder: &mut Recorder,
    endpoints: &mut Endpoints,
) -> bool {
    let state = step.app;
    let connection = &mut state.connection;
    match step.event {
        FlowEvent::Data { direction, time, bytes } => connection.handle_data(engine, direction, time, bytes),
        FlowEvent::Gap { direction, time, len, cause } => {
            connection.handle_gap(engine, direction, time, len, cause == GapCause::Truncated);
        }
        FlowEvent::Conflict { direction } => connection.handle_conflict(engine, direction),
        FlowEvent::End { direction, time, reason } => connection.handle_end(engine, direction, time, reason),
    }
    while let Some(transaction) = engine.poll_transaction() {
        let swapped = connection.roles_swapped();
        let (client, server) = match swapped {
            false => (step.facts.client(), step.facts.server()),
            true => (step.facts.server(), step.facts.client()),
        };
        let identity = state.identity.get_or_insert_with(|| recorder.identify(step.facts, client.0));
        let to_server = if swapped { Direction::ToClient } else { Direction::ToServer };
        recorder.record(&transaction, step.facts, identity, (client, server), to_server, endpoints);
        engine.recycle(transaction);
    }
    let done = matches!(connection.protocol(), Protocol::Tls | Protocol::Unknown);
    done && !std::mem::replace(&mut state.ignored, true)
}
