//! Short byte strings compared and spread without a call: names and values of header fields, paths.

/// `a == b`, quick for up to 32 bytes: two loads each, which may overlap, instead of a call of `memcmp`.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0..=3 => a.iter().zip(b).fold(true, |same, (a, b)| same & (a == b)),
        4..=7 => same_ends::<4>(a, b),
        8..=16 => same_ends::<8>(a, b),
        17..=32 => same_ends::<16>(a, b),
        _ => a == b,
    }
}

#[inline]
fn same_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    (a.first_chunk::<N>() == b.first_chunk::<N>()) & (a.last_chunk::<N>() == b.last_chunk::<N>())
}

/// A number for choosing one of 2^`bits` slots of a memory whose entries are compared whole: equal bytes give equal numbers, others
/// mostly different ones. Looks at the ends and the middle only; whoever makes collisions gets what he would without a memory.
#[inline]
pub(crate) fn slot(bytes: &[u8], bits: u32) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let ends = match bytes.len() {
        0..=7 => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        len => {
            let middle = bytes.get((len - 8) / 2..).unwrap_or_default();
            let mixed = word(bytes.first_chunk()) ^ word(bytes.last_chunk()).rotate_left(23);
            mixed.wrapping_mul(MULTIPLIER) ^ word(middle.first_chunk()).rotate_left(41)
        }
    };
    let mixed = (ends ^ bytes.len() as u64).wrapping_mul(MULTIPLIER);
    ((mixed ^ mixed >> 29).wrapping_mul(MULTIPLIER) >> (64 - bits.clamp(1, 32))) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_equality() {
        for len in 0..40 {
            let a: Vec<u8> = (0..len).collect();
            assert!(same(&a, &a.clone()));
            assert!(!same(&a, &[a.clone(), vec![0]].concat()));
            for at in 0..a.len() {
                let mut b = a.clone();
                b[at] ^= 0x40;
                assert!(!same(&a, &b), "{len} {at}");
            }
        }
    }

    #[test]
    fn slots_are_spread() {
        for text in ["", "user-", "/api/v1/orders/", "Mozilla/5.0 (X11; Linux x86_64; rv:"] {
            let mut used = [0u32; 256];
            for n in 0..1024 {
                used[slot(format!("{text}{n}").as_bytes(), 8)] += 1;
                assert_eq!(slot(text.as_bytes(), 8), slot(text.as_bytes(), 8));
            }
            assert!(used.iter().all(|count| *count < 24), "{text}: {used:?}");
        }
    }
}
