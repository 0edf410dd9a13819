//! Joins the stages: packets in, event lines and endpoints out.
//!
//! A [`Worker`] owns its flows; one runs per core and none shares anything with another. [`Inventory`] merges what the
//! workers have learnt.
//!
//! Pure: bytes and time in, records out; threads, files and clocks are the caller's.
#![forbid(unsafe_code)]

mod config;
mod counters;
mod deferred;
mod identity;
mod inventory;
mod output;
mod record;
mod worker;

pub use config::{Config, EventConfig};
pub use counters::Counters;
pub use deferred::{DeferredLine, Settling};
pub use inventory::Inventory;
pub use output::{Encode, JsonLine, Output};
pub use worker::{SHED_LEVELS, Worker};
