//! Builds a document from the events of a parser.

use super::{Document, Entry, Flaw, Span, Value};
use crate::limits::Limits;
use crate::pointer::escape;

/// A container that is not closed yet.
enum Frame {
    List { id: u32, items: Vec<u32> },
    Map { id: u32, entries: Vec<Entry>, key: Option<Span>, merges: Vec<u32> },
}

/// What ends the reading of a document.
pub(super) struct Refusal(pub(super) String);

pub(super) struct Builder {
    document: Document,
    open: Vec<Frame>,
    limits: Limits,
    /// Entries that merge keys may still copy.
    merge_budget: usize,
    merge_told: bool,
}

/// Flaws of one document that are kept.
const FLAWS: usize = 100;

impl Builder {
    pub(super) fn new(limits: Limits) -> Self {
        Builder {
            document: Document::default(),
            open: Vec::new(),
            limits,
            merge_budget: limits.shared_parts,
            merge_told: false,
        }
    }

    pub(super) fn finish(self) -> Document {
        self.document
    }

    /// Whether one more container may be opened here.
    pub(super) fn too_deep(&self) -> bool {
        self.open.len() >= self.limits.depth
    }

    /// The pointer of what is being read.
    pub(super) fn pointer(&self) -> String {
        let mut out = String::new();
        for frame in &self.open {
            match frame {
                Frame::List { items, .. } => out += &format!("/{}", items.len()),
                Frame::Map { key: Some(key), .. } => {
                    out.push('/');
                    out += &escape(self.document.span(*key));
                }
                Frame::Map { key: None, .. } => {}
            }
        }
        out
    }

    pub(super) fn flaw(&mut self, what: &str) {
        let flaw = Flaw { pointer: self.pointer(), what: what.to_string() };
        if self.document.flaws.len() < FLAWS {
            self.document.flaws.push(flaw);
        }
    }

    fn store(&mut self, text: &str) -> Span {
        // Bounded by the limit on bytes, which is far below 4 GiB.
        let start = u32::try_from(self.document.text.len()).unwrap_or(u32::MAX);
        self.document.text.push_str(text);
        Span { start, len: u32::try_from(text.len()).unwrap_or(0) }
    }

    fn push(&mut self, value: Value) -> Result<u32, Refusal> {
        if self.document.values.len() >= self.limits.nodes {
            return Err(Refusal(format!("more than the {} values allowed", self.limits.nodes)));
        }
        let id = u32::try_from(self.document.values.len()).unwrap_or(u32::MAX);
        self.document.values.push(value);
        self.document.parents.push(self.open.last().map_or(id, |frame| match frame {
            Frame::List { id, .. } | Frame::Map { id, .. } => *id,
        }));
        Ok(id)
    }

    /// Puts a value into the open container.
    fn place(&mut self, id: u32) {
        match self.open.last_mut() {
            None => {}
            Some(Frame::List { items, .. }) => items.push(id),
            Some(Frame::Map { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    entries.push(Entry { key, value: id });
                }
            }
        }
    }

    pub(super) fn null(&mut self) -> Result<u32, Refusal> {
        self.leaf(Value::Null)
    }

    pub(super) fn bool(&mut self, value: bool) -> Result<u32, Refusal> {
        self.leaf(Value::Bool(value))
    }

    pub(super) fn number(&mut self, text: &str) -> Result<u32, Refusal> {
        let span = self.store(text);
        self.leaf(Value::Number(span))
    }

    pub(super) fn text(&mut self, text: &str) -> Result<u32, Refusal> {
        let span = self.store(text);
        self.leaf(Value::Text(span))
    }

    fn leaf(&mut self, value: Value) -> Result<u32, Refusal> {
        let id = self.push(value)?;
        self.place(id);
        Ok(id)
    }

    /// A value that is already there.
    pub(super) fn alias(&mut self, id: u32) {
        self.place(id);
    }

    /// A value that the next `<<` entries come from (YAML merge key).
    pub(super) fn merge(&mut self, id: u32) {
        if let Some(Frame::Map { merges, key, .. }) = self.open.last_mut() {
            merges.push(id);
            *key = None;
        }
    }

    /// Whether the next value is that of a key, and of which.
    pub(super) fn pending_key(&self) -> Option<&str> {
        match self.open.last() {
            Some(Frame::Map { key: Some(key), .. }) => Some(self.document.span(*key)),
            _ => None,
        }
    }

    /// Whether a map waits for a key.
    pub(super) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame::Map { key: None, .. }))
    }

    pub(super) fn key(&mut self, text: &str) {
        let span = self.store(text);
        if let Some(Frame::Map { key, .. }) = self.open.last_mut() {
            *key = Some(span);
        }
    }

    pub(super) fn begin_list(&mut self) -> Result<u32, Refusal> {
        let id = self.push(Value::List { start: 0, len: 0 })?;
        self.open.push(Frame::List { id, items: Vec::new() });
        Ok(id)
    }

    pub(super) fn begin_map(&mut self) -> Result<u32, Refusal> {
        let id = self.push(Value::Map { start: 0, len: 0 })?;
        self.open.push(Frame::Map { id, entries: Vec::new(), key: None, merges: Vec::new() });
        Ok(id)
    }

    /// Closes the innermost container; `merges` makes it the source of its parent's merge key.
    pub(super) fn end(&mut self, merges: bool) -> Option<u32> {
        let (id, value) = match self.open.pop()? {
            Frame::List { id, items } => {
                let start = u32::try_from(self.document.items.len()).unwrap_or(u32::MAX);
                self.document.items.extend(&items);
                (id, Value::List { start, len: u32::try_from(items.len()).unwrap_or(0) })
            }
            Frame::Map { id, mut entries, merges, .. } => {
                self.sort(&mut entries);
                if !merges.is_empty() {
                    self.merge_into(&mut entries, &merges);
                }
                let start = u32::try_from(self.document.entries.len()).unwrap_or(u32::MAX);
                self.document.entries.extend(&entries);
                (id, Value::Map { start, len: u32::try_from(entries.len()).unwrap_or(0) })
            }
        };
        if let Some(slot) = self.document.values.get_mut(id as usize) {
            *slot = value;
        }
        if merges {
            self.merge(id);
        } else {
            self.place(id);
        }
        Some(id)
    }

    /// Orders entries by key; of a key that is there twice the last one stays, as in most readers.
    fn sort(&mut self, entries: &mut Vec<Entry>) {
        entries.sort_by(|a, b| self.document.span(a.key).cmp(self.document.span(b.key)));
        let before = entries.len();
        let mut doubled = None;
        entries.dedup_by(|later, kept| {
            let same = self.document.span(later.key) == self.document.span(kept.key);
            if same {
                kept.value = later.value;
                doubled = Some(later.key);
            }
            same
        });
        if let Some(key) = doubled
            && before != entries.len()
            && self.document.flaws.len() < FLAWS
        {
            // The map is closed already: its own key is still pending in the one around it.
            let pointer = format!("{}/{}", self.pointer(), escape(self.document.span(key)));
            self.document.flaws.push(Flaw { pointer, what: "the key is there twice".into() });
        }
    }

    /// Own entries win over merged ones, earlier merged maps over later ones (YAML 1.1 merge key).
    fn merge_into(&mut self, entries: &mut Vec<Entry>, merges: &[u32]) {
        for &source in merges {
            let maps: Vec<u32> = match self.document.value(source) {
                Value::Map { .. } => vec![source],
                Value::List { .. } => self.document.item_slice(source).to_vec(),
                _ => Vec::new(),
            };
            for map in maps {
                let cost = self.document.len(map).saturating_add(entries.len());
                let Some(left) = self.merge_budget.checked_sub(cost) else {
                    if !std::mem::replace(&mut self.merge_told, true) {
                        self.flaw("merge keys copy more than allowed: left out");
                    }
                    return;
                };
                self.merge_budget = left;
                let from: Vec<Entry> = self.document.entry_slice(map).to_vec();
                let mut merged = Vec::with_capacity(entries.len() + from.len());
                let (mut own, mut theirs) = (entries.iter().peekable(), from.iter().peekable());
                loop {
                    let order = match (own.peek(), theirs.peek()) {
                        (Some(a), Some(b)) => self.document.span(a.key).cmp(self.document.span(b.key)),
                        (Some(_), None) => std::cmp::Ordering::Less,
                        (None, Some(_)) => std::cmp::Ordering::Greater,
                        (None, None) => break,
                    };
                    if order.is_le() {
                        merged.extend(own.next());
                        if order.is_eq() {
                            theirs.next();
                        }
                    } else {
                        merged.extend(theirs.next());
                    }
                }
                *entries = merged;
            }
        }
    }
}
