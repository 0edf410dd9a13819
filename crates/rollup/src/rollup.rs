//! Rows in, changes of the inventory out.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use umbra_discovery::routes::{self, Pins, Routes, Templates};
use umbra_discovery::{Endpoint, Endpoints};
use umbra_event::kafka::{EndpointRecord, RouteEvidenceRecord, SensorRow, endpoint_key, evidence_key, sensor_row_key};
use umbra_event::read_rfc3339;

use crate::{record, rows};

/// Adds to the records of a service what a configuration says of its endpoints, which come in the same order.
pub type Describe = dyn Fn(&[&Endpoint], &mut [EndpointRecord]) + Send + Sync;

/// What a roll-up decides by.
#[derive(Clone)]
pub struct Config {
    /// Bounds of what is known of the routes of one service; the key of the fleet where templates are pinned.
    pub routes: routes::Config,
    /// Templates that operators have pinned.
    pub pins: Arc<Pins>,
    /// An endpoint without a request for so long, by the newest packet time of the partition, is taken out. Unit: nanoseconds;
    /// 0: never.
    pub expire_after_ns: u64,
    /// Paths that no server has answered with success are records too.
    pub unconfirmed: bool,
    /// What is said of endpoints beside what was seen.
    pub describe: Option<Arc<Describe>>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let describes = self.describe.is_some();
        f.debug_struct("Config")
            .field("expire_after_ns", &self.expire_after_ns)
            .field("describes", &describes)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        const DAY_NS: u64 = 86_400_000_000_000;
        Config {
            routes: routes::Config::default(),
            pins: Arc::default(),
            expire_after_ns: 90 * DAY_NS,
            unconfirmed: false,
            describe: None,
        }
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows and parts of evidence taken.
    pub rows: u64,
    /// Rows that said nothing newer than what was known: duplicates and repeats.
    pub stale: u64,
    /// Rows taken out.
    pub tombstones: u64,
    /// Rows that no sensor of this version writes; set aside.
    pub unreadable: u64,
    /// Endpoints taken out, as they were not seen for long.
    pub expired: u64,
}

/// A record to write to the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Key.
    pub key: String,
    /// JSON of the record; `None` takes the endpoint out (tombstone).
    pub value: Option<Vec<u8>>,
}

/// What all sensors say of the services of one partition.
///
/// Call order: [`published`](Self::published) for each record of the inventory that is there, [`handle`](Self::handle) for each
/// row, and [`changes`](Self::changes) whenever it suits: what it gives depends on what is known and what is published, never
/// on the way there. So a roll-up that begins anew, or reads rows again, ends with the same inventory.
#[derive(Debug)]
pub struct Rollup {
    config: Config,
    services: BTreeMap<String, Service>,
    /// Host of each row that is known, by its key: a tombstone does not say it.
    hosts: BTreeMap<String, String>,
    /// Hash of each record that the inventory has.
    published: BTreeMap<String, u64>,
    /// Ids that each service has in the inventory.
    ids: BTreeMap<String, BTreeSet<String>>,
    dirty: BTreeSet<String>,
    newest_ns: u64,
    /// Up to when endpoints were expired.
    expired_to_ns: u64,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Service {
    rows: BTreeMap<String, Row>,
    /// By sensor and incarnation.
    evidence: BTreeMap<(String, String), Evidence>,
}

#[derive(Debug)]
struct Row {
    seq: u64,
    sensor_id: String,
    /// The id that the sensor knows it by.
    id: String,
    endpoint: Endpoint,
}

#[derive(Debug, Default)]
struct Evidence {
    /// The newest that was complete.
    whole: Option<(u64, Routes)>,
    parts: BTreeMap<u32, RouteEvidenceRecord>,
}

/// Why a row was not taken.
struct Unreadable;

impl Rollup {
    /// Nothing known.
    pub fn new(config: Config) -> Rollup {
        Rollup {
            config,
            services: BTreeMap::new(),
            hosts: BTreeMap::new(),
            published: BTreeMap::new(),
            ids: BTreeMap::new(),
            dirty: BTreeSet::new(),
            newest_ns: 0,
            expired_to_ns: 0,
            counters: Counters::default(),
        }
    }

    /// What came in.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Rows known.
    pub fn rows(&self) -> usize {
        self.hosts.len()
    }

    /// Takes note of a record that the inventory has. One that cannot be read is one to be written anew, if its key is ours.
    pub fn published(&mut self, key: &str, host: &str, value: &[u8]) {
        self.published.insert(key.to_owned(), hash(value));
        self.ids.entry(host.to_owned()).or_default().insert(key.to_owned());
        self.dirty.insert(host.to_owned());
    }

    /// What sensors have said of endpoints, as they told them apart: the newest word of each incarnation.
    pub fn known(&self) -> impl Iterator<Item = &Endpoint> {
        self.services.values().flat_map(|service| service.rows.values()).map(|row| &row.endpoint)
    }

    /// What sensors have learnt of routes.
    pub fn evidence(&self) -> impl Iterator<Item = &Routes> {
        let all = self.services.values().flat_map(|service| service.evidence.values());
        all.filter_map(|evidence| evidence.whole.as_ref().map(|(_, routes)| routes))
    }

    /// The endpoints of all services, under the templates that are decided on what is known, confirmed or not.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let all = self.services.values().map(|service| group(service, &self.config).0);
        all.flat_map(|grouped| grouped.iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Takes a row in, or takes one out (`None`). What cannot be read is counted and set aside: it must not block the others.
    pub fn handle(&mut self, key: &str, value: Option<&[u8]>) {
        let Some(value) = value else { return self.take_out(key) };
        let taken = match serde_json::from_slice::<SensorRow>(value) {
            Ok(row) => self.take_row(key, row),
            Err(_) => self.take_evidence(key, value),
        };
        match taken {
            Ok(true) => self.counters.rows += 1,
            Ok(false) => self.counters.stale += 1,
            Err(Unreadable) => self.counters.unreadable += 1,
        }
    }

    fn take_row(&mut self, key: &str, row: SensorRow) -> Result<bool, Unreadable> {
        if key != sensor_row_key(&row.host, &row.endpoint_id, &row.sensor_id, &row.incarnation) {
            return Err(Unreadable);
        }
        let service = self.services.entry(row.host.clone()).or_default();
        if service.rows.get(key).is_some_and(|known| known.seq >= row.seq) {
            return Ok(false);
        }
        let (seq, sensor_id, id) = (row.seq, row.sensor_id.clone(), row.endpoint_id.clone());
        let host = row.host.clone();
        self.newest_ns = self.newest_ns.max(read_rfc3339(&row.last_seen).ok_or(Unreadable)?);
        let endpoint = rows::endpoint(row).ok_or(Unreadable)?;
        service.rows.insert(key.to_owned(), Row { seq, sensor_id, id, endpoint });
        self.note(key, host);
        Ok(true)
    }

    fn take_evidence(&mut self, key: &str, value: &[u8]) -> Result<bool, Unreadable> {
        let part: RouteEvidenceRecord = serde_json::from_slice(value).map_err(|_| Unreadable)?;
        if key != evidence_key(&part.host, &part.sensor_id, &part.incarnation, part.part) || part.part >= part.parts {
            return Err(Unreadable);
        }
        let host = part.host.clone();
        let source = (part.sensor_id.clone(), part.incarnation.clone());
        let evidence = self.services.entry(host.clone()).or_default().evidence.entry(source).or_default();
        let (seq, parts) = (part.seq, part.parts);
        if evidence.whole.as_ref().is_some_and(|(known, _)| *known >= seq)
            || evidence.parts.get(&part.part).is_some_and(|known| known.seq >= seq)
        {
            return Ok(false);
        }
        evidence.parts.insert(part.part, part);
        let whole: Vec<&str> = (0..parts)
            .map_while(|number| evidence.parts.get(&number).filter(|part| part.seq == seq))
            .map(|part| part.evidence.as_str())
            .collect();
        if whole.len() == parts as usize {
            let snapshot = rows::unpack(&whole.concat(), rows::EVIDENCE_BYTES);
            evidence.parts.retain(|_, part| part.seq > seq);
            evidence.whole = Some((seq, Routes::restore(self.config.routes, snapshot.ok_or(Unreadable)?)));
        }
        self.note(key, host);
        Ok(true)
    }

    fn note(&mut self, key: &str, host: String) {
        self.dirty.insert(host.clone());
        self.hosts.insert(key.to_owned(), host);
    }

    fn take_out(&mut self, key: &str) {
        let Some(host) = self.hosts.remove(key) else { return };
        self.counters.tombstones += 1;
        if let Some(service) = self.services.get_mut(&host) {
            service.rows.remove(key);
            let of = |(sensor, incarnation): &(String, String)| {
                key.starts_with(&format!("{host}|routes|{sensor}|{incarnation}|"))
            };
            service.evidence.retain(|source, _| !of(source));
            if service.rows.is_empty() && service.evidence.is_empty() {
                self.services.remove(&host);
            }
        }
        self.dirty.insert(host);
    }

    /// What has to be written for the inventory to be what is known. Taken as written: the caller writes all of it or begins anew.
    /// `now_ns`: a sensor whose clock is ahead of it by more than a day makes nobody's endpoints old.
    pub fn changes(&mut self, now_ns: u64) -> Vec<Change> {
        const DAY_NS: u64 = 86_400_000_000_000;
        let newest = self.newest_ns.min(now_ns.saturating_add(DAY_NS));
        let oldest_ns = match self.config.expire_after_ns {
            0 => 0,
            after => newest.saturating_sub(after),
        };
        // Expiry is looked for once an hour of packet time.
        if oldest_ns > self.expired_to_ns.saturating_add(DAY_NS / 24) {
            self.expired_to_ns = oldest_ns;
            self.dirty.extend(self.services.keys().cloned());
        }
        let mut changes = Vec::new();
        for host in std::mem::take(&mut self.dirty) {
            self.changes_of(&host, oldest_ns, &mut changes);
        }
        changes
    }

    fn changes_of(&mut self, host: &str, oldest_ns: u64, changes: &mut Vec<Change>) {
        let mut records = BTreeMap::new();
        if let Some(service) = self.services.get(host) {
            self.counters.expired += roll_up(service, &self.config, oldest_ns, &mut records);
        }
        let before = self.ids.remove(host).unwrap_or_default();
        for id in before.iter().filter(|id| !records.contains_key(*id)) {
            self.published.remove(id);
            changes.push(Change { key: endpoint_key(id), value: None });
        }
        for (id, value) in &records {
            let new = hash(value);
            if self.published.insert(id.clone(), new) != Some(new) {
                changes.push(Change { key: endpoint_key(id), value: Some(value.clone()) });
            }
        }
        if !records.is_empty() {
            self.ids.insert(host.to_owned(), records.into_keys().collect());
        }
    }
}

/// Sensors that know an endpoint, and the ids that they know it by.
type Origins<'a> = BTreeMap<[u8; 16], (BTreeSet<&'a str>, BTreeSet<&'a str>)>;

/// The endpoints of a service under the templates that all evidence together decides.
fn group<'a>(service: &'a Service, config: &Config) -> (Endpoints, Templates, Origins<'a>) {
    let mut all = Routes::new(config.routes);
    for (_, routes) in service.evidence.values().filter_map(|evidence| evidence.whole.as_ref()) {
        all.merge(routes);
    }
    let templates = all.templates(config.pins.list());
    // Nothing that sensors have kept is left out.
    let bounds = umbra_discovery::Config {
        endpoints: usize::MAX >> 1,
        unconfirmed: usize::MAX >> 1,
        pins: Arc::clone(&config.pins),
        ..umbra_discovery::Config::default()
    };
    let mut grouped = Endpoints::new(bounds);
    let mut origins = Origins::new();
    for row in service.rows.values() {
        if let Some(id) = grouped.merge_under(&row.endpoint, &templates) {
            let (sensors, parts) = origins.entry(id).or_default();
            sensors.insert(&row.sensor_id);
            parts.insert(&row.id);
        }
    }
    (grouped, templates, origins)
}

/// The records of a service by id. Says how many endpoints were left out as old.
fn roll_up(service: &Service, config: &Config, oldest_ns: u64, records: &mut BTreeMap<String, Vec<u8>>) -> u64 {
    let (grouped, templates, origins) = group(service, config);
    let mut expired = 0;
    let mut listed: Vec<&Endpoint> = Vec::new();
    for endpoint in grouped.iter().filter(|endpoint| endpoint.confirmed || config.unconfirmed) {
        match endpoint.last_seen.nanos() < oldest_ns {
            true => expired += 1,
            false => listed.push(endpoint),
        }
    }
    listed.sort_by_key(|endpoint| endpoint.id);
    let nobody = Default::default();
    let mut found: Vec<EndpointRecord> = listed
        .iter()
        .map(|endpoint| {
            let (sensors, parts) = origins.get(&endpoint.id).unwrap_or(&nobody);
            record::rolled_up(endpoint, &templates, sensors, parts)
        })
        .collect();
    if let Some(describe) = &config.describe {
        describe(&listed, &mut found);
    }
    for record in found {
        // Writing to memory cannot fail, and all maps have text as keys.
        if let Ok(json) = serde_json::to_vec(&record) {
            records.insert(record.endpoint_id, json);
        }
    }
    expired
}

/// Host of a record of the inventory; `None` if it is none.
pub fn host_of(value: &[u8]) -> Option<String> {
    serde_json::from_slice::<EndpointRecord>(value).ok().map(|record| record.host)
}

/// The same in every process: it is only compared with itself, but tests compare processes.
fn hash(bytes: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes)
}
