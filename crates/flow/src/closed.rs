//! Connections that closed a moment ago.
//!
//! After the close come late retransmissions, the last ACK, copies of the mirror port. They must not start a new flow.

use umbra_wire::Timestamp;

/// What is remembered of a closed connection; the keyed hash stands for the 5-tuple.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) hash: u64,
    pub(crate) time: Timestamp,
    /// Sequence number of the first byte of the low and of the high end.
    pub(crate) start_seq: [Option<u32>; 2],
    /// Sequence number after the last byte of the low and of the high end; `None` when that end was never seen.
    pub(crate) end_seq: [Option<u32>; 2],
}

/// Farthest a late retransmission lies before the end of its connection.
const LATE_BYTES: u32 = 1 << 24;

impl Closed {
    /// `len` bytes at `seq` from the low (or high) end belong to the closed connection.
    pub(crate) fn covers(&self, from_low: bool, seq: u32, len: u32) -> bool {
        let end = if from_low { self.end_seq[0] } else { self.end_seq[1] };
        // Two past the end: a probe may sit on the number of the FIN.
        end.is_none_or(|end| end.wrapping_add(2).wrapping_sub(seq.wrapping_add(len)) <= LATE_BYTES)
    }
}

/// A ring: the oldest gives way.
#[derive(Debug)]
pub(crate) struct ClosedRing {
    ring: Vec<Option<Closed>>,
    cursor: usize,
    max: usize,
}

impl ClosedRing {
    pub(crate) fn new(max: usize) -> Self {
        ClosedRing { ring: Vec::new(), cursor: 0, max }
    }

    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&Closed> {
        self.ring.get(index as usize)?.as_ref()
    }

    pub(crate) fn remove(&mut self, index: u32) {
        if let Some(slot) = self.ring.get_mut(index as usize) {
            *slot = None;
        }
    }

    /// Index of the new record, and the record that had to give way. `None` when nothing is to be remembered.
    pub(crate) fn insert(&mut self, closed: Closed) -> Option<(u32, Option<Closed>)> {
        if self.ring.len() < self.max {
            self.ring.push(Some(closed));
            return Some((self.ring.len() as u32 - 1, None));
        }
        let index = self.cursor;
        let old = self.ring.get_mut(index)?.replace(closed);
        self.cursor = (index + 1) % self.max;
        Some((index as u32, old))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Option<Closed>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let mut ring = ClosedRing::new(2);
        let closed = |hash| Closed { hash, time: Timestamp(0), start_seq: [None; 2], end_seq: [Some(100), None] };
        for hash in 1..=3 {
            let forgotten = ring.insert(closed(hash)).and_then(|(_, old)| old).map(|old| old.hash);
            assert_eq!(forgotten, (hash == 3).then_some(1));
        }
        assert_eq!(ring.at(0).map(|closed| closed.hash), Some(3));
        assert!(ClosedRing::new(0).insert(closed(1)).is_none());
    }

    #[test]
    fn late_bytes_end_where_the_connection_ended() {
        let closed = Closed { hash: 0, time: Timestamp(0), start_seq: [None; 2], end_seq: [Some(100), None] };
        assert!(closed.covers(true, 50, 50));
        assert!(closed.covers(true, 101, 0));
        assert!(closed.covers(true, 0xffff_fff0, 10));
        assert!(!closed.covers(true, 100, 10));
        assert!(!closed.covers(true, 0x8000_0000, 10));
        assert!(closed.covers(false, 12345, 10));
    }
}
