//! Fragments as operations. Every byte that can be sent says which datagram and place it belongs to, so a segment made of
//! two datagrams, or of bytes in the wrong place, shows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbra_wire::{Config, Decoder, LinkType, Packet, Timestamp};

/// The byte at `place` of a datagram; two variants, for overlaps that differ. The TCP header is the same in both.
fn byte(datagram: u8, place: usize, variant: u8) -> u8 {
    match place {
        0..12 => 0x11,
        12 => 0x50,
        13..20 => 0x10,
        _ => {
            let mixed = (place as u32).wrapping_mul(0x9e37_79b9) ^ u32::from(datagram).wrapping_mul(0x85eb_ca6b);
            ((mixed >> 13) as u8) << 1 | variant
        }
    }
}

/// A raw IP fragment. The datagram number decides family, id and protocol-independent address.
fn fragment(datagram: u8, start: usize, len: usize, more: bool, variant: u8) -> Vec<u8> {
    let body = (start..start + len).map(|place| byte(datagram, place, variant));
    let units = (start / 8) as u16;
    let id = u16::from(datagram >> 2);
    let mut out = Vec::new();
    if datagram & 1 == 0 {
        out.extend([0x45, 0]);
        out.extend((20 + len as u16).to_be_bytes());
        out.extend(id.to_be_bytes());
        out.extend((units | u16::from(more) << 13).to_be_bytes());
        out.extend([64, 6, 0, 0, 10, 0, 0, datagram & 2, 10, 0, 0, 9]);
    } else {
        out.extend([0x60, 0, 0, 0]);
        out.extend((8 + len as u16).to_be_bytes());
        out.extend([44, 64]);
        out.extend([datagram & 2; 16]);
        out.extend([9; 16]);
        out.extend([6, 0]);
        out.extend((units << 3 | u16::from(more)).to_be_bytes());
        out.extend(u32::from(id).to_be_bytes());
    }
    out.extend(body);
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((&[limit, seed], operations)) = data.split_first_chunk::<2>() else { return };
    let config = Config {
        hash_seed: [u64::from(seed); 4],
        max_datagrams: u32::from(limit % 16) + 1,
        max_fragment_bytes: 4_096 << (limit >> 6),
        max_datagram_fragments: 16,
        ..Config::default()
    };
    let mut decoder = Decoder::new(config.clone());
    let mut now = 1u64 << 40;
    for operation in operations.chunks_exact(5) {
        let &[datagram, start, len, flags, delay] = operation else { return };
        now += u64::from(delay) << 25;
        // Places beyond a fragment's reach would overflow the 13-bit field; 0xff goes near the end of the range.
        let start = if start == 0xff { 65_500 / 8 * 8 } else { usize::from(start) * 8 };
        let more = flags & 1 == 1;
        let len = if flags & 2 == 0 { usize::from(len) / 8 * 8 } else { usize::from(len) };
        let packet = fragment(datagram % 32, start, len, more, flags >> 7);
        let packet = Packet {
            time: Timestamp(now),
            link: LinkType::RAW,
            interface: 0,
            wire_len: packet.len() as u32,
            data: &packet,
        };
        if let Some(segment) = decoder.decode(&packet) {
            for (n, &got) in segment.payload.iter().enumerate() {
                let expected = byte(datagram % 32, 20 + n, 0);
                assert_eq!(got & !1, expected & !1, "place {n}");
            }
        }
        let counters = decoder.counters();
        assert_eq!(counters.packets, counters.segments + counters.not_segments());
        assert!(decoder.fragment_bytes() <= config.max_fragment_bytes);
        assert!(decoder.datagrams() <= config.max_datagrams as usize);
    }
});
