//! Numbers of records, compared so that the end of 64 bits is no end.

use std::fmt;

/// The number of a record within its class, one more than that of the record before.
///
/// Order is serial (RFC 1982): of two numbers that are less than 2^63 apart, the later one is that which the shorter way
/// up leads to. A spool holds far fewer records than that, so the step from `u64::MAX` to 0 is one like any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    pub(crate) fn next(self) -> Sequence {
        Sequence(self.0.wrapping_add(1))
    }

    pub(crate) fn previous(self) -> Sequence {
        Sequence(self.0.wrapping_sub(1))
    }

    /// Whether this record came before the other.
    pub fn is_before(self, other: Sequence) -> bool {
        other.0.wrapping_sub(self.0).wrapping_sub(1) < i64::MAX as u64
    }

    /// Steps up to `later`; 0 if that is not later.
    pub fn steps_to(self, later: Sequence) -> u64 {
        if self.is_before(later) { later.0.wrapping_sub(self.0) } else { 0 }
    }

    pub(crate) fn later_of(self, other: Sequence) -> Sequence {
        if self.is_before(other) { other } else { self }
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Sorts by age numbers that lie on less than half the circle: the oldest is that behind the widest gap.
pub(crate) fn sort_by_age<T>(items: &mut [T], sequence: impl Fn(&T) -> Sequence) {
    items.sort_by_key(|item| sequence(item).0);
    let gap_before = |index: usize| {
        let before = items.get(index.checked_sub(1).unwrap_or(items.len().saturating_sub(1)));
        match (before, items.get(index)) {
            (Some(before), Some(item)) => sequence(item).0.wrapping_sub(sequence(before).0),
            _ => 0,
        }
    };
    // Of equal gaps the first: the gap before index 0 goes over the end of the numbers.
    if let Some(oldest) = (0..items.len()).max_by_key(|index| (gap_before(*index), std::cmp::Reverse(*index))) {
        items.rotate_left(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_serial() {
        assert!(Sequence(1).is_before(Sequence(2)));
        assert!(!Sequence(2).is_before(Sequence(2)));
        assert!(!Sequence(3).is_before(Sequence(2)));
        assert!(Sequence(u64::MAX).is_before(Sequence(0)));
        assert!(!Sequence(0).is_before(Sequence(u64::MAX)));
        assert_eq!(Sequence(u64::MAX - 1).steps_to(Sequence(3)), 5);
        assert_eq!(Sequence(3).steps_to(Sequence(3)), 0);
        assert_eq!(Sequence(u64::MAX).later_of(Sequence(4)), Sequence(4));
    }

    #[test]
    fn age_is_sorted_over_the_end_of_the_numbers() {
        let sorted = |mut numbers: Vec<u64>| {
            sort_by_age(&mut numbers, |number| Sequence(*number));
            numbers
        };
        assert_eq!(sorted(vec![]), []);
        assert_eq!(sorted(vec![9]), [9]);
        assert_eq!(sorted(vec![30, 10, 20]), [10, 20, 30]);
        assert_eq!(sorted(vec![5, u64::MAX - 7, 1, u64::MAX]), [u64::MAX - 7, u64::MAX, 1, 5]);
    }
}
