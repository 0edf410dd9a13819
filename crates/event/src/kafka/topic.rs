//! Topics, keys, and where a record is placed.

/// The topics, by what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// One record for each transaction.
    Events,
    /// What each sensor has learnt of endpoints and routes.
    SensorEndpoints,
    /// The inventory.
    Endpoints,
    /// Findings.
    Findings,
    /// Health of sensors.
    Sensors,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 5] =
        [Topic::Events, Topic::SensorEndpoints, Topic::Endpoints, Topic::Findings, Topic::Sensors];

    /// Its name behind the prefix: `endpoints.sensor` of `umbra.endpoints.sensor`.
    pub fn suffix(self) -> &'static str {
        match self {
            Topic::Events => "events",
            Topic::SensorEndpoints => "endpoints.sensor",
            Topic::Endpoints => "endpoints",
            Topic::Findings => "findings",
            Topic::Sensors => "sensors",
        }
    }

    /// Its name under a prefix, such as `umbra`.
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.suffix())
    }

    /// Only the newest record of a key matters.
    pub fn is_compacted(self) -> bool {
        self != Topic::Events
    }
}

/// Key of a row of `umbra.endpoints`.
pub fn endpoint_key(endpoint_id: &str) -> String {
    endpoint_id.to_owned()
}

/// Key of a row of `umbra.endpoints.sensor`.
pub fn sensor_row_key(endpoint_id: &str, sensor_id: &str, incarnation: &str) -> String {
    format!("{endpoint_id}|{sensor_id}|{incarnation}")
}

/// Key of a part of what a sensor has learnt of the routes of a service.
pub fn evidence_key(host: &str, sensor_id: &str, incarnation: &str, part: u32) -> String {
    format!("routes:{host}|{sensor_id}|{incarnation}|{part}")
}

/// The partition in which Java's default partitioner, and librdkafka's `murmur2_random`, place a key. `None` without partitions.
///
/// Rows of `umbra.endpoints.sensor` are placed by their host instead of their key, so that all that is known of a service,
/// by whatever template a sensor has it, reaches one roll-up process.
pub fn partition(key: &[u8], partitions: u32) -> Option<u32> {
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions)
}

/// Murmur2 (Appleby 2008), 32 bits, with the seed that Kafka's clients use.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Apache Kafka's own test of its `Utils.murmur2`, as signed numbers.
    #[test]
    fn keys_are_placed_as_javas_default_partitioner_does() {
        for (key, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
            let java = (expected & 0x7fff_ffff) % 12;
            assert_eq!(partition(key.as_bytes(), 12), Some(java as u32));
        }
        assert_eq!(partition(b"x", 0), None);
    }

    #[test]
    fn names_and_keys() {
        assert_eq!(Topic::SensorEndpoints.name("umbra"), "umbra.endpoints.sensor");
        assert!(Topic::ALL.iter().all(|topic| topic.is_compacted() != (*topic == Topic::Events)));
        assert_eq!(sensor_row_key("ab", "s1", "7"), "ab|s1|7");
        assert_eq!(evidence_key("h", "s1", "7", 0), "routes:h|s1|7|0");
    }
}
