//! Where event lines go: one writer for all workers.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use umbra_publish::{EventSink, HarWriter, JsonLines};

use crate::exit::{self, Failure};

/// The sink of a run, shared by its workers.
pub(crate) struct Output {
    sink: Option<Mutex<Box<dyn EventSink>>>,
    written: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Output {
    /// Opens what the configuration names; nothing named: events go nowhere.
    pub(crate) fn open(config: &crate::config::Output, rotate: bool) -> Result<Output, Failure> {
        let sink: Option<Box<dyn EventSink>> = match (&config.events, &config.har) {
            (Some(_), Some(_)) => return Err(Failure::new(exit::USAGE, "give either --events or --har, not both")),
            (Some(path), None) => Some(open_events(path, config, rotate)?),
            (None, Some(path)) => Some(Box::new(HarWriter::create(path).map_err(|error| cannot_write(path, error))?)),
            (None, None) => None,
        };
        Ok(Output {
            sink: sink.map(Mutex::new),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            error: Mutex::new(None),
        })
    }

    /// Writes whole records. A failing sink loses them, counted; the first error is kept for the end.
    pub(crate) fn write(&self, bytes: &[u8], count: u64) {
        let Some(sink) = &self.sink else { return };
        if count == 0 {
            return;
        }
        if self.closed.load(Ordering::Relaxed) {
            self.lost.fetch_add(count, Ordering::Relaxed);
            return;
        }
        let result = match sink.lock() {
            Ok(mut sink) => sink.write(bytes, count),
            Err(_) => Err(io::Error::other("a writer panicked")),
        };
        match result {
            Ok(()) => {
                self.written.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => self.failed(error, count),
        }
    }

    /// Opens the sink that a new configuration names, and goes on with it: also what a log rotation asks for.
    #[cfg(feature = "live")]
    pub(crate) fn reopen(&self, config: &crate::config::Output) -> Result<(), Failure> {
        let (Some(sink), Some(path)) = (&self.sink, &config.events) else { return Ok(()) };
        let new = open_events(path, config, true)?;
        if let Ok(mut sink) = sink.lock() {
            let _ = sink.finish();
            *sink = new;
        }
        Ok(())
    }

    /// Flushes and ends the sink.
    pub(crate) fn finish(&self) {
        if let Some(sink) = &self.sink
            && let Ok(mut sink) = sink.lock()
            && let Err(error) = sink.finish()
        {
            self.failed(error, 0);
        }
    }

    /// The reader of stdout has gone: there is no use in going on (F102).
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Records written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records lost to a failing sink.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts records that never reached the sink.
    pub(crate) fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// The first error, if it is one to report.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().ok().and_then(|error| error.clone())
    }

    fn failed(&self, error: io::Error, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        if error.kind() == io::ErrorKind::BrokenPipe {
            // `umbra … | head`: the reader has what it wanted.
            self.closed.store(true, Ordering::Relaxed);
        } else if let Ok(mut first) = self.error.lock() {
            first.get_or_insert_with(|| error.to_string());
        }
    }
}

fn open_events(path: &Path, config: &crate::config::Output, rotate: bool) -> Result<Box<dyn EventSink>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(JsonLines::stdout()));
    }
    let rotation = (rotate && config.rotate_mib > 0).then_some((config.rotate_mib << 20, config.rotate_files));
    let sink = JsonLines::create(path, rotation).map_err(|error| cannot_write(path, error))?;
    Ok(Box::new(sink))
}

fn cannot_write(path: &Path, error: io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::PermissionDenied { exit::NO_PERMISSION } else { exit::IO };
    Failure::new(code, format!("{}: {error}", path.display()))
}
