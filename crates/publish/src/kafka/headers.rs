//! CloudEvents 1.0 in binary mode: what a consumer wants to know without parsing the message.

use rdkafka::message::{Header, OwnedHeaders};
use umbra_store::Class;

/// How far into a record its id and time are looked for: both stand at its beginning.
const HEAD_BYTES: usize = 512;

/// Headers of a record of one sensor.
#[derive(Clone, Debug)]
pub(super) struct CloudEvents {
    source: String,
}

impl CloudEvents {
    pub(super) fn new(sensor: &str) -> CloudEvents {
        CloudEvents { source: format!("/umbra/sensors/{sensor}") }
    }

    pub(super) fn of(&self, class: Class, key: &[u8], value: &[u8]) -> OwnedHeaders {
        let head = value.get(..HEAD_BYTES).unwrap_or(value);
        let id = member(head, b"\"event_id\":\"").unwrap_or(key);
        let headers = OwnedHeaders::new_with_capacity(6)
            .insert(header("ce_specversion", b"1.0"))
            .insert(header("ce_id", id))
            .insert(header("ce_source", self.source.as_bytes()))
            .insert(header("ce_type", type_of(class).as_bytes()))
            .insert(header("content-type", b"application/json"));
        match member(head, b"\"time\":\"") {
            Some(time) => headers.insert(header("ce_time", time)),
            None => headers,
        }
    }
}

fn header<'a>(key: &'a str, value: &'a [u8]) -> Header<'a, &'a [u8]> {
    Header { key, value: Some(value) }
}

fn type_of(class: Class) -> &'static str {
    match class {
        Class::Event => "umbra.event.v1",
        Class::Health => "umbra.sensor.v1",
        Class::Endpoint => "umbra.endpoint.v1",
        Class::Finding => "umbra.finding.v1",
    }
}

/// The text behind `name`, up to its closing quote. Values that are looked for have no escapes.
fn member<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = json.windows(name.len()).position(|window| window == name)?.checked_add(name.len())?;
    let rest = json.get(start..)?;
    rest.get(..rest.iter().position(|byte| *byte == b'"')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::Headers as _;

    #[test]
    fn id_and_time_come_from_the_record() {
        let event = br#"{"schema_version":1,"event_id":"ab-0","time":"2026-01-01T00:00:00Z","source":"live"}"#;
        let headers = CloudEvents::new("s1").of(Class::Event, b"k", event);
        let of = |name| {
            headers
                .iter()
                .find(|header| header.key == name)
                .and_then(|header| header.value)
                .map(String::from_utf8_lossy)
        };
        assert_eq!(of("ce_id").as_deref(), Some("ab-0"));
        assert_eq!(of("ce_time").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(of("ce_source").as_deref(), Some("/umbra/sensors/s1"));
        assert_eq!(of("ce_type").as_deref(), Some("umbra.event.v1"));
        assert_eq!(CloudEvents::new("s1").of(Class::Endpoint, b"k", b"").count(), 5, "a tombstone has no time");
    }
}
