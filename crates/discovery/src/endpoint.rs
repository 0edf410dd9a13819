//! What is known of one endpoint.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use umbra_wire::Timestamp;

use crate::clients::Clients;
use crate::endpoint_key::{EndpointKey, split_operation};
use crate::latency::Latency;
use crate::learnt::Learnt;
use crate::origin::Origin;
use crate::room::make_room;
use crate::routes;
use crate::style::Style;
use crate::version::Versions;

/// Coverage facts of an endpoint: of how many of its transactions something is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Transactions that lack something: one of the facts below, an unanswered request, a cut body.
    pub incomplete: u64,
    /// Transactions with bytes missed by the capture.
    pub with_gaps: u64,
    /// Bytes missed.
    pub gap_bytes: u64,
    /// Transactions cut by the snap length.
    pub truncated: u64,
    /// Transactions of connections joined after their start.
    pub mid_stream: u64,
    /// Transactions of which one direction was not seen.
    pub one_sided: u64,
    /// Transactions read from contradicted or ambiguous bytes; they confirm nothing.
    pub tainted: u64,
}

impl Coverage {
    fn merge(&mut self, other: &Coverage) {
        self.incomplete += other.incomplete;
        self.with_gaps += other.with_gaps;
        self.gap_bytes = self.gap_bytes.saturating_add(other.gap_bytes);
        self.truncated += other.truncated;
        self.mid_stream += other.mid_stream;
        self.one_sided += other.one_sided;
        self.tainted += other.tainted;
    }
}

/// Distinct status codes kept for one endpoint; servers send a handful, an attacker's reply may hold any number.
const STATUSES: usize = 64;

/// What was seen of one endpoint. Every part merges by sum, minimum, maximum or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `endpoint_id`: first 128 bits of SHA-256 over style, host, method and route; as text 32 hex digits.
    pub id: [u8; 16],
    /// Style.
    pub style: Style,
    key: Vec<u8>,
    host_len: u16,
    method_len: u8,
    /// A server answered a request with success, from bytes that nothing contradicts, and the host is a service (F072).
    pub confirmed: bool,
    /// A server answered a request with success.
    pub(crate) answered: bool,
    /// Requests.
    pub requests: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Answers by status code, ascending.
    pub statuses: Vec<(u16, u64)>,
    /// Answers with a status past the cap on distinct ones.
    pub other_statuses: u64,
    /// First request.
    pub first_seen: Timestamp,
    /// Last request.
    pub last_seen: Timestamp,
    /// Distinct clients.
    pub clients: Clients,
    /// From the first byte of a request to the first of its answer.
    pub latency: Latency,
    /// Request body bytes.
    pub request_bytes: u64,
    /// Response body bytes.
    pub response_bytes: u64,
    /// Coverage.
    pub coverage: Coverage,
    /// Where it was reached, and from where.
    pub origin: Origin,
    /// API versions that requests asked for, other than by path.
    pub versions: Versions,
    /// What bodies and parameters have taught, once there was something to learn.
    pub learnt: Option<Box<Learnt>>,
    /// What was decided of the route.
    pub template: Template,
    /// Ids of what came together in it when routes were settled.
    pub merged_from: MergedFrom,
}

/// Ids under which parts of an endpoint were known before its route was: those that the events of a live sensor carry. No part of
/// what was seen: it shows anew whenever what is kept is settled, and endpoints that differ in it only are equal.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "most endpoints have none: 8 bytes instead of 24")]
pub struct MergedFrom(Option<Box<BTreeSet<[u8; 16]>>>);

impl MergedFrom {
    /// Ids kept, the lowest, so that any order of parts keeps the same; a route of a thousand words has as many.
    pub const MOST: usize = 64;

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.0.iter().flat_map(|ids| ids.iter())
    }

    pub(crate) fn insert(&mut self, id: [u8; 16]) {
        let ids = self.0.get_or_insert_default();
        ids.insert(id);
        if ids.len() > Self::MOST {
            ids.pop_last();
        }
    }
}

impl PartialEq for MergedFrom {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MergedFrom {}

/// What was decided of the route of an endpoint, once routes were settled and if there was anything to decide. No part of what was
/// seen: it is not kept, and endpoints that differ in it only are equal.
#[derive(Clone, Debug, Default)]
pub struct Template(pub(crate) Option<Arc<routes::Endpoint>>);

impl Deref for Template {
    type Target = Option<Arc<routes::Endpoint>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl PartialEq for Template {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Template {}

impl Endpoint {
    /// An endpoint of which nothing has been seen. `key` is host, method, route and, where the style has one, operation, apart by
    /// zero bytes.
    pub(crate) fn new(id: [u8; 16], style: Style, key: Vec<u8>, host_len: u16, method_len: u8) -> Self {
        Endpoint {
            id,
            style,
            key,
            host_len,
            method_len,
            confirmed: false,
            answered: false,
            requests: 0,
            unanswered: 0,
            statuses: Vec::new(),
            other_statuses: 0,
            first_seen: Timestamp(u64::MAX),
            last_seen: Timestamp(0),
            clients: Clients::default(),
            latency: Latency::default(),
            request_bytes: 0,
            response_bytes: 0,
            coverage: Coverage::default(),
            origin: Origin::default(),
            versions: Versions::default(),
            learnt: None,
            template: Template::default(),
            merged_from: MergedFrom::default(),
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// What it is known by.
    pub fn endpoint_key(&self) -> EndpointKey<'_> {
        EndpointKey { style: self.style, bytes: &self.key, host_len: self.host_len, method_len: self.method_len }
    }

    /// Canonical host of the service.
    pub fn host(&self) -> &str {
        text(&self.key[..usize::from(self.host_len)])
    }

    /// Method.
    pub fn method(&self) -> &str {
        let start = usize::from(self.host_len) + 1;
        text(&self.key[start..start + usize::from(self.method_len)])
    }

    /// Route template.
    pub fn route(&self) -> &str {
        text(self.route_bytes())
    }

    /// The operation, where path and method alone do not say what is called: `query GetUser`, `tools/call get_weather`.
    pub fn operation(&self) -> Option<&str> {
        self.operation_bytes().map(text)
    }

    pub(crate) fn route_bytes(&self) -> &[u8] {
        self.route_and_operation().0
    }

    pub(crate) fn operation_bytes(&self) -> Option<&[u8]> {
        self.route_and_operation().1
    }

    fn route_and_operation(&self) -> (&[u8], Option<&[u8]>) {
        split_operation(&self.key[usize::from(self.host_len) + usize::from(self.method_len) + 2..])
    }

    /// The id as text: 32 hex digits.
    pub fn id_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.id))
    }

    /// Answers of a class: 2 for 2xx and so on.
    pub fn status_class(&self, class: u16) -> u64 {
        self.statuses.iter().filter(|(status, _)| status / 100 == class).map(|(_, count)| count).sum()
    }

    pub(crate) fn count_status(&mut self, status: u16, count: u64) {
        match self.statuses.binary_search_by_key(&status, |(status, _)| *status) {
            Ok(place) => self.statuses[place].1 += count,
            Err(place) if self.statuses.len() < STATUSES => {
                make_room(&mut self.statuses);
                self.statuses.insert(place, (status, count));
            }
            Err(_) => self.other_statuses += count,
        }
    }

    /// Adds what another worker, or another run, has seen of the same endpoint.
    pub fn merge(&mut self, other: &Endpoint) {
        for id in other.merged_from.iter().chain([&other.id]).filter(|id| **id != self.id) {
            self.merged_from.insert(*id);
        }
        self.confirmed |= other.confirmed;
        self.answered |= other.answered;
        self.requests += other.requests;
        self.unanswered += other.unanswered;
        for &(status, count) in &other.statuses {
            self.count_status(status, count);
        }
        self.other_statuses += other.other_statuses;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.clients.merge(&other.clients);
        self.latency.merge(&other.latency);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.coverage.merge(&other.coverage);
        self.origin.merge(&other.origin);
        self.versions.merge(&other.versions);
        match (&mut self.learnt, &other.learnt) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
    }
}

/// Keys are printable ASCII but for operations, which are UTF-8 (see `Endpoints::write_key`).
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
