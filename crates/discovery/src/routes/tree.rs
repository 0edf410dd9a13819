//! What was learnt of one service: a tree of path segments with what was seen at each.
//!
//! Segments that are values by their shape share one child from the start; words each have their own, up to a bound
//! ([`Limits::children`]), beyond which those that drew the largest lots go together into an overflow child. A word draws a lot
//! at each request, so words that are often asked for stay. Every number in it is a sum, a set or a minimum: below the bounds,
//! merging two trees gives exactly what one tree would have learnt from both, in any order.

use ahash::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::evidence::{BodyKind, Evidence, method_number, status_bit};
use super::segments::{Segment, Segments};
use super::shape::{SEGMENTS, Shape, canonical_segment, shape_of};
use super::sketch::{Distinct, Keys, Seen, mix};
use super::words::Traits;
use crate::room::make_room;

pub(crate) type NodeId = u32;
pub(crate) const ROOT: NodeId = 0;
const NONE: NodeId = u32::MAX;

/// Bounds of what is learnt of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Words below a node that are told apart; further ones go together into one overflow child.
    pub children: u32,
    /// Nodes of a tree, about 500 bytes each with what was seen there. When it is reached, [`children`](Self::children) is
    /// halved for that tree, again and again; in the end what is new is not learnt from, and counted.
    pub nodes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { children: 1000, nodes: 60_000 }
    }
}

/// Fewest words below a node that are told apart however full the tree is.
const FEWEST_CHILDREN: u32 = 8;

/// What was seen with one method at one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) method: u8,
    /// Successful requests.
    pub(crate) requests: u32,
    /// Of those, with a slash at the end of the path.
    pub(crate) slashes: u32,
    pub(crate) statuses: u32,
    pub(crate) response_kinds: u16,
    pub(crate) request_kinds: u16,
    /// Responses whose body was looked at.
    pub(crate) bodies: u32,
    pub(crate) response_keys: Keys,
    pub(crate) request_keys: Keys,
    pub(crate) query: Keys,
}

impl Leaf {
    pub(crate) fn merge(&mut self, other: &Leaf) {
        self.requests = self.requests.saturating_add(other.requests);
        self.slashes = self.slashes.saturating_add(other.slashes);
        self.statuses |= other.statuses;
        self.response_kinds |= other.response_kinds;
        self.request_kinds |= other.request_kinds;
        self.bodies = self.bodies.saturating_add(other.bodies);
        self.response_keys.merge(&other.response_keys);
        self.request_keys.merge(&other.request_keys);
        self.query.merge(&other.query);
    }

    fn add(&mut self, evidence: &Evidence<'_>) {
        self.requests = self.requests.saturating_add(1);
        let has_slash = evidence.path.len() > 1 && evidence.path.ends_with(b"/");
        self.slashes = self.slashes.saturating_add(u32::from(has_slash));
        self.statuses |= status_bit(evidence.status);
        let kind = if evidence.has_response_body { BodyKind::of(evidence.response_type) } else { BodyKind::None };
        self.response_kinds |= kind.bit();
        self.request_kinds |= BodyKind::of(evidence.request_type).bit();
        for hash in evidence.query {
            self.query.add(*hash);
        }
        for hash in evidence.request_keys {
            self.request_keys.add(*hash);
        }
        if let Some(keys) = evidence.response_keys {
            self.bodies = self.bodies.saturating_add(1);
            for hash in keys {
                self.response_keys.add(*hash);
            }
        }
    }
}

/// Values of a child that stands for all segments of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Values {
    pub(crate) distinct: Distinct,
    /// The text while there is only one value: it may be part of the route.
    pub(crate) only: Option<Box<str>>,
}

impl Values {
    fn merge(&mut self, other: &Values) {
        self.distinct.merge(&other.distinct);
        if self.only.is_none() {
            self.only.clone_from(&other.only);
        }
        if self.distinct.count() > 1 {
            self.only = None;
        }
    }
}

/// What a child is known by below its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) shape: Shape,
    /// Keyed hash of the word, or of the ending behind a value.
    pub(crate) hash: u64,
}

const OVERFLOW: Label = Label { shape: Shape::Overflow, hash: 0 };

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) parent: NodeId,
    first_child: NodeId,
    next_sibling: NodeId,
    /// Children that are words.
    words: u32,
    /// No word with a larger lot is kept below.
    cut: u64,
    pub(crate) label: Label,
    /// The word, or the ending behind a value; empty where it was not kept.
    pub(crate) text: Box<str>,
    /// What the word is like.
    pub(crate) traits: Traits,
    /// Smallest lot drawn.
    lot: u64,
    /// Responses looked at below this segment.
    pub(crate) bodies: u32,
    /// Of those, ones that repeat this segment as a value.
    pub(crate) echoes: u32,
    /// Hash of the word as a value that the collection above lists.
    pub(crate) listed: u64,
    pub(crate) values: Option<Box<Values>>,
    /// Ascending by method.
    pub(crate) leaves: Vec<Leaf>,
}

impl Node {
    fn new(parent: NodeId, label: Label, lot: u64) -> Node {
        Node {
            parent,
            first_child: NONE,
            next_sibling: NONE,
            words: 0,
            cut: u64::MAX,
            label,
            text: Box::default(),
            traits: Traits::default(),
            lot,
            bodies: 0,
            echoes: 0,
            listed: 0,
            values: None,
            leaves: Vec::new(),
        }
    }

    fn leaf(&mut self, method: u8) -> &mut Leaf {
        let place = self.leaves.partition_point(|leaf| leaf.method < method);
        if self.leaves.get(place).is_none_or(|leaf| leaf.method != method) {
            make_room(&mut self.leaves);
            self.leaves.insert(place, Leaf { method, ..Leaf::default() });
        }
        &mut self.leaves[place]
    }

    /// Adds what another node with the same label has, but for its children.
    fn merge(&mut self, other: &Node) {
        self.lot = self.lot.min(other.lot);
        self.bodies = self.bodies.saturating_add(other.bodies);
        self.echoes = self.echoes.saturating_add(other.echoes);
        if self.label == other.label {
            self.listed = other.listed;
            if self.text.is_empty() {
                self.text.clone_from(&other.text);
            }
            self.traits = other.traits;
        }
        if let Some(values) = &other.values {
            self.values.get_or_insert_default().merge(values);
        }
        for leaf in &other.leaves {
            self.leaf(leaf.method).merge(leaf);
        }
    }
}

/// Canonical text is ASCII.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

fn name(shape: Shape, text: &str) -> String {
    if shape == Shape::Word { text.to_owned() } else { format!("{{{shape:?}}}{text}") }
}

/// The places that a raw path passes, as [`super::Trace`] names them: words as they are, values by their shape.
pub fn places(path: &[u8]) -> Vec<String> {
    let (mut places, mut text, mut so_far) = (Vec::new(), Vec::new(), String::new());
    for raw in path.split(|&byte| byte == b'/').filter(|raw| !raw.is_empty()).take(SEGMENTS) {
        canonical_segment(raw, &mut text);
        let (shape, stem) = shape_of(&text);
        let kept = if shape == Shape::Word { text.as_slice() } else { text.get(stem..).unwrap_or_default() };
        so_far.push('/');
        so_far.push_str(&name(shape, std::str::from_utf8(kept).unwrap_or_default()));
        places.push(so_far.clone());
    }
    places
}

/// What was learnt of one service.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    table: HashTable<NodeId>,
    free: Vec<NodeId>,
    hasher: RandomState,
    limits: Limits,
    /// Words told apart below a node: [`Limits::children`], less where the tree was full.
    room: u32,
    pub(crate) seen: Option<Box<Seen>>,
    /// Words that went into an overflow child, each time one did.
    pub(crate) overflow: u64,
    /// Requests not learnt from, as the tree is full or the path too long.
    pub(crate) left_out: u64,
    /// Hashes of paths met lately and the nodes they lead to, so that what is asked again and again costs little. Empty until
    /// there is something to remember, and again when nodes move.
    recent: Vec<(u64, NodeId)>,
}

/// Paths remembered.
const RECENT: usize = 256;

/// What is stored of a tree: see [`super::Routes::snapshot`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Parents come before their children.
    nodes: Vec<Node>,
    room: u32,
    seen: Option<Box<Seen>>,
    overflow: u64,
    left_out: u64,
}

impl Tree {
    pub(crate) fn new(limits: Limits, hash_seed: [u64; 4]) -> Tree {
        let [a, b, c, d] = hash_seed;
        Tree {
            nodes: vec![Node::new(NONE, Label { shape: Shape::Word, hash: 0 }, 0)],
            table: HashTable::new(),
            free: Vec::new(),
            hasher: RandomState::with_seeds(a, b, c, d),
            limits,
            room: limits.children.max(FEWEST_CHILDREN),
            seen: None,
            overflow: 0,
            left_out: 0,
            recent: Vec::new(),
        }
    }

    /// Bound of node ids.
    pub(crate) fn ids(&self) -> usize {
        self.nodes.len()
    }

    /// Nodes held.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // Ids come from this tree only.
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut next = self.node(id).first_child;
        std::iter::from_fn(move || {
            let id = next;
            (id != NONE).then(|| {
                next = self.node(id).next_sibling;
                id
            })
        })
    }

    /// The path down to a node, for people.
    pub(crate) fn path_of(&self, id: NodeId) -> String {
        let mut parts = Vec::new();
        let mut next = id;
        while next != ROOT && next != NONE {
            let node = self.node(next);
            parts.push(name(node.label.shape, &node.text));
            next = node.parent;
        }
        parts.iter().rev().fold(String::new(), |path, part| path + "/" + part)
    }

    /// Learns from a successful answer.
    pub(crate) fn observe(&mut self, evidence: &Evidence<'_>, segments: &mut Segments) {
        // A body says something about the segments too.
        let remembers = evidence.response_keys.is_none() && evidence.values.is_empty();
        let hash = if remembers { self.hasher.hash_one(evidence.path) } else { 0 };
        let place = hash as usize % RECENT;
        if let (true, Some(&(known, node))) = (remembers, self.recent.get(place))
            && known == hash
            && node != NONE
        {
            self.node_mut(node).leaf(method_number(evidence.method)).add(evidence);
            return;
        }
        let node = self.walk(evidence, segments);
        if let (true, Some(node)) = (remembers, node) {
            self.recent.resize(RECENT, (0, NONE));
            self.recent[place] = (hash, node);
        }
        self.thin_out();
    }

    /// Goes down the path of a transaction, and learns from it on the way. Gives where it ended.
    fn walk(&mut self, evidence: &Evidence<'_>, segments: &mut Segments) -> Option<NodeId> {
        let raws = || evidence.path.split(|&byte| byte == b'/').filter(|raw| !raw.is_empty());
        // Hardly any path has that many slashes.
        let is_long = evidence.path.iter().filter(|&&byte| byte == b'/').count() >= SEGMENTS;
        if (is_long && raws().nth(SEGMENTS).is_some()) || self.is_full() {
            self.left_out += 1;
            return None;
        }
        let key = *segments.key();
        let has_body = evidence.response_keys.is_some();
        let (mut node, mut place) = (ROOT, 0);
        for raw in raws() {
            let Segment { text, shape, stem, hash: value_hash } = segments.read(raw);
            if text.is_empty() {
                continue;
            }
            let (value, ending) = text.split_at_checked(stem).unwrap_or((text, b""));
            let hash = match (shape, ending) {
                (Shape::Word, _) => value_hash,
                (_, b"") => 0,
                _ => key.hash(ending),
            };
            let label = Label { shape, hash };
            let lot = mix(value_hash, evidence.lot);
            node = self.child(node, label, lot);
            let entry = self.node_mut(node);
            entry.lot = entry.lot.min(lot);
            entry.bodies = entry.bodies.saturating_add(u32::from(has_body));
            let echoes = has_body && evidence.values.contains(&value_hash);
            entry.echoes = entry.echoes.saturating_add(u32::from(echoes));
            let is_first = entry.values.is_none();
            if entry.label != label || shape.is_value() {
                let values = entry.values.get_or_insert_default();
                if is_first && entry.label.shape != Shape::Overflow {
                    values.only = Some(ascii(value).into());
                }
                values.distinct.add(value_hash);
                if values.only.is_some() && values.distinct.count() > 1 {
                    values.only = None;
                }
            }
            if entry.label == label && entry.text.is_empty() {
                let kept = if shape == Shape::Word { text } else { ending };
                if !kept.is_empty() || is_first {
                    entry.text = ascii(kept).into();
                    entry.traits = Traits::of(&entry.text);
                }
                entry.listed = mix(place, value_hash);
            }
            place = mix(place, if shape == Shape::Word { value_hash } else { shape as u64 });
        }
        self.node_mut(node).leaf(method_number(evidence.method)).add(evidence);
        if !evidence.values.is_empty() {
            let seen = self.seen.get_or_insert_with(|| Box::new(Seen::new()));
            for value in evidence.values {
                seen.add(*value);
                // The collection that lists a value is the place above it.
                seen.add(mix(place, *value));
            }
        }
        Some(node)
    }

    pub(crate) fn find(&self, parent: NodeId, label: Label) -> Option<NodeId> {
        let hash = self.hasher.hash_one((parent, label));
        let same = |id: &NodeId| {
            let node = self.node(*id);
            node.parent == parent && node.label == label
        };
        self.table.find(hash, same).copied()
    }

    /// The child for a segment; the overflow child if there is no room for its own.
    fn child(&mut self, parent: NodeId, label: Label, lot: u64) -> NodeId {
        if let Some(id) = self.find(parent, label) {
            return id;
        }
        if label.shape != Shape::Word {
            return self.insert(parent, label, lot);
        }
        if lot > self.node(parent).cut {
            self.overflow += 1;
            return self.find(parent, OVERFLOW).unwrap_or_else(|| self.insert(parent, OVERFLOW, 0));
        }
        let id = self.insert(parent, label, lot);
        if self.node(parent).words > self.room {
            self.shrink(parent);
            // The one that came may be the one that went.
            return self.find(parent, label).or_else(|| self.find(parent, OVERFLOW)).unwrap_or(parent);
        }
        id
    }

    fn insert(&mut self, parent: NodeId, label: Label, lot: u64) -> NodeId {
        let mut node = Node::new(parent, label, lot);
        node.next_sibling = self.node(parent).first_child;
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                make_room(&mut self.nodes);
                self.nodes.push(node);
                (self.nodes.len() - 1) as NodeId
            }
        };
        let entry = self.node_mut(parent);
        entry.first_child = id;
        entry.words += u32::from(label.shape == Shape::Word);
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.table.insert_unique(hasher.hash_one((parent, label)), id, |id| {
            let node = &nodes[*id as usize];
            hasher.hash_one((node.parent, node.label))
        });
        id
    }

    /// Moves the words with the largest lots into the overflow child until those left have room.
    fn shrink(&mut self, parent: NodeId) {
        let mut lots: Vec<(u64, NodeId)> = self
            .children(parent)
            .filter(|&child| self.node(child).label.shape == Shape::Word)
            .map(|child| (self.node(child).lot, child))
            .collect();
        lots.sort_unstable();
        let gone = lots.split_off(lots.len().min(self.room as usize));
        if let Some(&(largest, _)) = lots.last() {
            self.node_mut(parent).cut = largest;
        }
        for (_, child) in gone {
            let overflow = self.find(parent, OVERFLOW).unwrap_or_else(|| self.insert(parent, OVERFLOW, 0));
            self.overflow += 1;
            let node = self.node(child);
            let (hash, is_word) = (node.label.hash, node.label.shape == Shape::Word);
            self.absorb(child, overflow);
            if is_word {
                self.node_mut(overflow).values.get_or_insert_default().distinct.add(hash);
            }
        }
    }

    /// Merges a subtree into a node of the same tree and removes it.
    fn absorb(&mut self, from: NodeId, into: NodeId) {
        self.recent.clear();
        self.unlink(from);
        let mut stack = vec![(from, into)];
        while let Some((from, into)) = stack.pop() {
            let children: Vec<NodeId> = self.children(from).collect();
            let node = self.node(from).clone();
            self.node_mut(into).merge(&node);
            for child in children {
                let entry = self.node(child);
                let (label, lot) = (entry.label, entry.lot);
                let target = self.child(into, label, lot);
                stack.push((child, target));
            }
            let hash = self.hasher.hash_one((node.parent, node.label));
            if let Ok(found) = self.table.find_entry(hash, |id| *id == from) {
                found.remove();
            }
            let gone = self.node_mut(from);
            (gone.leaves, gone.values, gone.first_child) = (Vec::new(), None, NONE);
            self.free.push(from);
        }
    }

    fn unlink(&mut self, id: NodeId) {
        let node = self.node(id);
        let (parent, next, is_word) = (node.parent, node.next_sibling, node.label.shape == Shape::Word);
        let before = self.children(parent).find(|&child| self.node(child).next_sibling == id);
        match before {
            Some(before) => self.node_mut(before).next_sibling = next,
            None => self.node_mut(parent).first_child = next,
        }
        let parent = self.node_mut(parent);
        parent.words -= u32::from(is_word);
    }

    fn is_full(&self) -> bool {
        self.room <= FEWEST_CHILDREN && self.len() >= self.limits.nodes as usize
    }

    /// Keeps the tree within its bound.
    fn thin_out(&mut self) {
        while self.len() >= self.limits.nodes as usize && self.room > FEWEST_CHILDREN {
            self.room = (self.room / 2).max(FEWEST_CHILDREN);
            let mut stack = vec![ROOT];
            while let Some(id) = stack.pop() {
                if self.node(id).words > self.room {
                    self.shrink(id);
                }
                stack.extend(self.children(id));
            }
        }
    }

    /// Adds what another tree has learnt.
    pub(crate) fn merge(&mut self, other: &Tree) {
        let mut stack = vec![(ROOT, ROOT)];
        while let Some((ours, theirs)) = stack.pop() {
            // A node that came in may have gone into an overflow child since.
            self.node_mut(ours).merge(other.node(theirs));
            for child in other.children(theirs) {
                let node = other.node(child);
                let id = self.child(ours, node.label, node.lot);
                stack.push((id, child));
            }
        }
        self.overflow += other.overflow;
        self.left_out += other.left_out;
        if let Some(theirs) = &other.seen {
            match &mut self.seen {
                Some(ours) => ours.merge(theirs),
                None => self.seen = Some(theirs.clone()),
            }
        }
        self.thin_out();
    }

    /// What is to be stored: words, and values that are the only one of their place, go as hashes only where `shows` says no.
    pub(crate) fn stored(&self, shows: impl Fn(NodeId, &str) -> bool) -> Stored {
        let mut nodes = Vec::with_capacity(self.len());
        let mut stack = vec![(ROOT, NONE)];
        while let Some((id, parent)) = stack.pop() {
            let mut node = self.node(id).clone();
            (node.parent, node.first_child, node.next_sibling) = (parent, NONE, NONE);
            if node.label.shape == Shape::Word && !shows(id, &node.text) {
                node.text = Box::default();
            }
            if let Some(values) = &mut node.values
                && values.only.as_ref().is_some_and(|only| !shows(id, only))
            {
                values.only = None;
            }
            let place = nodes.len() as NodeId;
            nodes.push(node);
            stack.extend(self.children(id).map(|child| (child, place)));
        }
        Stored { nodes, room: self.room, seen: self.seen.clone(), overflow: self.overflow, left_out: self.left_out }
    }

    /// A tree from what was stored. What contradicts itself is left out.
    pub(crate) fn restored(stored: Stored, limits: Limits, hash_seed: [u64; 4]) -> Tree {
        let mut tree = Tree::new(limits, hash_seed);
        tree.room = tree.room.min(stored.room.max(FEWEST_CHILDREN));
        (tree.seen, tree.overflow, tree.left_out) = (stored.seen, stored.overflow, stored.left_out);
        let mut places: Vec<NodeId> = Vec::with_capacity(stored.nodes.len());
        for node in stored.nodes {
            let id = match places.get(node.parent as usize) {
                Some(&parent) => tree.child(parent, node.label, node.lot),
                None => ROOT,
            };
            tree.node_mut(id).merge(&node);
            tree.node_mut(id).cut = node.cut;
            places.push(id);
        }
        tree
    }
}
