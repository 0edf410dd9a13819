//! What goes on at and below some nodes, in a form that can be compared.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::shape::Shape;
use super::sketch::{Keys, mix};
use super::tree::{NodeId, ROOT, Tree};
use super::words::Style;

/// One operation relative to some node: which way down, and the method.
pub(crate) type Way = (u64, u8);

/// What was seen of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operation {
    pub(crate) requests: u32,
    pub(crate) bodies: u32,
    pub(crate) statuses: u32,
    pub(crate) response_kinds: u16,
    pub(crate) request_kinds: u16,
    pub(crate) response_keys: Keys,
    pub(crate) request_keys: Keys,
    pub(crate) query: Keys,
    /// First segment on the way there, 0 at the node itself.
    pub(crate) first: u64,
    /// Segments on the way that are literal.
    pub(crate) literals: u8,
    /// The way, step by step.
    pub(crate) steps: Vec<u64>,
}

/// What goes on at and below some nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) operations: BTreeMap<Way, Operation>,
    /// Requests at and below.
    pub(crate) requests: u32,
    /// Requests that go through a variable right below.
    pub(crate) through_variable: u32,
    /// Ways on right below that are literal.
    pub(crate) firsts: BTreeSet<u64>,
}

/// Stands for a variable on a way.
const VARIABLE: u64 = 0x7661_7269_6162_6c65;

impl Profile {
    pub(crate) fn of(tree: &Tree, masked: &[bool], nodes: &[NodeId]) -> Profile {
        let mut profile = Profile::default();
        for &node in nodes {
            // Way, first step and literals so far.
            let mut stack = vec![(node, Vec::new())];
            while let Some((node, steps)) = stack.pop() {
                for leaf in &tree.node(node).leaves {
                    let operation = profile.operation(&steps, leaf.method);
                    operation.requests = operation.requests.saturating_add(leaf.requests);
                    operation.bodies = operation.bodies.saturating_add(leaf.bodies);
                    operation.statuses |= leaf.statuses;
                    operation.response_kinds |= leaf.response_kinds;
                    operation.request_kinds |= leaf.request_kinds;
                    operation.response_keys.merge(&leaf.response_keys);
                    operation.request_keys.merge(&leaf.request_keys);
                    operation.query.merge(&leaf.query);
                    profile.requests = profile.requests.saturating_add(leaf.requests);
                    match steps.first() {
                        Some(&VARIABLE) => {
                            profile.through_variable = profile.through_variable.saturating_add(leaf.requests)
                        }
                        Some(&first) => {
                            profile.firsts.insert(first);
                        }
                        None => {}
                    }
                }
                for child in tree.children(node) {
                    let is_variable = masked.get(child as usize).copied().unwrap_or_default();
                    let step = if is_variable { VARIABLE } else { tree.node(child).label.hash };
                    let mut further = steps.clone();
                    further.push(step);
                    stack.push((child, further));
                }
            }
        }
        profile
    }

    fn operation(&mut self, steps: &[u64], method: u8) -> &mut Operation {
        let way = steps.iter().fold(0, |way, step| mix(way, *step));
        self.operations.entry((way, method)).or_insert_with(|| Operation {
            first: steps.first().copied().unwrap_or_default(),
            literals: steps.iter().filter(|step| **step != VARIABLE).count() as u8,
            steps: steps.to_vec(),
            ..Operation::default()
        })
    }

    /// Words on the ways.
    pub(crate) fn words(&self) -> BTreeSet<u64> {
        self.operations
            .values()
            .flat_map(|operation| operation.steps.iter().copied())
            .filter(|step| *step != VARIABLE)
            .collect()
    }

    /// The same, with words other than `kept` taken for values.
    pub(crate) fn loosened(&self, kept: &HashSet<u64>) -> Profile {
        let mut loose = Profile { requests: self.requests, ..Profile::default() };
        for ((_, method), theirs) in &self.operations {
            let steps: Vec<u64> =
                theirs.steps.iter().map(|step| if kept.contains(step) { *step } else { VARIABLE }).collect();
            match steps.first() {
                Some(&VARIABLE) => loose.through_variable = loose.through_variable.saturating_add(theirs.requests),
                Some(&first) => {
                    loose.firsts.insert(first);
                }
                None => {}
            }
            loose.operation(&steps, *method).add(theirs);
        }
        loose
    }

    pub(crate) fn merge(&mut self, other: &Profile) {
        for ((_, method), theirs) in &other.operations {
            self.operation(&theirs.steps, *method).add(theirs);
        }
        self.requests = self.requests.saturating_add(other.requests);
        self.through_variable = self.through_variable.saturating_add(other.through_variable);
        self.firsts.extend(&other.firsts);
    }
}

impl Operation {
    /// Is the first step of the way part of the route?
    pub(crate) fn starts_literal(&self) -> bool {
        self.steps.first().is_some_and(|step| *step != VARIABLE)
    }

    fn add(&mut self, theirs: &Operation) {
        self.requests = self.requests.saturating_add(theirs.requests);
        self.bodies = self.bodies.saturating_add(theirs.bodies);
        self.statuses |= theirs.statuses;
        self.response_kinds |= theirs.response_kinds;
        self.request_kinds |= theirs.request_kinds;
        self.response_keys.merge(&theirs.response_keys);
        self.request_keys.merge(&theirs.request_keys);
        self.query.merge(&theirs.query);
    }
}

/// How common each key is over the operations of a service.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    operations: f64,
    seen_in: HashMap<u32, u32>,
    /// Places where a word is part of the route, and where it is a value, as last decided.
    uses: HashMap<u64, [u32; 2]>,
    /// Places below a word where there is no variable, and where there is one.
    below: HashMap<u64, [u32; 2]>,
    /// Ways on with a literal in them: below how many words that are part of the route, and below how many variables.
    ways: HashMap<Way, [u32; 2]>,
    /// Words that are part of routes, by [`Style`], and all of them.
    styles: BTreeMap<Style, u32>,
    /// Logarithm of the requests of the average operation.
    usual: f64,
}

impl Corpus {
    pub(crate) fn new(tree: &Tree, masked: &[bool], is_decided: bool) -> Corpus {
        let whole = Profile::of(tree, masked, &[ROOT]);
        let mut corpus = Corpus {
            usual: (f64::from(whole.requests.max(1)) / whole.operations.len().max(1) as f64).ln(),
            ..Corpus::default()
        };
        if is_decided {
            corpus.count_uses(tree, masked);
            corpus.count_ways(&whole);
        }
        for operation in whole.operations.values() {
            if operation.response_keys.is_empty() && operation.request_keys.is_empty() {
                continue;
            }
            corpus.operations += 1.0;
            for keys in [&operation.response_keys, &operation.request_keys] {
                for (key, _) in keys.iter() {
                    *corpus.seen_in.entry(key).or_default() += 1;
                }
            }
        }
        corpus
    }

    fn count_uses(&mut self, tree: &Tree, masked: &[bool]) {
        let mut seen = HashSet::new();
        // What is below each place: of which word, and whether a variable is there.
        let mut places: HashMap<u64, (u64, bool)> = HashMap::new();
        let mut stack = vec![(ROOT, 0)];
        while let Some((node, way)) = stack.pop() {
            for child in tree.children(node) {
                let is_value = masked.get(child as usize).copied().unwrap_or_default();
                let entry = tree.node(child);
                let word = entry.label.hash;
                let parent = tree.node(node).label;
                if parent.shape == Shape::Word {
                    places.entry(way).or_insert((parent.hash, false)).1 |= is_value;
                }
                if entry.label.shape == Shape::Word && !is_value && !self.uses.contains_key(&word) {
                    *self.styles.entry(entry.traits.style()).or_default() += 1;
                }
                // A place counts once for a word, however many values are above it.
                if entry.label.shape == Shape::Word && seen.insert((way, word)) {
                    let [literal, value] = self.uses.entry(word).or_default();
                    *(if is_value { value } else { literal }) += 1;
                }
                stack.push((child, mix(way, if is_value { VARIABLE } else { word })));
            }
        }
        for (word, has_variable) in places.into_values() {
            let [without, with] = self.below.entry(word).or_default();
            *(if has_variable { with } else { without }) += 1;
        }
    }

    /// Splits each way from the root at each of its places.
    fn count_ways(&mut self, whole: &Profile) {
        let mut seen = HashSet::new();
        for ((_, method), operation) in &whole.operations {
            let mut place = 0;
            for (number, step) in operation.steps.iter().enumerate() {
                place = mix(place, *step);
                let below = operation.steps.get(number + 1..).unwrap_or_default();
                if below.iter().all(|step| *step == VARIABLE) {
                    break;
                }
                let way = (below.iter().fold(0, |way, step| mix(way, *step)), *method);
                if seen.insert((place, way)) {
                    let [literal, value] = self.ways.entry(way).or_default();
                    *(if *step == VARIABLE { value } else { literal }) += 1;
                }
            }
        }
    }

    /// How much what goes on below resembles what goes on below variables elsewhere: logarithm of how many ways they have in common, if
    /// these are most of them.
    pub(crate) fn ways_of_values(&self, profile: &Profile) -> f64 {
        let (mut all, mut common) = (0.0, 0.0);
        for (way, operation) in &profile.operations {
            if operation.literals == 0 {
                continue;
            }
            all += 1.0;
            let [_, values] = self.ways.get(way).copied().unwrap_or_default();
            common += f64::from(u8::from(values > 0));
        }
        if all == 0.0 { 0.0 } else { (2.0 * common / all - 1.0).max(0.0) * f64::ln_1p(common) }
    }

    /// In how many other places below the same word there is no variable, and one.
    pub(crate) fn below(&self, word: u64, has_variable_here: bool) -> [f64; 2] {
        let [without, with] = self.below.get(&word).copied().unwrap_or_default();
        if has_variable_here {
            [f64::from(without), f64::from(with.saturating_sub(1))]
        } else {
            [f64::from(without.saturating_sub(1)), f64::from(with)]
        }
    }

    /// Are words put together in a way that the service's routes nearly never are?
    pub(crate) fn is_unusual(&self, style: Style) -> bool {
        let all: u32 = self.styles.values().sum();
        let these = self.styles.get(&style).copied().unwrap_or_default();
        style != Style::Plain && all >= 10 && these <= all / 20
    }

    /// In how many other places the word is part of the route, and a value.
    pub(crate) fn elsewhere(&self, word: u64, is_value_here: bool) -> [f64; 2] {
        let [literal, value] = self.uses.get(&word).copied().unwrap_or_default();
        if is_value_here {
            [f64::from(literal), f64::from(value.saturating_sub(1))]
        } else {
            [f64::from(literal.saturating_sub(1)), f64::from(value)]
        }
    }

    /// Logarithm of how many times the requests of the average operation these are.
    pub(crate) fn relative(&self, requests: f64) -> f64 {
        requests.max(0.01).ln() - self.usual
    }

    /// How much it says that two operations both have a key.
    pub(crate) fn weight(&self, key: u32) -> f64 {
        let seen = self.seen_in.get(&key).copied().unwrap_or_default();
        ((self.operations + 2.0) / (f64::from(seen) + 1.0)).ln()
    }
}
