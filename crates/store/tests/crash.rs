//! The process dies, or the power, at every call that reaches the disk (F086, F087).
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::{Faulty, Random, SMALL, drain, number, open, value};
use umbra_store::{Class, Config, Sequence, Spool};

const CLASSES: [Class; 2] = [Class::Event, Class::Finding];

/// What is known of the records of one class, whatever happens to the spool.
#[derive(Clone, Debug, Default)]
struct Known {
    appended: u64,
    /// Numbers that were called durable.
    durable: BTreeSet<u64>,
    acked: BTreeSet<u64>,
}

/// One life of a process on the disk.
fn live(disk: &Faulty, config: Config, seed: u64, steps: u64, known: &mut [Known; 2]) {
    let mut random = Random(seed | 1);
    let Ok((mut spool, _)) = Spool::open(disk.clone(), config) else { return };
    for (class, known) in CLASSES.into_iter().zip(&mut *known) {
        // What it finds it may call durable, and must then keep as such.
        let durable = spool.durable(class);
        let found = (0..1000).map_while(|_| {
            let record = spool.next(class).ok()??;
            Some((record.sequence, number(record.value)))
        });
        known.durable.extend(found.filter(|(sequence, _)| !durable.is_before(*sequence)).map(|(_, number)| number));
        spool.rewind(class);
    }
    let mut out: [Vec<_>; 2] = Default::default();
    let mut waiting: [Vec<(Sequence, u64)>; 2] = Default::default();
    for _ in 0..steps {
        let index = random.below(2) as usize;
        let (class, known, out, waiting) = (CLASSES[index], &mut known[index], &mut out[index], &mut waiting[index]);
        match random.below(12) {
            0 => {
                // Only what a whole sync or `durable` promised counts; with a dead disk neither does.
                let _ = spool.sync();
                let durable = spool.durable(class);
                known
                    .durable
                    .extend(waiting.extract_if(.., |(it, _)| !durable.is_before(*it)).map(|(_, number)| number));
            }
            1..=3 => {
                for _ in 0..random.below(6) {
                    let Ok(Some(record)) = spool.next(class) else { break };
                    out.push((record.sequence, number(record.value)));
                }
            }
            4 | 5 if !out.is_empty() => {
                let (sequence, number) = out.swap_remove(random.below(out.len() as u64) as usize);
                // The broker has it before we know.
                known.acked.insert(number);
                spool.acknowledge(class, sequence);
            }
            6 if random.below(10) == 0 => {
                out.clear();
                spool.rewind(class);
            }
            _ => {
                let number = known.appended + 1;
                if let Ok(sequence) = spool.append(class, b"key", &value(number), 0) {
                    known.appended = number;
                    waiting.push((sequence, number));
                }
            }
        }
    }
}

/// Checks what a new process finds.
fn check(disk: &Faulty, config: Config, known: &[Known; 2], what: &str) {
    let (mut spool, opened) = open(disk, config);
    assert!(opened.set_aside.is_empty() && opened.foreign.is_empty(), "{what}: {opened:?}");
    for (index, class) in CLASSES.into_iter().enumerate() {
        let found = drain(&mut spool, class);
        assert!(found.is_sorted_by(|a, b| a < b), "{what}: {class:?} {found:?} out of order, or twice");
        let all: BTreeSet<u64> = found.into_iter().chain(known[index].acked.iter().copied()).collect();
        assert!(all.iter().all(|number| *number <= known[index].appended), "{what}: from nowhere");
        let missing = known[index].appended - all.len() as u64;
        let losses = spool.status().losses;
        let lost = [losses.event, losses.finding][index].total();
        assert!(lost <= missing, "{what}: {class:?} {lost} counted as lost, {missing} missing");
        let gone: Vec<_> = known[index].durable.difference(&all).collect();
        assert!(gone.is_empty(), "{what}: {class:?} {gone:?} were synced and are gone");
    }
}

fn lives(disk: &Faulty, config: Config, seed: u64) -> [Known; 2] {
    let mut known: [Known; 2] = Default::default();
    live(disk, config, seed, 500, &mut known);
    known
}

#[test]
fn f086_killed_at_every_call() {
    for seed in [3, 5, 8] {
        let whole = Faulty::default();
        lives(&whole, SMALL, seed);
        let calls = whole.0.borrow().calls;
        assert!(calls > 100, "only {calls} calls");
        for dead_from in 0..=calls {
            let disk = Faulty::default();
            disk.0.borrow_mut().dead_from = Some(dead_from);
            let known = lives(&disk, SMALL, seed);
            let disk = disk.after_kill();
            check(&disk, SMALL, &known, &format!("seed {seed}, dead after {dead_from}"));
        }
    }
}

#[test]
fn f087_power_cut_at_every_call() {
    for seed in [13, 21] {
        let whole = Faulty::default();
        lives(&whole, SMALL, seed);
        let calls = whole.0.borrow().calls;
        for dead_from in 0..=calls {
            let disk = Faulty::default();
            disk.0.borrow_mut().dead_from = Some(dead_from);
            let known = lives(&disk, SMALL, seed);
            for cut in 0..4 {
                let mut random = Random(seed * 1_000_003 + dead_from * 17 + cut + 1);
                let disk = disk.after_power_cut(&mut random);
                let what = format!("seed {seed}, power gone after {dead_from}, cut {cut}");
                check(&disk, SMALL, &known, &what);
            }
        }
    }
}

/// Many lives on one disk, each ended by a power cut, with a disk that writes in small pieces.
#[test]
fn f087_a_series_of_power_cuts() {
    for seed in 1..60 {
        let mut random = Random(seed * 7919);
        let mut disk = Faulty::default();
        let mut known: [Known; 2] = Default::default();
        for life in 0..8 {
            disk.0.borrow_mut().write_limit = (seed % 2 == 0).then_some(97);
            disk.0.borrow_mut().dead_from = Some(random.below(150));
            live(&disk, SMALL, random.below(1 << 30), 200, &mut known);
            disk = if random.below(2) == 0 { disk.after_power_cut(&mut random) } else { disk.after_kill() };
            check(&disk.copy(), SMALL, &known, &format!("seed {seed}, life {life}"));
        }
    }
}

fn fails(it_does: bool) -> Option<std::io::ErrorKind> {
    it_does.then_some(std::io::ErrorKind::Other)
}

/// The same with a disk that also fails while it lives: what was called durable is durable all the same.
#[test]
fn f092_power_cut_after_failing_syncs() {
    use support::{Call, Fault};
    for seed in [31, 47] {
        let faults: [Fault; 4] = [
            |call, name, count| fails(call == Call::Sync && name.starts_with("event") && count % 2 == 0),
            |call, name, count| fails(call == Call::Write && name.starts_with("finding") && count % 3 != 0),
            |call, _, count| fails(call == Call::SyncNames && count % 2 == 0),
            |call, _, count| fails(call == Call::Sync && count % 3 == 0),
        ];
        for (index, fault) in faults.into_iter().enumerate() {
            for dead_from in (0..400).step_by(3) {
                let disk = Faulty::default();
                disk.0.borrow_mut().fault = Some(fault);
                disk.0.borrow_mut().dead_from = Some(dead_from);
                let known = lives(&disk, SMALL, seed);
                let mut random = Random(seed + dead_from);
                let disk = disk.after_power_cut(&mut random);
                check(&disk, SMALL, &known, &format!("fault {index}, dead after {dead_from}"));
            }
        }
    }
}
