//! TCP segments to ordered bytes per direction, gaps and ends: flow table, reassembly, expiry.
//!
//! Pure: segments and time in, ordered bytes out. In-order bytes are borrowed from the segment; only what arrives too
//! early is copied. Nothing is left of a connection but a few bytes once it is closed.
//!
//! What it promises its reader:
//! - per direction, `Data` and `Gap` events are contiguous: no byte twice, no byte out of order, every missing one counted;
//! - across directions, bytes never come before the bytes of the other direction that their sender had acknowledged, however
//!   the mirror port reordered them (within `Config::reorder_grace`);
//! - each direction ends with exactly one `End`;
//! - the events of a flow depend on its own segments alone, not on other flows, on when a sweep ran, or on how flows are spread over
//!   workers; unless a cap (`Counters`) was reached.
//!
//! What it leaves out: it does not guess which of two different copies of a byte the receiver saw. The first wins, and a
//! `Conflict` tells.
//!
//! ```
//! use umbra_flow::{Config, FlowEvent, FlowTable};
//! use umbra_wire::{Checksum, Segment, SegmentHeader, TcpFlags, TcpOptions, Timestamp, VlanIds};
//!
//! let header = SegmentHeader {
//!     time: Timestamp(1),
//!     interface: 0,
//!     vlan: VlanIds::default(),
//!     tunnel: 0,
//!     src: [10, 0, 0, 1].into(),
//!     dst: [10, 0, 0, 2].into(),
//!     src_port: 40_000,
//!     dst_port: 80,
//!     ip_id: 0,
//!     seq: 1_000,
//!     ack: 0,
//!     flags: TcpFlags(TcpFlags::PSH),
//!     window: 1_000,
//!     urgent: 0,
//!     options: TcpOptions::default(),
//!     checksum: Checksum::Good,
//!     missing: 0,
//! };
//! let segment = Segment { header: &header, payload: b"GET / HTTP/1.1\r\n\r\n" };
//!
//! let mut table: FlowTable<usize> = FlowTable::new(Config::default());
//! table.handle_segment(&segment, |_facts| 0);
//! while let Some(step) = table.poll(&segment) {
//!     if let FlowEvent::Data { bytes, .. } = step.event {
//!         *step.app += bytes.len();
//!         assert_eq!(*step.app, 18);
//!     }
//! }
//! table.finish(Timestamp(2));
//! while let Some(step) = table.poll_timeout() {
//!     assert!(matches!(step.event, FlowEvent::End { .. }));
//! }
//! assert!(table.is_empty());
//! ```
#![forbid(unsafe_code)]

mod assembler;
mod closed;
mod config;
mod counters;
mod event;
mod expiry;
mod facts;
mod flow;
mod half_open;
mod history;
mod holes;
mod key;
mod lane;
mod opening;
mod pending;
mod slab;
mod table;

pub use config::{ChecksumPolicy, Config, UrgentPolicy};
pub use counters::Counters;
pub use event::{EndReason, FlowEvent, GapCause};
pub use facts::{DirectionFacts, FlowFacts};
pub use key::{Direction, FlowKey};
pub use table::{FlowId, FlowTable, Step};
