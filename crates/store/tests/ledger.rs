//! The ledger under everything at once: whatever the disk does, records in = acknowledged + pending + lost (G5).
#![allow(clippy::unwrap_used)]

mod support;

use std::io::ErrorKind;

use support::{Call, Faulty, Random, SMALL, number, value};
use umbra_store::{Class, Config, Sequence, Spool, Status};

/// Fails about one call in eight, of all kinds.
fn moody(call: Call, _: &str, count: u64) -> Option<ErrorKind> {
    let luck = Random(count.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).below(8);
    let kind = if count.is_multiple_of(3) { ErrorKind::StorageFull } else { ErrorKind::Other };
    (luck == 0 && call != Call::List).then_some(kind)
}

fn lost(status: &Status, index: usize) -> u64 {
    let losses = &status.losses;
    [losses.event, losses.health, losses.endpoint, losses.finding][index].total()
}

/// One life. Each class: `in` is what was there at the start and what was appended, taken or not.
fn live(disk: &Faulty, config: Config, random: &mut Random, last: &mut [u64; 4], seen: &mut [u64; 3], what: &str) {
    let Ok((mut spool, _)) = Spool::open(disk.clone(), config) else { return };
    let at_start = spool.status();
    let mut given: [u64; 4] = std::array::from_fn(|index| at_start.pending[index] + lost(&at_start, index));
    let mut acked = [0; 4];
    let mut out: [Vec<Sequence>; 4] = Default::default();
    let mut newest: [Option<Sequence>; 4] = [None; 4];
    for step in 0..random.below(900) {
        let index = [0, 0, 0, 0, 0, 1, 2, 3][random.below(8) as usize];
        let class = Class::ALL[index];
        match random.below(16) {
            0 => _ = spool.sync(),
            1 => {
                spool.rewind(class);
                // What was handed out before may still be acknowledged.
                newest[index] = None;
            }
            2 if random.below(20) == 0 => {
                disk.0.borrow_mut().fault = (random.below(2) == 0).then_some(moody);
                disk.0.borrow_mut().capacity = (random.below(2) == 0).then(|| random.below(30_000) as usize);
            }
            3..=5 => {
                for _ in 0..random.below(12) {
                    match spool.next(class) {
                        Ok(Some(record)) => {
                            assert!(newest[index].is_none_or(|it| it.is_before(record.sequence)), "{what}: order");
                            newest[index] = Some(record.sequence);
                            assert!(number(record.value) <= last[index], "{what}: from nowhere");
                            if !out[index].contains(&record.sequence) {
                                out[index].push(record.sequence);
                            }
                        }
                        Ok(None) => break,
                        Err(_) => {}
                    }
                }
            }
            6..=8 if !out[index].is_empty() => {
                let at = random.below(out[index].len() as u64) as usize;
                let sequence = out[index].swap_remove(at);
                let before = spool.status();
                spool.acknowledge(class, sequence);
                let after = spool.status();
                // One that was dropped, sent out by an earlier client, and forgotten since counts as dropped.
                let counted = before.pending[index] + lost(&before, index) - after.pending[index] - lost(&after, index);
                assert!(counted <= 1, "{what}, step {step}");
                acked[index] += counted;
            }
            _ => {
                last[index] += 1;
                given[index] += 1;
                let _ = spool.append(class, b"key", &value(last[index]), 0);
            }
        }
        let status = spool.status();
        for index in 0..4 {
            let now = acked[index] + status.pending[index] + lost(&status, index);
            assert_eq!(given[index], now, "{what}, step {step}, class {index}: {status:?}");
        }
    }
    for losses in [spool.status().losses.event, spool.status().losses.finding] {
        for (seen, loss) in seen.iter_mut().zip([losses.over_cap, losses.disk, losses.damaged]) {
            *seen += loss;
        }
    }
    if random.below(2) == 0 {
        spool.close();
    }
}

#[test]
fn f091_f092_f093_in_is_out_and_lost_whatever_the_disk_does() {
    let mut seen = [0; 3];
    for seed in 1..80 {
        let mut random = Random(seed * 104_729);
        let config =
            Config { cap_bytes: 8192 + random.below(60_000), max_in_flight: 5 + random.below(200) as usize, ..SMALL };
        let mut disk = Faulty::default();
        let mut last = [0; 4];
        for life in 0..6 {
            live(&disk, config, &mut random, &mut last, &mut seen, &format!("seed {seed}, life {life}"));
            disk = if random.below(3) == 0 { disk.after_power_cut(&mut random) } else { disk.after_kill() };
        }
    }
    assert!(seen.iter().all(|loss| *loss > 100), "{seen:?}: every kind of loss is met");
}
