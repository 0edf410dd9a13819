//! The record that Umbra publishes for each HTTP transaction, its JSON encoding, and what keeps secrets out of it.
//!
//! A leaf: it knows no stage of the pipeline. A worker borrows its buffers into an [`Event`] and calls
//! [`Event::write_json`]; consumers and tests decode the line with [`EventRecord`]. The published contract is
//! [`EVENT_SCHEMA`] (`schemas/event.v1.schema.json`).
//!
//! Left out: where lines go (`umbra-publish`), and what a transaction is (`umbra-http`).
//!
//! ```
//! use umbra_event::{Event, EventRecord};
//!
//! let event = Event { tx_index: 3, time_ns: 1_700_000_000_000_000_000, ..Event::default() };
//! let mut line = Vec::new();
//! event.write_json(&mut line);
//! let record: EventRecord = serde_json::from_slice(&line).unwrap();
//! assert_eq!(record.flow.tx_index, 3);
//! assert_eq!(record.time, "2023-11-14T22:13:20.000000000Z");
//! ```
#![forbid(unsafe_code)]

mod address;
pub mod auth;
mod compare;
mod encode;
mod event;
mod flow_text;
mod hash;
pub mod kafka;
pub mod record;
pub mod redact;
pub mod text;
mod time;

pub use address::write_ip;
pub use encode::{EventWriter, Marks};
pub use event::{
    Api, ApiStyle, Auth, AuthKind, AuthLocation, Body, Capture, Event, Grpc, Peer, PeerMessages, ProtocolVersion,
    Request, Response, Sensor, Source, Upgrade, Url, UrlScheme, WebSocket,
};
pub use flow_text::FlowText;
pub use hash::FleetKey;
pub use record::EventRecord;
pub use redact::{FieldFacts, HeaderJson, Redaction, RenderedField, Reveal};
pub use time::{read_rfc3339, rfc3339, write_rfc3339};

/// Version of the event record. Grows when a member is removed or changes its meaning; new optional members come
/// with a new schema file of the same major version.
pub const SCHEMA_VERSION: u32 = 1;

/// JSON Schema 2020-12 of the event record.
pub const EVENT_SCHEMA: &str = include_str!("../../../schemas/event.v1.schema.json");
