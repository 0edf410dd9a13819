//! The operations of one server list as a trie over path segments.

use std::collections::HashMap;

use crate::model::Operation;
use crate::template::{Pattern, Segment, segments};

/// Steps of one search. A search without backtracking takes one per segment; only a made-up specification gets here.
const STEPS: u32 = 5_000;

/// A segment that is looked for.
#[derive(Clone, Debug)]
pub(crate) enum Part<'a> {
    /// Of a request, or literal in an observed template; percent-decoded.
    Bytes(&'a [u8]),
    /// A variable of an observed template.
    Variable,
    /// A partly variable segment of an observed template.
    Pattern(&'a Pattern),
}

const LITERAL: u8 = 0;
const PATTERN: u8 = 1;
const VARIABLE: u8 = 2;
/// An observed variable where the template has a part of a segment: worse than any documented variable.
const LOOSE: u8 = 3;
const REST: u8 = 4;

/// How well a segment of a template fits, the least best.
pub(crate) fn fits(segment: &Segment, part: &Part<'_>) -> Option<u8> {
    match (segment, part) {
        (Segment::Literal(literal), Part::Bytes(bytes)) => (literal == bytes).then_some(LITERAL),
        (Segment::Pattern(pattern), Part::Bytes(bytes)) => pattern.matches(bytes).then_some(PATTERN),
        (Segment::Pattern(pattern), Part::Pattern(seen)) => (pattern == *seen).then_some(PATTERN),
        (Segment::Pattern(_), Part::Variable) => Some(LOOSE),
        // RFC 3986 lets a segment be empty, but no variable stands for nothing.
        (Segment::Variable, Part::Bytes(bytes)) => (!bytes.is_empty()).then_some(VARIABLE),
        (Segment::Variable, Part::Variable | Part::Pattern(_)) => Some(VARIABLE),
        _ => None,
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Vec<u8>, u32>,
    /// Best first.
    patterns: Vec<(Pattern, u32)>,
    variable: Option<u32>,
    /// What the end of the path must be, longest first.
    rests: Vec<(Vec<u8>, u32)>,
    /// Operations that end here by method, in the order of the document.
    operations: Vec<(String, Vec<u32>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
}

pub(crate) enum Outcome {
    NoPath,
    NoMethod,
    Found { operations: Vec<u32>, rank: Vec<u8> },
}

struct Search<'t, 'p, 'a> {
    method: &'t str,
    parts: &'p [Part<'a>],
    steps: u32,
    path_known: bool,
    rank: Vec<u8>,
}

impl Trie {
    pub(crate) fn new(operations: &[(u32, &Operation)]) -> Trie {
        let mut trie = Trie { nodes: vec![Node::default()] };
        let mut known = HashMap::new();
        for (number, operation) in operations {
            trie.insert(*number, operation, &mut known);
        }
        for node in &mut trie.nodes {
            node.patterns.sort_by(|(a, _), (b, _)| order(a, b));
            node.rests.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        }
        trie
    }

    fn insert(&mut self, number: u32, operation: &Operation, known: &mut HashMap<(u32, Segment), u32>) {
        let mut at = 0;
        for segment in segments(&operation.template) {
            at = self.child(at, segment, known);
        }
        let Some(node) = self.nodes.get_mut(at as usize) else { return };
        match node.operations.iter_mut().find(|(method, _)| *method == operation.method) {
            Some((_, numbers)) => numbers.push(number),
            None => node.operations.push((operation.method.clone(), vec![number])),
        }
    }

    fn child(&mut self, at: u32, segment: Segment, known: &mut HashMap<(u32, Segment), u32>) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(at as usize) else { return at };
        let child = match segment {
            Segment::Literal(bytes) => *node.literals.entry(bytes).or_insert(next),
            Segment::Variable => *node.variable.get_or_insert(next),
            // Found by hash: a made-up specification may have very many of them at one place.
            Segment::Pattern(pattern) => *known.entry((at, Segment::Pattern(pattern.clone()))).or_insert_with(|| {
                node.patterns.push((pattern, next));
                next
            }),
            Segment::Rest(end) => *known.entry((at, Segment::Rest(end.clone()))).or_insert_with(|| {
                node.rests.push((end, next));
                next
            }),
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    pub(crate) fn search(&self, method: &str, parts: &[Part<'_>]) -> Outcome {
        let mut search = Search { method, parts, steps: STEPS, path_known: false, rank: Vec::new() };
        match self.walk(0, 0, &mut search) {
            Some(operations) => Outcome::Found { operations, rank: search.rank },
            None if search.path_known => Outcome::NoMethod,
            None => Outcome::NoPath,
        }
    }

    /// Recursion is as deep as the path has segments, of which there are at most 128.
    fn walk(&self, at: u32, depth: usize, search: &mut Search<'_, '_, '_>) -> Option<Vec<u32>> {
        search.steps = search.steps.checked_sub(1)?;
        let node = self.nodes.get(at as usize)?;
        let Some(part) = search.parts.get(depth) else { return leaf(node, search) };
        if let Part::Bytes(bytes) = part
            && let Some(&child) = node.literals.get(*bytes)
            && let Some(found) = self.step(child, depth, LITERAL, search)
        {
            return Some(found);
        }
        if let Part::Pattern(seen) = part
            && let Ok(place) = node.patterns.binary_search_by(|(known, _)| order(known, seen))
            && let Some((_, child)) = node.patterns.get(place)
            && let Some(found) = self.step(*child, depth, PATTERN, search)
        {
            return Some(found);
        }
        if let Part::Bytes(bytes) = part {
            for (pattern, child) in &node.patterns {
                search.steps = search.steps.checked_sub(1)?;
                if pattern.matches(bytes)
                    && let Some(found) = self.step(*child, depth, PATTERN, search)
                {
                    return Some(found);
                }
            }
        }
        let empty = matches!(part, Part::Bytes(b""));
        if let Some(child) = node.variable
            && !empty
            && let Some(found) = self.step(child, depth, VARIABLE, search)
        {
            return Some(found);
        }
        if matches!(part, Part::Variable) {
            for (_, child) in &node.patterns {
                if let Some(found) = self.step(*child, depth, LOOSE, search) {
                    return Some(found);
                }
            }
        }
        for (end, child) in &node.rests {
            let fits = match search.parts.last() {
                Some(Part::Bytes(bytes)) => bytes.ends_with(end) && bytes.len() >= end.len(),
                _ => end.is_empty(),
            };
            if fits && let Some(found) = self.nodes.get(*child as usize).and_then(|node| leaf(node, search)) {
                search.rank.truncate(depth);
                search.rank.push(REST);
                return Some(found);
            }
        }
        None
    }

    fn step(&self, child: u32, depth: usize, rank: u8, search: &mut Search<'_, '_, '_>) -> Option<Vec<u32>> {
        search.rank.truncate(depth);
        search.rank.push(rank);
        self.walk(child, depth + 1, search)
    }
}

/// Best first.
fn order(a: &Pattern, b: &Pattern) -> std::cmp::Ordering {
    a.rank().cmp(&b.rank()).then_with(|| a.cmp(b))
}

fn leaf(node: &Node, search: &mut Search<'_, '_, '_>) -> Option<Vec<u32>> {
    search.path_known |= !node.operations.is_empty();
    let of =
        |method: &str| node.operations.iter().find(|(known, _)| known == method).map(|(_, numbers)| numbers.clone());
    of(search.method).or_else(|| of("*"))
}
