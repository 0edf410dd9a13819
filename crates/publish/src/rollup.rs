//! The roll-up as a consumer group: any number of the same process share the partitions of `umbra.endpoints.sensor`.
//!
//! A process reads each partition that it is given from the beginning: the compacted topic is the state, so there is nothing else
//! to restore. What the inventory has to change, and how far rows were read, is one transaction; a process that has lost its
//! partitions, or was taken for dead, cannot commit any more (KIP-447), and what it had written before is as never written. Rows
//! are cumulative and the inventory is a function of them, so reading them again changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use umbra_event::kafka::{Topic, place_of};
use umbra_rollup::{Change, Rollup, host_of};

use crate::compacted::{ANSWER, GroupError, is_passing, partitions, read_to_end};
use crate::kafka::{Settings, partition_of};

/// How long a poll waits for rows.
const WAIT: Duration = Duration::from_millis(100);
/// Pause before everything is begun anew after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// A transaction of a process that is gone holds readers up for so long at most.
const TRANSACTION_TIMEOUT_MS: &str = "10000";

/// What a roll-up process works with.
#[derive(Clone)]
pub struct Options {
    /// The cluster.
    pub settings: Settings,
    /// What the names of topics begin with.
    pub prefix: String,
    /// Consumer group: processes of one group share the work.
    pub group: String,
    /// What to decide by; the same for all processes of a group.
    pub rollup: umbra_rollup::Config,
    /// How often changes are written at most.
    pub commit_every: Duration,
    /// End when all partitions were read to their ends and what follows from them is written, instead of waiting for more.
    pub once: bool,
    /// Called before each commit: for tests of what happens to a process there.
    pub before_commit: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// What a process has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Transactions committed.
    pub transactions: u64,
    /// Records written, tombstones among them.
    pub written: u64,
    /// Rows that could not be read, and were set aside.
    pub unreadable: u64,
    /// Times that everything was begun anew after an error.
    pub restarts: u64,
}

/// One partition.
struct Part {
    rollup: Rollup,
    /// Offset of the next row.
    next: i64,
    committed: i64,
    /// Its rows were read to the end once: what they say together may be written.
    whole: bool,
}

/// What the group has decided since the last look.
#[derive(Debug, Clone, Copy)]
enum Moved {
    Given(i32),
    Taken(i32),
}

#[derive(Default)]
struct Context {
    moved: Mutex<Vec<Moved>>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let given = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = match given {
            // Not from where the group has come to: the state is in the rows before it.
            true => list.set_all_offsets(Offset::Beginning).and_then(|()| consumer.incremental_assign(list)),
            false => consumer.incremental_unassign(list),
        };
        let ids = list.elements().iter().map(|element| element.partition()).collect::<Vec<_>>();
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.extend(ids.into_iter().map(|id| if given && done.is_ok() { Moved::Given(id) } else { Moved::Taken(id) }));
    }
}

/// Rolls up until `stop` is set; `tell` is told what goes wrong meanwhile.
///
/// # Errors
/// The brokers refuse from the start: no such topic, no permission. Later errors are told, and everything is begun anew.
pub fn run(options: &Options, stop: &AtomicBool, tell: &dyn Fn(&GroupError)) -> Result<Report, GroupError> {
    let mut report = Report::default();
    loop {
        let mut process = Process::start(options)?;
        match process.work(stop, &mut report, tell) {
            Ok(()) => return Ok(report),
            // What is not allowed does not become so by asking again; what was once may be again.
            Err(error @ GroupError::Refused(_)) if options.once || report.transactions == 0 => return Err(error),
            Err(error) => {
                tell(&error);
                report.restarts += 1;
                drop(process);
                std::thread::sleep(PAUSE);
                if stop.load(Ordering::Relaxed) {
                    return Ok(report);
                }
            }
        }
    }
}

struct Process<'a> {
    options: &'a Options,
    rows: String,
    inventory: String,
    consumer: BaseConsumer<Context>,
    producer: BaseProducer,
    parts: BTreeMap<i32, Part>,
}

impl<'a> Process<'a> {
    fn start(options: &'a Options) -> Result<Process<'a>, GroupError> {
        let rows = Topic::SensorEndpoints.name(&options.prefix);
        let inventory = Topic::Endpoints.name(&options.prefix);
        let consumer: BaseConsumer<Context> = options
            .settings
            .client()?
            .set("group.id", &options.group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .create_with_context(Context::default())?;
        let unique = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        let producer: BaseProducer = options
            .settings
            .client()?
            .set("transactional.id", format!("{}-{}-{unique}", options.group, std::process::id()))
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
            .set("message.timeout.ms", TRANSACTION_TIMEOUT_MS)
            .set("partitioner", "murmur2_random")
            .set("compression.type", "zstd")
            .create()?;
        partitions(&consumer, &inventory)?;
        partitions(&consumer, &rows)?;
        producer.init_transactions(ANSWER)?;
        consumer.subscribe(&[rows.as_str()])?;
        Ok(Process { options, rows, inventory, consumer, producer, parts: BTreeMap::new() })
    }

    fn work(&mut self, stop: &AtomicBool, report: &mut Report, tell: &dyn Fn(&GroupError)) -> Result<(), GroupError> {
        let mut written = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let polled = self.consumer.poll(WAIT);
            let moved =
                std::mem::take(&mut *self.consumer.context().moved.lock().unwrap_or_else(PoisonError::into_inner));
            if !moved.is_empty() {
                follow(self.options, &self.inventory, &moved, &mut self.parts, || {
                    partitions(&self.consumer, &self.rows)
                })?;
            }
            match polled {
                Some(Ok(message)) => {
                    if let Some(part) = self.parts.get_mut(&message.partition()) {
                        let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                        part.rollup.handle(&key, message.payload());
                        part.next = message.offset() + 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if let Some(part) = self.parts.get_mut(&partition) {
                        part.whole = true;
                    }
                }
                Some(Err(error)) if is_passing(&error) => tell(&error.into()),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
            if written.elapsed() >= self.options.commit_every {
                self.write(report)?;
                written = Instant::now();
                if self.options.once && !self.parts.is_empty() && self.parts.values().all(|part| part.whole) {
                    return Ok(());
                }
            }
        }
        self.write(report)
    }

    /// Writes what has changed, and how far rows were read, in one transaction.
    fn write(&mut self, report: &mut Report) -> Result<(), GroupError> {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        let mut changes = Vec::new();
        let mut offsets = TopicPartitionList::new();
        for (id, part) in self.parts.iter_mut().filter(|(_, part)| part.whole) {
            changes.extend(part.rollup.changes(now_ns));
            if part.next > part.committed {
                offsets.add_partition_offset(&self.rows, *id, Offset::Offset(part.next))?;
            }
        }
        if changes.is_empty() && offsets.count() == 0 {
            return Ok(());
        }
        if let Err(error) = self.transaction(&changes, &offsets) {
            // What was written of it is void. The state says it is there, so that has to go too.
            let _ = self.producer.abort_transaction(ANSWER);
            return Err(error.into());
        }
        self.parts.values_mut().filter(|part| part.whole).for_each(|part| part.committed = part.next);
        report.transactions += 1;
        report.written += changes.len() as u64;
        report.unreadable = self.parts.values().map(|part| part.rollup.counters().unreadable).sum();
        Ok(())
    }

    fn transaction(&self, changes: &[Change], offsets: &TopicPartitionList) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        for change in changes {
            let mut record = BaseRecord::<str, [u8]>::to(&self.inventory).key(&change.key);
            record.payload = change.value.as_deref();
            while let Err((error, back)) = self.producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error);
                }
                self.producer.poll(WAIT);
                record = back;
            }
        }
        // Also without new offsets: it is this that a process without its partitions is refused at.
        if let Some(group) = self.consumer.group_metadata() {
            self.producer.send_offsets_to_transaction(offsets, &group, ANSWER)?;
        }
        if let Some(before_commit) = &self.options.before_commit {
            self.producer.flush(ANSWER)?;
            before_commit();
        }
        self.producer.commit_transaction(ANSWER)
    }
}

/// Lets go of partitions that were taken, and begins those that were given with what the inventory has of them.
fn follow(
    options: &Options,
    inventory: &str,
    moved: &[Moved],
    parts: &mut BTreeMap<i32, Part>,
    partitions: impl Fn() -> Result<Vec<i32>, GroupError>,
) -> Result<(), GroupError> {
    let mut given = Vec::new();
    for change in moved {
        match *change {
            Moved::Given(id) => {
                parts.insert(
                    id,
                    Part { rollup: Rollup::new(options.rollup.clone()), next: 0, committed: 0, whole: false },
                );
                given.push(id);
            }
            Moved::Taken(id) => {
                parts.remove(&id);
                given.retain(|other| *other != id);
            }
        }
    }
    if given.is_empty() {
        return Ok(());
    }
    let count = partitions()?.len() as u32;
    let mut published: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    read_to_end(&options.settings, inventory, |_, key, value| {
        match value {
            Some(value) => published.insert(key.to_vec(), value.to_vec()),
            None => published.remove(key),
        };
    })?;
    for (key, value) in published {
        let key = String::from_utf8_lossy(&key);
        let host = host_of(&value);
        // What is no record of ours is somebody's to take out.
        let id = partition_of(place_of(host.as_deref().unwrap_or(&key)).as_bytes(), count) as i32;
        if let Some(part) = parts.get_mut(&id).filter(|_| given.contains(&id)) {
            part.rollup.published(&key, &host.unwrap_or_default(), &value);
        }
    }
    Ok(())
}
