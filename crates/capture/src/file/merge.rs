//! Several inputs in packet-time order.
//!
//! Inputs are opened when the merge reaches their first packet, so that a thousand rotated files need one descriptor.
//! A batch that no other input interleaves with is passed on as it is; otherwise packets are copied into a new one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::batch::{Batch, Blank, PacketMeta, Pool};
use super::bytes::place;
use super::paths::InputPath;
use super::reader::FileReader;
use super::stream::{Stream, Tap};
use super::{MAX_OPEN_FILES, Shared};
use crate::{Corruption, Error};

/// An input that waits for its time.
struct Waiting {
    /// Time of its first packet.
    first: u64,
    order: u32,
    source: Source,
}

enum Source {
    /// To be opened.
    Path(InputPath),
    /// Cannot be opened twice: a pipe.
    Open(Box<FileReader>, Option<Batch>),
}

/// An input that is being read.
struct Cursor {
    order: u32,
    reader: Box<FileReader>,
    batch: Batch,
    at: usize,
}

/// The merge.
pub(super) struct Merge {
    waiting: VecDeque<Waiting>,
    cursors: Vec<Option<Cursor>>,
    /// Time of the next packet, order of the input, index in `cursors`.
    heap: BinaryHeap<Reverse<(u64, u32, usize)>>,
    out: Option<Blank>,
    out_bytes: usize,
    errors: VecDeque<Error>,
    /// Time of the packet handed out last.
    last: u64,
    tap: Tap,
}

/// Bytes read to find the time of the first packet.
const PEEK_BYTES: usize = 4096;

impl Merge {
    /// Looks at the first packet of every input.
    pub(super) fn new(inputs: Vec<InputPath>, pool: &mut Pool, shared: &mut Shared, tap: &Tap) -> Merge {
        let mut waiting = Vec::new();
        let mut errors = VecDeque::new();
        let (mut peek_pool, mut peek_shared) = (Pool::new(PEEK_BYTES), Shared::new(None));
        for (order, input) in (0_u32..).zip(inputs) {
            if input.size.is_none() {
                let opened = open(&input, tap).and_then(|mut reader| {
                    let batch = reader.next_batch(pool, shared)?;
                    let first = batch.as_ref().map_or(0, first_time);
                    Ok(Waiting { first, order, source: Source::Open(reader, batch) })
                });
                match opened {
                    Ok(open) => waiting.push(open),
                    Err(error) => errors.push_back(error),
                }
                continue;
            }
            let peeked = open(&input, &Tap::default()).and_then(|mut reader| {
                let batch = reader.next_batch(&mut peek_pool, &mut peek_shared)?;
                Ok(batch.as_ref().map_or(0, first_time))
            });
            drop(peek_shared.take_secrets());
            let first = match peeked {
                Err(Error::Corrupt {
                    what: Corruption::Magic(_) | Corruption::Empty | Corruption::Cut { needed: 4, .. },
                    ..
                }) if input.found => {
                    shared.counters.files_skipped += 1;
                    continue;
                }
                // Whatever else is wrong is met again, and reported, when the input is read.
                Err(_) => 0,
                Ok(first) => first,
            };
            waiting.push(Waiting { first, order, source: Source::Path(input) });
        }
        waiting.sort_by_key(|input| (input.first, input.order));
        Merge {
            waiting: waiting.into(),
            cursors: Vec::new(),
            heap: BinaryHeap::new(),
            out: None,
            out_bytes: 0,
            errors,
            last: 0,
            tap: tap.clone(),
        }
    }

    /// Whether there is nothing to read at all.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.errors.is_empty()
    }

    /// The next packets over all inputs; `Ok(None)` at the end. After an error the other inputs go on.
    pub(super) fn next_batch(&mut self, pool: &mut Pool, shared: &mut Shared) -> Result<Option<Batch>, Error> {
        loop {
            // Packets before an error come before it.
            if !self.errors.is_empty() {
                if let Some(batch) = self.flush(pool) {
                    return Ok(Some(batch));
                }
                if let Some(error) = self.errors.pop_front() {
                    return Err(error);
                }
            }
            self.open_due(pool, shared);
            if !self.errors.is_empty() {
                continue;
            }
            let Some(Reverse((_, order, index))) = self.heap.pop() else {
                return Ok(self.flush(pool));
            };
            let Some(cursor) = self.cursors.get_mut(index).and_then(Option::as_mut) else { continue };
            // The packets of this input until it is the turn of another one.
            let next = self.heap.peek().map(|Reverse((time, order, _))| (*time, *order));
            let opening = self.waiting.front().map(|input| (input.first, input.order));
            let opening = opening.filter(|_| self.heap.len() + 1 < MAX_OPEN_FILES);
            let until = next.into_iter().chain(opening).min().unwrap_or((u64::MAX, u32::MAX));
            let rest = cursor.batch.metas().get(cursor.at..).unwrap_or_default();
            let run = rest.iter().skip(1).position(|meta| (meta.time.nanos(), order) > until);
            let run = run.map_or(rest.len(), |others| others + 1);
            self.last = rest.get(run.saturating_sub(1)).map_or(self.last, |meta| meta.time.nanos());
            if run == cursor.batch.len() && self.out.is_none() {
                let batch = cursor.batch.clone();
                self.refill(index, pool, shared);
                return Ok(Some(batch));
            }
            let batch = cursor.batch.clone();
            let from = cursor.at;
            let mut taken = 0;
            let mut full = None;
            for meta in batch.metas().iter().skip(from).take(run) {
                if !self.append(meta, &batch, pool) {
                    full = self.flush(pool);
                    break;
                }
                taken += 1;
            }
            drop(batch);
            self.advance(index, taken, pool, shared);
            if full.is_some() {
                return Ok(full);
            }
        }
    }

    /// Opens the inputs whose first packet is due.
    fn open_due(&mut self, pool: &mut Pool, shared: &mut Shared) {
        while let Some(input) = self.waiting.front() {
            if self.heap.peek().is_some_and(|Reverse((time, order, _))| (input.first, input.order) > (*time, *order)) {
                return;
            }
            if self.heap.len() >= MAX_OPEN_FILES {
                return;
            }
            let Some(input) = self.waiting.pop_front() else { return };
            let opened = match input.source {
                Source::Open(reader, batch) => Ok((reader, batch)),
                Source::Path(path) => open(&path, &self.tap).map(|reader| (reader, None)),
            };
            match opened {
                Err(error) => self.failed(error, shared),
                Ok((mut reader, batch)) => {
                    let batch = match batch {
                        Some(batch) => Ok(Some(batch)),
                        None => reader.next_batch(pool, shared),
                    };
                    match batch {
                        Ok(Some(batch)) => self.insert(input.order, reader, batch, input.first, shared),
                        Ok(None) => {}
                        Err(error) => self.failed(error, shared),
                    }
                }
            }
        }
    }

    fn insert(&mut self, order: u32, reader: Box<FileReader>, batch: Batch, first: u64, shared: &mut Shared) {
        let time = first_time(&batch);
        // Waited for a place while later packets of others went out.
        shared.counters.files_late += u64::from(first < self.last);
        let cursor = Some(Cursor { order, reader, batch, at: 0 });
        let index = match self.cursors.iter().position(Option::is_none) {
            Some(free) => {
                if let Some(slot) = self.cursors.get_mut(free) {
                    *slot = cursor;
                }
                free
            }
            None => {
                self.cursors.push(cursor);
                self.cursors.len() - 1
            }
        };
        self.heap.push(Reverse((time, order, index)));
    }

    /// Moves an input on by `taken` packets and puts it back in line.
    fn advance(&mut self, index: usize, taken: usize, pool: &mut Pool, shared: &mut Shared) {
        let Some(cursor) = self.cursors.get_mut(index).and_then(Option::as_mut) else { return };
        cursor.at += taken;
        match cursor.batch.metas().get(cursor.at) {
            Some(meta) => self.heap.push(Reverse((meta.time.nanos(), cursor.order, index))),
            None => self.refill(index, pool, shared),
        }
    }

    /// Reads the next batch of an input and puts it back in line.
    fn refill(&mut self, index: usize, pool: &mut Pool, shared: &mut Shared) {
        let Some(slot) = self.cursors.get_mut(index) else { return };
        let Some(mut cursor) = slot.take() else { return };
        match cursor.reader.next_batch(pool, shared) {
            Ok(Some(batch)) => {
                let time = first_time(&batch);
                self.heap.push(Reverse((time, cursor.order, index)));
                (cursor.batch, cursor.at) = (batch, 0);
                *slot = Some(cursor);
            }
            Ok(None) => {}
            Err(error) => self.failed(error, shared),
        }
    }

    fn failed(&mut self, error: Error, shared: &mut Shared) {
        shared.counters.files_failed += 1;
        self.errors.push_back(error);
    }

    /// Copies a packet into the batch being made; false when it is full.
    fn append(&mut self, meta: &PacketMeta, from: &Batch, pool: &mut Pool) -> bool {
        let blank = self.out.get_or_insert_with(|| pool.take());
        let (buffer, metas) = blank.parts();
        let data = meta.bytes(from.buffer());
        let end = self.out_bytes + data.len();
        if end > buffer.len() {
            if !metas.is_empty() {
                return false;
            }
            buffer.resize(end, 0);
        }
        if let Some(space) = buffer.get_mut(self.out_bytes..end) {
            space.copy_from_slice(data);
        }
        metas.push(PacketMeta { offset: place(self.out_bytes), ..*meta });
        self.out_bytes = end;
        true
    }

    fn flush(&mut self, pool: &mut Pool) -> Option<Batch> {
        self.out_bytes = 0;
        self.out.take().map(|blank| pool.issue(blank))
    }
}

fn open(input: &InputPath, tap: &Tap) -> Result<Box<FileReader>, Error> {
    let name = input.path.display().to_string();
    match Stream::open(&input.path, tap) {
        Ok(stream) => Ok(Box::new(FileReader::new(name, stream))),
        Err(source) => Err(Error::Open { file: name, source }),
    }
}

fn first_time(batch: &Batch) -> u64 {
    batch.metas().first().map_or(0, |meta| meta.time.nanos())
}
