//! Which pinned template a request belongs to.

use std::collections::HashMap;
use std::ops::Range;

use super::pins::{Pin, PinSegment};
use super::shape::{SEGMENTS, canonical_segment};

/// Pinned templates, ready to be matched with paths: what operators want wins at once, and for good.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    list: Vec<Pin>,
    /// Those of one service: by number of segments; places in `list`, the most literal first.
    own: HashMap<Box<[u8]>, ByLength>,
    /// Those of all services.
    all: ByLength,
}

type ByLength = Vec<Vec<usize>>;

/// A path in canonical segments; used again from request to request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segments {
    text: Vec<u8>,
    ends: Vec<Range<usize>>,
}

impl Pins {
    /// Prepares templates for matching. Of two that fit equally well the first wins.
    pub fn new(list: Vec<Pin>) -> Pins {
        let (mut own, mut all): (HashMap<Box<[u8]>, ByLength>, ByLength) = Default::default();
        for (at, pin) in list.iter().enumerate() {
            let lengths = match pin.service() {
                Some(service) => own.entry(service.as_bytes().into()).or_default(),
                None => &mut all,
            };
            if lengths.len() <= pin.segments.len() {
                lengths.resize(pin.segments.len() + 1, Vec::new());
            }
            if let Some(same) = lengths.get_mut(pin.segments.len()) {
                same.push(at);
            }
        }
        for same in own.values_mut().flatten().chain(&mut all) {
            same.sort_by_key(|&at| list.get(at).map(literalness));
        }
        Pins { list, own, all }
    }

    /// The templates, as they were given.
    pub fn list(&self) -> &[Pin] {
        &self.list
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The template that claims a path of a service: the most literal one, of equal ones that of the service itself.
    pub(crate) fn find(&self, service: &[u8], path: &[u8], segments: &mut Segments) -> Option<&str> {
        if self.list.is_empty() {
            return None;
        }
        let own = self.own.get(service);
        if (own.is_none() && self.all.is_empty()) || !segments.read(path) {
            return None;
        }
        let first = |lengths: Option<&ByLength>| {
            let same = lengths.and_then(|lengths| lengths.get(segments.ends.len()))?;
            same.iter().filter_map(|&at| self.list.get(at)).find(|pin| segments.fit(pin))
        };
        match (first(own), first(Some(&self.all))) {
            (Some(own), Some(all)) if literalness(all) < literalness(own) => Some(all.template()),
            (Some(own), _) => Some(own.template()),
            (None, all) => all.map(Pin::template),
        }
    }
}

/// Orders the more literal template first: a literal further left wins, and a longer ending.
fn literalness(pin: &Pin) -> Vec<(bool, usize)> {
    let of = |segment: &PinSegment| match segment {
        PinSegment::Literal(_) => (false, 0),
        PinSegment::Variable(_, ending) => (true, usize::MAX - ending.len()),
    };
    pin.segments.iter().map(of).collect()
}

impl Segments {
    /// Splits a path; false if it has too many segments, or is none.
    fn read(&mut self, path: &[u8]) -> bool {
        self.text.clear();
        self.ends.clear();
        if path.first() != Some(&b'/') {
            return false;
        }
        let mut one = Vec::new();
        for raw in path.split(|&byte| byte == b'/').filter(|raw| !raw.is_empty()) {
            canonical_segment(raw, &mut one);
            if one.is_empty() {
                continue;
            }
            if self.ends.len() == SEGMENTS {
                return false;
            }
            let start = self.text.len();
            self.text.extend_from_slice(&one);
            self.ends.push(start..self.text.len());
        }
        true
    }

    fn fit(&self, pin: &Pin) -> bool {
        pin.segments.iter().zip(&self.ends).all(|(segment, range)| {
            let text = self.text.get(range.clone()).unwrap_or_default();
            match segment {
                PinSegment::Literal(literal) => literal.as_bytes() == text,
                PinSegment::Variable(_, ending) => text.len() > ending.len() && text.ends_with(ending.as_bytes()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_most_literal_template_claims_a_path() {
        let pin = |service: Option<&str>, template: &str| Pin::new(service, template).unwrap();
        let pins = Pins::new(vec![
            pin(None, "/users/{user_id}"),
            pin(None, "/users/me"),
            pin(Some("a.test"), "/users/{login}"),
            pin(None, "/files/{name}.json"),
            pin(None, "/files/{name}"),
            pin(Some("b.test"), "/"),
            pin(None, "/a b/{x}"),
        ]);
        let mut segments = Segments::default();
        for (service, path, expected) in [
            ("a.test", "/users/7", Some("/users/{login}")),
            ("a.test", "/users/me", Some("/users/me")),
            ("b.test", "/users/7/", Some("/users/{user_id}")),
            ("b.test", "//users;v=1/%6de", Some("/users/me")),
            ("b.test", "/users/{user_id}", Some("/users/{user_id}")),
            ("b.test", "/files/x.json", Some("/files/{name}.json")),
            ("b.test", "/files/.json", Some("/files/{name}")),
            ("b.test", "/users/7/orders", None),
            ("b.test", "/", Some("/")),
            ("a.test", "/", None),
            ("a.test", "*", None),
            ("a.test", "/a%20b/1", Some("/a%20b/{x}")),
        ] {
            let found = pins.find(service.as_bytes(), path.as_bytes(), &mut segments);
            assert_eq!(found, expected, "{service} {path}");
        }
    }
}
