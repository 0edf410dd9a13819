//! Who talks to whom.

use std::net::IpAddr;

use umbra_wire::SegmentHeader;

/// Which way bytes go. The table's guess until a parser knows better (see `umbra_http::Connection::roles_swapped`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client (who opened the connection) to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other direction.
    pub const fn opposite(self) -> Direction {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }

    /// 0 for `ToServer`, 1 for `ToClient`: for arrays with one element a direction.
    pub const fn index(self) -> usize {
        match self {
            Direction::ToServer => 0,
            Direction::ToClient => 1,
        }
    }
}

/// The order-free 5-tuple (the protocol is always TCP): both directions of a connection have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower (address, port) pair.
    pub low: (IpAddr, u16),
    /// The higher (address, port) pair.
    pub high: (IpAddr, u16),
    /// Outermost VLAN id plus one, or 0: none, or VLANs are not part of the key.
    pub vlan: u16,
    /// Tunnel identity, 0 without.
    pub tunnel: u32,
}

/// A [`FlowKey`] in plain words: quick to compare and to hash.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct PackedKey {
    low: [u64; 2],
    high: [u64; 2],
    /// low port, high port, tunnel.
    ports_tunnel: u64,
    /// VLAN, and whether the low and high addresses are IPv6.
    vlan_family: u64,
}

const LOW_IS_V6: u64 = 1 << 16;
const HIGH_IS_V6: u64 = 1 << 17;

impl PartialEq for PackedKey {
    /// Without a branch for each word: what is compared is nearly always the same.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let [a, b] = [self.low[0] ^ other.low[0], self.low[1] ^ other.low[1]];
        let [c, d] = [self.high[0] ^ other.high[0], self.high[1] ^ other.high[1]];
        a | b | c | d | (self.ports_tunnel ^ other.ports_tunnel) | (self.vlan_family ^ other.vlan_family) == 0
    }
}

impl PackedKey {
    /// The key of a segment, and whether its sender is the low end.
    #[inline]
    pub(crate) fn of(header: &SegmentHeader, vlan_in_key: bool) -> (PackedKey, bool) {
        let vlan = match header.vlan.as_slice().first() {
            Some(id) if vlan_in_key => u64::from(*id) + 1,
            _ => 0,
        };
        if let (IpAddr::V4(src), IpAddr::V4(dst)) = (header.src, header.dst) {
            let src = u64::from(src.to_bits()) << 16 | u64::from(header.src_port);
            let dst = u64::from(dst.to_bits()) << 16 | u64::from(header.dst_port);
            let (low, high) = (src.min(dst), src.max(dst));
            let key = PackedKey {
                low: [0, low >> 16],
                high: [0, high >> 16],
                ports_tunnel: low << 48 | (high & 0xffff) << 32 | u64::from(header.tunnel),
                vlan_family: vlan,
            };
            return (key, src <= dst);
        }
        PackedKey::of_any(header, vlan)
    }

    #[inline(never)]
    fn of_any(header: &SegmentHeader, vlan: u64) -> (PackedKey, bool) {
        let (src, src_v6) = pack(header.src);
        let (dst, dst_v6) = pack(header.dst);
        let src_is_low = (src_v6, src, header.src_port) <= (dst_v6, dst, header.dst_port);
        let (low, low_v6, low_port, high, high_v6, high_port) = if src_is_low {
            (src, src_v6, header.src_port, dst, dst_v6, header.dst_port)
        } else {
            (dst, dst_v6, header.dst_port, src, src_v6, header.src_port)
        };
        let key = PackedKey {
            low,
            high,
            ports_tunnel: u64::from(low_port) << 48 | u64::from(high_port) << 32 | u64::from(header.tunnel),
            vlan_family: vlan | if low_v6 { LOW_IS_V6 } else { 0 } | if high_v6 { HIGH_IS_V6 } else { 0 },
        };
        (key, src_is_low)
    }

    /// Address and port of one end.
    pub(crate) fn end(&self, low: bool) -> (IpAddr, u16) {
        if low {
            (unpack(self.low, self.vlan_family & LOW_IS_V6 != 0), (self.ports_tunnel >> 48) as u16)
        } else {
            (unpack(self.high, self.vlan_family & HIGH_IS_V6 != 0), (self.ports_tunnel >> 32) as u16)
        }
    }

    pub(crate) fn unpack(&self) -> FlowKey {
        FlowKey {
            low: self.end(true),
            high: self.end(false),
            vlan: self.vlan_family as u16,
            tunnel: self.ports_tunnel as u32,
        }
    }

    /// Keyed hash (F018).
    #[inline]
    pub(crate) fn hash(&self, seeds: &Seeds) -> u64 {
        let Seeds([a, b, c, d]) = *seeds;
        let hash = if self.vlan_family & (LOW_IS_V6 | HIGH_IS_V6) == 0 {
            // Both addresses are IPv4: two words hold all there is.
            fold(a ^ (self.low[1] << 32 | self.high[1]), b ^ self.ports_tunnel)
        } else {
            let low = fold(a ^ self.low[0], b ^ self.low[1]);
            let high = fold(c ^ self.high[0], d ^ self.high[1]);
            fold(low.rotate_left(32) ^ high ^ c, b ^ self.ports_tunnel)
        };
        fold(hash ^ c, d ^ self.vlan_family)
    }
}

/// Keys of the hash of the table: a sender who does not know them cannot choose tuples that collide, and nothing that the
/// hash decides can be seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds([u64; 4]);

impl Seeds {
    pub(crate) const fn new([a, b, c, d]: [u64; 4]) -> Seeds {
        // Digits of pi: a configured 0 must not make a multiplication by 0 of equal words.
        Seeds([a ^ 0x452821e6_38d01377, b ^ 0xbe5466cf_34e90c6c, c ^ 0xc0ac29b7_c97c50dd, d ^ 0x3f84d5b5_b5470917])
    }
}

/// Both halves of the product of two keyed words: every bit of one meets every bit of the other, in one multiplication
/// (as wyhash and foldhash do it).
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    product as u64 ^ (product >> 64) as u64
}

fn pack(address: IpAddr) -> ([u64; 2], bool) {
    match address {
        IpAddr::V4(v4) => ([0, u64::from(v4.to_bits())], false),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            ([(bits >> 64) as u64, bits as u64], true)
        }
    }
}

fn unpack(words: [u64; 2], v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6((u128::from(words[0]) << 64 | u128::from(words[1])).into())
    } else {
        IpAddr::V4((words[1] as u32).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: u32, port: u16, vlan: u64) -> PackedKey {
        let ports_tunnel = u64::from(port) << 48 | 80 << 32;
        PackedKey { low: [0, u64::from(client)], high: [0, 0x0a00_0001], ports_tunnel, vlan_family: vlan }
    }

    #[test]
    fn f018_neighbouring_tuples_spread_over_the_table() {
        let seeds = Seeds::new([1, 2, 3, 4]);
        let mut buckets = [0u32; 1024];
        let mut tags = [0u32; 128];
        let mut hashes = Vec::new();
        for client in 0..64 {
            for port in 0..1024 {
                let hash = key(0x0a00_0100 + client, 40_000 + port, 0).hash(&seeds);
                buckets[hash as usize % 1024] += 1;
                tags[(hash >> 57) as usize] += 1;
                hashes.push(hash);
            }
        }
        // 64 and 512 a bucket on average; a sixth and a tenth standard deviations apart would do for chance.
        assert!(buckets.iter().all(|count| (24..=112).contains(count)), "{buckets:?}");
        assert!(tags.iter().all(|count| (400..=640).contains(count)), "{tags:?}");
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 64 * 1024);
    }

    /// Keys that share a home group of eight slots, for each key: what a lookup has to pass, 99th percentile.
    fn crowd(keys: &[PackedKey], seeds: &Seeds) -> usize {
        let groups = (keys.len() / 4).next_power_of_two();
        let home = |key: &PackedKey| key.hash(seeds) as usize % groups;
        let mut load = vec![0usize; groups];
        keys.iter().for_each(|key| load[home(key)] += 1);
        let mut all: Vec<usize> = keys.iter().map(|key| load[home(key)]).collect();
        all.sort_unstable();
        all[all.len() * 99 / 100]
    }

    #[test]
    fn f018_chosen_tuples_crowd_no_more_than_random_ones() {
        const COUNT: usize = 16_384;
        let (known, fresh) = (Seeds::new([1, 2, 3, 4]), Seeds::new([0x5eed, 6, 7, 8]));
        let every = (0u32..).flat_map(|client| (0..=u16::MAX).map(move |port| key(0x0a00_0000 + client, port, 0)));
        // Chosen by one who knows a key: all of them in one group of 512.
        let chosen: Vec<_> = every.filter(|key| key.hash(&known).is_multiple_of(512)).take(COUNT).collect();
        let line: Vec<_> = (0..COUNT as u32).map(|n| key(0x0a00_0000 + n / 64, (n % 64) as u16, 0)).collect();
        // Sum and exclusive or of address and port stay the same.
        let sums: Vec<_> = (0..COUNT as u32).map(|n| key(0x0a00_0000 + n, u16::MAX - n as u16, 0)).collect();
        let xors: Vec<_> = (0..COUNT as u32).map(|n| key(0x0a00_0000 | n, n as u16, 0)).collect();
        let far: Vec<_> = (0..COUNT as u32).map(|n| key(n << 16, 0, u64::from(n) >> 4)).collect();
        // A stride without pattern.
        let random: Vec<_> =
            (1..=COUNT as u32).map(|n| n.wrapping_mul(0x9e37_79b1)).map(|n| key(n, (n >> 7) as u16, 0)).collect();
        let usual = crowd(&random, &fresh);
        for (name, keys) in [("chosen", &chosen), ("line", &line), ("sums", &sums), ("xors", &xors), ("far", &far)] {
            let crowded = crowd(keys, &fresh);
            assert!(crowded <= 3 * usual, "{name}: {crowded} beside {usual}");
        }
        assert!(crowd(&chosen, &known) > 30 * usual, "the measure tells a crowd");
    }

    #[test]
    fn f018_every_bit_of_the_key_and_every_seed_counts() {
        let base = key(0x0a00_0001, 40_000, 0);
        let v6 = PackedKey { low: [1, 2], high: [3, 4], vlan_family: LOW_IS_V6 | HIGH_IS_V6, ..base };
        for key in [base, v6] {
            let hash = key.hash(&Seeds::new([0; 4]));
            for bit in 0..32 {
                let flip = 1u64 << bit;
                let others = [
                    PackedKey { low: [key.low[0], key.low[1] ^ flip], ..key },
                    PackedKey { high: [key.high[0], key.high[1] ^ flip], ..key },
                    PackedKey { ports_tunnel: key.ports_tunnel ^ flip << 32, ..key },
                    PackedKey { ports_tunnel: key.ports_tunnel ^ flip, ..key },
                    PackedKey { vlan_family: key.vlan_family ^ 1 << (bit % 16), ..key },
                ];
                for other in others {
                    let differing = (hash ^ other.hash(&Seeds::new([0; 4]))).count_ones();
                    assert!((10..=54).contains(&differing), "{key:?} {other:?} {differing}");
                    assert_ne!(key, other);
                }
            }
            for seed in 0..4 {
                let mut seeds = [0; 4];
                seeds[seed] = 1;
                assert_ne!(hash, key.hash(&Seeds::new(seeds)));
            }
        }
    }
}
