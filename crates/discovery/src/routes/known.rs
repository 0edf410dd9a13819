//! Templates that are documented: of some places of a service it is known what they are.
//!
//! Beside what is documented there may be anything, and it is inferred; but then it is known which words are parts of the route, and
//! where values stand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::evidence::method_number;
use super::tree::{NodeId, Tree};

/// Places kept of one service: a specification with a hundred thousand operations is somebody's joke.
const PLACES: usize = 100_000;

/// What is documented of all services.
#[derive(Clone, Debug, Default)]
pub struct Known {
    services: HashMap<Box<str>, KnownPlace>,
    places: usize,
}

/// A place in documented templates.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownPlace {
    literals: BTreeMap<Box<str>, KnownPlace>,
    variable: Option<Box<KnownPlace>>,
    /// Numbers of the methods of the operations here.
    methods: BTreeSet<u8>,
}

impl Known {
    /// Adds an operation of a service, such as `GET` of `/users/{id}/orders`. What it says past the bound is not known.
    pub fn add(&mut self, service: &str, method: &str, template: &str) {
        let mut place = self.services.entry(service.into()).or_default();
        let mut text = Vec::new();
        for segment in template.split('/').filter(|segment| !segment.is_empty()) {
            if self.places == PLACES {
                return;
            }
            let next = if segment.contains('{') {
                self.places += usize::from(place.variable.is_none());
                &mut **place.variable.get_or_insert_default()
            } else {
                super::canonical_segment(segment.as_bytes(), &mut text);
                let text = String::from_utf8_lossy(&text);
                self.places += usize::from(!place.literals.contains_key(text.as_ref()));
                place.literals.entry(text.into()).or_default()
            };
            place = next;
        }
        place.methods.insert(method_number(method.as_bytes()));
    }

    /// Is the last of these segments of a route documented as a part of it? `{` stands for any value.
    pub fn is_part<'a>(&self, service: &str, segments: impl Iterator<Item = &'a str>) -> bool {
        let mut places: Vec<&KnownPlace> = self.of(service).into_iter().collect();
        let mut is_part = false;
        for segment in segments {
            is_part = places.iter().any(|place| place.has(segment));
            places = match segment.starts_with('{') {
                true => places.iter().filter_map(|place| place.behind_value()).collect(),
                false => places.iter().flat_map(|place| place.behind(segment)).collect(),
            };
        }
        is_part
    }

    pub(crate) fn of(&self, service: &str) -> Option<&KnownPlace> {
        self.services.get(service)
    }
}

impl KnownPlace {
    /// Is a part of the route documented here that reads so?
    pub(crate) fn has(&self, text: &str) -> bool {
        self.literals.contains_key(text)
    }

    /// Are values documented here?
    pub(crate) fn has_variable(&self) -> bool {
        self.variable.is_some()
    }

    /// Are parts of the route documented here?
    pub(crate) fn has_literals(&self) -> bool {
        !self.literals.is_empty()
    }

    /// The places behind a part of the route: it may be a value too, as far as documents say.
    pub(crate) fn behind(&self, text: &str) -> impl Iterator<Item = &KnownPlace> {
        self.literals.get(text).into_iter().chain(self.behind_value())
    }

    /// Of what was seen at and below some nodes, how many operations are documented as going on behind a value here; of those, how
    /// many further down; and how many there are whose path is documented, maybe with other methods.
    pub(crate) fn fit(&self, tree: &Tree, nodes: &[NodeId]) -> [u32; 3] {
        let mut fit = [0; 3];
        let mut stack: Vec<(NodeId, Option<&KnownPlace>, bool)> =
            nodes.iter().map(|&node| (node, self.behind_value(), false)).collect();
        while let Some((node, place, is_below)) = stack.pop() {
            for leaf in &tree.node(node).leaves {
                let fits = place.is_some_and(|place| place.methods.contains(&leaf.method));
                fit[0] += u32::from(fits);
                fit[1] += u32::from(fits && is_below);
                // Of a path that nobody has documented nothing follows for what is above it.
                fit[2] += u32::from(place.is_some_and(|place| !place.methods.is_empty()));
            }
            for child in tree.children(node) {
                let text = &tree.node(child).text;
                let literal = place.and_then(|place| place.literals.get(text));
                let next = literal.or_else(|| place.and_then(KnownPlace::behind_value));
                stack.push((child, next, is_below || literal.is_some()));
            }
        }
        fit
    }

    /// The place behind a value.
    pub(crate) fn behind_value(&self) -> Option<&KnownPlace> {
        self.variable.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_part_where_it_is_documented() {
        let mut known = Known::default();
        for (method, template) in [("GET", "/users/{id}"), ("GET", "/users/me"), ("PUT", "/users/{id}/photos/{n}.png")]
        {
            known.add("api.test", method, template);
        }
        let is_part = |service: &str, route: &str| known.is_part(service, route.split('/').skip(1));
        assert!(is_part("api.test", "/users") && is_part("api.test", "/users/me"));
        assert!(is_part("api.test", "/users/{user_id}/photos") && is_part("api.test", "/users/me/photos"));
        assert!(!is_part("api.test", "/users/ann") && !is_part("api.test", "/users/{user_id}"));
        assert!(!is_part("other.test", "/users"));
    }

    #[test]
    fn places_are_bounded() {
        let mut known = Known::default();
        for number in 0..PLACES + 10 {
            known.add("api.test", "GET", &format!("/{number}"));
        }
        assert!(known.is_part("api.test", ["7"].into_iter()));
        assert_eq!(known.places, PLACES);
    }
}
