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

/// Key of a row of `umbra.endpoints.sensor`. What stands before the first `|` places it: by host, not by endpoint, so that all that
/// is known of a service, under whatever templates its sensors have, reaches one roll-up process.
pub fn sensor_row_key(host: &str, endpoint_id: &str, sensor_id: &str, incarnation: &str) -> String {
    format!("{host}|{endpoint_id}|{sensor_id}|{incarnation}")
}

/// Key of a part of what a sensor has learnt of the routes of a service.
pub fn evidence_key(host: &str, sensor_id: &str, incarnation: &str, part: u32) -> String {
    format!("{host}|routes|{sensor_id}|{incarnation}|{part}")
}

/// What places the rows of a host: what stands before the first `|` of their keys.
pub fn place_of(host: &str) -> &str {
    host.split('|').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys() {
        assert_eq!(Topic::SensorEndpoints.name("umbra"), "umbra.endpoints.sensor");
        assert!(Topic::ALL.iter().all(|topic| topic.is_compacted() != (*topic == Topic::Events)));
        assert_eq!(sensor_row_key("h", "ab", "s1", "7"), "h|ab|s1|7");
        assert_eq!(evidence_key("h", "s1", "7", 0), "h|routes|s1|7|0");
        assert_eq!((place_of("h:80"), place_of("a|b")), ("h:80", "a"));
    }
}
