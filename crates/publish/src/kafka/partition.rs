//! Which partition a key belongs to: as Java's default partitioner does.

use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::producer::Partitioner;

/// Records without a key that go to one partition before the next has its turn: a batch holds more of them then.
const KEYLESS_RUN: u32 = 256;

/// The partition of a key among `partitions`: murmur2, the sign bit cleared. Of a sensor row (`host|endpoint_id|sensor|…`) only
/// what stands before the first `|` counts, so that all rows of a service meet.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    let end = key.iter().position(|byte| *byte == b'|').unwrap_or(key.len());
    (murmur2(key.get(..end).unwrap_or(key)) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
}

/// MurmurHash2 with Kafka's seed.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The same for the producer; records without a key take turns.
#[derive(Debug, Default)]
pub(super) struct ByKey {
    keyless: AtomicU32,
}

impl Partitioner for ByKey {
    fn partition(&self, _: &str, key: Option<&[u8]>, partitions: i32, _: impl Fn(i32) -> bool) -> i32 {
        let partitions = u32::try_from(partitions).unwrap_or(1).max(1);
        let partition = match key {
            Some(key) if !key.is_empty() => partition_of(key, partitions),
            _ => (self.keyless.fetch_add(1, Ordering::Relaxed) / KEYLESS_RUN) % partitions,
        };
        i32::try_from(partition).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        // From Kafka's own test of Utils.murmur2.
        let expected: [(&[u8], i32); 6] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
        ];
        for (bytes, hash) in expected {
            assert_eq!(murmur2(bytes) as i32, hash, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn rows_of_a_service_lie_together() {
        let row = |rest: &str| partition_of(format!("api.example:8080|{rest}").as_bytes(), 12);
        assert_eq!(row("0123456789abcdef0123456789abcdef|sensor 1|7"), partition_of(b"api.example:8080", 12));
        assert_eq!(row("0123456789abcdef0123456789abcdef|sensor 1|7"), row("routes|sensor 2|9|0"));
        assert!(partition_of(b"anything", 0) == 0);
    }
}
