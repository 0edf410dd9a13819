//! Where packets come from: capture files ([`mod@file`]) and network interfaces (`live`, feature `live`).
//!
//! Files are read without libpcap: pcap and pcapng of every flavour, gzip and zstd in front, several inputs merged in
//! packet-time order. libpcap is used for live capture and to compile BPF filters, both behind the feature `live`.
//!
//! ```
//! use umbra_capture::file::{FileSet, Options};
//!
//! # fn main() -> Result<(), umbra_capture::Error> {
//! let empty: &[u8] = &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
//! let mut files = FileSet::from_reader("example.pcap", empty, Options::default())?;
//! while let Some(batch) = files.next_batch()? {
//!     for packet in batch.packets() {
//!         println!("{} bytes at {}", packet.data.len(), packet.time.nanos());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What this crate leaves out: it looks at no byte of a packet. Link layers are the business of `umbra-wire`.

#![deny(unsafe_code)]

mod error;
pub mod file;
pub mod filter;
#[cfg(feature = "live")]
pub mod live;
pub mod privileges;
mod sys;

pub use error::{Corruption, Error};
