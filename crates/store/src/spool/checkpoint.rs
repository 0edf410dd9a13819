//! What the spool remembers apart from the records: how far each class is done and durable, and what was lost.
//!
//! Two slots in one file. The slot that is known to be on disk is not touched; the other is written over as often as
//! needed, and with each sync of the file they change places. A torn write so costs at most what was noted since.
//!
//! ```text
//! slot: magic "UMBCHECK" (8) | version (2) | clean (1) | lanes (1) | generation (8)
//!       | per lane: floor, durable, lost over cap, lost to the disk, lost as damaged (8 each) | crc of all before (4)
//! ```

use std::io;

use super::{LANES, Loss, Sequence};
use crate::files::{self, Files};

/// File name.
pub(crate) const NAME: &str = "checkpoint";
const MAGIC: &[u8; 8] = b"UMBCHECK";
const VERSION: u16 = 1;
const HEAD: usize = 20;
const PER_LANE: usize = 40;
const SLOT: usize = HEAD + LANES * PER_LANE + 4;
/// Offsets of the slots: in blocks of their own, so that one write cannot tear both.
const SLOTS: [u64; 2] = [0, 4096];

/// What is remembered of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) floor: Sequence,
    pub(crate) durable: Sequence,
    pub(crate) loss: Loss,
}

/// What is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Whether the spool was closed after this.
    pub(crate) clean: bool,
    pub(crate) lanes: [Mark; LANES],
}

pub(crate) struct Checkpoint<H> {
    file: Option<H>,
    generation: u64,
    /// The slot that is known to be on disk is the other one.
    slot: usize,
    written: Option<Note>,
    /// The newest of all, and on disk.
    synced: Option<Note>,
    /// Losses that are on disk.
    losses: [Loss; LANES],
}

/// What was found of an earlier run.
#[allow(clippy::large_enum_variant, reason = "one of them, once per run")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Note(Note),
    /// Both slots are damaged.
    Damaged,
    /// Written by a program that this one does not know.
    Version(u16),
}

impl<H> Checkpoint<H> {
    pub(crate) fn new() -> Checkpoint<H> {
        Checkpoint { file: None, generation: 0, slot: 0, written: None, synced: None, losses: Default::default() }
    }

    /// Reads what an earlier run left.
    pub(crate) fn read<F: Files<File = H>>(files: &F) -> io::Result<(Checkpoint<H>, Found)> {
        let mut checkpoint = Checkpoint::new();
        let file = match files.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((checkpoint, Found::Nothing)),
            outcome => outcome?,
        };
        let mut found = Found::Damaged;
        let mut empty = true;
        for (slot, offset) in SLOTS.into_iter().enumerate() {
            let mut bytes = [0; SLOT];
            empty &= files::read_full(files, &file, offset, &mut bytes)? == 0;
            match decode(&bytes) {
                Some((generation, note)) if !matches!(found, Found::Note(_)) || generation > checkpoint.generation => {
                    checkpoint.generation = generation;
                    checkpoint.slot = 1 - slot;
                    checkpoint.losses = note.lanes.map(|mark| mark.loss);
                    found = Found::Note(note);
                }
                Some(_) => {}
                None => {
                    if let Some(version) = other_version(&bytes).filter(|_| found == Found::Damaged) {
                        found = Found::Version(version);
                    }
                }
            }
        }
        checkpoint.file = Some(file);
        Ok((checkpoint, if empty { Found::Nothing } else { found }))
    }

    /// Whether the losses of a note are on disk already.
    pub(crate) fn has_losses_of(&self, note: &Note) -> bool {
        self.losses == note.lanes.map(|mark| mark.loss)
    }

    /// Notes it where a kill of this process cannot lose it; with `sync`, where a power cut cannot either.
    pub(crate) fn write<F: Files<File = H>>(&mut self, files: &F, note: Note, sync: bool) -> io::Result<()> {
        if self.synced == Some(note) || (!sync && self.written == Some(note)) {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = files.create(NAME)?;
                files.sync_names()?;
                self.file.insert(file)
            }
        };
        // 2^64 notes are not written in the life of a machine.
        self.generation = self.generation.saturating_add(1);
        self.written = None;
        let offset = SLOTS.get(self.slot).copied().unwrap_or_default();
        files::write_all(files, file, offset, &encode(self.generation, &note))?;
        self.written = Some(note);
        if sync {
            files.sync(file)?;
            self.slot = 1 - self.slot;
            self.synced = Some(note);
            self.losses = note.lanes.map(|mark| mark.loss);
        } else {
            self.synced = None;
        }
        Ok(())
    }
}

fn encode(generation: u64, note: &Note) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..10].copy_from_slice(&VERSION.to_le_bytes());
    slot[10] = u8::from(note.clean);
    slot[11] = LANES as u8;
    slot[12..HEAD].copy_from_slice(&generation.to_le_bytes());
    for (bytes, mark) in slot[HEAD..SLOT - 4].chunks_exact_mut(PER_LANE).zip(&note.lanes) {
        let Loss { over_cap, disk, damaged } = mark.loss;
        let numbers = [mark.floor.0, mark.durable.0, over_cap, disk, damaged];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
    }
    let crc = crc32fast::hash(&slot[..SLOT - 4]);
    slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8; SLOT]) -> Option<(u64, Note)> {
    let crc = crc32fast::hash(&slot[..SLOT - 4]);
    if slot[SLOT - 4..] != crc.to_le_bytes() || !slot.starts_with(MAGIC) || slot[8..10] != VERSION.to_le_bytes() {
        return None;
    }
    let mut numbers = slot[12..SLOT - 4].chunks_exact(8).map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes));
    let mut number = || numbers.next().unwrap_or_default();
    let generation = number();
    let lanes = std::array::from_fn(|_| Mark {
        floor: Sequence(number()),
        durable: Sequence(number()),
        loss: Loss { over_cap: number(), disk: number(), damaged: number() },
    });
    Some((generation, Note { clean: slot[10] != 0, lanes }))
}

/// The version of an intact head that is not ours.
fn other_version(slot: &[u8; SLOT]) -> Option<u16> {
    let version = u16::from_le_bytes([slot[8], slot[9]]);
    // A torn write leaves a zero.
    (slot.starts_with(MAGIC) && version != VERSION && version != 0).then_some(version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_is_read_as_written_and_every_flipped_bit_is_found() {
        let mark = |lane: u64| Mark {
            floor: Sequence(lane),
            durable: Sequence(u64::MAX - lane),
            loss: Loss { over_cap: 3 + lane, disk: 4, damaged: 5 },
        };
        let note = Note { clean: true, lanes: std::array::from_fn(|lane| mark(lane as u64)) };
        let slot = encode(77, &note);
        assert_eq!(decode(&slot), Some((77, note)));
        for bit in 0..SLOT * 8 {
            let mut bad = slot;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
    }
}
