//! Third-party captures with known packet counts, read by this crate and by `pcap-parser`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use umbra_capture::file::{FileSet, Options};
use umbra_capture::{Corruption, Error};

/// File and number of packets, as tshark has it.
fn truth(captures: &Path) -> Vec<(PathBuf, u64)> {
    let text = fs::read_to_string(captures.join("truth.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (captures.join(line["file"].as_str().unwrap()), line["packets"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn every_capture_opens_with_the_right_number_of_packets() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let mut failures = Vec::new();
    let truth = truth(&captures);
    for (path, packets) in &truth {
        let mut files = FileSet::open(std::slice::from_ref(path), Options::default()).unwrap();
        let (mut read, mut error) = (0, None);
        loop {
            match files.next_batch() {
                Ok(Some(batch)) => read += batch.len() as u64,
                Ok(None) => break,
                Err(found) => error = Some(found),
            }
        }
        // Made with a record of 8,323,328 bytes: everything before it is read, as tshark does.
        let damaged = path.ends_with("test/fixtures/corrupted.pcap");
        let as_expected = match &error {
            None => !damaged,
            Some(Error::Corrupt { what: Corruption::PacketLength(8_323_328), .. }) => damaged,
            Some(_) => false,
        };
        if read != *packets || !as_expected {
            failures.push(format!("{}: {read} packets, not {packets}; error {error:?}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), truth.len(), failures.join("\n"));
}

/// All captures as one directory: the sum of the packets, in order of time except where a file itself is not.
#[test]
fn all_captures_at_once() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let expected: u64 = truth(&captures).iter().map(|(_, packets)| packets).sum();
    let mut files =
        FileSet::open(&truth(&captures).into_iter().map(|(path, _)| path).collect::<Vec<_>>(), Options::default())
            .unwrap();
    let (mut read, mut errors) = (0, 0);
    loop {
        match files.next_batch() {
            Ok(Some(batch)) => read += batch.len() as u64,
            Ok(None) => break,
            Err(_) => errors += 1,
        }
    }
    assert_eq!((read, errors), (expected, 1));
}

/// Length on the wire and bytes of every packet, by the other reader.
fn oracle(path: &Path) -> Option<Vec<(u32, Vec<u8>)>> {
    let mut reader = create_reader(1 << 20, fs::File::open(path).unwrap()).ok()?;
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::Legacy(record) => packets.push((record.origlen, record.data.to_vec())),
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let data = packet.data.get(..packet.caplen as usize)?.to_vec();
                        packets.push((packet.origlen, data));
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(_)) => return None, // it does not cut by the snap length
                    _ => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return Some(packets),
            Err(PcapError::Incomplete(_)) => reader.refill().ok()?,
            Err(_) => return None,
        }
    }
}

#[test]
fn every_packet_as_pcap_parser_reads_it() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let mut compared = 0;
    for (path, _) in truth(&captures) {
        let Some(expected) = oracle(&path) else { continue };
        let mut files = FileSet::open(std::slice::from_ref(&path), Options::default()).unwrap();
        let mut packets = Vec::new();
        while let Ok(Some(batch)) = files.next_batch() {
            packets.extend(batch.packets().map(|packet| (packet.wire_len, packet.data.to_vec())));
        }
        assert!(packets == expected, "{}", path.display());
        compared += 1;
    }
    assert!(compared > 140, "{compared} compared");
}
