//! Keyed hashes: equal secrets stay recognisable as equal, and nothing else can be learnt from them without the key.
//!
//! SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012) under keys that HMAC-SHA-256 (RFC 2104) derives from the
//! fleet key, one for each role. What is asked of the hash is that of a pseudorandom function: whoever sees records, or even
//! chooses credentials and sees their hashes, can neither test guesses nor link roles without the key. That is what SipHash is
//! made and analysed for; no attack on it is known that beats guessing its 128 bits of key. Collisions among n credentials have
//! the chance n²/2^129. It costs a twentieth of HMAC-SHA-256 in software and a fifth of it where the processor has SHA instructions,
//! so that every credential can be hashed anew and none has to be remembered.

use std::fmt;

use sha2::{Digest, Sha256};

const BLOCK_BYTES: usize = 64;

/// The keys that stand behind every hash in a record.
///
/// One fleet key for the whole fleet, so that records of different sensors join; whoever holds it can test guesses, so it is
/// never written anywhere.
#[derive(Clone)]
pub struct FleetKey {
    value: SipKey,
    principal: SipKey,
    fingerprint: [u8; 8],
}

/// What a hash is of: the same bytes in two roles do not hash alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A redacted value.
    Value,
    /// A credential that stands for a principal.
    Principal,
}

impl FleetKey {
    /// From 256 secret bits.
    pub fn new(key: &[u8; 32]) -> FleetKey {
        FleetKey {
            value: SipKey::derived(key, b"umbra 1 redacted value"),
            principal: SipKey::derived(key, b"umbra 1 principal"),
            fingerprint: hmac(key, b"umbra 1 fingerprint").first_chunk().copied().unwrap_or_default(),
        }
    }

    /// Says whether two keys are the same, and nothing else of them: what was hashed under different ones cannot be joined.
    pub fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// The hash of bytes in a role.
    pub(crate) fn hash128(&self, role: Role, bytes: &[u8]) -> [u8; 16] {
        match role {
            Role::Value => self.value.hash128(bytes),
            Role::Principal => self.principal.hash128(bytes),
        }
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey(..)")
    }
}

/// HMAC-SHA-256 of a label.
fn hmac(key: &[u8; 32], label: &[u8]) -> [u8; 32] {
    let mut inner = [0x36; BLOCK_BYTES];
    let mut outer = [0x5c; BLOCK_BYTES];
    for ((i, o), k) in inner.iter_mut().zip(&mut outer).zip(key) {
        *i ^= k;
        *o ^= k;
    }
    let inner = Sha256::new_with_prefix(inner).chain_update(label).finalize();
    Sha256::new_with_prefix(outer).chain_update(inner).finalize().into()
}

/// The two words of a SipHash key.
#[derive(Clone, Copy)]
struct SipKey(u64, u64);

impl SipKey {
    fn derived(key: &[u8; 32], label: &[u8]) -> SipKey {
        let digest = hmac(key, label);
        let (words, _) = digest.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        SipKey(word(0), word(1))
    }

    fn hash128(self, bytes: &[u8]) -> [u8; 16] {
        let SipKey(k0, k1) = self;
        // The constants are the paper's; 0xee and 0xdd those of its form with 128 bits of output.
        let mut state = State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let tail = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        state.absorb((bytes.len() as u64) << 56 | tail);
        state.v2 ^= 0xee;
        let low = state.finish();
        state.v1 ^= 0xdd;
        let high = state.finish();
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    fn finish(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231 has no 32-byte key; its case 1 (20 bytes of 0b) with zeros behind is the same key block.
    #[test]
    fn rfc4231_case_1() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(hex(&hmac(&key, b"Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    /// Key and texts of the authors' test vectors: bytes 0, 1, 2 and so on; checked with `openssl mac … SIPHASH`.
    #[test]
    fn siphash_2_4_of_the_authors() {
        let text: [u8; 16] = std::array::from_fn(|at| at as u8);
        let key = SipKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        for (len, expected) in [
            (0, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (2, "8177228da4a45dc7fca38bdef60affe4"),
            (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        ] {
            assert_eq!(hex(&key.hash128(&text[..len])), expected);
        }
    }

    #[test]
    fn key_is_not_printed() {
        assert_eq!(format!("{:?}", FleetKey::new(&[7; 32])), "FleetKey(..)");
    }

    #[test]
    fn roles_and_keys_differ() {
        let key = FleetKey::new(&[1; 32]);
        assert_ne!(key.hash128(Role::Value, b"x"), key.hash128(Role::Principal, b"x"));
        assert_ne!(key.hash128(Role::Value, b"x"), FleetKey::new(&[2; 32]).hash128(Role::Value, b"x"));
    }
}
