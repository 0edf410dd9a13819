//! The same traffic gives the same records, however it reaches the workers (G7), and loss never pairs wrongly.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use umbra_capture::file::{FileSet, Options};
use umbra_event::EventRecord;
use umbra_event::redact::{Redaction, Reveal};
use umbra_pipeline::{Config, Inventory, JsonLine, Worker};
use umbra_testkit::{Conversation, Trace};
use umbra_wire::{Decoder, Segment, SegmentHeader, TcpFlags, Timestamp};

/// A segment that owns its payload.
#[derive(Clone)]
struct Owned {
    header: SegmentHeader,
    payload: Vec<u8>,
}

fn config() -> Config {
    let mut config = Config::new(&[7; 32]);
    let reveal = Reveal { path: true, query: true, headers: true };
    config.event.redaction = Redaction::new(umbra_event::FleetKey::new(&[7; 32]), reveal);
    // Few enough that a level rises in small captures.
    config.discovery.sampling = umbra_discovery::SamplingConfig { first: 8, every: 16 };
    config
}

/// Feeds the segments to `workers` workers by flow; gives the event lines, sorted, and the endpoints.
fn run(segments: &[Owned], workers: usize, ticks: bool) -> (Vec<String>, Vec<String>) {
    let mut all: Vec<Worker> = (0..workers).map(|_| Worker::new(config(), Some(Box::<JsonLine>::default()))).collect();
    let mut next_tick = Timestamp(0);
    let mut now = Timestamp(0);
    for Owned { header, payload } in segments {
        now = now.max(header.time);
        if ticks && now >= next_tick {
            next_tick = now.after(std::time::Duration::from_secs(1));
            all.iter_mut().for_each(|worker| worker.handle_timeout(now));
        }
        let (low, high) = ((header.src, header.src_port), (header.dst, header.dst_port));
        let sum = u64::from(low.1)
            + u64::from(high.1)
            + match (low.0, high.0) {
                (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => u64::from(a.to_bits()) + u64::from(b.to_bits()),
                _ => 0,
            };
        let worker = (sum % workers as u64) as usize;
        all[worker].handle_segment(&Segment { header, payload });
    }
    let mut lines = Vec::new();
    let mut inventory = Inventory::new(umbra_discovery::Config::default(), workers);
    for worker in &mut all {
        worker.finish(now);
        lines.extend(String::from_utf8(worker.output().bytes.clone()).unwrap().lines().map(str::to_owned));
        inventory.add(worker);
    }
    lines.sort();
    let endpoints = inventory.endpoints().iter().map(|endpoint| format!("{endpoint:?}")).collect();
    (lines, endpoints)
}

/// The captures of the shared folder, at most 2 MB each, decoded; nothing where it is absent.
fn shared_captures() -> Vec<(String, Vec<Owned>)> {
    let Some(captures) = umbra_testkit::shared("captures") else { return Vec::new() };
    let manifest = std::fs::read_to_string(captures.join("manifest.tsv")).unwrap();
    let mut all = Vec::new();
    for file in manifest.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        let path = captures.join(file);
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= 2 << 20) {
            all.push((file.to_owned(), decode(&path)));
        }
    }
    all
}

fn decode(path: &Path) -> Vec<Owned> {
    let mut segments = Vec::new();
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    let Ok(mut files) = FileSet::open(&[path.to_owned()], Options::default()) else { return segments };
    while let Ok(Some(batch)) = files.next_batch() {
        for packet in batch.packets() {
            if let Some(segment) = decoder.decode(&packet) {
                segments.push(Owned { header: *segment.header, payload: segment.payload.to_vec() });
            }
        }
    }
    segments
}

/// Keep-alive conversations whose answers name their requests.
fn generated() -> Vec<Owned> {
    conversations(1)
}

/// The same, so many requests sent before their answers.
fn conversations(batch: usize) -> Vec<Owned> {
    let mut frames = Vec::new();
    for flow in 0..40u16 {
        let client = format!("10.1.0.{}:{}", flow % 7 + 1, 20_000 + flow).parse().unwrap();
        let mut conversation = Conversation::new()
            .client(client)
            .isn(0xffff_f000_u32.wrapping_add(u32::from(flow) * 77), u32::from(flow) * 1_000_003)
            .start(Timestamp::from_parts(1_700_000_000, u32::from(flow) * 130_000));
        let mut answers = Vec::new();
        for number in 0..25 {
            let id = format!("{flow}-{number}");
            let body = "x".repeat((usize::from(flow) * 131 + number * 977) % 5_000);
            let request = match number % 3 {
                0 => format!(
                    "POST /orders HTTP/1.1\r\nHost: api.test\r\nX-Id: {id}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
                _ => format!("GET /orders/{number} HTTP/1.1\r\nHost: api.test\r\nX-Id: {id}\r\n\r\n"),
            };
            let answer = match number % 4 {
                0 => format!(
                    "HTTP/1.1 201 Created\r\nX-Id: {id}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}y\r\n0\r\n\r\n",
                    body.len() + 1
                ),
                _ => format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            };
            conversation = conversation.request(request.as_bytes());
            answers.push(answer);
            if answers.len() == batch || number == 24 {
                for answer in answers.drain(..) {
                    conversation = conversation.response(answer.as_bytes());
                }
            }
        }
        frames.extend(conversation.build().frames);
    }
    frames.sort_by_key(|frame| frame.0);
    let trace = Trace::ethernet(frames);
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    let mut segments = Vec::new();
    for packet in trace.packets() {
        let segment = decoder.decode(&packet).unwrap();
        segments.push(Owned { header: *segment.header, payload: segment.payload.to_vec() });
    }
    segments
}

fn all_inputs() -> Vec<(String, Vec<Owned>)> {
    let mut inputs = vec![("generated".to_owned(), generated())];
    inputs.extend(shared_captures());
    inputs
}

#[test]
fn g7_any_number_of_workers_gives_the_same_records() {
    for (name, segments) in all_inputs() {
        let one = run(&segments, 1, true);
        for workers in [2, 4] {
            assert_eq!(run(&segments, workers, true), one, "{name} with {workers} workers");
        }
    }
}

#[test]
fn g7_any_interleaving_of_flows_gives_the_same_records() {
    for (name, segments) in all_inputs() {
        let mut by_flow: BTreeMap<_, Vec<Owned>> = BTreeMap::new();
        for segment in &segments {
            let header = &segment.header;
            let (a, b) = ((header.src, header.src_port), (header.dst, header.dst_port));
            by_flow.entry(if a <= b { (a, b) } else { (b, a) }).or_default().push(segment.clone());
        }
        let one_after_another: Vec<Owned> = by_flow.into_values().rev().flatten().collect();
        assert_eq!(run(&one_after_another, 1, false), run(&segments, 1, false), "{name}");
    }
}

#[test]
fn g7_segments_split_to_bytes_give_the_same_records() {
    for (name, segments) in all_inputs() {
        let mut split = Vec::new();
        for segment in segments.iter() {
            if segment.payload.len() < 2 || segments.len() > 4_000 {
                split.push(segment.clone());
                continue;
            }
            let last = segment.payload.len() - 1;
            let syn = u32::from(segment.header.flags.syn());
            for (at, byte) in segment.payload.iter().enumerate() {
                let mut header = segment.header;
                let shift = at as u32 + if at > 0 { syn } else { 0 };
                header.seq = header.seq.wrapping_add(shift);
                if at > 0 {
                    header.flags = TcpFlags(header.flags.0 & !TcpFlags::SYN);
                }
                if at < last {
                    header.flags = TcpFlags(header.flags.0 & !(TcpFlags::FIN | TcpFlags::RST));
                    header.missing = 0;
                }
                split.push(Owned { header, payload: vec![*byte] });
            }
        }
        let (whole, bytes) = (run(&segments, 1, false), run(&split, 1, false));
        assert_eq!(bytes.0, whole.0, "{name}");
        assert_eq!(bytes.1, whole.1, "{name}");
    }
}

/// Some packets are missing: an answer is never put to another question, and 95 % of what was not touched is found.
#[test]
fn f022_random_loss_never_pairs_wrongly() {
    let segments = generated();
    let whole: BTreeSet<String> = run(&segments, 1, false).0.iter().map(|line| ids(line).0.unwrap()).collect();
    assert_eq!(whole.len(), 40 * 25);
    for per_mille in [1, 10, 50, 200] {
        let (mut found_total, mut untouched_total) = (0, 0);
        for seed in 1..=20u64 {
            let (kept, touched) = lossy(&segments, seed, per_mille);
            let mut found = BTreeSet::new();
            for line in run(&kept, 1, false).0 {
                if let (Some(request), Some(response)) = ids(&line) {
                    assert_eq!(request, response, "{per_mille} ‰, seed {seed}: wrong pair: {line}");
                    found.insert(request);
                }
            }
            let untouched: BTreeSet<_> = whole.difference(&touched).cloned().collect();
            let kept = untouched.intersection(&found).count();
            (found_total, untouched_total) = (found_total + kept, untouched_total + untouched.len());
            // Beyond 5 % the opening of many connections is missing too: there only the pairs count.
            let wanted = if per_mille > 50 { 0 } else { 95 };
            assert!(
                kept * 100 >= untouched.len() * wanted,
                "{per_mille} ‰, seed {seed}: {kept} of {} untouched found",
                untouched.len()
            );
        }
        println!("{per_mille} ‰ lost: {found_total} of {untouched_total} untouched found");
    }
}

/// Runs of packets are missing, whole exchanges with them, and some packets overtake others: still no wrong pair.
#[test]
fn f022_bursts_of_loss_and_disorder_never_pair_wrongly() {
    for (batch, wanted) in [(1, 40_000), (3, 100)] {
        let pairs = pairs_after_bursts(&conversations(batch));
        println!("bursts, {batch} requests at once: {pairs} of 60000 exchanges paired");
        assert!(pairs > wanted, "{batch} at once: {pairs} pairs");
    }
}

fn pairs_after_bursts(segments: &[Owned]) -> u32 {
    let mut by_flow: BTreeMap<_, Vec<Owned>> = BTreeMap::new();
    for segment in segments {
        let ports = (segment.header.src_port, segment.header.dst_port);
        by_flow.entry(ports.0.max(ports.1)).or_default().push(segment.clone());
    }
    let mut pairs = 0;
    for seed in 1..=60_u64 {
        let mut draw = Draw::new(seed);
        let longest = [2, 5, 12, 40][seed as usize % 4];
        let mut kept = Vec::new();
        for flow in by_flow.values() {
            let mut lost = 0;
            let mut left = Vec::new();
            for (at, segment) in flow.iter().enumerate() {
                // A connection joined at the last of several requests at once looks like any other: nothing tells that
                // more answers are on the way. So the opening is seen.
                if at >= 3 && draw.below(100) < 3 {
                    lost = 1 + draw.below(longest);
                }
                if lost > 0 {
                    lost -= 1;
                } else {
                    left.push(segment.clone());
                }
            }
            for at in 1..left.len() {
                if draw.below(100) < 3 {
                    // Captured in the other order; times stay in order, as in a capture file.
                    let (before, after) = (left[at - 1].header.time, left[at].header.time);
                    left.swap(at - 1, at);
                    (left[at - 1].header.time, left[at].header.time) = (before, after);
                }
            }
            kept.extend(left);
        }
        for line in run(&kept, 1, false).0 {
            if let (Some(request), Some(response)) = ids(&line) {
                assert_eq!(request, response, "seed {seed}: wrong pair: {line}");
                pairs += 1;
            }
        }
    }
    pairs
}

/// xorshift64: the same numbers for the same seed.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }
}

/// What is left when so many of 1,000 packets are lost at random, and the transactions whose bytes were in a lost one.
fn lossy(segments: &[Owned], seed: u64, per_mille: u64) -> (Vec<Owned>, BTreeSet<String>) {
    let mut draw = Draw::new(seed);
    let (mut kept, mut touched) = (Vec::new(), BTreeSet::new());
    for segment in segments {
        if draw.below(1_000) >= per_mille {
            kept.push(segment.clone());
        } else if !segment.payload.is_empty() {
            touched.extend(owner(segments, segment));
        }
    }
    (kept, touched)
}

/// `X-Id` of request and response of an event.
fn ids(line: &str) -> (Option<String>, Option<String>) {
    let record: EventRecord = serde_json::from_str(line).unwrap();
    let id = |headers: Option<&Vec<umbra_event::record::HeaderRecord>>| {
        headers.into_iter().flatten().find(|header| header.name == "x-id").and_then(|header| header.value.clone())
    };
    let request = record.http.request.as_ref().and_then(|request| id(request.headers.as_ref()));
    let response = record.http.response.as_ref().and_then(|response| id(response.headers.as_ref()));
    (request, response)
}

/// Ids of the transactions whose bytes a segment carries: the one whose head lies last before it in its direction, and those
/// whose heads lie in it.
fn owner(segments: &[Owned], lost: &Owned) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    let mut last = None;
    for segment in segments {
        let (a, b) = (&segment.header, &lost.header);
        if (a.src, a.src_port, a.dst, a.dst_port) != (b.src, b.src_port, b.dst, b.dst_port)
            || segment.payload.is_empty()
        {
            continue;
        }
        let text = String::from_utf8_lossy(&segment.payload);
        let ids: Vec<String> =
            text.split("X-Id: ").skip(1).filter_map(|rest| rest.split("\r\n").next().map(str::to_owned)).collect();
        if a.seq == b.seq {
            owners.extend(last.clone());
            owners.extend(ids);
            return owners;
        }
        last = ids.last().cloned().or(last);
    }
    owners
}
