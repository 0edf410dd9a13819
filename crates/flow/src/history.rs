//! The newest bytes handed over that the receiver has not acknowledged yet.
//!
//! A retransmission with other bytes than the first copy is how data is hidden from (or shown only to) a sensor (F020).
//! It can only work while the receiver has not acknowledged the first copy, so only that long are bytes kept, and only
//! a bounded number of the newest.

use std::fmt;

use crate::assembler::part;

/// Buffers of one length, used again and again.
#[derive(Debug)]
pub(crate) struct HistoryPool {
    buffer_bytes: usize,
    free: Vec<Box<[u8]>>,
    /// Buffers in use or free.
    made: usize,
    max_made: usize,
}

impl HistoryPool {
    pub(crate) fn new(buffer_bytes: usize, max_bytes: usize) -> Self {
        let buffer_bytes = buffer_bytes.min(usize::from(u16::MAX));
        HistoryPool { buffer_bytes, free: Vec::new(), made: 0, max_made: max_bytes / buffer_bytes.max(1) }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.made * self.buffer_bytes
    }

    fn take(&mut self) -> Option<Box<[u8]>> {
        if let Some(buffer) = self.free.pop() {
            return Some(buffer);
        }
        if self.made >= self.max_made || self.buffer_bytes == 0 {
            return None;
        }
        self.made += 1;
        Some(vec![0; self.buffer_bytes].into_boxed_slice())
    }
}

/// Bytes `[start, start + len)` of a direction.
#[derive(Default)]
pub(crate) struct History {
    buffer: Option<Box<[u8]>>,
    start: u64,
    len: u16,
}

impl fmt::Debug for History {
    /// Without the bytes: they are other people's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("start", &self.start).field("len", &self.len).finish_non_exhaustive()
    }
}

impl History {
    /// Adds bytes that were just handed over at stream offset `offset`. False when there was no room for any.
    pub(crate) fn record(&mut self, offset: u64, bytes: &[u8], pool: &mut HistoryPool) -> bool {
        if self.buffer.is_none() {
            if pool.buffer_bytes == 0 {
                return true;
            }
            self.buffer = pool.take();
            self.start = offset;
            self.len = 0;
        }
        let Some(buffer) = self.buffer.as_deref_mut() else { return false };
        let len = usize::from(self.len);
        if self.start + len as u64 != offset {
            // After a gap the kept bytes and the new ones are not neighbours.
            self.start = offset;
            self.len = 0;
        }
        let mut len = usize::from(self.len);
        if bytes.len() >= buffer.len() {
            let tail = bytes.get(bytes.len() - buffer.len()..).unwrap_or_default();
            buffer.copy_from_slice(tail);
            self.start = offset + (bytes.len() - tail.len()) as u64;
            self.len = tail.len() as u16;
            return true;
        }
        if len + bytes.len() > buffer.len() {
            // Throw away at least half a buffer at a time: one-byte segments then cost one move per half buffer.
            let drop = (len + bytes.len() - buffer.len()).max(buffer.len() / 2).min(len);
            buffer.copy_within(drop..len, 0);
            self.start += drop as u64;
            len -= drop;
        }
        if let Some(room) = buffer.get_mut(len..len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len = (len + bytes.len()) as u16;
        }
        true
    }

    /// The receiver acknowledged everything before `offset`.
    #[inline]
    pub(crate) fn acknowledged(&mut self, offset: u64, pool: &mut HistoryPool) {
        if self.buffer.is_some() && offset >= self.start + u64::from(self.len) {
            self.clear(pool);
        }
    }

    pub(crate) fn clear(&mut self, pool: &mut HistoryPool) {
        if let Some(buffer) = self.buffer.take() {
            pool.free.push(buffer);
        }
        self.len = 0;
    }

    /// `bytes`, sent again at `offset`, differ from what is kept.
    pub(crate) fn differs(&self, offset: u64, bytes: &[u8]) -> bool {
        let Some(buffer) = &self.buffer else { return false };
        let from = offset.max(self.start);
        let to = (offset + bytes.len() as u64).min(self.start + u64::from(self.len));
        from < to && part(bytes, offset, from, to) != part(buffer, self.start, from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_bytes_until_acknowledged() {
        let mut pool = HistoryPool::new(8, 16);
        let mut history = History::default();
        assert!(history.record(100, b"abcdef", &mut pool));
        assert!(!history.differs(100, b"abcdef"));
        assert!(history.differs(104, b"eX"));
        assert!(history.record(106, b"ghij", &mut pool));
        // At least half a buffer was thrown away to make room: `abcd` is not known any more.
        assert!(!history.differs(100, b"XXXX"));
        assert!(history.differs(100, b"abcdeX"));
        assert!(!history.differs(104, b"efghijkl"));
        history.acknowledged(109, &mut pool);
        assert!(history.differs(104, b"eX"));
        history.acknowledged(110, &mut pool);
        assert!(!history.differs(104, b"eX"));
        assert_eq!((pool.made, pool.free.len()), (1, 1));
    }

    #[test]
    fn long_segments_gaps_and_an_empty_pool() {
        let mut pool = HistoryPool::new(4, 4);
        let (mut one, mut two) = (History::default(), History::default());
        assert!(one.record(0, b"0123456789", &mut pool));
        assert!(one.differs(6, b"678X"));
        assert!(!one.differs(0, b"XXXXXX"));
        assert!(!two.record(0, b"a", &mut pool));
        assert!(one.record(50, b"ab", &mut pool));
        assert!(!one.differs(6, b"XXXX"));
        assert!(one.differs(50, b"aX"));
        one.clear(&mut pool);
        assert!(two.record(0, b"a", &mut pool));
    }
}
