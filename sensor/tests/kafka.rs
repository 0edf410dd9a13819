//! The binary and a real Kafka: topics, replay, and kill -9 in between (F086).
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{temporary, umbra};
use umbra_event::kafka::{HealthRecord, HealthStatus};
use umbra_testkit::{Kafka, Listener, Random};

/// Kills in a row; `UMBRA_KILLS` says more.
const KILLS: u32 = 5;

fn capture() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/demo/capture.pcap").to_owned()
}

/// A configuration of one test, and its topics.
fn configuration(kafka: &Kafka, prefix: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{prefix}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "[state]\ndirectory = \"{}\"\n[kafka]\nbrokers = [\"{}\"]\nprefix = \"{prefix}\"\npartitions = 3\nreplication = 1\n",
        folder.join("state").display(),
        kafka.bootstrap()
    );
    let path = temporary(&format!("{prefix}.toml"), &text).to_str().unwrap().to_owned();
    let made = umbra(&["topics", "create", "-c", &path]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

/// Ids of the events of a topic, as Kafka's own consumer reads them; and how many with duplicates.
fn ids(kafka: &Kafka, topic: &str) -> (BTreeSet<String>, usize) {
    let text = kafka.tool("console-consumer", &["--topic", topic, "--from-beginning", "--timeout-ms", "5000"]);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["source"] == "replay"));
    (events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect(), events.len())
}

fn undisturbed(config: &str) -> BTreeSet<String> {
    let output = umbra(&["replay", &capture(), "-c", config, "--events", "-", "--format", "none", "-q"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned();
    text.lines().map(id).collect()
}

#[test]
fn a_replay_into_kafka_waits_for_every_acknowledgement() {
    let Some(kafka) = Kafka::shared() else { return };
    let config = configuration(kafka, "replay");
    let check = umbra(&["check", "--online", "-c", &config]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let expected = undisturbed(&config);
    let output = umbra(&["replay", &capture(), "-c", &config, "--kafka", "--format", "none"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("kafka: {} events and ", expected.len())), "{said}");
    assert!(said.contains(" rows delivered, 0 wait in the spool"), "{said}");
    assert_eq!(ids(kafka, "replay.events"), (expected.clone(), expected.len()));
    // Not said, not sent.
    assert!(umbra(&["replay", &capture(), "-c", &config, "--format", "none"]).status.success());
    assert_eq!(ids(kafka, "replay.events").1, expected.len());
}

/// The newest record of each key of a compacted topic, as Kafka's own consumer reads it; tombstones take theirs out.
fn newest(kafka: &Kafka, topic: &str) -> BTreeMap<String, Value> {
    let options =
        ["--topic", topic, "--from-beginning", "--timeout-ms", "5000", "--formatter-property", "print.key=true"];
    let text = kafka.tool("console-consumer", &options);
    let mut records = BTreeMap::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        match value {
            "null" => records.remove(key),
            value => records.insert(key.to_owned(), serde_json::from_str(value).unwrap()),
        };
    }
    records
}

/// Endpoints of a printed inventory.
fn endpoints(args: &[&str]) -> Vec<Value> {
    let output = umbra(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
    std::mem::take(document["endpoints"].as_array_mut().unwrap())
}

/// What sensors tell of endpoints is the inventory, read back from their rows or rolled up; and the same capture told again, by
/// another number of workers, counts once.
#[test]
fn the_inventory_in_kafka_is_that_of_the_capture() {
    let Some(kafka) = Kafka::shared() else { return };
    let config = configuration(kafka, "rows");
    let capture = capture();
    let expected = endpoints(&["replay", &capture, "--format", "json", "-q"]);
    assert!(expected.len() > 10);
    for workers in ["1", "3", "1"] {
        let output = umbra(&["replay", &capture, "-c", &config, "--kafka", "--format", "none", "-w", workers]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(endpoints(&["inventory", "--from", "kafka", "-c", &config, "--format", "json"]), expected);

    let mut rolled = Vec::new();
    for _ in 0..2 {
        let output = umbra(&["rollup", "--once", "--unconfirmed", "-c", &config]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        rolled.push(newest(kafka, "rows.endpoints"));
    }
    assert_eq!(rolled[0], rolled[1], "again from the beginning: nothing changes");
    let by_id: BTreeMap<String, Value> =
        expected.iter().map(|it| (it["endpoint_id"].as_str().unwrap().to_owned(), it.clone())).collect();
    assert_eq!(rolled[0].keys().collect::<Vec<_>>(), by_id.keys().collect::<Vec<_>>());
    for (id, mut record) in rolled.remove(0) {
        let sensors = record.as_object_mut().unwrap().remove("sensors");
        assert_eq!(sensors, Some(serde_json::json!(["umbra"])));
        // Ids of what no server answered with success may be among them on one side only.
        let mut expected = by_id[&id].clone();
        for side in [&mut record, &mut expected] {
            side.as_object_mut().unwrap().remove("merged_from");
        }
        assert_eq!(record, expected, "{id}");
    }

    let health = newest(kafka, "rows.sensors");
    let of: HealthRecord = serde_json::from_value(health["umbra"].clone()).unwrap();
    assert_eq!((of.status, of.lost.len()), (HealthStatus::Ok, 0), "{of:?}");
    assert!(of.packets > 100 && of.bytes > of.packets && of.events_produced == undisturbed(&config).len() as u64);
}

#[test]
fn f086_kill_9_at_random_moments_of_a_replay_into_kafka() {
    let Some(kafka) = Kafka::shared() else { return };
    let config = configuration(kafka, "kill");
    let expected = undisturbed(&config);
    let kills = std::env::var("UMBRA_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(KILLS);
    let mut random = Random::new(86);
    for _ in 0..kills {
        let mut child = Command::new(env!("CARGO_BIN_EXE_umbra"))
            .args(["replay", &capture(), "-c", &config, "--kafka", "--format", "none", "-q"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.below(400) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = umbra(&["replay", &capture(), "-c", &config, "--kafka", "--format", "none"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains(" 0 wait in the spool"), "{said}");
    assert!(!said.contains("lost") && !said.contains("damaged"), "{said}");
    assert_eq!(ids(kafka, "kill.events").0, expected, "once each after folding by event_id: {said}");
    let inventory = endpoints(&["replay", &capture(), "--format", "json", "-q"]);
    assert_eq!(endpoints(&["inventory", "--from", "kafka", "-c", &config, "--format", "json"]), inventory);
}

/// What `umbra topics plan` says must be allowed is enough, and without it a roll-up says what is wrong.
#[test]
fn the_permissions_of_the_plan_are_enough() {
    let Some(kafka) = Kafka::shared() else { return };
    let plain = configuration(kafka, "acl");
    let password = temporary("password", "umbra-secret\n");
    let text =
        std::fs::read_to_string(&plain).unwrap().replace(&kafka.bootstrap(), &kafka.addresses(Listener::SaslTls));
    let text = format!(
        "{text}tls = true\nca_file = \"{}\"\nsasl = \"SCRAM-SHA-512\"\nusername = \"umbra\"\npassword_file = \"{}\"\n",
        kafka.tls("ca.pem").display(),
        password.display()
    );
    let config = temporary("secure.toml", &text).to_str().unwrap().to_owned();
    let refused = umbra(&["rollup", "--once", "-c", &config]);
    assert_eq!(refused.status.code(), Some(77), "{}", String::from_utf8_lossy(&refused.stderr));
    let plan = umbra(&["topics", "plan", "-c", &config]);
    for acl in String::from_utf8_lossy(&plan.stdout).lines().filter_map(|line| line.strip_prefix("    --add ")) {
        kafka.tool("acls", &[&["--add"], &acl.split(' ').collect::<Vec<_>>()[..]].concat());
    }
    let sent = umbra(&["replay", &capture(), "-c", &config, "--kafka", "--format", "none"]);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let rolled = umbra(&["rollup", "--once", "-c", &config]);
    assert!(rolled.status.success(), "{}", String::from_utf8_lossy(&rolled.stderr));
    assert!(newest(kafka, "acl.endpoints").len() > 10);
    assert!(endpoints(&["inventory", "--from", "kafka", "-c", &config, "--format", "json"]).len() > 10);
}

#[test]
fn topics_are_planned_and_checked_and_secrets_not_told() {
    let plan = umbra(&["topics", "plan"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    for name in ["umbra.events", "umbra.endpoints.sensor", "umbra.endpoints", "umbra.findings", "umbra.sensors"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(text.contains("IdempotentWrite"), "{text}");
    let nobody = umbra(&["topics", "check", "--brokers", "127.0.0.1:9"]);
    assert_eq!(nobody.status.code(), Some(69), "no broker answers");
    let twice = "[state]\ndirectory=\"x\"\n[kafka]\nbrokers=[\"h:1\"]\n[kafka.properties]\n\"metadata.broker.list\"=\"canary\"\n";
    let path = temporary("twice.toml", twice);
    let output = umbra(&["check", "-c", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("bootstrap.servers") && !said.contains("canary"), "{said}");
    let printed = umbra(&["replay", "x", "-c", path.to_str().unwrap(), "--print-config"]);
    assert!(!String::from_utf8_lossy(&printed.stdout).contains("canary"));
}
