//! What a sensor has learnt, on its way to the roll-up: rows of endpoints and evidence of routes.
//!
//! Rows are cumulative: the newest of a key has all in it that those before had, so that one that is lost costs nothing once the
//! next is there. Endpoints are told as the workers keep them apart; the roll-up decides the templates on the evidence of all
//! sensors.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use umbra_discovery::Endpoint;
use umbra_discovery::routes::Routes;
use umbra_event::kafka::{HealthRecord, evidence_key, sensor_row_key};
use umbra_event::redact::{Redaction, Reveal};
use umbra_pipeline::Inventory;
use umbra_publish::kafka::{Batch, Handle};
use umbra_rollup::{Stamp, evidence_records, sensor_row};
use umbra_store::Class;

use crate::exit::Failure;
use crate::kafka::Channel;
use crate::key;
use crate::state::shows;

/// Bytes of rows handed over at once.
const BATCH_BYTES: usize = 128 << 10;

/// Tells what has changed since it was told last.
pub(crate) struct Rows {
    channel: Channel,
    sensor: String,
    incarnation: String,
    seq: u64,
    /// Decides which words of paths are told as they are.
    redaction: Redaction,
    hasher: ahash::RandomState,
    /// Hash of what was told of each endpoint and of the routes of each service.
    told: BTreeMap<String, u64>,
    /// Rows lost so far.
    #[cfg_attr(not(feature = "live"), allow(dead_code))]
    lost: u64,
}

impl Rows {
    /// Of a sensor that starts: counts of this incarnation begin at zero.
    pub(crate) fn new(channel: Channel, sensor: &str, redaction: &Redaction) -> Result<Rows, Failure> {
        let lost = lost(&channel.handle);
        Ok(Rows {
            channel,
            sensor: sensor.to_owned(),
            incarnation: key::incarnation()?,
            seq: 0,
            redaction: Redaction::new(redaction.key().clone(), Reveal::default()),
            hasher: ahash::RandomState::new(),
            told: BTreeMap::new(),
            lost,
        })
    }

    /// Tells what captures hold. Which "start" it is follows from what they hold: the same captures, read again, in any order, say
    /// what is known already, and nothing counts twice.
    pub(crate) fn tell_replay(&mut self, inventory: &Inventory) {
        let endpoints = inventory.endpoints();
        self.incarnation = name_of(&endpoints);
        self.tell(&endpoints, inventory.routes(), None);
    }

    /// Rows were lost since the last time: all is to be told again. The newest of a key has all in it, so it makes up for them.
    #[cfg(feature = "live")]
    pub(crate) fn have_gaps(&mut self) -> bool {
        let lost = lost(&self.channel.handle);
        let more = std::mem::replace(&mut self.lost, lost) != lost;
        if more {
            self.told.clear();
        }
        more
    }

    /// Tells how the sensor does: completes the record, and has it judged, compared with the one before.
    pub(crate) fn tell_health(&mut self, record: &mut HealthRecord, before: Option<&HealthRecord>) {
        self.seq += 1;
        (record.incarnation, record.seq) = (self.incarnation.clone(), self.seq);
        self.channel.add_to(record);
        record.judge(before);
        let mut bytes = Vec::new();
        Batch::push(&mut bytes, record.sensor_id.as_bytes(), 0, |out| out.extend_from_slice(&json(record)));
        self.channel.handle.offer(Class::Health, &mut bytes, 1);
    }

    /// Tells what is new of endpoints and routes, given all that may have changed. `patience`: how long to wait for room; `None`: as long as
    /// it takes.
    pub(crate) fn tell(&mut self, endpoints: &[&Endpoint], routes: Option<&Routes>, patience: Option<Duration>) {
        self.seq += 1;
        let until = patience.map(|patience| Instant::now() + patience);
        let mut parcel = Parcel { handle: &self.channel.handle, until, bytes: Vec::new(), count: 0 };
        // Without a number: what is told again only because its number is another would be told for ever.
        let stamp = Stamp { sensor_id: &self.sensor, incarnation: &self.incarnation, seq: 0 };
        for endpoint in endpoints {
            let mut row = sensor_row(endpoint, &stamp);
            let key = sensor_row_key(&row.host, &row.endpoint_id, &self.sensor, &self.incarnation);
            let hash = self.hasher.hash_one(json(&row));
            if self.told.insert(key.clone(), hash) != Some(hash) {
                row.seq = self.seq;
                parcel.push(&key, &json(&row), endpoint.last_seen.nanos());
            }
        }
        let Some(routes) = routes else { return parcel.send() };
        let mut parts = evidence_records(routes, |word| shows(&self.redaction, word), &stamp);
        for parts in parts.chunk_by_mut(|one, next| one.host == next.host) {
            let hash = self.hasher.hash_one(parts.iter().map(json).collect::<Vec<_>>());
            let key = |part: u32, host: &str| evidence_key(host, &self.sensor, &self.incarnation, part);
            let Some(first) = parts.first().map(|part| key(part.part, &part.host)) else { continue };
            if self.told.insert(first, hash) == Some(hash) {
                continue;
            }
            // The parts of one word have one number.
            for part in parts {
                part.seq = self.seq;
                parcel.push(&key(part.part, &part.host), &json(part), 0);
            }
        }
        parcel.send();
    }
}

/// Rows on their way to the spool.
struct Parcel<'a> {
    handle: &'a Handle,
    until: Option<Instant>,
    bytes: Vec<u8>,
    count: u64,
}

impl Parcel<'_> {
    fn push(&mut self, key: &str, json: &[u8], time_ns: u64) {
        Batch::push(&mut self.bytes, key.as_bytes(), time_ns, |out| out.extend_from_slice(json));
        self.count += 1;
        if self.bytes.len() >= BATCH_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let count = std::mem::take(&mut self.count);
        match self.until {
            None => self.handle.give(Class::Endpoint, &mut self.bytes, count),
            Some(until) => self.handle.give_until(Class::Endpoint, &mut self.bytes, count, until),
        }
    }

    fn send(mut self) {
        if self.count > 0 {
            self.hand_over();
        }
    }
}

/// Rows that never reached a broker and never will: all is to be told again then.
fn lost(handle: &Handle) -> u64 {
    let ledger = handle.ledger();
    let class = ledger.class(Class::Endpoint);
    class.lost_queue.saturating_add(class.lost_spool)
}

/// Writing to memory cannot fail, and all maps of records have text as keys.
fn json(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// A name for what captures hold that does not depend on the key of this run, nor on the order of reading.
fn name_of(endpoints: &[&Endpoint]) -> String {
    let mut digest = Sha256::new();
    for endpoint in endpoints {
        digest.update(json(&(
            (endpoint.host(), endpoint.route(), endpoint.method(), endpoint.style.name(), endpoint.operation()),
            (endpoint.first_seen.nanos(), endpoint.last_seen.nanos()),
            (endpoint.requests, endpoint.unanswered, endpoint.request_bytes, endpoint.response_bytes),
        )));
    }
    let digest: [u8; 32] = digest.finalize().into();
    digest.iter().take(8).fold("replay-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
