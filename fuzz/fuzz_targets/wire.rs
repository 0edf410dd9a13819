//! Packets of every link type: each is a segment or one count, a cut one gives no other payload than the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbra_wire::{Config, Decoder, LinkType, Packet, Timestamp};

const LINKS: [u16; 17] = [0, 1, 9, 12, 14, 50, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276, 999];

fuzz_target!(|data: &[u8]| {
    let Some((&[link, checksums, cut], mut rest)) = data.split_first_chunk::<3>() else { return };
    let link = LinkType(LINKS[usize::from(link) % LINKS.len()]);
    let config = Config { checksums: checksums & 1 == 1, max_fragment_bytes: 1 << 14, ..Config::default() };
    let mut decoder = Decoder::new(config.clone());
    let mut packets = 0;
    // Each packet: length, bytes beyond the captured ones, milliseconds since 1970 in units of 256; then its bytes.
    while let Some((&[length, beyond, time], after)) = rest.split_first_chunk::<3>() {
        let (bytes, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        packets += 1;
        let wire_len = bytes.len() as u32 + u32::from(beyond);
        let packet = Packet { time: Timestamp(u64::from(time) << 28), link, interface: 0, wire_len, data: bytes };
        let before = decoder.now();
        let whole = decoder.decode(&packet).map(|segment| {
            assert!(segment.payload.len() <= 65_535);
            (*segment.header, segment.payload.to_vec())
        });
        assert!(decoder.now() >= before);
        assert!(decoder.fragment_bytes() <= config.max_fragment_bytes);
        let counters = decoder.counters();
        assert_eq!(counters.packets, packets);
        assert_eq!(counters.packets, counters.segments + counters.not_segments());

        // On their own, the whole packet and its prefix agree as far as the prefix goes.
        let prefix = Packet { data: &bytes[..usize::from(cut).min(bytes.len())], ..packet };
        let mut fresh = Decoder::new(config.clone());
        if let Some(part) = fresh.decode(&prefix) {
            let (header, payload) = whole.expect("a prefix cannot say more than the packet");
            assert!(payload.starts_with(part.payload));
            assert_eq!((part.header.src, part.header.dst), (header.src, header.dst));
            assert_eq!((part.header.src_port, part.header.seq), (header.src_port, header.seq));
            assert_eq!(part.payload.len() + part.header.missing as usize, payload.len() + header.missing as usize);
        }
    }
});
