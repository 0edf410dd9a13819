//! Bytes kept in order until it is known who reads them.

use umbra_flow::Direction;
use umbra_wire::Timestamp;

/// Data and gaps of both directions, in the order in which they came. The owner bounds it.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    direction: Direction,
    time: Timestamp,
    /// Bytes of data here, or (`gap`) missing.
    len: u64,
    /// A gap; the flag: cut by the snap length.
    gap: Option<bool>,
}

/// One thing to do again.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Bytes.
    Data(Direction, Timestamp, &'a [u8]),
    /// A gap: its length, and whether the snap length cut it.
    Gap(Direction, Timestamp, u64, bool),
}

impl Replay {
    /// Keeps bytes.
    pub(crate) fn push(&mut self, direction: Direction, time: Timestamp, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        match self.items.last_mut() {
            // One byte a packet must not cost an item each.
            Some(last) if last.direction == direction && last.time == time && last.gap.is_none() => {
                last.len = last.len.saturating_add(bytes.len() as u64);
            }
            _ => self.items.push(Item { direction, time, len: bytes.len() as u64, gap: None }),
        }
    }

    /// Keeps a gap.
    pub(crate) fn push_gap(&mut self, direction: Direction, time: Timestamp, len: u64, truncated: bool) {
        self.items.push(Item { direction, time, len, gap: Some(truncated) });
    }

    /// Bytes of the stream that a direction's items stand for, gaps counted.
    pub(crate) fn stream_bytes(&self, direction: Direction) -> u64 {
        let of_direction = self.items.iter().filter(|item| item.direction == direction);
        of_direction.fold(0u64, |sum, item| sum.saturating_add(item.len))
    }

    /// Drops what was kept of a direction.
    pub(crate) fn forget(&mut self, direction: Direction) {
        let mut left = Replay::default();
        for step in self.steps() {
            match step {
                Step::Data(other, time, bytes) if other != direction => left.push(other, time, bytes),
                Step::Gap(other, time, len, truncated) if other != direction => {
                    left.push_gap(other, time, len, truncated);
                }
                _ => {}
            }
        }
        *self = left;
    }

    /// Bytes of memory that the owner's bound is about: data, and what each item costs.
    pub(crate) fn cost_bytes(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * size_of::<Item>()
    }

    /// Everything in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut at = 0usize;
        self.items.iter().map(move |item| match item.gap {
            Some(truncated) => Step::Gap(item.direction, item.time, item.len, truncated),
            None => {
                let end = at.saturating_add(item.len as usize);
                let bytes = self.bytes.get(at..end).unwrap_or_default();
                at = end;
                Step::Data(item.direction, item.time, bytes)
            }
        })
    }
}
