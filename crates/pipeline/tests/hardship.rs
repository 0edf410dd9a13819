//! What a worker does when a stage has a bug, memory is short or it falls behind.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use umbra_discovery::EndpointKey;
use umbra_event::Event;
use umbra_pipeline::{Config, Encode, JsonLine, SHED_LEVELS, Worker};
use umbra_testkit::{Conversation, Trace};
use umbra_wire::Timestamp;

fn config() -> Config {
    Config::new(&[7; 32])
}

fn client(flow: u32) -> SocketAddr {
    (std::net::Ipv4Addr::from_bits(0x0a01_0000 + flow), 20_000).into()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_parts(1_700_000_000, 0).after(Duration::from_millis(millis))
}

/// A flow with three transactions, the last one of a name of its own.
fn conversation(flow: u32) -> Conversation {
    let mut conversation = Conversation::new().client(client(flow)).start(at(u64::from(flow)));
    for name in ["first", "second", "third"] {
        let request = format!("GET /{name} HTTP/1.1\r\nHost: h{flow}.test\r\n\r\n");
        conversation =
            conversation.request(request.as_bytes()).response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    conversation
}

fn flows(numbers: impl Iterator<Item = u32>) -> Trace {
    let mut frames: Vec<_> = numbers.flat_map(|flow| conversation(flow).build().frames).collect();
    frames.sort_by_key(|frame| frame.0);
    Trace::ethernet(frames)
}

fn feed(worker: &mut Worker, trace: &Trace) {
    for packet in trace.packets() {
        worker.handle_packet(&packet);
    }
}

fn lines(worker: &mut Worker) -> BTreeSet<String> {
    let lines = String::from_utf8(worker.output().bytes.clone()).unwrap().lines().map(str::to_owned).collect();
    worker.output().clear();
    lines
}

/// Has a bug that one host's traffic meets.
struct Poisoned {
    host: &'static [u8],
}

impl Encode for Poisoned {
    fn encode(&mut self, event: &Event<'_>, _: Option<EndpointKey<'_>>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        event.write_json(out);
        let line = &out[start..];
        assert!(!line.windows(self.host.len()).any(|window| window == self.host), "poisoned");
        true
    }
}

#[test]
fn f099_a_poisoned_flow_ends_alone() {
    let trace = flows(0..20);
    let mut healthy = Worker::new(config(), Some(Box::<JsonLine>::default()));
    feed(&mut healthy, &trace);
    healthy.finish(at(10_000));
    let expected: BTreeSet<String> = lines(&mut healthy).into_iter().filter(|line| !line.contains("h7.test")).collect();
    assert_eq!(expected.len(), 19 * 3);
    {
        let mut worker = Worker::new(config(), Some(Box::new(Poisoned { host: b"h7.test" })));
        feed(&mut worker, &trace);
        // The same packets again: no crash loop, and nothing of the flow but its first segment is looked at.
        let again = conversation(7).build();
        feed(&mut worker, &again);
        feed(&mut worker, &again);
        worker.handle_timeout(at(9_000));
        worker.finish(at(10_000));
        assert_eq!(worker.counters().worker_panics, 1);
        assert_eq!(lines(&mut worker), expected, "other flows, and no part of a record");
        assert_eq!(worker.counters().live_flows, 0);
    }
}

#[test]
fn f099_a_flow_poisoned_at_its_timeout_ends_alone() {
    // The unanswered requests come out when the input ends, or when they time out.
    let open = |flow: u32| {
        let request = format!("GET /only HTTP/1.1\r\nHost: h{flow}.test\r\n\r\n");
        Conversation::new().client(client(flow)).without_close().request(request.as_bytes()).build()
    };
    for timeout in [false, true] {
        {
            let mut worker = Worker::new(config(), Some(Box::new(Poisoned { host: b"h7.test" })));
            (0..20).for_each(|flow| feed(&mut worker, &open(flow)));
            if timeout {
                // One panic ends one look; the next one a second later goes on.
                (0..3).for_each(|second| worker.handle_timeout(at(86_400_000 + second * 1_000)));
                assert_eq!(lines(&mut worker).len(), 19);
            }
            worker.finish(at(90_000_000));
            assert_eq!(worker.counters().worker_panics, 1);
            assert_eq!(lines(&mut worker).len(), if timeout { 0 } else { 19 });
        }
    }
}

/// Many flows with much to tell end at the same moment: their records are handed on in portions and do not pile up.
#[test]
fn f100_records_of_flows_that_end_together_do_not_pile_up() {
    let open = |flow: u32| {
        let requests = format!("GET /only HTTP/1.1\r\nHost: h{flow}.test\r\n\r\n").repeat(200);
        Conversation::new().client(client(flow)).without_close().request(requests.as_bytes()).build()
    };
    for timeout in [false, true] {
        let mut worker = Worker::new(config(), Some(Box::<JsonLine>::default()));
        (0..50).for_each(|flow| feed(&mut worker, &open(flow)));
        assert_eq!(worker.output().count, 0, "all requests wait for their responses");
        let (mut records, mut largest) = (0, 0);
        let mut ready = |output: &mut umbra_pipeline::Output| {
            records += output.count;
            largest = largest.max(output.bytes.len());
            output.clear();
        };
        match timeout {
            true => worker.handle_timeout_into(at(86_400_000), &mut ready),
            false => worker.finish_into(at(10_000), &mut ready),
        }
        ready(worker.output());
        assert_eq!(records, 50 * 200);
        // A portion and one flow's records.
        assert!(largest < 512 * 1024, "{largest} bytes at once");
    }
}

#[test]
fn f100_memory_of_ended_flows_is_free_again() {
    let mut config = config();
    config.flow.max_closed = 100;
    let mut worker = Worker::new(config, Some(Box::<JsonLine>::default()));
    let held = |worker: &Worker| worker.counters().memory_bytes;
    let mut after = Vec::new();
    // Whole turns of the timer wheel, so that each round meets the same slots.
    let round_seconds = 20 * 512;
    for round in 0..5u32 {
        let by = Duration::from_secs(round_seconds) * round;
        feed(&mut worker, &flows(0..500).delayed(by));
        worker.handle_timeout(at(9_000_000).after(by));
        assert_eq!(worker.counters().live_flows, 0);
        after.push(held(&worker));
    }
    assert_eq!(after[2], after[4], "{after:?}");
}

#[test]
fn f100_memory_stays_within_the_bound_and_is_usable_afterwards() {
    let cap = 8 << 20;
    // Heads and chunk lines that never end; bytes behind a hole; each kept until the flow is over.
    let half_head = |flow: u32| {
        let head = format!("GET /{flow} HTTP/1.1\r\nHost: x.test\r\nX-Long: {}", "a".repeat(30_000));
        Conversation::new().client(client(flow)).without_close().request(head.as_bytes()).build()
    };
    let hole = |flow: u32| half_head(flow).dropping(&[4]);
    let mut streams = umbra_testkit::Http2Writer::client();
    for stream in 0..3_000 {
        let path = format!("/{stream}/{}", "b".repeat(8_000));
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", &path), (":authority", "x.test")];
        streams.headers(stream * 2 + 1, &fields, true);
    }
    let elephant = Conversation::new().client(client(0)).without_close().request(&streams.take()).build();
    let floods = [
        ("half heads", interleaved((0..2_000).map(half_head))),
        ("holes", interleaved((0..2_000).map(hole))),
        ("one connection of many streams", elephant),
    ];
    for (name, flood) in floods {
        let mut config = config();
        config.memory_bytes = cap;
        config.flow.max_total_bytes = cap / 2;
        config.flow.max_closed = 1_000;
        let mut worker = Worker::new(config, Some(Box::<JsonLine>::default()));
        let mut most = 0;
        for packet in flood.packets() {
            worker.handle_packet(&packet);
            most = most.max(worker.counters().memory_bytes);
        }
        let counters = worker.counters();
        println!(
            "{name}: at most {most} of {cap} bytes, {} shed, {} evicted",
            counters.shed_segments, counters.flow.flows_evicted
        );
        assert!(most as usize <= cap + cap / 10, "{name}: {most} bytes");
        assert!(most as usize >= cap / 2, "{name}: {most} bytes are no flood");
        let limited = counters.shed_segments + counters.flow.flows_evicted + counters.flow.limit_global;
        assert!(limited > 0, "{name}: reaching the bound is counted");
        // The flood is over: what comes now is seen whole.
        worker.handle_timeout(at(86_400_000));
        lines(&mut worker);
        let calm = flows(5_000..5_600).delayed(Duration::from_secs(86_400));
        feed(&mut worker, &calm);
        worker.finish(at(2 * 86_400_000));
        let seen = lines(&mut worker).iter().filter(|line| line.contains("/third")).count();
        assert!(seen >= 500, "{name}: {seen} of 600 flows seen after the flood");
    }
}

/// Several conversations at once, packet by packet.
fn interleaved(traces: impl Iterator<Item = Trace>) -> Trace {
    let mut all: Vec<_> = traces.flat_map(|trace| trace.frames.into_iter().enumerate()).collect();
    all.sort_by_key(|(number, _)| *number);
    Trace::ethernet(all.into_iter().map(|(_, frame)| frame).collect())
}

#[test]
fn f101_whole_flows_are_shed_by_hash_and_the_rest_is_complete() {
    let trace = flows(0..400);
    let run = |level: u8| {
        let mut worker = Worker::new(config(), Some(Box::<JsonLine>::default()));
        worker.shed(level);
        feed(&mut worker, &trace);
        worker.finish(at(10_000));
        let counters = worker.counters();
        assert_eq!(counters.shed_segments > 0, level > 0);
        assert_eq!(counters.flow.gap_bytes, 0, "accepted flows have no gaps");
        lines(&mut worker)
    };
    let all = run(0);
    assert_eq!(all.len(), 1200);
    let mut before = all.clone();
    for level in [1, 4, 8, SHED_LEVELS - 1] {
        let some = run(level);
        assert!(some.is_subset(&before), "who is shed at a level is shed at the next, and what stays is the same");
        assert_eq!(some.len() % 3, 0, "whole flows");
        let share = some.len() as f64 / all.len() as f64;
        let expected = 1.0 - f64::from(level) / f64::from(SHED_LEVELS);
        assert!((share - expected).abs() < 0.1, "level {level}: {share} of the flows stay");
        before = some;
    }
    // Once the pressure is gone new flows are all seen.
    let mut worker = Worker::new(config(), Some(Box::<JsonLine>::default()));
    worker.shed(SHED_LEVELS);
    feed(&mut worker, &trace);
    worker.shed(0);
    lines(&mut worker);
    feed(&mut worker, &flows(1_000..1_100));
    worker.finish(at(10_000));
    assert_eq!(lines(&mut worker).len(), 300);
}
