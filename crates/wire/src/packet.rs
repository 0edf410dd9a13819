//! What a capture source hands to the decoder.

use std::fmt;
use std::time::Duration;

/// Packet time: nanoseconds since 1970-01-01 UTC. The only clock that reaches a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds and nanoseconds; saturates past the year 2554 instead of wrapping.
    pub const fn from_parts(seconds: u64, nanoseconds: u32) -> Self {
        Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is the later one (F010: no negative duration).
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time moved forward by `by`, saturating.
    pub const fn after(self, by: Duration) -> Timestamp {
        let by = by.as_nanos();
        Timestamp(self.0.saturating_add(if by > u64::MAX as u128 { u64::MAX } else { by as u64 }))
    }
}

/// A link type of the tcpdump registry (`LINKTYPE_*`), as found in a capture file or given by libpcap.
/// Where `DLT_*` and `LINKTYPE_*` differ (raw IP: 12, 14, 101) the decoder takes either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: 4-byte address family in the byte order of the writer.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet (IEEE 802.3).
    pub const ETHERNET: LinkType = LinkType(1);
    /// Raw IP, `DLT_RAW` of most systems.
    pub const DLT_RAW: LinkType = LinkType(12);
    /// Raw IP.
    pub const RAW: LinkType = LinkType(101);
    /// Cisco HDLC.
    pub const C_HDLC: LinkType = LinkType(104);
    /// OpenBSD loopback: 4-byte address family in network byte order.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// Raw IPv4.
    pub const IPV4: LinkType = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: LinkType = LinkType(229);
    /// Netfilter log messages.
    pub const NFLOG: LinkType = LinkType(239);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: LinkType = LinkType(276);
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One captured record, borrowed from the capture buffer.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured.
    pub time: Timestamp,
    /// What the first byte of `data` is.
    pub link: LinkType,
    /// Capture interface: an index into the source's list of interface names.
    pub interface: u32,
    /// Length on the wire in bytes; larger than `data` when the capture cut the packet.
    pub wire_len: u32,
    /// The captured bytes.
    pub data: &'a [u8],
}
