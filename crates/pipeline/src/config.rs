//! Settings of a worker: one struct a stage.

use std::sync::Arc;

use umbra_event::Source;
use umbra_event::redact::Redaction;

/// Settings of a worker.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Packet decoding.
    pub wire: umbra_wire::Config,
    /// Reassembly.
    pub flow: umbra_flow::Config,
    /// HTTP.
    pub http: umbra_http::Config,
    /// Inventory.
    pub discovery: umbra_discovery::Config,
    /// Events.
    pub event: EventConfig,
}

/// Settings of the event records.
#[derive(Clone, Debug, Default)]
pub struct EventConfig {
    /// Live or replay.
    pub source: Source,
    /// Name of this sensor.
    pub sensor_id: Arc<str>,
    /// Version of the software.
    pub sensor_version: Arc<str>,
    /// What is hidden, and the fleet key of its hashes.
    pub redaction: Redaction,
}
