//! What bodies and parameters have taught of one endpoint.

use serde::{Deserialize, Serialize};

use crate::room::make_room;
use crate::sampling::SamplingConfig;
use crate::schema::{Held, Schemas};
use crate::sockets::Sockets;
use crate::style::Classified;

/// Names kept of each kind; the first in order, so that any order of traffic keeps the same.
pub const NAMES: usize = 32;

/// A bounded set of names. Merging is union.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Ascending, no repeats.
    names: Vec<Box<str>>,
    /// There were more than [`NAMES`].
    overflow: bool,
}

impl Names {
    /// Adds a name.
    pub fn insert(&mut self, name: &str) {
        let Err(place) = self.names.binary_search_by(|other| (**other).cmp(name)) else { return };
        if place >= NAMES {
            self.overflow = true;
            return;
        }
        if self.names.len() == NAMES {
            self.names.pop();
            self.overflow = true;
        }
        self.names.insert(place, name.into());
    }

    /// Adds all names of another set.
    pub fn merge(&mut self, other: &Names) {
        self.overflow |= other.overflow;
        other.names.iter().for_each(|name| self.insert(name));
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// There were more than [`NAMES`].
    pub fn overflow(&self) -> bool {
        self.overflow
    }
}

/// What bodies and parameters have taught of one endpoint. Merges by sums and unions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    sampling: SamplingConfig,
    /// Transactions below this level are not looked at.
    level: u8,
    /// By level, none below `level`.
    looks: Vec<Look>,
    /// Facts of styles, where there are any.
    pub calls: Option<Box<Calls>>,
    /// What went over its WebSockets, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Box<Sockets>>,
}

/// What the transactions of one level have taught.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    level: u8,
    transactions: u32,
    schemas: Held,
}

/// What the calls of a GraphQL, RPC or language model endpoint have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// GraphQL: root fields.
    pub root_fields: Names,
    /// Requests with several calls.
    pub batches: u64,
    /// Requests that ask what there is: GraphQL introspection, MCP `tools/list`.
    pub introspections: u64,
    /// GraphQL: requests that name a persisted query.
    pub persisted: u64,
    /// GraphQL: documents cut or wrong.
    pub parse_errors: u64,
    /// Answers in parts.
    pub streams: u64,
    /// LLM: whose API it speaks.
    pub apis: Names,
    /// LLM: models asked for.
    pub models: Names,
    /// LLM: models that answered.
    pub response_models: Names,
    /// LLM: tokens read.
    pub tokens_in: u64,
    /// LLM: tokens written.
    pub tokens_out: u64,
    /// Tools called.
    pub tools_called: Names,
    /// LLM: tools offered.
    pub tools_offered: Names,
    /// MCP: tools listed.
    pub tools_listed: Names,
    /// JSON-RPC: error answers.
    pub rpc_errors: u64,
    /// MCP: calls whose tool failed.
    pub tool_errors: u64,
    /// MCP: protocol versions.
    pub protocol_versions: Names,
    /// MCP: clients by their own name.
    pub clients: Names,
    /// MCP: servers by their own name.
    pub servers: Names,
}

impl Learnt {
    /// Nothing learnt yet.
    pub fn new(sampling: SamplingConfig) -> Self {
        Learnt { sampling, level: 0, looks: Vec::new(), calls: None, sockets: None }
    }

    /// Parameters and bodies, of all that was looked at.
    pub fn schemas(&self) -> Schemas {
        let mut all = Schemas::default();
        self.looks.iter().for_each(|look| look.schemas.add_to(&mut all));
        all
    }

    /// Takes few bytes from here on, until it is looked at or merged again.
    pub fn pack(&mut self) {
        self.looks.iter_mut().for_each(|look| look.schemas.pack());
    }

    /// Takes more than few bytes: see [`pack`](Self::pack).
    pub(crate) fn is_open(&self) -> bool {
        self.looks.iter().any(|look| look.schemas.is_open())
    }

    /// Counts a transaction of this level; gives where its schemas go, if it is looked at.
    pub(crate) fn look(&mut self, level: u8) -> Option<&mut Schemas> {
        let level = level.min(self.sampling.top());
        if level < self.level {
            return None;
        }
        let look = self.look_at(level);
        look.transactions = look.transactions.saturating_add(1);
        self.fit();
        let place = self.looks.binary_search_by_key(&level, |look| look.level).ok()?;
        self.looks.get_mut(place).map(|look| look.schemas.open())
    }

    fn look_at(&mut self, level: u8) -> &mut Look {
        let place = match self.looks.binary_search_by_key(&level, |look| look.level) {
            Ok(place) => place,
            Err(place) => {
                make_room(&mut self.looks);
                self.looks.insert(place, Look { level, transactions: 0, schemas: Held::default() });
                place
            }
        };
        // Just found or inserted.
        &mut self.looks[place]
    }

    /// Raises the level while too many transactions are at it or above.
    fn fit(&mut self) {
        loop {
            let held: u64 = self.looks.iter().map(|look| u64::from(look.transactions)).sum();
            if held <= u64::from(self.sampling.first) || self.level >= self.sampling.top() {
                return;
            }
            self.level += 1;
            let level = self.level;
            self.looks.retain(|look| look.level >= level);
        }
    }

    /// Adds what a transaction shows.
    pub fn add(&mut self, found: &Classified) {
        let calls = self.calls.get_or_insert_default();
        for field in found.operations.iter().filter(|operation| operation.kind.is_some()).flat_map(|o| &o.targets) {
            calls.root_fields.insert(field);
        }
        calls.batches += u64::from(found.batch);
        calls.introspections += u64::from(found.introspection);
        calls.persisted += u64::from(found.persisted_hash.is_some());
        calls.parse_errors += u64::from(found.parse_error);
        calls.streams += u64::from(found.stream);
        for (names, name) in [
            (&mut calls.apis, found.llm.map(|api| api.name())),
            (&mut calls.models, found.model.as_deref()),
            (&mut calls.response_models, found.response_model.as_deref()),
            (&mut calls.protocol_versions, found.protocol_version.as_deref()),
            (&mut calls.clients, found.client.as_deref()),
            (&mut calls.servers, found.server.as_deref()),
        ] {
            if let Some(name) = name {
                names.insert(name);
            }
        }
        calls.tokens_in = calls.tokens_in.saturating_add(found.tokens_in.unwrap_or(0));
        calls.tokens_out = calls.tokens_out.saturating_add(found.tokens_out.unwrap_or(0));
        for (names, tools) in [
            (&mut calls.tools_called, &found.tools_called),
            (&mut calls.tools_offered, &found.tools_offered),
            (&mut calls.tools_listed, &found.tools_listed),
        ] {
            tools.iter().for_each(|tool| names.insert(tool));
        }
        calls.rpc_errors += u64::from(found.rpc_error.is_some());
        calls.tool_errors += u64::from(found.tool_error);
    }

    /// Adds all of another endpoint's.
    pub fn merge(&mut self, other: &Learnt) {
        self.level = self.level.max(other.level);
        let level = self.level;
        self.looks.retain(|look| look.level >= level);
        for theirs in other.looks.iter().filter(|look| look.level >= level) {
            let ours = self.look_at(theirs.level);
            if ours.transactions == 0 {
                ours.schemas.clone_from(&theirs.schemas);
            } else {
                theirs.schemas.add_to(ours.schemas.open());
            }
            ours.transactions = ours.transactions.saturating_add(theirs.transactions);
        }
        self.fit();
        match (&mut self.calls, &other.calls) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
        match (&mut self.sockets, &other.sockets) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
    }
}

impl Calls {
    fn merge(&mut self, other: &Calls) {
        for (ours, theirs) in [
            (&mut self.root_fields, &other.root_fields),
            (&mut self.apis, &other.apis),
            (&mut self.models, &other.models),
            (&mut self.response_models, &other.response_models),
            (&mut self.tools_called, &other.tools_called),
            (&mut self.tools_offered, &other.tools_offered),
            (&mut self.tools_listed, &other.tools_listed),
            (&mut self.protocol_versions, &other.protocol_versions),
            (&mut self.clients, &other.clients),
            (&mut self.servers, &other.servers),
        ] {
            ours.merge(theirs);
        }
        for (ours, theirs) in [
            (&mut self.batches, other.batches),
            (&mut self.introspections, other.introspections),
            (&mut self.persisted, other.persisted),
            (&mut self.parse_errors, other.parse_errors),
            (&mut self.streams, other.streams),
            (&mut self.tokens_in, other.tokens_in),
            (&mut self.tokens_out, other.tokens_out),
            (&mut self.rpc_errors, other.rpc_errors),
            (&mut self.tool_errors, other.tool_errors),
        ] {
            *ours = ours.saturating_add(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Exchange, Sample, ValueKey};

    #[test]
    fn names_are_the_same_in_any_order() {
        let all: Vec<String> = (0..100).map(|n| format!("tool{n:03}")).collect();
        let (mut one, mut other) = (Names::default(), Names::default());
        all.iter().for_each(|name| one.insert(name));
        all.iter().rev().for_each(|name| other.insert(name));
        assert_eq!(one, other);
        assert!(one.overflow() && one.iter().count() == NAMES);
        let mut merged = Names::default();
        all.iter().step_by(2).for_each(|name| merged.insert(name));
        let mut odd = Names::default();
        all.iter().skip(1).step_by(2).for_each(|name| odd.insert(name));
        merged.merge(&odd);
        assert_eq!(merged, one);
    }

    #[test]
    fn packing_now_and_then_changes_nothing() {
        let key = ValueKey::new([3, 4]);
        let config = SamplingConfig { first: 20, every: 64 };
        let (mut open, mut packed) = (Learnt::new(config), Learnt::new(config));
        let (mut halves, mut other) = (Learnt::new(config), Learnt::new(config));
        for number in 0..300_u32 {
            let level = (number.wrapping_mul(0x9e37_79b9) >> 7).trailing_zeros() as u8 / 2;
            let body = format!("{{\"id\":{number},\"kind\":\"k{}\",\"f{}\":[true]}}", number % 5, number % 11);
            let sample = Some(Sample { bytes: body.as_bytes(), cut: false });
            let exchange = Exchange { query: Some(b"a=1"), status: 200, response_body: sample, ..Exchange::default() };
            for learnt in [&mut open, &mut packed, if number % 3 == 0 { &mut halves } else { &mut other }] {
                if let Some(schemas) = learnt.look(level) {
                    schemas.add(&exchange, &key);
                }
            }
            if number % 7 == 0 {
                packed.pack();
                other.pack();
            }
        }
        assert!(open.is_open());
        assert_eq!(open, packed);
        packed.pack();
        assert!(!packed.is_open());
        assert_eq!(open, packed);
        assert_eq!(open.schemas(), packed.schemas());
        halves.merge(&other);
        assert_eq!(halves, open);
    }
}
