//! What tests of several crates share: frames, whole TCP conversations and capture files, built from bytes.
//!
//! Tests only: functions panic on arguments that make no sense instead of returning errors. Nothing here uses the
//! decoder it is meant to test.
//!
//! ```
//! use umbra_testkit::Conversation;
//!
//! let trace = Conversation::new()
//!     .request(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
//!     .response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
//!     .build();
//! for packet in trace.packets() {
//!     assert_eq!(packet.wire_len as usize, packet.data.len());
//! }
//! let file: Vec<u8> = trace.to_pcap();
//! assert_eq!(file[..4], 0xa1b2_3c4d_u32.to_le_bytes());
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod conversation;
mod frame;
mod http2;
mod kafka;
mod pcap;
mod random;
mod shared;
mod trace;

pub use conversation::Conversation;
pub use frame::{PacketBuilder, internet_checksum};
pub use http2::Http2Writer;
pub use kafka::{Kafka, Listener};
pub use pcap::pcap_file;
pub use random::Random;
pub use shared::shared;
pub use trace::Trace;
