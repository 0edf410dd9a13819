//! Which transactions are looked at for parameters and bodies: all of a new endpoint, then fewer and fewer; all where the body says
//! which operation is called.
//!
//! The same ones are chosen whatever the number of workers and the order of traffic (G7), by adaptive sampling (Gibbons and
//! Tirthapura 2001): each transaction has a [`level`] by a hash of its time and target, a quarter of those of one level reach the
//! next; an endpoint looks at those of its level and above, and lets its level rise, forgetting what is below, when there are too
//! many of them. The sampler decides by path before the endpoint is known, and never takes less than the endpoint wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ahash::RandomState;
use serde::{Deserialize, Serialize};
use umbra_http::{HeaderBlock, KnownHeader, Request, Response, Sampler};
use umbra_wire::Timestamp;

use crate::schema::ValueKey;
use crate::style::Style;

/// How many transactions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplingConfig {
    /// Transactions of an endpoint that are looked at before they become fewer; a quarter of them at least stays. 0: none at all.
    pub first: u16,
    /// One of so many at least is always looked at, rounded to a power of four. 1: every one.
    pub every: u16,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig { first: 64, every: 256 }
    }
}

impl SamplingConfig {
    /// The highest level.
    pub(crate) fn top(self) -> u8 {
        (self.every.max(1).ilog2() / 2) as u8
    }
}

/// The level of a transaction: one of four reaches 1, one of sixteen 2, and so on.
pub(crate) fn level(key: &ValueKey, start: Option<Timestamp>, target: &[u8]) -> u8 {
    let mut tail = [0; 8];
    for (to, from) in tail.iter_mut().zip(target.iter().rev()) {
        *to = *from;
    }
    let [k0, k1] = key.words();
    let time = start.map_or(0, Timestamp::nanos);
    let folded = u128::from(time ^ k0) * u128::from((u64::from_le_bytes(tail) ^ k1) | 1);
    // Low bits of a product depend on low bits only: folded, then mixed once more (SplitMix64's last steps).
    let mut mixed = (folded >> 64) as u64 ^ folded as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)).trailing_zeros() / 2) as u8
}

/// Places of the memory; two endpoints that share one are both looked at less or more.
const PLACES: usize = 4096;

/// Bytes of a path that endpoints are told apart by here.
const PATH_BYTES: usize = 256;

/// Longest segment with capitals that is no value, bytes.
const WORD_BYTES: usize = 24;

/// Samples saved up: so many new endpoints may come at once.
const CREDIT: u32 = 65_536;

/// Messages that earn one sample: an attacker who makes up paths gets no more than this share looked at (G3).
const EARN: u32 = 4;

/// What is remembered of endpoints between the sampler, which sees heads, and the inventory, which knows styles. Owned by one worker;
/// the atomics are there only because the two halves must both be `Send`, and are never contended.
#[derive(Debug)]
pub(crate) struct Memory {
    config: SamplingConfig,
    key: ValueKey,
    hasher: RandomState,
    /// `tag (32) | bodies at this level (16) | level (8) | style + 1 (8)`
    places: Box<[AtomicU64]>,
}

/// Direction of a body, as part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request = 0,
    Response = 1,
}

impl Memory {
    pub(crate) fn new(config: SamplingConfig, key: ValueKey, hasher: RandomState) -> Arc<Memory> {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Memory { config, key, hasher, places })
    }

    /// The sampler of this worker's HTTP stage.
    pub(crate) fn sampler(memory: &Arc<Memory>) -> BodySampler {
        BodySampler { memory: Arc::clone(memory), credit: CREDIT, earned: 0 }
    }

    /// The style whose operations are in bodies, if the endpoint of this request is of one.
    pub(crate) fn style(&self, request: &Request) -> Option<Style> {
        let (tag, place) = self.place(request, Side::Request)?;
        let entry = place.load(Relaxed);
        if entry >> 32 == tag { style_of(entry) } else { None }
    }

    /// The endpoint of this request is of a style whose operations are in bodies.
    pub(crate) fn remember(&self, request: &Request, style: Style) {
        for side in [Side::Request, Side::Response] {
            if let Some((tag, place)) = self.place(request, side) {
                let entry = place.load(Relaxed);
                if entry >> 32 != tag || style_of(entry) != Some(style) {
                    place.store(tag << 32 | (style as u64 + 1), Relaxed);
                }
            }
        }
    }

    /// Tag of an endpoint, and its place: the first of two that no style of another endpoint has taken.
    fn place(&self, request: &Request, side: Side) -> Option<(u64, &AtomicU64)> {
        let hash = self.hash(request, side)?;
        let tag = hash >> 32;
        let first = self.places.get(hash as usize % PLACES)?;
        let entry = first.load(Relaxed);
        if entry >> 32 != tag && style_of(entry).is_some() {
            return Some((tag, self.places.get((hash >> 12) as usize % PLACES)?));
        }
        Some((tag, first))
    }

    /// Of host, method and path; segments with several digits, and long ones of mixed case, are taken alike: coarser than
    /// endpoints are told apart they must not be.
    fn hash(&self, request: &Request, side: Side) -> Option<u64> {
        let target = request.target()?;
        // A longer path is told apart by its beginning.
        let target = target.get(..PATH_BYTES).unwrap_or(target);
        let mut rest = match memchr::memchr(b'?', target) {
            Some(mark) => target.get(..mark).unwrap_or_default(),
            None => target,
        };
        let [k0, k1] = self.key.words();
        let mut hash = k0;
        while !rest.is_empty() {
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let segment = rest.get(..end).unwrap_or_default();
            rest = rest.get(end + 1..).unwrap_or_default();
            hash = fold(hash ^ segment_hash(segment, k1), k1 | 1);
        }
        Some(self.hasher.hash_one((side as u8, request.authority(), request.method(), hash)))
    }
}

/// Hash of a segment, one and the same for all that are taken for values.
fn segment_hash(segment: &[u8], key: u64) -> u64 {
    let (words, tail) = segment.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    let (mut hash, mut digits, mut upper) = (segment.len() as u64, 0, false);
    for word in words.iter().chain([&last]) {
        digits += word.iter().map(|byte| u32::from(byte.is_ascii_digit())).sum::<u32>();
        if digits >= 3 {
            return VALUE;
        }
        upper |= word.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase());
        hash = fold(hash ^ u64::from_le_bytes(*word), key | 1);
    }
    let all_digits = digits > 0 && digits as usize == segment.len();
    if all_digits || (upper && segment.len() > WORD_BYTES) { VALUE } else { hash }
}

/// Hash of what is taken for a value.
const VALUE: u64 = 0x0076_616c_7565;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

fn style_of(entry: u64) -> Option<Style> {
    const STYLES: [Style; 5] = [Style::GraphQl, Style::JsonRpc, Style::Mcp, Style::Soap, Style::Llm];
    STYLES.into_iter().find(|style| entry & 0xff == *style as u64 + 1)
}

/// Decides which bodies the HTTP stage keeps.
#[derive(Debug)]
pub(crate) struct BodySampler {
    memory: Arc<Memory>,
    credit: u32,
    earned: u32,
}

impl BodySampler {
    fn decide(&mut self, request: &Request, side: Side, start: Option<Timestamp>) -> bool {
        self.earned += 1;
        if self.earned == EARN {
            self.earned = 0;
            self.credit = (self.credit + 1).min(CREDIT);
        }
        let (memory, config) = (&*self.memory, self.memory.config);
        if config.first == 0 {
            return false;
        }
        let Some((tag, place)) = memory.place(request, side) else { return false };
        let entry = place.load(Relaxed);
        let known = entry >> 32 == tag;
        let style = if known { style_of(entry) } else { None };
        // Operations of GraphQL are named by the request alone; its answers are looked at as others are.
        if style.is_some_and(|style| style != Style::GraphQl || side == Side::Request) {
            return true;
        }
        let (mut seen, mut floor) = if known { ((entry >> 16) as u16, (entry >> 8) as u8) } else { (0, 0) };
        let top = config.top();
        if level(&memory.key, start, request.target().unwrap_or_default()).min(top) < floor {
            return false;
        }
        // Counted from nothing at each level, so that it never rises before that of an endpoint.
        seen += 1;
        if seen > config.first {
            (seen, floor) = (0, (floor + 1).min(top));
        }
        let style = style.map_or(0, |style| style as u64 + 1);
        place.store(tag << 32 | u64::from(seen) << 16 | u64::from(floor) << 8 | style, Relaxed);
        match self.credit.checked_sub(1) {
            _ if config.every <= 1 => true,
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

impl Sampler for BodySampler {
    fn sample_request(&mut self, request: &Request, start: Option<Timestamp>) -> bool {
        // Nearly all requests without a body are of these.
        !matches!(request.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"DELETE")
            && is_readable(&request.headers)
            && self.decide(request, Side::Request, start)
    }

    fn sample_response(&mut self, request: Option<&Request>, response: &Response, start: Option<Timestamp>) -> bool {
        let Some(request) = request else { return false };
        request.method() != b"HEAD" && is_readable(&response.headers) && self.decide(request, Side::Response, start)
    }
}

/// May the body be of a kind that is read? By words of the Content-Type; without one it may.
fn is_readable(headers: &HeaderBlock) -> bool {
    let Some(content_type) = headers.first(KnownHeader::ContentType) else {
        // No type and no body, mostly: `Content-Length: 0`.
        return headers.first(KnownHeader::ContentLength) != Some(b"0");
    };
    let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
    let essence = content_type.get(..end.min(80)).unwrap_or_default();
    if essence == b"application/json" {
        return true;
    }
    let Some(slash) = essence.iter().position(|&byte| byte == b'/') else { return false };
    let (kind, rest) = essence.split_at(slash);
    if !(kind.eq_ignore_ascii_case(b"application")
        || kind.eq_ignore_ascii_case(b"text")
        || kind.eq_ignore_ascii_case(b"multipart"))
    {
        return false;
    }
    let has = |word: &[u8]| rest.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    !has(b"html")
        && (has(b"json")
            || has(b"xml")
            || has(b"form")
            || has(b"grpc")
            || has(b"event-stream")
            || has(b"protobuf")
            || has(b"graphql")
            || has(b"/plain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_place_and_words_each_their_own() {
        let hash = |segment: &str| segment_hash(segment.as_bytes(), 7);
        for value in [
            "12",
            "4711",
            "INV-38126",
            "550e8400-e29b-41d4-a716-446655440000",
            "2024-05-01",
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        ] {
            assert_eq!(hash(value), VALUE, "{value}");
        }
        let words = [
            "users",
            "user",
            "v1",
            "v2",
            "oauth2",
            "",
            "a-long-name-of-small-letters-only",
            "a-long-name-of-small-letters-one",
        ];
        for (at, word) in words.iter().enumerate() {
            assert_ne!(hash(word), VALUE, "{word}");
            words[..at].iter().for_each(|other| assert_ne!(hash(word), hash(other), "{word} {other}"));
        }
    }

    #[test]
    fn what_may_be_read() {
        let readable = |content_type: &str| {
            let mut headers = HeaderBlock::default();
            headers.push(KnownHeader::ContentType, b"content-type", content_type.as_bytes());
            is_readable(&headers)
        };
        for content_type in [
            "application/json",
            "Application/Problem+JSON; charset=utf-8",
            "text/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/grpc+proto",
            "text/event-stream",
            "application/x-ndjson",
            "text/plain",
        ] {
            assert!(readable(content_type), "{content_type}");
        }
        for content_type in
            ["text/html", "application/xhtml+xml", "image/svg+xml", "application/octet-stream", "video/mp4", "", "json"]
        {
            assert!(!readable(content_type), "{content_type}");
        }
        let mut empty = HeaderBlock::default();
        assert!(is_readable(&empty));
        empty.push(KnownHeader::ContentLength, b"content-length", b"0");
        assert!(!is_readable(&empty));
    }
}
