//! Which endpoints `umbra inventory` prints, and in which order.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use umbra_discovery::classify::{Place, matches};
use umbra_discovery::definition::Published;

use crate::catalogue::Row;
use crate::cli::Sort;

/// One condition on an endpoint: `KEY=PATTERN`, where `*` in a pattern is any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    key: Key,
    pattern: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Host,
    Method,
    Route,
    Style,
    Operation,
    Status,
    Confirmed,
    Label(&'static str),
    Tag,
    Place,
    Version,
    Older,
    Specification,
    Publishes,
}

const KEYS: [(&str, Key); 18] = [
    ("host", Key::Host),
    ("method", Key::Method),
    ("route", Key::Route),
    ("style", Key::Style),
    ("operation", Key::Operation),
    ("status", Key::Status),
    ("confirmed", Key::Confirmed),
    ("team", Key::Label("team")),
    ("product", Key::Label("product")),
    ("environment", Key::Label("environment")),
    ("criticality", Key::Label("criticality")),
    ("owner", Key::Label("owner")),
    ("tag", Key::Tag),
    ("place", Key::Place),
    ("version", Key::Version),
    ("older", Key::Older),
    ("specification", Key::Specification),
    ("publishes", Key::Publishes),
];

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let names = || KEYS.map(|(name, _)| name).join(", ");
        let (key, pattern) =
            text.split_once('=').ok_or_else(|| format!("KEY=PATTERN is wanted; keys are {}", names()))?;
        let key = KEYS.iter().find(|(name, _)| *name == key).ok_or_else(|| format!("keys are {}", names()))?.1;
        Ok(Filter { key, pattern: pattern.to_owned() })
    }
}

impl Filter {
    /// Whether an endpoint is meant. Hosts and methods are compared in any case; of its status codes one is enough.
    pub(crate) fn takes(&self, endpoint: &Row<'_>) -> bool {
        let any_case = |text: &str| matches(&self.pattern.to_ascii_lowercase(), &text.to_ascii_lowercase());
        match self.key {
            Key::Host => any_case(endpoint.host()),
            Key::Method => any_case(endpoint.method()),
            Key::Route => matches(&self.pattern, endpoint.route()),
            Key::Style => any_case(endpoint.style.name()),
            Key::Operation => matches(&self.pattern, endpoint.operation().unwrap_or_default()),
            Key::Confirmed => any_case(if endpoint.confirmed { "true" } else { "false" }),
            Key::Label(name) => {
                let value = endpoint.labels.named().into_iter().find(|(known, _)| *known == name);
                any_case(value.and_then(|(_, value)| value).unwrap_or_default())
            }
            Key::Tag => endpoint.labels.tags.iter().any(|tag| any_case(tag)),
            Key::Place => any_case(endpoint.place.map_or("", Place::name)),
            Key::Version => endpoint.versions.iter().any(|version| any_case(&version.version)),
            Key::Older => any_case(if endpoint.older().is_some() { "true" } else { "false" }),
            Key::Publishes => any_case(endpoint.published.map_or("", Published::name)),
            Key::Specification => endpoint.documented.as_ref().is_some_and(|documented| {
                any_case(documented.conformance.name()) || (!documented.drift.is_empty() && any_case("drift"))
            }),
            // `5xx` is how people write a class.
            Key::Status => {
                let pattern = self.pattern.to_ascii_lowercase().replace("xx", "*");
                endpoint.statuses.iter().any(|(status, _)| matches(&pattern, &status.to_string()))
            }
        }
    }
}

/// The time that `--since` names, nanoseconds since 1970: `90m`, `24h`, `7d`, `4w` before now, a day, or a time in UTC.
pub(crate) fn since(text: &str) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    seconds(text, now)
        .and_then(|seconds| seconds.checked_mul(1_000_000_000))
        .ok_or_else(|| "a time such as 24h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z is wanted".into())
}

fn seconds(text: &str, now: u64) -> Option<u64> {
    for (unit, length) in [('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)] {
        if let Some(count) = text.strip_suffix(unit) {
            return Some(now.saturating_sub(digits(count)?.checked_mul(length)?));
        }
    }
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = parts(day, '-')?;
    let [hour, minute, second] = parts(time.strip_suffix('Z')?, ':')?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    if day == 0 || day > *lengths.get(month)? {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + lengths.iter().take(month).sum::<u64>() + day - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn parts(text: &str, mark: char) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split(mark).map(digits).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// A number of few digits and nothing else: no sign.
fn digits(text: &str) -> Option<u64> {
    ((1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Sorts, the largest first; what is equal stays in the order of host, route and method. `by_host` keeps the endpoints of a host
/// together, hosts in the order of their first.
pub(crate) fn sort(endpoints: &mut [Row<'_>], by: Sort, by_host: bool) {
    let weight = |endpoint: &Row<'_>| match by {
        Sort::Name => 0,
        Sort::Requests => endpoint.requests,
        Sort::Errors => endpoint.status_class(4).saturating_add(endpoint.status_class(5)),
        Sort::Clients => endpoint.clients.count(),
        Sort::FirstSeen => endpoint.first_seen.nanos(),
        Sort::LastSeen => endpoint.last_seen.nanos(),
    };
    endpoints.sort_by_key(|endpoint| std::cmp::Reverse(weight(endpoint)));
    if by_host {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for endpoint in endpoints.iter() {
            let next = places.len();
            places.entry(endpoint.endpoint().host()).or_insert(next);
        }
        endpoints.sort_by_key(|endpoint| places.get(endpoint.host()).copied());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn filters_have_known_keys() {
        assert!("route=/v1/*".parse::<Filter>().is_ok());
        assert!("colour=red".parse::<Filter>().unwrap_err().contains("host, method"));
        assert!("route".parse::<Filter>().is_err());
    }

    #[test]
    fn times_before_now_and_of_the_calendar() {
        for (text, expected) in [
            ("90m", Some(994_600)),
            ("1h", Some(996_400)),
            ("2d", Some(827_200)),
            ("999999999w", Some(0)),
            ("1970-01-02", Some(86_400)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T12:00:00", None),
            ("+5h", None),
            ("h", None),
            ("", None),
        ] {
            assert_eq!(seconds(text, 1_000_000), expected, "{text}");
        }
    }
}
