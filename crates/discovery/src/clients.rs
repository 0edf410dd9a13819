//! How many distinct clients: a bounded, mergeable sketch.

/// Hashes kept: exact up to here, then an estimate with a standard error of 1/√254, about 6 %.
const KEPT: usize = 256;

/// Distinct clients by the k smallest of their 64-bit keyed hashes (Bar-Yossef et al. 2002, "KMV").
///
/// Merging is set union, so it is commutative, associative and idempotent, and the estimate does not depend on the
/// order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Ascending, no repeats, at most [`KEPT`].
    smallest: Vec<u64>,
}

impl Clients {
    /// Adds a client by the keyed hash of its identity.
    pub fn insert(&mut self, hash: u64) {
        if self.smallest.len() == KEPT && self.smallest.last().is_some_and(|&largest| hash >= largest) {
            return;
        }
        if let Err(place) = self.smallest.binary_search(&hash) {
            self.smallest.insert(place, hash);
            self.smallest.truncate(KEPT);
        }
    }

    /// Adds all clients of another sketch.
    pub fn merge(&mut self, other: &Clients) {
        for &hash in &other.smallest {
            self.insert(hash);
        }
    }

    /// The hashes kept: adding them to an empty sketch gives this one.
    pub(crate) fn hashes(&self) -> &[u64] {
        &self.smallest
    }

    /// How many: exact below 256, an estimate from there on.
    pub fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(&largest) if self.smallest.len() == KEPT => {
                // k-1 of n uniform values lie below the k-th smallest, so n is about (k-1) / (that value's share).
                ((KEPT - 1) as f64 * (u64::MAX as f64 / largest.max(1) as f64)).round() as u64
            }
            _ => self.smallest.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        // SplitMix64: spreads small numbers over all 64 bits.
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn exact_while_few_and_close_when_many() {
        let mut clients = Clients::default();
        for n in 0..200 {
            clients.insert(hash(n));
            clients.insert(hash(n));
        }
        assert_eq!(clients.count(), 200);
        for n in 0..100_000 {
            clients.insert(hash(n));
        }
        let error = (clients.count() as f64 / 100_000.0 - 1.0).abs();
        assert!(error < 0.2, "estimate {} is off by {error}", clients.count());
    }

    #[test]
    fn merging_is_union_in_any_order() {
        let (mut low, mut high, mut all) = (Clients::default(), Clients::default(), Clients::default());
        for n in 0..2_000 {
            all.insert(hash(n));
            if n < 1_200 { low.insert(hash(n)) } else { high.insert(hash(n)) }
        }
        let mut one = low.clone();
        one.merge(&high);
        one.merge(&high);
        high.merge(&low);
        assert_eq!(one, all);
        assert_eq!(high, all);
    }
}
