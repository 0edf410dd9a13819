//! The decoder against etherparse on generated frames, and on every packet of the third-party captures.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use etherparse::{LaxSlicedPacket, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use umbra_testkit::PacketBuilder;
use umbra_wire::{Config, Counters, Decoder, LinkType, Packet, Segment, Timestamp};

use common::{decode_one, packet};

proptest! {
    // Failing seeds are kept beside this file.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn generated_frames_agree_with_etherparse(
        v6: bool,
        tags in prop::collection::vec((prop::sample::select(vec![0x8100u16, 0x88a8, 0x9100]), 0u16..4_096), 0..=3),
        ip_options in prop::collection::vec(Just(1u8), 0..=40),
        tcp_options in prop::collection::vec(any::<u8>(), 0..=40),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        (seq, ack, flags, window, ports) in any::<(u32, u32, u8, u16, (u16, u16))>(),
        padding in 0usize..20,
    ) {
        let ip: [std::net::IpAddr; 2] = if v6 {
            ["2001:db8::1".parse().unwrap(), "fe80::2".parse().unwrap()]
        } else {
            ["10.1.2.3".parse().unwrap(), "192.0.2.9".parse().unwrap()]
        };
        let mut builder = PacketBuilder::tcp((ip[0], ports.0).into(), (ip[1], ports.1).into())
            .seq(seq).ack(ack).flags(flags).window(window).tcp_options(&tcp_options).payload(&payload);
        if !v6 {
            builder = builder.ip_options(&ip_options);
        }
        for (ethertype, id) in &tags {
            builder = builder.tag(*ethertype, *id);
        }
        let mut frame = builder.build();
        frame.resize(frame.len() + padding, 0xaa);
        let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
        let (header, got) = segment.unwrap();
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        prop_assert_eq!(&got, tcp.payload());
        prop_assert_eq!(&got, &payload);
        prop_assert_eq!((header.seq, header.ack), (tcp.sequence_number(), tcp.acknowledgment_number()));
        prop_assert_eq!((header.src_port, header.dst_port), (tcp.source_port(), tcp.destination_port()));
        prop_assert_eq!((header.window, header.urgent), (tcp.window_size(), tcp.urgent_pointer()));
        prop_assert_eq!([header.src, header.dst], ip);
        let ids: Vec<u16> = tags.iter().map(|(_, id)| *id).collect();
        prop_assert_eq!(header.vlan.as_slice(), &ids[..]);
    }
}

/// Packets of a classic pcap file: just what this test needs.
fn pcap(file: &[u8]) -> Option<(LinkType, Vec<Packet<'_>>)> {
    let (magic, rest) = file.split_first_chunk::<4>()?;
    let big = match *magic {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => false,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => true,
        _ => return None,
    };
    let word = |bytes: &[u8], at: usize| {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let link = LinkType((word(rest, 16)? & 0xffff) as u16);
    let mut rest = rest.get(20..)?;
    let mut packets = Vec::new();
    while let (Some(seconds), Some(captured), Some(wire_len)) = (word(rest, 0), word(rest, 8), word(rest, 12)) {
        let Some(data) = rest.get(16..16 + captured as usize) else { break };
        packets.push(Packet { time: Timestamp::from_parts(seconds.into(), 0), link, interface: 0, wire_len, data });
        rest = &rest[16 + captured as usize..];
    }
    Some((link, packets))
}

/// What etherparse makes of a frame, where it knows the layers: sequence number and payload.
fn oracle<'a>(packet: &Packet<'a>) -> Option<(u32, &'a [u8])> {
    let sliced = match packet.link {
        LinkType::ETHERNET => LaxSlicedPacket::from_ethernet(packet.data).ok()?,
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => LaxSlicedPacket::from_ip(packet.data).ok()?,
        _ => return None,
    };
    match sliced.transport? {
        TransportSlice::Tcp(tcp) => Some((tcp.sequence_number(), tcp.payload())),
        _ => None,
    }
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn third_party_captures_are_accounted_for_and_agree() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let mut paths = Vec::new();
    files(&captures, &mut paths);
    paths.sort();
    let mut total = Counters::default();
    let mut agreed = 0;
    for path in paths {
        let file = std::fs::read(&path).unwrap();
        let Some((link, packets)) = pcap(&file) else { continue };
        let mut decoder = Decoder::new(Config::default());
        for (n, packet) in packets.iter().enumerate() {
            let expected = oracle(packet);
            let segment: Option<Segment<'_>> = decoder.decode(packet);
            if let (Some((seq, payload)), Some(segment)) = (expected, &segment) {
                assert_eq!(
                    (segment.header.seq, segment.payload),
                    (seq, payload),
                    "{} packet {}",
                    path.display(),
                    n + 1
                );
                agreed += 1;
            } else if let Some((seq, payload)) = expected {
                panic!("{} packet {}: etherparse sees {seq} {}", path.display(), n + 1, payload.len());
            }
            // What was cut can be cut again.
            if let Some(segment) = segment {
                assert!(segment.payload.len() <= packet.data.len().max(65_535));
            }
        }
        let counters = decoder.counters();
        assert_eq!(counters.packets, packets.len() as u64);
        assert_eq!(counters.packets, counters.segments + counters.not_segments());
        println!(
            "{} link {link}: {} packets, {} segments, {:?}",
            path.display(),
            counters.packets,
            counters.segments,
            Named(counters)
        );
        total.merge(counters);
    }
    println!("{agreed} segments agree; {:?}", Named(&total));
    assert!(agreed > 1_000);
}

/// Counts that are not zero, by name.
struct Named<'a>(&'a Counters);

impl std::fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use umbra_wire::{EtherKind, FragmentKind, LayerKind, ProtocolKind};
        let counters = self.0;
        let mut list = f.debug_list();
        let ether = EtherKind::ALL.iter().map(|kind| (kind.name(), counters.ethertype(*kind)));
        let protocols = ProtocolKind::ALL.iter().map(|kind| (kind.name(), counters.protocol(*kind)));
        let truncated = LayerKind::ALL.iter().map(|kind| (kind.name(), counters.truncated_at(*kind)));
        let malformed = LayerKind::ALL.iter().map(|kind| (kind.name(), counters.malformed_at(*kind)));
        let fragments = FragmentKind::ALL.iter().map(|kind| (kind.name(), counters.fragment(*kind)));
        list.entries(counters.unknown_links.by_number());
        for (what, counts) in [
            ("ether", ether.collect::<Vec<_>>()),
            ("protocol", protocols.collect()),
            ("truncated", truncated.collect()),
            ("malformed", malformed.collect()),
            ("fragment", fragments.collect()),
            (
                "other",
                vec![
                    ("depth", counters.depth_limit),
                    ("cut", counters.cut_segments),
                    ("zero", counters.zero_lengths),
                    ("beyond", counters.lengths_beyond_frame),
                    ("reassembled", counters.datagrams_reassembled),
                    ("odd times", counters.odd_times),
                ],
            ),
        ] {
            list.entries(counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (what, name, count)));
        }
        list.finish()
    }
}
