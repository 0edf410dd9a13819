//! What is known about a flow beside its bytes.

use std::net::IpAddr;

use umbra_wire::{Timestamp, VlanIds};

use crate::key::{Direction, FlowKey, PackedKey};

/// Counts of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionFacts {
    /// Segments seen.
    pub packets: u64,
    /// Payload bytes on the wire, retransmissions included.
    pub bytes: u64,
    /// Stream offset reached: bytes handed over or reported as a gap so far. Offset 0 is the first byte after the SYN,
    /// or the first one seen when the flow was joined late.
    pub offset: u64,
    /// Bytes reported as a gap, whatever the cause.
    pub gap_bytes: u64,
    /// Those of them cut by the snap length.
    pub truncated_bytes: u64,
    /// Payload bytes seen more than once.
    pub retransmitted_bytes: u64,
    /// Bytes that arrived after their hole had been given up.
    pub late_bytes: u64,
    /// Retransmissions with other bytes.
    pub conflicts: u32,
    /// Highest stream offset the peer acknowledged.
    pub(crate) acked: u64,
}

/// What is known about a flow: borrowed with every step.
#[derive(Clone, Copy, Debug)]
pub struct FlowFacts {
    pub(crate) key: PackedKey,
    /// The client is the lower (address, port) pair of the key.
    pub(crate) client_is_low: bool,
    /// Who is the client is known from a SYN or SYN-ACK; else it is guessed (RFC 6335: the lower port serves).
    pub roles_certain: bool,
    /// No SYN was seen: the flow was joined late.
    pub mid_stream: bool,
    /// VLAN ids of the first segment.
    pub vlan: VlanIds,
    /// Capture interface of the first segment.
    pub interface: u32,
    /// Time of the first segment.
    pub first_time: Timestamp,
    /// Latest time seen: never goes back.
    pub last_time: Timestamp,
    /// By [`Direction::index`].
    pub(crate) directions: [DirectionFacts; 2],
}

impl FlowFacts {
    /// The order-free 5-tuple.
    pub fn key(&self) -> FlowKey {
        self.key.unpack()
    }

    /// Address and port of the client (as far as known, see [`FlowFacts::roles_certain`]).
    pub fn client(&self) -> (IpAddr, u16) {
        self.key.end(self.client_is_low)
    }

    /// Address and port of the server.
    pub fn server(&self) -> (IpAddr, u16) {
        self.key.end(!self.client_is_low)
    }

    /// Counts of a direction.
    pub fn direction(&self, direction: Direction) -> &DirectionFacts {
        match direction {
            Direction::ToServer => &self.directions[0],
            Direction::ToClient => &self.directions[1],
        }
    }

    /// Highest stream offset of `direction` that its receiver acknowledged; `None` while no ACK of the receiver is
    /// visible (one-sided capture).
    pub fn acked(&self, direction: Direction) -> Option<u64> {
        (self.direction(direction.opposite()).packets > 0).then_some(self.direction(direction).acked)
    }

    /// Segments of only one direction were seen so far.
    pub fn one_sided(&self) -> bool {
        self.directions.iter().any(|d| d.packets == 0)
    }
}
