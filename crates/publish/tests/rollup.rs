//! The roll-up on a real broker: processes of one group, one of them killed between what it wrote and its commit.
#![allow(clippy::unwrap_used)]

#[path = "../../rollup/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use support::{Sensor, flows, shared};
use umbra_event::kafka::{EndpointRecord, Topic};
use umbra_publish::kafka::{Settings, partition_of};
use umbra_publish::read_to_end;
use umbra_publish::rollup::{Options, run};
use umbra_rollup::Rollup;
use umbra_testkit::{Kafka, Random};

const PARTITIONS: u32 = 3;

type Inventory = BTreeMap<String, EndpointRecord>;

fn options(bootstrap: &str, prefix: &str) -> Options {
    // The least that brokers allow: the dead are noticed soon.
    let properties = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Options {
        settings: Settings { brokers: vec![bootstrap.to_owned()], properties, ..Settings::default() },
        prefix: prefix.to_owned(),
        group: format!("{prefix}.rollup"),
        rollup: umbra_rollup::Config::default(),
        commit_every: Duration::from_millis(300),
        once: false,
        before_commit: None,
    }
}

fn create_topics(kafka: &Kafka, prefix: &str) {
    for topic in [Topic::SensorEndpoints, Topic::Endpoints] {
        let (name, partitions) = (topic.name(prefix), PARTITIONS.to_string());
        let compact = ["--config", "cleanup.policy=compact"];
        let arguments = ["--create", "--topic", &name, "--partitions", &partitions];
        kafka.tool("topics", &[&arguments[..], &compact[..]].concat());
    }
}

/// The inventory as consumers see it, without what names who saw what.
fn inventory(options: &Options) -> Inventory {
    let mut values: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut places: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    read_to_end(&options.settings, &Topic::Endpoints.name(&options.prefix), |place, key, value| {
        assert_eq!(partition_of(key, PARTITIONS), place as u32, "a key is not where Java's partitioner puts it");
        assert_eq!(*places.entry(key.to_vec()).or_insert(place), place);
        match value {
            Some(value) => drop(values.insert(key.to_vec(), value.to_vec())),
            None => drop(values.remove(key)),
        }
    })
    .unwrap();
    let records = values.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), record(&value)));
    records.collect()
}

fn record(value: &[u8]) -> EndpointRecord {
    let mut record: EndpointRecord = serde_json::from_slice(value).unwrap();
    record.sensors.clear();
    record
}

/// A process of the group: this test program, started again.
fn process(options: &Options, commits_before_death: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_of_the_group", "--ignored", "--nocapture"])
        .env("UMBRA_TEST_BOOTSTRAP", &options.settings.brokers[0])
        .env("UMBRA_TEST_PREFIX", &options.prefix)
        .env("UMBRA_TEST_COMMITS", commits_before_death.to_string())
        // Its end is the child's sign to go, however this process ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by the test below"]
fn a_process_of_the_group() {
    let Ok(bootstrap) = std::env::var("UMBRA_TEST_BOOTSTRAP") else { return };
    let mut options = options(&bootstrap, &std::env::var("UMBRA_TEST_PREFIX").unwrap());
    let commits: u64 = std::env::var("UMBRA_TEST_COMMITS").unwrap().parse().unwrap();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let done = AtomicU64::new(0);
    options.before_commit = Some(Arc::new(move || {
        if done.fetch_add(1, Ordering::Relaxed) == commits {
            let id = std::process::id().to_string();
            let _ = Command::new("kill").args(["-9", &id]).status();
            std::thread::sleep(Duration::from_secs(60));
        }
    }));
    run(&options, &AtomicBool::new(false), &|error| eprintln!("roll-up: {error}")).unwrap();
}

/// `UMBRA_KAFKA_ROUNDS=10` for more than one round, each with other traffic, another cut and another death.
#[test]
fn a_process_killed_between_writing_and_commit_changes_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let rounds: u64 = std::env::var("UMBRA_KAFKA_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let mut random = Random::new(round);
        let flows = flows(round, 200);
        let mut one = Sensor::new("all", "1", 1);
        flows.iter().for_each(|flow| one.see(flow));
        let mut rollup = Rollup::new(umbra_rollup::Config::default());
        one.rows().iter().for_each(|(key, _, value)| rollup.handle(key, Some(value)));
        let changes = rollup.changes(u64::MAX);
        let expected: Inventory =
            changes.into_iter().map(|change| (change.key, record(&change.value.unwrap()))).collect();

        let options = options(&kafka.bootstrap(), &format!("round{round}"));
        create_topics(kafka, &options.prefix);
        let rows = shared(&flows, 3, &mut random);
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).set("linger.ms", "5").create().unwrap();
        let topic = Topic::SensorEndpoints.name(&options.prefix);
        let mut doomed = process(&options, random.below(3) as u64);
        let mut other = process(&options, u64::MAX);
        let mut heir = None;
        for batch in rows.chunks(rows.len() / 10 + 1) {
            for (key, _, value) in batch {
                let place = partition_of(key.as_bytes(), PARTITIONS) as i32;
                let record = BaseRecord::to(&topic).key(key).payload(value).partition(place);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.flush(Duration::from_secs(30)).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            if heir.is_none() && doomed.try_wait().unwrap().is_some() {
                heir = Some(process(&options, u64::MAX));
            }
        }
        // More for the doomed one to commit, should it live yet, whichever partitions it has: what is no row changes only offsets.
        let deadline = Instant::now() + Duration::from_secs(300);
        while doomed.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "round {round}: it was not killed");
            for place in 0..PARTITIONS as i32 {
                let record = BaseRecord::to(&topic).key("no|row").payload("{}").partition(place);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.flush(Duration::from_secs(30)).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        let mut heir = heir.unwrap_or_else(|| process(&options, u64::MAX));
        while inventory(&options) != expected {
            assert!(Instant::now() < deadline, "round {round}: {:#?}", difference(&inventory(&options), &expected));
            std::thread::sleep(Duration::from_millis(500));
        }
        for child in [&mut other, &mut heir] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // From nothing again, by one process: there is nothing left to write.
        let again = Options { group: format!("{}.again", options.prefix), once: true, ..options.clone() };
        let report = run(&again, &AtomicBool::new(false), &|error| eprintln!("{error}")).unwrap();
        assert_eq!(report.written, 0, "round {round}");
        assert_eq!(inventory(&options), expected, "round {round}");
        println!("round {round}: {} endpoints of {} rows", expected.len(), rows.len());
    }
}

fn difference<'a>(found: &'a Inventory, expected: &'a Inventory) -> Vec<(&'a str, Option<u64>, Option<u64>)> {
    let keys = found.keys().chain(expected.keys()).collect::<std::collections::BTreeSet<_>>();
    keys.into_iter()
        .filter(|key| found.get(*key) != expected.get(*key))
        .map(|key| {
            let requests = |of: &Inventory| of.get(key).map(|record| record.requests);
            (expected.get(key).or(found.get(key)).unwrap().route.as_str(), requests(found), requests(expected))
        })
        .collect()
}

/// A topic that is not there is an error, not a wait without end.
#[test]
fn a_topic_that_is_not_there_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let options = options(&kafka.bootstrap(), "nowhere");
    assert!(run(&options, &AtomicBool::new(false), &|_| {}).is_err());
}
