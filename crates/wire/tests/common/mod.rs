//! Sample frames of every link layer, all with the same TCP segment inside.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use umbra_testkit::PacketBuilder;
use umbra_wire::{Config, Counters, Decoder, LinkType, Packet, SegmentHeader, TcpFlags, Timestamp};

pub const PAYLOAD: &[u8] = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A frame with its name, link type and VLAN ids.
pub struct Sample {
    pub name: &'static str,
    pub link: LinkType,
    pub frame: Vec<u8>,
    pub vlan: Vec<u16>,
}

pub fn v4() -> PacketBuilder {
    PacketBuilder::tcp("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
        .seq(0xfffffff0)
        .ack(9)
        .flags(TcpFlags::ACK | TcpFlags::PSH)
        .tcp_options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])
        .ip_id(0x1234)
        .payload(PAYLOAD)
}

pub fn v6() -> PacketBuilder {
    PacketBuilder::tcp("[2001:db8::1]:40000".parse().unwrap(), "[2001:db8::2]:80".parse().unwrap())
        .seq(0xfffffff0)
        .ack(9)
        .flags(TcpFlags::ACK | TcpFlags::PSH)
        .payload(PAYLOAD)
}

pub const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// Ethernet addresses, then these bytes, then an IP packet.
pub fn ethernet(between: &[u8], ip: &[u8]) -> Vec<u8> {
    [&MACS, between, ip].concat()
}

/// An IPv6 packet with `chain` (extension headers, the first of type `next`) before the TCP segment of [`v6`].
pub fn v6_with(next: u8, chain: &[u8]) -> Vec<u8> {
    let mut ip = v6().build_ip();
    ip[6] = next;
    let len = u16::from_be_bytes([ip[4], ip[5]]) + chain.len() as u16;
    ip[4..6].copy_from_slice(&len.to_be_bytes());
    [&ip[..40], chain, &ip[40..]].concat()
}

/// An IPv4 packet of any protocol.
pub fn v4_of(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut ip = v4().tcp_options(&[]).payload(&[]).build_ip();
    ip.truncate(20);
    ip[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
    ip[9] = protocol;
    ip.extend_from_slice(body);
    ip
}

pub fn samples() -> Vec<Sample> {
    let ip4 = v4().build_ip();
    let ip6 = v6().build_ip();
    let len = ip4.len() as u16;
    let mut out = Vec::new();
    let mut add = |name, link, vlan: &[u16], frame| {
        out.push(Sample { name, link: LinkType(link), frame, vlan: vlan.to_vec() });
    };
    add("ethernet v4", 1, &[], v4().build());
    add("ethernet v6", 1, &[], v6().build());
    add("v4 options", 1, &[], v4().ip_options(&[7, 7, 4, 0, 0, 0, 0]).build());
    add("802.1Q", 1, &[5], v4().vlan(5).build());
    add("QinQ", 1, &[100, 5], v6().tag(0x88a8, 100).vlan(5).build());
    add("three tags", 1, &[100, 5, 4095], v4().tag(0x9100, 100).tag(0x88a8, 5).vlan(4095).build());
    add("four tags", 1, &[1, 2, 3], v4().vlan(1).vlan(2).vlan(3).vlan(4).build());
    let length = (8 + len).to_be_bytes();
    let snap = [&length[..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat();
    add("802.3 SNAP", 1, &[], ethernet(&snap, &ip4));
    add("802.3 LLC IP", 1, &[], ethernet(&[&(3 + len).to_be_bytes()[..], &[6, 6, 3]].concat(), &ip4));
    add("MPLS v4", 1, &[], ethernet(&[0x88, 0x47, 0, 1, 0x10, 64, 0, 1, 0x21, 64], &ip4));
    add("MPLS v6", 1, &[], ethernet(&[0x88, 0x47, 0, 1, 0x11, 64], &ip6));
    let wire = [&[0x88, 0x48, 0, 1, 0x11, 64][..], &v4().vlan(7).build()].concat();
    add("MPLS pseudowire", 1, &[7], ethernet(&wire, &[]));
    let wire = [&[0x88, 0x47, 0, 1, 0x11, 64, 0, 0, 0, 9][..], &v4().build()].concat();
    add("MPLS control word", 1, &[], ethernet(&wire, &[]));
    add("VLAN, MPLS", 1, &[3], ethernet(&[0x81, 0, 0, 3, 0x88, 0x47, 0, 1, 0x11, 64], &ip4));
    let session = [&[0x11, 0, 0, 7][..], &(2 + len).to_be_bytes(), &[0, 0x21]].concat();
    add("PPPoE v4", 1, &[], ethernet(&[&[0x88, 0x64][..], &session].concat(), &ip4));
    let session = [&[0x11, 0, 0, 7][..], &(1 + ip6.len() as u16).to_be_bytes(), &[0x57]].concat();
    add("PPPoE v6 compressed", 1, &[5], ethernet(&[&[0x81, 0, 0, 5, 0x88, 0x64][..], &session].concat(), &ip6));
    let pbb = [&[0x88, 0xa8, 0, 9, 0x88, 0xe7, 0, 0, 0, 1][..], &v4().vlan(3).build()].concat();
    add("PBB", 1, &[9, 3], ethernet(&pbb, &[]));
    add("VN-Tag", 1, &[], ethernet(&[0x89, 0x26, 0, 0, 0, 1, 8, 0], &ip4));
    add("NULL little", 0, &[], [&[2, 0, 0, 0][..], &ip4].concat());
    add("NULL big", 0, &[], [&[0, 0, 0, 2][..], &ip4].concat());
    for family in [10, 24, 28, 30] {
        add("NULL v6 little", 0, &[], [&[family, 0, 0, 0][..], &ip6].concat());
        add("LOOP v6", 108, &[], [&[0, 0, 0, family][..], &ip6].concat());
    }
    for link in [12, 14, 101, 228] {
        add("raw v4", link, &[], ip4.clone());
    }
    for link in [12, 14, 101, 229] {
        add("raw v6", link, &[], ip6.clone());
    }
    add("C-HDLC", 104, &[], [&[0x0f, 0, 8, 0][..], &ip4].concat());
    add("C-HDLC v6", 104, &[], [&[0x8f, 0, 0x86, 0xdd][..], &ip6].concat());
    add("PPP", 9, &[], [&[0xff, 3, 0, 0x21][..], &ip4].concat());
    add("PPP bare", 9, &[], [&[0, 0x57][..], &ip6].concat());
    add("PPP MPLS", 9, &[], [&[0xff, 3, 2, 0x81, 0, 1, 0x11, 64][..], &ip4].concat());
    add("PPP serial", 50, &[], [&[0xff, 3, 0, 0x21][..], &ip4].concat());
    add("PPP serial Cisco", 50, &[], [&[0x0f, 0, 8, 0][..], &ip4].concat());
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    add("SLL", 113, &[], [&cooked[..], &[8, 0], &ip4].concat());
    add("SLL VLAN", 113, &[6], [&cooked[..], &[0x81, 0, 0, 6, 0x86, 0xdd], &ip6].concat());
    add("SLL LLC", 113, &[], [&cooked[..], &[0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip4].concat());
    let cooked2 = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    add("SLL2", 276, &[], [&[8, 0][..], &cooked2, &ip4].concat());
    add("SLL2 v6", 276, &[], [&[0x86, 0xdd][..], &cooked2, &ip6].concat());
    let padding = vec![0; usize::from(len.next_multiple_of(4) - len)];
    let attributes =
        [&[8, 0, 1, 0, 8, 0, 0, 1, 5, 0, 10, 0, 0, 0, 0, 0][..], &(len + 4).to_le_bytes(), &[9, 0]].concat();
    add("NFLOG little", 239, &[], [&[2, 0, 0, 1][..], &attributes, &ip4, &padding].concat());
    let attributes = [&[0, 8, 0, 1, 8, 0, 0, 1][..], &(len + 4).to_be_bytes(), &[0, 9]].concat();
    add("NFLOG big", 239, &[], [&[2, 0, 0, 1][..], &attributes, &ip4, &padding].concat());
    // Radiotap with TSFT and flags (frame check sequence), QoS data to the distribution system.
    let radiotap = [0, 0, 17, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10];
    let wifi = [&[0x88, 1, 0, 0][..], &MACS, &[2, 0, 0, 0, 0, 3, 0x10, 0, 0, 0]].concat();
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    add("radiotap", 127, &[], [&radiotap[..], &wifi, &snap, &ip4, &[1, 2, 3, 4]].concat());
    let wifi = [&[0x08, 3, 0, 0][..], &MACS, &[2, 0, 0, 0, 0, 3, 0x10, 0, 2, 0, 0, 0, 0, 4]].concat();
    add("802.11 bridged", 105, &[], [&wifi[..], &snap, &ip4].concat());
    // Hop-by-hop with PadN, routing of type 0 without segments, destination options, atomic fragment, AH of 24 bytes.
    let chain = [
        [43, 0, 1, 4, 0, 0, 0, 0],
        [60, 0, 0, 0, 0, 0, 0, 0],
        [44, 0, 1, 4, 0, 0, 0, 0],
        [51, 0, 0, 0, 0, 0, 0, 7],
        [6, 4, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1, 2, 3, 4],
        [5, 6, 7, 8, 9, 10, 11, 12],
    ]
    .concat();
    add("v6 extension headers", 1, &[], ethernet(&[0x86, 0xdd], &v6_with(0, &chain)));
    let tcp = v4().build_tcp();
    let ah = [&[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..], &tcp].concat();
    add("v4 AH", 101, &[], v4_of(51, &ah));
    out
}

/// A packet, uncut unless `wire_len` is larger.
pub fn packet(link: LinkType, data: &[u8], wire_len: usize) -> Packet<'_> {
    Packet {
        time: Timestamp::from_parts(1_700_000_000, 5),
        link,
        interface: 3,
        wire_len: u32::try_from(wire_len).unwrap(),
        data,
    }
}

/// What a fresh decoder makes of one packet; checks that every packet is accounted for (G5).
pub fn decode_one(config: Config, packet: &Packet<'_>) -> (Option<(SegmentHeader, Vec<u8>)>, Counters) {
    let mut decoder = Decoder::new(config);
    let segment = decoder.decode(packet).map(|segment| (*segment.header, segment.payload.to_vec()));
    let counters = decoder.counters().clone();
    assert_eq!((counters.packets, counters.segments), (1, u64::from(segment.is_some())));
    assert_eq!(counters.packets, counters.segments + counters.not_segments());
    (segment, counters)
}
