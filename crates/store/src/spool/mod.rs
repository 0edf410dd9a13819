//! The event spool: what the pipeline found, on disk until the broker has it.
//!
//! A directory of append-only segments. Each [`Class`] has segments of its own, so that a full spool gives up the oldest
//! event samples and keeps inventory and findings. Numbers within a class leave no holes; a class is read in order, and
//! what is acknowledged moves its floor; segments below the floor are removed whole.
//!
//! # What it promises
//! - What [`Spool::sync`] or [`Spool::handle_timeout`] said is synced survives a kill and a power cut, in order and once.
//!   Other records survive a kill if they were written, and a power cut if they were lucky.
//! - A record that was acknowledged is not handed out again by this process; after a kill at most those are that were
//!   acknowledged since the last sync, or beyond one that was not.
//! - A record is handed out with the exact bytes that were appended, or counted in [`Losses`]. Damage costs the records it
//!   hits and no others.
//! - The disk's trouble never stops the caller: [`Spool::append`] takes records into memory (up to two segments per class)
//!   while the disk fails, then refuses and counts. It goes on alone when the disk does.
//!
//! # Why not a library
//! Measured on one busy machine with records of 1 kB and ext4; the rates of this one are in brackets, made by
//! `examples/rates.rs`:
//! - `queue-file` 2.0, synced now and then: 90,000 records/s in (190,000 to 250,000), 270,000 per CPU second (1.2 million);
//!   170,000/s out (730,000). It loses nothing durable in a kill, but one flipped bit ends the queue there (of 100 records, 48
//!   came back), a full queue grows by copying itself, and there is one queue in one file: the oldest event cannot go while a
//!   finding stays.
//! - `yaque` 0.6 writes its state when it is dropped, which a kill does not do; it is async, on file notifications.
//! - `okaywal` 0.3 says itself not to use it in production and that its format may change; it is a log to recover from, not
//!   a queue to read.
//! - `commitlog` 0.2 is a log read by offset: nothing is ever acknowledged, and its last release is of 2021.
//!
//! None has the classes, the accounting or a file layer that a test can fail, which are most of what is here.

mod checkpoint;
mod frame;
mod lane;
mod loss;
mod open;
mod reader;
mod sequence;
mod types;

use std::io;
use std::time::Duration;

use crate::Error;
use crate::files::Files;
use checkpoint::{Checkpoint, Mark, Note};
use lane::Lane;
pub use loss::{Gap, Loss, Losses};
pub use open::Opened;
use reader::{Acked, Reader};
pub use sequence::Sequence;
pub use types::{Class, Config, MAX_RECORD_BYTES, Record, Refused, Status};

/// Classes, and one lane for records that were set aside.
const LANES: usize = 5;
const ASIDE: usize = 4;
const LANE_NAMES: [&str; LANES] = ["event", "health", "endpoint", "finding", "aside"];
/// Records that were set aside may have this share of the cap: they wait for a person, not for the broker.
const ASIDE_SHARE: u64 = 16;
/// Segments a full disk may cost per sync: each makes room for what a class can hold in memory.
const SHED_PER_SYNC: usize = 4;

/// The spool. Order of calls: [`append`](Self::append) and [`handle_timeout`](Self::handle_timeout) as records and time
/// come; [`next`](Self::next) as the broker takes records, [`acknowledge`](Self::acknowledge) as it confirms them,
/// [`rewind`](Self::rewind) when its client was built anew; [`close`](Self::close) at the end.
pub struct Spool<F: Files> {
    files: F,
    config: Config,
    lanes: [(Lane<F::File>, Reader); LANES],
    losses: [Loss; LANES],
    gaps: [Option<Gap>; LANES],
    checkpoint: Checkpoint<F::File>,
    synced_at: Option<Duration>,
    failing: bool,
}

impl<F: Files> Spool<F> {
    /// Opens what is in the directory, or makes a new spool there. Neither a full disk nor damage is an error.
    ///
    /// # Errors
    /// [`Error::Config`] if the sizes do not fit, [`Error::Io`] if the directory cannot be listed.
    pub fn open(files: F, config: Config) -> Result<(Spool<F>, Opened), Error> {
        config.check()?;
        let open::Survey { lanes, losses, checkpoint, opened } = open::survey(&files, &config)?;
        let mut spool =
            Spool { files, config, lanes, losses, gaps: [None; LANES], checkpoint, synced_at: None, failing: false };
        // From here on this run is one that has not been closed.
        spool.failing = spool.note(false, true).is_err();
        Ok((spool, opened))
    }

    /// Takes a record. It is durable after the next sync that succeeds.
    ///
    /// # Errors
    /// [`Refused`] if it was not taken.
    pub fn append(&mut self, class: Class, key: &[u8], value: &[u8], time_ns: u64) -> Result<Sequence, Refused> {
        if key.len() > usize::from(u16::MAX) || key.len().saturating_add(value.len()) > MAX_RECORD_BYTES {
            return Err(Refused::TooLong);
        }
        let length = frame::frame_length(key, value).saturating_add(frame::SEGMENT_HEAD as u64);
        if self.bytes().saturating_add(length) > self.config.cap_bytes && !self.make_room(class, length) {
            self.losses[class as usize].over_cap = self.losses[class as usize].over_cap.saturating_add(1);
            self.refused(class as usize, time_ns);
            return Err(Refused::Full);
        }
        self.put(class as usize, class, key, value, time_ns)
    }

    fn put(&mut self, index: usize, class: Class, key: &[u8], value: &[u8], time_ns: u64) -> Result<Sequence, Refused> {
        let Some((lane, _)) = self.lanes.get_mut(index) else { return Err(Refused::Disk) };
        let length = frame::frame_length(key, value);
        if lane.failing && lane.buffered().saturating_add(length) > self.config.buffer_bytes() {
            self.losses[index].disk = self.losses[index].disk.saturating_add(1);
            self.refused(index, time_ns);
            return Err(Refused::Disk);
        }
        let sequence = lane.append(class, time_ns, key, value);
        if lane.settle(&self.files, self.config.segment_bytes).is_err() {
            self.failing = true;
        }
        Ok(sequence)
    }

    fn refused(&mut self, index: usize, time_ns: u64) {
        Gap::join(&mut self.gaps[index], Gap { records: 1, first_ns: time_ns, last_ns: time_ns });
    }

    /// Makes room for a record: what is done first, then the oldest of the least valuable up to its own class.
    fn make_room(&mut self, class: Class, length: u64) -> bool {
        let over = |spool: &Self| spool.bytes().saturating_add(length) > spool.config.cap_bytes;
        let _ = self.reclaim();
        while over(self) {
            let mut lanes = Class::ALL.into_iter().take_while(|other| *other <= class);
            if !lanes.any(|other| self.shed(other as usize)) {
                return false;
            }
        }
        true
    }

    /// Drops the oldest segment of a lane. False if it has none.
    fn shed(&mut self, index: usize) -> bool {
        let Some((lane, reader)) = self.lanes.get_mut(index) else { return false };
        let Some(end) = lane.oldest_end(true) else { return false };
        let bytes = lane.bytes();
        let times = lane.oldest_times(&self.files);
        if lane.sealed.is_empty() {
            lane.abandon_active();
        }
        let dropped = reader.give_up(end, self.config.max_in_flight);
        if let Some((first_ns, last_ns)) = times.filter(|_| dropped > 0) {
            Gap::join(&mut self.gaps[index], Gap { records: dropped, first_ns, last_ns });
        }
        self.losses[index].over_cap = self.losses[index].over_cap.saturating_add(dropped);
        // What fails here shows in the bytes, and again in the next sync.
        let _ = self.reclaim();
        self.lanes.get(index).is_some_and(|(lane, _)| lane.bytes() < bytes)
    }

    /// Removes segments that are done. What is remembered goes first: a segment that is gone without a note was lost.
    fn reclaim(&mut self) -> io::Result<()> {
        if !self.lanes.iter().any(|(lane, reader)| lane.is_done(reader.floor)) {
            return Ok(());
        }
        // A disk that is too full or too broken for the note must still become emptier.
        let noted = self.note(false, true);
        for (lane, reader) in &mut self.lanes {
            lane.remove_through(&self.files, reader.floor)?;
        }
        noted
    }

    /// Makes all records durable that were appended.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk failed for some of them. They are still in memory, the next call tries again, and
    /// [`Spool::durable`] says what is safe.
    pub fn sync(&mut self) -> Result<(), Error> {
        let mut failed = None;
        // The most valuable first: the disk may take only so much.
        for index in (0..LANES).rev() {
            for _ in 0..SHED_PER_SYNC {
                let Some((lane, _)) = self.lanes.get_mut(index) else { break };
                let Err(error) = lane.sync(&self.files) else { break };
                let full = lane::is_full(&error);
                failed = Some(Error::io(format!("write {} segments of the spool", lane.name), error));
                // An event may wait in memory for as long as that lasts; others may not wait for events.
                let patient = index == 0 && lane.buffered() < self.config.segment_bytes;
                if !full || patient || !(0..=index).any(|other| other != ASIDE && self.shed_on_disk(other)) {
                    break;
                }
                failed = None;
            }
        }
        self.lanes.iter_mut().for_each(|(lane, _)| _ = lane.settle(&self.files, self.config.segment_bytes));
        let noted = self.reclaim().and_then(|()| self.note(false, false));
        let failed = failed.or(noted.err().map(|error| Error::io("write the checkpoint of the spool", error)));
        self.failing = failed.is_some() || self.lanes.iter().any(|(lane, _)| lane.failing);
        failed.map_or(Ok(()), Err)
    }

    /// Drops the oldest segment of a lane that gives room on the disk.
    fn shed_on_disk(&mut self, index: usize) -> bool {
        self.lanes.get(index).is_some_and(|(lane, _)| !lane.sealed.is_empty()) && self.shed(index)
    }

    /// Syncs if the interval has passed since the last time. `now` is the time since any fixed moment, never going back.
    /// Says whether it did.
    ///
    /// # Errors
    /// As [`Spool::sync`].
    pub fn handle_timeout(&mut self, now: Duration) -> Result<bool, Error> {
        let due = self.synced_at.is_none_or(|last| now.saturating_sub(last) >= self.config.sync_interval);
        if !due {
            return Ok(false);
        }
        self.synced_at = Some(now);
        self.sync().map(|()| true)
    }

    /// The last record of a class that is known to be on disk: nothing up to it is lost by a kill or a power cut.
    pub fn durable(&self, class: Class) -> Sequence {
        self.lane(class).0.durable
    }

    /// The next record of a class that was not handed out, or was before a [`rewind`](Self::rewind) and is not
    /// acknowledged; `None` if there is none, or if as many are out as may be. Also records that are not synced yet:
    /// what the broker has need not be on disk.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not read. After three tries the rest of that segment is skipped and counted.
    pub fn next(&mut self, class: Class) -> Result<Option<Record<'_>>, Error> {
        let (lane, reader) = &mut self.lanes[class as usize];
        let name = lane.name;
        reader
            .next(&self.files, lane, self.config.max_in_flight)
            .map_err(|error| Error::io(format!("read {name} segments of the spool"), error))
    }

    /// Notes that the broker has a record. Order does not matter, nor does a second time.
    pub fn acknowledge(&mut self, class: Class, sequence: Sequence) {
        let (_, reader) = &mut self.lanes[class as usize];
        if reader.acknowledge(sequence) == Acked::AfterDrop {
            self.losses[class as usize].over_cap = self.losses[class as usize].over_cap.saturating_sub(1);
        }
    }

    /// The floor: all records up to this one are acknowledged, or counted as lost.
    pub fn acknowledged(&self, class: Class) -> Sequence {
        self.lane(class).1.floor
    }

    /// Hands out again, in order, all records of a class that are not acknowledged.
    pub fn rewind(&mut self, class: Class) {
        self.lanes[class as usize].1.rewind();
    }

    /// Puts a record that the broker will never take out of the way, where a person can look at it.
    ///
    /// # Errors
    /// [`Error::Io`] if it could not be read or written. It is then still waited for.
    pub fn set_aside(&mut self, class: Class, sequence: Sequence) -> Result<(), Error> {
        let (lane, reader) = &mut self.lanes[class as usize];
        if !reader.is_waited_for(sequence) {
            return Ok(());
        }
        let place = reader.seek(sequence);
        let record = reader.next(&self.files, lane, self.config.max_in_flight);
        let copy = record.map(|record| {
            record.filter(|it| it.sequence == sequence).map(|it| (it.key.to_vec(), it.value.to_vec(), it.time_ns))
        });
        reader.seek(place);
        let copy = copy.map_err(|error| Error::io("read the record to set aside", error))?;
        // A record that was not there any more is counted as damaged by now.
        if let Some((key, value, time_ns)) = copy {
            let length = frame::frame_length(&key, &value).saturating_add(frame::SEGMENT_HEAD as u64);
            let share = self.config.cap_bytes / ASIDE_SHARE;
            while self.lanes[ASIDE].0.bytes().saturating_add(length) > share && self.shed(ASIDE) {}
            let failed = |error| Error::io("write the record to set aside", error);
            self.put(ASIDE, class, &key, &value, time_ns).map_err(|error| failed(io::Error::other(error)))?;
            self.lanes[ASIDE].0.sync(&self.files).map_err(failed)?;
        }
        self.acknowledge(class, sequence);
        Ok(())
    }

    /// The next record that was set aside, from the oldest; they stay until [`forget_aside`](Self::forget_aside).
    ///
    /// # Errors
    /// As [`Spool::next`].
    pub fn next_aside(&mut self) -> Result<Option<Record<'_>>, Error> {
        let (lane, reader) = &mut self.lanes[ASIDE];
        reader.next(&self.files, lane, usize::MAX).map_err(|error| Error::io("read aside segments of the spool", error))
    }

    /// Lets go of a record that was set aside.
    pub fn forget_aside(&mut self, sequence: Sequence) {
        let (_, reader) = &mut self.lanes[ASIDE];
        reader.acknowledge(sequence);
    }

    /// What was dropped or refused of a class since this was asked last: for a record that tells consumers so.
    pub fn take_gap(&mut self, class: Class) -> Option<Gap> {
        self.gaps[class as usize].take()
    }

    /// Figures.
    pub fn status(&self) -> Status {
        let losses = |index: usize| {
            let damaged = self.lanes.get(index).map_or(0, |(_, reader)| reader.all_damaged());
            self.losses.get(index).map_or(Loss::default(), |loss| Loss { damaged, ..*loss })
        };
        let mut status = Status {
            bytes: self.bytes(),
            unsynced_bytes: self.lanes.iter().fold(0, |sum, (lane, _)| sum.saturating_add(lane.buffered())),
            aside: self.lanes[ASIDE].1.pending(self.lanes[ASIDE].0.next),
            losses: Losses {
                event: losses(0),
                health: losses(1),
                endpoint: losses(2),
                finding: losses(3),
                aside: losses(ASIDE),
            },
            failing: self.failing,
            ..Status::default()
        };
        for (index, (lane, reader)) in self.lanes.iter().take(4).enumerate() {
            status.pending[index] = reader.pending(lane.next);
            status.in_flight[index] = reader.in_flight() as u64;
        }
        status
    }

    /// Syncs, and notes that this was an orderly end. Gives the directory back.
    pub fn close(mut self) -> F {
        let orderly = self.sync().is_ok();
        // A note that fails is a start that says so.
        let _ = self.note(orderly, true);
        self.files
    }

    fn lane(&self, class: Class) -> &(Lane<F::File>, Reader) {
        &self.lanes[class as usize]
    }

    fn bytes(&self) -> u64 {
        self.lanes.iter().fold(0, |sum, (lane, _)| sum.saturating_add(lane.bytes()))
    }

    fn note(&mut self, clean: bool, sync: bool) -> io::Result<()> {
        let lanes = std::array::from_fn(|index| {
            let (lane, reader) = &self.lanes[index];
            let loss = Loss { damaged: reader.damaged, ..self.losses[index] };
            Mark { floor: reader.floor, durable: lane.durable, loss }
        });
        let note = Note { clean, lanes };
        // A floor that a power cut takes is a record sent twice; a loss that it takes would be one that nobody counted.
        let lost_more = !self.checkpoint.has_losses_of(&note);
        self.checkpoint.write(&self.files, note, sync || lost_more)
    }
}
