//! A bench for each stage on fixed inputs: what comes out is asserted, and so is that the packet path does not allocate
//! once warm. `cargo xtask bench --stages [FILTER]`.

#![allow(missing_docs)] // what criterion's macros define
#![allow(clippy::unwrap_used)] // fixed inputs

mod inventory;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use umbra_benches::{CountingAllocator, allocations_of, made};
use umbra_event::Event;
use umbra_flow::{Direction, EndReason, FlowEvent, FlowTable};
use umbra_http::{Connection, Engine};
use umbra_pipeline::{JsonLine, Worker};
use umbra_testkit::Trace;
use umbra_wire::{Decoder, Packet, Segment, SegmentHeader, Timestamp};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Enough to be out of the first-level cache, little enough for a test run.
const TRANSACTIONS: usize = 1_000;

criterion_group!(stages, wire, flow, http, event, worker, inventory::inventory);
criterion_main!(stages);

fn wire(c: &mut Criterion) {
    let trace = made::make("http1-small", TRANSACTIONS).unwrap().trace;
    let packets: Vec<Packet<'_>> = trace.packets().collect();
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    let mut pass = || packets.iter().filter(|packet| decoder.decode(packet).is_some()).count();
    assert_eq!(pass(), packets.len());
    assert_eq!(allocations_of(&mut pass), (packets.len(), 0));

    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(packets.len() as u64));
    group.bench_function("decode", |b| b.iter(|| black_box(pass())));
    group.finish();
}

fn flow(c: &mut Criterion) {
    let trace = made::make("http1-small", TRANSACTIONS).unwrap().trace;
    let segments = segments(&trace);
    let bytes: usize = segments.iter().map(|(_, payload)| payload.len()).sum();
    let mut table = FlowTable::new(umbra_flow::Config::default());
    assert_eq!(reassemble(&mut table, &segments), bytes);

    // One connection only, in order: its second half must not allocate, the close apart.
    let one = self::segments(&made::make("http1-small", 400).unwrap().trace);
    let (first, second) = one[..one.len() - 3].split_at(one.len() / 2);
    let mut table = FlowTable::new(umbra_flow::Config::default());
    reassemble(&mut table, first);
    let ((), allocations) = allocations_of(|| assert!(reassemble(&mut table, second) > 0));
    assert_eq!(allocations, 0, "allocations of {} in-order segments on a warm flow", second.len());

    let mut group = c.benchmark_group("flow");
    group.throughput(Throughput::Elements(segments.len() as u64));
    group.bench_function("in order", |b| {
        b.iter_batched_ref(
            || FlowTable::new(umbra_flow::Config::default()),
            |table| black_box(reassemble(table, &segments)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn http(c: &mut Criterion) {
    let mut group = c.benchmark_group("http");
    for name in ["http1-small", "http1-big", "h2c"] {
        let made = made::make(name, TRANSACTIONS).unwrap();
        let steps = steps(&made.trace);
        let bytes: usize = steps.iter().map(|step| step.bytes.len()).sum();
        let mut engine = Engine::new(umbra_http::Config::default());
        assert_eq!(parse(&mut engine, &steps), made.transactions, "{name}");
        let (_, allocations) = allocations_of(|| parse(&mut engine, &steps));
        println!("http/{name}: {:.3} allocations a transaction, warm", allocations as f64 / made.transactions as f64);
        assert_eq!(allocations_on_a_warm_connection(name), 0, "{name}");

        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| b.iter(|| black_box(parse(&mut engine, &steps))));
    }
    group.finish();
}

fn event(c: &mut Criterion) {
    let event = Event {
        time_ns: 1_772_442_000_123_456_789,
        community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        tx_index: 41,
        url: Some(umbra_event::Url {
            domain: Some(b"api.made.example"),
            path: Some(b"/api/v1/teams/17/members/4711"),
            query: Some(b"page={int}&size={int}"),
            ..Default::default()
        }),
        route: Some(b"/api/v1/teams/{id}/members/{id}"),
        request: Some(umbra_event::Request { method: b"GET", header_bytes: Some(311), ..Default::default() }),
        response: Some(umbra_event::Response { status_code: 200, header_bytes: Some(190), ..Default::default() }),
        ttfb_ns: Some(1_234_567),
        duration_ns: Some(2_345_678),
        ..Default::default()
    };
    let mut line = Vec::new();
    event.write_json(&mut line);
    let length = line.len();
    let record: umbra_event::EventRecord = serde_json::from_slice(&line).unwrap();
    assert_eq!((record.flow.tx_index, record.http.response.unwrap().status_code), (41, Some(200)));
    let mut write = || {
        line.clear();
        event.write_json(&mut line);
        line.len()
    };
    assert_eq!(allocations_of(&mut write), (length, 0));

    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Bytes(length as u64));
    group.bench_function("json", |b| b.iter(|| black_box(write())));
    group.finish();
}

/// From the packet to the line. Once a connection is warm an event costs no allocation; what is learnt of routes keeps a hash of
/// each new value of a variable, and its sets double now and then.
fn worker(c: &mut Criterion) {
    let trace = made::make("http1-small", 400).unwrap().trace;
    let packets: Vec<Packet<'_>> = trace.packets().collect();
    // One connection; the close apart. The first pass has met every endpoint, as a sensor has after a while.
    let packets = &packets[..packets.len() - 3];
    let mut config = umbra_pipeline::Config::new(&[7; 32]);
    // A transaction that is looked at allocates; here are those that are not.
    config.discovery.sampling.first = 0;
    let mut worker = Worker::new(config, Some(Box::<JsonLine>::default()));
    let mut feed = |packets: &[Packet<'_>]| {
        packets.iter().for_each(|packet| worker.handle_packet(packet));
        let output = worker.output();
        let count = output.count;
        output.clear();
        count
    };
    let (first, second) = packets.split_at(packets.len() / 2);
    assert!(feed(first) > 100);
    let (events, allocations) = allocations_of(|| feed(second));
    assert!(events > 100);
    assert!(allocations * 32 < events, "{allocations} allocations for {events} events on a warm connection");

    let mut group = c.benchmark_group("worker");
    group.throughput(Throughput::Elements(packets.len() as u64));
    group.bench_function("http1-small", |b| {
        b.iter(|| {
            let config = umbra_pipeline::Config::new(&[7; 32]);
            let mut worker = Worker::new(config, Some(Box::<JsonLine>::default()));
            packets.iter().for_each(|packet| worker.handle_packet(packet));
            black_box(worker.output().count)
        });
    });
    group.finish();
}

/// Headers and payloads, apart from the decoder that made them.
fn segments(trace: &Trace) -> Vec<(SegmentHeader, Vec<u8>)> {
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    trace
        .packets()
        .map(|packet| {
            let segment = decoder.decode(&packet).unwrap();
            (*segment.header, segment.payload.to_vec())
        })
        .collect()
}

/// Bytes that came out in order.
fn reassemble(table: &mut FlowTable<()>, segments: &[(SegmentHeader, Vec<u8>)]) -> usize {
    let mut bytes_out = 0;
    for (header, payload) in segments {
        let segment = Segment { header, payload };
        table.handle_segment(&segment, |_| ());
        while let Some(step) = table.poll(&segment) {
            match step.event {
                FlowEvent::Data { bytes, .. } => bytes_out += bytes.len(),
                FlowEvent::End { .. } => {}
                other => panic!("clean traffic gave {other:?}"),
            }
        }
    }
    bytes_out
}

/// What the flow stage hands to a connection.
struct Step {
    connection: usize,
    direction: Direction,
    time: Timestamp,
    bytes: Vec<u8>,
    end: Option<EndReason>,
}

fn steps(trace: &Trace) -> Vec<Step> {
    let mut table = FlowTable::new(umbra_flow::Config::default());
    let mut steps = Vec::new();
    let mut connections = 0;
    for (header, payload) in &segments(trace) {
        let segment = Segment { header, payload };
        table.handle_segment(&segment, |_| {
            connections += 1;
            connections - 1
        });
        while let Some(step) = table.poll(&segment) {
            let connection = *step.app;
            steps.push(match step.event {
                FlowEvent::Data { direction, time, bytes } => {
                    Step { connection, direction, time, bytes: bytes.to_vec(), end: None }
                }
                FlowEvent::End { direction, time, reason } => {
                    Step { connection, direction, time, bytes: Vec::new(), end: Some(reason) }
                }
                other => panic!("clean traffic gave {other:?}"),
            });
        }
    }
    steps
}

/// Of the second half of one connection, its close apart.
fn allocations_on_a_warm_connection(name: &str) -> u64 {
    // Enough that the table of HPACK has gone round, and that every buffer has held a large head.
    let mut steps = steps(&made::make(name, 4_000).unwrap().trace);
    steps.retain(|step| step.connection == 0);
    let end = steps.iter().position(|step| step.end.is_some()).unwrap_or(steps.len());
    let (first, second) = steps[..end].split_at(end / 2);
    let mut engine = Engine::new(umbra_http::Config::default());
    let mut connections = vec![Connection::new(false)];
    parse_on(&mut engine, &mut connections, first);
    let (transactions, allocations) = allocations_of(|| parse_on(&mut engine, &mut connections, second));
    assert!(transactions > 100, "{transactions}");
    allocations
}

/// Transactions that came out.
fn parse(engine: &mut Engine, steps: &[Step]) -> usize {
    parse_on(engine, &mut Vec::new(), steps)
}

fn parse_on(engine: &mut Engine, connections: &mut Vec<Connection>, steps: &[Step]) -> usize {
    let mut transactions = 0;
    for step in steps {
        if step.connection >= connections.len() {
            connections.resize_with(step.connection + 1, || Connection::new(false));
        }
        let connection = &mut connections[step.connection];
        match step.end {
            None => connection.handle_data(engine, step.direction, step.time, &step.bytes),
            Some(reason) => connection.handle_end(engine, step.direction, step.time, reason),
        }
        while let Some(transaction) = engine.poll_transaction() {
            transactions += 1;
            engine.recycle(transaction);
        }
    }
    transactions
}
