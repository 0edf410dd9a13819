//! The evidence that children of a place are values and not parts of the route, added up as log-odds.
//!
//! Two questions are asked. Where no shape shows a variable: is the most coherent group of words one ([`Group`])? Where there
//! is a variable: is a word one of its values ([`Member`])? Each answer is a sum of weighted features; the weights are fitted on
//! generated traffic of many APIs and hold no word of any of them.

use std::collections::HashSet;

use super::decide::Child;
use super::features::{self, Features, Group, Member, Solo};
use super::profile::{Corpus, Profile};
use super::shape::Shape;
use super::tree::{NodeId, Tree};

/// Where children are judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Nothing above but what stands before the resources of an API: its name, a version.
    pub(crate) base: bool,
    /// Segments above, all of them part of the route; `None` below a value.
    pub(crate) depth: Option<u8>,
    /// Hash of the word above, 0 if it is no word.
    pub(crate) parent: u64,
    /// The segment above is a plural.
    pub(crate) parent_is_plural: bool,
    /// The segment above is a value.
    pub(crate) parent_is_value: bool,
    /// GET was answered here.
    pub(crate) has_collection: bool,
}

/// What of a place is documented.
#[derive(Clone, Debug, Default)]
pub(crate) struct Documented {
    /// By child: a part of the route.
    pub(crate) literals: Vec<bool>,
    /// By child: log-odds that it is a value.
    pub(crate) priors: Vec<f64>,
    /// There are values.
    pub(crate) has_variable: bool,
}

impl Documented {
    fn prior(&self, members: &[usize]) -> f64 {
        let known = members.iter().filter_map(|&index| self.priors.get(index));
        known.sum::<f64>() / members.len().max(1) as f64
    }
}

/// What was made of one child.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) is_value: bool,
    /// Log-odds that it is a value.
    pub(crate) score: f64,
}

/// What was made of the children of a place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Split {
    pub(crate) verdicts: Vec<Verdict>,
    /// Log-odds that there is a variable here.
    pub(crate) score: f64,
    pub(crate) reasons: Vec<&'static str>,
}

/// One question that was asked, for those who want to know why, or fit the weights.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `group` or `member`.
    pub question: &'static str,
    /// The words that were judged, with a path down to them ([`super::places`]).
    pub words: Vec<String>,
    /// The features by name.
    pub features: Vec<(&'static str, f64)>,
    /// The answer: log-odds.
    pub score: f64,
}

/// Words whose subtrees look alike.
pub(crate) struct Alike {
    /// What goes on below all of them, words that only one of them has taken for values.
    pub(crate) profile: Profile,
    pub(crate) members: Vec<usize>,
    /// Sum over the members but the first of how much they look like those before them.
    pub(crate) likeness: f64,
}

/// A group of words that are values: places among the children, log-odds, reasons.
type Found = (Vec<usize>, f64, Vec<&'static str>);

/// Log-odds as a probability.
pub(crate) fn confidence(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// What is known where children are judged.
pub(crate) struct Judge<'a> {
    pub(crate) tree: &'a Tree,
    /// What the round before took for values, by node.
    pub(crate) masked: &'a [bool],
    pub(crate) corpus: &'a Corpus,
    pub(crate) place: Place,
    pub(crate) children: &'a [Child],
}

/// What the values at a place look like.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) profile: Profile,
    /// Distinct values known by their shape.
    pub(crate) shaped: u64,
    /// Of those, of shapes that leave no room for words: UUIDs and the like.
    pub(crate) strict: u64,
    pub(crate) words: Vec<usize>,
}

impl Values {
    fn add_shaped(&mut self, tree: &Tree, child: &Child) {
        let nodes = child.nodes.iter().filter_map(|&node| tree.node(node).values.as_ref());
        let distinct = nodes.map(|values| values.distinct.count()).max().unwrap_or_default();
        self.shaped += distinct;
        if matches!(
            child.label.shape,
            Shape::Uuid | Shape::Ulid | Shape::Hex | Shape::Email | Shape::Date | Shape::DateTime | Shape::Integer
        ) {
            self.strict += distinct;
        }
        self.profile.merge(&child.profile);
    }
}

impl Judge<'_> {
    /// Tells the children into values and literals.
    pub(crate) fn split(&self, documented: &Documented, trace: &mut Option<Vec<Trace>>) -> Split {
        let is_documented = |index: usize| documented.literals.get(index) == Some(&true);
        let children = self.children;
        let mut split =
            Split { verdicts: vec![Verdict { is_value: false, score: -3.0 }; children.len()], ..Split::default() };
        let mut values = Values::default();
        for (index, (child, verdict)) in children.iter().zip(&mut split.verdicts).enumerate() {
            if is_documented(index) {
                *verdict = Verdict { is_value: false, score: -9.0 };
                continue;
            }
            if !child.label.shape.is_value() {
                continue;
            }
            // One date or number above everything is the API's version, or its name.
            // Behind the prefix of a gateway too, where nothing else is.
            // One of many of a kind it is behind a plural.
            let is_only = children.len() == 1
                && !self.place.has_collection
                && self.place.depth.is_some_and(|depth| depth <= 2)
                && (!self.place.parent_is_plural || child.label.shape == Shape::Date);
            let is_base = (self.place.base || is_only)
                && only_value(self.tree, child).is_some_and(|only| !only.starts_with('{'))
                && child.profile.operations.len() > 3;
            if !is_base {
                *verdict = Verdict { is_value: true, score: 6.0 };
                values.add_shaped(self.tree, child);
            }
        }
        let words: Vec<usize> = children
            .iter()
            .enumerate()
            .filter(|(index, child)| !child.label.shape.is_value() && !is_documented(*index))
            .map(|(index, _)| index)
            .collect();
        if values.shaped > 0 {
            split.score = 6.0;
            split.reasons.push("shape");
        }
        for (members, score, reasons) in self.value_groups(&words, &values, documented, trace) {
            if split.score < score {
                (split.score, split.reasons) = (score, reasons);
            }
            for index in members {
                split.verdicts[index] = Verdict { is_value: true, score };
                values.profile.merge(&children[index].profile);
                values.words.push(index);
            }
        }
        self.expel(&mut values, &mut split);
        self.expel_token(&mut values, &mut split);
        if values.shaped > 0 || !values.words.is_empty() {
            self.absorb(&words, &mut values, documented, &mut split, trace);
        } else if documented.has_variable {
            // Nothing to compare with, but that it is no word that names something special.
            for &index in &words {
                let traits = children[index].traits;
                let is_special = traits.is_reserved() || traits.is_action() || traits.is_plural();
                let score = documented.prior(&[index]) - if is_special { 2.5 } else { 0.0 };
                split.verdicts[index] = Verdict { is_value: score > 0.0, score };
                split.score = split.score.max(score);
            }
        }
        split
    }

    /// Takes words out again that came in with a group and do not look like its other values: parts of the route that stand beside a
    /// variable and answer as its values do (`search`, `config`).
    fn expel(&self, values: &mut Values, split: &mut Split) {
        /// Values from which on one can stand out.
        const FEWEST: usize = 4;
        /// Words looked at, those with the most requests first: each costs a walk over all others.
        const SUSPECTS: usize = 8;
        /// Log-odds that it is no value.
        const SURE: f64 = 3.0;
        if values.words.len() < FEWEST {
            return;
        }
        let requests = |index: &usize| self.children[*index].profile.requests;
        let usual = values.words.iter().map(|index| f64::from(requests(index)).ln_1p()).sum::<f64>()
            / values.words.len() as f64;
        let mut suspects: Vec<usize> = values
            .words
            .iter()
            .copied()
            .filter(|index| {
                let traits = self.children[*index].traits;
                let is_named = traits.is_reserved() || traits.is_action() || traits.is_plural();
                is_named || f64::from(requests(index)).ln_1p() > usual + 2.0
            })
            .collect();
        suspects.sort_by_key(|index| (std::cmp::Reverse(requests(index)), self.children[*index].label));
        suspects.truncate(SUSPECTS);
        let mut expelled = Vec::new();
        for suspect in suspects {
            let others: Vec<usize> =
                values.words.iter().copied().filter(|index| *index != suspect && !expelled.contains(index)).collect();
            let without = self.values_with(&others, split);
            let features = features::member(self, &self.children[suspect], &without);
            let score = features.score(&Member::WEIGHTS);
            if score < -SURE {
                split.verdicts[suspect] = Verdict { is_value: false, score };
                expelled.push(suspect);
            }
        }
        if !expelled.is_empty() {
            values.words.retain(|index| !expelled.contains(index));
            *values = self.values_with(&values.words, split);
        }
    }

    /// Takes the only token among words for a part of the route where it is asked for far more often than they are: a variable whose
    /// values are tokens has more of them.
    fn expel_token(&self, values: &mut Values, split: &mut Split) {
        /// Words from which on they say what values look like here.
        const FEWEST: usize = 4;
        /// How many times the requests of the average word.
        const BUSIER: u64 = 3;
        let words = values.words.len() as u64;
        let requests: u64 = values.words.iter().map(|index| u64::from(self.children[*index].profile.requests)).sum();
        if values.words.len() < FEWEST {
            return;
        }
        let mut found = false;
        for (child, verdict) in self.children.iter().zip(&mut split.verdicts) {
            let is_it = child.label.shape == Shape::Token
                && only_value(self.tree, child).is_some_and(|only| !only.starts_with('{'))
                && u64::from(child.profile.requests) * words > requests * BUSIER;
            if is_it && verdict.is_value {
                *verdict = Verdict { is_value: false, score: -1.0 };
                found = true;
            }
        }
        if found {
            *values = self.values_with(&values.words, split);
        }
    }

    /// The values that are known by their shape, and these words.
    fn values_with(&self, words: &[usize], split: &Split) -> Values {
        let mut values = Values { words: words.to_vec(), ..Values::default() };
        for &index in words {
            values.profile.merge(&self.children[index].profile);
        }
        for (child, verdict) in self.children.iter().zip(&split.verdicts) {
            if child.label.shape.is_value() && verdict.is_value {
                values.add_shaped(self.tree, child);
            }
        }
        values
    }

    /// Brings words in that are values too. Each round may make the profile richer, and so bring more in.
    fn absorb(
        &self,
        words: &[usize],
        values: &mut Values,
        documented: &Documented,
        split: &mut Split,
        trace: &mut Option<Vec<Trace>>,
    ) {
        /// The prior of a word that is documented as a value, with nothing behind it.
        const LEAF: f64 = 1.0;
        for round in 0..3 {
            let mut found = Vec::new();
            for &index in words {
                if split.verdicts[index].is_value {
                    continue;
                }
                let features = features::member(self, &self.children[index], values);
                let mut prior = documented.prior(&[index]);
                // Values of shapes that words do not have say that a word is none, whatever a document admits.
                if prior <= LEAF && values.words.is_empty() && values.shaped > 2 {
                    prior = prior.min(0.0);
                }
                let score = features.score(&Member::WEIGHTS) + prior;
                split.verdicts[index].score = score;
                if score > 0.0 {
                    found.push(index);
                }
                if let (0, Some(rows)) = (round, trace.as_mut()) {
                    rows.push(self.row("member", &[index], &features, &Member::NAMES, score));
                }
            }
            if found.is_empty() {
                break;
            }
            for index in found {
                split.verdicts[index].is_value = true;
                values.profile.merge(&self.children[index].profile);
                values.words.push(index);
            }
        }
    }

    /// The groups of words that are likely to be the values of a variable.
    fn value_groups(
        &self,
        words: &[usize],
        values: &Values,
        documented: &Documented,
        trace: &mut Option<Vec<Trace>>,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        let mut solo: Option<Found> = None;
        for group in self.groups(words) {
            let features = features::group(self, &group, words, values);
            let is_alone = group.members.len() == 1;
            let (question, weights, names) = match is_alone {
                true => ("solo", &Solo::WEIGHTS, &Solo::NAMES),
                false => ("group", &Group::WEIGHTS, &Group::NAMES),
            };
            let score = features.score(weights) + documented.prior(&group.members);
            if let Some(rows) = trace.as_mut() {
                rows.push(self.row(question, &group.members, &features, names, score));
            }
            if score > 0.0 {
                let reasons = features.reasons(weights, names);
                if !is_alone {
                    found.push((group.members, score, reasons));
                } else if solo.as_ref().is_none_or(|(_, best, _)| score > *best) {
                    solo = Some((group.members, score, reasons));
                }
            }
        }
        if found.is_empty() && values.shaped == 0 {
            found.extend(solo);
        }
        found
    }

    /// Groups words whose subtrees look alike. Words below that only one of them has count as values.
    fn groups(&self, words: &[usize]) -> Vec<Alike> {
        /// Groups kept; further words join none.
        const GROUPS: usize = 64;
        /// Likeness from which a word joins a group: nothing speaks against it.
        const JOINS: f64 = -0.5;
        let kept = self.shared_words(words);
        let children = self.children;
        let mut order: Vec<usize> = words.to_vec();
        order.sort_by_key(|&index| (std::cmp::Reverse(children[index].profile.requests), children[index].label));
        let mut groups: Vec<Alike> = Vec::new();
        for index in order {
            let loose = children[index].profile.loosened(&kept);
            let best = groups
                .iter()
                .enumerate()
                .map(|(number, group)| (features::likeness(self.corpus, &loose, &group.profile), number))
                .filter(|(score, _)| *score >= JOINS)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match best {
                Some((score, number)) => {
                    let group = &mut groups[number];
                    group.profile.merge(&loose);
                    group.members.push(index);
                    group.likeness += score;
                }
                None if groups.len() < GROUPS => {
                    groups.push(Alike { profile: loose, members: vec![index], likeness: 0.0 });
                }
                None => {}
            }
        }
        groups
    }

    /// Words that stand below two of the children.
    fn shared_words(&self, words: &[usize]) -> HashSet<u64> {
        let (mut once, mut twice) = (HashSet::new(), HashSet::new());
        for &index in words {
            for word in self.children[index].profile.words() {
                if !once.insert(word) {
                    twice.insert(word);
                }
            }
        }
        twice
    }

    fn row<const N: usize>(
        &self,
        question: &'static str,
        words: &[usize],
        features: &Features<N>,
        names: &[&'static str; N],
        score: f64,
    ) -> Trace {
        let path = |index: &usize| {
            let node: NodeId = self.children[*index].nodes.first().copied().unwrap_or_default();
            self.tree.path_of(node)
        };
        Trace {
            question,
            words: words.iter().map(path).collect(),
            features: names.iter().copied().zip(features.0).collect(),
            score,
        }
    }
}

pub(crate) fn only_value<'a>(tree: &'a Tree, child: &Child) -> Option<&'a str> {
    let mut only = None;
    for &node in &child.nodes {
        let text = tree.node(node).values.as_ref()?.only.as_deref()?;
        if only.is_some_and(|other| other != text) {
            return None;
        }
        only = Some(text);
    }
    only
}
