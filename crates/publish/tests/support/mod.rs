//! What the tests of the delivery share: topics of one test, events, and what a consumer finds of them.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use umbra_publish::kafka::{Batch, Delivery, DeliveryConfig, Ledger, Sasl, Settings, Tls, TopicPlan, WhenFull};
use umbra_store::Class;
use umbra_testkit::{Kafka, Listener};

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A prefix for topics and a folder of one test.
pub(crate) struct Place {
    pub(crate) prefix: String,
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("umbra-publish-{}-{prefix}", std::process::id()));
        Place { prefix, folder }
    }

    pub(crate) fn plan(&self) -> TopicPlan {
        TopicPlan::new(&self.prefix, 3, Some(1))
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}.events", self.prefix)
    }

    pub(crate) fn config(&self, settings: &Settings) -> DeliveryConfig {
        DeliveryConfig {
            settings: settings.clone(),
            topics: self.plan().by_class(),
            sensor: "s1".into(),
            spool: self.folder.clone(),
            spool_config: umbra_store::Config::default(),
            window_bytes: 8 << 20,
            when_full: WhenFull::Wait,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn plaintext(kafka: &Kafka) -> Settings {
    let properties = BTreeMap::from([("topic.metadata.propagation.max.ms".to_owned(), "1000".to_owned())]);
    Settings { brokers: vec![kafka.bootstrap()], properties, ..Settings::default() }
}

pub(crate) fn secure(kafka: &Kafka, listener: Listener, mechanism: &str) -> Settings {
    Settings {
        brokers: vec![kafka.addresses(listener)],
        tls: Some(Tls { ca_file: Some(kafka.tls("ca.pem").to_str().unwrap().into()), ..Tls::default() }),
        sasl: Some(Sasl { mechanism: mechanism.into(), username: "umbra".into(), password: "umbra-secret".into() }),
        ..plaintext(kafka)
    }
}

/// Gives events `range`, 100 a batch.
pub(crate) fn give(delivery: &Delivery, range: std::ops::Range<u32>) {
    let handle = delivery.handle().unwrap();
    let mut bytes = Vec::new();
    for id in range {
        Batch::push(&mut bytes, format!("endpoint-{}", id % 7).as_bytes(), u64::from(id), |out| {
            out.extend_from_slice(event(id).as_bytes());
        });
        if id % 100 == 99 {
            handle.give(Class::Event, &mut bytes, 100);
            bytes.clear();
        }
    }
    assert!(bytes.is_empty(), "a range of whole hundreds");
}

pub(crate) fn event(id: u32) -> String {
    format!(
        r#"{{"schema_version":1,"event_id":"e-{id}","time":"2026-01-01T00:00:00Z","padding":"{}"}}"#,
        "x".repeat(200)
    )
}

/// Waits for the end of all, or fails with the ledger.
pub(crate) fn finish(delivery: Delivery) -> Ledger {
    let deadline = Instant::now() + PATIENCE;
    let ledger = delivery.finish(|_| Instant::now() > deadline);
    assert_eq!(ledger.pending(), 0, "{ledger:?}");
    ledger
}

pub(crate) fn wait_for(delivery: &Delivery, what: impl Fn(&Ledger) -> bool) -> Ledger {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ledger = delivery.ledger();
        if what(&ledger) {
            return ledger;
        }
        assert!(Instant::now() < deadline, "{ledger:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct Consumed {
    pub(crate) key: Vec<u8>,
    pub(crate) partition: i32,
    pub(crate) headers: BTreeMap<String, String>,
}

/// All records of a topic, by id; the count says how many there were with duplicates.
pub(crate) fn consume(kafka: &Kafka, topic: &str) -> (BTreeMap<String, Consumed>, u64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).set("group.id", "t").create().unwrap();
    let mut list = TopicPartitionList::new();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut rest = 0;
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap();
        rest += high - low;
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut all, mut count) = (BTreeMap::new(), 0);
    while rest > 0 {
        let message = consumer.poll(PATIENCE).unwrap().unwrap();
        rest -= 1;
        count += 1;
        let headers: BTreeMap<String, String> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
            .collect();
        let key = message.key().unwrap_or_default().to_vec();
        all.insert(headers["ce_id"].clone(), Consumed { key, partition: message.partition(), headers });
    }
    (all, count)
}

pub(crate) fn ids(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(|id| format!("e-{id}")).collect()
}

pub(crate) fn ids_of(all: &BTreeMap<String, Consumed>) -> BTreeSet<String> {
    all.keys().cloned().collect()
}
