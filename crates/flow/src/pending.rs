//! Steps worked out but not yet polled.

use std::collections::VecDeque;

use umbra_wire::Timestamp;

use crate::event::{EndReason, GapCause};
use crate::key::Direction;

/// One step, without a borrow. Small and plain: one is written and read for nearly every segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pending {
    /// Bytes `start..end` of the segment's payload.
    Segment { direction: Direction, start: u32, end: u32 },
    /// Bytes `skip..` of the next chunk of the queue, that had to wait.
    Chunk { direction: Direction, time: Timestamp, skip: u32 },
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
    /// The bytes of the `Chunk` steps, in their order.
    chunks: VecDeque<Vec<u8>>,
}

impl Queue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, flow: u32, pending: Pending) {
        self.items.push((flow, pending));
    }

    pub(crate) fn push_chunk(&mut self, flow: u32, direction: Direction, time: Timestamp, skip: u32, bytes: Vec<u8>) {
        self.push(flow, Pending::Chunk { direction, time, skip });
        self.chunks.push_back(bytes);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u32, Pending)> {
        if let Some(item) = self.items.get(self.cursor) {
            self.cursor += 1;
            return Some(*item);
        }
        self.items.clear();
        self.cursor = 0;
        None
    }

    /// The bytes of the `Chunk` step that was popped last.
    pub(crate) fn pop_chunk(&mut self) -> Vec<u8> {
        self.chunks.pop_front().unwrap_or_default()
    }

    /// Takes back what is queued for a flow, except its ends; gives the bytes of chunks to `recycle`.
    pub(crate) fn take_back(&mut self, flow: u32, mut recycle: impl FnMut(Vec<u8>)) {
        let mut items = self.items.split_off(self.cursor.min(self.items.len()));
        let mut chunks = std::mem::take(&mut self.chunks);
        items.retain(|(of, pending)| {
            let keep = *of != flow || matches!(pending, Pending::End { .. } | Pending::Release);
            if matches!(pending, Pending::Chunk { .. })
                && let Some(bytes) = chunks.pop_front()
            {
                if keep {
                    self.chunks.push_back(bytes);
                } else {
                    recycle(bytes);
                }
            }
            keep
        });
        self.items.append(&mut items);
    }
}
