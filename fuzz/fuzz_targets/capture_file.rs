//! Capture files: the same packets, names, counters and error whatever the size of reads and buffers; packets lie inside their
//! buffer; nothing is longer than the limit.
#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use umbra_capture::file::{FileCounters, FileSet, Options};

/// Gives at most `step` bytes at a time.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let step = self.step.min(buffer.len());
        self.bytes.read(&mut buffer[..step])
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    /// Time, link type, interface, length on the wire, bytes.
    packets: Vec<(u64, u16, u32, u32, Vec<u8>)>,
    names: Vec<String>,
    counters: FileCounters,
    secrets: usize,
    error: Option<String>,
}

/// A few bytes of compression can stand for very many packets: enough is enough.
const MAX_BYTES: usize = 4 << 20;

fn read(data: &[u8], step: usize, batch_bytes: usize) -> Option<Outcome> {
    let source = Trickle { bytes: Cursor::new(data.to_vec()), step };
    let options = Options { batch_bytes, ..Options::default() };
    let mut files = FileSet::from_reader("fuzz", source, options).ok()?;
    let (mut packets, mut error, mut bytes) = (Vec::new(), None, 0);
    loop {
        match files.next_batch() {
            Ok(None) => break,
            Ok(Some(batch)) => {
                assert!(!batch.is_empty());
                assert!(
                    batch.buffer().len() <= batch_bytes.max(2 * data.len()).max(64)
                        || data.starts_with(&[0x1f])
                        || data.get(1) == Some(&0xb5)
                        || data.get(1) == Some(&0x2a)
                );
                for (packet, meta) in batch.packets().zip(batch.metas().iter()) {
                    assert_eq!(packet.data.len(), meta.len as usize);
                    assert!(packet.data.len() <= 256 * 1024 && packet.wire_len >= meta.len);
                    assert!((packet.interface as usize) < files.interfaces().len());
                    bytes += packet.data.len() + 64;
                    let data = packet.data.to_vec();
                    packets.push((packet.time.nanos(), packet.link.0, packet.interface, packet.wire_len, data));
                }
                if bytes > MAX_BYTES {
                    return None;
                }
            }
            Err(found) => {
                assert!(error.is_none(), "one error a file");
                error = Some(found.to_string());
            }
        }
    }
    let counters = FileCounters { buffers_allocated: 0, ..files.counters() };
    assert_eq!(counters.packets, packets.len() as u64);
    assert_eq!(counters.files_failed, u64::from(error.is_some()));
    let secrets = files.take_secrets().iter().map(|secret| secret.data().len()).sum();
    Some(Outcome { packets, names: files.interfaces().to_vec(), counters, secrets, error })
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    let Some(whole) = read(data, usize::MAX, 512 * 1024) else { return };
    let Some(parts) = read(data, 1 + usize::from(how & 63), 16 << (how >> 6)) else { return };
    if whole.counters.files_failed > 0 && whole.error.as_ref().is_some_and(|error| error.contains("decompressed")) {
        // A decompressor gives more or less of what comes before damage.
        let common = whole.packets.len().min(parts.packets.len());
        assert_eq!(whole.packets[..common], parts.packets[..common]);
    } else {
        assert_eq!(whole, parts);
    }
});
