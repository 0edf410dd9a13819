//! What several sensors have seen, rolled up, is what one that sees all of it would have.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use support::{Flow, Sensor, flows, shared};
use umbra_event::kafka::{
    ENDPOINT_SCHEMA, EndpointRecord, ROUTE_EVIDENCE_SCHEMA, RouteEvidenceRecord, SENSOR_ROW_SCHEMA, SensorRow,
};
use umbra_rollup::{Change, Config, Rollup, endpoint_record};
use umbra_testkit::Random;

const NOW: u64 = 1_800_000_000_000_000_000;

type Topic = BTreeMap<String, Vec<u8>>;

/// What the compacted topic of the inventory holds after changes.
fn apply(topic: &mut Topic, changes: Vec<Change>) {
    for Change { key, value } in changes {
        match value {
            Some(value) => drop(topic.insert(key, value)),
            None => drop(topic.remove(&key)),
        }
    }
}

/// The inventory that rows make, taken in one after the other, with a look now and then.
fn rolled_up(rows: &[(String, String, Vec<u8>)], every: usize) -> Topic {
    let mut rollup = Rollup::new(Config::default());
    let mut topic = Topic::new();
    for (number, (key, _, value)) in rows.iter().enumerate() {
        rollup.handle(key, Some(value));
        if number % every == 0 {
            apply(&mut topic, rollup.changes(NOW));
        }
    }
    apply(&mut topic, rollup.changes(NOW));
    assert_eq!(rollup.counters().unreadable, 0);
    topic
}

fn records(topic: &Topic) -> BTreeMap<String, EndpointRecord> {
    topic.iter().map(|(key, value)| (key.clone(), serde_json::from_slice(value).unwrap())).collect()
}

/// The same without what names who saw it.
fn without_sensors(topic: &Topic) -> BTreeMap<String, EndpointRecord> {
    let mut all = records(topic);
    all.values_mut().for_each(|record| record.sensors.clear());
    all
}

fn one(flows: &[Flow]) -> (Topic, Vec<EndpointRecord>) {
    let mut sensor = Sensor::new("all", "1", 1);
    flows.iter().for_each(|flow| sensor.see(flow));
    let rows = sensor.rows();
    let mut inventory = sensor.inventory();
    inventory.settle();
    let confirmed = inventory.endpoints().into_iter().filter(|endpoint| endpoint.confirmed);
    (rolled_up(&rows, usize::MAX), confirmed.map(endpoint_record).collect())
}

#[test]
fn many_sensors_give_what_one_gives() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let flows = flows(seed, 60 + 60 * seed as usize);
        let (expected, settled) = one(&flows);
        // The roll-up of one sensor is what that sensor itself prints.
        let mut printed: Vec<EndpointRecord> = records(&expected).into_values().collect();
        printed.iter_mut().for_each(|record| record.sensors.clear());
        printed.sort_by_key(|record| (record.host.clone(), record.route.clone(), record.method.clone()));
        assert_eq!(printed, settled, "seed {seed}");
        assert!(printed.len() > 10 && printed.iter().any(|record| record.route.contains('{')));

        for sensors in [2, 3, 5] {
            let rows = shared(&flows, sensors, &mut random);
            let found = rolled_up(&rows, 40);
            assert_eq!(without_sensors(&found), without_sensors(&expected), "seed {seed}, {sensors} sensors");
            assert!(records(&found).values().any(|record| record.sensors.len() == sensors));
        }
    }
}

#[test]
fn duplicates_repeats_and_any_order_give_the_same_bytes() {
    let mut random = Random::new(1);
    let rows = shared(&flows(1, 150), 3, &mut random);
    let expected = rolled_up(&rows, 1_000);
    let twice: Vec<_> = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
    assert_eq!(rolled_up(&twice, 17), expected);
    let mut again = rows.clone();
    again.extend(rows.iter().take(rows.len() / 2).cloned());
    assert_eq!(rolled_up(&again, 100), expected);
    let mut shuffled = rows.clone();
    random.shuffle(&mut shuffled);
    assert_eq!(rolled_up(&shuffled, 64), expected);
    // Compacted: only the newest of each key is left.
    let newest: BTreeMap<&String, &(String, String, Vec<u8>)> = rows.iter().map(|row| (&row.0, row)).collect();
    let compacted: Vec<_> = newest.into_values().cloned().collect();
    assert!(compacted.len() < rows.len());
    assert_eq!(rolled_up(&compacted, usize::MAX), expected);
}

/// A process that takes over knows what is published, not what came before; it takes out what should not be there any more.
#[test]
fn who_takes_over_ends_with_the_same_inventory() {
    let mut random = Random::new(2);
    let rows = shared(&flows(2, 150), 3, &mut random);
    let expected = rolled_up(&rows, usize::MAX);
    for cut in [1, rows.len() / 3, rows.len() - 1] {
        let mut topic = rolled_up(&rows[..cut], 10);
        topic.insert("0".repeat(32), br#"{"left by":"an older program"}"#.to_vec());
        let mut rollup = Rollup::new(Config::default());
        for (key, value) in &topic {
            let host = serde_json::from_slice::<EndpointRecord>(value).map_or("shop.test".into(), |record| record.host);
            rollup.published(key, &host, value);
        }
        rows.iter().for_each(|(key, _, value)| rollup.handle(key, Some(value)));
        apply(&mut topic, rollup.changes(NOW));
        assert_eq!(topic, expected, "after {cut} rows");
        assert_eq!(rollup.changes(NOW), []);
    }
}

/// A template that is not used any more goes, and the record that takes its place says what it was.
#[test]
fn merged_templates_leave_tombstones() {
    let flows = flows(3, 300);
    let mut few = Sensor::new("few", "1", 1);
    flows.iter().take(4).for_each(|flow| few.see(flow));
    let mut rollup = Rollup::new(Config::default());
    few.rows().iter().for_each(|(key, _, value)| rollup.handle(key, Some(value)));
    let mut topic = Topic::new();
    apply(&mut topic, rollup.changes(NOW));
    let before = records(&topic);
    let mut many = Sensor::new("many", "1", 1);
    flows.iter().skip(4).for_each(|flow| many.see(flow));
    many.rows().iter().for_each(|(key, _, value)| rollup.handle(key, Some(value)));
    let changes = rollup.changes(NOW);
    let gone: Vec<String> =
        changes.iter().filter(|change| change.value.is_none()).map(|change| change.key.clone()).collect();
    assert!(!gone.is_empty());
    apply(&mut topic, changes);
    let after = records(&topic);
    for id in gone {
        let heir = after.values().find(|record| record.merged_from.contains(&id));
        assert!(heir.is_some_and(|heir| heir.route.contains('{')), "{:?} has no heir", before[&id].route);
    }
    assert!(after.values().all(|record| record.template.as_ref().is_none_or(|template| template.confidence > 0.0)));
}

#[test]
fn rows_taken_out_and_endpoints_not_seen_for_long_go() {
    let flows = flows(4, 80);
    let mut sensor = Sensor::new("s", "1", 1);
    flows.iter().for_each(|flow| sensor.see(flow));
    let rows = sensor.rows();
    let mut rollup = Rollup::new(Config::default());
    rows.iter().for_each(|(key, _, value)| rollup.handle(key, Some(value)));
    let mut topic = Topic::new();
    apply(&mut topic, rollup.changes(NOW));
    assert!(!topic.is_empty());
    let host = records(&topic).into_values().next().unwrap().host;
    for (key, _, _) in rows.iter().filter(|(_, other, _)| *other == host) {
        rollup.handle(key, None);
        rollup.handle(key, None);
    }
    apply(&mut topic, rollup.changes(NOW));
    assert!(!topic.is_empty() && records(&topic).values().all(|record| record.host != host));

    // A hundred days later somebody asks for something else.
    let (key, _, value) = rows.iter().find(|(key, other, _)| *other != host && !key.contains("|routes|")).unwrap();
    let mut late: SensorRow = serde_json::from_slice(value).unwrap();
    let later = umbra_event::read_rfc3339(&late.last_seen).unwrap() + 100 * 86_400_000_000_000;
    (late.last_seen, late.seq, late.confirmed) = (umbra_event::rfc3339(later), 9, true);
    rollup.handle(key, Some(&serde_json::to_vec(&late).unwrap()));
    // Not by a clock that is ahead of ours.
    apply(&mut topic, rollup.changes(later - 99 * 86_400_000_000_000));
    assert!(topic.len() > 1);
    rollup.handle(key, Some(&serde_json::to_vec(&late).unwrap()));
    apply(&mut topic, rollup.changes(NOW));
    assert_eq!(topic.len(), 1);
    assert!(rollup.counters().expired > 0 && rollup.counters().stale > 0 && rollup.counters().tombstones > 0);
}

#[test]
fn what_no_sensor_writes_is_set_aside() {
    let mut sensor = Sensor::new("s", "1", 1);
    flows(5, 20).iter().for_each(|flow| sensor.see(flow));
    let rows = sensor.rows();
    let mut rollup = Rollup::new(Config::default());
    let (key, _, value) = rows.iter().find(|(key, _, _)| !key.contains("|routes|")).unwrap();
    let (routes, _, evidence) = rows.iter().find(|(key, _, _)| key.contains("|routes|")).unwrap();
    rollup.handle(key, Some(b"not json"));
    rollup.handle("another key", Some(value));
    rollup.handle(routes, Some(value));
    rollup.handle(routes, Some(&evidence[..evidence.len() / 2]));
    let damaged = String::from_utf8(evidence.clone()).unwrap().replace(r#""evidence":""#, r#""evidence":"AAAA"#);
    rollup.handle(routes, Some(damaged.as_bytes()));
    let newer = String::from_utf8(value.clone()).unwrap().replace(r#""schema_version":1"#, r#""schema_version":2"#);
    rollup.handle(key, Some(newer.as_bytes()));
    let unknown = String::from_utf8(value.clone()).unwrap().replacen('{', r#"{"moon":"full","#, 1);
    rollup.handle(key, Some(unknown.as_bytes()));
    assert_eq!((rollup.counters().unreadable, rollup.counters().rows), (7, 0));
    assert_eq!(rollup.changes(NOW), []);
}

#[test]
fn all_that_is_written_obeys_its_schema() {
    let rows = shared(&flows(6, 200), 3, &mut Random::new(6));
    let validator = |schema| jsonschema::draft202012::new(&serde_json::from_str(schema).unwrap()).unwrap();
    let check = |schema: &jsonschema::Validator, value: &[u8]| {
        let value = serde_json::from_slice(value).unwrap();
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| format!("{e} at {}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{errors:?}");
    };
    let (endpoint, row, evidence) =
        (validator(ENDPOINT_SCHEMA), validator(SENSOR_ROW_SCHEMA), validator(ROUTE_EVIDENCE_SCHEMA));
    for (key, _, value) in &rows {
        check(if key.contains("|routes|") { &evidence } else { &row }, value);
        if key.contains("|routes|") {
            let record: RouteEvidenceRecord = serde_json::from_slice(value).unwrap();
            assert_eq!(serde_json::to_vec(&record).unwrap(), *value);
        }
    }
    for value in rolled_up(&rows, usize::MAX).values() {
        check(&endpoint, value);
    }
}

/// Words that redaction hides are in no row as text.
#[test]
fn no_address_leaves_a_sensor() {
    let rows = shared(&flows(7, 100), 2, &mut Random::new(7));
    for (key, _, value) in rows.iter().filter(|(key, _, _)| !key.contains("|routes|")) {
        let text = String::from_utf8(value.clone()).unwrap();
        assert!(!text.contains("@mail.test") && !text.contains("Bearer abc"), "{key}: {text}");
    }
    assert!(!support::is_shown("alice@mail.test") && support::is_shown("alice"));
}
