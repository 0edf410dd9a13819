#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read, Write};

use super::*;
use crate::Corruption;

/// A packet as the tests write and expect it: time, captured bytes, length on the wire.
type Written = (u64, Vec<u8>, u32);

#[derive(Clone, Copy, PartialEq)]
enum End {
    Little,
    Big,
}

impl End {
    fn u16(self, value: u16) -> [u8; 2] {
        if self == End::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
    fn u32(self, value: u32) -> [u8; 4] {
        if self == End::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
    fn u64(self, value: u64) -> [u8; 8] {
        if self == End::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
}

fn classic_header(end: End, magic: u32, link: u32) -> Vec<u8> {
    let mut out = end.u32(magic).to_vec();
    out.extend(end.u16(2));
    out.extend(end.u16(4));
    out.extend([0; 8]);
    out.extend(end.u32(65535));
    out.extend(end.u32(link));
    out
}

fn classic(end: End, magic: u32, packets: &[Written]) -> Vec<u8> {
    let mut out = classic_header(end, magic, 1);
    for (time, data, wire) in packets {
        out.extend(end.u32((time / 1_000_000_000) as u32));
        let fraction = (time % 1_000_000_000) as u32;
        out.extend(end.u32(if magic == 0xa1b2_3c4d { fraction } else { fraction / 1000 }));
        out.extend(end.u32(data.len() as u32));
        out.extend(end.u32(*wire));
        if magic == 0xa1b2_cd34 {
            out.extend([0xff; 8]);
        }
        out.extend(data);
    }
    out
}

fn block(end: End, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = end.u32(padded as u32 + 12);
    let mut out = end.u32(kind).to_vec();
    out.extend(length);
    out.extend(body);
    out.resize(8 + padded, 0);
    out.extend(length);
    out
}

fn section(end: End) -> Vec<u8> {
    let mut body = end.u32(0x1a2b_3c4d).to_vec();
    body.extend(end.u16(1));
    body.extend(end.u16(0));
    body.extend([0xff; 8]);
    block(end, 0x0a0d_0d0a, &body)
}

fn option(end: End, code: u16, value: &[u8]) -> Vec<u8> {
    let mut out = end.u16(code).to_vec();
    out.extend(end.u16(value.len() as u16));
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn interface(end: End, link: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let mut body = end.u16(link).to_vec();
    body.extend([0; 2]);
    body.extend(end.u32(snaplen));
    body.extend(options.concat());
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(end, 1, &body)
}

fn packet_block(end: End, id: u32, ticks: u64, data: &[u8], wire: u32) -> Vec<u8> {
    let mut body = end.u32(id).to_vec();
    body.extend(end.u32((ticks >> 32) as u32));
    body.extend(end.u32(ticks as u32));
    body.extend(end.u32(data.len() as u32));
    body.extend(end.u32(wire));
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(option(end, 1, b"a comment")); // opt_comment
    body.extend([0; 4]);
    block(end, 6, &body)
}

fn sample() -> Vec<Written> {
    (0..40_u64)
        .map(|n| {
            let data: Vec<u8> = (0..n * 37 % 1500).map(|byte| (byte * n) as u8).collect();
            let wire = data.len() as u32 + (n % 3) as u32;
            (1_700_000_000_000_000_000 + n * 1_000_001_000, data, wire)
        })
        .collect()
}

/// Gives at most `step` bytes at a time, as a pipe does.
struct Trickle(std::io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let step = self.1.min(buffer.len());
        self.0.read(&mut buffer[..step])
    }
}

struct Outcome {
    packets: Vec<Written>,
    links: Vec<u16>,
    interfaces: Vec<String>,
    error: Option<Error>,
    secrets: Vec<Secret>,
    counters: FileCounters,
}

fn drain(mut files: FileSet) -> Outcome {
    let (mut packets, mut links, mut interfaces, mut error) = (Vec::new(), Vec::new(), Vec::new(), None);
    loop {
        match files.next_batch() {
            Ok(None) => break,
            Ok(Some(batch)) => {
                assert!(!batch.is_empty());
                for packet in batch.packets() {
                    packets.push((packet.time.nanos(), packet.data.to_vec(), packet.wire_len));
                    links.push(packet.link.0);
                    interfaces.push(files.interfaces()[packet.interface as usize].clone());
                }
            }
            Err(found) => assert!(error.replace(found).is_none(), "one error a file"),
        }
    }
    assert!(files.next_batch().unwrap().is_none());
    let (secrets, counters) = (files.take_secrets(), files.counters());
    Outcome { packets, links, interfaces, error, secrets, counters }
}

fn read(bytes: &[u8]) -> Outcome {
    read_by(bytes, usize::MAX, 512 * 1024)
}

fn read_by(bytes: &[u8], step: usize, batch_bytes: usize) -> Outcome {
    let options = Options { batch_bytes, ..Options::default() };
    let source = Trickle(std::io::Cursor::new(bytes.to_vec()), step);
    drain(FileSet::from_reader("dir/test.pcap", source, options).unwrap())
}

/// Whole, in single bytes, in small buffers, and with a cut tail; all must agree.
fn read_every_way(bytes: &[u8], expected: &[Written]) -> Outcome {
    for (step, batch_bytes) in [(usize::MAX, 512 * 1024), (1, 512 * 1024), (7, 32), (1000, 100)] {
        let outcome = read_by(bytes, step, batch_bytes);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(outcome.packets, expected, "step {step}, buffer {batch_bytes}");
    }
    let mut longer = bytes.to_vec();
    longer.extend([0x0a, 0x0d]);
    let outcome = read(&longer);
    assert_eq!(outcome.packets, expected);
    let Some(Error::Corrupt { offset, what: Corruption::Cut { available: 2, .. }, .. }) = outcome.error else {
        panic!("{:?}", outcome.error)
    };
    assert_eq!(offset, bytes.len() as u64);
    read(bytes)
}

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

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
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

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("umbra-capture-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at_times(times: impl IntoIterator<Item = u64>, tag: u8) -> Vec<Written> {
    times.into_iter().map(|time| (time * 1000, vec![tag; 60], 60)).collect()
}

#[test]
fn several_files_in_packet_time_order() {
    let folder = Folder::new("merge");
    let (even, odd) = (at_times((0..5000).map(|n| n * 2), 0), at_times((0..5000).map(|n| n * 2 + 1), 1));
    let (later, same) = (at_times(20_000..20_500, 2), at_times([3, 3, 3], 3));
    let write = |name: &str, packets: &[Written]| folder.write(name, &classic(End::Little, 0xa1b2_c3d4, packets));
    write("b.pcap", &even);
    write("sub/a.pcap", &odd);
    write("c.pcap", &later);
    write("d.pcap", &same);
    folder.write("empty.pcap", &classic(End::Big, 0xa1b2_c3d4, &[]));
    folder.write("README.md", b"no capture");
    folder.write("z.pcap.gz", &gzip(&classic(End::Little, 0xa1b2_c3d4, &at_times([7], 9))));
    let options = Options { merge_batch_bytes: 4000, ..Options::default() };
    let outcome = drain(FileSet::open(std::slice::from_ref(&folder.0), options).unwrap());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let mut expected = [even, later, same, odd, at_times([7], 9)].concat();
    expected.sort_by_key(|packet| packet.0); // stable: the order of the paths decides ties
    assert_eq!(outcome.packets.len(), expected.len());
    assert!(outcome.packets == expected);
    assert_eq!((outcome.counters.files_skipped, outcome.counters.files_late), (1, 0));
    assert_eq!(outcome.counters.packets, expected.len() as u64);
}

/// Files that follow each other are opened one after the other and their batches passed on without a copy.
#[test]
fn rotated_files_need_few_descriptors_and_no_copies() {
    let folder = Folder::new("rotated");
    let mut expected = Vec::new();
    for file in 0..300_u64 {
        let packets = at_times((0..10).map(|n| file * 10 + n), 5);
        folder.write(&format!("{file:03}.pcap"), &classic(End::Little, 0xa1b2_c3d4, &packets));
        expected.extend(packets);
    }
    let mut files = FileSet::open(std::slice::from_ref(&folder.0), Options::default()).unwrap();
    assert!(matches!(files.progress(), Progress { bytes_read: 0, bytes_total: Some(total) } if total > 300 * 24));
    let mut batches = 0;
    let mut seen = Vec::new();
    while let Some(batch) = files.next_batch().unwrap() {
        batches += 1;
        seen.extend(batch.packets().map(|packet| (packet.time.nanos(), packet.data.to_vec(), packet.wire_len)));
    }
    assert_eq!((batches, seen == expected), (300, true));
    assert!(files.counters().buffers_allocated <= 4, "{:?}", files.counters());
    let progress = files.progress();
    assert_eq!(Some(progress.bytes_read), progress.bytes_total);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let folder = Folder::new("bad");
    let good = at_times(0..100, 1);
    let one = folder.write("good.pcap", &classic(End::Little, 0xa1b2_c3d4, &good));
    let mut bytes = classic(End::Little, 0xa1b2_c3d4, &at_times([50], 2));
    bytes.extend([0xff; 16]);
    let two = folder.write("bad.pcap", &bytes);
    let outcome = drain(FileSet::open(&[one.clone(), two.clone()], Options::default()).unwrap());
    assert_eq!(outcome.packets.len(), 101);
    assert_eq!(outcome.counters.files_failed, 1);
    let Some(Error::Corrupt { file, offset: 100, .. }) = outcome.error else { panic!("{:?}", outcome.error) };
    assert_eq!(file, two.display().to_string());
    // Not found is known at once; so is that there is nothing.
    let none = folder.0.join("none.pcap");
    assert!(matches!(FileSet::open(&[one, none], Options::default()), Err(Error::Open { .. })));
    assert!(matches!(FileSet::open(&[], Options::default()), Err(Error::NoInput)));
}

#[test]
fn buffers_come_back() {
    let many = at_times(0..20_000, 1);
    let bytes = classic(End::Little, 0xa1b2_c3d4, &many);
    let options = Options { batch_bytes: 16 * 1024, ..Options::default() };
    let mut files = FileSet::from_reader("x", std::io::Cursor::new(bytes), options).unwrap();
    let (mut held, mut batches) = (None, 0);
    while let Some(batch) = files.next_batch().unwrap() {
        batches += 1;
        held = Some(batch.clone()); // one is still with a worker while the next is read
    }
    drop(held);
    assert!(batches > 50);
    assert_eq!(files.counters().buffers_allocated, 2);
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
