//! Kafka as the sensor uses it: events on their way there, `umbra topics`, `umbra check --online`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use umbra_event::kafka::{HealthRecord, KafkaRecord, KafkaState, SpoolRecord};
use umbra_publish::kafka::{
    Admin, AdminError, Batch, Delivery, DeliveryConfig, Error, Handle, Ledger, Sasl, Settings, Tls, TopicPlan, WhenFull,
};
use umbra_store::{Class, Losses};

use crate::config::{Config, Kafka};
use crate::exit::{self, Failure};
use crate::{cli, health, print, signals};

/// Bytes given to the library and not acknowledged.
const WINDOW_BYTES: usize = 32 << 20;
/// Bytes of events handed over at once.
const BATCH_BYTES: usize = 128 << 10;
/// How long a live sensor that ends waits for the broker: what is not acknowledged by then stays in the spool.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// Events on their way to Kafka.
pub(crate) struct KafkaSink {
    delivery: Option<Delivery>,
    channel: Option<Channel>,
    live: bool,
}

/// A way to Kafka for whatever has records. All have to be gone before the sink can end.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) handle: Handle,
    spool_cap: u64,
    /// What the spool had lost before this run.
    lost_before: Losses,
}

impl KafkaSink {
    /// Opens the spool; the brokers need not be there.
    pub(crate) fn open(config: &Config, live: bool) -> Result<KafkaSink, Failure> {
        let kafka = &config.kafka;
        let spool_config = umbra_store::Config {
            cap_bytes: kafka.spool_mib << 20,
            segment_bytes: (kafka.spool_mib << 18).min(umbra_store::Config::default().segment_bytes),
            sync_interval: Duration::from_millis(kafka.sync_ms),
            ..umbra_store::Config::default()
        };
        let delivery = Delivery::start(DeliveryConfig {
            settings: settings(kafka)?,
            topics: plan(kafka).by_class(),
            sensor: config.sensor.id.clone(),
            spool: spool(config)?,
            spool_config,
            window_bytes: WINDOW_BYTES,
            when_full: if live { WhenFull::Drop } else { WhenFull::Wait },
        })
        .map_err(|error| match error {
            Error::Settings(error) => Failure::new(exit::CONFIG, format!("kafka: {error}")),
            error => Failure::new(exit::IO, format!("spool: {error}")),
        })?;
        let before = delivery.ledger();
        if before.pending() > 0 {
            tell!("umbra: {} records of an earlier run wait in the spool", before.pending());
        }
        let channel = |handle| Channel { handle, spool_cap: spool_config.cap_bytes, lost_before: before.losses };
        Ok(KafkaSink { channel: delivery.handle().map(channel), delivery: Some(delivery), live })
    }

    /// For who has other records than events.
    pub(crate) fn channel(&self) -> Option<Channel> {
        self.channel.clone()
    }
    /// Hands on events, one a line. Waits while the queue before the spool is full.
    pub(crate) fn write(&self, lines: &[u8]) {
        let Some(Channel { handle, .. }) = &self.channel else { return };
        let mut batch = Vec::with_capacity(BATCH_BYTES * 2);
        let mut count = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            Batch::push(&mut batch, key_of(line), time_of(line), |out| out.extend_from_slice(line));
            count += 1;
            if batch.len() >= BATCH_BYTES {
                handle.give(Class::Event, &mut batch, std::mem::take(&mut count));
            }
        }
        if count > 0 {
            handle.give(Class::Event, &mut batch, count);
        }
    }

    /// What became of the records.
    pub(crate) fn ledger(&self) -> Option<Ledger> {
        self.channel.as_ref().map(|channel| channel.handle.ledger())
    }

    /// A replay waits until the broker has everything, or a person has enough; a live sensor a few seconds. The rest stays in
    /// the spool for the next run.
    pub(crate) fn finish(&mut self) -> Option<Ledger> {
        self.channel = None;
        let (started, live) = (Instant::now(), self.live);
        let mut told = Instant::now();
        let ledger = self.delivery.take()?.finish(|ledger| {
            if !live && told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                let why = ledger.error.as_deref().filter(|_| !ledger.connected).unwrap_or("sending");
                tell!("umbra: {} records wait for Kafka: {why}", ledger.pending());
            }
            if live { started.elapsed() > LAST_RECORDS } else { signals::stopped() }
        });
        Some(ledger)
    }
}

impl Channel {
    /// Adds what became of the records, and how it is with the brokers.
    pub(crate) fn add_to(&self, record: &mut HealthRecord) {
        let ledger = self.handle.ledger();
        let (now, before) = (&ledger.losses, &self.lost_before);
        for (class, [now, before]) in Class::ALL.into_iter().zip([
            [now.event, before.event],
            [now.health, before.health],
            [now.endpoint, before.endpoint],
            [now.finding, before.finding],
        ]) {
            let of = ledger.class(class);
            for (stage, reason, count) in [
                ("queue", "full", of.lost_queue),
                ("spool", "too_long", of.lost_too_long),
                ("spool", "full", now.over_cap - before.over_cap),
                ("spool", "disk", now.disk - before.disk),
                ("spool", "damaged", now.damaged - before.damaged),
                ("producer", "refused", of.aside),
            ] {
                health::add_loss(record, class.name(), stage, reason, count);
            }
        }
        record.events_delivered = ledger.class(Class::Event).delivered;
        record.spool =
            Some(SpoolRecord { bytes: ledger.spool_bytes, cap_bytes: self.spool_cap, pending: ledger.pending() });
        // Nothing sent yet and nothing wrong: as good as connected.
        let state = match ledger.connected || ledger.error.is_none() {
            true => KafkaState::Connected,
            false => KafkaState::Disconnected,
        };
        record.kafka = Some(KafkaRecord { state, last_error: ledger.error, last_delivery: None });
    }
}

/// One line for people: where the records are.
pub(crate) fn summary(ledger: &Ledger) -> String {
    let events = ledger.class(Class::Event).delivered;
    let others = ledger.delivered().saturating_sub(events);
    let mut text =
        format!("kafka: {events} events and {others} rows delivered, {} wait in the spool", ledger.pending());
    let aside: u64 = ledger.classes.iter().map(|class| class.aside).sum();
    let lost = [
        (ledger.classes.iter().map(|class| class.lost_queue).sum(), "lost before the spool"),
        (ledger.classes.iter().map(|class| class.lost_too_long).sum(), "lost as too long"),
        (ledger.losses.event.over_cap, "events dropped by a full spool"),
        (ledger.losses.event.disk, "events lost to the disk"),
        (ledger.losses.event.damaged, "events damaged in the spool"),
        (aside, "set aside: the broker refuses them"),
        (ledger.retries, "sent again"),
    ];
    for (count, what) in lost {
        let count: u64 = count;
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if let Some(error) = ledger.error.as_ref().filter(|_| !ledger.connected) {
        let _ = write!(text, "; {error}");
    }
    text
}

/// The endpoint of an event, as its line says it: what a string holds cannot look so, its quotes are escaped.
fn key_of(line: &[u8]) -> &[u8] {
    const BEFORE: &[u8] = b",\"api\":{\"endpoint_id\":\"";
    const DIGITS: usize = 32;
    let found = memchr::memmem::find(line, BEFORE).and_then(|at| line.get(at..)?.get(BEFORE.len()..)?.get(..DIGITS));
    found.unwrap_or_default()
}

/// The packet time of an event, which stands behind its id.
fn time_of(line: &[u8]) -> u64 {
    const BEFORE: &[u8] = b"\",\"time\":\"";
    const LENGTH: usize = "2026-01-01T00:00:00.000000000Z".len();
    let text = memchr::memmem::find(line, BEFORE).and_then(|at| line.get(at..)?.get(BEFORE.len()..)?.get(..LENGTH));
    text.and_then(|text| std::str::from_utf8(text).ok()).and_then(umbra_event::read_rfc3339).unwrap_or_default()
}

/// `umbra topics`.
pub(crate) fn topics(args: &cli::Topics) -> Result<(), Failure> {
    let mut config = Config::read(args.config.as_deref())?;
    if !args.brokers.is_empty() {
        config.kafka.brokers.clone_from(&args.brokers);
    }
    let plan = plan(&config.kafka);
    match args.action {
        cli::TopicsAction::Plan => {
            let mut text = String::new();
            for topic in &plan.topics {
                let copies = topic.replication.map_or("as the cluster has it".to_owned(), |copies| copies.to_string());
                let _ = writeln!(text, "{}  partitions {}  replication {copies}", topic.name, topic.partitions);
                for (name, value) in &topic.config {
                    let _ = writeln!(text, "    {name}={value}");
                }
            }
            let principal = format!("User:{}", config.kafka.username.as_deref().unwrap_or("umbra"));
            let sensor = ("a sensor", plan.acls(&principal));
            let rollup = ("umbra rollup and umbra inventory --from kafka", plan.rollup_acls(&principal, cli::GROUP));
            for (who, acls) in [sensor, rollup] {
                let _ = writeln!(text, "\nwhat {who} must be allowed (arguments of kafka-acls.sh):");
                for acl in acls {
                    let _ = writeln!(text, "    {acl}");
                }
            }
            print(text.as_bytes())
        }
        cli::TopicsAction::Create => {
            let made = Admin::new(&settings(&config.kafka)?).and_then(|admin| admin.create(&plan)).map_err(failure)?;
            print(made.iter().fold(String::new(), |text, name| text + "made " + name + "\n").as_bytes())?;
            print(format!("{} of {} topics were there\n", plan.topics.len() - made.len(), plan.topics.len()).as_bytes())
        }
        cli::TopicsAction::Check => {
            let wrong = Admin::new(&settings(&config.kafka)?).and_then(|admin| admin.check(&plan)).map_err(failure)?;
            for deviation in &wrong {
                print(format!("{deviation}\n").as_bytes())?;
            }
            if wrong.is_empty() { print(b"ok\n") } else { Err(Failure::reported(exit::CONFIG)) }
        }
    }
}

/// What can be said of the settings without a network.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    if !config.kafka.is_set() {
        return Ok(());
    }
    spool(config)?;
    settings(&config.kafka)?.check().map_err(|error| Failure::new(exit::CONFIG, format!("kafka: {error}")))
}

/// `umbra check --online`: broker by broker what works.
pub(crate) fn check_online(config: &Config) -> Result<(), Failure> {
    if !config.kafka.is_set() {
        return Err(Failure::new(exit::CONFIG, "kafka: no brokers are configured"));
    }
    let settings = settings(&config.kafka)?;
    let mut all = Vec::new();
    let mut wrong = None;
    for broker in &config.kafka.brokers {
        let one = Settings { brokers: vec![broker.clone()], ..settings.clone() };
        match Admin::new(&one).and_then(|admin| admin.brokers()) {
            Ok(found) => {
                tell!("{broker}: answers; the cluster has {} brokers", found.len());
                all.extend(found.into_iter().map(|(_, address)| address));
            }
            Err(error) => {
                tell!("{broker}: {error}");
                wrong = Some(failure(error));
            }
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    all.sort();
    all.dedup();
    let deviations = Admin::new(&settings).and_then(|admin| admin.check(&plan(&config.kafka))).map_err(failure)?;
    deviations.iter().for_each(|deviation| tell!("{deviation}"));
    if deviations.is_empty() { Ok(()) } else { Err(Failure::reported(exit::CONFIG)) }
}

fn plan(kafka: &Kafka) -> TopicPlan {
    TopicPlan::new(&kafka.prefix, kafka.partitions, kafka.replication)
}

pub(crate) fn settings(kafka: &Kafka) -> Result<Settings, Failure> {
    let tls = kafka.tls.then(|| Tls {
        ca_file: kafka.ca_file.clone(),
        certificate_file: kafka.certificate_file.clone(),
        key_file: kafka.key_file.clone(),
    });
    let sasl = match (kafka.sasl, &kafka.username) {
        (Some(mechanism), Some(username)) => {
            Some(Sasl { mechanism: mechanism.name().into(), username: username.clone(), password: password(kafka)? })
        }
        _ => None,
    };
    Ok(Settings { brokers: kafka.brokers.clone(), tls, sasl, properties: kafka.properties.clone() })
}

fn password(kafka: &Kafka) -> Result<String, Failure> {
    let from_file = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| Failure::new(exit::CONFIG, format!("kafka.password_file: {}: {error}", path.display())))
    };
    match (&kafka.password_env, &kafka.password_file) {
        (Some(name), _) => std::env::var(name)
            .map_err(|_| Failure::new(exit::CONFIG, format!("kafka.password_env: {name} is not set, or is not UTF-8"))),
        (None, Some(path)) => from_file(path),
        (None, None) => Ok(String::new()),
    }
}

fn spool(config: &Config) -> Result<PathBuf, Failure> {
    let in_state = || config.state.directory.as_ref().map(|directory| directory.join("spool"));
    config.kafka.spool.clone().or_else(in_state).ok_or_else(|| {
        Failure::new(exit::CONFIG, "kafka: events need a spool on disk: set kafka.spool, or directory in [state]")
    })
}

fn failure(error: AdminError) -> Failure {
    let code = match &error {
        AdminError::Settings(_) => exit::CONFIG,
        AdminError::Unreachable(_) => exit::UNREACHABLE,
        AdminError::Refused(_) => exit::NO_PERMISSION,
    };
    Failure::new(code, format!("kafka: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_time_come_from_the_line_and_captured_text_does_not_pass_for_them() {
        let line = br#"{"schema_version":1,"event_id":"ab-0","time":"1970-01-01T00:00:01.000000002Z","url":{"path":"/\",\"api\":{\"endpoint_id\":\"no"},"api":{"endpoint_id":"0123456789abcdef0123456789abcdef","style":"rest"}}"#;
        assert_eq!(key_of(line), b"0123456789abcdef0123456789abcdef");
        assert_eq!(time_of(line), 1_000_000_002);
        assert_eq!((key_of(b"{}"), time_of(b"{}")), (&b""[..], 0));
    }
}
