//! From a transaction to evidence.

use umbra_http::{KnownHeader, Transaction};

use super::body::BodyFacts;
use super::evidence::{BodyKind, Evidence};
use super::{Routes, is_success};
use crate::schema::ValueKey;

/// Query parameters that are looked at (F073).
const PARAMETERS: usize = 64;

/// A transaction with what the caller has worked out of it already.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// Canonical host ([`crate::canonical_host`]).
    pub host: &'a [u8],
    /// Redacted path, without query.
    pub path: &'a [u8],
    /// Raw query, without its mark.
    pub query: Option<&'a [u8]>,
    /// As [`Evidence::lot`].
    pub lot: u64,
    /// Sampled bodies are evidence.
    pub bodies: bool,
    /// The transaction.
    pub transaction: &'a Transaction,
}

/// Reused from transaction to transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    query: Vec<u64>,
    request: BodyFacts,
    response: BodyFacts,
}

impl Routes {
    /// Learns from a transaction, and from its bodies where they were sampled. Only whole answers of the server are to be shown,
    /// as any of them can make an endpoint.
    pub fn observe_transaction(&mut self, sighting: &Sighting<'_>) {
        let transaction = sighting.transaction;
        let (Some(request), Some(response)) = (&transaction.request, &transaction.response) else { return };
        // The path of gRPC names a method, never a resource.
        if transaction.grpc.is_some() {
            return;
        }
        if !is_success(response.status) {
            self.counters.unsuccessful += 1;
            return;
        }
        let key = self.config.key;
        let Scratch { mut query, request: mut asked, response: mut answered } = std::mem::take(&mut self.scratch);
        read_query(&key, sighting.query.unwrap_or_default(), &mut query);
        let request_type = request.headers.first(KnownHeader::ContentType);
        let response_type = response.headers.first(KnownHeader::ContentType);
        let (sent, got) = (&transaction.request_body, &transaction.response_body);
        read_body(&key, request_type, sent.sample.as_deref().filter(|_| sighting.bodies), &mut asked);
        let has_keys = read_body(&key, response_type, got.sample.as_deref().filter(|_| sighting.bodies), &mut answered);
        self.observe(&Evidence {
            service: sighting.host,
            method: request.method(),
            path: sighting.path,
            status: response.status,
            request_type,
            response_type,
            has_response_body: transaction.response_body.len_bytes > 0,
            query: &query,
            request_keys: &asked.keys,
            response_keys: has_keys.then_some(&answered.keys),
            values: &answered.values,
            lot: sighting.lot,
        });
        self.scratch = Scratch { query, request: asked, response: answered };
    }
}

fn read_query(key: &ValueKey, query: &[u8], out: &mut Vec<u64>) {
    out.clear();
    for pair in query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).take(PARAMETERS) {
        out.push(key.hash(pair.split(|&byte| byte == b'=').next().unwrap_or_default()));
    }
    out.sort_unstable();
    out.dedup();
}

/// Reads a sampled body; was there JSON?
fn read_body(key: &ValueKey, content_type: Option<&[u8]>, sample: Option<&[u8]>, out: &mut BodyFacts) -> bool {
    out.clear();
    let Some(sample) = sample.filter(|sample| !sample.is_empty()) else { return false };
    match BodyKind::of(content_type) {
        BodyKind::Json => out.read_json(key, sample),
        BodyKind::Form => {
            out.read_form(key, sample);
            false
        }
        _ => false,
    }
}
