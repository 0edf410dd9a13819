//! One inventory of what many sensors have learnt.
//!
//! A sensor writes [rows](sensor_row) of its endpoints and the [evidence](evidence_records) for the routes of each service: both
//! cumulative, under a key, so that of each key only the newest counts. A [`Rollup`] takes them in, in any order and any number of
//! times, and says which [records](endpoint_record) of the inventory have to change. It decides the templates on the evidence of
//! all sensors together, so that three sensors that see a third each give what one that sees all would.
//!
//! Pure: records and time in, records out. Kafka is the caller's.
#![forbid(unsafe_code)]

mod learnt;
mod record;
mod rollup;
mod rows;

pub use record::endpoint_record;
pub use rollup::{Change, Config, Counters, Describe, Rollup, host_of};
pub use rows::{PART_BYTES, Stamp, evidence_records, sensor_row};
