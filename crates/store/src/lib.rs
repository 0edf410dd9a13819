//! What Umbra keeps on disk: the [event spool](spool) between the pipeline and Kafka, and the [inventory].
//!
//! IO of records lives here. That of the spool goes through [`Files`], so that tests can cut the
//! power, fill the disk and fail any single call. No clock is read: time comes with the calls.
//!
//! Left out: encoding of records (crate `event`), talking to a broker (crate `publish`), and threads. A [`Spool`] has one
//! owner; its calls block for as long as the disk does, so the owner is a thread of its own behind a bounded queue.
//!
//! ```
//! use umbra_store::{Class, Config, Disk, Spool};
//!
//! # let directory = std::env::temp_dir().join(format!("umbra-store-doc-{}", std::process::id()));
//! let (mut spool, opened) = Spool::open(Disk::open(&directory)?, Config::default())?;
//! assert_eq!(opened.pending(), 0);
//! spool.append(Class::Event, b"key", b"{}", 0)?;
//! assert!(spool.sync().is_ok(), "on disk: neither a kill nor a power cut takes it now");
//!
//! let record = spool.next(Class::Event)?.expect("what was appended");
//! assert_eq!(record.value, b"{}");
//! let sequence = record.sequence;
//! spool.acknowledge(Class::Event, sequence); // the broker has it
//! spool.close();
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod disk;
mod error;
mod files;
pub mod inventory;
pub mod spool;

pub use disk::Disk;
pub use error::Error;
pub use files::{Entry, Files, Kind};
pub use inventory::{Codec, KindOf, Merged, Reading, Store, Unreadable, Writing};
pub use spool::{Class, Config, Gap, Loss, Losses, Opened, Record, Refused, Sequence, Spool, Status};
