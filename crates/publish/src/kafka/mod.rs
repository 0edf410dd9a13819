//! Kafka: a [`Delivery`] takes batches of records, keeps them in the spool and sends them until the broker has them.
//!
//! ```text
//! worker ─► bounded queue ─► spool (disk, synced every 200 ms) ─► idempotent producer ─► acknowledged ─► spool moves on
//! ```
//!
//! At least once: what is not acknowledged is sent again, also by the next process. An event has the same id each time, so
//! consumers see it once. Left out: records and their encoding (crate `event`), and consuming.

mod batch;
mod client;
mod delivery;
mod headers;
mod ledger;
mod partition;
mod settings;
mod topics;

pub use batch::Batch;
pub use delivery::{Delivery, DeliveryConfig, Error, Handle, WhenFull};
pub use ledger::{ClassLedger, Ledger};
pub use partition::partition_of;
pub use settings::{Sasl, Settings, SettingsError, Tls};
pub use topics::{Admin, AdminError, Deviation, Topic, TopicPlan};
