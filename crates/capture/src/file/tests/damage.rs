//! F005: files that lie, are cut or are damaged.

use super::*;

/// Every way a file lies: the packets before are kept, the error names the offset, and nothing large is allocated.
#[test]
fn f005_damaged_capture_files() {
    let good = sample();
    let classic = classic(End::Little, 0xa1b2_c3d4, &good);
    let mut blocks = section(End::Little);
    blocks.extend(interface(End::Little, 1, 0, &[]));
    let first = packet_block(End::Little, 0, 1, &[1, 2, 3, 4], 4);
    blocks.extend(&first);
    let at = blocks.len();
    let with = |tail: &[u8]| [&blocks, tail].concat();
    let patched = |offset: usize, value: u32| {
        let mut bad = first.clone();
        bad[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        with(&bad)
    };
    let record = |length: u32| [&classic[..], &[0; 8], &length.to_le_bytes(), &[0; 4]].concat();
    let cases: Vec<(&str, Vec<u8>, usize, usize, Corruption)> = vec![
        ("no bytes", vec![], 0, 0, Corruption::Empty),
        ("bad magic", b"GET / HTTP/1.1\r\n".to_vec(), 0, 0, Corruption::Magic(*b"GET ")),
        ("cut magic", vec![0xd4, 0xc3], 0, 0, Corruption::Cut { needed: 4, available: 2 }),
        ("cut header", classic[..20].to_vec(), 0, 0, Corruption::Cut { needed: 24, available: 20 }),
        (
            "version",
            [&classic[..4], &[9, 0, 1, 0], &classic[8..]].concat(),
            0,
            0,
            Corruption::Version { major: 9, minor: 1 },
        ),
        (
            "cut tail",
            classic[..classic.len() - 1].to_vec(),
            39,
            classic.len() - 16 - good[39].1.len(),
            Corruption::Cut { needed: 16 + good[39].1.len() as u64, available: 15 + good[39].1.len() as u64 },
        ),
        (
            "cut record header",
            record(1)[..classic.len() + 15].to_vec(),
            40,
            classic.len(),
            Corruption::Cut { needed: 16, available: 15 },
        ),
        ("claim of 256 KiB", record(0x4_0000), 40, classic.len(), Corruption::Cut { needed: 0x4_0010, available: 16 }),
        ("claim above", record(0x4_0001), 40, classic.len(), Corruption::PacketLength(0x4_0001)),
        ("claim of 4 GiB", record(u32::MAX), 40, classic.len(), Corruption::PacketLength(u32::MAX)),
        ("block length 0", patched(4, 0), 1, at, Corruption::BlockLength { kind: 6, length: 0 }),
        ("block length 2^31", patched(4, 1 << 31), 1, at, Corruption::BlockLength { kind: 6, length: 1 << 31 }),
        ("odd block length", patched(4, 57), 1, at, Corruption::BlockLength { kind: 6, length: 57 }),
        (
            "other block, length 2^31",
            with(&[0xad, 0xb, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0]),
            1,
            at,
            Corruption::BlockLength { kind: 0xbad, length: 1 << 31 },
        ),
        ("unknown interface id", patched(8, 7), 1, at, Corruption::Interface { id: 7, known: 1 }),
        (
            "packet longer than its block",
            patched(20, 50),
            1,
            at,
            Corruption::BlockLength { kind: 6, length: first.len() as u32 },
        ),
        ("packet above 256 KiB", patched(20, u32::MAX), 1, at, Corruption::PacketLength(u32::MAX)),
        ("trailer", patched(first.len() - 4, 8), 1, at, Corruption::BlockTrailer { head: first.len() as u32, tail: 8 }),
        (
            "cut block",
            with(&first[..first.len() - 2]),
            1,
            at,
            Corruption::Cut { needed: first.len() as u64, available: first.len() as u64 - 2 },
        ),
        (
            "cut in a block passed over",
            with(&block(End::Little, 4, &[0; 64])[..50]),
            1,
            at + 50,
            Corruption::Cut { needed: 26, available: 0 },
        ),
        (
            "trailer of a block passed over",
            with(&[&block(End::Little, 4, &[0; 8])[..16], &[9, 0, 0, 0]].concat()),
            1,
            at + 16,
            Corruption::BlockTrailer { head: 20, tail: 9 },
        ),
        ("byte order", with(&[0xa, 0xd, 0xd, 0xa, 28, 0, 0, 0, 1, 2, 3, 4]), 1, at, Corruption::ByteOrder(0x0403_0201)),
        (
            "section without interface",
            [section(End::Big), first.clone()].concat(),
            0,
            28,
            Corruption::BlockLength { kind: 0x0600_0000, length: (first.len() as u32).swap_bytes() },
        ),
        (
            "simple packet without interface",
            [section(End::Little), block(End::Little, 3, &[0; 8])].concat(),
            0,
            28,
            Corruption::Interface { id: 0, known: 0 },
        ),
    ];
    for (name, bytes, packets, offset, expected) in cases {
        // A small buffer shows that it grows with the bytes there are and not with those claimed.
        for (step, batch_bytes) in [(usize::MAX, 512 * 1024), (3, 64)] {
            let outcome = read_by(&bytes, step, batch_bytes);
            assert_eq!(outcome.packets.len(), packets, "{name}");
            let error = outcome.error.unwrap_or_else(|| panic!("{name}: no error"));
            let Error::Corrupt { file, offset: found, decompressed: false, what } = &error else { panic!("{error:?}") };
            assert_eq!((file.as_str(), *found, what), ("dir/test.pcap", offset as u64, &expected), "{name}");
            let line = error.to_string();
            assert!(line.starts_with(&format!("dir/test.pcap: byte {offset}: ")) && !line.contains('\n'), "{line}");
        }
    }
}

/// Allocation is bounded by the bytes that came, whatever is claimed: the buffer of the only batch shows it.
#[test]
fn f005_allocation_follows_bytes_not_claims() {
    for claim in [0x4_0000_u32, 100_000] {
        let mut bytes = classic(End::Little, 0xa1b2_c3d4, &[]);
        bytes.extend([0; 8]);
        bytes.extend(claim.to_le_bytes());
        bytes.extend([0; 4 + 1000]);
        let source = Trickle(std::io::Cursor::new(bytes), 100);
        let stream = Stream::new(Box::new(source), false, &Arc::default()).unwrap();
        let mut reader = FileReader::new("x".to_owned(), stream);
        let mut pool = Pool::new(64);
        assert!(reader.next_batch(&mut pool, &mut Shared::new(None)).is_err());
        let longest = pool.longest();
        assert!(longest <= 4096, "{longest} bytes for 1016");
    }
}

/// A snap length that is smaller than the packets, 0 or 2^32 - 1 changes nothing; it is counted.
#[test]
fn f005_wrong_snaplen() {
    for snaplen in [0_u32, 1, u32::MAX] {
        let mut bytes = classic(End::Little, 0xa1b2_c3d4, &sample());
        bytes[16..20].copy_from_slice(&snaplen.to_le_bytes());
        let outcome = read_every_way(&bytes, &sample());
        assert_eq!(outcome.counters.over_snaplen > 0, snaplen != u32::MAX);
    }
}

/// Every prefix of a file gives a prefix of its packets.
#[test]
fn f005_every_prefix() {
    let few: Vec<Written> = sample().into_iter().take(6).collect();
    let mut blocks = section(End::Big);
    blocks.extend(interface(End::Big, 1, 0, &[option(End::Big, 9, &[9])]));
    few.iter().for_each(|(time, data, wire)| blocks.extend(packet_block(End::Big, 0, *time, data, *wire)));
    for bytes in [classic(End::Big, 0xa1b2_3c4d, &few), blocks] {
        let mut previous = 0;
        for end in 0..=bytes.len() {
            let outcome = read(&bytes[..end]);
            assert_eq!(outcome.packets, few[..outcome.packets.len()]);
            assert!(outcome.packets.len() >= previous);
            previous = outcome.packets.len();
            if let Some(Error::Corrupt { offset, .. }) = outcome.error {
                assert!(offset <= end as u64);
            }
        }
        assert_eq!(previous, few.len());
    }
}

/// The offset is one of the decompressed stream, and says so.
#[test]
fn f005_cut_and_damaged_compression() {
    let plain = classic(End::Little, 0xa1b2_c3d4, &sample());
    for bytes in [gzip(&plain), zstd::encode_all(&plain[..], 3).unwrap()] {
        let outcome = read(&bytes[..bytes.len() / 2]);
        assert_eq!(outcome.packets, sample()[..outcome.packets.len()]);
        let error = outcome.error.unwrap();
        let Error::Corrupt { decompressed: true, what: Corruption::Cut { .. }, .. } = error else {
            panic!("{error:?}")
        };
        assert!(error.to_string().contains("of the decompressed stream"));
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle..middle + 20].fill(0xff);
        let outcome = read(&bad);
        assert!(matches!(outcome.error, Some(Error::Corrupt { decompressed: true, .. })), "{:?}", outcome.error);
        // A record wrong inside sound compression.
        let mut wrong = plain.clone();
        wrong.extend([0xff; 16]);
        let error = read(&gzip(&wrong)).error.unwrap();
        let Error::Corrupt { offset, decompressed: true, .. } = error else { panic!("{error:?}") };
        assert_eq!(offset, plain.len() as u64);
    }
}
