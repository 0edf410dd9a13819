//! TCP segments to ordered bytes per direction, gaps and ends: flow table, reassembly, expiry.
//!
//! Pure: segments and time in, ordered bytes out.
#![forbid(unsafe_code)]

mod event;
mod key;

pub use event::{EndReason, FlowEvent, GapCause};
pub use key::{Direction, FlowKey};
