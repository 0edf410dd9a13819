//! What is found in a directory, and what of it can be used.
//!
//! Only the newest segment of each class is read: it alone can be torn. Whatever is wrong further back is met, skipped and
//! counted by the reader, so that a spool of many gigabytes opens at once.

use std::collections::VecDeque;
use std::io;

use super::checkpoint::{self, Checkpoint, Found, Mark, Note};
use super::frame::{self, SEGMENT_HEAD, SegmentHead, Step};
use super::lane::{Lane, Sealed, segment_name};
use super::reader::Reader;
use super::{Config, LANE_NAMES, LANES, Loss, Sequence, sequence};
use crate::Error;
use crate::files::{self, Entry, Files, Kind};

/// Names kept of what was set aside or is not ours; more are only counted.
const NAMES: usize = 32;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// What opening a spool found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Records that wait to be acknowledged, by [`Class`](super::Class); damage that was not met yet is among them.
    pub pending_by_class: [u64; 4],
    /// Whether the run before did not close the spool: records of its last sync interval may never have got here.
    pub unclean: bool,
    /// Bytes cut off behind the last whole record: writes that a kill or a power cut tore.
    pub torn_bytes: u64,
    /// Files with our names that are not used: of a newer version, links, or of somebody else. They have `.1.aside` or
    /// the like behind their name now and are not deleted.
    pub set_aside: Vec<String>,
    /// Files with other names: left alone.
    pub foreign: Vec<String>,
    /// Names that did not fit into these two lists of 32.
    pub more_names: u64,
    /// Whether what the run before remembered is lost: everything in the spool is sent again, and losses count from zero.
    pub checkpoint_lost: bool,
}

impl Opened {
    /// Records of all classes that wait to be acknowledged.
    pub fn pending(&self) -> u64 {
        self.pending_by_class.iter().fold(0, |sum, pending| sum.saturating_add(*pending))
    }

    fn name(list: &mut Vec<String>, more: &mut u64, name: String) {
        if list.len() < NAMES {
            list.push(name);
        } else {
            *more = more.saturating_add(1);
        }
    }
}

pub(crate) struct Survey<H> {
    pub(crate) lanes: [(Lane<H>, Reader); LANES],
    pub(crate) losses: [Loss; LANES],
    pub(crate) checkpoint: Checkpoint<H>,
    pub(crate) opened: Opened,
}

pub(crate) fn survey<F: Files>(files: &F, config: &Config) -> Result<Survey<F::File>, Error> {
    let mut opened = Opened::default();
    let mut segments: [Vec<(Sequence, u64)>; LANES] = Default::default();
    let mut anything = false;
    let entries = files.list().map_err(|error| Error::io("list the spool", error))?;
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let aside = |name: &str, opened: &mut Opened| set_aside(files, name, &names, opened);
    for entry in entries {
        match lane_of(&entry.name) {
            Some((lane, first)) if entry.kind == Kind::File => {
                anything = true;
                match usable(files, &entry) {
                    true => segments[lane].push((first, entry.length)),
                    false => aside(&entry.name, &mut opened),
                }
            }
            Some(_) => aside(&entry.name, &mut opened),
            None if entry.name == checkpoint::NAME && entry.kind == Kind::File => anything = true,
            None if entry.name == checkpoint::NAME => aside(&entry.name, &mut opened),
            None if entry.name.ends_with(ASIDE) => {}
            None => Opened::name(&mut opened.foreign, &mut opened.more_names, entry.name),
        }
    }
    let (checkpoint, note) = remembered(files, &names, &mut opened);
    opened.checkpoint_lost = anything && note.is_none();
    opened.unclean = anything && !note.is_some_and(|note| note.clean);

    let mut losses = [Loss::default(); LANES];
    let mut index = 0;
    let lanes = segments.map(|mut segments| {
        let lane = index;
        index += 1;
        sequence::sort_by_age(&mut segments, |(first, _)| *first);
        let mark = note.and_then(|note| note.lanes.get(lane).copied());
        losses[lane] = mark.map(|mark| mark.loss).unwrap_or_default();
        open_lane(files, config, LANE_NAMES[lane], segments.into(), mark, &mut opened.torn_bytes)
    });
    for (pending, (lane, reader)) in opened.pending_by_class.iter_mut().zip(&lanes) {
        *pending = reader.pending(lane.next);
    }
    Ok(Survey { lanes, losses, checkpoint, opened })
}

/// Behind the names of files that are not used.
const ASIDE: &str = ".aside";

fn lane_of(name: &str) -> Option<(usize, Sequence)> {
    let (lane, first) = name.strip_suffix(".seg")?.rsplit_once('-')?;
    let lane = LANE_NAMES.iter().position(|known| *known == lane)?;
    let first = Sequence(first.parse().ok()?);
    (segment_name(LANE_NAMES[lane], first) == name).then_some((lane, first))
}

fn set_aside<F: Files>(files: &F, name: &str, names: &[String], opened: &mut Opened) {
    let free = (1..).map(|number| format!("{name}.{number}{ASIDE}")).find(|aside| !names.contains(aside));
    // If that fails it stays where it is; it is not opened either way.
    let _ = free.map(|aside| files.rename(name, &aside));
    Opened::name(&mut opened.set_aside, &mut opened.more_names, name.to_owned());
}

/// Whether a segment is not of a version that this program does not know.
fn usable<F: Files>(files: &F, entry: &Entry) -> bool {
    let mut head = [0; SEGMENT_HEAD];
    let read = files.open(&entry.name).and_then(|file| files::read_full(files, &file, 0, &mut head));
    match read {
        Ok(length) => !matches!(frame::read_segment_head(&head[..length]), SegmentHead::Version(_)),
        // The reader will find out how much of it can be read.
        Err(_) => true,
    }
}

fn remembered<F: Files>(files: &F, names: &[String], opened: &mut Opened) -> (Checkpoint<F::File>, Option<Note>) {
    match Checkpoint::read(files) {
        Ok((checkpoint, Found::Note(note))) => (checkpoint, Some(note)),
        Ok((checkpoint, Found::Nothing | Found::Damaged)) => (checkpoint, None),
        Ok((_, Found::Version(_))) | Err(_) => {
            set_aside(files, checkpoint::NAME, names, opened);
            (Checkpoint::new(), None)
        }
    }
}

fn open_lane<F: Files>(
    files: &F,
    config: &Config,
    name: &'static str,
    mut segments: VecDeque<(Sequence, u64)>,
    mark: Option<Mark>,
    torn_bytes: &mut u64,
) -> (Lane<F::File>, Reader) {
    let oldest = segments.front().map_or(Sequence(config.first_sequence), |(first, _)| *first);
    let mut last = None;
    while let Some((first, length)) = segments.back().copied() {
        let tail = match scan_tail(files, name, first, length, config.longest_frame()) {
            Ok(tail) => tail,
            Err(_) => {
                // Its records keep their numbers: none of them may be given again.
                let most = length / frame::FRAME_HEAD as u64;
                last = Some(Sequence(mark.map_or(first.0.wrapping_add(most), |mark| mark.durable.0)).later_of(first));
                break;
            }
        };
        *torn_bytes = torn_bytes.saturating_add(length.saturating_sub(tail.length.max(SEGMENT_HEAD as u64)));
        if let Some(found) = tail.last {
            last = Some(found);
            if let Some(segment) = segments.back_mut() {
                segment.1 = tail.length;
            }
            break;
        }
        // No record that could be read: a file that was just made, or torn to the ground.
        last = last.or(Some(first.previous()));
        segments.pop_back();
        let _ = files.remove(&segment_name(name, first));
    }
    let found_last = last.unwrap_or(oldest.previous());
    let mut floor = mark.map_or(oldest.previous(), |mark| mark.floor);
    let mut next = found_last.later_of(floor).next();
    if let Some(mark) = mark {
        next = next.later_of(mark.durable.next());
        // Ahead of all there is, and not by the few records that a power cut takes: not the memory of these segments.
        // Sent twice is better than not sent.
        if found_last.is_before(floor) && segments.len() > 1 {
            floor = oldest.previous();
        }
    }
    let reader = Reader::new(floor, config.longest_frame(), mark.map_or(0, |mark| mark.loss.damaged));
    let sealed: VecDeque<Sealed> =
        segments.iter().map(|(first, length)| Sealed { first: *first, length: *length }).collect();
    let mut lane = Lane::new(name, sealed, next);
    if let Some(file) = go_on(files, name, segments.back().copied())
        && next == found_last.next()
        && segments.back().is_some_and(|(_, length)| *length < config.segment_bytes)
    {
        lane.reopen(file);
    }
    // Done ones that the run before did not come to remove; if that fails now it is tried again later.
    let _ = lane.remove_through(files, floor);
    (lane, reader)
}

/// Cuts the newest segment behind its last record and makes the rest durable, so that it can be written on.
fn go_on<F: Files>(files: &F, name: &str, segment: Option<(Sequence, u64)>) -> Option<F::File> {
    let (first, length) = segment?;
    let file = files.open(&segment_name(name, first)).ok()?;
    files.set_length(&file, length).and_then(|()| files.sync(&file)).ok()?;
    Some(file)
}

struct Tail {
    last: Option<Sequence>,
    /// Bytes up to the end of the last record.
    length: u64,
}

/// Looks for the last whole record.
fn scan_tail<F: Files>(files: &F, name: &str, first: Sequence, length: u64, longest: usize) -> io::Result<Tail> {
    let mut tail = Tail { last: None, length: 0 };
    if length <= SEGMENT_HEAD as u64 {
        return Ok(tail);
    }
    let file = files.open(&segment_name(name, first))?;
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(length).unwrap_or(READ_BYTES))];
    let (mut start, mut filled, mut offset) = (0, 0, SEGMENT_HEAD as u64);
    loop {
        let bytes = buffer.get(start..filled).unwrap_or_default();
        let skip = match frame::step(bytes) {
            Step::Frame(head) => {
                let expected = tail.last.map_or(first, Sequence::next);
                if !head.sequence.is_before(expected) {
                    tail.last = Some(head.sequence);
                    tail.length = offset.saturating_add((start + head.frame_length()) as u64);
                }
                head.frame_length()
            }
            Step::BadBody(head) => head.frame_length(),
            Step::BadHead => frame::next_mark(bytes),
            Step::Partial(needed) if needed > longest => frame::next_mark(bytes),
            Step::Partial(needed) => {
                buffer.copy_within(start..filled, 0);
                filled -= start;
                offset = offset.saturating_add(start as u64);
                start = 0;
                buffer.resize(buffer.len().max(needed), 0);
                let rest = buffer.get_mut(filled..).unwrap_or_default();
                match files::read_full(files, &file, offset.saturating_add(filled as u64), rest)? {
                    0 => return Ok(tail),
                    length => filled += length,
                }
                continue;
            }
        };
        start += skip;
    }
}
