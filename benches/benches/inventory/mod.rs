//! What the inventory costs: the whole worker with and without it, a transaction while it holds 100, 2,000 and 20,000
//! endpoints, and its memory.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, Throughput};
use umbra_benches::{held_bytes, made};
use umbra_discovery::routes::{Routes, Sighting};
use umbra_discovery::{Endpoints, Observation};
use umbra_flow::Direction;
use umbra_http::{Connection, Engine};
use umbra_pipeline::{JsonLine, Worker};
use umbra_wire::{Packet, Timestamp};

/// Endpoints of one service.
const PER_SERVICE: usize = 1_000;
/// Transactions of each endpoint before it is measured: by then some are looked at and most are not.
const ROUNDS: usize = 24;
/// Clients of each endpoint.
const CLIENTS: usize = 8;
/// Bytes that 20,000 endpoints may hold, with the schemas of what was looked at.
const MOST_BYTES: usize = 50 << 20;

pub(crate) fn inventory(c: &mut Criterion) {
    let mut group = c.benchmark_group("inventory");
    group.throughput(Throughput::Elements(1));
    for endpoints in [100, 2_000, 20_000] {
        let before = held_bytes();
        let mut seen = Seen::new();
        for round in 0..ROUNDS {
            (0..endpoints).for_each(|number| seen.show(number, round));
        }
        let held = held_bytes().saturating_sub(before);
        assert_eq!(seen.endpoints.iter().filter(|endpoint| endpoint.confirmed).count(), endpoints);
        println!("inventory/{endpoints} endpoints: {} bytes each, {:.1} MB", held / endpoints, held as f64 / 1e6);
        assert!(held <= MOST_BYTES, "{held} bytes");
        let mut number = 0;
        group.bench_function(format!("{endpoints} endpoints"), |b| {
            b.iter(|| {
                // One after another far apart, as traffic comes.
                number = (number + 7_919) % endpoints;
                seen.show(black_box(number), ROUNDS);
            });
        });
    }
    group.finish();

    let made = made::make("http1-small", 1_000).unwrap();
    let packets: Vec<Packet<'_>> = made.trace.packets().collect();
    let mut group = c.benchmark_group("discovery");
    group.throughput(Throughput::Elements(made.transactions as u64));
    for (name, discovers) in [("off", false), ("on", true)] {
        let run = || {
            let config = umbra_pipeline::Config { discovers, ..umbra_pipeline::Config::new(&[7; 32]) };
            let mut worker = Worker::new(config, Some(Box::<JsonLine>::default()));
            packets.iter().for_each(|packet| worker.handle_packet(packet));
            (worker.output().count, worker.endpoints().is_empty())
        };
        let (events, is_empty) = run();
        assert_eq!(is_empty, !discovers);
        assert!(events > 0);
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

/// One connection to everything, and what is learnt of it.
struct Seen {
    engine: Engine,
    connection: Connection,
    endpoints: Endpoints,
    routes: Routes,
    time: u64,
    request: Vec<u8>,
}

impl Seen {
    fn new() -> Seen {
        let endpoints = Endpoints::new(umbra_discovery::Config::default());
        let mut engine = Engine::new(umbra_http::Config::default());
        engine.sampler = Some(endpoints.sampler());
        Seen {
            engine,
            connection: Connection::new(false),
            endpoints,
            routes: Routes::new(umbra_discovery::routes::Config::default()),
            time: 1_772_442_000_000_000_000,
            request: Vec::new(),
        }
    }

    /// Shows a transaction of the endpoint with this number.
    fn show(&mut self, number: usize, round: usize) {
        const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 124\r\n\r\n\
            {\"id\":4711,\"name\":\"Some name\",\"status\":\"open\",\"created\":\"2026-03-02T09:00:00Z\",\"tags\":[\"a\",\"b\"],\"owner\":{\"id\":42,\"me\":true}}";
        const LACKING: &[u8] =
            b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n\
            {\"error\":\"not_found\",\"code\":\"E404\"}";
        use std::io::Write as _;
        self.request.clear();
        let (service, word, id) = (number / PER_SERVICE, word(number % PER_SERVICE), round * 7_001 + 100);
        write!(
            self.request,
            "GET /api/v1/{word}/{id}?page={round}&sort=name HTTP/1.1\r\nHost: s{service}.made.example\r\n\
             Authorization: Bearer eyJhbGciOi.e30.x\r\nX-Tenant: t{}\r\n\r\n",
            round % 3
        )
        .unwrap();
        let response = if round % 8 == 7 { LACKING } else { FOUND };
        self.time += 1_000_003;
        let time = Timestamp(self.time);
        let answered = Timestamp(self.time + 1_000_000 * (1 + number as u64 % 4) + 100_000 * round as u64);
        self.connection.handle_data(&mut self.engine, Direction::ToServer, time, &self.request);
        self.connection.handle_data(&mut self.engine, Direction::ToClient, answered, response);
        while let Some(transaction) = self.engine.poll_transaction() {
            let request = transaction.request.as_ref().unwrap();
            let (host, target) = (request.authority().unwrap(), request.target().unwrap());
            let (path, query) = target.split_at(target.iter().position(|&byte| byte == b'?').unwrap());
            self.endpoints.observe(&Observation {
                host,
                method: request.method(),
                path: Some(path),
                client: (round % CLIENTS) as u64,
                client_inside: true,
                server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
                time,
                complete: true,
                trusted: true,
                transaction: &transaction,
            });
            let lot = self.time.rotate_left(32);
            let sighting =
                Sighting { host, path, query: Some(&query[1..]), lot, bodies: true, transaction: &transaction };
            self.routes.observe_transaction(&sighting);
            self.engine.recycle(transaction);
        }
    }
}

/// A word of four letters for a number.
fn word(number: usize) -> String {
    let letter = |at: u32| char::from(b'a' + (number / 10_usize.pow(at) % 10) as u8);
    ['w', letter(2), letter(1), letter(0)].into_iter().collect()
}
