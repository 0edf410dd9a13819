//! A disk that fails on command: in memory, with the durability that POSIX promises and no more.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part; and these are tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use umbra_store::{Class, Config, Entry, Files, Kind, Opened, Sequence, Spool};

/// xorshift64*: repeatable, and good enough to choose what breaks.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }
}

/// The calls of [`Files`] that change something or wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncNames,
    Read,
    Write,
    SetLength,
    Sync,
}

/// Says for a call, by kind, name and count, with which error it fails.
pub(crate) type Fault = fn(Call, &str, u64) -> Option<io::ErrorKind>;

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What reads see.
    data: Vec<u8>,
    /// What is on the platter.
    durable: Vec<u8>,
    /// What the kernel still knows to write.
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Names that are something else than files.
    pub(crate) others: Vec<String>,
    /// Calls so far.
    pub(crate) calls: u64,
    /// From this call on the process is dead: nothing happens any more.
    pub(crate) dead_from: Option<u64>,
    /// Bytes the disk holds.
    pub(crate) capacity: Option<usize>,
    /// Which calls fail.
    pub(crate) fault: Option<Fault>,
    /// Longest single write.
    pub(crate) write_limit: Option<usize>,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty(pub(crate) Rc<RefCell<State>>);

impl Faulty {
    fn call(&self, call: Call, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.calls += 1;
        if state.dead_from.is_some_and(|dead| state.calls > dead) {
            return Err(io::Error::other("the process is dead"));
        }
        match state.fault.and_then(|fault| fault(call, name, state.calls)) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    fn name(&self, inode: usize) -> String {
        let state = self.0.borrow();
        state.names.iter().find(|(_, it)| **it == inode).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// The disk as a new process finds it after a kill: all that was written is there.
    pub(crate) fn after_kill(&self) -> Faulty {
        let mut state = self.0.borrow().clone();
        state.dead_from = None;
        state.fault = None;
        state.capacity = None;
        Faulty(Rc::new(RefCell::new(state)))
    }

    /// The disk after a power cut: what was not synced is there, or not, or in part, or in another order.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> Faulty {
        let old = self.0.borrow();
        let mut state = State::default();
        let mut names = old.durable_names.clone();
        for (name, inode) in &old.names {
            if random.below(2) == 0 {
                names.insert(name.clone(), *inode);
            }
        }
        for name in old.durable_names.keys().filter(|name| !old.names.contains_key(*name)) {
            if random.below(2) == 0 {
                names.remove(name);
            }
        }
        for (name, inode) in names {
            let inode = &old.inodes[inode];
            let mut data = inode.durable.clone();
            let mut changes = inode.changes.clone();
            if random.below(4) == 0 {
                changes.reverse();
            }
            for change in changes {
                let lucky = random.below(3);
                match change {
                    _ if lucky == 0 => {}
                    Change::Length(length) => data.resize(length, 0),
                    Change::Write(offset, bytes) => {
                        let length =
                            if lucky == 1 { random.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
                        put(&mut data, offset, &bytes[..length]);
                    }
                }
            }
            state.names.insert(name, state.inodes.len());
            state.inodes.push(Inode { durable: data.clone(), data, changes: Vec::new() });
        }
        state.durable_names = state.names.clone();
        Faulty(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.inodes[state.names[name]].data.clone()
    }

    pub(crate) fn put(&self, name: &str, data: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        let inode = state.inodes.len();
        state.inodes.push(Inode { durable: data.clone(), data, changes: Vec::new() });
        state.names.insert(name.into(), inode);
        state.durable_names.insert(name.into(), inode);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut state = self.0.borrow_mut();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Faulty {
        Faulty(Rc::new(RefCell::new(self.0.borrow().clone())))
    }
}

fn apply(data: &mut Vec<u8>, change: Change) {
    match change {
        Change::Length(length) => data.resize(length, 0),
        Change::Write(offset, bytes) => put(data, offset, &bytes),
    }
}

fn put(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if data.len() < offset + bytes.len() {
        data.resize(offset + bytes.len(), 0);
    }
    data[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Files for Faulty {
    type File = usize;

    fn list(&self) -> io::Result<Vec<Entry>> {
        self.call(Call::List, "")?;
        let state = self.0.borrow();
        let kind = |name: &String| if state.others.contains(name) { Kind::Other } else { Kind::File };
        let entry = |(name, inode): (&String, &usize)| Entry {
            name: name.clone(),
            kind: kind(name),
            length: state.inodes[*inode].data.len() as u64,
        };
        Ok(state.names.iter().map(entry).collect())
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        self.call(Call::Create, name)?;
        let mut state = self.0.borrow_mut();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(name.into(), inode);
        Ok(inode)
    }

    fn open(&self, name: &str) -> io::Result<usize> {
        self.call(Call::Open, name)?;
        let state = self.0.borrow();
        assert!(!state.others.contains(&name.to_owned()), "{name} is not a file and was opened");
        state.names.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Rename, from)?;
        let mut state = self.0.borrow_mut();
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), inode);
        state.others.iter_mut().filter(|other| *other == from).for_each(|other| *other = to.into());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(Call::Remove, name)?;
        self.0.borrow_mut().names.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call(Call::SyncNames, "")?;
        let mut state = self.0.borrow_mut();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn read(&self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(Call::Read, &self.name(*file))?;
        let state = self.0.borrow();
        let data = &state.inodes[*file].data;
        let data = data.get(offset as usize..).unwrap_or_default();
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        Ok(length)
    }

    fn write(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.call(Call::Write, &self.name(*file))?;
        let mut state = self.0.borrow_mut();
        let used: usize = state.names.values().map(|inode| state.inodes[*inode].data.len()).sum();
        let limit = state.write_limit.unwrap_or(usize::MAX);
        let capacity = state.capacity.unwrap_or(usize::MAX);
        let inode = &mut state.inodes[*file];
        let grows = (offset as usize + bytes.len()).saturating_sub(inode.data.len());
        let room = capacity.saturating_sub(used);
        let length = bytes.len().min(limit).min(bytes.len() - grows.min(bytes.len()) + room.min(grows));
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut inode.data, offset as usize, &bytes[..length]);
        inode.changes.push(Change::Write(offset as usize, bytes[..length].to_vec()));
        Ok(length)
    }

    fn set_length(&self, file: &usize, length: u64) -> io::Result<()> {
        self.call(Call::SetLength, &self.name(*file))?;
        let mut state = self.0.borrow_mut();
        let inode = &mut state.inodes[*file];
        inode.data.resize(length as usize, 0);
        inode.changes.push(Change::Length(length as usize));
        Ok(())
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let outcome = self.call(Call::Sync, &self.name(*file));
        let mut state = self.0.borrow_mut();
        let dead = state.dead_from.is_some_and(|dead| state.calls > dead);
        let inode = &mut state.inodes[*file];
        match outcome {
            Ok(()) => {
                for change in std::mem::take(&mut inode.changes) {
                    apply(&mut inode.durable, change);
                }
            }
            // The kernel gave up on these pages and calls them clean: a second call would say all is well.
            Err(_) if !dead => inode.changes.clear(),
            Err(_) => {}
        }
        outcome
    }
}

/// Small enough that every test crosses segments.
pub(crate) const SMALL: Config = Config {
    cap_bytes: 1 << 20,
    segment_bytes: 2048,
    sync_interval: std::time::Duration::from_millis(200),
    max_in_flight: 100_000,
    first_sequence: 1,
};

pub(crate) fn open(disk: &Faulty, config: Config) -> (Spool<Faulty>, Opened) {
    Spool::open(disk.clone(), config).unwrap()
}

/// A value that says which record it is, of a length that varies.
pub(crate) fn value(number: u64) -> Vec<u8> {
    let mut value = format!("{{\"number\":{number},\"rest\":\"").into_bytes();
    value.resize(value.len() + (number % 90) as usize, b'x');
    value.extend_from_slice(b"\"}");
    value
}

/// The number in a value, which must be right to the byte.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).unwrap();
    let number = text["{\"number\":".len()..].split(',').next().unwrap().parse().unwrap();
    assert_eq!(bytes, value(number), "not the bytes that were appended");
    number
}

/// Numbers of all records that come out now, which must have rising sequences.
pub(crate) fn drain<F: Files>(spool: &mut Spool<F>, class: Class) -> Vec<u64> {
    drain_with_sequence(spool, class).into_iter().map(|(_, number)| number).collect()
}

pub(crate) fn drain_with_sequence<F: Files>(spool: &mut Spool<F>, class: Class) -> Vec<(Sequence, u64)> {
    let mut records: Vec<(Sequence, u64)> = Vec::new();
    let mut failures = 0;
    loop {
        match spool.next(class) {
            Ok(Some(record)) => {
                assert_eq!(record.class, class);
                assert!(records.last().is_none_or(|(last, _)| last.is_before(record.sequence)));
                records.push((record.sequence, number(record.value)));
            }
            Ok(None) => return records,
            Err(error) => {
                failures += 1;
                assert!(failures < 1000, "stuck: {error}");
            }
        }
    }
}
