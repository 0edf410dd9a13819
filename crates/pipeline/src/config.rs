//! Settings of a worker: one struct a stage.

use std::sync::Arc;

use umbra_discovery::classify::{Network, PRIVATE};
use umbra_event::redact::{Redaction, Reveal};
use umbra_event::{FleetKey, Source};

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Packet decoding.
    pub wire: umbra_wire::Config,
    /// Reassembly.
    pub flow: umbra_flow::Config,
    /// HTTP.
    pub http: umbra_http::Config,
    /// Inventory.
    pub discovery: umbra_discovery::Config,
    /// Whether anything is learnt of endpoints and routes. Without it there are only events, with neither style nor endpoint.
    pub discovers: bool,
    /// What is learnt of routes. The keys are those of [`discovery`](Self::discovery).
    pub routes: umbra_discovery::routes::Config,
    /// Events.
    pub event: EventConfig,
    /// Bytes that flows and messages may hold; above it segments of new flows are shed, counted in
    /// [`Counters::shed_segments`](crate::Counters::shed_segments) (F100).
    pub memory_bytes: usize,
}

impl Config {
    /// The defaults, with this fleet key.
    pub fn new(key: &[u8; 32]) -> Config {
        Config {
            wire: umbra_wire::Config::default(),
            flow: umbra_flow::Config::default(),
            http: umbra_http::Config::default(),
            discovery: umbra_discovery::Config {
                value_key: umbra_discovery::ValueKey::derive(key),
                ..umbra_discovery::Config::default()
            },
            discovers: true,
            routes: umbra_discovery::routes::Config::default(),
            event: EventConfig {
                source: Source::default(),
                sensor_id: "umbra".into(),
                sensor_version: "".into(),
                redaction: Redaction::new(FleetKey::new(key), Reveal::default()),
                key: *key,
                inside: PRIVATE.into(),
            },
            memory_bytes: 512 << 20,
        }
    }
}

/// Settings of the event records.
#[derive(Clone)]
pub struct EventConfig {
    /// Live or replay.
    pub source: Source,
    /// Name of this sensor.
    pub sensor_id: Arc<str>,
    /// Version of the software.
    pub sensor_version: Arc<str>,
    /// What is hidden, and the fleet key of its hashes.
    pub redaction: Redaction,
    /// The fleet key, for the hashes that count distinct clients.
    pub key: [u8; 32],
    /// Addresses of clients that are inside.
    pub inside: Arc<[Network]>,
}

impl std::fmt::Debug for EventConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret: it is not printed.
        f.debug_struct("EventConfig").field("sensor_id", &self.sensor_id).finish_non_exhaustive()
    }
}
