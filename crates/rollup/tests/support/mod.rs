//! Traffic that several sensors share, and what each of them writes of it.
#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::time::Duration;

use umbra_event::FleetKey;
use umbra_event::kafka::{evidence_key, sensor_row_key};
use umbra_event::redact::{Redaction, Reveal};
use umbra_pipeline::{Config, Inventory, Worker};
use umbra_rollup::{Stamp, evidence_records, sensor_row};
use umbra_testkit::{Conversation, Random, Trace};
use umbra_wire::Timestamp;

pub(crate) const KEY: [u8; 32] = [7; 32];

/// A connection: where its traffic goes is decided for all of it.
pub(crate) struct Flow {
    pub(crate) trace: Trace,
}

/// An API of users, orders and words that look alike, asked by many clients.
pub(crate) fn flows(seed: u64, count: usize) -> Vec<Flow> {
    let mut random = Random::new(seed);
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut start = Timestamp::from_parts(1_700_000_000, 0);
    (0..count)
        .map(|number| {
            start = start.after(Duration::from_millis(700));
            let client = format!(
                "10.{}.{}.{}:{}",
                random.below(3),
                random.below(8),
                random.below(200) + 1,
                20_000 + number % 40_000
            );
            let mut conversation = Conversation::new()
                .client(client.parse().unwrap())
                .start(start)
                .step(Duration::from_micros(50 + random.below(20_000) as u64));
            for _ in 0..1 + random.below(6) {
                let host = ["shop.test", "crm.test", "mail.test:8080"][random.below(3)];
                let name = &names[random.below(names.len())];
                let (target, body) = match random.below(9) {
                    0 => (format!("/v1/users/{name}"), format!(r#"{{"id":"{name}","age":{}}}"#, random.below(90))),
                    1 => (format!("/v1/users/{name}/posts"), r#"[{"title":"a"}]"#.to_owned()),
                    2 => (format!("/v1/orders/{}", random.below(1_000)), r#"{"total":1.5,"paid":true}"#.to_owned()),
                    3 => ("/v1/orders?page=2".to_owned(), r#"[{"id":7}]"#.to_owned()),
                    4 => ("/v1/status".to_owned(), r#"{"ok":true}"#.to_owned()),
                    5 => ("/v1/health".to_owned(), r#"{"up":1}"#.to_owned()),
                    6 => {
                        (format!("/files/2024-01-{:02}/report.json", 1 + random.below(28)), r#"{"n":null}"#.to_owned())
                    }
                    7 => (format!("/v1/users/{}@mail.test", name), r#"{"id":"x"}"#.to_owned()),
                    _ => (format!("/.env{}", random.below(4)), String::new()),
                };
                let (status, body) = match target.starts_with("/.env") || random.chance(8) {
                    true => ("404 Not Found", r#"{"error":"no"}"#.to_owned()),
                    false => ("200 OK", body),
                };
                let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer abc\r\n\r\n");
                let len = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
                );
                conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
            }
            Flow { trace: conversation.build() }
        })
        .collect()
}

const NAMES: [&str; 24] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj", "olivia",
    "peggy", "rupert", "sybil", "trent", "victor", "walter", "wendy", "yolanda", "zoe", "quentin", "ulrich",
];

/// A sensor with one or more workers.
pub(crate) struct Sensor {
    pub(crate) id: String,
    pub(crate) incarnation: String,
    workers: Vec<Worker>,
    next: usize,
    now: Timestamp,
    seq: u64,
}

impl Sensor {
    pub(crate) fn new(id: &str, incarnation: &str, workers: usize) -> Sensor {
        Sensor {
            id: id.to_owned(),
            incarnation: incarnation.to_owned(),
            workers: (0..workers).map(|_| Worker::new(Config::new(&KEY), None)).collect(),
            next: 0,
            now: Timestamp(0),
            seq: 0,
        }
    }

    pub(crate) fn see(&mut self, flow: &Flow) {
        let next = self.next % self.workers.len();
        self.next += 1;
        for packet in flow.trace.packets() {
            self.now = self.now.max(packet.time);
            self.workers[next].handle_packet(&packet);
        }
    }

    /// What it has learnt by now.
    pub(crate) fn inventory(&mut self) -> Inventory {
        let mut inventory = Inventory::new(Config::new(&KEY).discovery, self.workers.len());
        for worker in &mut self.workers {
            worker.finish(self.now);
            inventory.add(worker);
        }
        inventory
    }

    /// Its rows and evidence: key, host that it is placed by, value.
    pub(crate) fn rows(&mut self) -> Vec<(String, String, Vec<u8>)> {
        self.seq += 1;
        let inventory = self.inventory();
        let stamp = Stamp { sensor_id: &self.id, incarnation: &self.incarnation, seq: self.seq };
        let mut rows = Vec::new();
        for endpoint in inventory.endpoints() {
            let row = sensor_row(endpoint, &stamp);
            let key = sensor_row_key(&row.host, &row.endpoint_id, &row.sensor_id, &row.incarnation);
            rows.push((key, row.host.clone(), serde_json::to_vec(&row).unwrap()));
        }
        for part in evidence_records(inventory.routes().unwrap(), is_shown, &stamp) {
            let key = evidence_key(&part.host, &part.sensor_id, &part.incarnation, part.part);
            rows.push((key, part.host.clone(), serde_json::to_vec(&part).unwrap()));
        }
        rows
    }
}

/// The rows of sensors that share traffic by lot, written now and then and at the end.
pub(crate) fn shared(flows: &[Flow], sensors: usize, random: &mut Random) -> Vec<(String, String, Vec<u8>)> {
    let mut all: Vec<Sensor> = (0..sensors).map(|n| Sensor::new(&format!("s{n}"), "1", 1 + n % 2)).collect();
    let mut rows = Vec::new();
    for flow in flows {
        let chosen = random.below(sensors);
        all[chosen].see(flow);
        if random.chance(4) {
            rows.extend(all[chosen].rows());
        }
        // A restart: what was learnt so far stays in the topic, counts begin anew.
        if random.chance(2) {
            rows.extend(all[chosen].rows());
            let id = all[chosen].id.clone();
            let next: u32 = all[chosen].incarnation.parse::<u32>().unwrap() + 1;
            all[chosen] = Sensor::new(&id, &next.to_string(), 1);
        }
    }
    all.iter_mut().for_each(|sensor| rows.extend(sensor.rows()));
    rows
}

/// Does redaction leave this word alone?
pub(crate) fn is_shown(word: &str) -> bool {
    let redaction = Redaction::new(FleetKey::new(&KEY), Reveal::default());
    let mut out = Vec::new();
    redaction.path(word.as_bytes(), &mut out);
    out == word.as_bytes()
}
