//! Bytes of one direction that cannot be handed over yet.

use std::collections::BTreeMap;

use umbra_wire::Timestamp;

/// Bookkeeping memory of one chunk beside its bytes, as counted against `max_total_bytes`.
pub(crate) const CHUNK_COST: usize = 96;

/// Chunks looked at where the order of both directions has to be kept: a bound on the work for each gap. With that many
/// pieces behind one hole a gap may be told before what came in between.
const LOOK_AHEAD: usize = 16;

/// What a stretch of the stream holds.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// Cut by the snap length.
    Missing(u64),
    /// One byte out of band.
    Urgent,
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Missing(len) => *len,
            Body::Urgent => 1,
        }
    }
}

/// When a chunk arrived and what it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Time of its packet.
    pub(crate) time: Timestamp,
    /// Flow clock at its arrival.
    pub(crate) clock: Timestamp,
    /// Offset of the other direction that its sender had received: handed over once that direction got there.
    pub(crate) after_peer: u64,
}

#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) arrival: Arrival,
    pub(crate) body: Body,
}

/// What [`Assembler::insert`] did with a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// New bytes kept.
    pub(crate) stored_bytes: usize,
    /// New chunks made.
    pub(crate) stored_chunks: usize,
    /// Bytes that were there already.
    pub(crate) duplicate_bytes: u64,
    /// Some of those are different.
    pub(crate) conflict: bool,
}

/// Chunks by stream offset; they never overlap. First bytes win (F020).
///
/// Work per segment: one map step for each chunk it touches, and as each touched chunk is at least one of the segment's
/// own bytes, the total is linear in the bytes received times the logarithm of the chunk count (F019).
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    chunks: BTreeMap<u64, Chunk>,
    bytes: usize,
}

/// The bytes of a segment, or a stretch known to be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    Missing(u64),
    Urgent,
}

impl Source<'_> {
    pub(crate) fn len(self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Missing(len) => len,
            Source::Urgent => 1,
        }
    }
}

impl Assembler {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn segments(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the first few waiting chunks wait for, in stream order.
    pub(crate) fn waited_for(&self) -> impl Iterator<Item = u64> {
        self.chunks.values().take(LOOK_AHEAD).map(|chunk| chunk.arrival.after_peer)
    }

    /// Offset and arrival of the first chunk.
    pub(crate) fn first(&self) -> Option<(u64, Arrival)> {
        self.chunks.first_key_value().map(|(start, chunk)| (*start, chunk.arrival))
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u64, Chunk)> {
        let (start, chunk) = self.chunks.pop_first()?;
        if let Body::Bytes(bytes) = &chunk.body {
            self.bytes -= bytes.len();
        }
        Some((start, chunk))
    }

    /// Keeps what of `[start, start + len)` is not there yet, while there are fewer than `max_chunks`; `buffer` gives
    /// empty vectors.
    pub(crate) fn insert(
        &mut self,
        start: u64,
        source: Source<'_>,
        arrival: Arrival,
        max_chunks: usize,
        mut buffer: impl FnMut() -> Vec<u8>,
    ) -> Inserted {
        let mut done = Inserted::default();
        let end = start.saturating_add(source.len());
        let mut at = start;
        if let Some((before, chunk)) = self.chunks.range(..start).next_back() {
            let (before, chunk_end) = (*before, before.saturating_add(chunk.body.len()));
            if chunk_end > start {
                done.compare(before, &chunk.body, start, source);
                done.stored_chunks += self.hasten(before, start, end.min(chunk_end), arrival.after_peer, max_chunks);
                at = chunk_end;
            }
        }
        while at < end && self.chunks.len() < max_chunks {
            let next = self.chunks.range(at..end).next().map(|(next, chunk)| {
                done.compare(*next, &chunk.body, start, source);
                (*next, next.saturating_add(chunk.body.len()))
            });
            if let Some((next, next_end)) = next {
                done.stored_chunks += self.hasten(next, next, end.min(next_end), arrival.after_peer, max_chunks);
            }
            let piece_end = next.map_or(end, |(next, _)| next);
            if piece_end > at {
                let body = match source {
                    Source::Bytes(bytes) => {
                        let piece = part(bytes, start, at, piece_end);
                        let mut kept = buffer();
                        kept.extend_from_slice(piece);
                        self.bytes += kept.len();
                        done.stored_bytes += kept.len();
                        Body::Bytes(kept)
                    }
                    Source::Missing(_) => Body::Missing(piece_end - at),
                    Source::Urgent => Body::Urgent,
                };
                self.chunks.insert(at, Chunk { arrival, body });
                done.stored_chunks += 1;
            }
            match next {
                Some((_, next_end)) => at = next_end,
                None => break,
            }
        }
        done
    }

    /// A further copy of `[from, to)` of the chunk at `start` waits for less of the other direction than the first one (which
    /// was a retransmission captured before the original): that part need not wait longer. Gives the number of chunks that
    /// were split off.
    fn hasten(&mut self, start: u64, from: u64, to: u64, after_peer: u64, max_chunks: usize) -> usize {
        let room = self.chunks.len() + 2 <= max_chunks;
        let Some(chunk) = self.chunks.get_mut(&start) else { return 0 };
        let end = start.saturating_add(chunk.body.len());
        let whole = from <= start && to >= end;
        if chunk.arrival.after_peer <= after_peer {
            return 0;
        }
        if whole {
            chunk.arrival.after_peer = after_peer;
            return 0;
        }
        let Body::Bytes(bytes) = &mut chunk.body else { return 0 };
        if !room {
            return 0;
        }
        let mut arrival = chunk.arrival;
        let right = bytes.split_off(((to - start) as usize).min(bytes.len()));
        let middle = bytes.split_off((from.saturating_sub(start) as usize).min(bytes.len()));
        let mut made = 0;
        if !right.is_empty() {
            self.chunks.insert(to, Chunk { arrival, body: Body::Bytes(right) });
            made += 1;
        }
        arrival.after_peer = after_peer;
        if from > start {
            self.chunks.insert(from, Chunk { arrival, body: Body::Bytes(middle) });
            made += 1;
        } else if let Some(chunk) = self.chunks.get_mut(&start) {
            *chunk = Chunk { arrival, body: Body::Bytes(middle) };
        }
        made
    }
}

impl Inserted {
    /// Counts the overlap of a chunk with a segment and compares it byte by byte.
    fn compare(&mut self, chunk_start: u64, chunk: &Body, start: u64, source: Source<'_>) {
        let from = start.max(chunk_start);
        let to = (start.saturating_add(source.len())).min(chunk_start.saturating_add(chunk.len()));
        self.duplicate_bytes += to.saturating_sub(from);
        if let (Body::Bytes(old), Source::Bytes(new)) = (chunk, source) {
            self.conflict |= part(old, chunk_start, from, to) != part(new, start, from, to);
        }
    }
}

/// Bytes `from..to` of a slice whose first byte has offset `start`.
pub(crate) fn part(bytes: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let from = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
    let to = usize::try_from(to.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const AT: Arrival = Arrival { time: Timestamp(0), clock: Timestamp(0), after_peer: 0 };

    fn insert(a: &mut Assembler, start: u64, bytes: &[u8]) -> Inserted {
        a.insert(start, Source::Bytes(bytes), AT, 99, Vec::new)
    }

    fn all(mut a: Assembler) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some((start, chunk)) = a.pop_first() {
            match chunk.body {
                Body::Bytes(bytes) => out.push((start, bytes)),
                body => out.push((start, vec![0; body.len() as usize])),
            }
        }
        assert_eq!(a.bytes(), 0);
        out
    }

    #[test]
    fn pieces_fill_the_room_between_chunks() {
        let mut a = Assembler::default();
        insert(&mut a, 12, b"cd");
        insert(&mut a, 16, b"gh");
        let done = insert(&mut a, 10, b"abcdefghij");
        assert_eq!(done, Inserted { stored_bytes: 6, stored_chunks: 3, duplicate_bytes: 4, conflict: false });
        let joined: Vec<u8> = all(a).into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(joined, b"abcdefghij");
    }

    #[test]
    fn first_bytes_win_and_a_difference_is_seen() {
        for (start, bytes, conflict) in [
            (8, &b"xxABCD"[..], false),
            (8, b"xxABCX", true),
            (12, b"CDyy", false),
            (13, b"Xyy", true),
            (11, b"B", false),
        ] {
            let mut a = Assembler::default();
            insert(&mut a, 10, b"ABCD");
            assert_eq!(insert(&mut a, start, bytes).conflict, conflict, "{start}");
            let kept = all(a).into_iter().find(|(start, _)| *start == 10).unwrap();
            assert_eq!(kept.1, b"ABCD");
        }
    }

    #[test]
    fn missing_stretches_take_their_place() {
        let mut a = Assembler::default();
        a.insert(10, Source::Missing(4), AT, 99, Vec::new);
        let done = insert(&mut a, 8, b"abcdefgh");
        assert_eq!((done.stored_bytes, done.duplicate_bytes, done.conflict), (4, 4, false));
        assert_eq!(all(a).len(), 3);
    }
}
