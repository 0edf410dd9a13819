//! Templates that an operator has pinned.
//!
//! One notion serves all wishes. A pinned template claims every request that it matches, the most literal one first: pinning
//! `/users/{user_id}` merges what inference kept apart and names the parameter, pinning `/users/me` beside it splits `me` off.

use std::collections::BTreeSet;
use std::fmt;

use super::shape::{SEGMENTS, Shape, canonical_segment, shape_of};
use super::tree::{Label, Leaf, NodeId, ROOT, Tree};
use crate::schema::ValueKey;

/// A template that wins over what is inferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    service: Option<String>,
    template: String,
    pub(crate) segments: Vec<PinSegment>,
}

/// A segment of a pinned template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PinSegment {
    Literal(String),
    /// Name, and the literal ending behind the value.
    Variable(String, String),
}

impl fmt::Display for PinSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinSegment::Literal(text) => f.write_str(text),
            PinSegment::Variable(name, ending) => write!(f, "{{{name}}}{ending}"),
        }
    }
}

/// Why a template cannot be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinError {
    /// It does not start with `/`.
    NoSlash,
    /// A segment has text before a parameter, or braces that do not match: only `{name}` and `{name}ending` are understood.
    Segment,
    /// Two parameters have the same name.
    Name,
    /// It has more segments than are looked at of a path.
    Long,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PinError::NoSlash => "a template starts with a slash: write /users/{user_id}",
            PinError::Segment => "a segment is text, {name}, or {name} with text behind it: write /users/{user_id}",
            PinError::Name => "two parameters of a template have one name: give each its own",
            PinError::Long => "a template has at most 32 segments",
        })
    }
}

impl std::error::Error for PinError {}

impl Pin {
    /// Pins a template such as `/users/{user_id}/orders`, of one service or of all.
    ///
    /// # Errors
    /// If the text is no template.
    pub fn new(service: Option<&str>, template: &str) -> Result<Pin, PinError> {
        let rest = template.strip_prefix('/').ok_or(PinError::NoSlash)?;
        let mut segments = Vec::new();
        let mut text = Vec::new();
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(match segment.strip_prefix('{') {
                Some(variable) => {
                    let (name, ending) = variable.split_once('}').ok_or(PinError::Segment)?;
                    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                    if name.is_empty() || !name.chars().all(plain) || ending.contains(['{', '}']) {
                        return Err(PinError::Segment);
                    }
                    PinSegment::Variable(name.to_owned(), ending.to_owned())
                }
                None if segment.contains(['{', '}']) => return Err(PinError::Segment),
                None => {
                    canonical_segment(segment.as_bytes(), &mut text);
                    PinSegment::Literal(String::from_utf8_lossy(&text).into_owned())
                }
            });
        }
        if segments.len() > SEGMENTS {
            return Err(PinError::Long);
        }
        let names = segments.iter().filter_map(|segment| match segment {
            PinSegment::Variable(name, _) => Some(name),
            PinSegment::Literal(_) => None,
        });
        let mut seen = BTreeSet::new();
        if !names.into_iter().all(|name| seen.insert(name)) {
            return Err(PinError::Name);
        }
        let template = segments.iter().fold(String::new(), |text, segment| text + "/" + &segment.to_string());
        let template = if template.is_empty() { "/".to_owned() } else { template };
        Ok(Pin { service: service.map(str::to_ascii_lowercase), template, segments })
    }

    /// The service it is for; `None` for all.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The template in canonical form.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Do both claim the same requests, with other names for the same parameters?
    pub fn is_rival(&self, other: &Pin) -> bool {
        let alike = |(one, other): (&PinSegment, &PinSegment)| match (one, other) {
            (PinSegment::Literal(one), PinSegment::Literal(other)) => one == other,
            (PinSegment::Variable(_, one), PinSegment::Variable(_, other)) => one == other,
            _ => false,
        };
        self.service == other.service
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(alike)
    }

    pub(crate) fn is_of(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service)
    }
}

/// What pinned templates claim of a tree.
pub(crate) struct Claims {
    /// By node.
    pub(crate) claimed: Vec<bool>,
    /// By pin: what was seen.
    pub(crate) leaves: Vec<Vec<Leaf>>,
}

/// Finds the nodes that pinned templates match, the most literal one first.
pub(crate) fn claims(tree: &Tree, pins: &[&Pin], key: &ValueKey) -> Claims {
    let mut claims = Claims {
        claimed: vec![false; if pins.is_empty() { 0 } else { tree.ids() }],
        leaves: vec![Vec::new(); pins.len()],
    };
    let mut order: Vec<usize> = (0..pins.len()).collect();
    // A literal further left wins, as in the matching of requests.
    let literalness = |pin: &Pin| -> Vec<bool> {
        pin.segments.iter().map(|segment| matches!(segment, PinSegment::Variable(..))).collect()
    };
    order.sort_by_key(|&index| literalness(pins[index]));
    for index in order {
        for node in matching(tree, &pins[index].segments, key) {
            let Some(claimed) = claims.claimed.get_mut(node as usize) else { continue };
            if std::mem::replace(claimed, true) {
                continue;
            }
            for leaf in &tree.node(node).leaves {
                let leaves = &mut claims.leaves[index];
                match leaves.iter_mut().find(|other| other.method == leaf.method) {
                    Some(other) => other.merge(leaf),
                    None => leaves.push(leaf.clone()),
                }
            }
        }
    }
    claims
}

fn matching(tree: &Tree, segments: &[PinSegment], key: &ValueKey) -> Vec<NodeId> {
    let mut nodes = vec![ROOT];
    for segment in segments {
        nodes = match segment {
            PinSegment::Literal(text) => {
                let (shape, stem) = shape_of(text.as_bytes());
                let (value, ending) = text.split_at_checked(stem).unwrap_or((text, ""));
                let hash = match (shape, ending) {
                    (Shape::Word, _) => key.hash(value.as_bytes()),
                    (_, "") => 0,
                    _ => key.hash(ending.as_bytes()),
                };
                let find = |node: NodeId| tree.find(node, Label { shape, hash });
                // Values of one shape share a node: it is the literal only while it is the only one.
                let is_it = |id: &NodeId| {
                    shape == Shape::Word
                        || tree.node(*id).values.as_ref().is_some_and(|values| values.only.as_deref() == Some(value))
                };
                nodes.into_iter().filter_map(find).filter(is_it).collect()
            }
            PinSegment::Variable(_, ending) => {
                let fits = |id: &NodeId| {
                    let node = tree.node(*id);
                    ending.is_empty() || node.text.ends_with(ending.as_str())
                };
                nodes.into_iter().flat_map(|node| tree.children(node).collect::<Vec<_>>()).filter(fits).collect()
            }
        };
    }
    nodes
}
