//! What all connections of a worker share: limits, counters, recycled memory, finished transactions.

use std::collections::VecDeque;
use std::time::Duration;

use umbra_wire::Timestamp;

use crate::anomaly::{Anomalies, Anomaly};
use crate::body::Bodies;
use crate::h1::UsualHeads;
use crate::h2::Memo;
use crate::message::{Request, Response};
use crate::transaction::Transaction;

/// Limits of the HTTP stage. Each has a counter in [`Counters`] or an [`Anomaly`] for reaching it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes looked at in each direction before a flow is given up as not HTTP (F047).
    pub detect_bytes: usize,
    /// Bytes of a message head kept (F033).
    pub head_bytes: usize,
    /// Fields of a message kept (F034).
    pub fields: usize,
    /// Bytes of a request target kept (F034).
    pub target_bytes: usize,
    /// Requests of a flow that wait for their answer (F043).
    pub pending: usize,
    /// Live HTTP/2 streams of a flow (F051).
    pub streams: usize,
    /// HTTP/2 dynamic table, bytes, whatever the peers agree on (F049).
    pub hpack_table_bytes: usize,
    /// Decoded bytes of one HTTP/2 header block (F048).
    pub header_block_bytes: usize,
    /// Frames of one HTTP/2 header block (F050).
    pub header_block_frames: usize,
    /// Body bytes kept for a sampler (after content decoding).
    pub sample_bytes: usize,
    /// Decoded bytes produced for one body before decoding stops (F064).
    pub decoded_bytes: usize,
    /// Decoded bytes for each coded byte before decoding stops (F064). Looked at from 256 KiB on: deflate can do 1,029,
    /// real text stays below 100.
    pub decoded_ratio: u32,
    /// Content codings undone at most (F065).
    pub codings: usize,
    /// Bodies of a flow that may hit a decompression limit before the flow loses decompression (F064).
    pub bombs: u32,
    /// Idle time after which an unanswered or half-read transaction is given out (F045).
    pub transaction_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            detect_bytes: 4096,
            head_bytes: 64 * 1024,
            fields: 1024,
            target_bytes: 8 * 1024,
            pending: 512,
            streams: 4096,
            hpack_table_bytes: 64 * 1024,
            header_block_bytes: 64 * 1024,
            header_block_frames: 64,
            sample_bytes: 64 * 1024,
            decoded_bytes: 1024 * 1024,
            decoded_ratio: 256,
            codings: 2,
            bombs: 8,
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

/// Counters of the HTTP stage.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Transactions given out.
    pub transactions: u64,
    /// Of these, with a request.
    pub requests: u64,
    /// Of these, with a final response.
    pub responses: u64,
    /// Transactions with each anomaly, by `Anomaly as usize`.
    pub anomalies: [u64; Anomaly::ALL.len()],
    /// Flows found to be HTTP/1.
    pub http1_flows: u64,
    /// Flows found to be HTTP/2.
    pub http2_flows: u64,
    /// Flows found to be TLS (undecodable without keys).
    pub tls_flows: u64,
    /// Flows given up as no protocol of ours.
    pub unknown_flows: u64,
    /// Times a direction lost its place and looked for the next message.
    pub resyncs: u64,
    /// Bytes passed over while looking for the next message.
    pub resync_bytes: u64,
    /// Flows that a limit made the stage give up.
    pub given_up_flows: u64,
    /// Coded bodies that somebody wanted and that were not decoded: a coding we do not undo, too many codings, too many
    /// decoders alive, or a flow that had too many bombs.
    pub opaque_bodies: u64,
    /// Flows that lost decompression because too many of their bodies hit a limit (F064).
    pub bomb_flows: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            transactions: 0,
            requests: 0,
            responses: 0,
            anomalies: [0; Anomaly::ALL.len()],
            http1_flows: 0,
            http2_flows: 0,
            tls_flows: 0,
            unknown_flows: 0,
            resyncs: 0,
            resync_bytes: 0,
            given_up_flows: 0,
            opaque_bodies: 0,
            bomb_flows: 0,
        }
    }
}

impl Counters {
    /// Adds those of another worker.
    pub fn merge(&mut self, other: &Counters) {
        self.transactions += other.transactions;
        self.requests += other.requests;
        self.responses += other.responses;
        for (ours, theirs) in self.anomalies.iter_mut().zip(other.anomalies) {
            *ours += theirs;
        }
        self.http1_flows += other.http1_flows;
        self.http2_flows += other.http2_flows;
        self.tls_flows += other.tls_flows;
        self.unknown_flows += other.unknown_flows;
        self.resyncs += other.resyncs;
        self.resync_bytes += other.resync_bytes;
        self.given_up_flows += other.given_up_flows;
        self.opaque_bodies += other.opaque_bodies;
        self.bomb_flows += other.bomb_flows;
    }
}

/// Asked once per message head whether its body should be kept. `start`: time of the request's first byte, by which a sampler can
/// tell transactions apart whatever else the worker has seen.
pub trait Sampler: Send {
    /// Keep the request body? Asked when the request head is complete.
    fn sample_request(&mut self, request: &Request, start: Option<Timestamp>) -> bool;
    /// Keep the response body? Asked when the response head is complete.
    fn sample_response(&mut self, request: Option<&Request>, response: &Response, start: Option<Timestamp>) -> bool;
}

/// What all connections of a worker share.
#[derive(Default)]
pub struct Engine {
    /// Limits.
    pub config: Config,
    /// Counters.
    pub counters: Counters,
    /// Who decides which bodies are kept; nobody: none is.
    pub sampler: Option<Box<dyn Sampler>>,
    ready: VecDeque<Box<Transaction>>,
    // The boxes are what is used again.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Transaction>>,
    spare_requests: Vec<Request>,
    spare_responses: Vec<Response>,
    /// Memory of the body readers.
    pub(crate) bodies: Bodies,
    /// Heads of HTTP/1 to read the next ones against.
    pub(crate) usual_heads: UsualHeads,
    /// Strings of HTTP/2 header blocks that were decoded before.
    pub(crate) hpack_memo: Memo,
}

/// Recycled objects kept of each kind: enough for a burst of pipelined requests, small in memory.
const SPARES: usize = 256;
/// A recycled buffer larger than this is given back to the allocator (one huge head must not stay for good).
const SPARE_BUFFER_BYTES: usize = 16 * 1024;

impl Engine {
    /// An engine with these limits and no sampler.
    pub fn new(config: Config) -> Self {
        Engine { config, ..Engine::default() }
    }

    /// The next finished transaction, in the order in which they finished.
    pub fn poll_transaction(&mut self) -> Option<Box<Transaction>> {
        self.ready.pop_front()
    }

    /// Gives a transaction's memory back for the next one.
    pub fn recycle(&mut self, mut transaction: Box<Transaction>) {
        if let Some(mut request) = transaction.request.take()
            && self.spare_requests.len() < SPARES
            && request.headers.capacity_bytes() <= SPARE_BUFFER_BYTES
        {
            request.clear();
            self.spare_requests.push(request);
        }
        if let Some(mut response) = transaction.response.take()
            && self.spare_responses.len() < SPARES
            && response.headers.capacity_bytes() <= SPARE_BUFFER_BYTES
        {
            response.clear();
            self.spare_responses.push(response);
        }
        if self.spare.len() < SPARES {
            *transaction = Transaction::default();
            self.spare.push(transaction);
        }
    }

    /// An empty transaction.
    pub(crate) fn new_transaction(&mut self) -> Box<Transaction> {
        self.spare.pop().unwrap_or_default()
    }

    /// An empty request head.
    pub(crate) fn new_request(&mut self) -> Request {
        self.spare_requests.pop().unwrap_or_default()
    }

    /// An empty response head.
    pub(crate) fn new_response(&mut self) -> Response {
        self.spare_responses.pop().unwrap_or_default()
    }

    /// Takes back a request head that was not used.
    pub(crate) fn put_request_back(&mut self, mut request: Request) {
        if self.spare_requests.len() < SPARES && request.headers.capacity_bytes() <= SPARE_BUFFER_BYTES {
            request.clear();
            self.spare_requests.push(request);
        }
    }

    /// Takes back a response head that was not used.
    pub(crate) fn put_response_back(&mut self, mut response: Response) {
        if self.spare_responses.len() < SPARES && response.headers.capacity_bytes() <= SPARE_BUFFER_BYTES {
            response.clear();
            self.spare_responses.push(response);
        }
    }

    /// Gives a finished transaction out.
    pub(crate) fn finish(&mut self, transaction: Box<Transaction>) {
        self.counters.transactions += 1;
        self.counters.requests += u64::from(transaction.request.is_some());
        self.counters.responses += u64::from(transaction.response.is_some());
        self.count_anomalies(transaction.anomalies);
        self.ready.push_back(transaction);
    }

    fn count_anomalies(&mut self, anomalies: Anomalies) {
        if !anomalies.is_empty() {
            for anomaly in anomalies.iter() {
                self.counters.anomalies[anomaly as usize] += 1;
            }
        }
    }
}
