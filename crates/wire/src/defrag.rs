//! IP fragments to datagrams.
//!
//! Policies, each counted:
//!
//! - IPv4 fragments may overlap: the first data wins. An overlap in IPv6 drops the datagram and what comes of it later
//!   (RFC 5722 §4); an exact copy is no overlap (RFC 8200 §4.5), as SPAN ports make copies.
//! - The first last fragment gives the length: what reaches past it, and another end, is ignored.
//! - A fragment that is not the last and not a multiple of 8 long is trimmed in IPv4, as Linux does, and ignored in IPv6.
//! - A datagram with too many fragments is dropped, and what comes of it later. The oldest datagram makes room for new ones.
//! - A complete datagram is remembered without its bytes until its time is up, so that late copies of its fragments do not
//!   start another and get mixed with the next datagram of the same id.

use std::collections::VecDeque;
use std::net::IpAddr;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::config::Config;
use crate::counters::{Counters, FragmentKind};
use crate::packet::Timestamp;
use crate::segment::VlanIds;

/// The largest datagram (RFC 791 §3.1; for IPv6 the length field has the same range).
const MAX_DATAGRAM: u32 = 65_535;

/// What makes fragments belong together, compared in full (F013). The address family is part of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) id: u32,
    pub(crate) protocol: u8,
    pub(crate) vlan: VlanIds,
    pub(crate) tunnel: u32,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'d> {
    /// Place of the first byte in the datagram.
    pub(crate) start: u32,
    /// Not the last one.
    pub(crate) more: bool,
    /// What the datagram carries; that of the first fragment counts.
    pub(crate) protocol: u8,
    /// Header bytes that count towards the largest datagram (IPv4).
    pub(crate) header_len: u32,
    pub(crate) data: &'d [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The datagram is complete: see [`Defrag::take_complete`].
    Complete,
    Not(FragmentKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for more.
    Open,
    /// Was complete; the bytes are gone.
    Done,
    /// Was given up; the bytes are gone.
    Dropped,
}

/// Bytes `start..end` of a datagram.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u16,
    end: u16,
    /// Open: where the bytes are in `Datagram::bytes`. Done: their hash.
    at: u32,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    hash: u64,
    /// Number in order of arrival; finds the datagram in `order`.
    serial: u64,
    expires: Timestamp,
    state: State,
    protocol: u8,
    /// Length, once the last fragment is here.
    total: Option<u32>,
    /// Bytes held, each once.
    held: u32,
    /// Sorted, without overlap.
    pieces: Vec<Piece>,
    /// The bytes of the pieces in order of arrival: memory follows what came, not what offsets claim.
    bytes: Vec<u8>,
    /// What is charged for it.
    charged: usize,
}

/// Cost of a datagram besides its bytes: itself (twice, as tables grow by doubling), table and order entries, allocator
/// overhead of two buffers.
const DATAGRAM_BYTES: usize = 2 * size_of::<Datagram>() + 2 * size_of::<(u64, u32)>() + 16 + 32;

/// The table of unfinished datagrams.
#[derive(Debug)]
pub(crate) struct Defrag {
    max_pieces: usize,
    max_datagrams: usize,
    max_bytes: usize,
    lifetime: std::time::Duration,
    hasher: RandomState,
    table: HashTable<u32>,
    datagrams: Vec<Datagram>,
    /// Serials and places, oldest first; entries of datagrams that are gone are skipped.
    order: VecDeque<(u64, u32)>,
    free: Vec<u32>,
    next_serial: u64,
    charged: usize,
    complete: Vec<u8>,
    complete_protocol: u8,
    /// Pieces moved and bytes touched: lets tests see that work is linear.
    #[cfg(test)]
    work: u64,
    /// Lets tests force all keys into one bucket.
    #[cfg(test)]
    one_bucket: bool,
}

impl Defrag {
    pub(crate) fn new(config: &Config) -> Defrag {
        let [a, b, c, d] = config.hash_seed;
        Defrag {
            max_pieces: usize::from(config.max_datagram_fragments).max(1),
            max_datagrams: usize::try_from(config.max_datagrams).unwrap_or(usize::MAX).max(1),
            max_bytes: config.max_fragment_bytes,
            lifetime: config.fragment_lifetime,
            hasher: RandomState::with_seeds(a, b, c, d),
            table: HashTable::new(),
            datagrams: Vec::new(),
            order: VecDeque::new(),
            free: Vec::new(),
            next_serial: 0,
            charged: 0,
            complete: Vec::new(),
            complete_protocol: 0,
            #[cfg(test)]
            work: 0,
            #[cfg(test)]
            one_bucket: false,
        }
    }

    /// Memory charged for all datagrams, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.charged
    }

    /// Datagrams in the table.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Swaps the datagram just completed into `into` and gives its protocol.
    pub(crate) fn take_complete(&mut self, into: &mut Vec<u8>) -> u8 {
        std::mem::swap(&mut self.complete, into);
        self.complete_protocol
    }

    /// Adds a fragment that arrived at `now` (monotone).
    pub(crate) fn insert(
        &mut self,
        now: Timestamp,
        key: Key,
        mut fragment: Fragment<'_>,
        counters: &mut Counters,
    ) -> Verdict {
        self.expire(now, counters);
        if fragment.more && !fragment.data.len().is_multiple_of(8) {
            if key.src.is_ipv6() {
                return Verdict::Not(FragmentKind::Misaligned);
            }
            let whole = fragment.data.len() / 8 * 8;
            fragment.data = fragment.data.get(..whole).unwrap_or_default();
        }
        let Ok(len @ 1..) = u32::try_from(fragment.data.len()) else {
            return Verdict::Not(FragmentKind::Empty);
        };
        let end = fragment.start.saturating_add(len);
        if end.saturating_add(fragment.header_len) > MAX_DATAGRAM {
            return Verdict::Not(FragmentKind::Oversize);
        }
        let Some(place) = self.find_or_start(now, key, &fragment, end) else {
            return Verdict::Not(FragmentKind::Duplicate);
        };
        let Some(datagram) = self.datagrams.get_mut(place as usize) else {
            return Verdict::Not(FragmentKind::Evicted);
        };
        let verdict = datagram.add(&fragment, end, self.max_pieces, counters);
        #[cfg(test)]
        {
            self.work += u64::from(len) + datagram.pieces.len() as u64;
        }
        if verdict == Verdict::Complete {
            self.complete_protocol = datagram.protocol;
            datagram.finish(&self.hasher, &mut self.complete);
            counters.datagrams_reassembled = counters.datagrams_reassembled.wrapping_add(1);
        }
        let charged = datagram.cost();
        let serial = datagram.serial;
        self.charged = self.charged.wrapping_sub(datagram.charged).wrapping_add(charged);
        datagram.charged = charged;
        self.make_room(counters);
        let gone = self.datagrams.get(place as usize).is_none_or(|datagram| datagram.serial != serial);
        if gone && verdict == Verdict::Not(FragmentKind::Held) {
            return Verdict::Not(FragmentKind::Evicted);
        }
        verdict
    }

    /// The place of the datagram of this key, started where there is none; `None` for a late copy of a fragment of a
    /// complete one.
    fn find_or_start(&mut self, now: Timestamp, key: Key, fragment: &Fragment<'_>, end: u32) -> Option<u32> {
        let hash = self.hash(&key);
        let datagrams = &self.datagrams;
        let same = |place: &u32| datagrams.get(*place as usize).is_some_and(|datagram| datagram.key == key);
        if let Some(&place) = self.table.find(hash, same) {
            let datagram = self.datagrams.get(place as usize)?;
            if datagram.state != State::Done {
                return Some(place);
            }
            if datagram.was_part(&self.hasher, fragment, end) {
                return None;
            }
            // Other bytes: the id is used again.
            self.remove(place);
        }
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let datagram = Datagram {
            key,
            hash,
            serial,
            expires: now.after(self.lifetime),
            state: State::Open,
            protocol: fragment.protocol,
            total: None,
            held: 0,
            pieces: Vec::new(),
            bytes: Vec::new(),
            charged: 0,
        };
        let place = match self.free.pop() {
            Some(place) => {
                *self.datagrams.get_mut(place as usize)? = datagram;
                place
            }
            None => {
                self.datagrams.push(datagram);
                u32::try_from(self.datagrams.len() - 1).ok()?
            }
        };
        let datagrams = &self.datagrams;
        self.table
            .insert_unique(hash, place, |place| datagrams.get(*place as usize).map_or(0, |datagram| datagram.hash));
        self.order.push_back((serial, place));
        Some(place)
    }

    fn hash(&self, key: &Key) -> u64 {
        #[cfg(test)]
        if self.one_bucket {
            return 0;
        }
        self.hasher.hash_one(key)
    }

    /// Removes what is older than the lifetime.
    fn expire(&mut self, now: Timestamp, counters: &mut Counters) {
        while let Some(&(serial, place)) = self.order.front() {
            match self.datagrams.get(place as usize) {
                Some(datagram) if datagram.serial == serial => {
                    if datagram.expires > now {
                        return;
                    }
                    if datagram.state == State::Open {
                        counters.datagrams_expired = counters.datagrams_expired.wrapping_add(1);
                    }
                    self.remove(place);
                }
                _ => {}
            }
            self.order.pop_front();
        }
    }

    /// Evicts the oldest until the limits hold.
    fn make_room(&mut self, counters: &mut Counters) {
        while self.table.len() > self.max_datagrams || self.charged > self.max_bytes {
            let Some((serial, place)) = self.order.pop_front() else { return };
            let Some(datagram) = self.datagrams.get(place as usize) else { continue };
            if datagram.serial == serial {
                if datagram.state == State::Open {
                    counters.datagrams_evicted = counters.datagrams_evicted.wrapping_add(1);
                }
                self.remove(place);
            }
        }
        // Entries of datagrams that were replaced (same id used again) are dropped here, lest they pile up in a lifetime.
        if self.order.len() > 2 * self.table.len() + 64 {
            let datagrams = &self.datagrams;
            self.order.retain(|(serial, place)| {
                datagrams.get(*place as usize).is_some_and(|datagram| datagram.serial == *serial)
            });
        }
    }

    /// Takes a datagram out of the table; its entry in `order` stays behind.
    fn remove(&mut self, place: u32) {
        let Some(datagram) = self.datagrams.get_mut(place as usize) else { return };
        if let Ok(entry) = self.table.find_entry(datagram.hash, |other| *other == place) {
            entry.remove();
        }
        self.charged = self.charged.wrapping_sub(datagram.charged);
        datagram.charged = 0;
        datagram.serial = u64::MAX;
        datagram.free();
        self.free.push(place);
    }
}

impl Datagram {
    /// Adds `fragment`, which ends at `end` and is not empty.
    fn add(&mut self, fragment: &Fragment<'_>, end: u32, max_pieces: usize, counters: &mut Counters) -> Verdict {
        if self.state != State::Open {
            return Verdict::Not(FragmentKind::Dropped);
        }
        let held_to = self.pieces.last().map_or(0, |piece| u32::from(piece.end));
        let beyond = match self.total {
            Some(total) => end > total || (!fragment.more && end != total),
            None => !fragment.more && held_to > end,
        };
        if beyond {
            return Verdict::Not(FragmentKind::BeyondEnd);
        }
        let start = fragment.start;
        let first = self.pieces.partition_point(|piece| u32::from(piece.end) <= start);
        let overlapping = self.pieces.get(first..).unwrap_or_default();
        let overlapping = overlapping.partition_point(|piece| u32::from(piece.start) < end);
        if overlapping > 0 {
            let (differs, exact) = self.compare(first, overlapping, fragment, end);
            if exact && !differs {
                return Verdict::Not(FragmentKind::Duplicate);
            }
            if differs {
                counters.fragment_conflicts = counters.fragment_conflicts.wrapping_add(1);
            }
            if self.key.src.is_ipv6() {
                return self.give_up(FragmentKind::Overlap, counters);
            }
            counters.fragment_overlaps = counters.fragment_overlaps.wrapping_add(1);
        }
        // The gaps that the fragment fills: before each piece it overlaps, and after the last.
        let mut new = 0usize;
        let mut from = start;
        let mut at = first;
        for _ in 0..=overlapping {
            let next = self.pieces.get(at).map_or(end, |piece| u32::from(piece.start)).min(end);
            if from < next {
                if self.pieces.len() >= max_pieces {
                    return self.give_up(FragmentKind::Excess, counters);
                }
                let offset = (from - start) as usize;
                let bytes = fragment.data.get(offset..(next - start) as usize).unwrap_or_default();
                let Ok(place) = u32::try_from(self.bytes.len()) else { break };
                self.bytes.extend_from_slice(bytes);
                // Both ends are at most MAX_DATAGRAM.
                self.pieces.insert(at, Piece { start: from as u16, end: next as u16, at: place });
                self.held = self.held.saturating_add(next - from);
                new += 1;
                at += 1;
            }
            from = self.pieces.get(at).map_or(end, |piece| u32::from(piece.end));
            at += 1;
        }
        if start == 0 {
            self.protocol = fragment.protocol;
        }
        if !fragment.more && self.total.is_none() {
            self.total = Some(end);
        }
        // Without overlap and from 0 to the end: as many bytes as that are all of them, so there is no hole.
        if self.total == Some(self.held) {
            return Verdict::Complete;
        }
        Verdict::Not(if new == 0 { FragmentKind::Overlap } else { FragmentKind::Held })
    }

    /// Whether bytes differ where the fragment and the `count` pieces from `first` overlap, and whether it is one of them.
    fn compare(&self, first: usize, count: usize, fragment: &Fragment<'_>, end: u32) -> (bool, bool) {
        let pieces = self.pieces.get(first..first.saturating_add(count)).unwrap_or_default();
        let exact =
            matches!(pieces, [piece] if u32::from(piece.start) == fragment.start && u32::from(piece.end) == end);
        let differs = pieces.iter().any(|piece| {
            let (from, to) = (u32::from(piece.start).max(fragment.start), u32::from(piece.end).min(end));
            let theirs = fragment.data.get((from - fragment.start) as usize..(to - fragment.start) as usize);
            let ours = self.held_bytes(piece).get((from - u32::from(piece.start)) as usize..);
            let ours = ours.and_then(|bytes| bytes.get(..(to - from) as usize));
            theirs != ours
        });
        (differs, exact)
    }

    fn held_bytes(&self, piece: &Piece) -> &[u8] {
        let at = piece.at as usize;
        self.bytes.get(at..at + usize::from(piece.end - piece.start)).unwrap_or_default()
    }

    /// Drops the datagram, but stays to swallow the rest of its fragments.
    fn give_up(&mut self, kind: FragmentKind, counters: &mut Counters) -> Verdict {
        counters.datagrams_dropped = counters.datagrams_dropped.wrapping_add(1);
        self.state = State::Dropped;
        self.free();
        Verdict::Not(kind)
    }

    /// Writes the bytes in order and forgets them, keeping what tells copies of the fragments.
    fn finish(&mut self, hasher: &RandomState, into: &mut Vec<u8>) {
        into.clear();
        for piece in &self.pieces {
            into.extend_from_slice(self.held_bytes(piece));
        }
        for piece in &mut self.pieces {
            let bytes = into.get(usize::from(piece.start)..usize::from(piece.end)).unwrap_or_default();
            piece.at = hasher.hash_one(bytes) as u32;
        }
        self.pieces.shrink_to_fit();
        self.bytes = Vec::new();
        self.state = State::Done;
    }

    /// Whether this is a copy of a fragment of the datagram, which is done.
    fn was_part(&self, hasher: &RandomState, fragment: &Fragment<'_>, end: u32) -> bool {
        self.pieces.iter().any(|piece| {
            (u32::from(piece.start), u32::from(piece.end)) == (fragment.start, end)
                && piece.at == hasher.hash_one(fragment.data) as u32
        })
    }

    fn free(&mut self) {
        self.pieces = Vec::new();
        self.bytes = Vec::new();
    }

    fn cost(&self) -> usize {
        DATAGRAM_BYTES + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }
}

#[cfg(test)]
mod tests;
