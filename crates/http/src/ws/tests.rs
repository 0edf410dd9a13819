#![allow(clippy::unwrap_used)]

use super::*;
use crate::message::Response;

use Direction::{ToClient, ToServer};

fn upgrade(extensions: &str) -> Transaction {
    let mut response = Response::default();
    response.headers.push(KnownHeader::SecWebSocketExtensions, b"Sec-WebSocket-Extensions", extensions.as_bytes());
    Transaction { response: Some(response), ..Transaction::default() }
}

/// Facts and whether a frame was bad, after these bytes of one direction in these pieces.
fn read(extensions: &str, direction: Direction, pieces: &[&[u8]]) -> (WebSocket, bool) {
    let mut transaction = upgrade(extensions);
    let mut reader = WebSocketReader::new(&transaction);
    pieces.iter().for_each(|piece| reader.data(direction, piece));
    assert_eq!(reader.memory_bytes(), 0);
    reader.finish(&mut transaction);
    (transaction.websocket.unwrap(), transaction.anomalies.contains(Anomaly::BadWebSocketFrame))
}

/// As `read`, whole; checks that byte by byte and every cut give the same.
fn read_all_ways(extensions: &str, direction: Direction, bytes: &[u8]) -> (WebSocket, bool) {
    let whole = read(extensions, direction, &[bytes]);
    let singles: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(extensions, direction, &singles), whole, "byte by byte");
    for at in 0..bytes.len() {
        assert_eq!(read(extensions, direction, &[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
    }
    whole
}

/// A frame of RFC 6455; masked with 1 2 3 4 if `mask`. The length in its shortest form.
fn frame(first: u8, mask: bool, payload: &[u8]) -> Vec<u8> {
    let bit = if mask { MASK } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(bit | len as u8),
        len @ 126..=0xffff => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let key = [1, 2, 3, 4];
    if mask {
        bytes.extend(key);
    }
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| if mask { byte ^ key } else { *byte }));
    bytes
}

#[test]
fn examples_of_rfc_6455_section_5_7() {
    // A single-frame masked text message "Hello".
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let (facts, bad) = read_all_ways("", ToServer, &masked);
    assert!(!bad);
    assert_eq!(
        facts,
        WebSocket {
            frames: [1, 0],
            messages: [1, 0],
            text_messages: [1, 0],
            payload_bytes: [5, 0],
            ..WebSocket::default()
        }
    );
    // A fragmented unmasked "Hel" "lo", with a ping of "Hello" between, as servers may.
    let fragments =
        [&[0x01, 0x03, 0x48, 0x65, 0x6c][..], &[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], &[0x80, 0x02, 0x6c, 0x6f]]
            .concat();
    let (facts, bad) = read_all_ways("", ToClient, &fragments);
    assert!(!bad);
    assert_eq!(
        facts,
        WebSocket {
            frames: [0, 3],
            messages: [0, 1],
            text_messages: [0, 1],
            payload_bytes: [0, 5],
            ..WebSocket::default()
        }
    );
    // 256 bytes and 64 KiB in one frame each.
    let large = [frame(0x82, false, &[7; 256]), frame(0x82, false, &[7; 65536])].concat();
    let (facts, bad) = read("", ToClient, &[&large]);
    assert!(!bad);
    assert_eq!((facts.messages[1], facts.payload_bytes[1]), (2, 65792));
}

#[test]
fn close_code_is_unmasked() {
    let (facts, bad) = read_all_ways("", ToServer, &frame(0x88, true, b"\x03\xe9going away"));
    assert_eq!((facts.close_code, bad), (Some(1001), false));
    let (facts, bad) = read_all_ways("", ToClient, &frame(0x88, false, b""));
    assert_eq!((facts.close_code, facts.frames[1], bad), (None, 1, false));
    let (facts, bad) = read_all_ways("", ToClient, &frame(0x88, false, b"\x03\xed"));
    assert_eq!((facts.close_code, bad), (Some(1005), true), "1005 never goes over the wire");
    // The first Close frame counts, whoever sent it.
    let mut transaction = upgrade("");
    let mut reader = WebSocketReader::new(&transaction);
    reader.data(ToClient, &frame(0x88, false, b"\x03\xe8"));
    reader.data(ToServer, &frame(0x88, true, b"\x03\xe9"));
    reader.finish(&mut transaction);
    assert_eq!(transaction.websocket.unwrap().close_code, Some(1000));
}

#[test]
fn extensions() {
    for (value, expected) in [
        ("", (false, false)),
        ("permessage-deflate", (true, false)),
        ("Permessage-Deflate; server_no_context_takeover", (true, false)),
        ("x-other; a=1, permessage-deflate", (true, true)),
        ("permessage-deflated", (false, true)),
    ] {
        let reader = WebSocketReader::new(&upgrade(value));
        assert_eq!((reader.deflate, reader.any_reserved), expected, "{value}");
    }
    assert!(WebSocketReader::new(&Transaction::default()).any_reserved, "the response was not seen");
}

#[test]
fn f059_frames_against_the_standard_are_flagged_and_passed() {
    let long = [0; 126];
    let len_63 = [&[0x82, 127][..], &(1_u64 << 63).to_be_bytes(), b"some"].concat();
    let cases: &[(&str, Direction, Vec<u8>)] = &[
        ("control frame of 126 bytes", ToClient, frame(0x89, false, &long)),
        ("fragmented control", ToClient, frame(0x09, false, b"a")),
        ("close of one byte", ToClient, frame(0x88, false, b"a")),
        ("length 2^63", ToClient, len_63),
        ("no mask from the client", ToServer, frame(0x81, false, b"a")),
        ("mask from the server", ToClient, frame(0x81, true, b"a")),
        ("RSV1 without extension", ToClient, frame(0xc1, false, b"a")),
        ("RSV2", ToClient, frame(0xa1, false, b"a")),
        ("RSV3", ToClient, frame(0x91, false, b"a")),
        ("reserved data opcode", ToClient, frame(0x83, false, b"a")),
        ("reserved control opcode", ToClient, frame(0x8b, false, b"a")),
        ("continuation of nothing", ToClient, frame(0x80, false, b"a")),
        ("message within a message", ToClient, [frame(0x01, false, b"a"), frame(0x81, false, b"b")].concat()),
        ("data after close", ToClient, [frame(0x88, false, b""), frame(0x81, false, b"b")].concat()),
        ("length 5 in two bytes", ToClient, vec![0x82, 126, 0, 5, 1, 2, 3, 4, 5]),
        ("length 5 in eight bytes", ToClient, vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5]),
    ];
    for (name, direction, bytes) in cases {
        let (facts, bad) = read_all_ways("", *direction, bytes);
        assert!(bad, "{name}");
        // Followed by its length all the same: a ping after it is found (but for the length that nothing ends).
        let masked = *direction == ToServer;
        let (after, _) = read_all_ways("", *direction, &[&bytes[..], &frame(0x89, masked, b"x")].concat());
        let more = u64::from(*name != "length 2^63");
        assert_eq!(after.frames.iter().sum::<u64>(), facts.frames.iter().sum::<u64>() + more, "{name}");
    }
}

#[test]
fn f059_endless_fragments_keep_nothing() {
    let mut transaction = upgrade("");
    let mut reader = WebSocketReader::new(&transaction);
    reader.data(ToServer, &frame(0x01, true, b"start"));
    let fragment = frame(0x00, true, b"go on").repeat(1000);
    for _ in 0..1000 {
        reader.data(ToServer, &fragment);
        assert_eq!(reader.memory_bytes(), 0);
    }
    reader.finish(&mut transaction);
    let facts = transaction.websocket.unwrap();
    assert_eq!((facts.frames[0], facts.messages[0], facts.payload_bytes[0]), (1_000_001, 0, 5_000_005));
    assert!(transaction.anomalies.is_empty());
}

#[test]
fn f060_deflate_is_counted_never_inflated() {
    // A compressed message (RSV1 on its first frame only) whose payload would inflate 1,000:1.
    let bomb = [frame(0x41, true, &[0; 60_000]), frame(0x80, true, &[0; 60_000])].concat();
    let (facts, bad) = read("permessage-deflate", ToServer, &[&bomb]);
    assert!(!bad);
    assert!(facts.deflate);
    assert_eq!((facts.frames[0], facts.messages[0], facts.payload_bytes[0]), (2, 1, 120_000));
    // RSV1 on a continuation or a control frame is against RFC 7692 §6.
    for first in [0x40, 0xc9] {
        let bytes = [frame(0x41, true, b"a"), frame(first, true, b"b")].concat();
        assert!(read_all_ways("permessage-deflate", ToServer, &bytes).1, "{first:#x}");
    }
    // A gap inside a payload costs nothing: contexts are never needed.
    let mut transaction = upgrade("permessage-deflate");
    let mut reader = WebSocketReader::new(&transaction);
    reader.data(ToServer, &bomb[..30_000]);
    reader.gap(ToServer, 20_000);
    reader.data(ToServer, &bomb[50_000..]);
    reader.finish(&mut transaction);
    assert_eq!(transaction.websocket, Some(facts));
}

#[test]
fn gaps() {
    let bytes = [frame(0x81, false, b"hello"), frame(0x88, false, b"\x03\xe8bye"), frame(0x89, false, b"")].concat();
    // (from, len, still counting, frames, close code)
    let cases = [
        (2, 5, true, 3, Some(1000)),  // just a payload
        (3, 2, true, 3, Some(1000)),  // part of one
        (9, 2, true, 3, None),        // the close code
        (9, 1, true, 3, None),        // half of it
        (11, 3, true, 3, Some(1000)), // the reason after it
        (2, 6, false, 1, None),       // over the boundary
        (0, 1, false, 0, None),       // at a frame's first byte
        (1, 1, false, 0, None),       // inside a header
    ];
    for (from, len, counting, frames, close_code) in cases {
        let mut transaction = upgrade("");
        let mut reader = WebSocketReader::new(&transaction);
        reader.data(ToClient, &bytes[..from]);
        reader.gap(ToClient, 0);
        reader.gap(ToClient, len as u64);
        reader.data(ToClient, &bytes[from + len..]);
        reader.data(ToServer, &frame(0x81, true, b"other direction"));
        reader.finish(&mut transaction);
        let facts = transaction.websocket.unwrap();
        assert_eq!((facts.partial, facts.frames[1], facts.close_code), (!counting, frames, close_code), "{from}+{len}");
        assert_eq!(facts.frames[0], 1, "the other direction goes on");
        assert!(transaction.anomalies.is_empty(), "{from}+{len}");
    }
}

#[test]
fn trailing_bytes_of_half_a_frame_count_nothing() {
    let whole = frame(0x81, true, b"hello");
    for len in 0..whole.len() {
        let (facts, bad) = read("", ToServer, &[&frame(0x89, true, b"")[..], &whole[..len]]);
        assert_eq!((facts.messages[0], bad), (0, false), "{len}");
        assert_eq!(facts.frames[0], 1 + u64::from(len >= 6), "{len}");
    }
}
