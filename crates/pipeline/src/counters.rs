//! What a worker counted, stage by stage.

/// Counters of all stages of one worker, or of several together.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Packet decoding.
    pub wire: umbra_wire::Counters,
    /// Reassembly.
    pub flow: umbra_flow::Counters,
    /// HTTP.
    pub http: umbra_http::Counters,
    /// Event records written.
    pub events: u64,
    /// Segments of new flows shed because memory was short (F100) or the worker fell behind (F101).
    pub shed_segments: u64,
    /// Flows ended because a stage panicked on them (F099).
    pub worker_panics: u64,
    /// Flows at the moment.
    pub live_flows: u64,
    /// Bytes held at the moment.
    pub memory_bytes: u64,
}

impl Counters {
    /// Adds those of another worker.
    pub fn merge(&mut self, other: &Counters) {
        self.wire.merge(&other.wire);
        self.flow.merge(&other.flow);
        self.http.merge(&other.http);
        self.events += other.events;
        self.shed_segments += other.shed_segments;
        self.worker_panics += other.worker_panics;
        self.live_flows += other.live_flows;
        self.memory_bytes += other.memory_bytes;
    }
}
