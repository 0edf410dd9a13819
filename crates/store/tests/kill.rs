//! A process that appends, syncs, delivers and acknowledges is killed at random moments (F086): nothing that was synced or
//! delivered is lost, nothing is in the spool twice, order is kept.
//!
//! So is one that writes the inventory: its transactions are there whole or not at all, and those that were committed are.
//!
//! The child tells on a pipe what it knows; what is not told counts as not promised. `d RUN NUMBER` is a delivery, said
//! before it is acknowledged; `s RUN NUMBER` says that all up to it are synced. `c GENERATION` is a commit.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use umbra_store::{Class, Codec, Config, Disk, Spool, Store, Unreadable};

/// Kills of the spool's process, half as many of the inventory's: `UMBRA_KILLS` makes them more.
fn kills() -> u64 {
    std::env::var("UMBRA_KILLS").ok().map_or(120, |kills| kills.parse().unwrap())
}

const CONFIG: Config = Config {
    cap_bytes: 1 << 30,
    segment_bytes: 64 << 10,
    sync_interval: Duration::from_millis(2),
    max_in_flight: 500,
    first_sequence: 1,
};
const CLASSES: [Class; 2] = [Class::Event, Class::Finding];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "child") {
        Some(at) if arguments[at + 2] == "inventory" => write_inventory(&arguments[at + 1]),
        Some(at) => child(&arguments[at + 1], arguments[at + 2].parse().unwrap()),
        // `cargo test NAME` hands names on: without a harness they are looked at here.
        None if arguments
            .iter()
            .skip(1)
            .any(|it| !it.starts_with('-') && !"f086_kill_inventory".contains(it.as_str())) => {}
        None if arguments.iter().any(|argument| argument == "--list") => {
            println!("f086_kill: test\nf086_kill_inventory: test")
        }
        None => {
            f086_kill();
            f086_kill_inventory();
        }
    }
}

/// Appends records of two classes until it is killed; with run 0 only drains.
fn child(directory: &str, run: u64) {
    let (mut spool, opened) = Spool::open(Disk::open(directory.as_ref()).unwrap(), CONFIG).unwrap();
    assert!(opened.set_aside.is_empty() && opened.foreign.is_empty(), "{opened:?}");
    let mut out = std::io::stdout();
    let mut random = run.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let start = std::time::Instant::now();
    let mut number = 0;
    loop {
        if run > 0 {
            for _ in 0..10 {
                number += 1;
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let filler = "x".repeat((random >> 55) as usize);
                for class in CLASSES {
                    spool.append(class, b"key", format!("{run} {number} {filler}").as_bytes(), number).unwrap();
                }
            }
            if spool.handle_timeout(start.elapsed()).unwrap() {
                out.write_all(format!("s {run} {number}\n").as_bytes()).unwrap();
            }
        }
        let mut idle = true;
        for class in CLASSES {
            let mut told = String::new();
            let mut sequences = Vec::new();
            // Slower than it appends, so that there is always a backlog in files.
            while sequences.len() < if run > 0 { 8 } else { 100 } {
                let Some(record) = spool.next(class).unwrap() else { break };
                let text = std::str::from_utf8(record.value).unwrap();
                let name = text.rsplit_once(' ').unwrap().0;
                told += &format!("d {} {name}\n", class as u8);
                sequences.push(record.sequence);
            }
            out.write_all(told.as_bytes()).unwrap();
            idle &= sequences.is_empty();
            // Out of order, and not all: the contiguous part alone may move the floor.
            for sequence in sequences.into_iter().rev() {
                spool.acknowledge(class, sequence);
            }
        }
        if run == 0 && idle {
            let status = spool.status();
            assert_eq!(status.losses.total(), 0, "{status:?}");
            spool.close();
            out.write_all(b"end\n").unwrap();
            return;
        }
    }
}

fn f086_kill() {
    let directory = std::env::temp_dir().join(format!("umbra-spool-kill-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let start = |run: u64| {
        Command::new(std::env::current_exe().unwrap())
            .args(["child".as_ref(), directory.as_os_str(), run.to_string().as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut synced: BTreeMap<u64, u64> = BTreeMap::new();
    // By class: runs and numbers in the order in which they came.
    let mut delivered: [Vec<(u64, u64)>; 2] = Default::default();
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    let kills = kills();
    for run in 1..=kills {
        let mut child = start(run);
        let mut pipe = child.stdout.take().unwrap();
        let (begun, first_word) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = vec![0; 2];
            let length = pipe.read(&mut text).unwrap();
            text.truncate(length);
            let _ = begun.send(());
            pipe.read_to_end(&mut text).unwrap();
            text
        });
        // One in four may die while it starts.
        if run % 4 > 0 {
            first_word.recv().unwrap();
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((random >> 33) % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        take(&reader.join().unwrap(), &mut synced, &mut delivered);
    }
    let output = start(0).wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.ends_with(b"end\n"));
    take(&output.stdout, &mut synced, &mut delivered);

    let mut records = 0;
    for (class, delivered) in delivered.iter().enumerate() {
        let mut by_run: BTreeMap<u64, u64> = BTreeMap::new();
        let mut newest = 0;
        for (run, number) in delivered {
            // A start goes back to what was not acknowledged; going on, each next record is the next number of its run.
            let seen = by_run.entry(*run).or_default();
            assert!(*number <= *seen + 1, "class {class}: run {run} jumps from {seen} to {number}");
            assert!(*number <= *seen || *run >= newest, "class {class}: run {run} goes on behind run {newest}");
            newest = newest.max(*run);
            records += u64::from(*number > *seen);
            *seen = (*seen).max(*number);
        }
        for (run, number) in &synced {
            let seen = by_run.get(run).copied().unwrap_or(0);
            assert!(seen >= *number, "class {class}: run {run} synced {number}, but only {seen} came out");
        }
    }
    let repeated = delivered.iter().map(Vec::len).sum::<usize>() as u64 - records;
    println!("f086_kill: {kills} kills, {} with a sync, {records} records, {repeated} delivered again", synced.len());
    assert!(synced.len() as u64 > kills / 4, "killed too early to show anything");
    std::fs::remove_dir_all(directory).unwrap();
}

/// A generation of the inventory, with rows of a length that varies.
struct Generation;

impl Codec for Generation {
    type Value = u64;
    const KIND: &'static str = "generation";
    const VERSION: u32 = 1;
    fn write(value: &u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{value} {}", "x".repeat((*value % 700) as usize)).as_bytes());
    }
    fn read(_: u32, bytes: &[u8]) -> Result<u64, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?;
        text.split(' ').next().and_then(|number| number.parse().ok()).ok_or(Unreadable)
    }
    fn merge(_: &mut u64, _: u64) {}
}

const ROWS: u32 = 60;

/// Writes one generation after the other until it is killed.
fn write_inventory(directory: &str) {
    let mut store = Store::open(directory.as_ref()).unwrap();
    assert!(store.set_aside().is_none());
    let first = store.read_one::<Generation>(&0_u32.to_be_bytes()).unwrap().unwrap_or(0);
    let mut out = std::io::stdout();
    for generation in first + 1.. {
        let mut writing = store.begin().unwrap();
        for row in 0..ROWS {
            writing.put::<Generation>(&row.to_be_bytes(), &generation, generation).unwrap();
        }
        writing.commit().unwrap();
        out.write_all(format!("c {generation}\n").as_bytes()).unwrap();
    }
}

fn f086_kill_inventory() {
    let directory = std::env::temp_dir().join(format!("umbra-inventory-kill-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let mut random = 0xFEDC_BA98_7654_3211_u64;
    let mut newest = 0;
    let kills = kills() / 2;
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child".as_ref(), directory.as_os_str(), "inventory".as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let mut text = vec![0; 2];
        let length = pipe.read(&mut text).unwrap();
        text.truncate(length);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((random >> 33) % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        pipe.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let told = text.split_inclusive('\n').rfind(|line| line.ends_with('\n'));
        let told: u64 = told.map_or(newest, |line| line["c ".len()..].trim().parse().unwrap());

        let reading = Store::open_to_read(&directory).unwrap().read::<Generation>().unwrap();
        assert_eq!((reading.rows.len(), reading.unreadable), (ROWS as usize, 0));
        let generation = reading.rows[0].1;
        assert!(reading.rows.iter().all(|(_, it)| *it == generation), "half a transaction: {:?}", reading.rows);
        assert!(generation == told || generation == told + 1, "{told} was committed, {generation} is there");
        newest = generation;
    }
    println!("f086_kill_inventory: {kills} kills, {newest} transactions");
    std::fs::remove_dir_all(directory).unwrap();
}

/// Reads what a child told; a cut last line was not told.
fn take(text: &[u8], synced: &mut BTreeMap<u64, u64>, delivered: &mut [Vec<(u64, u64)>; 2]) {
    let text = std::str::from_utf8(text).unwrap();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["s", run, number] => _ = synced.insert(run.parse().unwrap(), number.parse().unwrap()),
            ["d", class, run, number] => {
                let class = if class == "0" { 0 } else { 1 };
                delivered[class].push((run.parse().unwrap(), number.parse().unwrap()));
            }
            ["end"] => {}
            _ => panic!("{line:?}"),
        }
    }
}
