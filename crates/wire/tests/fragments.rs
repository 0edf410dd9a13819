//! Fragments through the decoder.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PAYLOAD, ethernet, packet, v4, v4_of, v6};
use umbra_testkit::Random;
use umbra_wire::{Config, Decoder, FragmentKind, LinkType, ProtocolKind};

fn feed(decoder: &mut Decoder, frame: &[u8]) -> Option<Vec<u8>> {
    let segment = decoder.decode(&packet(LinkType::ETHERNET, frame, frame.len()));
    let payload = segment.map(|segment| segment.payload.to_vec());
    let counters = decoder.counters();
    assert_eq!(counters.packets, counters.segments + counters.not_segments());
    payload
}

#[test]
fn fragments_of_both_families_in_any_order() {
    for (seed, packet) in [v4(), v6().ip_id(7), v4().vlan(5), v6().ip_id(8).vlan(5).vlan(6)].into_iter().enumerate() {
        for size in [8, 16, 24, 40] {
            let mut frames = packet.build_fragments(size);
            Random::new(seed as u64).shuffle(&mut frames);
            let mut decoder = Decoder::new(Config::default());
            let (last, first) = frames.split_last().unwrap();
            for frame in first {
                assert_eq!(feed(&mut decoder, frame), None);
            }
            assert_eq!(feed(&mut decoder, last).unwrap(), PAYLOAD);
            let counters = decoder.counters();
            assert_eq!(counters.datagrams_reassembled, 1);
            assert_eq!(counters.fragment(FragmentKind::Held), first.len() as u64);
            // A segment that is not fragmented comes in between as ever.
            assert_eq!(feed(&mut decoder, &packet.build()).unwrap(), PAYLOAD);
        }
    }
}

#[test]
fn cut_fragments_are_not_kept() {
    let frames = v4().build_fragments(24);
    let mut decoder = Decoder::new(Config::default());
    for frame in &frames {
        let cut = packet(LinkType::ETHERNET, &frame[..frame.len() - 1], frame.len());
        assert!(decoder.decode(&cut).is_none());
    }
    assert_eq!(decoder.counters().fragment(FragmentKind::Cut), frames.len() as u64);
    assert_eq!((decoder.datagrams(), decoder.fragment_bytes()), (0, 0));
}

#[test]
fn fragments_without_tcp_are_not_kept() {
    let mut udp = v4_of(17, &[0; 32]);
    udp[6] = 0x20;
    let mut decoder = Decoder::new(Config::default());
    assert_eq!(feed(&mut decoder, &ethernet(&[8, 0], &udp)), None);
    assert_eq!(decoder.counters().protocol(ProtocolKind::Udp), 1);
    assert_eq!(decoder.datagrams(), 0);
}

/// IPv6 fragments that carry `body` under `next`, cut at `at`.
fn v6_fragments(id: u32, next: u8, body: &[u8], at: usize) -> Vec<Vec<u8>> {
    let header = v6().build_ip();
    [(0, &body[..at], 1u16), (at as u16, &body[at..], 0)]
        .into_iter()
        .map(|(offset, part, more)| {
            let mut ip = header[..40].to_vec();
            ip[4..6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
            ip[6] = 44;
            ip.extend([next, 0]);
            ip.extend((offset | more).to_be_bytes());
            ip.extend(id.to_be_bytes());
            ip.extend(part);
            ethernet(&[0x86, 0xdd], &ip)
        })
        .collect()
}

#[test]
fn f014_a_datagram_that_contains_a_fragment_with_the_same_key() {
    // Fragments whose content is again a fragment of the same id: the inner ones are put together in turn.
    let tcp = v6().build_tcp();
    let inner = |offset: u16, more: u16, part: &[u8]| {
        [&[6, 0][..], &(offset | more).to_be_bytes(), &7u32.to_be_bytes(), part].concat()
    };
    let first = inner(0, 1, &tcp[..24]);
    let second = inner(24, 0, &tcp[24..]);
    let mut decoder = Decoder::new(Config::default());
    let outer: Vec<_> = [v6_fragments(7, 44, &first, 16), v6_fragments(8, 44, &second, 16)].concat();
    let results: Vec<_> = outer.iter().map(|frame| feed(&mut decoder, frame)).collect();
    // The first outer datagram is remembered under the same key as the fragment inside it; that one differs, so that it
    // starts a datagram of its own.
    assert_eq!(results[..3], [None, None, None]);
    assert_eq!(results[3].as_deref(), Some(PAYLOAD));
    assert_eq!(decoder.counters().datagrams_reassembled, 3);

    // Without end: each datagram holds the next two-fragment datagram's first part; the loop ends with the packet.
    let mut body = tcp.clone();
    for _ in 0..100 {
        body = inner(0, 1, &[&body[..], &[0; 8]].concat()[..(body.len() / 8 * 8).max(8)]);
    }
    let mut decoder = Decoder::new(Config::default());
    for frame in v6_fragments(7, 44, &body, 16) {
        assert_eq!(feed(&mut decoder, &frame), None);
    }
    assert!(decoder.datagrams() <= 2);
}

#[test]
fn an_extension_header_after_the_fragment_header_is_followed() {
    let body = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &v6().build_tcp()].concat();
    let mut decoder = Decoder::new(Config::default());
    let frames = v6_fragments(1, 60, &body, 8);
    assert_eq!(feed(&mut decoder, &frames[1]), None);
    assert_eq!(feed(&mut decoder, &frames[0]).unwrap(), PAYLOAD);
}
