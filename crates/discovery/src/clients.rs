//! How many distinct clients: a bounded, mergeable sketch.

use crate::room::make_room;

/// Hashes kept: exact up to here, then registers, which take no more memory than these.
const FEW: usize = 1024;

/// Bits of a hash that choose a register: 8192 registers, a standard error of 1.04/√8192, 1.15 %, in 8 KiB.
const PRECISION: u32 = 13;
const REGISTERS: usize = 1 << PRECISION;

/// Bits of a hash that a rank is read off.
const RANK_BITS: u32 = u64::BITS - PRECISION;

/// Digits of registers as text: a rank is at most 52.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Distinct clients by the 64-bit keyed hashes of their identities: the hashes themselves while they are few, then HyperLogLog
/// (Flajolet et al. 2007) with the estimator of Ertl (2017, "New cardinality estimation algorithms for HyperLogLog sketches").
///
/// Merging is set union, so it is commutative, associative and idempotent, and neither the sketch nor its estimate depends on
/// the order of arrival or on who saw what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients(Kept);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// Ascending, no repeats, at most [`FEW`].
    Hashes(Vec<u64>),
    /// The largest rank of each register.
    Registers(Box<[u8]>),
}

impl Default for Clients {
    fn default() -> Self {
        Clients(Kept::Hashes(Vec::new()))
    }
}

impl Clients {
    /// Adds a client by the keyed hash of its identity.
    pub fn insert(&mut self, hash: u64) {
        match &mut self.0 {
            Kept::Registers(registers) => raise(registers, hash),
            Kept::Hashes(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                if hashes.len() < FEW {
                    make_room(hashes);
                    hashes.insert(place, hash);
                    return;
                }
                let mut registers = vec![0; REGISTERS].into_boxed_slice();
                hashes.iter().for_each(|&hash| raise(&mut registers, hash));
                raise(&mut registers, hash);
                self.0 = Kept::Registers(registers);
            }
        }
    }

    /// Adds all clients of another sketch.
    pub fn merge(&mut self, other: &Clients) {
        match (&mut self.0, &other.0) {
            (_, Kept::Hashes(theirs)) => theirs.iter().for_each(|&hash| self.insert(hash)),
            (Kept::Registers(ours), Kept::Registers(theirs)) => {
                ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
            }
            (Kept::Hashes(ours), Kept::Registers(theirs)) => {
                let mut registers = theirs.clone();
                ours.iter().for_each(|&hash| raise(&mut registers, hash));
                self.0 = Kept::Registers(registers);
            }
        }
    }

    /// The hashes, ascending, while they are few.
    pub fn hashes(&self) -> &[u64] {
        match &self.0 {
            Kept::Hashes(hashes) => hashes,
            Kept::Registers(_) => &[],
        }
    }

    /// The registers as text, a digit to the base 62 (`0-9A-Za-z`) for each of 8192; `None` while there are few.
    pub fn registers(&self) -> Option<String> {
        match &self.0 {
            Kept::Hashes(_) => None,
            Kept::Registers(registers) => Some(
                registers.iter().map(|&rank| char::from(*DIGITS.get(usize::from(rank)).unwrap_or(&b'z'))).collect(),
            ),
        }
    }

    /// A sketch again from [`hashes`](Self::hashes) and [`registers`](Self::registers); `None` if those never were any.
    pub fn restored(hashes: &[u64], registers: Option<&str>) -> Option<Clients> {
        let mut clients = Clients::default();
        if let Some(text) = registers {
            let rank = |digit: u8| DIGITS.iter().position(|&other| other == digit).map(|rank| rank as u8);
            let ranks: Vec<u8> = text.bytes().map(rank).collect::<Option<_>>()?;
            if ranks.len() != REGISTERS || ranks.iter().any(|&rank| u32::from(rank) > RANK_BITS + 1) {
                return None;
            }
            clients.0 = Kept::Registers(ranks.into());
        }
        hashes.iter().for_each(|&hash| clients.insert(hash));
        Some(clients)
    }

    /// How many: exact up to 1024, an estimate from there on.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Kept::Hashes(hashes) => hashes.len() as u64,
            Kept::Registers(registers) => estimate(registers),
        }
    }
}

/// Notes a hash in its register.
fn raise(registers: &mut [u8], hash: u64) {
    // The bit behind the end stops the count at 52.
    let rank = (hash << PRECISION | 1 << (PRECISION - 1)).leading_zeros() + 1;
    if let Some(register) = registers.get_mut((hash >> RANK_BITS) as usize) {
        *register = (*register).max(rank as u8);
    }
}

/// Algorithm 6 of Ertl: no bias at any size, no table.
fn estimate(registers: &[u8]) -> u64 {
    let mut counts = [0_u32; RANK_BITS as usize + 2];
    for &rank in registers {
        if let Some(count) = counts.get_mut(usize::from(rank)) {
            *count += 1;
        }
    }
    let m = REGISTERS as f64;
    let [zeros, middle @ .., full] = counts;
    let mut z = m * tau(1.0 - f64::from(full) / m);
    for &count in middle.iter().rev() {
        z = 0.5 * (z + f64::from(count));
    }
    z += m * sigma(f64::from(zeros) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hash(n: u64) -> u64 {
        // SplitMix64: spreads small numbers over all 64 bits.
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of(numbers: impl IntoIterator<Item = u64>) -> Clients {
        let mut clients = Clients::default();
        numbers.into_iter().for_each(|n| clients.insert(hash(n)));
        clients
    }

    #[test]
    fn exact_while_few_and_close_when_many() {
        assert_eq!(of((0..1024).chain(0..1024)).count(), 1024);
        for many in [1_025_u64, 3_000, 10_000, 100_000, 1_000_000] {
            let error = (of(0..many).count() as f64 / many as f64 - 1.0).abs();
            assert!(error < 0.035, "estimate of {many} is off by {error}");
        }
    }

    /// Three standard errors of the mean of 64 estimates: a biased estimator would show.
    #[test]
    fn estimates_have_no_bias() {
        for many in [1_100_u64, 6_000, 20_000] {
            let sum: f64 = (0..64).map(|run| of((0..many).map(|n| run << 40 | n)).count() as f64).sum();
            let bias = sum / 64.0 / many as f64 - 1.0;
            assert!(bias.abs() < 3.0 * 0.0115 / 8.0, "{many}: {bias}");
        }
    }

    #[test]
    fn merging_is_union_in_any_order() {
        for (low, high) in [(100, 80), (1_200, 80), (100, 900), (1_200, 2_000)] {
            let all = of(0..low.max(high) + 800);
            let (low, high) = (of(0..low), of(80..low.max(high) + 800));
            let mut one = low.clone();
            one.merge(&high);
            one.merge(&high);
            let mut other = high;
            other.merge(&low);
            assert_eq!(one, all);
            assert_eq!(other, all);
        }
    }

    #[test]
    fn a_sketch_comes_back_as_it_was() {
        for clients in [of(0..0), of(0..1024), of(0..1025), of(0..50_000)] {
            let back = Clients::restored(clients.hashes(), clients.registers().as_deref()).unwrap();
            assert_eq!(back, clients);
        }
        let digits = of(0..50_000).registers().unwrap();
        for wrong in ["", &digits[1..], &digits.replace('1', "-"), &digits.replace('1', "z")] {
            assert_eq!(Clients::restored(&[], Some(wrong)), None);
        }
    }
}
