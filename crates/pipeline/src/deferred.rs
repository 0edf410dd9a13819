//! Event lines that wait until the routes are settled.
//!
//! What a route is shows at the end of the traffic. So a line waits with a note of where its route and `endpoint_id` stand and of
//! what its endpoint is known by, and is handed on with those that the inventory has. A waiting line holds what the event holds,
//! redacted, and nothing else.
//!
//! ```text
//! u32 bytes behind this · u16 key · u16 host · u8 method · u8 style · u32 route from · to · u32 id from · to · key · line
//! ```

use std::collections::HashMap;
use std::ops::Range;

use ahash::RandomState;
use umbra_discovery::{EndpointKey, Settled, Style};
use umbra_event::{Event, EventWriter, Marks};

use crate::output::Encode;

/// Bytes before key and line.
const HEAD: usize = 26;

/// Place of a mark that is not there.
const NOWHERE: u32 = u32::MAX;

/// Endpoints whose members are remembered while lines are written; a lookup is about a microsecond.
const REMEMBERED: usize = 16_384;

/// One JSON event a line, each with what it takes to settle its route later ([`Settling`]).
#[derive(Clone, Debug, Default)]
pub struct DeferredLine {
    writer: EventWriter,
}

impl Encode for DeferredLine {
    fn encode(&mut self, event: &Event<'_>, key: Option<EndpointKey<'_>>, out: &mut Vec<u8>) -> bool {
        let key = key.filter(|key| key.bytes.len() <= usize::from(u16::MAX));
        let start = out.len();
        out.resize(start + HEAD, 0);
        if let Some(key) = key {
            out.extend_from_slice(key.bytes);
        }
        let line = out.len();
        let marks = self.writer.write_marked(event, out);
        let place = |range: Option<Range<usize>>| match range {
            Some(range) => [range.start - line, range.end - line].map(|place| place as u32),
            None => [NOWHERE; 2],
        };
        let [route, id] = [place(marks.route), place(marks.endpoint_id)];
        let mut head = [0; HEAD];
        let mut rest = &mut head[..];
        put(&mut rest, ((out.len() - start - 4) as u32).to_le_bytes());
        put(&mut rest, key.map_or(0, |key| key.bytes.len() as u16).to_le_bytes());
        put(&mut rest, key.map_or(0, |key| key.host_len).to_le_bytes());
        put(&mut rest, [key.map_or(0, |key| key.method_len), key.map_or(0, |key| key.style as u8)]);
        for place in route.into_iter().chain(id) {
            put(&mut rest, place.to_le_bytes());
        }
        if let Some(room) = out.get_mut(start..start + HEAD) {
            room.copy_from_slice(&head);
        }
        true
    }
}

/// Writes to the front of `room`, and leaves what is behind it.
fn put<const N: usize>(room: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((front, rest)) = std::mem::take(room).split_first_chunk_mut::<N>() {
        *front = bytes;
        *room = rest;
    }
}

/// Gives waiting lines their final route and `endpoint_id`.
#[derive(Debug)]
pub struct Settling<'a> {
    places: Settled<'a>,
    /// Members by key of the endpoint, style in front.
    members: HashMap<Box<[u8]>, Members, RandomState>,
    key: Vec<u8>,
    settled: Vec<u8>,
}

/// The two members as they stand in a line.
#[derive(Clone, Debug, Default)]
struct Members {
    route: Box<[u8]>,
    endpoint_id: Box<[u8]>,
}

impl<'a> Settling<'a> {
    /// With what an inventory has settled. `hash_seed` is the key of a hash table (F018).
    pub fn new(places: Settled<'a>, hash_seed: [u64; 4]) -> Self {
        let [a, b, c, d] = hash_seed;
        let members = HashMap::with_hasher(RandomState::with_seeds(a, b, c, d));
        Settling { places, members, key: Vec::new(), settled: Vec::new() }
    }

    /// Takes whole lines from the front of `waiting` and appends them to `out` as they are published, until `out` has `enough`
    /// bytes. Says how many bytes were taken, and how many lines. None: `waiting` is the beginning of a line, or nothing.
    pub fn settle(&mut self, waiting: &[u8], enough: usize, out: &mut Vec<u8>) -> (usize, u64) {
        let (mut taken, mut lines) = (0, 0);
        while out.len() < enough
            && let Some(record) = waiting.get(taken..).and_then(Record::first)
        {
            taken += record.len;
            lines += 1;
            self.write(&record, out);
        }
        (taken, lines)
    }

    fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let Some(key) = record.key else { return out.extend_from_slice(record.line) };
        self.key.clear();
        self.key.push(key.style as u8);
        self.key.extend_from_slice(key.bytes);
        if !self.members.contains_key(self.key.as_slice()) {
            if self.members.len() >= REMEMBERED {
                self.members.clear();
            }
            let members = self.members_of(key);
            self.members.insert(self.key.as_slice().into(), members);
        }
        let Some(members) = self.members.get(self.key.as_slice()) else { return };
        let mut from = 0;
        for (place, member) in [(&record.route, &members.route), (&record.endpoint_id, &members.endpoint_id)] {
            if let Some(place) = place {
                out.extend_from_slice(record.line.get(from..place.start).unwrap_or_default());
                out.extend_from_slice(member);
                from = place.end;
            }
        }
        out.extend_from_slice(record.line.get(from..).unwrap_or_default());
    }

    fn members_of(&mut self, key: EndpointKey<'_>) -> Members {
        self.places.write_key(key, &mut self.settled);
        let settled = EndpointKey { bytes: &self.settled, ..key };
        let (mut route, mut endpoint_id) = (Vec::new(), Vec::new());
        Marks::write_route(settled.route(), &mut route);
        Marks::write_endpoint_id(settled.id(), &mut endpoint_id);
        Members { route: route.into(), endpoint_id: endpoint_id.into() }
    }
}

/// One waiting line.
struct Record<'a> {
    /// Of the whole record.
    len: usize,
    key: Option<EndpointKey<'a>>,
    route: Option<Range<usize>>,
    endpoint_id: Option<Range<usize>>,
    line: &'a [u8],
}

impl<'a> Record<'a> {
    fn first(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        let (key_len, rest) = rest.get(..len)?.split_first_chunk::<2>()?;
        let (host_len, rest) = rest.split_first_chunk::<2>()?;
        let (&[method_len, style], mut rest) = rest.split_first_chunk::<2>()?;
        let mut places = [NOWHERE; 4];
        for place in &mut places {
            let (number, after) = rest.split_first_chunk::<4>()?;
            (*place, rest) = (u32::from_le_bytes(*number), after);
        }
        let (key, line) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key_len)))?;
        let style = Style::ALL.into_iter().find(|other| *other as u8 == style)?;
        let host_len = u16::from_le_bytes(*host_len);
        let [route_from, route_to, id_from, id_to] = places;
        let range = |from: u32, to: u32| (from != NOWHERE).then_some(from as usize..to as usize);
        Some(Record {
            len: len + 4,
            key: (!key.is_empty()).then_some(EndpointKey { style, bytes: key, host_len, method_len }),
            route: range(route_from, route_to),
            endpoint_id: range(id_from, id_to),
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use umbra_discovery::routes::{Config, Evidence, Pins, Routes, Templates};
    use umbra_event::{Api, ApiStyle, Request};

    use super::*;

    fn templates() -> Templates {
        let mut routes = Routes::new(Config::default());
        for id in 0..50_u32 {
            let path = format!("/users/{id}");
            let json = Some(&b"application/json"[..]);
            routes.observe(&Evidence {
                service: b"api.test",
                method: b"GET",
                path: path.as_bytes(),
                status: 200,
                response_type: json,
                has_response_body: true,
                ..Evidence::default()
            });
        }
        routes.templates(&[])
    }

    fn encoded(lines: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let (mut writer, mut out) = (DeferredLine::default(), Vec::new());
        for &(key, route) in lines {
            let key = EndpointKey { style: Style::Rest, bytes: key.as_bytes(), host_len: 8, method_len: 3 };
            let event = Event {
                route,
                request: Some(Request { method: b"GET", ..Request::default() }),
                api: Api { endpoint_id: route.map(|_| key.id()), style: Some(ApiStyle::Rest), operation: None },
                ..Event::default()
            };
            assert!(writer.encode(&event, Some(key), &mut out));
        }
        out
    }

    #[test]
    fn a_line_gets_its_settled_route_and_id_wherever_the_bytes_are_cut() {
        let (templates, pins) = (templates(), Pins::default());
        let settling = || Settling::new(Settled::new(&templates, &pins), [0; 4]);
        // The second has none yet: the cap left its endpoint out.
        let lines = [
            ("api.test\0GET\0/users/{id}", Some(&b"/users/{id}"[..])),
            ("api.test\0GET\0/users/7", None),
            ("api.test\0GET\0/else", Some(b"/else")),
        ];
        let waiting = encoded(&lines);
        let mut whole = Vec::new();
        let (taken, count) = settling().settle(&waiting, usize::MAX, &mut whole);
        assert_eq!((taken, count), (waiting.len(), 3));
        let text = String::from_utf8(whole.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains(r#""http":{"route":"/users/{user_id}","request":{"method":"GET""#), "{text}");
        assert!(lines[1].contains(r#""http":{"route":"/users/{user_id}","request":{"#), "{text}");
        assert!(lines[2].contains(r#""http":{"route":"/else","request":{"#), "{text}");
        let id = |line: &str| line.split(r#""api":{"endpoint_id":""#).nth(1).unwrap()[..32].to_owned();
        assert_eq!(id(lines[0]), id(lines[1]));
        assert_ne!(id(lines[0]), id(lines[2]));
        for cut in 0..waiting.len() {
            let (mut settling, mut out) = (settling(), Vec::new());
            let (first, _) = settling.settle(&waiting[..cut], usize::MAX, &mut out);
            let (rest, _) = settling.settle(&waiting[first..], usize::MAX, &mut out);
            assert_eq!((first + rest, &out), (waiting.len(), &whole), "cut at {cut}");
        }
    }
}
