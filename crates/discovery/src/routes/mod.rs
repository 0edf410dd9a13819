//! Route templates, inferred from evidence over a whole service.
//!
//! A worker keeps one [`Routes`] and shows it every transaction ([`Routes::observe`]); those of all workers are merged
//! ([`Routes::merge`]), and [`Routes::templates`] decides: a pure function of what was learnt, so any order of transactions and
//! any number of workers gives the same templates. Nothing decided is final: what is learnt later can split a variable or merge
//! literals into one. What an operator pins ([`Pin`]) wins over all of it.
//!
//! # What is kept
//!
//! In memory: the words of paths, up to a bound for each place ([`Limits`]), as they may turn out to be parts of a route;
//! values that are known by their shape as counts and hashes, and one as text while it is the only one; of bodies, hashes of key
//! paths and of values. [`Routes::snapshot`], which is what may be stored, holds as text only the words that were decided to be
//! parts of a route; all others are keyed hashes.
//!
//! # Canonical paths
//!
//! See [`canonical_segment`]: percent-encoding undone once where that changes nothing, matrix parameters, empty segments and a
//! trailing slash left out. Partial segments are a variable with a literal ending (`{id}.json`, `{id}:append`).

mod body;
mod decide;
mod evidence;
mod features;
mod feed;
mod known;
mod pinned;
mod pins;
mod profile;
mod score;
mod segments;
mod shape;
mod sketch;
mod templates;
mod tree;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use body::{BodyFacts, is_candidate_value};
pub use evidence::{BodyKind, Evidence};
pub use feed::Sighting;
pub use known::Known;
pub use pinned::Pins;
pub(crate) use pinned::Segments;
pub use pins::{Pin, PinError};
pub use score::Trace;
pub use shape::{Shape, canonical_segment};
pub(crate) use shape::{WORD_BYTES, append_canonical, is_version, shape_of};
pub use templates::{Endpoint, EndpointKind, Parameter, ParameterType, Templates};
pub use tree::{Limits, places};

use tree::{Stored, Tree};

use crate::schema::ValueKey;

/// Bounds and keys.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bounds of what is learnt of one service.
    pub limits: Limits,
    /// Services learnt of; transactions of further ones are counted in [`Counters::services_left_out`] (F072).
    pub services: usize,
    /// Key of the hashes that values are kept as: the fleet's, so that what is learnt can be merged.
    pub key: ValueKey,
    /// Key of the hash tables (F018): random at each start.
    pub hash_seed: [u64; 4],
}

impl Default for Config {
    fn default() -> Self {
        Config { limits: Limits::default(), services: 2_000, key: ValueKey::new([0, 0]), hash_seed: [0; 4] }
    }
}

/// What was not learnt from, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Successful transactions learnt from.
    pub learnt: u64,
    /// Answers that say nothing of a route: errors, also those that probing gets (401, 403, 404, 429).
    pub unsuccessful: u64,
    /// Web pages.
    pub pages: u64,
    /// Style sheets, scripts, fonts.
    pub assets: u64,
    /// Answers to OPTIONS without a body: preflights and the like.
    pub preflights: u64,
    /// Transactions of services beyond the bound.
    pub services_left_out: u64,
}

/// What was learnt of the routes of all services.
#[derive(Clone, Debug)]
pub struct Routes {
    config: Config,
    services: BTreeMap<Box<[u8]>, Tree>,
    counters: Counters,
    scratch: feed::Scratch,
    segments: segments::Segments,
}

/// Did the server say that the request reached something? Also WebSockets.
fn is_success(status: u16) -> bool {
    matches!(status, 200..=399 | 101)
}

/// Would a segment be taken for a value by its shape alone, whatever else is seen?
pub fn looks_like_value(segment: &str) -> bool {
    let mut text = Vec::new();
    canonical_segment(segment.as_bytes(), &mut text);
    shape_of(&text).0.is_value()
}

/// What was learnt, in a form to store: see [the module](self) for what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    services: Vec<(Box<[u8]>, Stored)>,
    counters: Counters,
}

impl Routes {
    /// Nothing learnt.
    pub fn new(config: Config) -> Routes {
        Routes {
            config,
            services: BTreeMap::new(),
            counters: Counters::default(),
            scratch: feed::Scratch::default(),
            segments: segments::Segments::new(config.key),
        }
    }

    /// The key of the hashes in [`Evidence`].
    pub fn key(&self) -> &ValueKey {
        &self.config.key
    }

    /// What was not learnt from.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Requests that went into an overflow bucket, and ones left out, as a service has more than [`Limits`] allow (F070).
    pub fn overflow(&self) -> u64 {
        self.services.values().map(|tree| tree.overflow.saturating_add(tree.left_out)).sum()
    }

    /// Nodes held, of all services.
    pub fn nodes(&self) -> usize {
        self.services.values().map(Tree::len).sum()
    }

    /// Learns from a transaction. Only what succeeded tells a route; pages, assets and preflights are counted and set aside.
    pub fn observe(&mut self, evidence: &Evidence<'_>) {
        if !is_success(evidence.status) {
            self.counters.unsuccessful += 1;
            return;
        }
        match BodyKind::of(evidence.response_type) {
            BodyKind::Html => return self.counters.pages += 1,
            BodyKind::Asset => return self.counters.assets += 1,
            // RFC 9110 §9.3.7: without content, OPTIONS only asks what may be asked.
            BodyKind::None if evidence.method == b"OPTIONS" => return self.counters.preflights += 1,
            _ => {}
        }
        if let Some(tree) = self.services.get_mut(evidence.service) {
            self.counters.learnt += 1;
            tree.observe(evidence, &mut self.segments);
            return;
        }
        if self.services.len() >= self.config.services {
            self.counters.services_left_out += 1;
            return;
        }
        self.counters.learnt += 1;
        let tree = Tree::new(self.config.limits, self.config.hash_seed);
        self.services.entry(evidence.service.into()).or_insert(tree).observe(evidence, &mut self.segments);
    }

    /// Adds what another has learnt. Below the bounds the order does not matter.
    pub fn merge(&mut self, other: &Routes) {
        for (service, theirs) in &other.services {
            let (limits, seed) = (self.config.limits, self.config.hash_seed);
            if !self.services.contains_key(service) && self.services.len() >= self.config.services {
                self.counters.services_left_out += 1;
                continue;
            }
            self.services.entry(service.clone()).or_insert_with(|| Tree::new(limits, seed)).merge(theirs);
        }
        let (ours, theirs) = (&mut self.counters, &other.counters);
        ours.learnt += theirs.learnt;
        ours.unsuccessful += theirs.unsuccessful;
        ours.pages += theirs.pages;
        ours.assets += theirs.assets;
        ours.preflights += theirs.preflights;
        ours.services_left_out += theirs.services_left_out;
    }

    /// Decides the templates.
    pub fn templates(&self, pins: &[Pin]) -> Templates {
        self.explained(pins, &mut None)
    }

    /// The same, where it is known of some places what they are.
    pub fn templates_beside(&self, known: &Known, pins: &[Pin]) -> Templates {
        let mut templates = Templates::default();
        for (service, tree) in &self.services {
            let name = String::from_utf8_lossy(service);
            self.decide(&name, tree, (known.of(&name), pins), &mut None, &mut templates);
        }
        templates
    }

    /// Decides the templates of one service.
    pub fn templates_of(&self, service: &str, pins: &[Pin]) -> Templates {
        let mut templates = Templates::default();
        if let Some(tree) = self.services.get(service.as_bytes()) {
            self.decide(service, tree, (None, pins), &mut None, &mut templates);
        }
        templates
    }

    /// Decides the templates, and tells every question that was asked on the way.
    pub fn explained(&self, pins: &[Pin], trace: &mut Option<Vec<Trace>>) -> Templates {
        let mut templates = Templates::default();
        for (service, tree) in &self.services {
            self.decide(&String::from_utf8_lossy(service), tree, (None, pins), trace, &mut templates);
        }
        templates
    }

    fn decide(
        &self,
        service: &str,
        tree: &Tree,
        (known, pins): (Option<&known::KnownPlace>, &[Pin]),
        trace: &mut Option<Vec<Trace>>,
        templates: &mut Templates,
    ) {
        let pins: Vec<&Pin> = pins.iter().filter(|pin| pin.is_of(service)).collect();
        let claims = pins::claims(tree, &pins, &self.config.key);
        let mut rows = trace.is_some().then(Vec::new);
        let (decided, _) = decide::decide(tree, &claims.claimed, known, &mut rows);
        templates.add(service, &decided, &pins, claims.leaves);
        if let (Some(all), Some(rows)) = (trace.as_mut(), rows) {
            all.extend(rows);
        }
    }

    /// What may be stored.
    pub fn snapshot(&self) -> Snapshot {
        let stored = |tree: &Tree| {
            let (_, is_value) = decide::decide(tree, &[], None, &mut None);
            tree.stored(|id, _| !is_value.get(id as usize).copied().unwrap_or(true))
        };
        Snapshot {
            services: self.services.iter().map(|(service, tree)| (service.clone(), stored(tree))).collect(),
            counters: self.counters,
        }
    }

    /// What was learnt of each service, for those who decide on the evidence of several sensors: they can only name the words
    /// that `shows` lets through as text, and need those that one sensor alone would take for values.
    pub fn evidence(&self, shows: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, Snapshot)> {
        self.services.iter().map(move |(service, tree)| {
            let stored = tree.stored(|_, text| shows(text));
            let services = vec![(service.clone(), stored)];
            (String::from_utf8_lossy(service).into_owned(), Snapshot { services, counters: Counters::default() })
        })
    }

    /// What was stored, learnt again. The key must be the one it was stored with.
    pub fn restore(config: Config, snapshot: Snapshot) -> Routes {
        let services = snapshot.services.into_iter().take(config.services);
        let restored = |stored| Tree::restored(stored, config.limits, config.hash_seed);
        Routes {
            config,
            services: services.map(|(service, stored)| (service, restored(stored))).collect(),
            counters: snapshot.counters,
            scratch: feed::Scratch::default(),
            segments: segments::Segments::new(config.key),
        }
    }
}

#[cfg(test)]
mod tests;
