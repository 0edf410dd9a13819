//! `umbra replay`: capture files through one worker in this thread, or through several fed by it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use umbra_capture::file::{Batch, FileSet, Options};
use umbra_event::Source;
use umbra_pipeline::{Inventory, Worker};
use umbra_wire::{Packet, PacketClock, Timestamp};

use crate::cli::Routes;
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::exit::{self, Failure};
#[cfg(feature = "kafka")]
use crate::health;
use crate::key;
use crate::progress::Progress;
#[cfg(feature = "kafka")]
use crate::rows::Rows;
use crate::session::{self, Session};
use crate::signals;
use crate::state::State;

/// How often workers look for what timed out, in packet time.
const TICK: Duration = Duration::from_secs(1);
/// Event bytes a worker gathers before it takes the writer's lock: few enough to stay in the L2 cache beside a batch of packets.
pub(crate) const FLUSH_BYTES: usize = 128 * 1024;

/// Reads captures and prints the inventory.
pub(crate) fn replay(args: &crate::cli::Replay, config: &Config) -> Result<(), Failure> {
    let Gathered { inventory, session, failure } = gather(&args.files, &args.common, config, Inventory::settle)?;
    session.print_inventory(&inventory)?;
    failure.map_or(Ok(()), Err)
}

/// What captures hold.
pub(crate) struct Gathered {
    pub(crate) inventory: Inventory,
    pub(crate) session: Session,
    /// A file that could not be read to its end; what was read counts.
    pub(crate) failure: Option<Failure>,
}

/// Reads captures to their end, writing events on the way; `settle` decides the routes.
pub(crate) fn gather(
    paths: &[PathBuf],
    common: &crate::cli::Common,
    config: &Config,
    settle: impl FnOnce(&mut Inventory),
) -> Result<Gathered, Failure> {
    let mut state = State::open(config)?;
    let file_key = config.redaction.key_file.as_deref().map(|file| key::fleet_key(Some(file))).transpose()?;
    let key = State::fleet_key(state.as_mut(), file_key)?;
    let mut session = Session::open(config, key, Source::Replay, false)?;
    if config.output.routes == Routes::Final {
        session.output.defer(room_for_events(config));
    }
    let stop = signals::stop_flag();
    let options = Options { filter: config.capture.filter.clone(), stop, ..Options::default() };
    let mut files = FileSet::open(paths, options).map_err(|error| session::capture_failure(&error))?;
    let progress = Progress::new(common, files.progress().bytes_total);
    let started = Instant::now();
    let mut source = Packets { files: &mut files, progress, first_failure: None, packets: 0 };
    let workers = match usize::from(config.sensor.workers) {
        1 => vec![alone(&mut source, &session)],
        count => spread(&mut source, &session, count)?,
    };
    let Packets { progress, first_failure, packets, .. } = source;
    progress.finish();
    let mut inventory = session.inventory(workers.len(), state.as_ref())?;
    for worker in &workers {
        inventory.add(worker);
    }
    let saved = State::save(&mut state, &inventory, &session.pipeline.event.redaction);
    #[cfg(feature = "kafka")]
    let rows = tell(config, &session, &workers)?;
    settle(&mut inventory);
    session.output.settle(&inventory, session.pipeline.discovery.hash_seed);
    #[cfg(feature = "kafka")]
    if let Some(mut rows) = rows {
        let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let newest = inventory.endpoints().iter().map(|endpoint| endpoint.last_seen).max().unwrap_or_default();
        let inputs = paths.iter().map(name).collect();
        let mut record = health::record(config, inputs, newest, inventory.counters(), (0, 0), &session.output);
        rows.tell_health(&mut record, None);
    }
    session.output.finish();
    if !common.quiet {
        let (megabytes, seconds) = (files.progress().bytes_read as f64 / 1e6, started.elapsed().as_secs_f64());
        tell!("{packets} packets read, {megabytes:.1} MB in {seconds:.2} s");
        session::summary(inventory.counters(), &session.output);
    }
    saved?;
    Ok(Gathered { inventory, session, failure: first_failure })
}

/// Tells the roll-up what these captures hold, without what earlier runs found: that was told by them.
#[cfg(feature = "kafka")]
fn tell(config: &Config, session: &Session, workers: &[Worker]) -> Result<Option<Rows>, Failure> {
    let Some(mut rows) = session.rows(config)? else { return Ok(None) };
    let mut seen = session.inventory(workers.len(), None)?;
    workers.iter().for_each(|worker| seen.add(worker));
    rows.tell_replay(&seen);
    Ok(Some(rows))
}

/// Where events may wait: where they, or the state, will be written in the end, there should be room for them.
fn room_for_events(config: &Config) -> PathBuf {
    let beside = config.output.events.as_deref().filter(|path| path.is_file()).and_then(Path::parent);
    let beside = beside.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    beside.or(config.state.directory.as_deref()).map_or_else(std::env::temp_dir, Path::to_path_buf)
}

/// Batches of packets; a damaged file is reported and the others go on.
struct Packets<'a> {
    files: &'a mut FileSet,
    progress: Progress,
    first_failure: Option<Failure>,
    packets: u64,
}

impl Packets<'_> {
    /// An input is a pipe: what is ready must not wait for the packets that come next.
    fn may_wait(&self) -> bool {
        self.files.progress().bytes_total.is_none()
    }

    fn next(&mut self, session: &Session) -> Option<Batch> {
        loop {
            if signals::stopped() || session.output.is_closed() {
                return None;
            }
            match self.files.next_batch() {
                Ok(Some(batch)) => {
                    self.packets += batch.len() as u64;
                    self.progress.show(self.files.progress().bytes_read, self.packets, session.output.written());
                    return Some(batch);
                }
                Ok(None) => return None,
                // A pipe that was left in the middle of a record.
                Err(_) if signals::stopped() => return None,
                Err(error) => {
                    let failure = session::capture_failure(&error);
                    self.progress.line(&format!("umbra: {failure}"));
                    self.first_failure.get_or_insert_with(|| Failure::reported(failure.code()));
                }
            }
        }
    }
}

/// One worker in this thread: no queue between reading and parsing.
fn alone(source: &mut Packets<'_>, session: &Session) -> Worker {
    let mut worker = session.worker();
    let mut ticks = Ticks::new(&session.pipeline.wire);
    let mut named = 0;
    while let Some(batch) = source.next(session) {
        name_interfaces(&mut worker, source.files.interfaces(), &mut named);
        for packet in batch.packets() {
            if let Some(now) = ticks.due(&packet) {
                worker.handle_timeout_into(now, &mut |output| session.write(output));
            }
            worker.handle_packet(&packet);
            flush(&mut worker, session, FLUSH_BYTES);
        }
        if source.may_wait() {
            flush(&mut worker, session, 0);
            session.output.flush();
        }
    }
    worker.finish_into(ticks.now(), &mut |output| session.write(output));
    flush(&mut worker, session, 0);
    worker
}

/// Several workers: this thread reads and decodes, and hands each segment to the worker that owns its flow.
fn spread(source: &mut Packets<'_>, session: &Session, count: usize) -> Result<Vec<Worker>, Failure> {
    let mut ticks = Ticks::new(&session.pipeline.wire);
    std::thread::scope(|scope| {
        let mut dispatcher = Dispatcher::start(scope, session, count, source.may_wait())?;
        while let Some(batch) = source.next(session) {
            dispatcher.begin(source.files.interfaces());
            for packet in batch.packets() {
                if let Some(now) = ticks.due(&packet) {
                    dispatcher.timeout(now);
                }
                dispatcher.packet(&packet, &batch);
            }
            dispatcher.send(&batch);
        }
        dispatcher.finish(ticks.now())
    })
}

/// Tells a worker the names of interfaces that have turned up.
pub(crate) fn name_interfaces(worker: &mut Worker, names: &[String], named: &mut usize) {
    if *named < names.len() {
        worker.name_interfaces(names);
        *named = names.len();
    }
}

/// Writes what a worker has ready once it is more than `least` bytes.
#[inline]
pub(crate) fn flush(worker: &mut Worker, session: &Session, least: usize) {
    let output = worker.output();
    if output.bytes.len() > least {
        session.write(output);
    }
}

/// When workers look for timeouts: at the same places of the packet order whatever the number of workers, so that the
/// result does not depend on it.
struct Ticks {
    clock: PacketClock,
    now: Timestamp,
    next: Timestamp,
}

impl Ticks {
    fn new(config: &umbra_wire::Config) -> Self {
        let clock = PacketClock::new(config.clock_jump, config.clock_confirm);
        Ticks { clock, now: Timestamp(0), next: Timestamp(0) }
    }

    #[inline]
    fn due(&mut self, packet: &Packet<'_>) -> Option<Timestamp> {
        self.now = self.clock.observe(packet.time);
        if self.now < self.next {
            return None;
        }
        self.next = self.now.after(TICK);
        Some(self.now)
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

/// A thread that ended by panicking is our fault.
pub(crate) fn worker_panicked() -> Failure {
    Failure::new(exit::SOFTWARE, "a worker failed; please report it with the capture if you can share it")
}
