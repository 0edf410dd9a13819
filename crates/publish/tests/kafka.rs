//! Delivery into a real broker, and what goes wrong on the way (FAULTS F080–F097).
#![allow(clippy::unwrap_used)]

mod support;

use support::*;
use umbra_publish::kafka::{Admin, Batch, Delivery, DeliveryConfig, Error, Settings, WhenFull, partition_of};
use umbra_store::Class;
use umbra_testkit::{Kafka, Listener};

#[test]
fn events_arrive_keyed_once_with_cloudevents_headers() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    let admin = Admin::new(&plaintext(kafka)).unwrap();
    assert_eq!(admin.check(&place.plan()).unwrap().len(), 5, "nothing is there");
    assert_eq!(admin.create(&place.plan()).unwrap().len(), 5);
    assert_eq!(admin.create(&place.plan()).unwrap().len(), 0, "all are there");
    assert_eq!(admin.check(&place.plan()).unwrap(), []);
    let delivery = Delivery::start(place.config(&plaintext(kafka))).unwrap();
    give(&delivery, 0..2000);
    let ledger = finish(delivery);
    assert_eq!((ledger.class(Class::Event).taken, ledger.delivered(), ledger.lost()), (2000, 2000, 0), "{ledger:?}");
    let (all, count) = consume(kafka, &place.topic());
    assert_eq!((ids_of(&all), count), (ids(0..2000), 2000));
    let one = &all["e-9"];
    assert_eq!(one.key, b"endpoint-2");
    assert_eq!(one.headers["ce_type"], "umbra.event.v1");
    assert_eq!(one.headers["ce_time"], "2026-01-01T00:00:00Z");
    for record in all.values() {
        assert_eq!(record.partition as u32, partition_of(&record.key, 3));
    }
}

#[test]
fn f082_f083_a_broker_that_dies_while_it_takes_records_loses_none() {
    let Some(kafka) = Kafka::start(1) else { return };
    let place = Place::new();
    Admin::new(&plaintext(&kafka)).unwrap().create(&place.plan()).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(&kafka))).unwrap();
    give(&delivery, 0..20_000);
    wait_for(&delivery, |ledger| ledger.delivered() > 0);
    kafka.kill(1);
    give(&delivery, 20_000..30_000);
    kafka.restart(1);
    let ledger = finish(delivery);
    assert_eq!((ledger.delivered(), ledger.lost()), (30_000, 0), "{ledger:?}");
    assert_eq!(ids_of(&consume(&kafka, &place.topic()).0), ids(0..30_000));
}

#[test]
fn f080_a_broker_that_is_not_there_costs_nothing_and_the_next_process_sends() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    let nobody = Settings { brokers: vec!["127.0.0.1:9".into()], ..Settings::default() };
    let delivery = Delivery::start(place.config(&nobody)).unwrap();
    give(&delivery, 0..1000);
    let ledger = delivery.finish(|ledger| ledger.class(Class::Event).pending == 1000);
    assert_eq!((ledger.pending(), ledger.lost()), (1000, 0), "{ledger:?}");
    Admin::new(&plaintext(kafka)).unwrap().create(&place.plan()).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(kafka))).unwrap();
    give(&delivery, 1000..1100);
    assert_eq!(finish(delivery).delivered(), 1100);
    assert_eq!(ids_of(&consume(kafka, &place.topic()).0), ids(0..1100));
}

#[test]
fn f084_a_topic_that_is_deleted_and_made_again_gets_the_rest() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    let admin = Admin::new(&plaintext(kafka)).unwrap();
    admin.create(&place.plan()).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(kafka))).unwrap();
    give(&delivery, 0..1000);
    wait_for(&delivery, |ledger| ledger.delivered() == 1000);
    admin.delete(&place.topic()).unwrap();
    give(&delivery, 1000..2000);
    wait_for(&delivery, |ledger| ledger.retries > 0);
    admin.create(&place.plan()).unwrap();
    let ledger = finish(delivery);
    assert_eq!((ledger.delivered(), ledger.lost()), (2000, 0), "{ledger:?}");
    // What was acknowledged before went with the topic.
    assert_eq!(ids_of(&consume(kafka, &place.topic()).0), ids(1000..2000));
}

#[test]
fn f084_a_poison_record_is_set_aside_and_blocks_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    Admin::new(&plaintext(kafka)).unwrap().create(&place.plan()).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(kafka))).unwrap();
    // The broker refuses a record without a key on a compacted topic, and with it the batch that it is in.
    let handle = delivery.handle().unwrap();
    let mut bytes = Vec::new();
    for id in 0..100_u64 {
        let key = if id == 50 { String::new() } else { format!("f-{id}") };
        Batch::push(&mut bytes, key.as_bytes(), id, |out| out.extend_from_slice(br#"{"finding":1}"#));
    }
    handle.give(Class::Finding, &mut bytes, 100);
    drop(handle);
    let ledger = finish(delivery);
    let class = ledger.class(Class::Finding);
    assert_eq!((class.delivered, class.aside, ledger.lost()), (99, 1, 0), "{ledger:?}");
    assert_eq!(consume(kafka, &format!("{}.findings", place.prefix)).0.len(), 99);
}

#[test]
fn f084_permission_that_is_revoked_and_given_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    Admin::new(&plaintext(kafka)).unwrap().create(&place.plan()).unwrap();
    let settings = secure(kafka, Listener::SaslTls, "SCRAM-SHA-512");
    let delivery = Delivery::start(place.config(&settings)).unwrap();
    give(&delivery, 0..100);
    wait_for(&delivery, |ledger| ledger.error.is_some());
    for acl in place.plan().acls("User:umbra") {
        kafka.tool("acls", &acl.split(' ').collect::<Vec<_>>());
    }
    wait_for(&delivery, |ledger| ledger.delivered() == 100);
    let topic = place.topic();
    let write = ["--allow-principal", "User:umbra", "--operation", "Write", "--topic", &topic];
    kafka.tool("acls", &[&["--remove", "--force"], &write[..]].concat());
    let retries = delivery.ledger().retries;
    give(&delivery, 100..200);
    wait_for(&delivery, |ledger| ledger.retries > retries);
    kafka.tool("acls", &[&["--add"], &write[..]].concat());
    let ledger = finish(delivery);
    assert_eq!((ledger.delivered(), ledger.lost()), (200, 0), "{ledger:?}");
    assert_eq!(ids_of(&consume(kafka, &topic).0), ids(0..200));
}

#[test]
fn f085_a_broker_that_cannot_be_trusted_gets_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let strange = || {
        let mut settings = secure(kafka, Listener::SaslTls, "PLAIN");
        settings.tls.as_mut().unwrap().ca_file = Some(kafka.tls("strange.pem").to_str().unwrap().into());
        settings
    };
    let plain = Settings { brokers: vec![kafka.bootstrap()], ..secure(kafka, Listener::SaslTls, "PLAIN") };
    let bad =
        [secure(kafka, Listener::Expired, "PLAIN"), secure(kafka, Listener::OtherName, "PLAIN"), strange(), plain];
    for settings in bad {
        let place = Place::new();
        Admin::new(&plaintext(kafka)).unwrap().create(&place.plan()).unwrap();
        let delivery = Delivery::start(place.config(&settings)).unwrap();
        give(&delivery, 0..100);
        let ledger = wait_for(&delivery, |ledger| ledger.error.is_some() && ledger.pending() == 100);
        assert!(!format!("{ledger:?}").contains("umbra-secret"));
        let ledger = delivery.finish(|_| true);
        assert_eq!((ledger.delivered(), ledger.pending(), ledger.lost()), (0, 100, 0), "{ledger:?}");
        assert!(consume(kafka, &place.topic()).0.is_empty());
    }
}

#[test]
fn f091_f093_a_full_spool_gives_up_the_oldest_events_and_says_how_many() {
    let Some(kafka) = Kafka::shared() else { return };
    let place = Place::new();
    let nobody = Settings { brokers: vec!["127.0.0.1:9".into()], ..Settings::default() };
    let spool_config = umbra_store::Config { cap_bytes: 256 << 10, segment_bytes: 32 << 10, ..Default::default() };
    let mut config = DeliveryConfig { spool_config, when_full: WhenFull::Drop, ..place.config(&nobody) };
    let delivery = Delivery::start(config.clone()).unwrap();
    let mut finding = Vec::new();
    Batch::push(&mut finding, b"f-1", 0, |out| out.extend_from_slice(b"{}"));
    delivery.handle().unwrap().give(Class::Finding, &mut finding, 1);
    give(&delivery, 0..5000);
    let ledger = delivery.finish(|ledger| ledger.class(Class::Event).taken == 5000);
    let class = *ledger.class(Class::Event);
    assert!(class.lost_spool > 0 && class.pending > 0, "{ledger:?}");
    assert_eq!(class.lost_spool + class.pending, 5000);
    assert_eq!(ledger.losses.event.over_cap, class.lost_spool);
    assert_eq!(ledger.class(Class::Finding).pending, 1, "worth more than any event");
    Admin::new(&plaintext(kafka)).unwrap().create(&place.plan()).unwrap();
    config.settings = plaintext(kafka);
    finish(Delivery::start(config).unwrap());
    let found = ids_of(&consume(kafka, &place.topic()).0);
    assert_eq!(found, ids(class.lost_spool as u32..5000), "the newest are there");
    assert_eq!(consume(kafka, &format!("{}.findings", place.prefix)).0.len(), 1);
}

#[test]
fn f095_a_second_instance_on_one_spool_is_refused() {
    let place = Place::new();
    let nobody = Settings { brokers: vec!["127.0.0.1:9".into()], ..Settings::default() };
    let first = Delivery::start(place.config(&nobody)).unwrap();
    let second = Delivery::start(place.config(&nobody));
    assert!(matches!(second, Err(Error::Spool(_))));
    first.finish(|_| true);
}
