//! One input as a stream of decompressed bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys;

/// A decompressed stream.
pub(super) struct Stream {
    pub(super) read: Box<dyn Read + Send>,
    /// Compression layers in front.
    pub(super) layers: u8,
    /// A regular file: reading never waits, so that buffers are filled to the end.
    pub(super) regular: bool,
}

/// Compression in compression is seen (a `.gz` of a directory of `.zst`, fetched over HTTP), but no deeper than this.
const MAX_LAYERS: u8 = 3;

/// zstd frames up to `--ultra -22` and `--long=27` are read; larger windows would cost their size in memory.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Compressed bytes read at a time.
const COMPRESSED_BYTES: usize = 128 * 1024;

/// Milliseconds between two looks at the flag that stops reading.
const LOOK: i32 = 100;

/// What all inputs of a set share below decompression.
#[derive(Clone, Default)]
pub(super) struct Tap {
    /// Bytes read.
    pub(super) read_bytes: Arc<AtomicU64>,
    /// Once true, an input that would be waited for is at its end.
    pub(super) stop: Option<Arc<AtomicBool>>,
}

impl Stream {
    /// Opens a path; `-` is standard input.
    pub(super) fn open(path: &Path, tap: &Tap) -> io::Result<Stream> {
        let file = match path.as_os_str() == "-" {
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open(path)?,
        };
        let regular = file.metadata()?.is_file();
        match (&tap.stop, regular) {
            (Some(stop), false) => {
                Stream::new(Box::new(Waiting { file, stop: Arc::clone(stop) }), regular, &tap.read_bytes)
            }
            _ => Stream::new(Box::new(file), regular, &tap.read_bytes),
        }
    }

    /// Looks at the first bytes of `raw` for compression.
    pub(super) fn new(raw: Box<dyn Read + Send>, regular: bool, read_bytes: &Arc<AtomicU64>) -> io::Result<Stream> {
        let mut read: Box<dyn Read + Send> = Box::new(Counted { inner: raw, read_bytes: Arc::clone(read_bytes) });
        let mut layers = 0;
        loop {
            let mut head = Vec::with_capacity(4);
            // A damaged compressed head is left to the reader, which knows how to report it.
            let failed = read.by_ref().take(4).read_to_end(&mut head).err();
            if let Some(error) = failed {
                if layers == 0 {
                    return Err(error);
                }
                read = Box::new(io::Cursor::new(head).chain(Failed(Some(error))));
                return Ok(Stream { read, layers, regular });
            }
            let magic = head.first_chunk::<4>().copied().unwrap_or_default();
            let whole = io::Cursor::new(head).chain(read);
            if layers == MAX_LAYERS {
                return Ok(Stream { read: Box::new(whole), layers, regular });
            }
            read = match magic {
                [0x1f, 0x8b, ..] => {
                    let buffered = BufReader::with_capacity(COMPRESSED_BYTES, whole);
                    Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
                }
                // A frame, or a skippable one (RFC 8878 §3.1.2) such as `pzstd` puts in front.
                [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                    let buffered = BufReader::with_capacity(COMPRESSED_BYTES, whole);
                    let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                    Box::new(decoder)
                }
                _ => return Ok(Stream { read: Box::new(whole), layers, regular }),
            };
            layers += 1;
        }
    }
}

/// Counts what is read below all decompression: what a progress bar shows.
struct Counted<R> {
    inner: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A pipe or a device, whose next bytes may be a long time coming.
struct Waiting {
    file: File,
    stop: Arc<AtomicBool>,
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut waits = [libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            sys::wait(&mut waits, LOOK)?;
            if waits.iter().any(|wait| wait.revents != 0) {
                return self.file.read(buffer);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
        }
    }
}

/// Gives an error that happened earlier, once.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
