//! What became of every packet.

/// Declares a closed set of kinds with a name for each, usable as an array index.
macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every kind, in the order of the counter array.
            pub const ALL: [$name; [$($name::$variant),*].len()] = [$($name::$variant),*];
            /// Number of kinds: the length of the counter array.
            pub const COUNT: usize = Self::ALL.len();

            /// The label value of the kind.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// Position in the counter array.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

kinds! {
    /// The layer at which a packet could not be read on.
    LayerKind {
        /// Ethernet header, LLC and SNAP included.
        Ethernet = "ethernet",
        /// VLAN, PBB or VN-Tag header.
        Vlan = "vlan",
        /// MPLS label stack.
        Mpls = "mpls",
        /// PPPoE or PPP header.
        Ppp = "ppp",
        /// Header of another link type: cooked, loopback, NFLOG, C-HDLC, raw.
        Link = "link",
        /// Radiotap or IEEE 802.11 header.
        Wifi = "wifi",
        /// IPv4 header.
        Ipv4 = "ipv4",
        /// IPv6 header.
        Ipv6 = "ipv6",
        /// IPv6 extension header or authentication header.
        Extension = "extension",
        /// TCP header.
        Tcp = "tcp",
    }
}

kinds! {
    /// What a frame carries instead of IP.
    EtherKind {
        /// ARP and RARP.
        Arp = "arp",
        /// LLDP.
        Lldp = "lldp",
        /// Slow protocols: LACP, marker, OAM.
        Slow = "slow",
        /// EAP over LAN.
        Eapol = "eapol",
        /// PPPoE discovery.
        PppoeDiscovery = "pppoe_discovery",
        /// PPP control protocols (LCP, IPCP, ...) and other PPP content.
        Ppp = "ppp",
        /// MACsec: opaque.
        Macsec = "macsec",
        /// LLC other than SNAP and IP: spanning tree, IS-IS, ...
        Llc = "llc",
        /// MPLS content that is neither IP nor Ethernet.
        Mpls = "mpls",
        /// An address family of a loopback link other than IP.
        Family = "family",
        /// IEEE 802.11 management and control frames, and data frames without data.
        WifiControl = "wifi_control",
        /// Encrypted IEEE 802.11 data.
        WifiProtected = "wifi_protected",
        /// Network service header: a tunnel, awaiting its decoder.
        Nsh = "nsh",
        /// Any other ethertype.
        Other = "other",
    }
}

kinds! {
    /// What an IP packet carries instead of TCP. GRE, IP in IP, EtherIP, L2TP and MPLS in IP are tunnels awaiting their
    /// decoder, and UDP carries more of them.
    ProtocolKind {
        /// UDP.
        Udp = "udp",
        /// ICMP.
        Icmp = "icmp",
        /// ICMPv6.
        Icmpv6 = "icmpv6",
        /// IGMP.
        Igmp = "igmp",
        /// SCTP.
        Sctp = "sctp",
        /// GRE.
        Gre = "gre",
        /// IPv4 in IP.
        Ipip = "ipip",
        /// IPv6 in IP.
        Ip6ip = "ip6ip",
        /// Ethernet in IP.
        EtherIp = "etherip",
        /// L2TPv3.
        L2tp = "l2tp",
        /// MPLS in IP.
        MplsIp = "mpls_in_ip",
        /// ESP: encrypted.
        Esp = "esp",
        /// OSPF, PIM, VRRP, EIGRP: routing.
        Routing = "routing",
        /// IPv6 without a next header.
        None = "none",
        /// Any other protocol.
        Other = "other",
    }
}

kinds! {
    /// What became of a fragment that did not complete a datagram.
    FragmentKind {
        /// Kept until the rest arrives.
        Held = "held",
        /// The same bytes at the same place as one held before.
        Duplicate = "duplicate",
        /// Not all of it was captured.
        Cut = "cut",
        /// IPv4: brought nothing new. IPv6: overlaps, so that its datagram is dropped (RFC 5722 §4).
        Overlap = "overlap",
        /// Would reach past 65,535 bytes.
        Oversize = "oversize",
        /// Not the last one, and its length is not a multiple of 8.
        Misaligned = "misaligned",
        /// No bytes.
        Empty = "empty",
        /// Past the end that another fragment gave, or another end.
        BeyondEnd = "beyond_end",
        /// One too many: its datagram is dropped.
        Excess = "excess",
        /// Its datagram was dropped before.
        Dropped = "dropped",
        /// Evicted on arrival: its datagram was the oldest when memory ran out.
        Evicted = "evicted",
    }
}

/// Why a packet is not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    LinkType(u16),
    Ether(EtherKind),
    Protocol(ProtocolKind),
    Truncated(LayerKind),
    Malformed(LayerKind),
    Depth,
    Fragment(FragmentKind),
}

/// Packets of link types the decoder does not know, by number; the first eight numbers met are kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownLinks {
    known: [(u16, u64); 8],
    len: usize,
    /// Packets of further link types.
    pub other: u64,
}

impl UnknownLinks {
    /// Link type numbers and their packets, in the order met.
    pub fn by_number(&self) -> &[(u16, u64)] {
        self.known.get(..self.len).unwrap_or_default()
    }

    /// All packets of unknown link types.
    pub fn total(&self) -> u64 {
        self.by_number().iter().fold(self.other, |sum, (_, packets)| sum.saturating_add(*packets))
    }

    fn add(&mut self, link: u16, packets: u64) {
        if let Some((_, count)) = self.known.iter_mut().take(self.len).find(|(number, _)| *number == link) {
            *count = count.saturating_add(packets);
        } else if let Some(slot) = self.known.get_mut(self.len) {
            *slot = (link, packets);
            self.len += 1;
        } else {
            self.other = self.other.saturating_add(packets);
        }
    }
}

/// Where every packet went: `packets` = `segments` + [`Counters::not_segments`] at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given to the decoder.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Segments returned.
    pub segments: u64,

    /// Packets of unknown link types.
    pub unknown_links: UnknownLinks,
    /// Packets without IP, by [`EtherKind`].
    pub ethertypes: [u64; EtherKind::COUNT],
    /// IP packets without TCP, by [`ProtocolKind`].
    pub protocols: [u64; ProtocolKind::COUNT],
    /// Packets cut by the capture inside a header, by [`LayerKind`].
    pub truncated: [u64; LayerKind::COUNT],
    /// Packets with a header that contradicts itself or ends too early, by [`LayerKind`].
    pub malformed: [u64; LayerKind::COUNT],
    /// Packets with more headers than the limits allow.
    pub depth_limit: u64,
    /// Fragments that did not complete a datagram, by [`FragmentKind`].
    pub fragments: [u64; FragmentKind::COUNT],

    /// Segments of which the capture holds only a part.
    pub cut_segments: u64,
    /// IP packets with length 0, read to the end of the frame (segmentation offload, jumbograms).
    pub zero_lengths: u64,
    /// IP packets that claim more bytes than the frame had on the wire.
    pub lengths_beyond_frame: u64,
    /// Segments with a wrong IPv4 header or TCP checksum; only with [`Config::checksums`](crate::Config::checksums).
    pub bad_checksums: u64,
    /// Datagrams put together.
    pub datagrams_reassembled: u64,
    /// IPv4 fragments that overlap others (the first data wins).
    pub fragment_overlaps: u64,
    /// Overlapping fragments of either family whose bytes differ from those held.
    pub fragment_conflicts: u64,
    /// Datagrams dropped: overlap in IPv6, too many fragments.
    pub datagrams_dropped: u64,
    /// Unfinished datagrams evicted for room.
    pub datagrams_evicted: u64,
    /// Unfinished datagrams whose time ran out.
    pub datagrams_expired: u64,
    /// Packet times too far from the clock to be believed at once.
    pub odd_times: u64,
}

impl Counters {
    /// Packets that gave no segment: the sum over all kinds.
    pub fn not_segments(&self) -> u64 {
        let sum = |counts: &[u64]| counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        self.unknown_links
            .total()
            .saturating_add(sum(&self.ethertypes))
            .saturating_add(sum(&self.protocols))
            .saturating_add(sum(&self.truncated))
            .saturating_add(sum(&self.malformed))
            .saturating_add(self.depth_limit)
            .saturating_add(sum(&self.fragments))
    }

    /// Packets of one ether kind.
    pub fn ethertype(&self, kind: EtherKind) -> u64 {
        self.ethertypes[kind.index()]
    }

    /// Packets of one protocol kind.
    pub fn protocol(&self, kind: ProtocolKind) -> u64 {
        self.protocols[kind.index()]
    }

    /// Packets cut at a layer.
    pub fn truncated_at(&self, layer: LayerKind) -> u64 {
        self.truncated[layer.index()]
    }

    /// Packets malformed at a layer.
    pub fn malformed_at(&self, layer: LayerKind) -> u64 {
        self.malformed[layer.index()]
    }

    /// Fragments of one kind.
    pub fn fragment(&self, kind: FragmentKind) -> u64 {
        self.fragments[kind.index()]
    }

    /// Adds the counts of another decoder.
    pub fn merge(&mut self, other: &Counters) {
        // Taken apart so that a new field cannot be forgotten.
        let Counters {
            packets,
            bytes,
            segments,
            unknown_links,
            ethertypes,
            protocols,
            truncated,
            malformed,
            depth_limit,
            fragments,
            cut_segments,
            zero_lengths,
            lengths_beyond_frame,
            bad_checksums,
            datagrams_reassembled,
            fragment_overlaps,
            fragment_conflicts,
            datagrams_dropped,
            datagrams_evicted,
            datagrams_expired,
            odd_times,
        } = other;
        for &(link, count) in unknown_links.by_number() {
            self.unknown_links.add(link, count);
        }
        let singles = [
            (&mut self.packets, packets),
            (&mut self.bytes, bytes),
            (&mut self.segments, segments),
            (&mut self.unknown_links.other, &unknown_links.other),
            (&mut self.depth_limit, depth_limit),
            (&mut self.cut_segments, cut_segments),
            (&mut self.zero_lengths, zero_lengths),
            (&mut self.lengths_beyond_frame, lengths_beyond_frame),
            (&mut self.bad_checksums, bad_checksums),
            (&mut self.datagrams_reassembled, datagrams_reassembled),
            (&mut self.fragment_overlaps, fragment_overlaps),
            (&mut self.fragment_conflicts, fragment_conflicts),
            (&mut self.datagrams_dropped, datagrams_dropped),
            (&mut self.datagrams_evicted, datagrams_evicted),
            (&mut self.datagrams_expired, datagrams_expired),
            (&mut self.odd_times, odd_times),
        ];
        let arrays = (self.ethertypes.iter_mut().zip(ethertypes))
            .chain(self.protocols.iter_mut().zip(protocols))
            .chain(self.truncated.iter_mut().zip(truncated))
            .chain(self.malformed.iter_mut().zip(malformed))
            .chain(self.fragments.iter_mut().zip(fragments));
        for (into, from) in singles.into_iter().chain(arrays) {
            *into = into.saturating_add(*from);
        }
    }

    #[cold]
    pub(crate) fn count(&mut self, reason: Reason) {
        let slot = match reason {
            Reason::LinkType(link) => return self.unknown_links.add(link, 1),
            Reason::Ether(kind) => &mut self.ethertypes[kind.index()],
            Reason::Protocol(kind) => &mut self.protocols[kind.index()],
            Reason::Truncated(layer) => &mut self.truncated[layer.index()],
            Reason::Malformed(layer) => &mut self.malformed[layer.index()],
            Reason::Depth => &mut self.depth_limit,
            Reason::Fragment(kind) => &mut self.fragments[kind.index()],
        };
        *slot = slot.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_adds_every_field() {
        let mut one = Counters { packets: 3, segments: 1, datagrams_expired: 4, ..Counters::default() };
        for link in 0..9 {
            one.count(Reason::LinkType(1_000 + link));
        }
        one.count(Reason::Ether(EtherKind::Arp));
        one.count(Reason::Depth);
        let mut sum = Counters::default();
        sum.merge(&one);
        assert_eq!(sum, one);
        sum.merge(&one);
        assert_eq!((sum.packets, sum.segments, sum.datagrams_expired), (6, 2, 8));
        assert_eq!(sum.unknown_links.by_number()[7], (1_007, 2));
        assert_eq!(sum.unknown_links.other, 2);
        assert_eq!(sum.not_segments(), 2 * 11);
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<&str> = FragmentKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FragmentKind::COUNT);
        assert!(ProtocolKind::ALL.iter().enumerate().all(|(at, kind)| kind.index() == at));
    }
}
