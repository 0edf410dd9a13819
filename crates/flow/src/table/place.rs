//! Where a 5-tuple is kept: the index of the table.

use crate::key::PackedKey;

use super::FlowTable;

/// Where a known 5-tuple is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Flow(u32),
    HalfOpen(u32),
    Closed(u32),
}

/// A [`Place`] in four bytes: which kind in the upper two bits, the index in the others. With eight bytes the index of a busy
/// table would not fit the second-level cache, and every new connection looks into it at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedPlace(u32);

/// Indexes stay below: the bounds of the configuration are clamped to it.
pub(super) const MAX_RECORDS: usize = 1 << 30;

impl PackedPlace {
    pub(super) const fn of(place: Place) -> PackedPlace {
        PackedPlace(match place {
            Place::Flow(index) => index,
            Place::HalfOpen(index) => 1 << 30 | index,
            Place::Closed(index) => 2 << 30 | index,
        })
    }

    #[inline]
    pub(super) const fn place(self) -> Place {
        let index = self.0 & (MAX_RECORDS as u32 - 1);
        match self.0 >> 30 {
            0 => Place::Flow(index),
            1 => Place::HalfOpen(index),
            _ => Place::Closed(index),
        }
    }
}

/// Flows found again without a search: 8 KiB, so that they stay in the first-level cache.
pub(super) const RECENT: usize = 2048;

impl<A> FlowTable<A> {
    /// [`find`](FlowTable::find), with a look at the flows found last before. A flow that has left the index is not among them:
    /// its slot was freed with the last step, before this segment.
    #[inline]
    pub(super) fn find_recent(&mut self, hash: u64, key: &PackedKey) -> Option<Place> {
        let recent = self.recent[hash as usize % RECENT];
        if self.flows.at(recent).is_some_and(|flow| flow.state.facts.key == *key) {
            return Some(Place::Flow(recent));
        }
        let place = self.find(hash, key);
        if let Some(Place::Flow(index)) = place {
            self.recent[hash as usize % RECENT] = index;
        }
        place
    }

    /// The flow, half-open connection or closed connection of a 5-tuple.
    pub(super) fn find(&self, hash: u64, key: &PackedKey) -> Option<Place> {
        self.index
            .find(hash, |place| match place.place() {
                Place::Flow(index) => self.flows.at(index).is_some_and(|flow| flow.state.facts.key == *key),
                Place::HalfOpen(index) => self.half_open.hash(index) == hash,
                Place::Closed(index) => self.closed.at(index).is_some_and(|closed| closed.hash == hash),
            })
            .map(|place| place.place())
    }

    pub(super) fn insert_place(&mut self, hash: u64, place: Place) {
        let (flows, half_open, closed) = (&self.flows, &self.half_open, &self.closed);
        self.index.insert_unique(hash, PackedPlace::of(place), |place| match place.place() {
            Place::Flow(index) => flows.at(index).map_or(0, |flow| flow.state.hash),
            Place::HalfOpen(index) => half_open.hash(index),
            Place::Closed(index) => closed.at(index).map_or(0, |closed| closed.hash),
        });
    }

    /// The 5-tuple that was kept at `old` is kept at `new`.
    pub(super) fn replace_place(&mut self, hash: u64, old: Place, new: Place) {
        match self.index.find_mut(hash, |other| *other == PackedPlace::of(old)) {
            Some(place) => *place = PackedPlace::of(new),
            None => self.insert_place(hash, new),
        }
    }

    pub(super) fn remove_place(&mut self, hash: u64, place: Place) {
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == PackedPlace::of(place)) {
            entry.remove();
        }
    }
}
