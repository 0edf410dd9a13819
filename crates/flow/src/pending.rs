//! Steps worked out but not yet polled.

use umbra_wire::Timestamp;

use crate::event::{EndReason, GapCause};
use crate::key::Direction;

/// One step, without a borrow.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Bytes `start..end` of the segment's payload.
    Segment { direction: Direction, start: u32, end: u32 },
    /// Bytes `skip..` that waited.
    Chunk { direction: Direction, time: Timestamp, skip: u32, bytes: Vec<u8> },
    /// Missing bytes.
    Gap { direction: Direction, time: Timestamp, len: u64, cause: GapCause },
    /// Overlap with other bytes.
    Conflict { direction: Direction },
    /// End of a direction.
    End { direction: Direction, time: Timestamp, reason: EndReason },
    /// Nothing more of this flow: its slot is free again.
    Release,
}

/// First in, first out; emptied before the next segment, so a plain vector with a cursor does.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: Vec<(u32, Pending)>,
    cursor: usize,
}

impl Queue {
    #[inline]
    pub(crate) fn push(&mut self, flow: u32, pending: Pending) {
        self.items.push((flow, pending));
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u32, Pending)> {
        match self.items.get_mut(self.cursor) {
            Some((flow, pending)) => {
                self.cursor += 1;
                Some((*flow, std::mem::replace(pending, Pending::Release)))
            }
            None => {
                self.items.clear();
                self.cursor = 0;
                None
            }
        }
    }
}
