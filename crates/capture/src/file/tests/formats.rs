//! Formats, byte orders, clocks, compression, filters.

use super::*;

#[test]
fn classic_of_every_magic_and_byte_order() {
    for end in [End::Little, End::Big] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
            let outcome = read_every_way(&classic(end, magic, &sample()), &sample());
            assert_eq!(outcome.interfaces[0], "test.pcap");
        }
    }
    // Nanoseconds are kept.
    let fine = vec![(1_000_000_001_u64, vec![1, 2], 2)];
    assert_eq!(read(&classic(End::Big, 0xa1b2_3c4d, &fine)).packets, fine);
}

#[test]
fn link_type_without_the_checksum_bits() {
    let mut bytes = classic_header(End::Little, 0xa1b2_c3d4, 0x1400_0001);
    bytes.extend([0; 16]);
    assert_eq!(read(&bytes).links, [1]);
}

#[test]
fn pcapng_with_sections_interfaces_and_all_kinds_of_blocks() {
    for end in [End::Little, End::Big] {
        let mut bytes = section(end);
        bytes.extend(interface(end, 1, 4, &[option(end, 2, b"eth0")]));
        bytes.extend(interface(end, 101, 0, &[option(end, 9, &[9]), option(end, 14, &end.u64(100))]));
        bytes.extend(interface(end, 113, 0, &[option(end, 9, &[0x80 | 10])]));
        bytes.extend(block(end, 4, &[0; 20])); // names
        bytes.extend(packet_block(end, 0, 1_500_000, &[1, 2, 3], 3)); // µs
        bytes.extend(packet_block(end, 1, 7, &[4, 5], 1500)); // ns, offset 100 s
        bytes.extend(packet_block(end, 2, 1536, &[], 0)); // 1/1024 s
        bytes.extend(block(end, 3, &[end.u32(6), [7, 7, 7, 7]].concat())); // SPB, cut by the snap length of 4
        bytes.extend(block(end, 0xbad, &[1; 1000]));
        let mut old = [end.u16(1), end.u16(9)].concat();
        old.extend([end.u32(0), end.u32(8), end.u32(1), end.u32(1), [0xaa, 0, 0, 0]].concat());
        bytes.extend(block(end, 2, &old));
        let keys = b"CLIENT_RANDOM 00 11";
        bytes.extend(block(end, 10, &[&end.u32(0x544c_534b)[..], &end.u32(19), keys].concat()));
        bytes.extend(block(end, 5, &[0; 12]));
        bytes.extend(block(end, 0x1234, &[0; 8]));
        // A second section of the other byte order, where interface 0 is another one.
        let other = if end == End::Little { End::Big } else { End::Little };
        bytes.extend(section(other));
        bytes.extend(interface(other, 12, 0, &[]));
        bytes.extend(packet_block(other, 0, 2, &[9], 9));
        let expected = vec![
            (1_500_000_000, vec![1, 2, 3], 3),
            (100_000_000_007, vec![4, 5], 1500),
            (1_500_000_000, vec![], 0),
            (1_500_000_000, vec![7, 7, 7, 7], 6),
            (100_000_000_008, vec![0xaa], 1),
            (2_000, vec![9], 9),
        ];
        let outcome = read_every_way(&bytes, &expected);
        assert_eq!(outcome.links, [1, 101, 113, 1, 101, 12]);
        assert_eq!(outcome.interfaces, ["eth0", "test.pcap:1", "test.pcap:2", "eth0", "test.pcap:1", "test.pcap:0"]);
        let counters = outcome.counters;
        assert_eq!((counters.name_blocks, counters.statistics_blocks), (1, 1));
        assert_eq!((counters.custom_blocks, counters.other_blocks, counters.packets), (1, 1, 6));
        let [secret] = outcome.secrets.as_slice() else { panic!() };
        assert_eq!((secret.kind(), secret.data()), (Secret::TLS_KEY_LOG, &keys[..]));
        assert!(!format!("{secret:?}").contains("RANDOM"));
    }
}

#[test]
fn no_secret_stays_in_a_batch_buffer() {
    let end = End::Little;
    let mut bytes = section(end);
    bytes.extend(interface(end, 1, 0, &[]));
    bytes.extend(block(end, 10, &[&end.u32(0x544c_534b)[..], &end.u32(8), b"CANARY!!"].concat()));
    bytes.extend(packet_block(end, 0, 1, &[1], 1));
    let source = std::io::Cursor::new(bytes);
    let mut files = FileSet::from_reader("x", source, Options::default()).unwrap();
    let batch = files.next_batch().unwrap().unwrap();
    assert_eq!(files.take_secrets()[0].data(), b"CANARY!!");
    assert!(!batch.buffer().windows(6).any(|window| window == b"CANARY"));
}

#[test]
fn timestamp_resolutions() {
    // (if_tsresol, ticks) → nanoseconds
    let end = End::Little;
    for (resolution, ticks, nanos) in [
        (0, 3, 3_000_000_000),
        (3, 1_500, 1_500_000_000),
        (6, 1_500_000, 1_500_000_000),
        (9, 5, 5),
        (12, 5_000, 5),
        (19, u64::MAX, 1_844_674_407),
        (127, u64::MAX, 0),
        (0x80, 2, 2_000_000_000),
        (0x80 | 20, 1 << 19, 500_000_000),
        (0xff, u64::MAX, 0),
        (0, u64::MAX, u64::MAX), // saturates
    ] {
        let mut bytes = section(end);
        bytes.extend(interface(end, 1, 0, &[option(end, 9, &[resolution])]));
        bytes.extend(packet_block(end, 0, ticks, &[], 0));
        assert_eq!(read(&bytes).packets, [(nanos, vec![], 0)], "resolution {resolution}");
    }
}

#[test]
fn compressed_and_compressed_again() {
    let plain = classic(End::Little, 0xa1b2_c3d4, &sample());
    let (one, two) = plain.split_at(plain.len() / 2);
    let zst = zstd::encode_all(&plain[..], 3).unwrap();
    for bytes in [
        gzip(&plain),
        [gzip(one), gzip(two)].concat(),
        zst.clone(),
        [zstd::encode_all(one, 1).unwrap(), zstd::encode_all(two, 1).unwrap()].concat(),
        gzip(&zst),
        gzip(&gzip(&zst)),
    ] {
        let outcome = read(&bytes);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(outcome.packets, sample());
        assert_eq!(read_by(&bytes, 3, 64).packets, sample());
    }
    // A fourth layer is not looked into.
    assert!(read(&gzip(&gzip(&gzip(&gzip(&plain))))).error.is_some());
}

#[cfg(feature = "live")]
#[test]
fn bpf_on_several_link_types() {
    // IPv4 UDP to port 53, bare and behind Ethernet.
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    ip.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
    let ethernet = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip].concat();
    let end = End::Little;
    let mut bytes = section(end);
    bytes.extend(interface(end, 1, 0, &[]));
    bytes.extend(interface(end, 101, 0, &[]));
    bytes.extend(interface(end, 147, 0, &[])); // private use: nothing compiles for it
    for (id, data) in [(0, &ethernet), (1, &ip), (2, &ip), (0, &ip)] {
        bytes.extend(packet_block(end, id, 1, data, data.len() as u32));
    }
    let run = |filter: &str| {
        let options = Options { filter: Some(filter.to_owned()), ..Options::default() };
        FileSet::from_reader("x", std::io::Cursor::new(bytes.clone()), options)
    };
    let outcome = drain(run("udp port 53").unwrap());
    assert_eq!(outcome.links, [1, 101]);
    assert_eq!((outcome.counters.filtered, outcome.counters.filter_untested, outcome.counters.packets), (2, 1, 4));
    assert!(matches!(outcome.error, Some(Error::FilterLink { .. })), "{:?}", outcome.error);
    assert!(matches!(run("udp prt 53"), Err(Error::Filter { .. })));
    // F107: our own traffic.
    let own =
        crate::filter::exclude_filter(Some("udp"), &["10.0.0.2:53".parse().unwrap(), "[::1]:9092".parse().unwrap()]);
    let outcome = drain(run(&own.unwrap()).unwrap());
    assert!(outcome.packets.is_empty());
}
