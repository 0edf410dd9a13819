//! Captured bytes to TCP segments: link layers, VLAN, MPLS, PPPoE, IPv4/IPv6, fragments, TCP header.
//!
//! Pure: bytes and time in, segments out. Odd traffic is counted, never an error: each packet is either a segment or one
//! count in [`Counters`].
//!
//! Left out: tunnels (GRE, VXLAN, Geneve, IP in IP, GTP-U), which are counted by kind; ordering and deduplication of
//! segments, which is the flow table's work.
//!
//! ```
//! use umbra_wire::{Config, Decoder, LinkType, Packet, Timestamp};
//!
//! let frame = [
//!     2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet, IPv4
//!     0x45, 0, 0, 42, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // 42 bytes, TCP
//!     0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 9, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0, // 40000 -> 80
//!     b'h', b'i', 0, 0, 0, 0, // payload, then Ethernet padding
//! ];
//! let mut decoder = Decoder::new(Config::default());
//! let packet = Packet {
//!     time: Timestamp::from_parts(1_700_000_000, 0),
//!     link: LinkType::ETHERNET,
//!     interface: 0,
//!     wire_len: frame.len() as u32,
//!     data: &frame,
//! };
//! let segment = decoder.decode(&packet).expect("a TCP segment");
//! assert_eq!((segment.header.dst_port, segment.payload), (80, &b"hi"[..]));
//! ```
#![forbid(unsafe_code)]

mod clock;
mod config;
mod counters;
mod cursor;
mod decoder;
mod defrag;
mod fast;
mod ip;
mod link;
mod packet;
mod segment;
mod tcp;
mod wifi;

pub use clock::PacketClock;
pub use config::Config;
pub use counters::{Counters, EtherKind, FragmentKind, LayerKind, ProtocolKind, UnknownLinks};
pub use decoder::Decoder;
pub use packet::{LinkType, Packet, Timestamp};
pub use segment::{Checksum, Segment, SegmentHeader, TcpFlags, TcpOptions, VlanIds};
