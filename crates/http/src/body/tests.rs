#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;
use crate::engine::Config;
use crate::message::Response;
use crate::transaction::Grpc;

fn head(fields: &[(KnownHeader, &str)]) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    for (known, value) in fields {
        headers.push(*known, b"name", value.as_bytes());
    }
    headers
}

fn coded(content_type: &str, coding: &str) -> HeaderBlock {
    head(&[(KnownHeader::ContentType, content_type), (KnownHeader::ContentEncoding, coding)])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Feeds a response body as a protocol reader does: by length as soon as nobody wants the bytes.
fn read(engine: &mut Engine, headers: &HeaderBlock, sampled: bool, bytes: &[u8], split: usize) -> Transaction {
    let mut reader = BodyReader::default();
    let mut transaction = Transaction::default();
    reader.start(engine, headers, false, sampled);
    for piece in bytes.chunks(split) {
        if reader.wants_bytes() { reader.data(engine, piece) } else { reader.skip(piece.len() as u64) }
    }
    reader.finish(engine, true, &mut transaction, false);
    assert_eq!(transaction.response_body.len_bytes, bytes.len() as u64);
    assert_eq!(reader.memory_bytes(), 0);
    transaction
}

/// As `read`, whole, byte by byte and in pieces: all the same.
fn read_all_ways(headers: &HeaderBlock, sampled: bool, bytes: &[u8]) -> Transaction {
    let mut engine = Engine::default();
    let whole = read(&mut engine, headers, sampled, bytes, usize::MAX);
    for split in [1, 3, 1460] {
        let other = read(&mut engine, headers, sampled, bytes, split);
        assert_eq!(format!("{other:?}"), format!("{whole:?}"), "in pieces of {split}");
    }
    whole
}

#[test]
fn nobody_wants_the_bytes_of_a_plain_body() {
    assert!(size_of::<BodyReader>() <= 24);
    let mut engine = Engine::default();
    let mut reader = BodyReader::default();
    let mut transaction = Transaction::default();
    reader.start(&mut engine, &coded("application/json", "gzip"), true, false);
    assert!(!reader.wants_bytes());
    reader.skip(1 << 40);
    reader.gap(10);
    reader.data(&mut engine, b"data is fine too");
    reader.finish(&mut engine, true, &mut transaction, true);
    let body = &transaction.request_body;
    assert_eq!((body.len_bytes, body.missing_bytes, body.complete), ((1 << 40) + 26, 10, true));
    assert_eq!((body.sample.as_ref(), body.sample_truncated), (None, false));
    assert!(transaction.anomalies.is_empty() && transaction.grpc.is_none() && transaction.sse_events.is_none());
    assert_eq!(engine.counters.opaque_bodies, 0);
}

#[test]
fn sample_of_a_plain_body() {
    let limit = Config::default().sample_bytes;
    let plain = head(&[]);
    for (len, truncated) in
        [(0, false), (1, false), (limit - 1, false), (limit, false), (limit + 1, true), (3 * limit, true)]
    {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let body = read_all_ways(&plain, true, &bytes).response_body;
        let sample = body.sample.unwrap();
        assert!(sample == bytes[..len.min(limit)], "{len}");
        assert_eq!(body.sample_truncated, truncated, "{len}");
    }
}

#[test]
fn sample_of_a_coded_body() {
    let limit = Config::default().sample_bytes;
    for len in [0, 1000, limit, limit + 1] {
        // Compresses, but no bomb.
        let text: Vec<u8> = (0..len).map(|at| b'a' + (at * at % 23) as u8).collect();
        let transaction = read_all_ways(&coded("application/json", "gzip"), true, &gzip(&text));
        let sample = transaction.response_body.sample.unwrap();
        assert!(sample == text[..len.min(limit)], "{len}");
        assert_eq!(transaction.response_body.sample_truncated, len > limit, "{len}");
        assert!(transaction.anomalies.is_empty(), "{len}");
    }
}

#[test]
fn decoding_stops_when_the_sample_is_full() {
    let mut engine = Engine::default();
    let mut reader = BodyReader::default();
    let text: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
    let bytes = gzip(&text);
    reader.start(&mut engine, &coded("text/plain", "gzip"), false, true);
    let pieces: Vec<&[u8]> = bytes.chunks(1460).collect();
    let wanted = pieces.iter().take_while(|piece| {
        reader.data(&mut engine, piece);
        reader.wants_bytes()
    });
    assert!(wanted.count() < 40, "of {} pieces", pieces.len());
    assert!(reader.memory_bytes() < 200 * 1024, "the decoder is given back");
}

#[test]
fn broken_coded_bodies_keep_what_decoded() {
    let text = b"some text that is there".repeat(100);
    let whole = gzip(&text);
    let gzip_head = coded("text/plain", "gzip");
    let of = |bytes: &[u8]| {
        let transaction = read_all_ways(&gzip_head, true, bytes);
        let flagged = transaction.anomalies.contains(Anomaly::BadContentEncoding);
        (transaction.response_body.sample.unwrap(), transaction.response_body.sample_truncated, flagged)
    };
    let (sample, truncated, flagged) = of(&whole[..whole.len() - 8]);
    assert_eq!(
        (sample.as_slice(), truncated, flagged),
        (&text[..], true, true),
        "the body is whole, the stream is not"
    );
    let mut bad_crc = whole.clone();
    let at = bad_crc.len() - 5;
    bad_crc[at] ^= 1;
    let (sample, truncated, flagged) = of(&bad_crc);
    assert_eq!((sample.as_slice(), truncated, flagged), (&text[..], true, true), "checksum");
    let (sample, truncated, flagged) = of(b"{\"plain\": \"json\"}");
    assert_eq!((sample.as_slice(), truncated, flagged), (&b""[..], true, true), "wrong label");
}

#[test]
fn a_cut_or_gapped_body_gives_its_prefix_without_blame() {
    let text: Vec<u8> = (0..5000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
    let bytes = gzip(&text);
    let mut engine = Engine::default();
    for gap in [true, false] {
        let mut reader = BodyReader::default();
        let mut transaction = Transaction::default();
        reader.start(&mut engine, &coded("text/plain", "gzip"), false, true);
        reader.data(&mut engine, &bytes[..3000]);
        if gap {
            reader.gap(100);
            assert!(!reader.wants_bytes(), "a coded stream cannot be joined again");
            reader.skip((bytes.len() - 3100) as u64);
        }
        reader.finish(&mut engine, gap, &mut transaction, false);
        let body = transaction.response_body;
        let sample = body.sample.unwrap();
        assert!(sample.len() > 3000 && text.starts_with(&sample));
        assert!(body.sample_truncated && transaction.anomalies.is_empty());
    }
    // Without coding the sample goes on past the hole, marked.
    let mut reader = BodyReader::default();
    let mut transaction = Transaction::default();
    reader.start(&mut engine, &head(&[]), false, true);
    reader.data(&mut engine, b"before");
    reader.gap(5);
    assert!(!reader.wants_bytes());
    reader.skip(5);
    reader.finish(&mut engine, true, &mut transaction, false);
    assert_eq!(transaction.response_body.sample.as_deref(), Some(&b"before"[..]));
    assert!(transaction.response_body.sample_truncated);
}

#[test]
fn f064_a_flow_loses_decompression_after_repeats() {
    let bomb = gzip(&vec![0; 4 << 20]);
    let headers = coded("application/json", "gzip");
    let mut engine = Engine::default();
    let mut flow = FlowBodies::default();
    let mut read = |engine: &mut Engine, bytes: &[u8]| {
        let mut reader = BodyReader::default();
        let mut transaction = Transaction::default();
        flow.start(&mut reader, engine, &headers, false, true);
        if reader.wants_bytes() {
            reader.data(engine, bytes)
        } else {
            reader.skip(bytes.len() as u64)
        }
        flow.finish(&mut reader, engine, true, &mut transaction, false);
        transaction
    };
    for number in 0..engine.config.bombs {
        let transaction = read(&mut engine, &bomb);
        assert!(transaction.anomalies.contains(Anomaly::DecompressionLimit), "{number}");
        let body = transaction.response_body;
        assert!(body.sample.unwrap().len() <= 64 * 1024 && body.sample_truncated, "{number}");
    }
    assert_eq!((engine.counters.bomb_flows, engine.counters.opaque_bodies), (1, 0));
    for bytes in [&bomb, &gzip(b"harmless")] {
        let transaction = read(&mut engine, bytes);
        assert!(transaction.anomalies.is_empty());
        assert_eq!(transaction.response_body.sample.as_deref(), Some(&b""[..]));
        assert!(transaction.response_body.sample_truncated);
    }
    assert_eq!((engine.counters.bomb_flows, engine.counters.opaque_bodies), (1, 2));
}

#[test]
fn f065_what_is_not_undone_is_opaque() {
    let mut engine = Engine::default();
    for (coding, anomaly) in [
        ("compress", None),
        ("utf-8", Some(Anomaly::BadContentEncoding)),
        ("gzip, gzip, gzip", Some(Anomaly::DecompressionLimit)),
    ] {
        let transaction = read(&mut engine, &coded("text/plain", coding), true, b"whatever", 3);
        assert_eq!(
            transaction.anomalies.iter().collect::<Vec<_>>(),
            anomaly.into_iter().collect::<Vec<_>>(),
            "{coding}"
        );
        assert_eq!(transaction.response_body.sample.as_deref(), Some(&b""[..]), "{coding}");
        assert!(transaction.response_body.sample_truncated, "{coding}");
    }
    assert_eq!(engine.counters.opaque_bodies, 3);
}

#[test]
fn f057_grpc_counts_and_status() {
    let bytes = [&[0, 0, 0, 0, 3][..], b"abc", &[1, 0, 0, 0, 0]].concat();
    let headers = coded("application/grpc", "identity");
    let transaction = read_all_ways(&headers, false, &bytes);
    let expected = Grpc { response_messages: 2, ..Grpc::default() };
    assert_eq!(transaction.grpc, Some(expected));

    // Status: in the trailers, else in the headers of a trailers-only answer.
    let mut engine = Engine::default();
    for is_trailer in [false, true] {
        let mut response = Response { headers: head(&[(KnownHeader::GrpcStatus, "13")]), ..Response::default() };
        if is_trailer {
            response.headers.push(KnownHeader::GrpcStatus, b"grpc-status", b"5");
            response.headers.last_mut().unwrap().trailer = true;
        }
        let mut reader = BodyReader::default();
        reader.start(&mut engine, &headers, false, false);
        let mut transaction = Transaction { response: Some(response), ..Transaction::default() };
        reader.finish(&mut engine, true, &mut transaction, false);
        assert_eq!(transaction.grpc.unwrap().status, Some(if is_trailer { 5 } else { 13 }));
    }

    // Both directions meet in one record; a gap over a boundary makes the counts lower bounds.
    let mut transaction = Transaction::default();
    for is_request in [true, false] {
        let mut reader = BodyReader::default();
        reader.start(&mut engine, &headers, is_request, false);
        reader.data(&mut engine, &bytes);
        if !is_request {
            reader.gap(3);
            assert!(!reader.wants_bytes());
        }
        reader.finish(&mut engine, true, &mut transaction, is_request);
    }
    let expected = Grpc { request_messages: 2, response_messages: 2, partial: true, ..Grpc::default() };
    assert_eq!(transaction.grpc, Some(expected));
    assert!(transaction.anomalies.is_empty());

    // A flag that cannot be.
    let transaction = read_all_ways(&headers, true, b"<html>no gRPC at all</html>");
    assert!(transaction.anomalies.contains(Anomaly::BadGrpcMessage));
    assert!(transaction.response_body.sample.is_some_and(|sample| sample.len() == 27));
}

#[test]
fn events_plain_and_coded() {
    let text = b"data: one\n\nevent: x\ndata: two\n\n: comment\n\n".repeat(20);
    assert_eq!(read_all_ways(&coded("text/event-stream", ""), false, &text).sse_events, Some(40));
    assert_eq!(read_all_ways(&coded("text/event-stream", "gzip"), false, &gzip(&text)).sse_events, Some(40));
    let corrupt = read_all_ways(&coded("text/event-stream", "gzip"), false, b"no gzip");
    assert_eq!(corrupt.sse_events, None, "unknown is not none");
    assert_eq!(read_all_ways(&coded("text/event-stream", "dcb"), false, &text).sse_events, None);
    // More events than a sample has room for.
    let long = text.repeat(100);
    let transaction = read_all_ways(&coded("text/event-stream", ""), true, &long);
    assert_eq!(transaction.sse_events, Some(4000));
    assert!(transaction.response_body.sample_truncated);
}

#[test]
fn memory_is_used_again() {
    let mut engine = Engine::default();
    let headers = coded("application/grpc", "");
    for _ in 0..3 {
        read(&mut engine, &headers, false, &[0, 0, 0, 0, 0], 5);
        assert_eq!(engine.bodies.spare.len(), 1);
    }
    // A reader that starts again without an end gives its memory back.
    let mut reader = BodyReader::default();
    for _ in 0..3 {
        reader.start(&mut engine, &coded("text/plain", "gzip"), false, true);
        reader.data(&mut engine, b"half");
    }
    reader.start(&mut engine, &head(&[]), false, false);
    assert_eq!((engine.bodies.spare.len(), reader.memory_bytes()), (1, 0));
}
