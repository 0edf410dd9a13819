//! Keyed hashes of values: SipHash-1-3 (Aumasson and Bernstein 2012), the same on every machine and in every version.

use sha2::{Digest as _, Sha256};

/// 128 secret bits under which values are hashed. One key for a fleet, so that states of different sensors merge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueKey([u64; 2]);

impl std::fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValueKey(..)")
    }
}

impl ValueKey {
    /// From 128 secret bits.
    pub const fn new(key: [u64; 2]) -> Self {
        ValueKey(key)
    }

    pub(crate) const fn words(&self) -> [u64; 2] {
        self.0
    }

    /// From the fleet key: nothing of it can be learnt from this one.
    pub fn derive(fleet_key: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"umbra schema values").chain_update(fleet_key).finalize();
        let (words, _) = digest.as_slice().as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        ValueKey([word(0), word(1)])
    }

    /// SipHash-1-3.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let [k0, k1] = self.0;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let mut take = |word: u64| {
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        };
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            take(u64::from_le_bytes(*word));
        }
        take(little_endian(bytes, tail) | (bytes.len() as u64) << 56);
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

/// The number that fewer than eight bytes at the end of `bytes` are, the first one lowest.
fn little_endian(bytes: &[u8], tail: &[u8]) -> u64 {
    // The last eight bytes at once, those before the tail shifted out.
    if let (Some(last), 1..) = (bytes.last_chunk::<8>(), tail.len()) {
        return u64::from_le_bytes(*last) >> (64 - 8 * (tail.len() & 7));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    u64::from_le_bytes(last)
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    let [a, b, c, d] = v;
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(deprecated)]
    fn it_is_siphash() {
        // The standard library's deprecated hasher is SipHash-2-4; its default one is SipHash-1-3 with a zero key.
        use std::hash::Hasher as _;
        for len in 0..40_u8 {
            let bytes: Vec<u8> = (0..len).collect();
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            hasher.write(&bytes);
            assert_eq!(ValueKey::new([0, 0]).hash(&bytes), hasher.finish(), "{len} bytes");
        }
        assert_ne!(ValueKey::new([1, 0]).hash(b"x"), ValueKey::new([0, 1]).hash(b"x"));
    }
}
