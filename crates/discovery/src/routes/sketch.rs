//! Bounded, mergeable summaries. Each one is a set or a sum, so that merging is commutative and associative.

use serde::{Deserialize, Serialize};

/// Two hashes as one.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(u128::from(b ^ 0xa076_1d64_78bd_642f) | 1);
    (product as u64) ^ (product >> 64) as u64
}

/// How often each of some keys was seen: the ones with the smallest hashes, at most [`Keys::KEPT`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    /// Ascending by hash, no repeats.
    kept: Vec<(u32, u32)>,
}

impl Keys {
    /// Keys kept. A response has about thirty key paths at the depth that is looked at.
    pub(crate) const KEPT: usize = 64;

    /// Adds one sighting of a key.
    pub(crate) fn add(&mut self, hash: u64) {
        self.add_count((hash >> 32) as u32, 1);
    }

    fn add_count(&mut self, hash: u32, count: u32) {
        if self.kept.len() == Self::KEPT && self.kept.last().is_some_and(|&(largest, _)| hash > largest) {
            return;
        }
        match self.kept.binary_search_by_key(&hash, |&(key, _)| key) {
            Ok(place) => {
                if let Some((_, seen)) = self.kept.get_mut(place) {
                    *seen = seen.saturating_add(count);
                }
            }
            Err(place) => {
                // Before it grows: to double for one that goes at once would be a waste.
                self.kept.truncate(Self::KEPT - 1);
                self.kept.insert(place.min(self.kept.len()), (hash, count));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Keys) {
        for &(hash, count) in &other.kept {
            self.add_count(hash, count);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.kept.iter().copied()
    }

    pub(crate) fn count(&self, hash: u32) -> u32 {
        match self.kept.binary_search_by_key(&hash, |&(key, _)| key) {
            Ok(place) => self.kept.get(place).map_or(0, |&(_, count)| count),
            Err(_) => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Is a key with this hash kept whenever it was seen? Keys above the largest of a full set are not known of.
    pub(crate) fn covers(&self, hash: u32) -> bool {
        self.kept.len() < Self::KEPT || self.kept.last().is_some_and(|&(largest, _)| hash <= largest)
    }
}

/// Distinct values by the smallest of their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distinct {
    smallest: Vec<u64>,
}

impl Distinct {
    const KEPT: usize = 64;

    pub(crate) fn add(&mut self, hash: u64) {
        if self.smallest.len() == Self::KEPT && self.smallest.last().is_some_and(|&largest| hash >= largest) {
            return;
        }
        if let Err(place) = self.smallest.binary_search(&hash) {
            self.smallest.truncate(Self::KEPT - 1);
            self.smallest.insert(place.min(self.smallest.len()), hash);
        }
    }

    pub(crate) fn merge(&mut self, other: &Distinct) {
        for &hash in &other.smallest {
            self.add(hash);
        }
    }

    /// Exact below 64, an estimate from there on.
    pub(crate) fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(&largest) if self.smallest.len() == Self::KEPT => {
                ((Self::KEPT - 1) as f64 * (u64::MAX as f64 / largest.max(1) as f64)).round() as u64
            }
            _ => self.smallest.len() as u64,
        }
    }
}

/// Which values were seen in bodies: a Bloom filter (1970). Merging is OR, so it is idempotent too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    words: Vec<u64>,
    /// Bits set.
    set: u32,
}

impl Seen {
    /// Bits, a power of two: 64 KiB hold 60,000 values with 4 % wrong answers.
    const BITS: u64 = 1 << 19;

    pub(crate) fn new() -> Seen {
        Seen { words: vec![0; (Self::BITS / 64) as usize], set: 0 }
    }

    fn places(hash: u64) -> [u64; 2] {
        [hash % Self::BITS, (hash >> 32) % Self::BITS]
    }

    pub(crate) fn add(&mut self, hash: u64) {
        for place in Self::places(hash) {
            if let Some(word) = self.words.get_mut((place / 64) as usize) {
                let bit = 1 << (place % 64);
                self.set += u32::from(*word & bit == 0);
                *word |= bit;
            }
        }
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        Self::places(hash)
            .iter()
            .all(|place| self.words.get((place / 64) as usize).is_some_and(|word| word & (1 << (place % 64)) != 0))
    }

    pub(crate) fn merge(&mut self, other: &Seen) {
        self.set = 0;
        for (ours, theirs) in self.words.iter_mut().zip(&other.words) {
            *ours |= theirs;
            self.set += ours.count_ones();
        }
    }

    /// Share of values never seen that it takes for seen, 0 to 1.
    pub(crate) fn error(&self) -> f64 {
        let fill = f64::from(self.set) / Self::BITS as f64;
        fill * fill
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ValueKey;

    #[test]
    fn keys_are_the_same_in_any_order_and_split() {
        let hashes: Vec<u64> = (0..500_u64).map(|n| ValueKey::new([0, 0]).hash(&n.to_le_bytes())).collect();
        let (mut one, mut other, mut half) = (Keys::default(), Keys::default(), Keys::default());
        for hash in &hashes {
            one.add(*hash);
        }
        for hash in hashes.iter().rev() {
            if hash % 2 == 0 { other.add(*hash) } else { half.add(*hash) }
        }
        other.merge(&half);
        assert_eq!(one, other);
        assert_eq!(one.len(), Keys::KEPT);
    }
}
