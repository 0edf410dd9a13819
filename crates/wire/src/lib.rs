//! Captured bytes to TCP segments: link layers, VLAN, MPLS, PPPoE, IPv4/IPv6, fragments, TCP header.
//!
//! Pure: bytes and time in, segments out. Odd traffic is counted, never an error.
#![forbid(unsafe_code)]

mod packet;
mod segment;

pub use packet::{LinkType, Packet, Timestamp};
pub use segment::{Checksum, Segment, SegmentHeader, TcpFlags, TcpOptions, VlanIds};
