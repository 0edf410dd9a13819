//! Every layer the decoder knows, whole, cut, padded and lying.
#![allow(clippy::unwrap_used)]

mod common;

use common::{MACS, PAYLOAD, decode_one, ethernet, packet, samples, v4, v4_of, v6, v6_with};
use umbra_testkit::PacketBuilder;
use umbra_wire::{
    Checksum, Config, Counters, Decoder, EtherKind, LayerKind, LinkType, Packet, ProtocolKind, TcpFlags, Timestamp,
};

fn ethernet_counters(frame: &[u8]) -> Counters {
    let (segment, counters) = decode_one(Config::default(), &packet(LinkType::ETHERNET, frame, frame.len()));
    assert!(segment.is_none());
    counters
}

#[test]
fn every_layer_gives_the_segment() {
    for sample in samples() {
        let (segment, counters) =
            decode_one(Config::default(), &packet(sample.link, &sample.frame, sample.frame.len()));
        let (header, payload) = segment.unwrap_or_else(|| panic!("{}: {counters:?}", sample.name));
        assert_eq!(payload, PAYLOAD, "{}", sample.name);
        assert_eq!(header.vlan.as_slice(), sample.vlan, "{}", sample.name);
        assert_eq!((header.src_port, header.dst_port), (40_000, 80), "{}", sample.name);
        assert_eq!((header.seq, header.ack, header.window), (0xffff_fff0, 9, 65_000), "{}", sample.name);
        assert_eq!(header.flags, TcpFlags(TcpFlags::ACK | TcpFlags::PSH), "{}", sample.name);
        assert_eq!((header.missing, header.interface, header.tunnel), (0, 3, 0), "{}", sample.name);
        assert_eq!(header.time, Timestamp::from_parts(1_700_000_000, 5), "{}", sample.name);
        assert_eq!(header.checksum, Checksum::Unknown, "{}", sample.name);
        if header.src.is_ipv4() {
            assert_eq!((header.src.to_string(), header.dst.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
            assert_eq!(header.ip_id, 0x1234, "{}", sample.name);
            assert_eq!(header.options.timestamps, Some((1, 2)), "{}", sample.name);
        } else {
            assert_eq!((header.src.to_string(), header.dst.to_string()), ("2001:db8::1".into(), "2001:db8::2".into()));
            assert_eq!(header.ip_id, 0, "{}", sample.name);
        }
    }
}

#[test]
fn f001_every_prefix_of_every_frame() {
    for sample in samples() {
        let whole = sample.frame.len();
        for cut in 0..=whole {
            // Cut by the capture, and cut on the way to it (the wire length is that of the cut frame).
            for wire_len in [whole, cut] {
                let name = format!("{} cut to {cut} of {wire_len}", sample.name);
                let packet = packet(sample.link, &sample.frame[..cut], wire_len);
                let (segment, counters) = decode_one(Config::default(), &packet);
                let lost: u64 = counters.truncated.iter().chain(&counters.malformed).sum();
                match segment {
                    Some((header, payload)) => {
                        assert!(PAYLOAD.starts_with(&payload), "{name}");
                        assert_eq!(payload.len() + header.missing as usize, PAYLOAD.len(), "{name}");
                        assert_eq!((header.src_port, header.seq), (40_000, 0xffff_fff0), "{name}");
                        assert_eq!(counters.cut_segments, u64::from(header.missing > 0), "{name}");
                    }
                    None => assert_eq!(lost, 1, "{name}: {counters:?}"),
                }
                if wire_len == whole && cut < whole {
                    assert_eq!(counters.malformed, [0; LayerKind::COUNT], "{name}");
                }
            }
        }
    }
}

#[test]
fn f001_cut_is_counted_at_its_layer() {
    let frame = v4().vlan(5).build();
    for (cut, layer) in [
        (0, LayerKind::Ethernet),
        (13, LayerKind::Ethernet),
        (17, LayerKind::Vlan),
        (18, LayerKind::Ipv4),
        (37, LayerKind::Ipv4),
        (38, LayerKind::Tcp),
        (57, LayerKind::Tcp),
    ] {
        let (segment, counters) =
            decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame[..cut], frame.len()));
        assert!(segment.is_none());
        assert_eq!(counters.truncated_at(layer), 1, "{cut}: {counters:?}");
    }
    // Cut inside the TCP options the segment still counts for its numbers.
    let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame[..60], frame.len()));
    assert_eq!(segment.unwrap().0.missing as usize, PAYLOAD.len());
}

#[test]
fn f002_tag_and_label_stacks_end_at_the_depth_limit() {
    let ip = v4().build_ip();
    let tags = [0x81, 0x00, 0x00, 0x01].repeat(2_240);
    let labels = [&[0x88, 0x47][..], &[0, 1, 0x10, 64].repeat(2_240)].concat();
    let llc = [0x05u8, 0xdc, 0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 1].repeat(700);
    let ethernets = [&[0x88, 0xe7, 0, 0, 0, 1][..], &MACS].concat().repeat(500);
    for stack in [tags, labels, llc, ethernets] {
        let counters = ethernet_counters(&ethernet(&stack, &ip));
        assert_eq!(counters.depth_limit, 1, "{counters:?}");
    }
    // 12 tags fit: Ethernet, 12 tags, IP, TCP make 15 layers; 14 do not.
    let mut fitting = v4();
    let mut too_many = v4();
    for n in 0..14 {
        fitting = if n < 12 { fitting.vlan(n) } else { fitting };
        too_many = too_many.vlan(n);
    }
    let frame = fitting.build();
    let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
    assert_eq!(segment.unwrap().0.vlan.as_slice(), [0, 1, 2]);
    assert_eq!(ethernet_counters(&too_many.build()).depth_limit, 1);
}

#[test]
fn f003_tunnels_are_counted_once_whatever_is_in_them() {
    let mut inner = v4().build_ip();
    for depth in 0..200 {
        let (protocol, kind, header): (u8, ProtocolKind, &[u8]) = match depth % 4 {
            0 => (47, ProtocolKind::Gre, &[0, 0, 8, 0]),
            1 => (4, ProtocolKind::Ipip, &[]),
            2 => (17, ProtocolKind::Udp, &[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0]),
            _ => (97, ProtocolKind::EtherIp, &[0x30, 0]),
        };
        let outer = v4_of(protocol, &[header, &inner].concat());
        let counters = ethernet_counters(&ethernet(&[8, 0], &outer));
        assert_eq!(counters.protocol(kind), 1, "{depth}");
        assert_eq!(counters.protocols.iter().sum::<u64>(), 1);
        inner = outer;
    }
    let ip6ip = v4_of(41, &v6().build_ip());
    assert_eq!(ethernet_counters(&ethernet(&[8, 0], &ip6ip)).protocol(ProtocolKind::Ip6ip), 1);
}

#[test]
fn f004_lying_ipv4_lengths() {
    let with_total = |total: u16| {
        let mut ip = v4().build_ip();
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ethernet(&[8, 0], &ip)
    };
    let true_total = v4().build_ip().len() as u16;
    for total in [1, 19] {
        assert_eq!(ethernet_counters(&with_total(total)).malformed_at(LayerKind::Ipv4), 1);
    }
    for total in [20, 39, 40, 51] {
        // The TCP header does not fit into what the packet claims to be.
        assert_eq!(ethernet_counters(&with_total(total)).malformed_at(LayerKind::Tcp), 1, "{total}");
    }
    // More than the frame: the payload is what is there, the rest is missing.
    for total in [true_total + 1, 65_535] {
        let frame = with_total(total);
        let (segment, counters) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
        let (header, payload) = segment.unwrap();
        assert_eq!((&payload[..], header.missing), (PAYLOAD, u32::from(total - true_total)));
        assert_eq!(counters.lengths_beyond_frame, 1);
    }
    // 0: offloaded, the frame decides; not in a frame short enough to be padded.
    let frame = with_total(0);
    let (segment, counters) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
    assert_eq!((segment.unwrap().1, counters.zero_lengths), (PAYLOAD.to_vec(), 1));
    let mut short = v4().payload(&[]).tcp_options(&[]).build();
    short[16..18].fill(0);
    short.resize(60, 0);
    assert_eq!(ethernet_counters(&short).malformed_at(LayerKind::Ipv4), 1);
    // Header length: below 20, beyond the total.
    for first in [0x40, 0x44, 0x4f, 0x55, 0x65] {
        let mut ip = v4().payload(&[]).tcp_options(&[]).build_ip();
        ip[0] = first;
        assert_eq!(ethernet_counters(&ethernet(&[8, 0], &ip)).malformed_at(LayerKind::Ipv4), 1, "{first:x}");
    }
    // A wire length smaller than the capture is not believed.
    let frame = v4().build();
    let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, 0));
    assert_eq!(segment.unwrap().1, PAYLOAD);
}

#[test]
fn f004_lying_ipv6_lengths_and_extension_headers() {
    let decode = |ip: &[u8]| {
        let frame = ethernet(&[0x86, 0xdd], ip);
        decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()))
    };
    // Payload length 0 without a jumbo option: the frame decides.
    let mut ip = v6().build_ip();
    ip[4..6].fill(0);
    let (segment, counters) = decode(&ip);
    assert_eq!((segment.unwrap().1, counters.zero_lengths), (PAYLOAD.to_vec(), 1));
    // A jumbogram, its length right, beyond the frame, and too short for its own header.
    let tcp_len = v6().build_tcp().len() as u32;
    for (length, expected) in [(8 + tcp_len, true), (u32::MAX, true), (8 + tcp_len - 1, false), (7, true)] {
        let option = [&[6, 0, 0xc2, 4][..], &length.to_be_bytes()].concat();
        let mut ip = v6_with(0, &option);
        ip[4..6].fill(0);
        let (segment, _) = decode(&ip);
        let (header, payload) = segment.unwrap();
        assert_eq!((payload == PAYLOAD, header.missing), (expected, 0), "{length}");
    }
    // 16 extension headers are read, 17 and 1,000 are not; the work ends at the limit.
    for (count, depth) in [(16, 0), (17, 1), (1_000, 1)] {
        let mut chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
        chain[(count - 1) * 8] = 6;
        let (segment, counters) = decode(&v6_with(60, &chain));
        assert_eq!((segment.is_some(), counters.depth_limit), (depth == 0, depth), "{count}");
    }
    // An authentication header of length 0 is eight bytes long; it goes forward, not round.
    let (segment, _) = decode(&v6_with(51, &[6, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(segment.unwrap().1, PAYLOAD);
    let (segment, counters) = decode(&v6_with(51, &[51, 0, 0, 0, 0, 0, 0, 1].repeat(100)));
    assert_eq!((segment.is_none(), counters.depth_limit), (true, 1));
    // An extension header longer than the packet.
    let (_, counters) = decode(&v6_with(0, &[6, 255, 0, 0, 0, 0, 0, 0]));
    assert_eq!(counters.malformed_at(LayerKind::Extension), 1);
}

#[test]
fn f004_lying_link_and_tcp_lengths() {
    // PPPoE and 802.3 lengths beyond the frame: the IP length decides.
    let ip = v4().build_ip();
    for between in
        [vec![0x88, 0x64, 0x11, 0, 0, 7, 0xff, 0xff, 0, 0x21], vec![0x05, 0xff, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]]
    {
        let frame = ethernet(&between, &ip);
        let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
        let (header, payload) = segment.unwrap();
        assert_eq!((&payload[..], header.missing), (PAYLOAD, 0));
    }
    // A data offset below 5, and beyond the segment.
    for words in [0x00, 0x40, 0xf0] {
        let mut frame = v4().payload(&[]).build();
        frame[14 + 20 + 12] = words;
        assert_eq!(ethernet_counters(&frame).malformed_at(LayerKind::Tcp), 1, "{words:x}");
    }
    // NFLOG attributes of length 0, and none that holds a packet.
    for attributes in [vec![0; 8], [4, 0, 1, 0].repeat(1_000)] {
        let data = [&[2, 0, 0, 1][..], &attributes].concat();
        let (_, counters) = decode_one(Config::default(), &packet(LinkType::NFLOG, &data, data.len()));
        assert_eq!(counters.malformed_at(LayerKind::Link), 1);
    }
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut frame = v4().payload(b"x").tcp_options(&[]).build();
    frame.resize(60, 0xee);
    let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, 60));
    assert_eq!(segment.unwrap().1, b"x");
    let mut frame = v6().payload(b"").build();
    frame.extend([0xee; 12]);
    let (segment, _) = decode_one(Config::default(), &packet(LinkType::ETHERNET, &frame, frame.len()));
    assert_eq!(segment.unwrap().1, b"");
}

#[test]
fn f006_copies_of_a_packet_show_by_their_ip_id() {
    let copy = v4().ttl(63).macs([9; 6], [8; 6]).vlan(77).build();
    let again = v4().ip_id(0x1235).build();
    let mut decoder = Decoder::new(Config::default());
    let mut ids = Vec::new();
    for frame in [&v4().build(), &copy, &again] {
        let segment = decoder.decode(&packet(LinkType::ETHERNET, frame, frame.len())).unwrap();
        ids.push((segment.header.ip_id, segment.header.seq, segment.payload.to_vec()));
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0].0, ids[2].0);
    assert_eq!(decoder.counters().segments, 3);
}

#[test]
fn f010_odd_times_do_not_lose_segments_or_fragments() {
    let fragments = v4().build_fragments(24);
    let whole = v4().build();
    let mut decoder = Decoder::new(Config::default());
    let start = 1_700_000_000u64;
    let mut at = |frame: &[u8], seconds: u64| {
        let time = Timestamp::from_parts(seconds, 0);
        let packet = Packet { time, ..packet(LinkType::ETHERNET, frame, frame.len()) };
        let time = decoder.decode(&packet).map(|segment| segment.header.time);
        (time, decoder.now())
    };
    assert_eq!(at(&fragments[0], start).0, None);
    let mut last = Timestamp(0);
    for odd in [0, start - 5, start + 86_400, 1 << 33, u64::MAX] {
        // The segment carries its own time; the clock goes on as if it had not been.
        let (time, now) = at(&whole, odd);
        assert_eq!(time, Some(Timestamp::from_parts(odd, 0)));
        assert!(now >= last && now <= Timestamp::from_parts(start + 1, 0));
        last = now;
        at(&whole, start);
    }
    let rest: Vec<_> = fragments[1..].iter().map(|frame| at(frame, start + 1).0).collect();
    assert_eq!(rest.last().unwrap(), &Some(Timestamp::from_parts(start + 1, 0)), "the time of the last fragment");
    assert_eq!(decoder.counters().datagrams_expired, 0);
}

#[test]
fn what_is_not_tcp_is_counted_by_kind() {
    for (ethertype, kind) in [
        (0x0806, EtherKind::Arp),
        (0x88cc, EtherKind::Lldp),
        (0x8809, EtherKind::Slow),
        (0x888e, EtherKind::Eapol),
        (0x8863, EtherKind::PppoeDiscovery),
        (0x88e5, EtherKind::Macsec),
        (0x894f, EtherKind::Nsh),
        (0x1234, EtherKind::Other),
    ] {
        let counters = ethernet_counters(&ethernet(&u16::to_be_bytes(ethertype), &[0; 46]));
        assert_eq!(counters.ethertype(kind), 1, "{ethertype:x}");
    }
    let spanning_tree = ethernet(&[0, 38, 0x42, 0x42, 3], &[0; 43]);
    assert_eq!(ethernet_counters(&spanning_tree).ethertype(EtherKind::Llc), 1);
    let lcp = ethernet(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 10, 0xc0, 0x21], &[0; 8]);
    assert_eq!(ethernet_counters(&lcp).ethertype(EtherKind::Ppp), 1);
    for protocol in 0..=255u8 {
        let counters = ethernet_counters(&ethernet(&[8, 0], &v4_of(protocol, &[0; 20])));
        let counted: u64 = counters.protocols.iter().sum();
        assert_eq!(counted, u64::from(protocol != 6), "{protocol}: {counters:?}");
    }
    for link in 0..300 {
        let (_, counters) = decode_one(Config::default(), &packet(LinkType(link), &[0xfe; 60], 60));
        let unknown = counters.unknown_links.total() == 1;
        let known = [0, 1, 9, 12, 14, 50, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276].contains(&link);
        assert_eq!(unknown, !known, "{link}");
    }
}

#[test]
fn checksums_are_verified_when_asked() {
    let config = || Config { checksums: true, ..Config::default() };
    for sample in samples() {
        let packet = packet(sample.link, &sample.frame, sample.frame.len());
        let (segment, counters) = decode_one(config(), &packet);
        // The header of the hand-made AH packet has no right checksum; cut packets cannot be judged.
        let expected = if sample.name == "v4 AH" { Checksum::Bad } else { Checksum::Good };
        assert_eq!(segment.unwrap().0.checksum, expected, "{}", sample.name);
        assert_eq!(counters.bad_checksums, u64::from(expected == Checksum::Bad));
    }
    let frame = v4().build();
    for bad in 14 + 20..frame.len() {
        let mut frame = frame.clone();
        frame[bad] ^= 0x11;
        let (segment, counters) = decode_one(config(), &packet(LinkType::ETHERNET, &frame, frame.len()));
        if let Some((header, _)) = segment {
            assert_eq!((header.checksum, counters.bad_checksums), (Checksum::Bad, 1), "{bad}");
        }
    }
    let (segment, _) = decode_one(config(), &packet(LinkType::ETHERNET, &frame[..frame.len() - 1], frame.len()));
    assert_eq!(segment.unwrap().0.checksum, Checksum::Unknown);
    let fragments = PacketBuilder::build_fragments(&v6().ip_id(3), 16);
    let mut decoder = Decoder::new(config());
    let mut last = None;
    for frame in &fragments {
        last = decoder.decode(&packet(LinkType::ETHERNET, frame, frame.len())).map(|segment| segment.header.checksum);
    }
    assert_eq!(last, Some(Checksum::Good));
}
