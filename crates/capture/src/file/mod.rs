//! Capture files: pcap and pcapng, compressed or not, several at a time.
//!
//! [`FileSet::next_batch`] gives packets in order of packet time over all inputs (within one input the order is that of
//! the input). A damaged input gives an error with the byte offset after everything before it was delivered; the other
//! inputs go on when `next_batch` is called again.
//!
//! Cost: one copy from the kernel into the buffer of a batch, where records are found in place; a few nanoseconds a
//! packet. Buffers come back by themselves when a batch is dropped.
//!
//! Files are read and not mapped into memory. Measured over 1.4 GB in the page cache, 620 bytes a packet, mapping in windows
//! (populated, or faulted in with a hint that reading is sequential) saves a tenth of the cost of the kernel's copy where every byte is
//! looked at, and costs half as much again where only headers are: the copy leaves the bytes in the second-level cache, a jump from
//! header to header in mapped memory waits for each. And a file that is cut while it is read would be a SIGBUS and not an error with
//! an offset.

mod batch;
mod bytes;
mod merge;
mod paths;
mod pcap;
mod pcapng;
mod reader;
mod shared;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use self::batch::Pool;
use self::merge::Merge;
use self::reader::FileReader;
use self::shared::Shared;
use self::stream::{Stream, Tap};
use crate::Error;
use crate::filter::Filter;

pub use self::batch::{Batch, PacketMeta};
pub use self::shared::{FileCounters, Secret};

/// Largest packet, in bytes: libpcap's limit (`MAXIMUM_SNAPLEN`). A record that claims more is damage (F005).
const MAX_PACKET_BYTES: u32 = 256 * 1024;

/// Largest pcapng block that holds no packet, in bytes: Wireshark's limit.
const MAX_BLOCK_BYTES: u32 = 16 * 1024 * 1024;

/// Interface names in a set, and interfaces in a section.
const MAX_INTERFACES: usize = 65_535;

/// Files read at the same time: those that overlap in time. Each costs a descriptor and two buffers.
const MAX_OPEN_FILES: usize = 128;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// BPF filter in the syntax of `pcap-filter(7)`; needs the feature `live`.
    pub filter: Option<String>,
    /// Buffer of a batch, in bytes, when there is one input. Half a MiB stays in the L2 cache of current cores together with the
    /// list of packets, and makes a system call a matter of nanoseconds a packet.
    pub batch_bytes: usize,
    /// The same when there are several inputs, each of which holds one or two.
    pub merge_batch_bytes: usize,
    /// Once true, a pipe or device that has nothing to read is at its end. Without it reading waits, whatever happens.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Options {
        Options { filter: None, batch_bytes: 512 * 1024, merge_batch_bytes: 128 * 1024, stop: None }
    }
}

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read, before decompression.
    pub bytes_read: u64,
    /// Bytes of all inputs; unknown when one is a pipe.
    pub bytes_total: Option<u64>,
}

/// Several capture files read as one.
pub struct FileSet {
    inputs: Inputs,
    pool: Pool,
    shared: Shared,
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

enum Inputs {
    One(Box<FileReader>),
    Many(Box<Merge>),
}

impl FileSet {
    /// Opens files, directories (all captures in them) and `-` (standard input).
    ///
    /// # Errors
    /// A path that does not exist, a filter with wrong syntax, or nothing to read. What is wrong inside a file is met by
    /// [`next_batch`](FileSet::next_batch).
    pub fn open(paths: &[PathBuf], options: Options) -> Result<FileSet, Error> {
        let mut shared = Shared::new(options.filter.as_deref().map(Filter::new).transpose()?);
        let inputs = paths::expand(paths)?;
        let tap = Tap { read_bytes: Arc::default(), stop: options.stop };
        let read_bytes = Arc::clone(&tap.read_bytes);
        let total_bytes = inputs.iter().try_fold(0_u64, |sum, input| Some(sum.saturating_add(input.size?)));
        if let [input] = inputs.as_slice()
            && !input.found
        {
            let file = input.path.display().to_string();
            let stream = match Stream::open(&input.path, &tap) {
                Ok(stream) => stream,
                Err(source) => return Err(Error::Open { file, source }),
            };
            let name = if file == "-" { "stdin".to_owned() } else { file };
            let inputs = Inputs::One(Box::new(FileReader::new(name, stream)));
            let pool = Pool::new(options.batch_bytes);
            return Ok(FileSet { inputs, pool, shared, read_bytes, total_bytes });
        }
        let mut pool = Pool::new(options.merge_batch_bytes);
        let merge = Merge::new(inputs, &mut pool, &mut shared, &tap);
        if merge.is_empty() {
            return Err(Error::NoInput);
        }
        Ok(FileSet { inputs: Inputs::Many(Box::new(merge)), pool, shared, read_bytes, total_bytes })
    }

    /// Reads one input from `read`; `name` is used in errors and as the interface name.
    ///
    /// # Errors
    /// A filter with wrong syntax, or a failure to read the first bytes.
    pub fn from_reader(name: &str, read: impl Read + Send + 'static, options: Options) -> Result<FileSet, Error> {
        let shared = Shared::new(options.filter.as_deref().map(Filter::new).transpose()?);
        let read_bytes = Arc::new(AtomicU64::new(0));
        let stream = match Stream::new(Box::new(read), false, &read_bytes) {
            Ok(stream) => stream,
            Err(source) => return Err(Error::Read { file: name.to_owned(), offset: 0, source }),
        };
        let inputs = Inputs::One(Box::new(FileReader::new(name.to_owned(), stream)));
        Ok(FileSet { inputs, pool: Pool::new(options.batch_bytes), shared, read_bytes, total_bytes: None })
    }

    /// The next packets in order of packet time; `Ok(None)` at the end.
    ///
    /// # Errors
    /// One input is damaged or could not be read, with its name and the byte offset; it is not read further. Everything
    /// before was delivered, and the next call goes on with the other inputs. Also reported, once a link type: that the
    /// filter cannot be used on it.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Error> {
        let next = match &mut self.inputs {
            Inputs::One(reader) => {
                let next = reader.next_batch(&mut self.pool, &mut self.shared);
                self.shared.counters.files_failed += u64::from(next.is_err());
                next
            }
            Inputs::Many(merge) => merge.next_batch(&mut self.pool, &mut self.shared),
        };
        match next {
            // A notice waits until no packets are in the way.
            Ok(None) => self.shared.notices.pop().map_or(Ok(None), Err),
            other => other,
        }
    }

    /// Secrets met so far in Decryption Secrets Blocks. Take them after every [`next_batch`](FileSet::next_batch), before its
    /// packets are decoded: a block of secrets comes before the packets it opens.
    pub fn take_secrets(&mut self) -> Vec<Secret> {
        self.shared.take_secrets()
    }

    /// Names of the interfaces met so far, in the order of [`umbra_wire::Packet::interface`]. An interface without a name is called
    /// after its file.
    pub fn interfaces(&self) -> &[String] {
        &self.shared.names
    }

    /// How far reading has come.
    pub fn progress(&self) -> Progress {
        Progress { bytes_read: self.read_bytes.load(Ordering::Relaxed), bytes_total: self.total_bytes }
    }

    /// What was met so far.
    pub fn counters(&self) -> FileCounters {
        FileCounters { buffers_allocated: self.pool.allocated, ..self.shared.counters }
    }
}
