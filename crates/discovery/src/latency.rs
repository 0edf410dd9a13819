//! How long answers take: a bounded, mergeable histogram.

use serde::{Deserialize, Serialize};

/// Buckets of an octave: an OpenTelemetry exponential histogram of scale 3, whose buckets grow by 2^(1/8), 9 %.
const PER_OCTAVE: u16 = 8;

/// 2^(63 + k/8) for k = 1 to 7, rounded up: where the buckets of an octave begin, with the top bit at bit 63.
const STARTS: [u64; 7] = [
    0x8b95_c1e3_ea8b_d6e7,
    0x9837_f051_8db8_a970,
    0xa5fe_d6a9_b151_38eb,
    0xb504_f333_f9de_6485,
    0xc567_2a11_5506_dade,
    0xd744_fcca_d69d_6af5,
    0xeac0_c6e7_dd24_392f,
];

/// Durations in buckets of 9 %: bucket `i` holds those from 2^(i/8) up to 2^((i+1)/8) nanoseconds, the upper end apart; 0 ns is
/// in bucket 0. Merging adds, so it is commutative and associative and any order gives the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    count: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
    /// Bucket and how many are in it, ascending, none empty. At most 512, in practice a dozen or two.
    buckets: Vec<(u16, u64)>,
}

impl Latency {
    /// Adds a duration.
    pub fn add(&mut self, nanos: u64) {
        self.min_ns = if self.count == 0 { nanos } else { self.min_ns.min(nanos) };
        self.max_ns = self.max_ns.max(nanos);
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(nanos);
        self.add_to(bucket(nanos), 1);
    }

    /// Adds what another has measured.
    pub fn merge(&mut self, other: &Latency) {
        if other.count == 0 {
            return;
        }
        self.min_ns = if self.count == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        for &(bucket, count) in &other.buckets {
            self.add_to(bucket, count);
        }
    }

    fn add_to(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(other, _)| *other) {
            Ok(place) => {
                if let Some((_, held)) = self.buckets.get_mut(place) {
                    *held = held.saturating_add(count);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// A histogram again from its parts; `None` if those never were one.
    pub fn restored(sum_ns: u64, (min_ns, max_ns): (u64, u64), buckets: Vec<(u16, u64)>) -> Option<Latency> {
        let ascending = buckets.is_sorted_by(|(a, _), (b, _)| a < b);
        let fits = |&(bucket, count): &(u16, u64)| bucket < 64 * PER_OCTAVE && count > 0;
        if !ascending || !buckets.iter().all(fits) || min_ns > max_ns {
            return None;
        }
        let count = buckets.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        Some(Latency { count, sum_ns, min_ns, max_ns, buckets })
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The least and the greatest, nanoseconds; zeros while there are none.
    pub fn range_ns(&self) -> (u64, u64) {
        (self.min_ns, self.max_ns)
    }

    /// Bucket and how many are in it, ascending.
    pub fn buckets(&self) -> &[(u16, u64)] {
        &self.buckets
    }

    /// What `percent` of a hundred do not exceed, nanoseconds: at most 9 % too high, and never above the greatest. `None` while
    /// there are none.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (u128::from(self.count) * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        for &(bucket, count) in &self.buckets {
            below += u128::from(count);
            if below >= rank {
                return Some(end(bucket).clamp(self.min_ns, self.max_ns));
            }
        }
        None
    }
}

/// The bucket of a duration.
fn bucket(nanos: u64) -> u16 {
    let nanos = nanos.max(1);
    let zeros = nanos.leading_zeros();
    let normal = nanos << zeros;
    let part = STARTS.iter().filter(|start| normal >= **start).count();
    (63 - zeros) as u16 * PER_OCTAVE + part as u16
}

/// The last nanosecond of a bucket.
fn end(bucket: u16) -> u64 {
    let next = bucket.saturating_add(1);
    let (octave, part) = (u32::from(next / PER_OCTAVE), usize::from(next % PER_OCTAVE));
    if octave > 63 {
        return u64::MAX;
    }
    let start = part.checked_sub(1).and_then(|part| STARTS.get(part)).copied().unwrap_or(1 << 63);
    // Rounded up: the first whole nanosecond of the next one.
    let shift = 63 - octave;
    let first = (start >> shift) + u64::from(start & ((1 << shift) - 1) != 0);
    first.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn buckets_are_those_of_the_exponential_histogram() {
        for nanos in (0..64).map(|bits| 1_u64 << bits).chain((0..2_000).map(|n| n * n * 7_919 + 3)) {
            let expected = ((nanos as f64).log2() * 8.0).floor();
            assert!((f64::from(bucket(nanos)) - expected).abs() < 0.5, "{nanos}: {} {expected}", bucket(nanos));
            assert!(end(bucket(nanos)) >= nanos);
        }
        assert_eq!((bucket(0), bucket(1), bucket(u64::MAX), end(511)), (0, 0, 511, u64::MAX));
        for number in 200..511 {
            assert_eq!((bucket(end(number)), bucket(end(number) + 1)), (number, number + 1));
        }
    }

    #[test]
    fn percentiles_are_at_most_nine_percent_too_high() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        (1..=10_000_u64).rev().for_each(|n| latency.add(n * 1_000));
        for (percent, exact) in [(50, 5_000_000_u64), (95, 9_500_000), (99, 9_900_000), (100, 10_000_000)] {
            let found = latency.percentile(percent).unwrap();
            assert!(found >= exact && found as f64 <= exact as f64 * 1.091, "{percent}: {found}");
        }
        assert_eq!((latency.count(), latency.sum_ns()), (10_000, 50_005_000_000));
        assert_eq!(latency.range_ns(), (1_000, 10_000_000));
    }

    #[test]
    fn merging_adds_in_any_order() {
        let (mut all, mut odd, mut even) = (Latency::default(), Latency::default(), Latency::default());
        for n in 0..5_000_u64 {
            all.add(n * n);
            if n % 2 == 1 { odd.add(n * n) } else { even.add(n * n) }
        }
        let mut other = even.clone();
        other.merge(&odd);
        odd.merge(&even);
        odd.merge(&Latency::default());
        assert_eq!((&odd, &other), (&all, &all));
        let back = Latency::restored(all.sum_ns(), all.range_ns(), all.buckets().to_vec());
        assert_eq!(back, Some(all));
        assert_eq!(Latency::restored(0, (0, 0), vec![(3, 1), (2, 1)]), None);
        assert_eq!(Latency::restored(0, (0, 0), vec![(512, 1)]), None);
    }
}
