//! Keyed hashes: equal secrets stay recognisable as equal, and nothing else can be learnt from them without the key.

use std::fmt;

use sha2::{Digest, Sha256};

const BLOCK_BYTES: usize = 64;

/// HMAC-SHA-256 (RFC 2104) under the fleet key, its two key blocks absorbed once.
///
/// One key for the whole fleet, so that records of different sensors join; whoever holds it can test guesses, so it is
/// never written anywhere.
#[derive(Clone)]
pub struct FleetKey {
    inner: Sha256,
    outer: Sha256,
}

/// What a hash is of: the same bytes in two roles do not hash alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// A redacted value.
    Value = 1,
    /// A credential that stands for a principal.
    Principal = 2,
}

impl FleetKey {
    /// From 256 secret bits.
    pub fn new(key: &[u8; 32]) -> FleetKey {
        let mut inner = [0x36; BLOCK_BYTES];
        let mut outer = [0x5c; BLOCK_BYTES];
        for ((i, o), k) in inner.iter_mut().zip(&mut outer).zip(key) {
            *i ^= k;
            *o ^= k;
        }
        FleetKey { inner: Sha256::new_with_prefix(inner), outer: Sha256::new_with_prefix(outer) }
    }

    fn hmac(&self, parts: [&[u8]; 2]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// First 128 bits of the HMAC of role and bytes.
    pub(crate) fn hash128(&self, role: Role, bytes: &[u8]) -> [u8; 16] {
        let digest = self.hmac([&[role as u8], bytes]);
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(digest) {
            *to = from;
        }
        first
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 has no 32-byte key; its case 1 (20 bytes of 0b) with zeros behind is the same key block.
    #[test]
    fn rfc4231_case_1() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let digest = FleetKey::new(&key).hmac([b"Hi ", b"There"]);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn key_is_not_printed() {
        assert_eq!(format!("{:?}", FleetKey::new(&[7; 32])), "FleetKey(..)");
    }

    #[test]
    fn roles_differ() {
        let key = FleetKey::new(&[1; 32]);
        assert_ne!(key.hash128(Role::Value, b"x"), key.hash128(Role::Principal, b"x"));
    }
}
