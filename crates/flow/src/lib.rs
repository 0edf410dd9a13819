//! TCP segments to ordered bytes per direction, gaps and ends: flow table, reassembly, expiry.
//!
//! Pure: segments and time in, ordered bytes out.
#![forbid(unsafe_code)]

mod config;
mod counters;
mod event;
mod facts;
mod key;
mod table;

pub use config::{ChecksumPolicy, Config};
pub use counters::Counters;
pub use event::{EndReason, FlowEvent, GapCause};
pub use facts::{DirectionFacts, FlowFacts};
pub use key::{Direction, FlowKey};
pub use table::{FlowId, FlowTable, Step};
