#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("umbra-inventory-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn store(&self, name: &str) -> Store {
        Store::open(&self.0.join(name)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Sums.
struct Sum;

impl Codec for Sum {
    type Value = u64;
    const KIND: &'static str = "sum";
    const VERSION: u32 = 2;
    fn write(value: &u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_be_bytes());
    }
    fn read(version: u32, bytes: &[u8]) -> Result<u64, Unreadable> {
        match version {
            // Version 1 wrote text.
            1 => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or(Unreadable),
            _ => bytes.try_into().map(u64::from_be_bytes).map_err(|_| Unreadable),
        }
    }
    fn merge(value: &mut u64, other: u64) {
        *value += other;
    }
}

/// The same of another version.
struct SumOf<const VERSION: u32>;

impl<const N: u32> Codec for SumOf<N> {
    type Value = Vec<u8>;
    const KIND: &'static str = "sum";
    const VERSION: u32 = N;
    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        out.extend_from_slice(value);
    }
    fn read(_: u32, bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
        Ok(bytes.to_vec())
    }
    fn merge(_: &mut Vec<u8>, _: Vec<u8>) {}
}

fn put(store: &mut Store, rows: &[(&str, u64)]) {
    let mut writing = store.begin().unwrap();
    for (key, value) in rows {
        writing.merge::<Sum>(key.as_bytes(), *value, *value).unwrap();
    }
    writing.commit().unwrap();
}

fn rows(store: &Store) -> BTreeMap<String, u64> {
    let reading = store.read::<Sum>().unwrap();
    assert_eq!(reading.unreadable, 0);
    reading.rows.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value)).collect()
}

#[test]
fn what_was_committed_is_read_at_the_next_start() {
    let scratch = Scratch::new("start");
    let mut store = scratch.store("a");
    put(&mut store, &[("x", 1), ("y", 2)]);
    put(&mut store, &[("x", 10)]);
    let mut writing = store.begin().unwrap();
    writing.put::<Sum>(b"x", &99, 99).unwrap();
    drop(writing);
    assert_eq!(store.updated_ns().unwrap(), Some(10));
    drop(store);
    let mut store = scratch.store("a");
    assert_eq!(rows(&store), BTreeMap::from([("x".into(), 11), ("y".into(), 2)]));
    assert_eq!(store.read_one::<Sum>(b"x").unwrap(), Some(11));
    assert_eq!(store.read_one::<Sum>(b"z").unwrap(), None);
    let mut writing = store.begin().unwrap();
    assert!(writing.remove::<Sum>(b"x").unwrap());
    assert!(!writing.remove::<Sum>(b"x").unwrap());
    writing.commit().unwrap();
    assert_eq!(rows(&store).len(), 1);
    let mut writing = store.begin().unwrap();
    writing.clear::<Sum>().unwrap();
    writing.commit().unwrap();
    assert_eq!(rows(&store).len(), 0);
}

#[test]
fn f098_stores_join_to_the_same_in_any_order_and_none_counts_twice() {
    let scratch = Scratch::new("f098");
    let parts: [&[(&str, u64)]; 3] = [&[("x", 1), ("y", 5)], &[("x", 2), ("z", 7)], &[("y", 3), ("x", 4), ("w", 1)]];
    let whole = {
        let mut store = scratch.store("whole");
        parts.iter().for_each(|part| put(&mut store, part));
        (rows(&store), store.updated_ns().unwrap())
    };
    for (index, part) in parts.iter().enumerate() {
        put(&mut scratch.store(&format!("part{index}")), part);
    }
    let kinds = [KindOf::codec::<Sum>()];
    for (number, order) in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].iter().enumerate() {
        let mut store = scratch.store(&format!("joined{number}"));
        for index in order {
            store.merge_from(&scratch.0.join(format!("part{index}")), &kinds).unwrap();
        }
        assert_eq!((rows(&store), store.updated_ns().unwrap()), whole, "{order:?}");
        // A duplicate, and a store that has one in it.
        let error = store.merge_from(&scratch.0.join("part1"), &kinds).unwrap_err();
        assert!(matches!(error, Error::Overlap { .. }), "{error}");
        if number > 0 {
            assert!(store.merge_from(&scratch.0.join("joined0"), &kinds).is_err());
        }
        assert_eq!(rows(&store), whole.0);
    }
    // Grouped the other way: (0 + (1 + 2)).
    let mut right = scratch.store("right");
    right.merge_from(&scratch.0.join("part1"), &kinds).unwrap();
    let merged = right.merge_from(&scratch.0.join("part2"), &kinds).unwrap();
    assert_eq!(merged, Merged { added: 2, joined: 1, unreadable: 0 });
    drop(right);
    let mut left = scratch.store("part0");
    left.merge_from(&scratch.0.join("right").join(FILE_NAME), &kinds).unwrap();
    assert_eq!(rows(&left), whole.0);
}

#[test]
fn f095_one_writes_and_others_read_whole_transactions() {
    let scratch = Scratch::new("f095");
    let path = scratch.0.join("a");
    assert!(matches!(Store::open_to_read(&path), Err(Error::NoState { .. })));
    let mut store = scratch.store("a");
    assert!(matches!(Store::open(&path), Err(Error::Locked { .. })));
    put(&mut store, &[("x", 1), ("y", 1)]);
    let reader = Store::open_to_read(&path).unwrap();
    let mut writing = store.begin().unwrap();
    writing.put::<Sum>(b"x", &2, 0).unwrap();
    assert_eq!(rows(&reader)["x"], 1);
    writing.put::<Sum>(b"y", &2, 0).unwrap();
    writing.commit().unwrap();
    assert_eq!((rows(&reader)["x"], rows(&reader)["y"]), (2, 2));
    drop(store);
    assert_eq!(rows(&Store::open_to_read(&path).unwrap())["x"], 2);
    assert!(Store::open_to_read(&path).unwrap().begin().is_err(), "a reader cannot write");
}

#[test]
fn f088_a_damaged_file_is_set_aside_or_its_good_rows_are_read() {
    let scratch = Scratch::new("f088");
    let mut store = scratch.store("good");
    let names: Vec<String> = (0..300).map(|number| format!("key number {number}")).collect();
    put(&mut store, &names.iter().map(|name| (name.as_str(), 7)).collect::<Vec<_>>());
    drop(store);
    let good = fs::read(scratch.0.join("good").join(FILE_NAME)).unwrap();
    assert!(good.len() > 16 << 10);
    let mut outcomes = [0; 3];
    let mut survive = |bytes: &[u8], what: &str| {
        let directory = scratch.0.join("bad");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(directory.join(FILE_NAME), bytes).unwrap();
        let mut store = Store::open(&directory).unwrap_or_else(|error| panic!("{what}: {error}"));
        match store.set_aside() {
            Some(aside) => assert_eq!(fs::read(aside).unwrap(), bytes, "{what}: kept as it was"),
            None => {
                let reading = store.read::<Sum>().unwrap();
                assert!(reading.rows.iter().all(|(_, value)| *value == 7), "{what}: a value that nobody wrote");
                outcomes[1] += reading.unreadable;
            }
        }
        outcomes[0] += u64::from(store.set_aside().is_some());
        put(&mut store, &[("new", 7)]);
        outcomes[2] += 1;
        assert_eq!(store.read_one::<Sum>(b"new").unwrap(), Some(7), "{what}");
    };
    for length in [0, 1, 15, 99, 100, 4095, 4096, 5000, 8192, good.len() - 4096, good.len() - 1] {
        survive(&good[..length], &format!("cut at {length}"));
    }
    survive(&vec![0x55; 9000], "noise");
    // A byte of every region; all of them would take minutes.
    for offset in (0..120).step_by(3).chain((120..good.len()).step_by(1021)) {
        let mut bad = good.clone();
        bad[offset] ^= 0x41;
        survive(&bad, &format!("byte {offset}"));
    }
    assert!(outcomes[0] > 10 && outcomes[1] > 2, "{outcomes:?}: both ways were gone");
}

#[test]
fn f091_a_full_disk_fails_the_transaction_and_nothing_else() {
    let scratch = Scratch::new("f091");
    let mut store = scratch.store("a");
    put(&mut store, &[("x", 1)]);
    store.database.pragma_update(None, "max_page_count", 12).unwrap();
    let mut writing = store.begin().unwrap();
    let big = vec![0; 100_000];
    assert!(writing.put::<SumOf<2>>(b"big", &big, 0).is_err(), "the disk was not full");
    let _ = writing.put::<Sum>(b"x", &2, 0);
    assert!(writing.commit().is_err(), "all or nothing");
    assert_eq!(rows(&store), BTreeMap::from([("x".into(), 1)]));
    store.database.pragma_update(None, "max_page_count", 10_000).unwrap();
    put(&mut store, &[("x", 1)]);
    assert_eq!(rows(&store)["x"], 2, "it goes on alone");
}

#[test]
fn f096_older_rows_are_read_newer_ones_kept() {
    let scratch = Scratch::new("f096");
    let mut store = scratch.store("a");
    let mut writing = store.begin().unwrap();
    writing.put::<SumOf<1>>(b"old", &b"41".to_vec(), 0).unwrap();
    writing.put::<SumOf<3>>(b"new", &b"of the future".to_vec(), 0).unwrap();
    writing.commit().unwrap();
    let reading = store.read::<Sum>().unwrap();
    assert_eq!((reading.rows, reading.unreadable), (vec![(b"old".to_vec(), 41)], 1));
    assert_eq!(store.read_one::<Sum>(b"new").unwrap(), None);
    put(&mut store, &[("old", 1), ("new", 1)]);
    assert_eq!(rows(&store), BTreeMap::from([("old".into(), 42), ("new".into(), 1)]));
    let kept = store.database.query_row("SELECT version, value FROM aside WHERE key = ?1", [b"new"], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    assert_eq!(kept.unwrap(), (3, b"of the future".to_vec()));
}

#[test]
fn f096_a_file_of_a_newer_layout_is_set_aside_and_a_reader_says_so() {
    let scratch = Scratch::new("f096-layout");
    let mut store = scratch.store("a");
    put(&mut store, &[("x", 1)]);
    store.database.pragma_update(None, "user_version", layout::VERSION + 1).unwrap();
    drop(store);
    let error = Store::open_to_read(&scratch.0.join("a")).err().unwrap();
    assert!(matches!(error, Error::NewerState { version, .. } if version == layout::VERSION + 1), "{error}");
    for _ in 0..2 {
        let mut store = scratch.store("a");
        let aside = store.set_aside().map(Path::to_owned);
        assert!(rows(&store).is_empty() == aside.is_some());
        put(&mut store, &[("y", 1)]);
        if let Some(aside) = aside {
            let kept = rusqlite::Connection::open(aside).unwrap();
            let count: u32 = kept.query_row("SELECT count(*) FROM row", [], |row| row.get(0)).unwrap();
            assert_eq!(count, 1);
        }
    }
}

#[test]
fn f089_a_link_in_place_of_the_file_is_not_followed() {
    let scratch = Scratch::new("f089");
    put(&mut scratch.store("target"), &[("x", 1)]);
    drop(scratch.store("a"));
    let file = scratch.0.join("a").join(FILE_NAME);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(scratch.0.join("target").join(FILE_NAME), &file).unwrap();
    assert!(Store::open(&scratch.0.join("a")).is_err());
    // But the directory may be reached by one, as /var/run is.
    std::os::unix::fs::symlink(scratch.0.join("target"), scratch.0.join("deep")).unwrap();
    fs::create_dir(scratch.0.join("target/inner")).unwrap();
    put(&mut Store::open(&scratch.0.join("deep/inner")).unwrap(), &[("x", 1)]);
}
