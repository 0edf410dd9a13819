//! What is read out of bodies and WebSocket connections in third-party captures, against what tshark says of them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use umbra_capture::file::{FileSet, Options};
use umbra_flow::{FlowEvent, FlowTable, GapCause, Step};
use umbra_http::{Anomaly, Connection, Engine, KnownHeader, Request, Response, Sampler, Transaction};
use umbra_wire::{Decoder, Timestamp};

/// Keeps every body.
struct Everything;

impl Sampler for Everything {
    fn sample_request(&mut self, _: &Request, _: Option<Timestamp>) -> bool {
        true
    }

    fn sample_response(&mut self, _: Option<&Request>, _: &Response, _: Option<Timestamp>) -> bool {
        true
    }
}

fn truth(captures: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(captures.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn handle(engine: &mut Engine, step: Step<'_, Connection>) {
    let connection = step.app;
    match step.event {
        FlowEvent::Data { direction, time, bytes } => connection.handle_data(engine, direction, time, bytes),
        FlowEvent::Gap { direction, time, len, cause } => {
            connection.handle_gap(engine, direction, time, len, cause == GapCause::Truncated);
        }
        FlowEvent::Conflict { direction, .. } => connection.handle_conflict(direction),
        FlowEvent::End { direction, time, reason, .. } => connection.handle_end(engine, direction, time, reason),
    }
}

/// Every transaction of a capture, all bodies sampled.
#[allow(clippy::vec_box)] // as the engine gives them out
fn replay(path: &Path) -> Vec<Box<Transaction>> {
    let mut engine = Engine::default();
    engine.sampler = Some(Box::new(Everything));
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    let mut table: FlowTable<Connection> = FlowTable::new(umbra_flow::Config::default());
    let mut files = FileSet::open(&[path.to_owned()], Options::default()).unwrap();
    let mut now = Timestamp::default();
    while let Ok(Some(batch)) = files.next_batch() {
        for packet in batch.packets() {
            now = packet.time;
            let Some(segment) = decoder.decode(&packet) else { continue };
            table.handle_segment(&segment, |facts| Connection::new(facts.mid_stream));
            while let Some(step) = table.poll(&segment) {
                handle(&mut engine, step);
            }
        }
    }
    table.finish(now);
    while let Some(step) = table.poll_timeout() {
        handle(&mut engine, step);
    }
    std::iter::from_fn(|| engine.poll_transaction()).collect()
}

#[test]
fn websocket_frames_and_messages() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let mut checked = 0;
    for line in truth(&captures) {
        let expected = |name: &str| line["websocket"][name].as_u64().unwrap();
        if expected("upgrades") == 0 || line["tls"]["decrypted"].as_bool() == Some(true) {
            continue;
        }
        let file = line["file"].as_str().unwrap();
        let transactions = replay(&captures.join(file));
        let sessions: Vec<_> = transactions.iter().filter_map(|transaction| transaction.websocket).collect();
        let frames: u64 = sessions.iter().flat_map(|session| session.frames).sum();
        let messages: u64 = sessions.iter().flat_map(|session| session.messages).sum();
        assert_eq!((frames, messages), (expected("frames"), expected("messages")), "{file}");
        let all_fine =
            transactions.iter().all(|transaction| !transaction.anomalies.contains(Anomaly::BadWebSocketFrame));
        assert!(all_fine && sessions.iter().all(|session| !session.partial), "{file}");
        checked += 1;
    }
    assert!(checked >= 7, "{checked}");
}

#[test]
fn grpc_messages_and_status() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    let mut checked = 0;
    for line in truth(&captures) {
        let mut calls = line["grpc"]["calls"].as_u64().unwrap();
        let mut messages = line["grpc"]["messages"].as_u64().unwrap();
        let file = line["file"].as_str().unwrap();
        if calls == 0 || line["tls"]["decrypted"].as_bool() == Some(true) {
            continue;
        }
        if file.ends_with("http2-errorcode/input.pcap") {
            // The call is there twice, inside a CONNECT tunnel and behind the proxy; tshark does not look into tunnels.
            (calls, messages) = (2 * calls, 2 * messages);
        }
        let facts: Vec<_> = replay(&captures.join(file)).iter().filter_map(|transaction| transaction.grpc).collect();
        assert_eq!(facts.len() as u64, calls, "{file}");
        let read: u64 = facts.iter().map(|grpc| grpc.request_messages + grpc.response_messages).sum();
        assert_eq!(read, messages, "{file}");
        let with_status = line["grpc"]["list"].as_array().unwrap().iter().filter(|call| !call[1].is_null()).count();
        assert_eq!(facts.iter().filter(|grpc| grpc.status == Some(0)).count() > 0, with_status > 0, "{file}");
        checked += 1;
    }
    assert!(checked >= 3, "{checked}");
}

/// File, coding, coded and decoded length, first bytes, whole?
type Coded = (&'static str, &'static str, u64, usize, &'static [u8], bool);

const CODED: &[Coded] = &[
    ("OISF-suricata-verify/tests/http-post-data-decompression/input.pcap", "gzip", 45, 25, b"name=john dauny", true),
    ("OISF-suricata-verify/tests/http2-compression-bug/input.pcap", "gzip", 11425, 32941, b"<!doctype html>", true),
    ("arkime-arkime/tests/pcap/80211http.pcap", "gzip", 708, 1478, b"<!DOCTYPE html>", true),
    (
        "mtottenh-pcapsql/fuzz/corpus/fuzz_pcap_reader/http-chunked-gzip.pcap",
        "gzip",
        26375,
        65536,
        b"\n<!DOCTYPE",
        false,
    ),
    ("wireshark-wireshark/test/captures/http-brotli.pcapng", "br", 52, 66, b"This is a test file", true),
    ("zeek-zeek/testing/btest/Traces/http/missing-zlib-header.pcap", "deflate", 5139, 13249, b"\nvar _daprr", true),
    ("zeek-zeek/testing/btest/Traces/http/pipelined-requests.pcap", "gzip", 946, 2675, b"/*\n***", true),
    ("zeek-zeek/testing/btest/Traces/http/x-gzip.pcap", "x-gzip", 39, 19, b"Encoded gzip header", true),
    // Three codings applied: over the limit.
    ("OISF-suricata-verify/tests/http-evader/http-evader-146/input.pcap", "", 111, 0, b"", false),
    // No such coding.
    ("OISF-suricata-verify/tests/http-evader/http-evader-166/input.pcap", "gzip x", 88, 0, b"", false),
    // The zlib stream is never ended: all of its text, and marked.
    ("OISF-suricata-verify/tests/http2-deflate/http2_deflate.pcap", "deflate", 30, 20, b"Hello, /, http: true", false),
];

#[test]
fn coded_bodies() {
    let Some(captures) = umbra_testkit::shared("captures") else { return };
    for (file, coding, len, decoded_len, start, whole) in CODED {
        let transactions = replay(&captures.join(file));
        let coded = transactions.iter().find_map(|transaction| {
            let request = transaction.request.as_ref().map(|request| (&request.headers, &transaction.request_body));
            let response =
                transaction.response.as_ref().map(|response| (&response.headers, &transaction.response_body));
            let coded = [request, response].into_iter().flatten();
            coded.into_iter().find_map(|(headers, body)| Some((headers.first(KnownHeader::ContentEncoding)?, body)))
        });
        let (name, body) = coded.unwrap();
        assert!(name.eq_ignore_ascii_case(coding.as_bytes()) || coding.is_empty(), "{file}: {}", name.escape_ascii());
        let sample = body.sample.as_deref().unwrap();
        assert_eq!((body.len_bytes, sample.len()), (*len, *decoded_len), "{file}");
        assert!(sample.starts_with(start), "{file}: {}", sample.escape_ascii());
        assert_eq!(body.sample_truncated, !whole, "{file}");
    }
}
