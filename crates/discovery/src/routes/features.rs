//! The features that tell values from parts of the route, and their weights.

use std::collections::HashMap;

use super::decide::Child;
use super::profile::{Corpus, Operation, Profile, Way};
use super::score::{Alike, Judge, Values};
use super::sketch::Keys;
use super::words::{Style, Traits};

/// Features of one question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features<const N: usize>(pub(crate) [f64; N]);

impl<const N: usize> Features<N> {
    /// Log-odds.
    pub(crate) fn score(&self, weights: &[f64; N]) -> f64 {
        self.0.iter().zip(weights).map(|(value, weight)| value * weight).sum()
    }

    /// What speaks for it, the strongest first.
    pub(crate) fn reasons(&self, weights: &[f64; N], names: &[&'static str; N]) -> Vec<&'static str> {
        let mut for_it: Vec<(f64, &'static str)> =
            self.0.iter().zip(weights).zip(names).map(|((value, weight), name)| (value * weight, *name)).collect();
        for_it.retain(|(part, name)| *part > 0.3 && *name != "bias");
        for_it.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        for_it.into_iter().take(4).map(|(_, name)| name).collect()
    }
}

macro_rules! features {
    ($(#[$doc:meta])* $kind:ident, $count:literal: $($name:literal = $weight:expr),+ $(,)?) => {
        $(#[$doc])*
        pub(crate) struct $kind;

        impl $kind {
            pub(crate) const NAMES: [&'static str; $count] = [$($name),+];
            pub(crate) const WEIGHTS: [f64; $count] = [$($weight),+];
        }
    };
}

features! {
    /// Is a group of words the values of a variable?
    Group, 43:
    "bias" = -7.20,
    "many alike" = 0.54,
    "only two" = 0.18,
    "below the base path" = -1.22,
    "below a value" = 0.46,
    "plural parent" = 1.46,
    "below a collection" = 0.31,
    "reserved words" = -0.53,
    "action words" = -2.25,
    "digits in them" = 2.65,
    "file names" = 2.57,
    "mixed styles" = 1.45,
    "repeated in bodies" = -0.73,
    "listed by the collection" = 0.88,
    "seen as values" = 1.99,
    "value right below" = 1.34,
    "nothing below" = -0.24,
    "alike in schema" = 0.52,
    "many seen once" = 2.28,
    "requests each" = -0.92,
    "share of siblings" = 0.99,
    "only posted to" = -1.54,
    "changed or deleted" = -0.04,
    "read" = 0.31,
    "same words below" = 0.86,
    "other groups" = 0.01,
    "odd characters" = 0.06,
    "shaped values here" = -0.45,
    "values elsewhere" = 2.15,
    "parts of routes elsewhere" = -1.07,
    "versions" = -4.00,
    "plural words" = -2.34,
    "no schema known" = 1.44,
    "ways shared below" = 0.40,
    "values below the word elsewhere" = 0.80,
    "no values below the word elsewhere" = -0.21,
    "unusual style" = 2.44,
    "random letters" = 0.74,
    "read and deleted" = 0.97,
    "requests for each operation" = -0.55,
    "many same ways right below" = 2.00,
    "ways of values below" = 2.00,
    "codes" = 5.00,
}

features! {
    /// Is one word the only value seen of a variable?
    Solo, 43:
    "bias" = -4.41,
    "many alike" = 0.00,
    "only two" = 0.00,
    "below the base path" = -0.98,
    "below a value" = -0.32,
    "plural parent" = 1.39,
    "below a collection" = 0.45,
    "reserved words" = -1.10,
    "action words" = -1.10,
    "digits in them" = 1.04,
    "file names" = 0.00,
    "mixed styles" = 0.00,
    "repeated in bodies" = 0.52,
    "listed by the collection" = 0.58,
    "seen as values" = 1.35,
    "value right below" = -0.20,
    "nothing below" = -0.59,
    "alike in schema" = 0.00,
    "many seen once" = 1.62,
    "requests each" = -0.29,
    "share of siblings" = 0.94,
    "only posted to" = -1.08,
    "changed or deleted" = 0.42,
    "read" = -0.11,
    "same words below" = 0.00,
    "other groups" = 0.07,
    "odd characters" = -0.28,
    "shaped values here" = -0.11,
    "values elsewhere" = 1.23,
    "parts of routes elsewhere" = -1.61,
    "versions" = -4.00,
    "plural words" = -1.15,
    "no schema known" = 0.28,
    "ways shared below" = 0.00,
    "values below the word elsewhere" = 1.17,
    "no values below the word elsewhere" = 0.01,
    "unusual style" = 2.22,
    "random letters" = 0.71,
    "read and deleted" = 0.41,
    "requests for each operation" = -0.29,
    "many same ways right below" = 0.00,
    "ways of values below" = 3.00,
    "codes" = 0.00,
}

features! {
    /// Is a word a value of a variable?
    Member, 34:
    "bias" = -1.31,
    "below the base path" = -2.46,
    "below a value" = -0.75,
    "reserved word" = -1.00,
    "action word" = -2.77,
    "digits in it" = 1.54,
    "file name" = 3.83,
    "odd characters" = 0.04,
    "repeated in bodies" = 0.22,
    "listed by the collection" = 1.05,
    "seen as a value" = 1.93,
    "values have strict shapes" = -2.78,
    "values are words" = 1.76,
    "other status" = -1.42,
    "other media type" = -1.02,
    "response keys" = 0.78,
    "request keys" = -0.53,
    "query names" = 0.49,
    "nothing in common" = -0.59,
    "same operations here" = 0.32,
    "same words below" = 0.90,
    "operations that values lack" = 0.19,
    "lacks operations of values" = -0.21,
    "many requests" = -0.68,
    "busier than values" = -0.44,
    "value right below" = 0.62,
    "value elsewhere" = 1.15,
    "part of routes elsewhere" = -1.87,
    "version" = 0.00,
    "plural word" = -2.07,
    "unusual style" = 2.68,
    "random letters" = 0.91,
    "random values" = -0.49,
    "values of unusual style" = 1.13,
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Features of the question whether `members` are values.
pub(crate) fn group(judge: &Judge<'_>, group: &Alike, words: &[usize], values: &Values) -> Features<43> {
    let (profile, members) = (&group.profile, group.members.as_slice());
    let count = members.len() as f64;
    let children = judge.children;
    let share =
        |test: &dyn Fn(&Child) -> bool| members.iter().filter(|&&index| test(&children[index])).count() as f64 / count;
    let requests: f64 = members.iter().map(|&index| f64::from(children[index].profile.requests)).sum();
    let styles: std::collections::BTreeSet<Style> =
        members.iter().map(|&index| children[index].traits.style()).collect();
    let cohesion = group.likeness / (count - 1.0).max(1.0);
    let endings: std::collections::BTreeSet<u32> =
        members.iter().filter_map(|&index| children[index].traits.file_ending()).collect();
    let mut ways: HashMap<Way, u32> = HashMap::new();
    for &index in members {
        let literal = children[index].profile.operations.iter().filter(|(_, operation)| operation.literals > 0);
        for (way, _) in literal {
            *ways.entry(*way).or_default() += 1;
        }
    }
    ways.retain(|_, members| *members > 1);
    let is_base = judge.place.base || members.iter().all(|&index| children[index].traits.is_version());
    let ways_of_values = |index: &usize| judge.corpus.ways_of_values(&children[*index].profile);
    let is_right_below = |way: &&Way| profile.operations.get(way).is_some_and(|operation| operation.starts_literal());
    let same = ways.keys().filter(is_right_below).count() as u32;
    let has_literal_below = |child: &Child| child.profile.operations.keys().any(|way| ways.contains_key(way));
    let has_variable_here = children
        .iter()
        .flat_map(|child| &child.nodes)
        .any(|&node| judge.masked.get(node as usize).copied().unwrap_or_default());
    let [none_below, some_below] = judge.corpus.below(judge.place.parent, has_variable_here);
    let right_here = |child: &Child, methods: &[u8]| {
        methods.iter().any(|method| child.profile.operations.contains_key(&(0, *method)))
    };
    Features([
        1.0,
        count.log2(),
        flag(members.len() == 2),
        flag(judge.place.base),
        flag(judge.place.parent_is_value),
        flag(judge.place.parent_is_plural),
        flag(judge.place.has_collection),
        share(&|child| child.traits.is_reserved()),
        share(&|child| child.traits.is_action()),
        share(&|child| child.traits.has_digit()),
        if endings.len() > 1 { share(&|child| child.traits.file_ending().is_some()) } else { 0.0 },
        flag(styles.contains(&Style::Kebab) && styles.contains(&Style::Snake))
            + flag(styles.contains(&Style::Title) && styles.len() > 1),
        share(&|child| echoed(judge, child)),
        share(&|child| listed(judge, child)),
        share(&|child| seen(judge, child)),
        share(&|child| child.profile.through_variable * 4 > child.profile.requests),
        share(&|child| child.profile.operations.keys().all(|(way, _)| *way == 0)),
        cohesion,
        share(&|child| child.profile.requests == 1),
        judge.corpus.relative(requests / count).clamp(-4.0, 4.0),
        count / words.len() as f64,
        flag(profile.operations.keys().all(|(way, method)| *way == 0 && *method == 1)),
        share(&|child| right_here(child, &[2, 3, 4])),
        share(&|child| right_here(child, &[0])),
        share(&has_literal_below),
        ((words.len() - members.len()) as f64).ln_1p(),
        share(&|child| child.traits.is_odd()),
        (values.shaped as f64).ln_1p().min(4.0),
        share(&|child| elsewhere(judge, child)[1] > 0.0),
        share(&|child| elsewhere(judge, child)[0] > 0.0),
        // Many of them may well be the versions of a package.
        share(&|child| child.traits.is_version())
            * if judge.place.base {
                2.0
            } else if count <= 4.0 {
                1.0
            } else {
                0.2
            },
        share(&|child| child.traits.is_plural()),
        flag(profile.operations.values().all(|operation| operation.response_keys.is_empty())),
        (ways.len() as f64).ln_1p(),
        some_below.ln_1p().min(2.0),
        none_below.ln_1p().min(2.0),
        share(&|child| judge.corpus.is_unusual(child.traits.style())),
        share(&|child| child.traits.is_random()),
        share(&|child| right_here(child, &[0]) && right_here(child, &[3])),
        judge.corpus.relative(requests / count / profile.operations.len().max(1) as f64).clamp(-4.0, 4.0),
        // Parts of a route, such as versions, share what is below them at the base of an API only.
        if is_base { 0.0 } else { ((1.0 + f64::from(same)) / 4.0).ln().max(0.0) },
        // Of groups the first members say as much as all.
        if is_base { 0.0 } else { members.iter().take(8).map(ways_of_values).sum::<f64>() / count.min(8.0) },
        // One word of two letters is nothing unusual, three are.
        flag(members.len() > 2 && members.iter().all(|&index| children[index].traits.is_code())),
    ])
}

/// Features of the question whether a word is one of `values`.
pub(crate) fn member(judge: &Judge<'_>, child: &Child, values: &Values) -> Features<34> {
    let like = compare(judge.corpus, &child.profile, &values.profile);
    let strict = if values.words.is_empty() {
        values.strict as f64 / values.shaped.max(1) as f64 * (values.shaped as f64).ln_1p().min(3.0) / 3.0
    } else {
        0.0
    };
    let share_of_values = |test: &dyn Fn(Traits) -> bool| {
        let fitting = values.words.iter().filter(|&&index| test(judge.children[index].traits)).count();
        fitting as f64 / values.words.len().max(1) as f64
    };
    let known = (values.shaped + values.words.len() as u64).max(1) as f64;
    let busier = (f64::from(child.profile.requests) / (f64::from(values.profile.requests) / known)).ln();
    Features([
        1.0,
        flag(judge.place.base),
        flag(judge.place.parent_is_value),
        flag(child.traits.is_reserved()),
        flag(child.traits.is_action()),
        flag(child.traits.has_digit()),
        flag(child.traits.file_ending().is_some()),
        flag(child.traits.is_odd()),
        flag(echoed(judge, child)),
        flag(listed(judge, child)),
        flag(seen(judge, child)),
        strict,
        flag(!values.words.is_empty()),
        like.other_status.min(2.0),
        like.other_kind.min(2.0),
        like.response_keys.clamp(-1.0, 1.0),
        like.request_keys.clamp(-1.0, 1.0),
        like.query.clamp(-2.0, 2.0),
        flag(like.shared == 0),
        flag(like.here > 0),
        f64::from(like.below).min(3.0),
        like.novel,
        like.lacks,
        judge.corpus.relative(f64::from(child.profile.requests)).clamp(-4.0, 4.0),
        busier.clamp(-2.0, 5.0),
        flag(child.profile.through_variable * 4 > child.profile.requests),
        elsewhere(judge, child)[1].ln_1p().min(2.0),
        elsewhere(judge, child)[0].ln_1p().min(2.0),
        flag(child.traits.is_version()),
        flag(child.traits.is_plural()),
        flag(judge.corpus.is_unusual(child.traits.style())),
        flag(child.traits.is_random()),
        share_of_values(&|traits| traits.is_random()),
        share_of_values(&|traits| judge.corpus.is_unusual(traits.style())),
    ])
}

/// Do responses below the text repeat it as a value?
fn echoed(judge: &Judge<'_>, child: &Child) -> bool {
    let (mut bodies, mut echoes) = (0_u32, 0_u32);
    for &node in &child.nodes {
        bodies = bodies.saturating_add(judge.tree.node(node).bodies);
        echoes = echoes.saturating_add(judge.tree.node(node).echoes);
    }
    echoes > 0 && echoes >= bodies / 10
}

fn elsewhere(judge: &Judge<'_>, child: &Child) -> [f64; 2] {
    let is_value_here =
        child.nodes.first().is_some_and(|&node| judge.masked.get(node as usize).copied().unwrap_or_default());
    judge.corpus.elsewhere(child.label.hash, is_value_here)
}

/// Does the collection above list the text as a value?
fn listed(judge: &Judge<'_>, child: &Child) -> bool {
    judge.tree.seen.as_ref().is_some_and(|seen| {
        seen.error() < 0.1 && child.nodes.iter().any(|&node| seen.has(judge.tree.node(node).listed))
    })
}

/// Was the text seen as a value anywhere?
fn seen(judge: &Judge<'_>, child: &Child) -> bool {
    judge.tree.seen.as_ref().is_some_and(|seen| seen.error() < 0.1 && seen.has(child.label.hash))
}

/// How two profiles compare.
#[derive(Clone, Copy, Debug, Default)]
struct Comparison {
    other_status: f64,
    other_kind: f64,
    response_keys: f64,
    request_keys: f64,
    query: f64,
    shared: u32,
    here: u32,
    below: u32,
    novel: f64,
    lacks: f64,
}

fn compare(corpus: &Corpus, child: &Profile, values: &Profile) -> Comparison {
    let mut like = Comparison::default();
    for (way, operation) in &child.operations {
        match values.operations.get(way) {
            Some(other) => {
                like.shared += 1;
                if way.0 == 0 {
                    like.here += 1;
                }
                if operation.literals > 0 {
                    like.below += 1;
                }
                compare_operations(corpus, operation, other, &mut like);
            }
            None if !values.firsts.contains(&operation.first) || operation.first == 0 => {
                like.novel += f64::from(values.requests).ln_1p().min(3.0);
            }
            None => {}
        }
    }
    like.novel = like.novel.min(8.0);
    // What most values have and this one lacks in spite of many requests.
    for (way, operation) in &values.operations {
        if !child.operations.contains_key(way) {
            let share = f64::from(operation.requests) / f64::from(values.requests.max(1));
            like.lacks -= (1.0 - share).max(0.01).ln() * f64::from(child.requests);
        }
    }
    like.lacks = like.lacks.min(10.0);
    like
}

/// Do two sightings look like the same operation?
fn compare_operations(corpus: &Corpus, one: &Operation, other: &Operation, like: &mut Comparison) {
    like.other_status += flag(one.statuses & other.statuses == 0);
    like.other_kind += flag(one.response_kinds & other.response_kinds == 0);
    if let Some(same) = key_likeness(corpus, &one.response_keys, &other.response_keys) {
        like.response_keys += same - 0.5;
    }
    if let Some(same) = key_likeness(corpus, &one.request_keys, &other.request_keys) {
        like.request_keys += same - 0.5;
    }
    if !one.query.is_empty() && other.requests >= 10 {
        let unknown = one.query.iter().filter(|(key, _)| other.query.count(*key) == 0).count();
        like.query += 1.0 - 2.0 * (unknown as f64 / one.query.len() as f64);
    }
}

/// How much alike two subtrees are: log-odds.
pub(crate) fn likeness(corpus: &Corpus, child: &Profile, values: &Profile) -> f64 {
    let like = compare(corpus, child, values);
    if like.shared == 0 {
        return -4.0;
    }
    let same = -2.0 * (like.other_status + like.other_kind)
        + 6.0 * like.response_keys
        + 4.0 * like.request_keys
        + like.query
        + 2.0 * f64::from(like.below);
    (same.clamp(-6.0, 6.0) - (0.7 * like.novel).min(6.0) - (0.3 * like.lacks).min(3.0)).clamp(-8.0, 8.0)
}

/// Share of what is characteristic of one that the other has too, 0 to 1.
fn key_likeness(corpus: &Corpus, one: &Keys, other: &Keys) -> Option<f64> {
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let part = |a: &Keys, b: &Keys| {
        let (mut both, mut all) = (0.1, 0.2);
        for (key, _) in a.iter().filter(|(key, _)| b.covers(*key)) {
            let weight = corpus.weight(key);
            all += weight;
            if b.count(key) > 0 {
                both += weight;
            }
        }
        both / all
    };
    Some(part(one, other).max(part(other, one)))
}
