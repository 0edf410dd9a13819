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
        self.live_flows += other.live_flows;
        self.memory_bytes += other.memory_bytes;
    }
}
