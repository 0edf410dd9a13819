//! A small writer of both formats, and the checks that every file goes through.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read, Write};

use super::*;
use crate::Corruption;

mod damage;
mod formats;
mod several;

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

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
