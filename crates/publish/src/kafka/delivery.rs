//! The thread between the workers and the broker.
//!
//! It owns the spool and the producer. A class is *flowing*; or, after a record of it was refused, *draining*: nothing more is
//! handed out until all that is under way is reported, then the spool is rewound to the first record that is not acknowledged.
//! A record that the broker will never take cannot be told from others of its batch: up to it, records go one at a time, and the
//! one that fails alone is set aside.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use rdkafka::error::RDKafkaErrorCode as Code;
use umbra_store::{Class, Disk, Files, Refused, Sequence, Spool};

use super::client::{Client, Report, Ticket};
use super::headers::CloudEvents;
use super::ledger::{Ledger, Shared};
use super::{Batch, Settings, SettingsError};

/// Batches between the workers and the spool, of all workers: of 128 KiB each, 32 MiB at most.
const QUEUE: usize = 256;
/// Batches taken before the producer has its turn again.
const TURN: usize = 16;
/// How long the thread sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_millis(5);
/// After a refusal: long enough for a topic or a permission to come back without asking in a loop.
const BACKOFF: Duration = Duration::from_secs(1);
/// Records sent in one turn.
const SENDS: usize = 4096;
/// The share of the spool at which a replay waits instead of dropping: three quarters.
const FULL_QUARTERS: u64 = 3;

/// What happens when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest of the least valuable class is dropped, counted: live capture cannot wait.
    Drop,
    /// The senders wait: a file can.
    Wait,
}

/// Sizes, names and places of a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryConfig {
    /// How to reach the brokers.
    pub settings: Settings,
    /// Topic of each class, in the order of [`Class::ALL`].
    pub topics: [String; 4],
    /// Name of the sensor, for `ce_source`.
    pub sensor: String,
    /// Folder of the spool. One process at a time.
    pub spool: PathBuf,
    /// Sizes of the spool.
    pub spool_config: umbra_store::Config,
    /// Bytes given to the producer and not acknowledged.
    pub window_bytes: usize,
    /// What happens when the spool is full.
    pub when_full: WhenFull,
}

/// A delivery that does not start.
#[derive(Debug)]
pub enum Error {
    /// The settings do not do.
    Settings(SettingsError),
    /// The spool cannot be opened: also if another process has it.
    Spool(umbra_store::Error),
    /// No thread.
    Thread(std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Settings(error) => error.fmt(f),
            Error::Spool(error) => error.fmt(f),
            Error::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Error {
        Error::Settings(error)
    }
}

impl From<umbra_store::Error> for Error {
    fn from(error: umbra_store::Error) -> Error {
        Error::Spool(error)
    }
}

struct Parcel {
    class: Class,
    count: u64,
    batch: Batch,
}

/// Gives records to a delivery, from any thread.
#[derive(Clone)]
pub struct Handle {
    queue: Sender<Parcel>,
    spare: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Handle {
    /// Gives `count` records made by [`Batch::push`] without waiting and leaves an empty buffer in its place; false if the queue
    /// is full: the records are counted as lost.
    pub fn offer(&self, class: Class, bytes: &mut Vec<u8>, count: u64) -> bool {
        let parcel = self.parcel(class, bytes, count);
        let Err(TrySendError::Full(parcel) | TrySendError::Disconnected(parcel)) = self.queue.try_send(parcel) else {
            return true;
        };
        self.lose(&parcel);
        *bytes = parcel.batch.into_buffer();
        false
    }

    /// The same, waiting for room: for a reader of files.
    pub fn give(&self, class: Class, bytes: &mut Vec<u8>, count: u64) {
        if let Err(error) = self.queue.send(self.parcel(class, bytes, count)) {
            self.lose(&error.0);
        }
    }

    /// The same, waiting until `deadline` at most.
    pub fn give_until(&self, class: Class, bytes: &mut Vec<u8>, count: u64, deadline: Instant) {
        if let Err(error) = self.queue.send_deadline(self.parcel(class, bytes, count), deadline) {
            self.lose(&error.into_inner());
        }
    }

    /// What became of the records so far.
    pub fn ledger(&self) -> Ledger {
        self.shared.read()
    }

    fn parcel(&self, class: Class, bytes: &mut Vec<u8>, count: u64) -> Parcel {
        let spare = self.spare.try_recv().unwrap_or_default();
        Parcel { class, count, batch: Batch::from_bytes(std::mem::replace(bytes, spare)) }
    }

    fn lose(&self, parcel: &Parcel) {
        if let Some(lost) = self.shared.lost_queue.get(parcel.class as usize) {
            lost.fetch_add(parcel.count, Ordering::Relaxed);
        }
    }
}

/// A running delivery.
pub struct Delivery {
    handle: Option<Handle>,
    shared: Arc<Shared>,
    /// Set: end now, what is not acknowledged stays in the spool.
    leave: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Delivery {
    /// Opens the spool and starts the thread. The brokers need not be there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(config: DeliveryConfig) -> Result<Delivery, Error> {
        let client = Client::new(&config.settings)?;
        let (spool, _) = Spool::open(Disk::open(&config.spool)?, config.spool_config)?;
        let (queue, parcels) = bounded(QUEUE);
        let (give_back, spare) = bounded(QUEUE);
        let shared = Arc::new(Shared::default());
        let leave = Arc::new(AtomicBool::new(false));
        let mut courier = Courier {
            headers: CloudEvents::new(&config.sensor),
            config,
            client,
            spool,
            parcels,
            give_back,
            shared: shared.clone(),
            leave: leave.clone(),
            lanes: Default::default(),
            ledger: Ledger::default(),
            reports: Vec::new(),
            window: 0,
            started: Instant::now(),
            told: None,
        };
        courier.tell();
        let thread = std::thread::Builder::new().name("umbra-kafka".into());
        let thread = thread.spawn(move || courier.work()).map_err(Error::Thread)?;
        let handle = Handle { queue, spare, shared: shared.clone() };
        Ok(Delivery { handle: Some(handle), shared, leave, thread })
    }

    /// For a thread that gives records.
    ///
    /// # Panics
    /// Never: the handle is there until [`finish`](Self::finish).
    pub fn handle(&self) -> Option<Handle> {
        self.handle.clone()
    }

    /// What became of the records so far.
    pub fn ledger(&self) -> Ledger {
        self.shared.read()
    }

    /// Ends when all is acknowledged and all handles have gone; or, once `enough` says so of the ledger, with the rest safe in
    /// the spool. `enough` is asked ten times a second.
    pub fn finish(mut self, mut enough: impl FnMut(&Ledger) -> bool) -> Ledger {
        drop(self.handle.take());
        while !self.thread.is_finished() {
            if enough(&self.shared.read()) {
                self.leave.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.thread.join();
        self.shared.read()
    }
}

/// How a class does.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    under_way: usize,
    /// A record was refused: wait until nothing is under way, then begin again.
    draining: bool,
    /// Not before this.
    not_before: Option<Instant>,
    /// Up to here one record at a time: among them is one that the broker does not take.
    careful: Option<Sequence>,
}

struct Courier<F: Files> {
    config: DeliveryConfig,
    headers: CloudEvents,
    client: Client,
    spool: Spool<F>,
    parcels: Receiver<Parcel>,
    give_back: Sender<Vec<u8>>,
    shared: Arc<Shared>,
    leave: Arc<AtomicBool>,
    lanes: [Lane; 4],
    ledger: Ledger,
    reports: Vec<Report>,
    /// Bytes under way.
    window: usize,
    started: Instant,
    told: Option<Instant>,
}

impl<F: Files> Courier<F> {
    fn work(mut self) {
        let mut open = true;
        loop {
            let mut busy = false;
            if open {
                (open, busy) = self.take_parcels();
            }
            if self.spool.handle_timeout(self.started.elapsed()).is_err() {
                // It stays in memory and is tried again; the status says so.
            }
            busy |= self.send();
            self.client.poll(if busy { Duration::ZERO } else { IDLE }, &mut self.reports);
            self.settle();
            self.mend();
            if self.told.is_none_or(|told| told.elapsed() >= Duration::from_millis(50)) {
                self.tell();
            }
            let done = !open && self.spool.status().pending.iter().all(|pending| *pending == 0);
            if done || (self.leave.load(Ordering::Relaxed) && (!open || self.parcels.is_empty())) {
                break;
            }
        }
        self.client.abandon();
        self.client.poll(Duration::from_millis(10), &mut self.reports);
        self.settle();
        self.tell();
        self.spool.close();
    }

    /// Moves what waits into the spool. Says whether more may come, and whether there was any.
    fn take_parcels(&mut self) -> (bool, bool) {
        let full = self.config.spool_config.cap_bytes / 4 * FULL_QUARTERS;
        for turn in 0..TURN {
            if self.config.when_full == WhenFull::Wait
                && !self.leave.load(Ordering::Relaxed)
                && self.spool.status().bytes > full
            {
                return (true, turn > 0);
            }
            let idle = turn == 0 && self.window == 0;
            let parcel =
                if idle { self.parcels.recv_timeout(IDLE) } else { self.parcels.try_recv().map_err(without_waiting) };
            match parcel {
                Ok(parcel) => self.store(parcel),
                Err(RecvTimeoutError::Timeout) => return (true, turn > 0),
                Err(RecvTimeoutError::Disconnected) => return (false, turn > 0),
            }
        }
        (true, true)
    }

    fn store(&mut self, parcel: Parcel) {
        let Some(class) = self.ledger.classes.get_mut(parcel.class as usize) else { return };
        for (key, value, time_ns) in parcel.batch.records() {
            class.taken = class.taken.saturating_add(1);
            match self.spool.append(parcel.class, key, value, time_ns) {
                // The spool counts what it does not take.
                Ok(_) | Err(Refused::Full | Refused::Disk) => {}
                Err(Refused::TooLong) => class.lost_too_long = class.lost_too_long.saturating_add(1),
            }
        }
        let _ = self.give_back.try_send(parcel.batch.into_buffer());
    }

    /// Hands records to the producer, the most valuable class first. Says whether there were any.
    fn send(&mut self) -> bool {
        let mut sent = 0;
        for class in Class::ALL.into_iter().rev() {
            let index = class as usize;
            while sent < SENDS && self.window < self.config.window_bytes {
                let Some(lane) = self.lanes.get_mut(index) else { break };
                let waits = lane.not_before.is_some_and(|at| Instant::now() < at);
                if lane.draining || waits || (lane.careful.is_some() && lane.under_way > 0) {
                    break;
                }
                lane.not_before = None;
                // A disk that does not read is tried again in the next turn.
                let Ok(Some(record)) = self.spool.next(class) else { break };
                if lane.careful.is_some_and(|until| until.is_before(record.sequence)) {
                    lane.careful = None;
                }
                let bytes = record.key.len().saturating_add(record.value.len());
                let ticket = Ticket { class, sequence: record.sequence, bytes };
                let headers = self.headers.of(class, record.key, record.value);
                let topic = self.config.topics.get(index).map_or("", String::as_str);
                lane.under_way = lane.under_way.saturating_add(1);
                self.window = self.window.saturating_add(bytes);
                sent += 1;
                if let Err(code) = self.client.send(topic, record.key, record.value, headers, ticket) {
                    self.reports.push(Report { ticket, outcome: Err(code) });
                    break;
                }
            }
        }
        sent > 0
    }

    /// Takes what the producer reported into the spool and the ledger.
    fn settle(&mut self) {
        for Report { ticket, outcome } in std::mem::take(&mut self.reports) {
            let (index, sequence) = (ticket.class as usize, ticket.sequence);
            self.window = self.window.saturating_sub(ticket.bytes);
            let (Some(lane), Some(class)) = (self.lanes.get_mut(index), self.ledger.classes.get_mut(index)) else {
                continue;
            };
            let alone = lane.careful.is_some() && !lane.draining && lane.under_way == 1;
            lane.under_way = lane.under_way.saturating_sub(1);
            match outcome {
                Ok(()) => {
                    self.spool.acknowledge(ticket.class, sequence);
                    class.delivered = class.delivered.saturating_add(1);
                    self.ledger.connected = true;
                }
                Err(code) if is_poison(code) && alone && self.spool.set_aside(ticket.class, sequence).is_ok() => {
                    class.aside = class.aside.saturating_add(1);
                    self.ledger.error = Some(format!("a record of {:?} was set aside: {code}", ticket.class));
                }
                Err(code) => {
                    lane.draining = true;
                    self.ledger.retries = self.ledger.retries.saturating_add(1);
                    if is_poison(code) {
                        lane.careful = Some(
                            lane.careful.map_or(
                                sequence,
                                |until| {
                                    if until.is_before(sequence) { sequence } else { until }
                                },
                            ),
                        );
                    } else {
                        lane.not_before = Some(Instant::now() + BACKOFF);
                        self.ledger.connected = false;
                        self.ledger.error =
                            Some(format!("{}: {code}", self.config.topics.get(index).map_or("", |topic| topic)));
                    }
                }
            }
        }
        for (class, lane) in Class::ALL.into_iter().zip(&mut self.lanes) {
            if lane.draining && lane.under_way == 0 {
                lane.draining = false;
                self.spool.rewind(class);
            }
        }
    }

    /// After a fatal error the client sends nothing more: all starts again with a new one.
    fn mend(&mut self) {
        if let Some(error) = self.client.take_error() {
            self.ledger.error = Some(error);
            self.ledger.connected = false;
        }
        let Some(fatal) = self.client.fatal() else { return };
        self.ledger.error = Some(fatal);
        let Ok(client) = Client::new(&self.config.settings) else { return };
        self.client.abandon();
        self.client.poll(Duration::from_millis(100), &mut self.reports);
        self.settle();
        self.client = client;
        self.ledger.rebuilds = self.ledger.rebuilds.saturating_add(1);
        self.window = 0;
        for (class, lane) in Class::ALL.into_iter().zip(&mut self.lanes) {
            *lane = Lane { careful: lane.careful, not_before: Some(Instant::now() + BACKOFF), ..Lane::default() };
            self.spool.rewind(class);
        }
    }

    fn tell(&mut self) {
        self.told = Some(Instant::now());
        let status = self.spool.status();
        let losses = status.losses;
        let lost = [losses.event, losses.health, losses.endpoint, losses.finding];
        for (class, (pending, lost)) in self.ledger.classes.iter_mut().zip(status.pending.into_iter().zip(lost)) {
            class.pending = pending;
            class.lost_spool = lost.total();
        }
        self.ledger.losses = losses;
        self.ledger.spool_bytes = status.bytes;
        self.ledger.spool_failing = status.failing;
        self.shared.publish(&self.ledger);
    }
}

fn without_waiting(error: crossbeam_channel::TryRecvError) -> RecvTimeoutError {
    match error {
        crossbeam_channel::TryRecvError::Empty => RecvTimeoutError::Timeout,
        crossbeam_channel::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
    }
}

/// Refused for what the record is, not for the state of the broker.
fn is_poison(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::BadMessage
            | Code::InvalidTimestamp
    )
}
