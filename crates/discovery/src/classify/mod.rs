//! Whose an endpoint is and where it stands: rules that an operator writes, and a built-in set.
//!
//! Looked at when an inventory is printed, never for a transaction: what rules say can change without anything being observed
//! again.

mod network;
mod pattern;
mod place;
mod rules;

pub use network::{Network, NetworkError, PRIVATE};
pub use pattern::{Pattern, PatternError, matches};
pub use place::{Place, Territory};
pub use rules::{Labels, Match, Rule, Rules, Subject};
