//! One input: bytes in, batches out.
//!
//! The input is read straight into the buffer of a batch and records are found in place. The unfinished record at the
//! end of a buffer is the only thing that is moved.

use std::io;

use super::batch::{Batch, PacketMeta, Pool};
use super::bytes::Stop;
use super::pcap::Classic;
use super::pcapng::Sections;
use super::stream::Stream;
use super::{MAX_PACKET_BYTES, Shared};
use crate::{Corruption, Error};

/// Decompressed bytes asked for at a time. A decompressor that meets damage gives an error and not the bytes before it in
/// the same call: this bounds what is lost with it.
const DECOMPRESSED_BYTES: usize = 32 * 1024;

/// What is known about the format.
enum Format {
    Unknown,
    Classic(Classic),
    Blocks(Sections),
}

/// Reads one input.
pub(super) struct FileReader {
    name: String,
    stream: Stream,
    format: Format,
    /// Bytes read but not yet part of a batch: the head of a record.
    carry: Vec<u8>,
    /// Place of `carry` in the decompressed stream.
    offset: u64,
    /// Reported after the packets before it.
    pending: Option<Error>,
    finished: bool,
}

impl FileReader {
    pub(super) fn new(name: String, stream: Stream) -> FileReader {
        let format = Format::Unknown;
        FileReader { name, stream, format, carry: Vec::new(), offset: 0, pending: None, finished: false }
    }

    /// The next packets; `Ok(None)` at the end. After an error there is only the end.
    pub(super) fn next_batch(&mut self, pool: &mut Pool, shared: &mut Shared) -> Result<Option<Batch>, Error> {
        while self.pending.is_none() && !self.finished {
            let mut blank = pool.take();
            let (buffer, packets) = blank.parts();
            self.fill(buffer, packets, shared);
            shared.counters.packets += packets.len() as u64;
            if let Some(filter) = &mut shared.filter {
                let (removed, untested, error) = filter.retain(buffer, packets);
                shared.counters.filtered += removed;
                shared.counters.filter_untested += untested;
                shared.notices.extend(error);
            }
            if packets.is_empty() {
                pool.give_back(blank);
            } else {
                return Ok(Some(pool.issue(blank)));
            }
        }
        self.finished = true;
        self.pending.take().map_or(Ok(None), Err)
    }

    /// Reads until there are packets, the end, or an error (kept in `pending`).
    fn fill(&mut self, buffer: &mut Vec<u8>, packets: &mut Vec<PacketMeta>, shared: &mut Shared) {
        let mut filled = self.carry.len();
        if filled > buffer.len() {
            buffer.resize(filled, 0);
        }
        if let Some(front) = buffer.get_mut(..filled) {
            front.copy_from_slice(&self.carry);
        }
        loop {
            let mut end = None;
            while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
                let step = if self.stream.layers > 0 { free.len().min(DECOMPRESSED_BYTES) } else { free.len() };
                let free = free.get_mut(..step).unwrap_or_default();
                match self.stream.read.read(free) {
                    Ok(0) => end = Some(None),
                    Ok(read) => {
                        filled += read;
                        // From a pipe take what there is: packets should not wait for the next ones.
                        if self.stream.regular {
                            continue;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => end = Some(Some(error)),
                }
                break;
            }
            let (at, stop) = self.parse(buffer.get_mut(..filled).unwrap_or_default(), packets, shared);
            self.offset += at as u64;
            let left = filled - at;
            match (stop, end) {
                (Stop::Corrupt(what), _) => self.stop(what),
                (Stop::Need(_), Some(Some(error))) => self.stop_read(error, left),
                (Stop::Need(needed), Some(None)) => self.end(needed, left, shared),
                (Stop::Need(needed), None) => {
                    if packets.is_empty() {
                        buffer.copy_within(at..filled, 0);
                        filled = left;
                        if filled == buffer.len() {
                            // Only as far as bytes have really come: a claimed length alone allocates nothing.
                            let longer = needed.min(filled.saturating_mul(2)).max(filled + 1);
                            buffer.resize(longer, 0);
                        }
                        continue;
                    }
                    self.carry.clear();
                    self.carry.extend_from_slice(buffer.get(at..filled).unwrap_or_default());
                }
            }
            return;
        }
    }

    fn parse(&mut self, bytes: &mut [u8], packets: &mut Vec<PacketMeta>, shared: &mut Shared) -> (usize, Stop) {
        match &mut self.format {
            Format::Classic(classic) => classic.records(bytes, 0, packets, shared),
            Format::Blocks(sections) => sections.blocks(bytes, 0, packets, shared),
            Format::Unknown => {
                let Some(magic) = bytes.first_chunk::<4>().copied() else {
                    return (0, Stop::Need(4));
                };
                if magic == Sections::MAGIC {
                    self.format = Format::Blocks(Sections::new(shared.short_name(&self.name)));
                    return self.parse(bytes, packets, shared);
                }
                let name = shared.short_name(&self.name).to_owned();
                match Classic::open(bytes, &name, shared) {
                    Ok(classic) => {
                        let (at, stop) = classic.records(bytes, Classic::HEADER, packets, shared);
                        self.format = Format::Classic(classic);
                        (at, stop)
                    }
                    Err(stop) => (0, stop),
                }
            }
        }
    }

    /// The stream ended with `left` bytes over.
    fn end(&mut self, needed: usize, left: usize, shared: &mut Shared) {
        self.finished = true;
        let unfinished = match &self.format {
            Format::Blocks(sections) => sections.unfinished(),
            _ => 0,
        };
        let unknown = matches!(self.format, Format::Unknown);
        if unknown && left == 0 {
            self.stop(Corruption::Empty);
        } else if left > 0 || unfinished > 0 || unknown {
            shared.counters.cut_bytes += left as u64;
            let needed = unfinished.max(needed.min(2 * MAX_PACKET_BYTES as usize) as u64);
            self.stop(Corruption::Cut { needed, available: left as u64 });
        }
    }

    fn stop(&mut self, what: Corruption) {
        let (file, offset) = (self.name.clone(), self.offset);
        self.pending = Some(Error::Corrupt { file, offset, decompressed: self.stream.layers > 0, what });
    }

    /// Reading failed: of the decompressor, or of the system.
    fn stop_read(&mut self, error: io::Error, left: usize) {
        if self.stream.layers == 0 || error.raw_os_error().is_some() {
            let (file, offset) = (self.name.clone(), self.offset + left as u64);
            self.pending = Some(Error::Read { file, offset, source: error });
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            self.stop(Corruption::Cut { needed: left as u64 + 1, available: left as u64 });
        } else {
            self.stop(Corruption::Compression(error.to_string()));
        }
    }
}
