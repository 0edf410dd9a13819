//! The `h2` crate's client and server talk over a pipe; what passes is teed into our decoder. What they sent is the truth.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use umbra_flow::{Direction, EndReason};
use umbra_http::{Config, Connection, Engine, Protocol, Transaction};
use umbra_wire::Timestamp;

type Log = Arc<Mutex<Vec<(Direction, Vec<u8>)>>>;
type Fields = Vec<(String, String)>;

/// What a peer sent on one stream.
#[derive(Clone, Debug, Default)]
struct Sent {
    method: String,
    path: String,
    authority: String,
    request: Fields,
    request_trailers: Fields,
    request_bytes: u64,
    status: u16,
    response: Fields,
    response_trailers: Fields,
    response_bytes: u64,
    pushed: bool,
}

/// Pieces of both directions in the order in which they passed.
type Pieces = Vec<(Direction, Vec<u8>)>;
type Truth = Arc<Mutex<BTreeMap<u32, Sent>>>;

/// Small and repeatable.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn header_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

/// Fields from a small pool, so that the table is used, with new ones between, so that it turns over.
fn random_fields(random: &mut Random, number: u64) -> Fields {
    let mut fields = Fields::new();
    for (name, values) in [
        ("user-agent", &["curl/8", "grpc-go/1.60", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"][..]),
        ("accept", &["*/*", "application/json", "text/html;q=0.9"]),
        ("content-type", &["application/json", "application/octet-stream", "text/plain; charset=utf-8"]),
        ("x-tenant", &["a", "b", "c", "d"]),
        ("authorization", &["Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "Basic Zm9vOmJhcg=="]),
        ("cookie", &["sid=1", "sid=22222222222222222222", "theme=dark"]),
    ] {
        if random.below(3) > 0 {
            let value = values[random.below(values.len() as u64) as usize];
            fields.push((name.into(), value.into()));
        }
    }
    for _ in 0..random.below(4) {
        let name = format!("x-field-{}", random.below(6));
        let value = match random.below(4) {
            0 => String::new(),
            1 => format!("{number}-{:x}", random.below(1 << 60)),
            2 => "~{}|^<>\\`\"%".repeat(random.below(5) as usize),
            _ => format!("v{}", random.below(5)),
        };
        fields.push((name, value));
    }
    if random.below(20) == 0 {
        fields.push(("x-large".into(), "l".repeat(300 + random.below(5000) as usize)));
    }
    fields
}

async fn pump(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    log: Log,
    direction: Direction,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(len) = from.read(&mut buffer).await {
        if len == 0 {
            break;
        }
        log.lock().unwrap().push((direction, buffer[..len].to_vec()));
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

async fn serve(io: DuplexStream, truth: Truth, mut random: Random, table: u32) {
    let mut connection = h2::server::Builder::new().header_table_size(table).handshake::<_, Bytes>(io).await.unwrap();
    while let Some(accepted) = connection.accept().await {
        let Ok((request, mut respond)) = accepted else { break };
        let truth = truth.clone();
        let seed = random.below(1 << 40) + 1;
        tokio::spawn(async move {
            let mut random = Random(seed);
            let id = respond.stream_id().as_u32();
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            let _ = body.trailers().await;
            if id % 10 == 1 {
                let path = format!("/pushed/{}", random.below(4));
                let promise = Request::get(format!("http://api.example{path}")).body(()).unwrap();
                if let Ok(mut pushed) = respond.push_request(promise) {
                    let mut sent = Sent {
                        method: "GET".into(),
                        path,
                        authority: "api.example".into(),
                        pushed: true,
                        status: 200,
                        ..Sent::default()
                    };
                    sent.response = random_fields(&mut random, 0);
                    let mut response = Response::builder().status(200).body(()).unwrap();
                    *response.headers_mut() = header_map(&sent.response);
                    let pushed_id = pushed.stream_id().as_u32();
                    if pushed.send_response(response, true).is_ok() {
                        truth.lock().unwrap().insert(pushed_id, sent);
                    }
                }
            }
            let status = [200, 200, 201, 204, 304, 404, 429, 500][random.below(8) as usize];
            let fields = random_fields(&mut random, u64::from(id));
            let mut response = Response::builder().status(status).body(()).unwrap();
            *response.headers_mut() = header_map(&fields);
            let bytes = [0, 0, 5, 3000, 40_000][random.below(5) as usize];
            let trailers = if random.below(3) == 0 { random_trailers(&mut random) } else { Fields::new() };
            {
                let mut truth = truth.lock().unwrap();
                let sent = truth.entry(id).or_default();
                (sent.status, sent.response, sent.response_bytes) = (status, fields, bytes);
                sent.response_trailers = trailers.clone();
            }
            let end = bytes == 0 && trailers.is_empty();
            let Ok(mut stream) = respond.send_response(response, end) else { return };
            if bytes > 0 {
                let _ = stream.send_data(Bytes::from(vec![b'd'; bytes as usize]), trailers.is_empty());
            }
            if !trailers.is_empty() {
                let _ = stream.send_trailers(header_map(&trailers));
            }
        });
    }
}

fn random_trailers(random: &mut Random) -> Fields {
    vec![
        ("grpc-status".into(), random.below(17).to_string()),
        ("x-check".into(), format!("{:x}", random.below(1 << 40))),
    ]
}

async fn ask(io: DuplexStream, truth: Truth, mut random: Random, table: u32, requests: u64) {
    let (mut client, connection) = h2::client::Builder::new()
        .header_table_size(table)
        .initial_window_size(1 << 20)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    for round in 0..requests / 4 {
        let mut waiting = Vec::new();
        for _ in 0..4 {
            client = client.ready().await.unwrap();
            let mut sent = Sent {
                method: ["GET", "POST", "PUT", "PATCH"][random.below(4) as usize].into(),
                path: format!("/items/{}?page={}", random.below(9), random.below(3)),
                authority: ["api.example", "www.example:8080"][random.below(2) as usize].into(),
                ..Sent::default()
            };
            sent.request = random_fields(&mut random, round);
            sent.request_bytes = [0, 0, 7, 2000, 30_000][random.below(5) as usize];
            if random.below(4) == 0 {
                sent.request_trailers = random_trailers(&mut random);
            }
            let uri = format!("http://{}{}", sent.authority, sent.path);
            let mut request = Request::builder().method(sent.method.as_str()).uri(uri).body(()).unwrap();
            *request.headers_mut() = header_map(&sent.request);
            let end = sent.request_bytes == 0 && sent.request_trailers.is_empty();
            let (response, mut stream) = client.send_request(request, end).unwrap();
            let id = stream.stream_id().as_u32();
            {
                let mut truth = truth.lock().unwrap();
                let entry = truth.entry(id).or_default();
                (entry.method, entry.path, entry.authority) = (sent.method, sent.path, sent.authority);
                (entry.request, entry.request_bytes) = (sent.request, sent.request_bytes);
                entry.request_trailers = sent.request_trailers.clone();
            }
            if sent.request_bytes > 0 {
                let data = Bytes::from(vec![b'q'; sent.request_bytes as usize]);
                stream.send_data(data, sent.request_trailers.is_empty()).unwrap();
            }
            if !sent.request_trailers.is_empty() {
                stream.send_trailers(header_map(&sent.request_trailers)).unwrap();
            }
            waiting.push(response);
        }
        for mut response in waiting {
            let mut pushes = response.push_promises();
            let mut body = response.await.unwrap().into_body();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            let _ = body.trailers().await;
            while let Some(Ok(push)) = pushes.push_promise().await {
                let _ = push.into_parts().1.await;
            }
        }
    }
    drop(client);
    let _ = driver.await;
}

/// Bytes of both directions as they passed, and what was sent.
fn talk(seed: u64, client_table: u32, server_table: u32, requests: u64) -> (Pieces, BTreeMap<u32, Sent>) {
    let (log, truth) = (Log::default(), Truth::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (client, near) = tokio::io::duplex(64 * 1024);
        let (far, server) = tokio::io::duplex(64 * 1024);
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        tokio::spawn(pump(near_read, far_write, log.clone(), Direction::ToServer));
        tokio::spawn(pump(far_read, near_write, log.clone(), Direction::ToClient));
        let serving = tokio::spawn(serve(server, truth.clone(), Random(seed ^ 0x55), server_table));
        ask(client, truth.clone(), Random(seed), client_table, requests).await;
        serving.await.unwrap();
    });
    let log = std::mem::take(&mut *log.lock().unwrap());
    let truth = truth.lock().unwrap().clone();
    (log, truth)
}

fn decode(log: &[(Direction, Vec<u8>)], late: bool) -> Vec<Transaction> {
    let mut engine = Engine::new(Config::default());
    let mut connection = Connection::new(late);
    let mut found = Vec::new();
    for (number, (direction, bytes)) in log.iter().enumerate() {
        connection.handle_data(&mut engine, *direction, Timestamp(number as u64 * 1000), bytes);
        while let Some(transaction) = engine.poll_transaction() {
            found.push((*transaction).clone());
            engine.recycle(transaction);
        }
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        connection.handle_end(&mut engine, direction, Timestamp(u64::MAX / 2), EndReason::Fin);
    }
    while let Some(transaction) = engine.poll_transaction() {
        found.push(*transaction);
    }
    assert!(connection.protocol() == Protocol::Http2 || (late && found.is_empty()));
    assert!(!connection.roles_swapped());
    found
}

/// Every known field was sent, as often; returns how many were known and how many not.
fn check_fields(headers: &umbra_http::HeaderBlock, trailer: bool, sent: &Fields, context: &str) -> (usize, usize) {
    let mut left = sent.clone();
    let (mut known, mut unknown) = (0, 0);
    for (field, name, value) in headers.iter().filter(|(field, ..)| field.trailer == trailer) {
        if field.unknown {
            unknown += 1;
            continue;
        }
        let pair = (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned());
        let place = left.iter().position(|have| *have == pair);
        left.swap_remove(place.unwrap_or_else(|| panic!("{context}: {pair:?} was not sent: {sent:?}")));
        known += 1;
    }
    (known, unknown)
}

/// Compares; with `late` things may be unknown, but never wrong. Returns (known, unknown) fields.
fn check(found: &[Transaction], truth: &BTreeMap<u32, Sent>, late: bool) -> (usize, usize) {
    let (mut known, mut unknown) = (0, 0);
    for transaction in found {
        let id = transaction.stream_id.unwrap();
        let sent = &truth[&id];
        let context = format!("stream {id}");
        let may_lack = late && transaction.coverage.unknown_fields > 0;
        let mut add = |(more_known, more_unknown)| {
            known += more_known;
            unknown += more_unknown;
        };
        assert_eq!(transaction.coverage.mid_stream, late);
        assert_eq!(transaction.pushed, sent.pushed, "{context}");
        if !late {
            assert!(
                transaction.anomalies.is_empty(),
                "{context}: {:?}",
                transaction.anomalies.iter().collect::<Vec<_>>()
            );
        }
        if let Some(request) = &transaction.request {
            assert!(request.method() == sent.method.as_bytes() || (may_lack && request.method().is_empty()));
            assert!(request.target() == Some(sent.path.as_bytes()) || (may_lack && request.target().is_none()));
            assert!(
                request.authority() == Some(sent.authority.as_bytes()) || (may_lack && request.authority().is_none())
            );
            add(check_fields(&request.headers, false, &sent.request, &context));
            add(check_fields(&request.headers, true, &sent.request_trailers, &context));
            if !late {
                let len = sent.request.len() + sent.request_trailers.len();
                assert_eq!(request.headers.fields().len(), len, "{context}");
                assert_eq!(transaction.request_body.len_bytes, sent.request_bytes);
                assert!(transaction.request_body.complete && transaction.request_end.is_some());
            }
        } else {
            assert!(late);
        }
        if let Some(response) = &transaction.response {
            assert!(response.status == sent.status || (may_lack && response.status == 0), "{context}");
            add(check_fields(&response.headers, false, &sent.response, &context));
            add(check_fields(&response.headers, true, &sent.response_trailers, &context));
            if !late {
                let len = sent.response.len() + sent.response_trailers.len();
                assert_eq!(response.headers.fields().len(), len, "{context}");
                assert_eq!(transaction.response_body.len_bytes, sent.response_bytes);
                assert!(transaction.response_body.complete);
            }
        } else {
            assert!(late, "{context}");
        }
    }
    (known, unknown)
}

/// The log as frames, in the order of their first bytes; the preface goes with the first.
fn frames(log: &[(Direction, Vec<u8>)]) -> Vec<(Direction, Vec<u8>)> {
    let mut found = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let mut bytes = Vec::new();
        let mut arrivals = Vec::new();
        for (number, (_, piece)) in log.iter().enumerate().filter(|(_, (of, _))| *of == direction) {
            arrivals.push((bytes.len(), number));
            bytes.extend_from_slice(piece);
        }
        let mut at = 0;
        let mut from = 0;
        if direction == Direction::ToServer {
            at = 24;
        }
        while at + 9 <= bytes.len() {
            let len = u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]) as usize;
            let end = at + 9 + len;
            let arrival = arrivals[arrivals.partition_point(|(start, _)| *start <= from) - 1].1;
            found.push((arrival, direction, bytes[from..end].to_vec()));
            (at, from) = (end, end);
        }
    }
    found.sort_by_key(|(arrival, ..)| *arrival);
    found.into_iter().map(|(_, direction, bytes)| (direction, bytes)).collect()
}

const TABLES: [(u32, u32); 5] = [(4096, 4096), (0, 0), (65_536, 65_536), (200, 16_384), (1 << 20, 1 << 20)];

#[test]
fn every_header_agrees() {
    for (seed, (client_table, server_table)) in (1..).zip(TABLES) {
        let (log, truth) = talk(seed * 7919, client_table, server_table, 200);
        let found = decode(&log, false);
        assert_eq!(found.len(), truth.len());
        assert!(truth.values().any(|sent| sent.pushed));
        let (known, unknown) = check(&found, &truth, false);
        assert_eq!(unknown, 0);
        assert!(known > 1000);
        // Cut at every byte it is the same.
        let bytes: Vec<_> =
            log.iter().flat_map(|(direction, piece)| piece.iter().map(|byte| (*direction, vec![*byte]))).collect();
        check(&decode(&bytes, false), &truth, false);
    }
}

#[test]
fn joining_at_every_tenth_frame_gives_no_wrong_value() {
    for (seed, (client_table, server_table)) in (1..).zip(TABLES) {
        let (log, truth) = talk(seed * 104_729, client_table, server_table, 120);
        let frames = frames(&log);
        let (mut known, mut unknown) = (0, 0);
        for from in (10..frames.len()).step_by(10) {
            let found = decode(&frames[from..], true);
            let (more_known, more_unknown) = check(&found, &truth, true);
            known += more_known;
            unknown += more_unknown;
            let begun = frames[from..].iter().filter(|(direction, frame)| {
                // HEADERS with a pseudo-header at its start: no trailers.
                *direction == Direction::ToServer && frame[3] == 1 && frame.get(9).is_some_and(|first| *first != 0x40)
            });
            let with_request = found.iter().filter(|transaction| transaction.request.is_some() && !transaction.pushed);
            assert!(with_request.count() + 4 >= begun.count().min(1), "joined at {from}");
            if client_table == 0 {
                assert_eq!(more_unknown, 0, "without a table nothing can be unknown");
            }
        }
        assert!(known > 1000, "tables {client_table}, {server_table}: {known} known, {unknown} unknown");
        println!("tables {client_table}, {server_table}: {known} fields known, {unknown} unknown");
    }
}
