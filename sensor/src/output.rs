//! Where events go: one sink for all workers.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use umbra_discovery::EndpointKey;
use umbra_event::Event;
use umbra_pipeline::{DeferredLine, Encode, Inventory, JsonLine, Settling};
use umbra_publish::{EventSink as _, Har, HarBuffer, JsonLines, Open, Rotation};

use crate::exit::{self, Failure};
use crate::held::Held;

/// Bytes of settled lines handed to the sink at once.
const PORTION: usize = 256 << 10;

enum Sink {
    Lines(JsonLines),
    /// `None` once the footer is written.
    Har(Option<Har<BufWriter<File>>>),
    #[cfg(feature = "kafka")]
    Kafka(crate::kafka::KafkaSink),
}

/// The sink of a run, shared by its workers.
pub(crate) struct Output {
    sink: Option<Mutex<Sink>>,
    /// Lines that wait for their routes; `None`: none do.
    held: Option<Mutex<Held>>,
    /// Lost before they reached the sink.
    lost_before: AtomicU64,
    /// Handed to the sink.
    taken: AtomicU64,
    /// Written to and lost by files that were open before a reload.
    earlier: [AtomicU64; 2],
    written: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
    error: Mutex<Option<String>>,
    har: bool,
    kafka: bool,
    /// Where the records of Kafka are at the end, in words.
    kafka_end: Mutex<Option<String>>,
}

impl Output {
    /// Opens what the configuration names; nothing named: there are no events. `live`: the file goes on behind its end and
    /// is rotated by size.
    pub(crate) fn open(whole: &crate::config::Config, live: bool) -> Result<Output, Failure> {
        let config = &whole.output;
        for path in [&config.events, &config.har].into_iter().flatten() {
            refuse_capture(path)?;
        }
        let kafka = whole.kafka.active;
        if kafka && (config.events.is_some() || config.har.is_some()) {
            return Err(Failure::new(exit::CONFIG, "events go either to Kafka or to a file, not both"));
        }
        let sink = match (&config.events, &config.har) {
            #[cfg(feature = "kafka")]
            (None, None) if kafka => Some(Sink::Kafka(crate::kafka::KafkaSink::open(whole, live)?)),
            #[cfg(not(feature = "kafka"))]
            (None, None) if kafka => {
                return Err(Failure::new(exit::USAGE, "this build has no Kafka: build with the feature `kafka`"));
            }
            (Some(_), Some(_)) => return Err(Failure::new(exit::USAGE, "give either --events or --har, not both")),
            (Some(path), None) => Some(Sink::Lines(open_events(path, config, live)?)),
            (None, Some(path)) => Some(Sink::Har(Some(open_har(path).map_err(|error| cannot_write(path, error))?))),
            (None, None) => None,
        };
        Ok(Output {
            held: None,
            sink: sink.map(Mutex::new),
            lost_before: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            earlier: [AtomicU64::new(0), AtomicU64::new(0)],
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            error: Mutex::new(None),
            har: config.har.is_some(),
            kafka,
            kafka_end: Mutex::new(None),
        })
    }

    /// What turns events into what the sink takes.
    pub(crate) fn encoder(&self) -> Option<Box<dyn Encode>> {
        self.sink.as_ref()?;
        Some(match (self.har, &self.held) {
            (true, _) => Box::<HarEntry>::default(),
            (false, Some(_)) => Box::<DeferredLine>::default(),
            (false, None) => Box::<JsonLine>::default(),
        })
    }

    /// Lets lines wait until [`settle`](Self::settle). What there is no room for in memory goes to the disk in `directory`.
    pub(crate) fn defer(&mut self, directory: PathBuf) {
        // A HAR entry has no route.
        if self.sink.is_some() && !self.har {
            self.held = Some(Mutex::new(Held::new(directory)));
        }
    }

    /// Writes the lines that waited, with the routes of a settled inventory.
    pub(crate) fn settle(&mut self, inventory: &Inventory, hash_seed: [u64; 4]) {
        let Some(held) = self.held.take() else { return };
        let held = held.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut settling = Settling::new(inventory.settled(), hash_seed);
        let mut out = Vec::with_capacity(PORTION * 2);
        let drained = held.drain(|waiting| {
            let (mut taken, mut rest) = (0, waiting);
            while !self.is_closed() {
                out.clear();
                let (bytes, lines) = settling.settle(rest, PORTION, &mut out);
                if lines == 0 {
                    return taken;
                }
                self.send(&out, lines);
                taken += bytes;
                rest = rest.get(bytes..).unwrap_or_default();
            }
            // Nobody reads any more: the rest is passed over.
            waiting.len()
        });
        if let Err(error) = drained {
            self.note(&error);
        }
    }

    /// Writes whole records. A failing sink loses them, counted; the first error is kept for the end.
    pub(crate) fn write(&self, bytes: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        self.taken.fetch_add(count, Ordering::Relaxed);
        match &self.held {
            None => self.send(bytes, count),
            Some(held) => {
                let mut held = held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Err(error) = held.append(bytes) {
                    self.note(&error);
                }
            }
        }
    }

    fn send(&self, bytes: &[u8], count: u64) {
        self.with_sink(|sink| match sink {
            Sink::Lines(lines) => lines.write(bytes, count),
            Sink::Har(Some(har)) => match har.write(bytes) {
                Ok(()) => {
                    self.written.fetch_add(count, Ordering::Relaxed);
                    Ok(())
                }
                Err(error) => {
                    self.lost.fetch_add(count, Ordering::Relaxed);
                    Err(error)
                }
            },
            Sink::Har(None) => Ok(()),
            #[cfg(feature = "kafka")]
            Sink::Kafka(kafka) => {
                kafka.write(bytes);
                Ok(())
            }
        });
    }

    /// Hands what is buffered to the operating system.
    pub(crate) fn flush(&self) {
        self.with_sink(|sink| match sink {
            Sink::Lines(lines) => lines.flush(),
            Sink::Har(_) => Ok(()),
            #[cfg(feature = "kafka")]
            Sink::Kafka(_) => Ok(()),
        });
    }

    /// Ends the sink.
    pub(crate) fn finish(&self) {
        self.with_sink(|sink| match sink {
            Sink::Lines(lines) => lines.flush(),
            Sink::Har(har) => har.take().map_or(Ok(()), |har| har.finish().map(drop)),
            #[cfg(feature = "kafka")]
            Sink::Kafka(kafka) => {
                if let Some(ledger) = kafka.finish() {
                    self.take_ledger(&ledger);
                }
                Ok(())
            }
        });
        if self.kafka {
            return;
        }
        // What still waits for another try is lost now.
        let taken = self.taken.load(Ordering::Relaxed);
        self.lost.store(taken.saturating_sub(self.written()), Ordering::Relaxed);
    }

    /// Gives up on a sink that a write is stuck in: what it was not seen to take is lost. The lock is the stuck writer's.
    #[cfg(feature = "live")]
    pub(crate) fn abandon(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.lost.store(taken.saturating_sub(self.written()), Ordering::Relaxed);
        if let Ok(mut first) = self.error.lock() {
            first.get_or_insert_with(|| "whoever reads them has stopped reading".into());
        }
    }

    /// Opens the file that a new configuration names, and goes on with it: also what a log rotation asks for.
    #[cfg(feature = "live")]
    pub(crate) fn reopen(&self, config: &crate::config::Output) -> Result<(), Failure> {
        let Some(path) = &config.events else { return Ok(()) };
        let new = open_events(path, config, true)?;
        self.with_sink(|sink| match sink {
            Sink::Lines(lines) => {
                let flushed = lines.flush();
                let counters = lines.counters();
                self.earlier[0].fetch_add(counters.written, Ordering::Relaxed);
                self.earlier[1].fetch_add(counters.lost, Ordering::Relaxed);
                *lines = new;
                flushed
            }
            Sink::Har(_) => Ok(()),
            #[cfg(feature = "kafka")]
            Sink::Kafka(_) => Ok(()),
        });
        Ok(())
    }

    /// The reader of stdout has gone: there is no use in going on (F102).
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Records written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records lost, before the sink or in it.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.lost_before.load(Ordering::Relaxed)
    }

    /// Counts records that never reached the sink.
    #[cfg(feature = "live")]
    pub(crate) fn lose(&self, count: u64) {
        self.lost_before.fetch_add(count, Ordering::Relaxed);
    }

    /// The first error that cost records; or any of a HAR file, which is nothing without its end.
    pub(crate) fn harm(&self) -> Option<String> {
        self.error().filter(|_| self.har || self.lost() > 0)
    }

    /// The first error, if it is one to report.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().ok().and_then(|error| error.clone())
    }

    /// Events lost before they reached the sink, and those that a file did not take; Kafka has its own account. Never waits: the
    /// sink may be stuck.
    #[cfg(any(feature = "live", feature = "kafka"))]
    pub(crate) fn losses(&self) -> [u64; 2] {
        let lost = if self.kafka { 0 } else { self.lost.load(Ordering::Relaxed) };
        [self.lost_before.load(Ordering::Relaxed), lost]
    }

    /// For who has other records than events; `None` without Kafka. It has to be gone before [`finish`](Self::finish).
    #[cfg(feature = "kafka")]
    pub(crate) fn channel(&self) -> Option<crate::kafka::Channel> {
        let mut channel = None;
        self.with_sink(|sink| {
            if let Sink::Kafka(kafka) = sink {
                channel = kafka.channel();
            }
            Ok(())
        });
        channel
    }

    /// Where the records of Kafka are, in words.
    pub(crate) fn kafka(&self) -> Option<String> {
        self.kafka_end.lock().ok().and_then(|line| line.clone())
    }

    #[cfg(feature = "kafka")]
    fn take_ledger(&self, ledger: &umbra_publish::kafka::Ledger) {
        let event = ledger.class(umbra_store::Class::Event);
        // In the spool is as good as written: it outlives us.
        self.written.store(event.delivered.saturating_add(event.pending), Ordering::Relaxed);
        self.lost.store(event.lost_queue.saturating_add(event.lost_too_long), Ordering::Relaxed);
        if let Ok(mut line) = self.kafka_end.lock() {
            *line = Some(crate::kafka::summary(ledger));
        }
    }

    fn with_sink(&self, act: impl FnOnce(&mut Sink) -> io::Result<()>) {
        let Some(sink) = &self.sink else { return };
        // A thread that panicked while it wrote has left whole records: the sink keeps them apart.
        let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = act(&mut sink);
        if let Sink::Lines(lines) = &*sink {
            let counters = lines.counters();
            let [written, lost] = &self.earlier;
            self.written.store(written.load(Ordering::Relaxed) + counters.written, Ordering::Relaxed);
            self.lost.store(lost.load(Ordering::Relaxed) + counters.lost, Ordering::Relaxed);
        }
        #[cfg(feature = "kafka")]
        if let Sink::Kafka(kafka) = &*sink
            && let Some(ledger) = kafka.ledger()
        {
            self.take_ledger(&ledger);
        }
        match result {
            Ok(()) => {}
            // `umbra … | head`: the reader has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed.store(true, Ordering::Relaxed),
            Err(error) => self.note(&error),
        }
    }

    /// The first error is kept.
    fn note(&self, error: &io::Error) {
        if let Ok(mut first) = self.error.lock() {
            first.get_or_insert_with(|| error.to_string());
        }
    }
}

/// Entries of a HAR file, apart by commas.
#[derive(Default)]
struct HarEntry {
    entry: HarBuffer,
}

impl Encode for HarEntry {
    fn encode(&mut self, event: &Event<'_>, _: Option<EndpointKey<'_>>, out: &mut Vec<u8>) -> bool {
        self.entry.clear();
        self.entry.push(event);
        if self.entry.entries == 0 {
            return false;
        }
        if !out.is_empty() {
            out.extend_from_slice(b",\n");
        }
        out.extend_from_slice(self.entry.bytes());
        true
    }
}

/// `--events traffic.pcap` in the wrong place would empty the capture that is to be read.
pub(crate) fn refuse_capture(path: &Path) -> Result<(), Failure> {
    let mut magic = [0; 4];
    let read = match path.metadata() {
        Ok(metadata) if metadata.is_file() => File::open(path).and_then(|mut file| file.read_exact(&mut magic)),
        _ => return Ok(()),
    };
    // pcap in both byte orders (microseconds, nanoseconds), pcapng, gzip, zstd: nothing that we write begins so.
    let capture = matches!(
        magic,
        [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0xc3, 0xd4]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x0a, 0x0d, 0x0d, 0x0a]
            | [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd]
    );
    match read.is_ok() && capture {
        true => {
            let what = format!("{}: not overwritten: it is a capture or a compressed file", path.display());
            Err(Failure::new(exit::USAGE, what))
        }
        false => Ok(()),
    }
}

fn open_events(path: &Path, config: &crate::config::Output, live: bool) -> Result<JsonLines, Failure> {
    if path == Path::new("-") {
        return Ok(JsonLines::stdout());
    }
    let rotation = (live && config.rotate_mib > 0)
        .then_some(Rotation { max_bytes: config.rotate_mib << 20, max_files: config.rotate_files });
    let open = if live { Open::Append } else { Open::Truncate };
    JsonLines::file(path, open, rotation).map_err(|error| cannot_write(path, error))
}

/// A HAR file holds addresses and paths: for its owner only.
fn open_har(path: &Path) -> io::Result<Har<BufWriter<File>>> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Har::new(BufWriter::new(file), env!("CARGO_PKG_VERSION"))
}

fn cannot_write(path: &Path, error: io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::PermissionDenied { exit::NO_PERMISSION } else { exit::IO };
    Failure::new(code, format!("{}: {error}", path.display()))
}
