//! From what was learnt to route templates: a pure function of the merged tree.
//!
//! Top-down, over views: a view is the set of tree nodes that one place of the templates stands for. At each view the children
//! are told into literals and at most one variable. The subtrees of the variable's values are then one view, so that what is
//! rare below one value is judged on all of them. What was decided below changes how alike subtrees look, so the whole is done
//! again until nothing changes, at most [`ROUNDS`] times.

use std::collections::BTreeMap;

use super::known::KnownPlace;
use super::profile::{Corpus, Profile};
use super::score::{self, Documented, Judge, Place, Trace};
use super::shape::Shape;
use super::sketch::Distinct;
use super::tree::{Label, Leaf, NodeId, ROOT, Tree};
use super::words::{self, Traits};

/// Rounds to a fixed point; the third one rarely changes anything.
const ROUNDS: usize = 4;

/// A place in the templates of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decided {
    pub(crate) segment: Segment,
    pub(crate) children: Vec<Decided>,
    /// What was seen here, by method.
    pub(crate) leaves: Vec<Leaf>,
}

/// A segment of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Segment {
    /// Part of the route.
    Literal {
        text: String,
        /// That it is no value, 0 to 1.
        confidence: f64,
    },
    /// A value, maybe with a literal ending behind it.
    Variable {
        ending: String,
        /// That it is one, 0 to 1.
        confidence: f64,
        reasons: Vec<&'static str>,
        /// Shapes of the values, and how many requests show each.
        shapes: BTreeMap<Shape, u64>,
        /// Distinct values, an estimate above 64.
        distinct: u64,
    },
}

impl Default for Segment {
    fn default() -> Self {
        Segment::Literal { text: String::new(), confidence: 1.0 }
    }
}

/// Decides the templates of a service; `known` is what of them is documented. Gives them, and for each node of the tree whether it is a value.
pub(crate) fn decide(
    tree: &Tree,
    claimed: &[bool],
    known: Option<&KnownPlace>,
    trace: &mut Option<Vec<Trace>>,
) -> (Decided, Vec<bool>) {
    let known: Vec<&KnownPlace> = known.into_iter().collect();
    let mut masked: Vec<bool> = (0..tree.ids()).map(|id| tree.node(id as NodeId).label.shape.is_value()).collect();
    let mut decided = Decided::default();
    for round in 0..ROUNDS {
        let corpus = Corpus::new(tree, &masked, round > 0);
        let mut next: Vec<bool> = masked.clone();
        if let Some(rows) = trace {
            rows.clear();
        }
        let round = Round { tree, masked: &masked, corpus: &corpus, claimed };
        let place = Place { base: true, depth: Some(0), ..Place::default() };
        decided = round.view(Segment::default(), vec![ROOT], (&place, &known), &mut next, trace);
        if next == masked {
            break;
        }
        masked = next;
    }
    (decided, masked)
}

struct Round<'a> {
    tree: &'a Tree,
    masked: &'a [bool],
    corpus: &'a Corpus,
    /// Nodes whose requests a pinned template claims.
    claimed: &'a [bool],
}

/// A child of a view before it is decided: nodes with the same label.
pub(crate) struct Child {
    pub(crate) label: Label,
    pub(crate) traits: Traits,
    pub(crate) text: String,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) profile: Profile,
}

impl Round<'_> {
    fn view(
        &self,
        segment: Segment,
        nodes: Vec<NodeId>,
        (place, known): (&Place, &[&KnownPlace]),
        masked: &mut [bool],
        trace: &mut Option<Vec<Trace>>,
    ) -> Decided {
        let mut leaves: BTreeMap<u8, Leaf> = BTreeMap::new();
        let mut has_collection = false;
        let mut labels: BTreeMap<Label, Vec<NodeId>> = BTreeMap::new();
        for &node in &nodes {
            let is_claimed = self.claimed.get(node as usize).copied().unwrap_or_default();
            for leaf in &self.tree.node(node).leaves {
                has_collection |= leaf.method == 0;
                if !is_claimed {
                    leaves
                        .entry(leaf.method)
                        .or_insert_with(|| Leaf { method: leaf.method, ..Leaf::default() })
                        .merge(leaf);
                }
            }
            for child in self.tree.children(node) {
                labels.entry(self.tree.node(child).label).or_default().push(child);
            }
        }
        let children: Vec<Child> = labels.into_iter().map(|(label, nodes)| self.child(label, nodes)).collect();
        let place = Place { has_collection, ..*place };
        let documented = children.iter().map(|child| {
            let text = self.literal_text(child);
            known.iter().any(|known| known.has(&text))
        });
        let literals: Vec<bool> = documented.collect();
        let has_variable = known.iter().any(|known| known.has_variable());
        let has_literals = known.iter().any(|known| known.has_literals());
        let prior = |child: &Child| match (has_variable, has_literals) {
            (true, _) => known.iter().map(|known| prior_of(known.fit(self.tree, &child.nodes))).fold(-2.0, f64::max),
            // Where only parts of the route are documented nearly nothing else stands.
            (false, true) => -3.0,
            (false, false) => 0.0,
        };
        let documented = Documented { priors: children.iter().map(prior).collect(), literals, has_variable };
        let judge = Judge { tree: self.tree, masked: self.masked, corpus: self.corpus, place, children: &children };
        let split = judge.split(&documented, trace);

        let mut decided = Decided { segment, children: Vec::new(), leaves: leaves.into_values().collect() };
        // A variable with each of its endings is a place of its own.
        let mut variables: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        for (child, verdict) in children.into_iter().zip(&split.verdicts) {
            let text = self.literal_text(&child);
            // A word of which only the hash is known can be shown as a value only.
            let is_value = verdict.is_value || text.is_empty();
            for &node in &child.nodes {
                if let Some(mask) = masked.get_mut(node as usize) {
                    *mask = is_value;
                }
            }
            if is_value {
                let ending = if child.label.shape.is_value() { child.text } else { String::new() };
                variables.entry(ending).or_default().extend(child.nodes);
                continue;
            }
            let below = Place {
                base: place.base && words::is_base(&text),
                depth: place.depth.map(|depth| depth.saturating_add(1)),
                parent: if child.label.shape == Shape::Word { child.label.hash } else { 0 },
                parent_is_plural: words::is_plural(&text),
                parent_is_value: false,
                has_collection: false,
            };
            let behind: Vec<&KnownPlace> = known.iter().flat_map(|known| known.behind(&text)).collect();
            let segment = Segment::Literal { text, confidence: score::confidence(-verdict.score) };
            decided.children.push(self.view(segment, child.nodes, (&below, &behind), masked, trace));
        }
        let behind: Vec<&KnownPlace> = known.iter().filter_map(|known| known.behind_value()).collect();
        for (ending, nodes) in variables {
            let below = Place { parent_is_value: true, ..Place::default() };
            let (shapes, distinct) = self.values_of(&nodes);
            let confidence = score::confidence(split.score);
            let segment = Segment::Variable { ending, confidence, reasons: split.reasons.clone(), shapes, distinct };
            decided.children.push(self.view(segment, nodes, (&below, &behind), masked, trace));
        }
        decided.children.sort_by(|a, b| a.segment.order().cmp(&b.segment.order()));
        decided
    }

    fn child(&self, label: Label, nodes: Vec<NodeId>) -> Child {
        let known = nodes.iter().map(|&node| self.tree.node(node)).find(|node| !node.text.is_empty());
        let (text, traits) = match known.or_else(|| nodes.first().map(|&node| self.tree.node(node))) {
            Some(node) => (node.text.to_string(), node.traits),
            None => (String::new(), Traits::default()),
        };
        let profile = Profile::of(self.tree, self.masked, &nodes);
        Child { label, traits, text, nodes, profile }
    }

    fn literal_text(&self, child: &Child) -> String {
        if !child.label.shape.is_value() {
            return child.text.clone();
        }
        match score::only_value(self.tree, child) {
            Some(only) => format!("{only}{}", child.text),
            None => String::new(),
        }
    }

    /// Shapes of values with their requests, and how many distinct values.
    fn values_of(&self, nodes: &[NodeId]) -> (BTreeMap<Shape, u64>, u64) {
        let mut shapes: BTreeMap<Shape, u64> = BTreeMap::new();
        let mut distinct = Distinct::default();
        for &node in nodes {
            let entry = self.tree.node(node);
            let profile = Profile::of(self.tree, self.masked, &[node]);
            *shapes.entry(entry.label.shape).or_default() += u64::from(profile.requests);
            match &entry.values {
                Some(values) => distinct.merge(&values.distinct),
                None => distinct.add(entry.label.hash),
            }
        }
        (shapes, distinct.count())
    }
}

/// Log-odds that a word is a value of a documented variable, by how many of its operations are documented behind that
/// ([`KnownPlace::fit`]).
fn prior_of([fit, below, all]: [u32; 3]) -> f64 {
    if all == 0 {
        return 0.0;
    }
    // Nothing but the variable explains what goes on behind several words of it.
    let is_whole = fit == all && below > 1;
    let sure = if is_whole { 7.0 } else { 2.5 * f64::from(below.min(1)) };
    3.0 * f64::from(fit) / f64::from(all) - 2.0 + sure
}

impl Segment {
    /// Literals by their text, then variables.
    pub(crate) fn order(&self) -> (bool, &str) {
        match self {
            Segment::Literal { text, .. } => (false, text),
            Segment::Variable { ending, .. } => (true, ending),
        }
    }
}
