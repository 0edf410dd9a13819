//! Reading a lane in order, and knowing what of it is done.
//!
//! ```text
//!           floor                 frontier              next
//!  … done     │ handed out, some    │ not read yet        │ not there yet
//!             │ of them acked       │                     │
//! ```
//!
//! Losses are found by arithmetic on the numbers: what the reader steps over without having seen it was lost, whether its
//! bytes, its segment or the end of a file went missing.

use std::collections::VecDeque;
use std::io;

use super::frame::{self, FrameHead, SEGMENT_HEAD, Step};
use super::lane::Lane;
use super::{Record, Sequence};
use crate::files::Files;

/// Bytes read at once: the disk's read-ahead does the rest.
const READ_BYTES: usize = 256 << 10;
/// Tries at a place that the disk cannot read before the rest of that segment is given up: a retry helps with a
/// controller that resets, not with a dead block.
const READ_TRIES: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct InFlight {
    sequence: Sequence,
    acked: bool,
}

/// The place of a reader in a segment.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: Sequence,
    /// Offset in the file of the first byte in the buffer.
    offset: u64,
    epoch: u64,
}

#[derive(Debug)]
pub(crate) struct Reader {
    place: Option<Place>,
    buffer: Vec<u8>,
    /// First byte of the buffer that was not looked at yet.
    start: usize,
    /// First byte of the buffer that was not read from the segment.
    filled: usize,
    /// Next record to hand out.
    expect: Sequence,
    /// First record that was never handed out or found lost.
    frontier: Sequence,
    /// All records up to this one are done.
    pub(crate) floor: Sequence,
    in_flight: VecDeque<InFlight>,
    unacked: usize,
    /// Handed out, then dropped to make room: an ack may still come.
    stale: VecDeque<Sequence>,
    failures: u32,
    longest_frame: usize,
    /// Losses behind the floor: the first record behind each, and how many.
    holes: VecDeque<(Sequence, u64)>,
    /// Records found missing up to the floor.
    pub(crate) damaged: u64,
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    Now,
    /// It had been dropped, and got through all the same.
    AfterDrop,
    /// Known before, or never handed out.
    Already,
}

impl Reader {
    pub(crate) fn new(floor: Sequence, longest_frame: usize, damaged: u64) -> Reader {
        Reader {
            place: None,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            expect: floor.next(),
            frontier: floor.next(),
            floor,
            in_flight: VecDeque::new(),
            unacked: 0,
            stale: VecDeque::new(),
            failures: 0,
            longest_frame,
            holes: VecDeque::new(),
            damaged,
        }
    }

    /// Records that are not done, as far as is known without reading them.
    pub(crate) fn pending(&self, next: Sequence) -> u64 {
        self.frontier.steps_to(next).saturating_add(self.unacked as u64)
    }

    /// Handed out and not acknowledged.
    pub(crate) fn in_flight(&self) -> usize {
        self.unacked
    }

    /// The next record, if there is one and fewer than `max_in_flight` are out.
    pub(crate) fn next<F: Files>(
        &mut self,
        files: &F,
        lane: &mut Lane<F::File>,
        max_in_flight: usize,
    ) -> io::Result<Option<Record<'_>>> {
        let head = loop {
            if !self.expect.is_before(self.frontier) && self.in_flight.len() >= max_in_flight {
                return Ok(None);
            }
            let Some(head) = self.next_frame(files, lane)? else {
                self.settle();
                return Ok(None);
            };
            self.pass(head.sequence);
            self.expect = head.sequence.next();
            if !head.sequence.is_before(self.frontier) {
                self.frontier = self.expect;
                self.in_flight.push_back(InFlight { sequence: head.sequence, acked: false });
                self.unacked += 1;
                break head;
            }
            // Read once before: only what is still waited for goes out again.
            if self.position(head.sequence).is_some_and(|at| self.in_flight.get(at).is_some_and(|it| !it.acked)) {
                break head;
            }
        };
        let body = self.buffer.get(self.start.saturating_sub(head.key_length + head.value_length)..self.start);
        let (key, value) = body.unwrap_or_default().split_at_checked(head.key_length).unwrap_or_default();
        Ok(Some(Record { class: head.class, sequence: head.sequence, time_ns: head.time_ns, key, value }))
    }

    /// Takes note that records before `next` are not there.
    fn pass(&mut self, next: Sequence) {
        // Handed out once, unreadable when it should go out again: nobody can wait for it any longer.
        let from = self.in_flight.partition_point(|record| record.sequence.is_before(self.expect));
        for record in self.in_flight.range_mut(from..).take_while(|record| record.sequence.is_before(next)) {
            if !std::mem::replace(&mut record.acked, true) {
                self.damaged = self.damaged.saturating_add(1);
                self.unacked = self.unacked.saturating_sub(1);
            }
        }
        let lost = self.expect.later_of(self.frontier).steps_to(next);
        if lost > 0 {
            self.holes.push_back((next, lost));
            self.frontier = next;
            self.settle();
        }
        self.expect = self.expect.later_of(next);
    }

    /// Finds the next whole frame at or behind `expect`. The buffer's `start` is then behind it.
    fn next_frame<F: Files>(&mut self, files: &F, lane: &mut Lane<F::File>) -> io::Result<Option<FrameHead>> {
        loop {
            if self.expect == lane.next {
                return Ok(None);
            }
            let place = match self.place.filter(|place| place.epoch == lane.epoch) {
                Some(place) => place,
                None => match lane.segment_of(self.expect) {
                    Some(segment) => self.go_to(segment, lane.epoch),
                    None => {
                        self.pass(lane.next);
                        return Ok(None);
                    }
                },
            };
            let end = lane.segment_after(place.segment);
            let bytes = self.buffer.get(self.start..self.filled).unwrap_or_default();
            match frame::step(bytes) {
                Step::Frame(head) | Step::BadBody(head)
                    if !head.sequence.is_before(end.unwrap_or(lane.next)) || head.sequence.is_before(place.segment) =>
                {
                    // Superseded by the next segment, or not of this one at all.
                    self.start += head.frame_length();
                }
                Step::Frame(head) => {
                    self.start += head.frame_length();
                    if !head.sequence.is_before(self.expect) {
                        return Ok(Some(head));
                    }
                }
                Step::BadBody(head) => self.start += head.frame_length(),
                Step::BadHead => self.start += frame::next_mark(bytes),
                Step::Partial(needed) if needed > self.longest_frame => self.start += frame::next_mark(bytes),
                Step::Partial(needed) => {
                    if self.fill(files, lane, place, needed)? {
                        continue;
                    }
                    // The segment's end.
                    match end {
                        Some(segment) => {
                            self.pass(segment);
                            self.go_to(segment, lane.epoch);
                        }
                        None => {
                            self.pass(lane.next);
                            return Ok(None);
                        }
                    }
                }
            }
        }
    }

    fn go_to(&mut self, segment: Sequence, epoch: u64) -> Place {
        self.start = 0;
        self.filled = 0;
        let place = Place { segment, offset: SEGMENT_HEAD as u64, epoch };
        self.place = Some(place);
        place
    }

    /// Reads on until `needed` bytes are there; false at the segment's end, and where the disk does not read any more.
    fn fill<F: Files>(
        &mut self,
        files: &F,
        lane: &mut Lane<F::File>,
        mut place: Place,
        needed: usize,
    ) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled = self.filled.saturating_sub(self.start);
        place.offset = place.offset.saturating_add(self.start as u64);
        self.start = 0;
        self.place = Some(place);
        // A lane with little in it has no use for more.
        let wanted = needed.max(READ_BYTES.min(usize::try_from(lane.bytes()).unwrap_or(READ_BYTES)));
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        // Twice where the synced part of a segment ends and that in memory goes on.
        while self.filled < needed {
            let offset = place.offset.saturating_add(self.filled as u64);
            let rest = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match lane.read(files, place.segment, offset, rest) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.filled += length;
                    self.failures = 0;
                }
                Err(error) => {
                    self.failures += 1;
                    if self.failures < READ_TRIES {
                        return Err(error);
                    }
                    self.failures = 0;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Notes that the broker has a record.
    pub(crate) fn acknowledge(&mut self, sequence: Sequence) -> Acked {
        let Some(record) = self.position(sequence).and_then(|at| self.in_flight.get_mut(at)) else {
            let dropped = self.stale.iter().position(|stale| *stale == sequence);
            return dropped.and_then(|at| self.stale.remove(at)).map_or(Acked::Already, |_| Acked::AfterDrop);
        };
        if std::mem::replace(&mut record.acked, true) {
            return Acked::Already;
        }
        self.unacked = self.unacked.saturating_sub(1);
        self.settle();
        Acked::Now
    }

    pub(crate) fn is_waited_for(&self, sequence: Sequence) -> bool {
        self.position(sequence).is_some_and(|at| self.in_flight.get(at).is_some_and(|record| !record.acked))
    }

    fn position(&self, sequence: Sequence) -> Option<usize> {
        let at = self.in_flight.partition_point(|record| record.sequence.is_before(sequence));
        self.in_flight.get(at).filter(|record| record.sequence == sequence).map(|_| at)
    }

    /// Moves the floor up to the first record that is waited for.
    fn settle(&mut self) {
        while self.in_flight.front().is_some_and(|record| record.acked) {
            self.in_flight.pop_front();
        }
        let first_open = self.in_flight.front().map_or(self.frontier, |record| record.sequence);
        self.floor = self.floor.later_of(first_open.previous());
        while let Some((_, lost)) = self.holes.front().filter(|(behind, _)| !self.floor.next().is_before(*behind)) {
            self.damaged = self.damaged.saturating_add(*lost);
            self.holes.pop_front();
        }
    }

    /// Records found missing so far, behind the floor or not.
    pub(crate) fn all_damaged(&self) -> u64 {
        self.holes.iter().fold(self.damaged, |sum, (_, lost)| sum.saturating_add(*lost))
    }

    /// Hands out again, from the oldest, all that is not acknowledged.
    pub(crate) fn rewind(&mut self) {
        self.expect = self.floor.next();
        self.place = None;
        self.stale.clear();
    }

    /// Hands out from `sequence` on, for a look at one record. Says where it was, to go back there.
    pub(crate) fn seek(&mut self, sequence: Sequence) -> Sequence {
        self.place = None;
        std::mem::replace(&mut self.expect, sequence)
    }

    /// Gives up all records up to `floor`. Says how many were not acknowledged.
    pub(crate) fn give_up(&mut self, floor: Sequence, max_stale: usize) -> u64 {
        let mut dropped = self.frontier.steps_to(floor.next());
        while let Some(record) = self.in_flight.front().copied().filter(|record| !floor.is_before(record.sequence)) {
            self.in_flight.pop_front();
            if !record.acked {
                dropped = dropped.saturating_add(1);
                self.unacked = self.unacked.saturating_sub(1);
                self.stale.push_back(record.sequence);
            }
        }
        while self.stale.len() > max_stale {
            self.stale.pop_front();
        }
        self.floor = self.floor.later_of(floor);
        self.frontier = self.frontier.later_of(floor.next());
        if self.expect.is_before(floor.next()) {
            self.expect = floor.next();
            self.place = None;
        }
        self.settle();
        dropped
    }
}
