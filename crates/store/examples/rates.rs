//! Rates of the spool and the inventory on a disk: `cargo run --release -p umbra-store --example rates -- DIRECTORY [RECORDS]
//! [BYTES]`.
//!
//! Prints wall and CPU seconds of appending with a sync every 200 ms, of reading and acknowledging all from the files, of both
//! at once as in service, and of opening a full spool; then of writing and reading an inventory of 20,000 rows of 4 kB.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use umbra_store::{Class, Codec, Config, Disk, Spool, Store, Unreadable};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = Path::new(arguments.first().expect("a directory")).join("spool-rate");
    let records: u64 = arguments.get(1).map_or(1_000_000, |it| it.parse().unwrap());
    let bytes: usize = arguments.get(2).map_or(1000, |it| it.parse().unwrap());
    let config = Config { cap_bytes: 64 << 30, ..Config::default() };
    let value = vec![b'x'; bytes];
    let start = Instant::now();
    let open = || Spool::open(Disk::open(&directory).unwrap(), config).unwrap().0;

    let mut spool = open();
    measure("append", records, || {
        for number in 0..records {
            spool.append(Class::Event, b"0123456789abcdef0123456789abcdef", &value, number).unwrap();
            if number % 100 == 0 {
                spool.handle_timeout(start.elapsed()).unwrap();
            }
        }
        spool.sync().unwrap();
    });
    drop(spool);
    let mut spool = measure("open", 1, open);
    measure("read and acknowledge", records, || drain(&mut spool, start));
    measure("append, read and acknowledge", records, || {
        for number in 0..records {
            spool.append(Class::Event, b"0123456789abcdef0123456789abcdef", &value, number).unwrap();
            if number % 100 == 0 {
                spool.handle_timeout(start.elapsed()).unwrap();
                drain(&mut spool, start);
            }
        }
    });
    spool.close();
    std::fs::remove_dir_all(&directory).unwrap();
    inventory(&directory);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Bytes as they are.
struct Bytes;

impl Codec for Bytes {
    type Value = Vec<u8>;
    const KIND: &'static str = "bytes";
    const VERSION: u32 = 1;
    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        out.extend_from_slice(value);
    }
    fn read(_: u32, bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
        Ok(bytes.to_vec())
    }
    fn merge(_: &mut Vec<u8>, _: Vec<u8>) {}
}

fn inventory(directory: &Path) {
    const ROWS: u64 = 20_000;
    let mut store = Store::open(directory).unwrap();
    let value = vec![b'x'; 4000];
    for what in ["inventory rows written", "inventory rows written again"] {
        measure(what, ROWS, || {
            let mut writing = store.begin().unwrap();
            for number in 0..ROWS {
                let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
                writing.put::<Bytes>(&key, &value, number).unwrap();
            }
            writing.commit().unwrap();
        });
    }
    drop(store);
    let store = measure("inventory opened", 1, || Store::open(directory).unwrap());
    measure("inventory rows read", ROWS, || assert_eq!(store.read::<Bytes>().unwrap().rows.len(), ROWS as usize));
}

fn drain(spool: &mut Spool<Disk>, start: Instant) {
    let mut count = 0_u32;
    while let Some(record) = spool.next(Class::Event).unwrap() {
        let sequence = record.sequence;
        spool.acknowledge(Class::Event, sequence);
        count += 1;
        if count.is_multiple_of(1000) {
            spool.handle_timeout(start.elapsed()).unwrap();
        }
    }
}

fn measure<T>(what: &str, records: u64, work: impl FnOnce() -> T) -> T {
    let (wall, cpu) = (Instant::now(), cpu());
    let outcome = work();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), (self::cpu() - cpu).as_secs_f64());
    let rate = |seconds: f64| records as f64 / seconds.max(1e-9);
    println!("{what}: {wall:.3} s, {:.0}/s; CPU {cpu:.3} s, {:.0}/s", rate(wall), rate(cpu));
    outcome
}

/// User and system time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
