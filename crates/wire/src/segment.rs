//! What the decoder makes of a packet.

use std::net::{IpAddr, Ipv4Addr};

use crate::packet::Timestamp;

/// TCP flag bits as in byte 13 of the header (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN bit.
    pub const FIN: u8 = 0x01;
    /// SYN bit.
    pub const SYN: u8 = 0x02;
    /// RST bit.
    pub const RST: u8 = 0x04;
    /// PSH bit.
    pub const PSH: u8 = 0x08;
    /// ACK bit.
    pub const ACK: u8 = 0x10;
    /// URG bit.
    pub const URG: u8 = 0x20;

    /// FIN is set.
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }
    /// SYN is set.
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }
    /// RST is set.
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
    /// ACK is set.
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }
    /// URG is set.
    pub const fn urg(self) -> bool {
        self.0 & Self::URG != 0
    }
}

/// The TCP options that reassembly needs. Malformed options end the list; what came before is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Window scale shift, clamped to 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// Timestamps option: value and echo reply (RFC 7323 §3.2).
    pub timestamps: Option<(u32, u32)>,
}

/// VLAN ids of a frame, outermost first; at most three are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VlanIds {
    ids: [u16; 3],
    len: u8,
}

impl VlanIds {
    /// Appends a VLAN id (12 bits); a fourth tag is not kept.
    pub fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id & 0x0fff;
            self.len += 1;
        }
    }

    /// The ids, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        &self.ids[..usize::from(self.len)]
    }
}

/// Whether the TCP checksum was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Not looked at, or not all of the segment was captured.
    #[default]
    Unknown,
    /// Right.
    Good,
    /// Wrong.
    Bad,
}

/// The headers of one TCP segment: everything but the payload, without a borrow, so that it can be sent to the
/// worker that owns the flow.
#[derive(Clone, Copy, Debug)]
pub struct SegmentHeader {
    /// When the packet (for a reassembled datagram: its last fragment) was captured.
    pub time: Timestamp,
    /// Capture interface.
    pub interface: u32,
    /// VLAN ids, outermost first.
    pub vlan: VlanIds,
    /// Identity of the tunnel the segment came out of (0: none). Filled by the tunnel decoders.
    pub tunnel: u32,
    /// Sender address.
    pub src: IpAddr,
    /// Receiver address.
    pub dst: IpAddr,
    /// Sender port.
    pub src_port: u16,
    /// Receiver port.
    pub dst_port: u16,
    /// IPv4 identification field (0 for IPv6): tells a copied packet from a retransmission.
    pub ip_id: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; means something only with the ACK flag.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window as in the header, unscaled.
    pub window: u16,
    /// Urgent pointer; means something only with the URG flag.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
    /// Checksum state.
    pub checksum: Checksum,
    /// Payload bytes that were on the wire but not captured (snap length), after the captured ones.
    pub missing: u32,
}

impl SegmentHeader {
    /// The header of a packet of which nothing else is known yet.
    pub(crate) const fn new(time: Timestamp, interface: u32) -> Self {
        SegmentHeader {
            time,
            interface,
            vlan: VlanIds { ids: [0; 3], len: 0 },
            tunnel: 0,
            src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            src_port: 0,
            dst_port: 0,
            ip_id: 0,
            seq: 0,
            ack: 0,
            flags: TcpFlags(0),
            window: 0,
            urgent: 0,
            options: TcpOptions { window_scale: None, timestamps: None },
            checksum: Checksum::Unknown,
            missing: 0,
        }
    }
}

/// One TCP segment, borrowed from the decoder and from a packet (or from the decoder's fragment buffer). The header is
/// borrowed too because it is large: copying it costs more than filling it in.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Everything but the payload.
    pub header: &'a SegmentHeader,
    /// Captured payload.
    pub payload: &'a [u8],
}
