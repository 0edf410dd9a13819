//! The segments of one class: the newest is written, all others wait to be read and removed.
//!
//! ```text
//! sealed … sealed, active = [ synced: on disk | unsynced: also in memory ]
//! ```
//!
//! What is not synced yet stays in memory. Two things follow: a reader that keeps up never touches the disk, and a failed
//! write or sync loses nothing, because the bytes go again into a new file. (After a failed `fsync` the kernel forgets which
//! pages were dirty: asking the same file again would get a lie.)

use std::collections::VecDeque;
use std::io;

use super::frame::{self, FRAME_HEAD, SEGMENT_HEAD};
use super::{Class, Sequence};
use crate::files::{self, Files};

/// Bytes gathered before they go to the file ahead of a sync: enough for a system call to cost little per record, small
/// enough that a killed process leaves nearly all of it in the page cache.
const WRITE_BYTES: usize = 256 << 10;

/// File name of a segment.
pub(crate) fn segment_name(lane: &str, first: Sequence) -> String {
    format!("{lane}-{first:020}.seg", first = first.0)
}

/// A segment that is not written any more. Its last record is the one before the next segment's first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) first: Sequence,
    /// Bytes that count; what lies behind was superseded.
    pub(crate) length: u64,
}

/// The segment that is written.
struct Active<H> {
    first: Sequence,
    /// Made with the first write.
    file: Option<H>,
    /// Bytes known to be on disk.
    synced: u64,
    /// All bytes behind them.
    unsynced: Vec<u8>,
    /// How many of those were given to the file.
    written: usize,
}

impl<H> Active<H> {
    fn length(&self) -> u64 {
        self.synced.saturating_add(self.unsynced.len() as u64)
    }
}

pub(crate) struct Lane<H> {
    pub(crate) name: &'static str,
    pub(crate) sealed: VecDeque<Sealed>,
    sealed_bytes: u64,
    active: Option<Active<H>>,
    /// Number of the next record.
    pub(crate) next: Sequence,
    /// All records up to this one are on disk.
    pub(crate) durable: Sequence,
    /// Names were made that are not synced.
    names_changed: bool,
    /// Changes when bytes move to another segment or a segment goes: a reader must look up its place again.
    pub(crate) epoch: u64,
    /// The last write or sync failed: only a sync tries again, not every record.
    pub(crate) failing: bool,
    /// Time of the newest record, if this process took one.
    newest_ns: Option<u64>,
    /// The sealed segment read last.
    open: Option<(Sequence, H)>,
}

impl<H> Lane<H> {
    pub(crate) fn new(name: &'static str, sealed: VecDeque<Sealed>, next: Sequence) -> Lane<H> {
        let sealed_bytes = sealed.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.length));
        Lane {
            name,
            sealed,
            sealed_bytes,
            active: None,
            next,
            durable: next.previous(),
            names_changed: false,
            epoch: 0,
            failing: false,
            newest_ns: None,
            open: None,
        }
    }

    /// Goes on writing the newest segment, whose bytes are all synced.
    pub(crate) fn reopen(&mut self, file: H) {
        let Some(tail) = self.sealed.pop_back() else { return };
        self.sealed_bytes = self.sealed_bytes.saturating_sub(tail.length);
        self.active =
            Some(Active { first: tail.first, file: Some(file), synced: tail.length, unsynced: Vec::new(), written: 0 });
    }

    /// Bytes on disk or on the way there.
    pub(crate) fn bytes(&self) -> u64 {
        self.sealed_bytes.saturating_add(self.active.as_ref().map_or(0, Active::length))
    }

    /// Bytes held in memory.
    pub(crate) fn buffered(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.unsynced.len() as u64)
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.buffered() > 0 || self.names_changed
    }

    /// First record of the segment behind `first`.
    pub(crate) fn segment_after(&self, first: Sequence) -> Option<Sequence> {
        let sealed = self.sealed.iter().find(|segment| first.is_before(segment.first));
        let active = self.active.as_ref().filter(|active| first.is_before(active.first));
        sealed.map(|segment| segment.first).or(active.map(|active| active.first))
    }

    /// First record of the segment that holds `sequence`; of the oldest one if that record is gone.
    pub(crate) fn segment_of(&self, sequence: Sequence) -> Option<Sequence> {
        let firsts = || self.sealed.iter().map(|segment| segment.first).chain(self.active.as_ref().map(|it| it.first));
        firsts().take_while(|first| !sequence.is_before(*first)).last().or_else(|| firsts().next())
    }

    /// Last record of the oldest segment; with `active`, also if that is the one being written.
    pub(crate) fn oldest_end(&self, active: bool) -> Option<Sequence> {
        match self.sealed.front() {
            Some(front) => Some(self.segment_after(front.first).unwrap_or(self.next).previous()),
            None => self.active.as_ref().filter(|_| active).map(|_| self.next.previous()),
        }
    }
}

impl<H> Lane<H> {
    /// Takes a record into memory, from where it goes to the disk in time.
    pub(crate) fn append(&mut self, class: Class, time_ns: u64, key: &[u8], value: &[u8]) -> Sequence {
        let sequence = self.next;
        let active = self.active.get_or_insert_with(|| new_active(sequence));
        frame::write(class, sequence, time_ns, key, value, &mut active.unsynced);
        self.next = sequence.next();
        self.newest_ns = Some(time_ns);
        sequence
    }

    /// Writes and seals when enough has come together.
    pub(crate) fn settle<F: Files<File = H>>(&mut self, files: &F, segment_bytes: u64) -> io::Result<()> {
        let Some(active) = self.active.as_ref().filter(|_| !self.failing) else { return Ok(()) };
        if active.length() >= segment_bytes {
            self.sync(files)?;
            self.seal();
        } else if active.unsynced.len().saturating_sub(active.written) >= WRITE_BYTES {
            self.write(files)?;
        }
        Ok(())
    }

    /// Gives all bytes to the file and waits until the disk has them.
    pub(crate) fn sync<F: Files<File = H>>(&mut self, files: &F) -> io::Result<()> {
        if !self.is_dirty() {
            return Ok(());
        }
        self.write(files)?;
        let outcome = match self.active.as_ref().and_then(|active| active.file.as_ref()) {
            Some(file) => files.sync(file),
            None => Ok(()),
        };
        let outcome = outcome.and_then(|()| if self.names_changed { files.sync_names() } else { Ok(()) });
        if let Err(error) = outcome {
            self.move_on(files);
            return Err(error);
        }
        self.names_changed = false;
        if let Some(active) = &mut self.active {
            active.synced = active.length();
            active.unsynced.clear();
            active.written = 0;
        }
        self.durable = self.next.previous();
        Ok(())
    }

    fn write<F: Files<File = H>>(&mut self, files: &F) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|active| active.written < active.unsynced.len()) else {
            self.failing = false;
            return Ok(());
        };
        let outcome = match &active.file {
            Some(_) => Ok(()),
            None => create(files, &segment_name(self.name, active.first)).map(|file| {
                active.file = Some(file);
                self.names_changed = true;
            }),
        };
        let outcome = outcome.and_then(|()| {
            let offset = active.synced.saturating_add(active.written as u64);
            let bytes = active.unsynced.get(active.written..).unwrap_or_default();
            active.file.as_ref().map_or(Ok(()), |file| files::write_all(files, file, offset, bytes))
        });
        match outcome {
            Ok(()) => {
                active.written = active.unsynced.len();
                self.failing = false;
                Ok(())
            }
            Err(error) => {
                // A full disk leaves a file that can be written again once there is room.
                match is_full(&error) {
                    true => self.failing = true,
                    false => self.move_on(files),
                }
                Err(error)
            }
        }
    }

    /// Leaves a file that failed and takes what it was not sure to hold along to a new one.
    fn move_on<F: Files<File = H>>(&mut self, files: &F) {
        self.failing = true;
        self.epoch = self.epoch.wrapping_add(1);
        let Some(old) = self.active.take() else { return };
        let first = self.durable.next();
        let mut moved = new_active(first);
        let frames = if old.synced == 0 { old.unsynced.get(SEGMENT_HEAD..) } else { Some(old.unsynced.as_slice()) };
        moved.unsynced.extend_from_slice(frames.unwrap_or_default());
        if old.synced > 0 {
            // Not needed to be right: a reader leaves a segment where the next one begins.
            let _ = old.file.as_ref().map(|file| files.set_length(file, old.synced));
            self.push_sealed(Sealed { first: old.first, length: old.synced });
        } else if old.file.is_some() {
            let _ = files.remove(&segment_name(self.name, old.first));
        }
        self.active = (moved.unsynced.len() > SEGMENT_HEAD).then_some(moved);
    }

    fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.push_sealed(Sealed { first: active.first, length: active.synced });
        }
    }

    fn push_sealed(&mut self, segment: Sealed) {
        self.sealed_bytes = self.sealed_bytes.saturating_add(segment.length);
        self.sealed.push_back(segment);
    }

    /// Removes the segments that hold nothing behind `floor`.
    pub(crate) fn remove_through<F: Files<File = H>>(&mut self, files: &F, floor: Sequence) -> io::Result<()> {
        while let Some(front) = self.sealed.front().copied().filter(|_| self.is_done(floor)) {
            match files.remove(&segment_name(self.name, front.first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.sealed.pop_front();
            self.sealed_bytes = self.sealed_bytes.saturating_sub(front.length);
            self.open = self.open.take().filter(|(first, _)| *first != front.first);
            self.epoch = self.epoch.wrapping_add(1);
        }
        Ok(())
    }

    /// Whether the oldest sealed segment holds nothing behind `floor`.
    pub(crate) fn is_done(&self, floor: Sequence) -> bool {
        self.oldest_end(false).is_some_and(|end| !floor.is_before(end))
    }

    /// Seals what is being written although it is not full, without asking the disk: it is about to be removed.
    pub(crate) fn abandon_active(&mut self) {
        if let Some(active) = self.active.take() {
            self.push_sealed(Sealed { first: active.first, length: active.length() });
            self.durable = self.next.previous();
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// Times of the first record of the oldest segment and of the first one behind it, where they can be read.
    pub(crate) fn oldest_times<F: Files<File = H>>(&mut self, files: &F) -> Option<(u64, u64)> {
        let oldest = self.segment_of(self.oldest_end(true)?)?;
        let first = self.first_time(files, oldest);
        let behind = self.segment_after(oldest).and_then(|next| self.first_time(files, next)).or(self.newest_ns);
        Some((first.or(behind)?, behind.or(first)?))
    }

    fn first_time<F: Files<File = H>>(&mut self, files: &F, segment: Sequence) -> Option<u64> {
        let mut head = [0; FRAME_HEAD];
        let length = self.read(files, segment, SEGMENT_HEAD as u64, &mut head).ok()?;
        frame::time_of(head.get(..length)?)
    }

    /// Reads at `offset` of the segment that begins with `first`; 0 at its end.
    pub(crate) fn read<F: Files<File = H>>(
        &mut self,
        files: &F,
        first: Sequence,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if let Some(active) = self.active.as_ref().filter(|active| active.first == first) {
            if let Some(ahead) = offset.checked_sub(active.synced) {
                let bytes = usize::try_from(ahead).ok().and_then(|ahead| active.unsynced.get(ahead..));
                let bytes = bytes.unwrap_or_default();
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                return Ok(length);
            }
            let buffer = at_most(buffer, active.synced.saturating_sub(offset));
            return active.file.as_ref().map_or(Ok(0), |file| files::read_full(files, file, offset, buffer));
        }
        let Some(segment) = self.sealed.iter().find(|segment| segment.first == first) else { return Ok(0) };
        let buffer = at_most(buffer, segment.length.saturating_sub(offset));
        if buffer.is_empty() {
            return Ok(0);
        }
        let file = match self.open.take().filter(|(open, _)| *open == first) {
            Some((_, file)) => file,
            None => files.open(&segment_name(self.name, first))?,
        };
        let outcome = files::read_full(files, &file, offset, buffer);
        self.open = Some((first, file));
        outcome
    }
}

fn new_active<H>(first: Sequence) -> Active<H> {
    Active { first, file: None, synced: 0, unsynced: frame::segment_head().to_vec(), written: 0 }
}

fn at_most(buffer: &mut [u8], length: u64) -> &mut [u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..length]
}

/// Makes the file of a segment. One of that name holds no record: opening looked, and so did we when we left it.
fn create<F: Files>(files: &F, name: &str) -> io::Result<F::File> {
    match files.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files.remove(name)?;
            files.create(name)
        }
        outcome => outcome,
    }
}

/// Whether there is no room, rather than something broken.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero)
}
