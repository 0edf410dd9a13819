//! The dynamic table (RFC 7541 §2.3.2), counted from the newest entry.

use std::collections::VecDeque;

use super::{Name, Oddities};

/// Added to the size of every entry (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;
/// The size both sides start with (RFC 9113 §6.5.2, SETTINGS_HEADER_TABLE_SIZE).
const INITIAL_SIZE: usize = 4096;
/// Dead bytes at the front of the buffer before it is compacted, so that the move is paid by as many insertions.
const COMPACT_BYTES: usize = 4096;

/// One entry; name and value lie one after the other in the table's buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where it begins, counted from the first byte ever appended, modulo 2^32.
    position: u32,
    name_len: u32,
    value_len: u32,
    /// What the name means.
    pub(super) name: Name,
    /// What is odd about it.
    pub(super) odd: Oddities,
}

impl Entry {
    /// Size of RFC 7541 §4.1: exact, or too small where a part is unknown.
    fn size(&self) -> usize {
        self.name_len as usize + self.value_len as usize + ENTRY_OVERHEAD
    }

    fn len(&self) -> usize {
        self.name_len as usize + self.value_len as usize
    }

    pub(super) fn name_len(&self) -> usize {
        self.name_len as usize
    }
}

/// What the table has at an index.
pub(super) enum Lookup<'a> {
    /// The entry; its name with its value behind it.
    Entry(&'a Entry, &'a [u8]),
    /// It may have an entry there, from before we joined.
    Unknown,
    /// It has none.
    None,
}

/// A dynamic table in one append-only buffer.
///
/// Eviction follows the encoder exactly while its table size is known and below our own bound. Otherwise entries are kept
/// longer than the encoder keeps them: it never refers to what it evicted, so an index from the newest still resolves.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Position of `bytes[0]`.
    base: u32,
    /// Oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    /// The encoder's limit, if known.
    max: Option<usize>,
    /// Our own bound (F049).
    bound: usize,
    /// The encoder's table may hold entries that are older than all of ours.
    older_unknown: bool,
}

impl Table {
    /// The table of a connection seen from its start, or not.
    pub(super) fn new(bound: usize, mid_stream: bool) -> Table {
        Table {
            bytes: Vec::new(),
            base: 0,
            entries: VecDeque::new(),
            size: 0,
            max: if mid_stream { None } else { Some(INITIAL_SIZE) },
            bound,
            older_unknown: mid_stream,
        }
    }

    /// Everything up to now is unknown: bytes were lost that may have inserted entries or changed the size.
    pub(super) fn forget(&mut self) {
        self.clear_entries();
        self.max = None;
        self.older_unknown = true;
    }

    fn clear_entries(&mut self) {
        self.entries.clear();
        self.size = 0;
    }

    /// The entry `index` places from the newest, which is 1.
    #[inline]
    pub(super) fn lookup(&self, index: usize) -> Lookup<'_> {
        let entry = self.entries.len().checked_sub(index).and_then(|from_oldest| self.entries.get(from_oldest));
        match entry {
            Some(entry) => Lookup::Entry(entry, self.text(entry)),
            None if self.older_unknown => Lookup::Unknown,
            None => Lookup::None,
        }
    }

    fn text(&self, entry: &Entry) -> &[u8] {
        let start = entry.position.wrapping_sub(self.base) as usize;
        self.bytes.get(start..start + entry.len()).unwrap_or_default()
    }

    /// A buffer to which the name and then the value of a new entry are appended. [`commit`](Self::commit) takes them.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        let live_from = match self.entries.front() {
            Some(oldest) => oldest.position.wrapping_sub(self.base) as usize,
            None => self.bytes.len(),
        };
        let live = self.bytes.len() - live_from.min(self.bytes.len());
        if live == 0 {
            self.base = self.base.wrapping_add(self.bytes.len() as u32);
            self.bytes.clear();
        } else if live_from >= COMPACT_BYTES.max(live) {
            self.bytes.drain(..live_from);
            self.base = self.base.wrapping_add(live_from as u32);
        }
        &mut self.bytes
    }

    /// Appends the name of an entry for a new one, before anything is evicted; answers its length.
    pub(super) fn copy_name(&mut self, index: usize) -> Option<(Name, Oddities, usize)> {
        self.begin();
        let entry = *self.entries.get(self.entries.len().checked_sub(index)?)?;
        let start = entry.position.wrapping_sub(self.base) as usize;
        self.bytes.extend_from_within(start..(start + entry.name_len as usize).min(self.bytes.len()));
        Some((entry.name, entry.odd, entry.name_len as usize))
    }

    /// The buffer of [`begin`](Self::begin), to go on appending.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Inserts the entry whose text is the buffer from `start` on; `name_len` bytes of it are the name.
    pub(super) fn commit(&mut self, start: usize, name_len: usize, name: Name, odd: Oddities) {
        let len = self.bytes.len().saturating_sub(start);
        let entry = Entry {
            position: self.base.wrapping_add(start as u32),
            name_len: name_len as u32,
            value_len: len.saturating_sub(name_len) as u32,
            name,
            odd,
        };
        let size = entry.size();
        if self.max.is_some_and(|max| size > max) {
            // RFC 7541 §4.4: too large for the table, which is empty then, and known to be.
            self.clear_entries();
            self.older_unknown = false;
        } else if size > self.bound {
            // The encoder keeps it, we do not: it takes an index, and so does all that we no longer hold.
            self.clear_entries();
            self.older_unknown = true;
            let entry = Entry { name_len: 0, value_len: 0, name: Name::Unknown, odd: Oddities::UNKNOWN_VALUE, ..entry };
            self.size = entry.size();
            self.entries.push_back(entry);
        } else {
            self.evict(size);
            self.size += size;
            self.entries.push_back(entry);
        }
    }

    /// A dynamic table size update (RFC 7541 §6.3).
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = Some(max);
        self.evict(0);
        if max < ENTRY_OVERHEAD {
            self.older_unknown = false;
        }
        if self.entries.is_empty() && self.bytes.capacity() > INITIAL_SIZE {
            self.base = self.base.wrapping_add(self.bytes.len() as u32);
            self.bytes = Vec::new();
        }
    }

    /// Makes room for `size` more.
    fn evict(&mut self, size: usize) {
        let limit = self.max.unwrap_or(self.bound).min(self.bound);
        let mut evicted = false;
        while self.size + size > limit
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size = self.size.saturating_sub(oldest.size());
            evicted = true;
        }
        if evicted {
            // Where the encoder evicted one of ours, nothing older is left. Where we did on our own, it may be.
            self.older_unknown = self.max.is_none_or(|max| max > self.bound);
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut Table, name: &[u8], value: &[u8]) {
        let buffer = table.begin();
        let start = buffer.len();
        buffer.extend_from_slice(name);
        buffer.extend_from_slice(value);
        table.commit(start, name.len(), Name::OtherPseudo, Oddities::default());
    }

    fn value(table: &Table, index: usize) -> Option<Vec<u8>> {
        match table.lookup(index) {
            Lookup::Entry(entry, text) => text.get(entry.name_len()..).map(<[u8]>::to_vec),
            _ => None,
        }
    }

    #[test]
    fn evicts_as_the_encoder_does() {
        let mut table = Table::new(65536, false);
        table.set_max(100);
        insert(&mut table, b"aaaa", b"1");
        insert(&mut table, b"bbbb", b"2");
        assert_eq!(value(&table, 2).as_deref(), Some(&b"1"[..]));
        insert(&mut table, b"cccc", b"3");
        assert_eq!(value(&table, 1).as_deref(), Some(&b"3"[..]));
        assert_eq!(value(&table, 2).as_deref(), Some(&b"2"[..]));
        assert!(matches!(table.lookup(3), Lookup::None));
    }

    #[test]
    fn many_insertions_keep_the_buffer_small() {
        let mut table = Table::new(65536, false);
        for number in 0..100_000u32 {
            insert(&mut table, b"name", &number.to_be_bytes());
            assert_eq!(value(&table, 1).as_deref(), Some(&number.to_be_bytes()[..]));
            if number > 50 {
                assert_eq!(value(&table, 50).as_deref(), Some(&(number - 49).to_be_bytes()[..]));
            }
        }
        assert!(table.memory_bytes() < 32 * 1024, "{}", table.memory_bytes());
    }

    #[test]
    fn joined_late_everything_older_is_unknown_until_it_must_have_been_evicted() {
        let mut table = Table::new(65536, true);
        assert!(matches!(table.lookup(1), Lookup::Unknown));
        insert(&mut table, b"aaaa", b"1");
        assert_eq!(value(&table, 1).as_deref(), Some(&b"1"[..]));
        assert!(matches!(table.lookup(2), Lookup::Unknown));
        table.set_max(80);
        assert!(matches!(table.lookup(2), Lookup::Unknown));
        insert(&mut table, b"bbbb", b"2");
        insert(&mut table, b"cccc", b"3"); // evicts "1", so nothing older is left
        assert!(matches!(table.lookup(3), Lookup::None));
        table.forget();
        assert!(matches!(table.lookup(1), Lookup::Unknown));
        table.set_max(0);
        assert!(matches!(table.lookup(1), Lookup::None));
    }

    #[test]
    fn f049_a_table_larger_than_our_bound_is_unknown_beyond_it() {
        let mut table = Table::new(200, false);
        table.set_max(u32::MAX as usize);
        for number in 0..10u8 {
            insert(&mut table, b"name", &[number; 4]); // 40 each, 5 fit
        }
        assert_eq!(value(&table, 5).as_deref(), Some(&[5; 4][..]));
        assert!(matches!(table.lookup(6), Lookup::Unknown));
        insert(&mut table, b"name", &[0; 300]);
        assert!(matches!(table.lookup(1), Lookup::Entry(entry, _) if entry.name == Name::Unknown));
        assert!(matches!(table.lookup(2), Lookup::Unknown));
        insert(&mut table, b"name", b"after");
        assert_eq!(value(&table, 1).as_deref(), Some(&b"after"[..]));
    }
}
