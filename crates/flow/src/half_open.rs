//! Connections of which only the opening was seen.

use umbra_wire::{SegmentHeader, Timestamp};

/// What the opening segments said, on the way to a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handshake {
    /// The client is the low end of the key.
    pub(crate) client_is_low: bool,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    pub(crate) client: Opening,
    pub(crate) server: Opening,
}

/// One side's SYN.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opening {
    /// Initial sequence number, if known.
    pub(crate) isn: Option<u32>,
    /// Its SYN itself was seen (the number may be known from the other side's ACK alone).
    pub(crate) seen: bool,
    /// Window scale option.
    pub(crate) scale: Option<u8>,
    /// Timestamps option present.
    pub(crate) timestamps: bool,
    /// Segments so far.
    pub(crate) packets: u8,
}

impl Opening {
    pub(crate) fn of(header: &SegmentHeader) -> Self {
        Opening {
            isn: Some(header.seq),
            seen: true,
            // RFC 7323 §2.3: above 14 counts as 14.
            scale: header.options.window_scale.map(|shift| shift.min(14)),
            timestamps: header.options.timestamps.is_some(),
            packets: 1,
        }
    }
}

/// No record.
const NONE: u32 = u32::MAX;

const HAVE_CLIENT: u8 = 1;
const HAVE_SERVER: u8 = 2;
const SEEN_CLIENT: u8 = 4;
const SEEN_SERVER: u8 = 8;
const CLIENT_TIMESTAMPS: u8 = 16;
const SERVER_TIMESTAMPS: u8 = 32;
const CLIENT_IS_LOW: u8 = 64;
const NO_SCALE: u8 = 0xff;

/// A half-open connection in 48 bytes (F017). The 64-bit keyed hash stands for the 5-tuple: without the key nobody can
/// make two collide, and by chance two of a million do once in 10^7 runs.
#[derive(Clone, Copy, Debug)]
struct Record {
    hash: u64,
    first_time: u64,
    last_time: u64,
    client_isn: u32,
    server_isn: u32,
    previous: u32,
    next: u32,
    flags: u8,
    client_scale: u8,
    server_scale: u8,
    packets: [u8; 2],
}

impl Record {
    fn new(hash: u64, handshake: &Handshake) -> Self {
        let (c, s) = (handshake.client, handshake.server);
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        Record {
            hash,
            first_time: handshake.first_time.nanos(),
            last_time: handshake.last_time.nanos(),
            client_isn: c.isn.unwrap_or(0),
            server_isn: s.isn.unwrap_or(0),
            previous: NONE,
            next: NONE,
            flags: bit(c.isn.is_some(), HAVE_CLIENT)
                | bit(s.isn.is_some(), HAVE_SERVER)
                | bit(c.seen, SEEN_CLIENT)
                | bit(s.seen, SEEN_SERVER)
                | bit(c.timestamps, CLIENT_TIMESTAMPS)
                | bit(s.timestamps, SERVER_TIMESTAMPS)
                | bit(handshake.client_is_low, CLIENT_IS_LOW),
            client_scale: c.scale.unwrap_or(NO_SCALE),
            server_scale: s.scale.unwrap_or(NO_SCALE),
            packets: [c.packets, s.packets],
        }
    }

    fn handshake(&self) -> Handshake {
        let on = |bit: u8| self.flags & bit != 0;
        let scale = |scale: u8| (scale != NO_SCALE).then_some(scale);
        Handshake {
            client_is_low: on(CLIENT_IS_LOW),
            first_time: Timestamp(self.first_time),
            last_time: Timestamp(self.last_time),
            client: Opening {
                isn: on(HAVE_CLIENT).then_some(self.client_isn),
                seen: on(SEEN_CLIENT),
                scale: scale(self.client_scale),
                timestamps: on(CLIENT_TIMESTAMPS),
                packets: self.packets[0],
            },
            server: Opening {
                isn: on(HAVE_SERVER).then_some(self.server_isn),
                seen: on(SEEN_SERVER),
                scale: scale(self.server_scale),
                timestamps: on(SERVER_TIMESTAMPS),
                packets: self.packets[1],
            },
        }
    }
}

/// The records, oldest first in a list: all have the same lifetime, so the head is always the next to go.
#[derive(Debug)]
pub(crate) struct HalfOpenTable {
    records: Vec<Record>,
    free: u32,
    head: u32,
    tail: u32,
    len: usize,
}

impl HalfOpenTable {
    pub(crate) const fn new() -> Self {
        HalfOpenTable { records: Vec::new(), free: NONE, head: NONE, tail: NONE, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
    }

    pub(crate) fn insert(&mut self, hash: u64, handshake: &Handshake, max: usize) -> u32 {
        let record = Record::new(hash, handshake);
        let index = self.free;
        let index = if let Some(slot) = self.records.get_mut(index as usize) {
            self.free = slot.next;
            *slot = record;
            index
        } else {
            if self.records.len() == self.records.capacity() {
                // Doubling, but never past the bound: the bound is what F017 promises.
                let more = self.records.len().clamp(1024, max.saturating_sub(self.records.len()).max(1024));
                self.records.reserve_exact(more);
            }
            self.records.push(record);
            self.records.len() as u32 - 1
        };
        self.len += 1;
        self.link(index);
        index
    }

    pub(crate) fn hash(&self, index: u32) -> u64 {
        self.records.get(index as usize).map_or(0, |record| record.hash)
    }

    pub(crate) fn handshake(&self, index: u32) -> Option<Handshake> {
        self.records.get(index as usize).map(Record::handshake)
    }

    /// Writes back what a further opening segment changed; the record becomes the youngest.
    pub(crate) fn update(&mut self, index: u32, handshake: &Handshake) {
        self.unlink(index);
        if let Some(record) = self.records.get_mut(index as usize) {
            *record = Record::new(record.hash, handshake);
        }
        self.link(index);
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.unlink(index);
        if let Some(record) = self.records.get_mut(index as usize) {
            record.next = self.free;
            self.free = index;
            self.len -= 1;
        }
    }

    /// The oldest record: its index, hash and last time.
    pub(crate) fn oldest(&self) -> Option<(u32, u64, Timestamp)> {
        let record = self.records.get(self.head as usize)?;
        Some((self.head, record.hash, Timestamp(record.last_time)))
    }

    fn link(&mut self, index: u32) {
        let tail = self.tail;
        if let Some(record) = self.records.get_mut(index as usize) {
            record.previous = tail;
            record.next = NONE;
        }
        match self.records.get_mut(tail as usize) {
            Some(last) => last.next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    fn unlink(&mut self, index: u32) {
        let Some(record) = self.records.get(index as usize) else { return };
        let (previous, next) = (record.previous, record.next);
        match self.records.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match self.records.get_mut(next as usize) {
            Some(after) => after.previous = previous,
            None => self.tail = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_small_and_leave_oldest_first() {
        assert!(size_of::<Record>() <= 48);
        let mut table = HalfOpenTable::new();
        let at = |time| Handshake { last_time: Timestamp(time), ..Handshake::default() };
        let [a, b, c] = [1, 2, 3].map(|n| table.insert(n, &at(n), 10));
        assert_eq!(table.oldest(), Some((a, 1, Timestamp(1))));
        table.update(a, &at(4));
        assert_eq!(table.oldest(), Some((b, 2, Timestamp(2))));
        table.remove(c);
        table.remove(b);
        assert_eq!(table.oldest(), Some((a, 1, Timestamp(4))));
        table.remove(a);
        assert_eq!((table.oldest(), table.len()), (None, 0));
        assert_eq!(table.insert(9, &at(9), 10), a);
        assert_eq!(table.hash(a), 9);
    }

    #[test]
    fn a_handshake_survives_packing() {
        let opening = Opening { isn: Some(7), seen: true, scale: Some(0), timestamps: true, packets: 2 };
        let handshake = Handshake { client_is_low: true, client: opening, ..Handshake::default() };
        let back = Record::new(1, &handshake).handshake();
        assert_eq!(format!("{back:?}"), format!("{handshake:?}"));
    }
}
