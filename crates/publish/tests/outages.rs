//! Long and hard outages (FAULTS F080, F081, F084, F091). `UMBRA_OUTAGE_SECONDS` makes the outage of F080 longer than a few
//! seconds, `UMBRA_BOUNCES` gives more than two bounces.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::*;
use umbra_publish::kafka::{Admin, Batch, Delivery, DeliveryConfig, TopicPlan, WhenFull};
use umbra_store::Class;
use umbra_testkit::Kafka;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// Memory of this process that is not shared with files, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn f080_a_broker_that_is_away_and_then_bounces() {
    let Some(kafka) = Kafka::start(1) else { return };
    let place = Place::new();
    Admin::new(&plaintext(&kafka)).unwrap().create(&place.plan()).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(&kafka))).unwrap();
    give(&delivery, 0..1_000);
    wait_for(&delivery, |ledger| ledger.delivered() > 0);
    kafka.kill(1);
    let (mut next, away) = (1_000, Duration::from_secs(setting("UMBRA_OUTAGE_SECONDS", 3)));
    let gone = Instant::now();
    // Events come all the while.
    while gone.elapsed() < away {
        give(&delivery, next..next + 1_000);
        next += 1_000;
        std::thread::sleep(Duration::from_millis(100));
    }
    for _ in 0..setting("UMBRA_BOUNCES", 2) {
        kafka.restart(1);
        std::thread::sleep(Duration::from_secs(2));
        kafka.kill(1);
        give(&delivery, next..next + 1_000);
        next += 1_000;
    }
    kafka.restart(1);
    let (back, waiting) = (Instant::now(), delivery.ledger().pending());
    let ledger = finish(delivery);
    println!("{waiting} events waited and were sent in {:.1} s", back.elapsed().as_secs_f64());
    assert_eq!((ledger.delivered(), ledger.lost()), (u64::from(next), 0), "{ledger:?}");
    assert_eq!(ids_of(&consume(&kafka, &place.topic()).0), ids(0..next));
}

/// Acknowledgements come in fits and starts, seconds late: what was given to the client stays within its window.
#[test]
fn f081_a_broker_that_hardly_answers() {
    let Some(kafka) = Kafka::start(1) else { return };
    let place = Place::new();
    Admin::new(&plaintext(&kafka)).unwrap().create(&place.plan()).unwrap();
    let config = DeliveryConfig { window_bytes: 1 << 20, ..place.config(&plaintext(&kafka)) };
    let delivery = Delivery::start(config).unwrap();
    give(&delivery, 0..1_000);
    wait_for(&delivery, |ledger| ledger.delivered() > 0);
    let before = memory();
    let mut most = 0;
    for round in 1..=6 {
        kafka.pause(1);
        // 40 MB in all, where a window of 1 MB and the queue before the spool are all that may be in memory.
        give(&delivery, round * 20_000..(round + 1) * 20_000);
        std::thread::sleep(Duration::from_millis(1_500));
        most = most.max(memory().saturating_sub(before));
        kafka.resume(1);
        std::thread::sleep(Duration::from_millis(200));
    }
    give(&delivery, 1_000..20_000);
    let ledger = finish(delivery);
    println!("{most} bytes more than before");
    assert!(most < 100 << 20, "{most} bytes more than before");
    assert_eq!((ledger.delivered(), ledger.lost()), (140_000, 0), "{ledger:?}");
    assert_eq!(ids_of(&consume(&kafka, &place.topic()).0), ids(0..140_000));
}

#[test]
fn f084_the_leader_of_three_is_killed_while_it_takes_records() {
    let Some(kafka) = Kafka::start(3) else { return };
    let place = Place::new();
    let plan = TopicPlan::new(&place.prefix, 3, Some(3));
    Admin::new(&plaintext(&kafka)).unwrap().create(&plan).unwrap();
    let delivery = Delivery::start(place.config(&plaintext(&kafka))).unwrap();
    let mut next = 0;
    // Each of them leads a partition, so each death takes a leader.
    for node in 1..=3 {
        give(&delivery, next..next + 10_000);
        let known = delivery.ledger().delivered();
        wait_for(&delivery, |ledger| ledger.delivered() > known);
        kafka.kill(node);
        give(&delivery, next + 10_000..next + 20_000);
        next += 20_000;
        kafka.restart(node);
        // Back in step before the next one goes: two of three have to have what is acknowledged.
        wait_for(&delivery, |ledger| ledger.delivered() == u64::from(next));
        let synced = || {
            let text =
                kafka.tool("topics", &["--describe", "--topic", &place.topic(), "--under-replicated-partitions"]);
            text.trim().is_empty()
        };
        let deadline = Instant::now() + PATIENCE;
        while !synced() {
            assert!(Instant::now() < deadline, "node {node} does not come back into step");
        }
    }
    let ledger = finish(delivery);
    assert_eq!((ledger.delivered(), ledger.lost()), (60_000, 0), "{ledger:?}");
    assert_eq!(ids_of(&consume(&kafka, &place.topic()).0), ids(0..60_000));
}

/// A file system of 8 MB for a test; gone with it.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m,mode=700", "umbra-test"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(at.to_owned()));
        }
        assert!(std::env::var_os("CI").is_none(), "no file system can be mounted");
        println!("skipped: mounting a file system needs root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn f091_a_real_disk_that_fills_up() {
    let Some(kafka) = Kafka::start(1) else { return };
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.folder) else { return };
    Admin::new(&plaintext(&kafka)).unwrap().create(&place.plan()).unwrap();
    let spool_config = umbra_store::Config { cap_bytes: 64 << 20, segment_bytes: 1 << 20, ..Default::default() };
    let config = DeliveryConfig { spool_config, when_full: WhenFull::Drop, ..place.config(&plaintext(&kafka)) };
    let delivery = Delivery::start(config).unwrap();
    give(&delivery, 0..1_000);
    wait_for(&delivery, |ledger| ledger.delivered() == 1_000);
    kafka.kill(1);
    let handle = delivery.handle().unwrap();
    let mut finding = Vec::new();
    Batch::push(&mut finding, b"f-1", 0, |out| out.extend_from_slice(b"{}"));
    handle.give(Class::Finding, &mut finding, 1);
    give(&delivery, 1_000..80_000);
    let full = wait_for(&delivery, |ledger| ledger.class(Class::Event).taken == 80_000);
    assert!(full.class(Class::Event).lost_spool > 0, "25 MB do not fit: {full:?}");
    kafka.restart(1);
    // It goes on alone as the disk becomes emptier.
    let emptied = wait_for(&delivery, |ledger| ledger.pending() == 0);
    give(&delivery, 80_000..81_000);
    drop(handle);
    let ledger = finish(delivery);
    let class = *ledger.class(Class::Event);
    println!("{} events lost to the full disk", class.lost_spool);
    assert_eq!(class.delivered + class.lost_spool, 81_000, "stated to the event: {ledger:?}");
    assert_eq!(class.lost_spool, emptied.class(Class::Event).lost_spool, "nothing is lost once there is room");
    let found = ids_of(&consume(&kafka, &place.topic()).0);
    assert_eq!(found.len() as u64, class.delivered);
    assert!(found.is_superset(&ids(80_000..81_000)));
    assert_eq!(ledger.class(Class::Finding).delivered, 1, "{ledger:?}");
    drop(disk);
}
