//! The endpoints that one worker has seen.

mod fold;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::{HashMap, HashSet, HashTable};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use umbra_http::{Body, KnownHeader, Request, Sampler, Transaction, Upgrade};
use umbra_wire::Timestamp;

use crate::classify::Pattern;
use crate::coarse::{self, coarsen};
use crate::definition::{Definition, Definitions, LeftOut};
use crate::endpoint::{Endpoint, Template};
use crate::endpoint_key::{EndpointKey, Settled, split_operation};
use crate::hosts::{self, Hosts};
use crate::learnt::Learnt;
use crate::room::make_room;
use crate::route;
use crate::routes::{BodyKind, Pins, Segments, Templates};
use crate::sampling::{Memory, SamplingConfig, level};
use crate::schema::{Exchange, Sample, ValueKey};
use crate::style::{Classified, Facts, Style, classify_marked};
use crate::version;

/// Version of the `endpoint_id` recipe.
const ID_VERSION: &[u8] = b"1";

/// Bounds of the inventory.
#[derive(Clone, Debug)]
pub struct Config {
    /// Confirmed endpoints kept; further ones are counted in [`Counters::overflow`] (F070).
    pub endpoints: usize,
    /// Confirmed endpoints kept of one service word by word. When it is reached they are filed under the templates decided until
    /// then ([`Endpoints::fold`]), counted in [`Counters::folds`]; where that makes no room, requests for further ones are kept
    /// under coarse routes, counted in [`Counters::coarse`] (F070).
    pub endpoints_per_service: usize,
    /// Endpoints kept that no success has confirmed yet; the oldest makes room, counted in
    /// [`Counters::unconfirmed_dropped`] (F071, F074).
    pub unconfirmed: usize,
    /// Method names outside the registry kept; further ones become `OTHER` (F040).
    pub odd_methods: usize,
    /// Operations of one route told apart; further ones are counted with the route itself, and in
    /// [`Counters::operations_overflow`].
    pub operations: usize,
    /// Names at one server that a client may be the first to use before it is taken to guess them (F072).
    pub hosts_per_client: usize,
    /// Hosts that are services whoever uses them, small letters.
    pub known_hosts: Arc<[Pattern]>,
    /// Keep the structure of OpenAPI documents that services publish.
    pub keep_definitions: bool,
    /// Templates that operators have pinned.
    pub pins: Arc<Pins>,
    /// Which bodies are looked at.
    pub sampling: SamplingConfig,
    /// Key of the hashes that stand for values in schemas; one for a fleet.
    pub value_key: ValueKey,
    /// Key of the hash table (F018): random at each start.
    pub hash_seed: [u64; 4],
}

impl Default for Config {
    fn default() -> Self {
        Config {
            endpoints: 50_000,
            endpoints_per_service: 10_000,
            unconfirmed: 10_000,
            odd_methods: 32,
            operations: 512,
            hosts_per_client: 256,
            known_hosts: Arc::new([]),
            keep_definitions: false,
            pins: Arc::default(),
            sampling: SamplingConfig::default(),
            value_key: ValueKey::new([0; 2]),
            hash_seed: [0; 4],
        }
    }
}

/// What did not become an endpoint, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Transactions looked at.
    pub transactions: u64,
    /// Responses without request.
    pub orphan_responses: u64,
    /// Requests whose method or path HPACK state hides.
    pub unknown_path: u64,
    /// Requests whose endpoint the cap left out.
    pub overflow: u64,
    /// Unconfirmed endpoints dropped at their cap.
    pub unconfirmed_dropped: u64,
    /// Requests of those.
    pub unconfirmed_requests_dropped: u64,
    /// Requests whose operation the cap left out.
    pub operations_overflow: u64,
    /// Requests kept under a coarse route, as their service has more endpoints than the cap.
    pub coarse: u64,
    /// Definitions that services publish, where they are to be kept.
    pub definitions: LeftOut,
    /// Times that a service had reached the cap and its endpoints were filed under the templates decided until then.
    pub folds: u64,
    /// Hosts that only clients have used that guess names: no services. Of the inventory as it was last settled, so it is not
    /// kept and not added up.
    #[serde(skip)]
    pub guessed_hosts: u64,
}

impl Counters {
    /// Adds those of another worker or another run.
    pub fn merge(&mut self, other: &Counters) {
        self.transactions += other.transactions;
        self.orphan_responses += other.orphan_responses;
        self.unknown_path += other.unknown_path;
        self.overflow += other.overflow;
        self.unconfirmed_dropped += other.unconfirmed_dropped;
        self.unconfirmed_requests_dropped += other.unconfirmed_requests_dropped;
        self.operations_overflow += other.operations_overflow;
        self.coarse += other.coarse;
        self.definitions.merge(&other.definitions);
        self.folds += other.folds;
    }
}

/// One transaction as the inventory sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Canonical host ([`crate::canonical_host`]), redacted.
    pub host: &'a [u8],
    /// Redacted method; empty if it is unknown.
    pub method: &'a [u8],
    /// Redacted path without query; `None` if it is unknown.
    pub path: Option<&'a [u8]>,
    /// Keyed hash of the client's identity.
    pub client: u64,
    /// The client is inside the operator's address ranges.
    pub client_inside: bool,
    /// Address and port of the server.
    pub server: (IpAddr, u16),
    /// When.
    pub time: Timestamp,
    /// Nothing lacks: both messages whole, nothing missed.
    pub complete: bool,
    /// Nothing contradicts the bytes, and the server has acknowledged them where its ACKs are seen (F020, F023).
    pub trusted: bool,
    /// The transaction.
    pub transaction: &'a Transaction,
}

/// What the inventory made of a transaction, for its event.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Style.
    pub style: Style,
    /// `endpoint_id` and route template; `None` if it is no endpoint or the cap left it out.
    pub endpoint: Option<([u8; 16], &'a [u8])>,
    /// What that endpoint is known by, also if the cap left it out; `None` if it is no endpoint.
    pub key: Option<EndpointKey<'a>>,
    /// The operation, where the style has one beside path and method.
    pub operation: Option<&'a [u8]>,
}

/// The endpoints that one worker has seen.
#[derive(Clone, Debug)]
pub struct Endpoints {
    config: Config,
    hasher: RandomState,
    table: HashTable<u32>,
    slots: Vec<Option<Endpoint>>,
    free: Vec<u32>,
    /// Slots in the order in which they came unconfirmed; may name slots that were confirmed or freed since.
    unconfirmed: VecDeque<u32>,
    unconfirmed_len: usize,
    odd_methods: Vec<Vec<u8>>,
    counters: Counters,
    /// Operations of each route, by hash of style, host, method and route.
    operations: HashMap<u64, u32, RandomState>,
    /// Confirmed endpoints of each service, by hash of its host.
    confirmed: HashMap<u64, usize, RandomState>,
    /// A service that has reached its bound, until somebody asks.
    crowded: Option<String>,
    /// No service is folded before.
    next_fold: Timestamp,
    /// Services that templates give no room, by hash of their host.
    unfoldable: HashSet<u64, RandomState>,
    memory: Arc<Memory>,
    hosts: Hosts,
    definitions: Definitions,
    segments: Segments,
    /// Slots whose schemas are not packed, in the order in which they were opened.
    open: VecDeque<u32>,
    key: Vec<u8>,
    route: Vec<u8>,
}

impl Endpoints {
    /// No endpoints.
    pub fn new(config: Config) -> Self {
        let [a, b, c, d] = config.hash_seed;
        let hasher = RandomState::with_seeds(a, b, c, d);
        Endpoints {
            operations: HashMap::with_hasher(hasher.clone()),
            confirmed: HashMap::with_hasher(hasher.clone()),
            crowded: None,
            next_fold: Timestamp(0),
            unfoldable: HashSet::with_hasher(hasher.clone()),
            memory: Memory::new(config.sampling, config.value_key, hasher.clone()),
            hosts: Hosts::new(config.hosts_per_client, hasher.clone()),
            definitions: Definitions::default(),
            segments: Segments::default(),
            open: VecDeque::new(),
            config,
            hasher,
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            unconfirmed: VecDeque::new(),
            unconfirmed_len: 0,
            odd_methods: Vec::new(),
            counters: Counters::default(),
            key: Vec::new(),
            route: Vec::new(),
        }
    }

    /// Who decides which bodies are kept for [`observe`](Self::observe): for the HTTP stage of the same worker.
    pub fn sampler(&self) -> Box<dyn Sampler> {
        Box::new(Memory::sampler(&self.memory))
    }

    /// Counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Endpoints, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.slots.iter().flatten()
    }

    /// Confirmed and unconfirmed endpoints held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// None held?
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a transaction, and says which endpoint it belongs to.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Observed<'_> {
        let transaction = observation.transaction;
        self.counters.transactions += 1;
        let Some(request) = &transaction.request else {
            self.counters.orphan_responses += 1;
            return Observed { style: Style::Rest, endpoint: None, key: None, operation: None };
        };
        let facts = facts(transaction, request);
        let (mut found, version_field) = classify_marked(&facts);
        let confirms = confirms(observation);
        if found.style.operation_is_in_body() {
            if confirms {
                self.memory.remember(request, found.style);
            }
        } else if found.style == Style::Rest && facts.request_body.is_none() && transaction.request_body.len_bytes > 0 {
            // The body that would tell was not to be had.
            found.style = self.memory.style(request).unwrap_or_default();
        }
        let style = found.style;
        let nowhere = Observed { style, endpoint: None, key: None, operation: None };
        let (Some(path), false) = (observation.path, observation.method.is_empty()) else {
            self.counters.unknown_path += 1;
            return nowhere;
        };
        match style {
            // A gRPC path names a method, never a resource.
            Style::Grpc => {
                self.route.clear();
                self.route.extend_from_slice(path);
            }
            _ => match self.config.pins.find(observation.host, path, &mut self.segments) {
                Some(pinned) => {
                    self.route.clear();
                    self.route.extend_from_slice(pinned.as_bytes());
                }
                None => route::template(path, &mut self.route),
            },
        }
        let (host_len, method_len) = self.write_key(observation.host, observation.method);
        let operation = if style.operation_is_in_body() { found.operation() } else { None };
        if let Some(operation) = operation {
            self.write_operation(style, &operation);
        }
        let coarse = self.counters.coarse;
        let place = self.place(style, host_len, method_len);
        if self.counters.coarse > coarse {
            self.crowd(observation);
        }
        let Some(slot) = place else {
            self.counters.overflow += 1;
            let key = EndpointKey { style, bytes: &self.key, host_len, method_len };
            return Observed { key: Some(key), ..nowhere };
        };
        let Some(Some(endpoint)) = self.slots.get_mut(slot as usize) else { return nowhere };
        count(endpoint, observation);
        if confirms && let Some((place, version)) = version::asked(&facts, version_field) {
            endpoint.versions.add(place, version, 1, observation.time.nanos());
        }
        let was_open = is_open(endpoint);
        learn(endpoint, &facts, &found, observation, &self.config);
        let is_opened = !was_open && is_open(endpoint);
        if self.config.keep_definitions && confirms {
            let place = (endpoint.host(), endpoint.route());
            let too_long = transaction.response_body.sample_truncated;
            let (seen, left_out) = (observation.time.nanos(), &mut self.counters.definitions);
            self.definitions.observe(place, &facts, too_long, seen, left_out);
        }
        let mut is_crowded = false;
        if !endpoint.confirmed && confirms {
            endpoint.answered = true;
            if self.hosts.takes(observation.host, observation.server, observation.client)
                || is_known(&self.config.known_hosts, endpoint.host())
            {
                endpoint.confirmed = true;
                self.unconfirmed_len -= 1;
                let host = self.hasher.hash_one(observation.host);
                let confirmed = self.confirmed.entry(host).or_default();
                *confirmed += 1;
                is_crowded = *confirmed == self.config.endpoints_per_service;
            }
        }
        if is_opened {
            self.note_open(slot);
        }
        if is_crowded {
            self.crowd(observation);
        }
        match self.slots.get(slot as usize) {
            Some(Some(endpoint)) => Observed {
                style,
                endpoint: Some((endpoint.id, endpoint.route_bytes())),
                key: Some(endpoint.endpoint_key()),
                operation: endpoint.operation_bytes(),
            },
            _ => nowhere,
        }
    }

    /// Adds what another worker has seen.
    pub fn merge(&mut self, other: &Endpoints) {
        for theirs in other.iter() {
            self.merge_endpoint(theirs);
        }
        self.counters.merge(&other.counters);
        self.counters.definitions.overflow += self.definitions.merge(&other.definitions);
    }

    /// Documents that services publish, where they are to be kept.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Adds a document of another run.
    pub fn restore_definition(&mut self, host: &str, path: &str, definition: Definition) {
        let is_kept = self.definitions.insert(host, path, definition);
        self.counters.definitions.overflow += u64::from(!is_kept);
    }

    /// Adds what another worker, or another run, has seen of one endpoint. Gives its id; `None` if the cap left it out.
    pub fn merge_endpoint(&mut self, theirs: &Endpoint) -> Option<[u8; 16]> {
        self.key.clear();
        self.key.extend_from_slice(theirs.key());
        self.merge_key(theirs, theirs.host().len() as u16, theirs.method().len() as u8)
    }

    /// Adds an endpoint to that under `self.key`, and gives the id of that.
    fn merge_key(&mut self, theirs: &Endpoint, host_len: u16, method_len: u8) -> Option<[u8; 16]> {
        let Some(slot) = self.find_or_insert(theirs.style, host_len, method_len) else {
            self.counters.overflow += theirs.requests;
            return None;
        };
        let endpoint = self.slots.get_mut(slot as usize)?.as_mut()?;
        if theirs.confirmed && !endpoint.confirmed {
            self.unconfirmed_len -= 1;
        }
        let was_open = is_open(endpoint);
        endpoint.merge(theirs);
        let id = endpoint.id;
        if !was_open && is_open(endpoint) {
            self.note_open(slot);
        }
        Some(id)
    }

    /// The same endpoints under the templates that are pinned, or else those of `templates`, where one has their place; what comes
    /// together is merged.
    pub fn regrouped(&self, templates: &Templates) -> Endpoints {
        let mut grouped = Endpoints::new(self.config.clone());
        grouped.counters = self.counters;
        grouped.definitions = self.definitions.clone();
        let mut settled = Settled::new(templates, &self.config.pins);
        for endpoint in self.iter() {
            let key = endpoint.endpoint_key();
            settled.write_key(key, &mut grouped.key);
            grouped.merge_key(endpoint, key.host_len, key.method_len);
        }
        for endpoint in grouped.slots.iter_mut().flatten().filter(|endpoint| endpoint.style != Style::Grpc) {
            let found = templates.find(endpoint.host(), endpoint.method().as_bytes(), endpoint.route().as_bytes());
            let found = found.filter(|found| found.template == endpoint.route());
            endpoint.template = Template(found.map(|found| Arc::new(found.clone())));
        }
        grouped
    }

    /// The same endpoints under the templates that are pinned, or else the routes that `route` gives them, if it gives one.
    pub fn filed(&self, route: impl Fn(&Endpoint) -> Option<String>) -> Endpoints {
        let mut grouped = Endpoints::new(self.config.clone());
        grouped.counters = self.counters;
        let mut segments = Segments::default();
        for endpoint in self.iter() {
            let host = endpoint.host().as_bytes();
            let pinned = self.config.pins.find(host, endpoint.route().as_bytes(), &mut segments).map(str::to_owned);
            match pinned.filter(|_| endpoint.style != Style::Grpc).or_else(|| route(endpoint)) {
                Some(route) => grouped.merge_as(endpoint, &route),
                None => grouped.merge_endpoint(endpoint),
            };
        }
        grouped
    }

    /// Decides which hosts are services (F072), and lets go of what nobody has answered for a day (F074).
    pub fn settle(&mut self) {
        let guessed = hosts::guessed(self.iter(), self.config.hosts_per_client);
        let newest = self.iter().map(|endpoint| endpoint.last_seen.nanos()).max().unwrap_or(0);
        self.counters.guessed_hosts = 0;
        let mut told = BTreeSet::new();
        let places = 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        for slot in places {
            let Some(Some(endpoint)) = self.slots.get_mut(slot as usize) else { continue };
            let is_guessed = guessed.contains(endpoint.host()) && !is_known(&self.config.known_hosts, endpoint.host());
            if is_guessed && told.insert(endpoint.host().to_owned()) {
                self.counters.guessed_hosts += 1;
            }
            let confirmed = endpoint.answered && !is_guessed;
            match (endpoint.confirmed, confirmed) {
                (true, false) => {
                    self.unconfirmed.push_back(slot);
                    self.unconfirmed_len += 1;
                }
                (false, true) => self.unconfirmed_len -= 1,
                _ => {}
            }
            endpoint.confirmed = confirmed;
            if !confirmed && endpoint.last_seen.nanos() < newest.saturating_sub(UNCONFIRMED_LIFE) {
                self.drop_unconfirmed(slot);
            }
        }
    }

    /// Adds an endpoint to that of the template that is pinned for its place, or else of that in `templates`, or under its own route
    /// where neither has one. Gives the id of what it was added to; `None` if the cap left it out.
    pub fn merge_under(&mut self, endpoint: &Endpoint, templates: &Templates) -> Option<[u8; 16]> {
        let (key, pins) = (endpoint.endpoint_key(), Arc::clone(&self.config.pins));
        Settled::new(templates, &pins).write_key(key, &mut self.key);
        self.merge_key(endpoint, key.host_len, key.method_len)
    }

    /// Adds an endpoint to that of a route.
    fn merge_as(&mut self, endpoint: &Endpoint, route: &str) -> Option<[u8; 16]> {
        self.route.clear();
        self.route.extend_from_slice(route.as_bytes());
        let (host_len, method_len) = self.write_key(endpoint.host().as_bytes(), endpoint.method().as_bytes());
        if let Some(operation) = endpoint.operation_bytes() {
            self.key.push(0);
            self.key.extend_from_slice(operation);
        }
        self.merge_key(endpoint, host_len, method_len)
    }

    /// Adds what an earlier run left out.
    pub fn merge_counters(&mut self, theirs: &Counters) {
        self.counters.merge(theirs);
    }

    /// Writes host, method and route to `self.key`, apart by zero bytes; says how long the first two are.
    fn write_key(&mut self, host: &[u8], method: &[u8]) -> (u16, u8) {
        self.key.clear();
        match is_graphic(host) {
            true => self.key.extend_from_slice(host),
            false => self.key.extend(host.iter().map(|&byte| if byte.is_ascii_graphic() { byte } else { b'_' })),
        }
        let host_len = self.key.len().min(usize::from(u16::MAX));
        self.key.truncate(host_len);
        self.key.push(0);
        let start = self.key.len();
        if is_registered(method) {
            self.key.extend_from_slice(method);
        } else if self.keep_odd_method(method) {
            let clean = method.iter().take(32).map(|&b| if b.is_ascii_graphic() { b } else { b'_' });
            self.key.extend(clean);
        } else {
            self.key.extend_from_slice(b"OTHER");
        }
        let method_len = self.key.len() - start;
        self.key.push(0);
        push_route(&self.route, &mut self.key);
        (host_len as u16, method_len as u8)
    }

    /// Appends the operation to `self.key`, unless the route has too many already and this is a new one.
    fn write_operation(&mut self, style: Style, operation: &str) {
        let route = self.hasher.hash_one((style as u8, self.key.as_slice()));
        let len = self.key.len();
        self.key.push(0);
        // A name that the wire chose never ends the key early.
        let mut end = operation.len().min(OPERATION_BYTES);
        while !operation.is_char_boundary(end) {
            end -= 1;
        }
        self.key.extend(operation.bytes().take(end).filter(|byte| *byte >= b' '));
        if self.find(style).is_some() {
            return;
        }
        let held = self.operations.entry(route).or_default();
        if *held as usize >= self.config.operations {
            self.counters.operations_overflow += 1;
            self.key.truncate(len);
            return;
        }
        *held += 1;
    }

    /// The schemas of this slot were opened: those opened longest ago are packed.
    fn note_open(&mut self, slot: u32) {
        if self.open.len() >= OPEN
            && let Some(oldest) = self.open.pop_front()
            && let Some(Some(Endpoint { learnt: Some(learnt), .. })) = self.slots.get_mut(oldest as usize)
        {
            learnt.pack();
        }
        self.open.push_back(slot);
    }

    fn keep_odd_method(&mut self, method: &[u8]) -> bool {
        if self.odd_methods.iter().any(|known| known == method) {
            return true;
        }
        let room = self.odd_methods.len() < self.config.odd_methods && method.len() <= 32;
        if room {
            self.odd_methods.push(method.to_vec());
        }
        room
    }

    /// The slot of the endpoint with the key that was written last.
    fn find(&self, style: Style) -> Option<u32> {
        let hash = self.hasher.hash_one((style as u8, self.key.as_slice()));
        let (slots, key) = (&self.slots, self.key.as_slice());
        let same = |slot: &u32| matches!(slots.get(*slot as usize), Some(Some(entry)) if entry.style == style && entry.key() == key);
        self.table.find(hash, same).copied()
    }

    /// The slot for what `self.key` names; where its service has too many endpoints, that of a coarser route.
    fn place(&mut self, style: Style, host_len: u16, method_len: u8) -> Option<u32> {
        if let Some(slot) = self.find(style) {
            return Some(slot);
        }
        let host = self.key.get(..usize::from(host_len)).unwrap_or_default();
        let confirmed = self.confirmed.get(&self.hasher.hash_one(host)).copied().unwrap_or(0);
        let Some(over) = confirmed.checked_sub(self.config.endpoints_per_service) else {
            return self.find_or_insert(style, host_len, method_len);
        };
        self.counters.coarse += 1;
        let route_start = usize::from(host_len) + usize::from(method_len) + 2;
        // A gRPC path names a method: nothing of it is a variable, and what is over the cap is left out.
        if over >= coarse::COARSE || style == Style::Grpc {
            return None;
        }
        coarsen(&mut self.key, route_start, usize::from(over < coarse::WITH_FIRST));
        self.find_or_insert(style, host_len, method_len)
    }

    fn find_or_insert(&mut self, style: Style, host_len: u16, method_len: u8) -> Option<u32> {
        if let Some(slot) = self.find(style) {
            return Some(slot);
        }
        let hash = self.hasher.hash_one((style as u8, self.key.as_slice()));
        if self.unconfirmed_len >= self.config.unconfirmed {
            self.drop_oldest_unconfirmed();
        }
        if self.table.len() >= self.config.endpoints.saturating_add(self.config.unconfirmed) {
            return None;
        }
        let id = endpoint_id(style, &self.key, host_len, method_len);
        let endpoint = Endpoint::new(id, style, self.key.clone(), host_len, method_len);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(endpoint);
                slot
            }
            None => {
                make_room(&mut self.slots);
                self.slots.push(Some(endpoint));
                (self.slots.len() - 1) as u32
            }
        };
        self.unconfirmed.push_back(slot);
        self.unconfirmed_len += 1;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.table.insert_unique(hash, slot, |slot| match &slots[*slot as usize] {
            Some(entry) => hasher.hash_one((entry.style as u8, entry.key())),
            None => 0,
        });
        Some(slot)
    }

    fn drop_oldest_unconfirmed(&mut self) {
        while let Some(slot) = self.unconfirmed.pop_front() {
            if self.drop_unconfirmed(slot) {
                return;
            }
        }
    }

    /// Takes what is in a slot out.
    fn take(&mut self, slot: u32) -> Option<Endpoint> {
        let endpoint = self.slots.get_mut(slot as usize)?.take()?;
        let hash = self.hasher.hash_one((endpoint.style as u8, endpoint.key()));
        if let Ok(found) = self.table.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        self.unconfirmed_len -= usize::from(!endpoint.confirmed);
        Some(endpoint)
    }

    /// Drops what is in a slot, unless that is confirmed or gone.
    fn drop_unconfirmed(&mut self, slot: u32) -> bool {
        let is_unconfirmed = |place: &Option<Endpoint>| place.as_ref().is_some_and(|endpoint| !endpoint.confirmed);
        if !self.slots.get(slot as usize).is_some_and(is_unconfirmed) {
            return false;
        }
        let Some(endpoint) = self.take(slot) else { return false };
        self.counters.unconfirmed_dropped += 1;
        self.counters.unconfirmed_requests_dropped += endpoint.requests;
        true
    }
}

/// An endpoint that no success has confirmed is forgotten after a day without a request, nanoseconds (F074).
const UNCONFIRMED_LIFE: u64 = 24 * 3600 * 1_000_000_000;

/// Endpoints whose schemas are held open to be added to; those of others are packed. One takes some kilobytes.
const OPEN: usize = 256;

fn is_open(endpoint: &Endpoint) -> bool {
    endpoint.learnt.as_ref().is_some_and(|learnt| learnt.is_open())
}

/// Has an operator named the host? The port does not matter.
fn is_known(known: &[Pattern], host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    known.iter().any(|pattern| pattern.matches(name) || pattern.matches(host))
}

/// Longest operation in a key, bytes.
const OPERATION_BYTES: usize = 200;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a route in the one form it has: what a path may not hold unescaped (RFC 3986 §3.3) is escaped.
pub(crate) fn push_route(route: &[u8], key: &mut Vec<u8>) {
    if is_graphic(route) {
        key.extend_from_slice(route);
        return;
    }
    for &byte in route {
        if byte.is_ascii_graphic() {
            key.push(byte);
        } else {
            key.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Printable ASCII without blanks all through? Without an early exit, so that the compiler makes vector code of it.
fn is_graphic(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// Methods of the IANA registry that are met in practice; others are kept up to [`Config::odd_methods`].
fn is_registered(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET"
            | b"POST"
            | b"PUT"
            | b"DELETE"
            | b"HEAD"
            | b"OPTIONS"
            | b"PATCH"
            | b"CONNECT"
            | b"TRACE"
            | b"PROPFIND"
            | b"PROPPATCH"
            | b"MKCOL"
            | b"COPY"
            | b"MOVE"
            | b"LOCK"
            | b"UNLOCK"
            | b"REPORT"
            | b"SEARCH"
            | b"QUERY"
    )
}

/// Is this what a server says to a request that reached something? Only such answers make an endpoint.
fn confirms(observation: &Observation<'_>) -> bool {
    let transaction = observation.transaction;
    let success = match &transaction.response {
        // RFC 9110 §9.3.7: without content, OPTIONS only asks what may be asked.
        Some(_) if observation.method == b"OPTIONS" && transaction.response_body.len_bytes == 0 => false,
        // A page that says where to go is no answer of an API, whatever the path.
        Some(response) if matches!(response.status, 300..=399) => {
            BodyKind::of(response.headers.first(KnownHeader::ContentType)) != BodyKind::Html
        }
        Some(response) => matches!(response.status, 200..=299) || transaction.upgrade == Some(Upgrade::WebSocket),
        None => false,
    };
    success && observation.trusted && !transaction.coverage.tainted
}

/// What styles are told by.
fn facts<'a>(transaction: &'a Transaction, request: &'a Request) -> Facts<'a> {
    let target = request.target().unwrap_or_default();
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (target.get(..mark).unwrap_or_default(), target.get(mark + 1..)),
        None => (target, None),
    };
    let response = transaction.response.as_ref();
    Facts {
        method: request.method(),
        authority: request.authority().unwrap_or_default(),
        path,
        query,
        request_headers: Some(&request.headers),
        request_body: sample(&transaction.request_body),
        status: response.map_or(0, |response| response.status),
        response_headers: response.map(|response| &response.headers),
        response_body: sample(&transaction.response_body),
        grpc: transaction.grpc.is_some(),
        websocket: transaction.websocket.is_some(),
        socket_messages: &[],
    }
}

fn sample(body: &Body) -> Option<Sample<'_>> {
    // A body that was not seen to its end may go on.
    body.sample.as_ref().map(|bytes| Sample { bytes, cut: body.sample_truncated || !body.complete })
}

/// Learns parameters and bodies. What a client sent counts only where the server took it: a scanner's guesses do not.
fn learn(
    endpoint: &mut Endpoint,
    facts: &Facts<'_>,
    found: &Classified,
    observation: &Observation<'_>,
    config: &Config,
) {
    let transaction = observation.transaction;
    if let Some(socket) = transaction.websocket.as_ref().filter(|_| observation.trusted) {
        let learnt = endpoint.learnt.get_or_insert_with(|| Box::new(Learnt::new(config.sampling)));
        learnt.sockets.get_or_insert_default().add(socket, facts.response_field(b"sec-websocket-protocol"));
    }
    let taken = matches!(facts.status, 200..=399);
    let looked_at = taken || facts.request_body.is_some() || facts.response_body.is_some();
    if !looked_at || !found.style.is_api() || config.sampling.first == 0 {
        return;
    }
    let target = transaction.request.as_ref().and_then(|request| request.target()).unwrap_or_default();
    let level = level(&config.value_key, transaction.request_start, target);
    let learnt = endpoint.learnt.get_or_insert_with(|| Box::new(Learnt::new(config.sampling)));
    if observation.trusted && !found.operations.is_empty() && found.style.operation_is_in_body() {
        learnt.add(found);
    }
    // Counted in any case: which ones are looked at must not depend on what is learnt.
    let Some(schemas) = learnt.look(level) else { return };
    if !observation.trusted {
        return;
    }
    let exchange = Exchange {
        query: facts.query,
        request_headers: facts.request_headers,
        request_body: facts.request_body.filter(|_| taken),
        status: facts.status,
        response_headers: facts.response_headers,
        response_body: facts.response_body,
    };
    if taken {
        schemas.add_parameters(&exchange, &config.value_key);
    }
    schemas.add_bodies(&exchange, &config.value_key);
}

fn count(endpoint: &mut Endpoint, observation: &Observation<'_>) {
    let transaction = observation.transaction;
    endpoint.requests += 1;
    match &transaction.response {
        Some(response) => endpoint.count_status(response.status, 1),
        None => endpoint.unanswered += 1,
    }
    endpoint.first_seen = endpoint.first_seen.min(observation.time);
    endpoint.last_seen = endpoint.last_seen.max(observation.time);
    endpoint.clients.insert(observation.client);
    if let (Some(asked), Some(answered)) = (transaction.request_start, transaction.response_start) {
        // An answer before its request is no duration.
        endpoint.latency.add(answered.nanos().saturating_sub(asked.nanos()));
    }
    endpoint.origin.add(observation.server, observation.client_inside);
    endpoint.request_bytes = endpoint.request_bytes.saturating_add(transaction.request_body.len_bytes);
    endpoint.response_bytes = endpoint.response_bytes.saturating_add(transaction.response_body.len_bytes);
    let (facts, seen) = (&mut endpoint.coverage, &transaction.coverage);
    facts.incomplete += u64::from(!observation.complete);
    facts.with_gaps += u64::from(seen.gap_bytes > 0);
    facts.gap_bytes = facts.gap_bytes.saturating_add(seen.gap_bytes);
    facts.truncated += u64::from(seen.truncated);
    facts.mid_stream += u64::from(seen.mid_stream);
    facts.one_sided += u64::from(seen.one_sided);
    facts.tainted += u64::from(seen.tainted || !observation.trusted);
}

/// First 128 bits of SHA-256(version ‖ style ‖ host ‖ method ‖ route with each variable as `{}` ‖ operation if there is one), parts
/// apart by zero bytes.
pub(crate) fn endpoint_id(style: Style, key: &[u8], host_len: u16, method_len: u8) -> [u8; 16] {
    let route_start = usize::from(host_len) + usize::from(method_len) + 2;
    let mut digest = Sha256::new();
    digest.update(ID_VERSION);
    digest.update([0]);
    digest.update(style.name());
    digest.update([0]);
    digest.update(&key[..route_start]);
    let (mut rest, operation) = split_operation(&key[route_start..]);
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        digest.update(&rest[..open]);
        digest.update(b"{}");
        rest = match rest[open..].iter().position(|&byte| byte == b'}') {
            Some(close) => &rest[open + close + 1..],
            None => &[],
        };
    }
    digest.update(rest);
    if let Some(operation) = operation {
        digest.update([0]);
        digest.update(operation);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&digest.finalize()[..16]);
    id
}
