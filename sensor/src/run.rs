//! `umbra run`: one worker thread per capture handle, one thread that writes, and this one for signals and reports.

use std::cell::Cell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Mutex;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use umbra_capture::filter::exclude_filter;
use umbra_capture::live::{self, LiveConfig, LiveSource, LiveStats, Notice};
use umbra_capture::privileges::{Privileges, drop_privileges};
use umbra_event::Source;
use umbra_pipeline::{Counters, Inventory, Worker};
use umbra_wire::Timestamp;

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::key;
use crate::pressure::Pressure;
use crate::replay::worker_panicked;
use crate::session::{self, Session};
use crate::signals;
use crate::state::{State, Word};
use crate::watch::Watch;

/// How long a worker waits for packets before it looks at the time.
const WAIT: Duration = Duration::from_millis(100);
/// Pause between looks at a ring that is empty, once stopped.
const POLL: Duration = Duration::from_millis(5);
/// How often workers look for timeouts and read the kernel's counters.
const TICK: Duration = Duration::from_secs(1);
/// A worker that is to stop reads what came before, for so long at most.
const DRAIN: Duration = Duration::from_secs(5);
/// A worker hands its event bytes to the writer at this size, or when there is a pause.
const FLUSH_BYTES: usize = 128 * 1024;
/// How long a worker that has stopped waits for the writer to take the last lines (F097): past it they are lost, counted.
const LAST_LINES: Duration = Duration::from_secs(4);
/// Buffers that wait for the writer, of all workers: 64 MiB at most. Past it events are lost, counted, and capture goes on.
const WRITER_QUEUE: usize = 512;

/// Listens until stopped.
pub(crate) fn run(args: &crate::cli::Run, mut config: Config) -> Result<(), Failure> {
    // Read while we may still read everything; without a file, the state directory has one.
    let file_key = config.redaction.key_file.as_deref().map(|file| key::fleet_key(Some(file))).transpose()?;
    let sources = open(&config)?;
    drop_privileges(&Privileges { user: config.capture.user.clone(), keep_net_raw: config.capture.keep_net_raw })
        .map_err(|error| session::capture_failure(&error))?;
    // As the user that we are now: it is this one who comes back to it.
    let mut state = State::open(&config)?;
    let key = State::fleet_key(state.as_mut(), file_key)?;
    let session = Session::open(&config, key, Source::Live, true)?;
    let mut inventory = session.inventory(sources.len(), state.as_ref())?;
    let mut watch = Watch::new(&config, &session, &inventory, sources.len(), args.common.quiet)?;
    if !args.common.quiet {
        tell!("umbra: listening on {}", config.capture.interfaces.join(", "));
    }
    let started = Instant::now();
    let deadline = args.duration.map(|seconds| started + Duration::from_secs(seconds));
    let status: Vec<Status> = sources.iter().map(|_| Status::default()).collect();
    let workers = std::thread::scope(|scope| -> Result<Vec<Worker>, Failure> {
        let (queue, waiting) = bounded::<Lines>(WRITER_QUEUE);
        let (give_back, spare) = bounded::<Vec<u8>>(WRITER_QUEUE);
        let session = &session;
        let unwritten = waiting.clone();
        let writer = spawn(scope, "umbra-writer", move || write(session, &waiting, &give_back))?;
        let mut threads: Vec<ScopedJoinHandle<'_, Worker>> = Vec::new();
        let (words, heard) = bounded::<Word>(sources.len());
        let mut stops = Vec::new();
        for (index, (source, status)) in sources.into_iter().zip(&status).enumerate() {
            stops.push(source.stop_handle());
            let speech = watch.wants_words().map(|(every, routes)| Speech {
                index,
                to: words.clone(),
                every,
                routes,
                definitions: Cell::new(0),
            });
            let lane = Lane { session, status, queue: queue.clone(), spare: spare.clone(), speech };
            threads.push(spawn(scope, "umbra-worker", move || lane.work(source))?);
        }
        drop(queue);
        let mut reread_at = reread(&config);
        let mut told_sink = false;
        while !signals::stopped() && !session.output.is_closed() && deadline.is_none_or(|at| Instant::now() < at) {
            std::thread::sleep(WAIT);
            report_notices(&status, &config);
            if !told_sink && let Some(error) = session.output.error() {
                told_sink = true;
                tell!("umbra: cannot write events: {error}; capturing on, and trying again each second");
            }
            watch.take(heard.try_iter(), &mut state);
            watch.look(&config, || together(&status), session);
            if signals::take_counters() {
                let now = together(&status);
                session::live_summary(&now.counters, &now.stats, &session.output);
            }
            if signals::take_reload() {
                reload(args, &mut config, session);
            }
            if reread_at.is_some_and(|at| Instant::now() >= at) {
                session.reread_specifications();
                reread_at = reread(&config);
            }
            if threads.iter().any(ScopedJoinHandle::is_finished) {
                break;
            }
        }
        for stop in &stops {
            stop.stop();
        }
        let workers = threads.into_iter().map(|thread| thread.join().map_err(|_| worker_panicked()));
        let workers = workers.collect::<Result<Vec<Worker>, Failure>>()?;
        let until = Instant::now() + LAST_LINES;
        while !writer.is_finished() {
            if Instant::now() > until {
                // It sits in a write that a reader of stdout, or a dead network disk, does not let go on: nothing ends that
                // but the end of the process.
                unwritten.try_iter().for_each(|lines| session.output.lose(lines.count));
                session.output.abandon();
                let ended = end(args, session, &status, &mut inventory, &mut state, &workers);
                crate::leave(ended);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.join().map_err(|_| worker_panicked())?;
        Ok(workers)
    })?;
    report_notices(&status, &config);
    #[cfg(feature = "kafka")]
    watch.finish(&config, &together(&status), &session, &workers)?;
    session.output.finish();
    end(args, &session, &status, &mut inventory, &mut state, &workers)
}

/// What is left to do when all events are written, or given up.
fn end(
    args: &crate::cli::Run,
    session: &Session,
    status: &[Status],
    inventory: &mut Inventory,
    state: &mut Option<State>,
    workers: &[Worker],
) -> Result<(), Failure> {
    for worker in workers {
        inventory.add(worker);
    }
    let saved = State::save(state, inventory, &session.pipeline.event.redaction);
    inventory.settle();
    if !args.common.quiet {
        session::live_summary(inventory.counters(), &together(status).stats, &session.output);
    }
    session.print_inventory(inventory)?;
    saved
}

/// When to look again whether specifications have changed, if there are any.
fn reread(config: &Config) -> Option<Instant> {
    (!config.spec.is_empty()).then(|| Instant::now() + Duration::from_secs(config.specs.reread_seconds))
}

fn spawn<'scope, 'env, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    name: &str,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Failure> {
    let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, body);
    thread.map_err(|error| Failure::new(exit::IO, format!("cannot start a thread: {error}")))
}

/// Opens the interfaces, with what is the sensor's own left out.
fn open(config: &Config) -> Result<Vec<LiveSource>, Failure> {
    let capture = &config.capture;
    if capture.interfaces.is_empty() {
        return Err(Failure::new(exit::USAGE, "no interface: give -i IFACE, or interfaces in [capture]"));
    }
    let mut own: Vec<SocketAddr> = capture.exclude.iter().filter_map(|own| own.parse().ok()).collect();
    // What we send to Kafka is not to be seen again (F107). A name that cannot be looked up now may be in `capture.exclude`.
    let brokers = config.kafka.brokers.iter().filter(|_| config.kafka.active);
    own.extend(brokers.filter_map(|broker| broker.to_socket_addrs().ok()).flatten());
    room_for_rings(config)?;
    live::open(LiveConfig {
        interfaces: capture.interfaces.clone(),
        workers: usize::from(config.sensor.workers),
        filter: exclude_filter(capture.filter.as_deref(), &own),
        promiscuous: capture.promiscuous,
        buffer_bytes: (capture.buffer_mib as usize) << 20,
        snaplen: capture.snap_length,
        ..LiveConfig::default()
    })
    .map_err(|error| session::capture_failure(&error))
}

/// The kernel's rings are not swapped out: more of them than there is memory would have other processes killed.
fn room_for_rings(config: &Config) -> Result<(), Failure> {
    let (workers, interfaces) = (u64::from(config.sensor.workers), config.capture.interfaces.len() as u64);
    let wanted = workers * interfaces * u64::from(config.capture.buffer_mib);
    let Some(available) = available_mib(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()) else {
        return Ok(());
    };
    if wanted <= available {
        return Ok(());
    }
    Err(Failure::new(
        exit::CONFIG,
        format!(
            "capture.buffer_mib: {workers} workers on {interfaces} interfaces want rings of {wanted} MiB together, \
             {available} MiB are available"
        ),
    ))
}

/// `MemAvailable` of `/proc/meminfo`.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

/// Event lines on their way to the writer.
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

/// What a worker tells of itself while it runs.
#[derive(Default)]
struct Status {
    now: Mutex<Together>,
    notices: Mutex<Vec<Notice>>,
}

/// Where a worker sends what it knows, and how often.
struct Speech {
    index: usize,
    to: Sender<Word>,
    every: Duration,
    /// What it knows of routes, too.
    routes: bool,
    /// Revision of the definitions that were sent.
    definitions: Cell<u64>,
}

impl Speech {
    /// How long before the last word a request may have come whose transaction has ended since.
    const SLACK: Duration = Duration::from_secs(60);

    /// Copies the endpoints with traffic since the last time. One word that waits to be heard is enough: the next has all in it.
    fn send(&self, worker: &Worker, since: Timestamp) -> bool {
        let since = Timestamp(since.nanos().saturating_sub(Self::SLACK.as_nanos() as u64));
        if self.to.is_full() {
            return false;
        }
        let endpoints = worker.endpoints().iter().filter(|endpoint| endpoint.last_seen >= since).cloned().collect();
        let routes = self.routes.then(|| worker.routes().clone());
        let (known, left_out) = (worker.endpoints().definitions(), *worker.endpoints().counters());
        let definitions = (known.revision() != self.definitions.get()).then(|| known.clone());
        let is_sent = self.to.try_send(Word { worker: self.index, endpoints, routes, definitions, left_out }).is_ok();
        if is_sent {
            self.definitions.set(known.revision());
        }
        is_sent
    }
}

/// One worker's surroundings.
struct Lane<'a> {
    session: &'a Session,
    status: &'a Status,
    queue: Sender<Lines>,
    spare: Receiver<Vec<u8>>,
    speech: Option<Speech>,
}

impl Lane<'_> {
    /// Captures until stopped, and gives the worker back with all that it has learnt.
    fn work(&self, mut source: LiveSource) -> Worker {
        let mut worker = self.session.worker();
        worker.name_interfaces(source.interfaces());
        let mut ticked = Timestamp(0);
        let mut clock = umbra_wire::PacketClock::default();
        let mut pressure = Pressure::default();
        let mut next_status = Instant::now() + TICK;
        let mut next_word = self.speech.as_ref().map(|speech| Instant::now() + speech.every);
        let mut word_at = Timestamp(0);
        // Packet time of the stop, when the kernel has handed all before it over, and when to end at the latest.
        let mut stop: Option<(Timestamp, Instant, Instant)> = None;
        loop {
            let mut now = Timestamp(0);
            let polled = source.poll(WAIT, &mut |packet| {
                now = clock.observe(packet.time);
                worker.handle_packet(&packet);
            });
            let polled = match polled {
                Ok(polled) => polled,
                Err(error) => {
                    tell!("umbra: {error}");
                    // Not a busy loop while an interface may not be opened again.
                    std::thread::sleep(WAIT);
                    continue;
                }
            };
            if polled.packets == 0 {
                // Nothing older will come: without packets the kernel's clock stands in for packet time.
                now = clock.observe(polled.time);
            }
            if now >= ticked.after(TICK) {
                ticked = now;
                worker.handle_timeout_into(now, &mut |output| self.hand_over(output, 0));
            }
            self.hand_over(worker.output(), if polled.packets == 0 { 0 } else { FLUSH_BYTES });
            if Instant::now() >= next_status {
                next_status = Instant::now() + TICK;
                let stats = source.stats();
                worker.shed(pressure.level(stats.dropped));
                self.tell(&mut source, &worker, stats, ticked);
                if let (Some(speech), Some(next)) = (&self.speech, &mut next_word)
                    && Instant::now() >= *next
                    && speech.send(&worker, word_at)
                {
                    *next = Instant::now() + speech.every;
                    word_at = ticked;
                }
            }
            if polled.stopped {
                // While packets keep coming the ring is never empty. `polled.time` is a bit behind the clock.
                let (at, settled, deadline) = *stop.get_or_insert_with(|| {
                    let stopped = Instant::now();
                    (polled.time.after(WAIT * 2), stopped + WAIT, stopped + DRAIN)
                });
                // The kernel hands a block that is not full over after a while: an empty ring may have one yet.
                let empty = polled.packets == 0 && Instant::now() > settled;
                if polled.packets == 0 {
                    std::thread::sleep(POLL);
                }
                if empty || now > at || Instant::now() > deadline {
                    // Capture is over: now the writer may be waited for.
                    let until = Instant::now() + LAST_LINES;
                    worker.finish_into(now, &mut |output| self.hand_over_last(output, until));
                    self.hand_over_last(worker.output(), until);
                    break;
                }
            }
        }
        let stats = source.stats();
        self.tell(&mut source, &worker, stats, ticked);
        worker
    }

    fn tell(&self, source: &mut LiveSource, worker: &Worker, stats: LiveStats, time: Timestamp) {
        if let Ok(mut now) = self.status.now.lock() {
            *now = Together { counters: worker.counters(), stats, time };
        }
        let notices = source.take_notices();
        if let Ok(mut waiting) = self.status.notices.lock() {
            waiting.extend(notices);
        }
    }

    /// Gives lines to the writer; a full queue loses them, counted: capture never waits.
    fn hand_over(&self, output: &mut umbra_pipeline::Output, least: usize) {
        if output.count == 0 || output.bytes.len() < least {
            return;
        }
        let lines = self.take(output);
        if let Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) = self.queue.try_send(lines) {
            self.session.output.lose(lines.count);
        }
    }

    /// The same at the end, when there is nothing left to capture: the writer gets time to take the last lines.
    fn hand_over_last(&self, output: &mut umbra_pipeline::Output, until: Instant) {
        if output.count == 0 {
            return;
        }
        let sent = self.queue.send_deadline(self.take(output), until);
        if let Err(SendTimeoutError::Timeout(lines) | SendTimeoutError::Disconnected(lines)) = sent {
            self.session.output.lose(lines.count);
        }
    }

    fn take(&self, output: &mut umbra_pipeline::Output) -> Lines {
        let bytes = std::mem::replace(&mut output.bytes, self.spare.try_recv().unwrap_or_default());
        Lines { bytes, count: std::mem::take(&mut output.count) }
    }
}

/// The writer's thread: until all workers have gone.
fn write(session: &Session, waiting: &Receiver<Lines>, give_back: &Sender<Vec<u8>>) {
    for mut lines in waiting {
        session.output.write(&lines.bytes, lines.count);
        lines.bytes.clear();
        let _ = give_back.try_send(lines.bytes);
        if waiting.is_empty() {
            session.output.flush();
        }
    }
}

/// Counters of one worker or of all, and the packet time that they are of.
#[derive(Default)]
pub(crate) struct Together {
    pub(crate) counters: Counters,
    pub(crate) stats: LiveStats,
    pub(crate) time: Timestamp,
}

/// Counters of all workers as they last told.
fn together(status: &[Status]) -> Together {
    let mut all = Together::default();
    for now in status.iter().filter_map(|status| status.now.lock().ok()) {
        all.counters.merge(&now.counters);
        all.stats.received += now.stats.received;
        all.stats.dropped += now.stats.dropped;
        all.stats.interface_dropped += now.stats.interface_dropped;
        all.stats.early += now.stats.early;
        all.time = all.time.max(now.time);
    }
    all
}

/// One line for each capture gap; worker 0 speaks for the interface.
fn report_notices(status: &[Status], config: &Config) {
    for status in status {
        let notices = status.notices.lock().map(|mut notices| std::mem::take(&mut *notices)).unwrap_or_default();
        for notice in notices {
            match notice {
                Notice::Lost { interface, worker: 0, cause, .. } => {
                    tell!("umbra: {}: capture has stopped ({cause:?})", name(config, interface));
                }
                Notice::Gap { interface, worker: 0, start, end, .. } => {
                    let seconds = end.since(start).as_secs_f64();
                    tell!("umbra: {}: capturing again after a gap of {seconds:.1} s", name(config, interface));
                }
                _ => {}
            }
        }
    }
}

fn name(config: &Config, interface: u32) -> &str {
    config.capture.interfaces.get(interface as usize).map_or("?", String::as_str)
}

/// SIGHUP: a valid file is taken as far as it can be without losing packets, a bad one is refused and the old one stays.
fn reload(args: &crate::cli::Run, config: &mut Config, session: &Session) {
    let read = Config::read(args.common.config.as_deref()).and_then(|mut new| {
        new.apply(&args.common, &args.bpf)?;
        crate::override_run(args, &mut new);
        Ok(new)
    });
    let new = match read {
        Ok(new) => new,
        Err(failure) => return tell!("umbra: reload: {failure}; the old configuration stays"),
    };
    let catalogue = match Catalogue::new(&new) {
        Ok(catalogue) => catalogue,
        Err(failure) => return tell!("umbra: reload: {failure}; the old configuration stays"),
    };
    if let Err(failure) = session.output.reopen(&new.output) {
        return tell!("umbra: reload: {failure}; the old configuration stays");
    }
    session.replace_catalogue(catalogue);
    (config.output, config.rule, config.spec) = (new.output.clone(), new.rule.clone(), new.spec.clone());
    let restart = new != *config;
    let rest =
        if restart { "; what lies outside [output], [[rule]] and [[spec]] takes effect at the next start" } else { "" };
    tell!("umbra: reloaded{rest}");
}
