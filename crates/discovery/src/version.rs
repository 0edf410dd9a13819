//! API versions: in the path, a header field, a media type or the query.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use umbra_http::KnownHeader;

use crate::style::Facts;

/// Versions kept of one endpoint, the lowest in the order of their text; past it they are counted together.
pub const VERSIONS: usize = 16;

/// Longest version, bytes: `2024-10-01-preview` has 18.
const VERSION_BYTES: usize = 24;

/// Where a version was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionPlace {
    /// A segment of the path.
    Path,
    /// A header field, such as `Api-Version`.
    Header,
    /// The media type, such as `application/vnd.example.v2+json`.
    MediaType,
    /// A query parameter, such as `api-version`.
    Query,
}

impl VersionPlace {
    /// The word for it in records.
    pub const fn name(self) -> &'static str {
        match self {
            VersionPlace::Path => "path",
            VersionPlace::Header => "header",
            VersionPlace::MediaType => "media_type",
            VersionPlace::Query => "query",
        }
    }
}

/// A version that requests asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Where.
    pub place: VersionPlace,
    /// Which, small letters: `2`, `v2`, `2024-10-01`.
    pub version: Box<str>,
    /// Requests that a server answered with success.
    pub requests: u64,
    /// Time of the last of them, nanoseconds since 1970.
    pub last_seen: u64,
}

/// The versions that requests for one endpoint asked for outside of the path. Which are kept depends on their names, so that any
/// order of traffic keeps the same ones with the same counts. Merging is by sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// By place and version.
    asked: Vec<Asked>,
    /// Requests for versions past [`VERSIONS`].
    pub other: u64,
}

impl Versions {
    /// In order of place and version.
    pub fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    pub(crate) fn add(&mut self, place: VersionPlace, version: &str, requests: u64, last_seen: u64) {
        if version.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.add(place, &version.to_ascii_lowercase(), requests, last_seen);
        }
        let found = self.asked.binary_search_by(|asked| (asked.place, &*asked.version).cmp(&(place, version)));
        let at = match found {
            Ok(at) => at,
            Err(at) if at >= VERSIONS => {
                self.other = self.other.saturating_add(requests);
                return;
            }
            Err(at) => {
                if self.asked.len() == VERSIONS {
                    let dropped = self.asked.pop().map_or(0, |asked| asked.requests);
                    self.other = self.other.saturating_add(dropped);
                }
                self.asked.reserve_exact(1);
                self.asked.insert(at, Asked { place, version: version.into(), requests: 0, last_seen: 0 });
                at
            }
        };
        if let Some(asked) = self.asked.get_mut(at) {
            asked.requests = asked.requests.saturating_add(requests);
            asked.last_seen = asked.last_seen.max(last_seen);
        }
    }

    pub(crate) fn merge(&mut self, theirs: &Versions) {
        self.other = self.other.saturating_add(theirs.other);
        for asked in &theirs.asked {
            self.add(asked.place, &asked.version, asked.requests, asked.last_seen);
        }
    }
}

/// The version that a request asks for outside of its path: by the field that stands for it, the media type, the query. What does
/// not read like a version is none, whatever it is called.
pub(crate) fn asked<'a>(facts: &Facts<'a>, field: Option<&'a [u8]>) -> Option<(VersionPlace, &'a str)> {
    if let Some(version) = field.and_then(version) {
        return Some((VersionPlace::Header, version));
    }
    let media_types = [facts.request_headers, facts.request_headers, facts.response_headers];
    for (headers, known) in
        media_types.into_iter().zip([KnownHeader::Accept, KnownHeader::ContentType, KnownHeader::ContentType])
    {
        let text = headers.and_then(|headers| headers.first(known)).unwrap_or_default();
        // Nearly every media type ends here.
        if text.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/vnd."))
            && let Some(version) = in_media_type(text)
        {
            return Some((VersionPlace::MediaType, version));
        }
    }
    let query = facts.query.filter(|query| memchr::memmem::find(query, b"ersion=").is_some())?;
    let mut pairs = query.split(|&byte| byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        Some((pair.get(..equals)?, pair.get(equals + 1..)?))
    });
    let names = [&b"api-version"[..], b"api_version", b"apiversion", b"version"];
    let (_, value) = pairs.find(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)))?;
    Some((VersionPlace::Query, version(value)?))
}

/// `application/vnd.example.v2+json`, `application/vnd.example+json; version=2`: only the first type of a list counts.
fn in_media_type(text: &[u8]) -> Option<&str> {
    let first = text.split(|&byte| byte == b',').next().unwrap_or_default();
    let mut parts = first.split(|&byte| byte == b';');
    let name = parts.next().unwrap_or_default();
    let parameter = parts.find_map(|part| {
        let equals = part.iter().position(|&byte| byte == b'=')?;
        let name = part.get(..equals)?.trim_ascii();
        let known = [&b"version"[..], b"v", b"api-version"].iter().any(|known| name.eq_ignore_ascii_case(known));
        known.then(|| version(part.get(equals + 1..)?.trim_ascii()))?
    });
    let segments = name.get(16..)?.split(|byte| matches!(byte, b'.' | b'+' | b'-'));
    parameter.or_else(|| {
        let with_letter = |segment: &&[u8]| matches!(segment.first(), Some(b'v' | b'V'));
        segments.filter(with_letter).find_map(version)
    })
}

/// The text, if it reads like a version: `2`, `v2`, `2.1`, `2024-10-01`, `2024-10-01-preview`, `v1beta1`.
fn version(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii();
    if text.len() > VERSION_BYTES {
        return None;
    }
    let rest = text.strip_prefix(b"v").or_else(|| text.strip_prefix(b"V")).unwrap_or(text);
    if !rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let letters: Vec<&[u8]> =
        rest.split(|byte| !byte.is_ascii_alphabetic()).filter(|letters| !letters.is_empty()).collect();
    let known = |word: &&[u8]| [&b"alpha"[..], b"beta", b"preview", b"rc"].iter().any(|w| word.eq_ignore_ascii_case(w));
    let plain = rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    // More digits than a day has are an identifier, and so are numbers joined by dashes that are no day.
    let digits = rest.iter().filter(|byte| byte.is_ascii_digit()).count();
    let mut dashed = rest.split(|&byte| byte == b'-');
    let begins = dashed.next().map_or(0, <[u8]>::len);
    let is_day = begins == 4 && dashed.clone().take(2).all(|part| part.len() == 2) && dashed.clone().count() >= 2;
    let is_dashed = dashed.any(|part| part.first().is_none_or(u8::is_ascii_digit));
    let sound = plain && digits <= 10 && (is_day || !is_dashed) && letters.len() <= 1 && letters.iter().all(known);
    sound.then(|| std::str::from_utf8(text).ok())?
}

/// The version in a route, `v2` of `/api/v2/users`, and the route before it.
pub fn in_route(route: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    for segment in route.split('/') {
        let digits = segment.strip_prefix(['v', 'V']);
        let is_version = match digits {
            Some(_) => version(segment.as_bytes()).is_some(),
            // Without the letter only what has a point is one: `/2.0/`, not `/7/`.
            None => {
                segment.contains('.')
                    && segment.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                    && version(segment.as_bytes()).is_some()
            }
        };
        if is_version {
            return Some((segment, route.get(..start)?));
        }
        start += segment.len() + 1;
    }
    None
}

/// Which of two versions is newer: number by number; one that is still a preview is older than the one without the word.
pub fn compare(one: &str, other: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
    };
    let is_final = |text: &str| !text.trim_start_matches(['v', 'V']).bytes().any(|byte| byte.is_ascii_alphabetic());
    let (mut a, mut b) = (numbers(one), numbers(other));
    // `v1beta2` is before `v1`: the number of a preview counts last.
    let last = |text: &str, numbers: &mut Vec<u64>| {
        let ends_in_digit = text.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
        if !is_final(text) && ends_in_digit && numbers.len() > 1 { numbers.pop().unwrap_or(0) } else { 0 }
    };
    let (preview_a, preview_b) = (last(one, &mut a), last(other, &mut b));
    // `2` and `2.0` are one version.
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    (a, is_final(one), preview_a).cmp(&(b, is_final(other), preview_b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_reads_like_a_version() {
        for good in ["2", "v2", "V2.1", "2.0.1", "2024-10-01", "2024-10-01-preview", "v1beta1", "20241001"] {
            assert_eq!(version(good.as_bytes()), Some(good));
        }
        for bad in [
            "",
            "v",
            "latest",
            "12345678901",
            "555-1234",
            "4111-1111-1111-1111-1111",
            "a1",
            "v1.x",
            "1.2.3.4;drop",
            "1 2",
        ] {
            assert_eq!(version(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn versions_of_routes() {
        for (route, expected) in [
            ("/api/v2/users/{id}", Some(("v2", "/api/"))),
            ("/v1/users", Some(("v1", "/"))),
            ("/2.0/users", Some(("2.0", "/"))),
            ("/users/7", None),
            ("/videos/{id}", None),
            ("/vault", None),
            ("/", None),
        ] {
            assert_eq!(in_route(route), expected, "{route}");
        }
    }

    #[test]
    fn versions_of_media_types() {
        for (text, expected) in [
            ("application/vnd.example.v2+json", Some("v2")),
            ("application/vnd.example+json; version=3", Some("3")),
            ("application/vnd.example.video+json", None),
            ("application/vnd.github.v3.raw+json, */*", Some("v3")),
            ("application/vnd.api+json", None),
        ] {
            assert_eq!(in_media_type(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn newer_is_by_number() {
        for (older, newer) in [
            ("v1", "v2"),
            ("v9", "v10"),
            ("1.2", "1.10"),
            ("2024-10-01-preview", "2024-10-01"),
            ("2023-12-31", "2024-01-01"),
            ("v1beta1", "v1beta2"),
            ("v1beta2", "v1"),
            ("v1", "v2beta1"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
        }
        assert_eq!(compare("v2", "2.0"), Ordering::Equal);
    }

    #[test]
    fn f073_any_order_keeps_the_same_versions_with_their_counts() {
        let all: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
        let (mut one, mut other) = (Versions::default(), Versions::default());
        for _ in 0..3 {
            all.iter().for_each(|version| one.add(VersionPlace::Header, version, 1, 5));
            all.iter().rev().for_each(|version| other.add(VersionPlace::Header, version, 1, 5));
        }
        assert_eq!(one, other);
        assert_eq!((one.iter().count(), one.other), (VERSIONS, 3 * (60 - VERSIONS as u64)));
        assert!(one.iter().all(|asked| asked.requests == 3));
    }
}
