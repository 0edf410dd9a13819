#![allow(clippy::unwrap_used)]

use super::*;

fn message(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[flags][..], &(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for at in 0..4 {
            out.push(if at <= group.len() { DIGITS[(bits >> (18 - 6 * at) & 63) as usize] } else { b'=' });
        }
    }
    out
}

/// Messages, status, bad, lost.
type Facts = (u64, Option<u32>, bool, bool);

fn read(kind: GrpcKind, pieces: &[&[u8]]) -> Facts {
    let mut reader = GrpcReader::new(kind);
    for piece in pieces {
        reader.data(piece);
        assert!(reader.memory_bytes() <= 2 * TRAILER_BYTES);
    }
    reader.end();
    (reader.messages, reader.status, reader.is_bad, reader.is_lost)
}

/// As `read`, whole; byte by byte and every cut must give the same.
fn read_all_ways(kind: GrpcKind, bytes: &[u8]) -> Facts {
    let whole = read(kind, &[bytes]);
    let singles: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(kind, &singles), whole, "byte by byte");
    for at in 0..bytes.len() {
        assert_eq!(read(kind, &[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
    }
    whole
}

#[test]
fn content_types() {
    for (value, expected) in [
        ("application/grpc", Some(GrpcKind::Plain)),
        ("Application/gRPC+proto", Some(GrpcKind::Plain)),
        ("application/grpc;charset=utf-8", Some(GrpcKind::Plain)),
        ("application/grpc-web", Some(GrpcKind::Web)),
        ("application/grpc-web+proto", Some(GrpcKind::Web)),
        ("application/grpc-web-text+proto", Some(GrpcKind::WebText)),
        ("application/grpc-web-text", Some(GrpcKind::WebText)),
        ("application/grpcx", None),
        ("application/grpc-other", None),
        ("application/grp", None),
        ("", None),
    ] {
        assert_eq!(GrpcKind::of(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn f057_messages_are_counted_across_any_split() {
    let bytes = [message(0, b"one"), message(1, b"compressed"), message(0, b""), message(0, b"four")].concat();
    assert_eq!(read_all_ways(GrpcKind::Plain, &bytes), (4, None, false, false));
    // Half a message at the end is not one.
    assert_eq!(read_all_ways(GrpcKind::Plain, &bytes[..bytes.len() - 1]), (3, None, true, false));
    assert_eq!(read_all_ways(GrpcKind::Plain, &[&bytes[..], &[0, 0]].concat()), (4, None, true, false));
    assert_eq!(read(GrpcKind::Plain, &[]), (0, None, false, false));
}

#[test]
fn f057_a_length_of_4_gib_allocates_nothing() {
    let mut reader = GrpcReader::new(GrpcKind::Plain);
    reader.data(&[0, 0xff, 0xff, 0xff, 0xff]);
    let piece = vec![0; 1 << 20];
    for _ in 0..4095 {
        reader.data(&piece); // skipped by arithmetic
    }
    assert_eq!((reader.messages, reader.memory_bytes()), (0, 0));
    reader.data(&piece[..piece.len() - 1]);
    assert_eq!(reader.messages, 1);
    reader.data(&message(0, b"next"));
    assert_eq!((reader.messages, reader.is_bad), (2, false));
}

#[test]
fn f057_a_million_empty_messages() {
    let mut reader = GrpcReader::new(GrpcKind::Plain);
    let bytes = message(0, b"").repeat(1000);
    for _ in 0..1000 {
        reader.data(&bytes);
    }
    assert_eq!((reader.messages, reader.memory_bytes()), (1_000_000, 0));
}

#[test]
fn f057_flags_that_cannot_be_stop_the_count() {
    for flags in [2, 0x80, 0xff] {
        let bytes = [message(0, b"one"), message(flags, b"two"), message(0, b"three")].concat();
        assert_eq!(read_all_ways(GrpcKind::Plain, &bytes), (1, None, true, true), "{flags:#x}");
    }
    // Nothing follows the trailers of gRPC-Web.
    let bytes = [message(0x80, b"grpc-status:0\r\n"), message(0, b"late")].concat();
    assert_eq!(read_all_ways(GrpcKind::Web, &bytes), (0, Some(0), true, true));
}

#[test]
fn web_trailers() {
    let body = |trailer: &[u8]| [message(0, b"hello"), message(0x80, trailer)].concat();
    for (trailer, status) in [
        (&b"grpc-status: 0\r\ngrpc-message: ok\r\n"[..], Some(0)),
        (b"grpc-message:not found\r\nGrpc-Status:5\r\n", Some(5)),
        (b"grpc-status:", None),
        (b"grpc-status:-1\r\n", None),
        (b"grpc-status:99999999999\r\n", None),
        (b"", None),
    ] {
        assert_eq!(
            read_all_ways(GrpcKind::Web, &body(trailer)),
            (1, status, false, false),
            "{}",
            trailer.escape_ascii()
        );
    }
    let long = [&b"a:".repeat(TRAILER_BYTES)[..], b"\r\ngrpc-status:1\r\n"].concat();
    assert_eq!(read(GrpcKind::Web, &[&body(&long)]), (1, None, false, false), "past what is kept");
}

#[test]
fn web_text() {
    let frames = [message(0, b"hello"), message(0, b"second"), message(0x80, b"grpc-status:7\r\n")];
    let expected = (2, Some(7), false, false);
    assert_eq!(read_all_ways(GrpcKind::WebText, &base64(&frames.concat())), expected);
    // Servers pad each frame.
    let padded: Vec<u8> = frames.iter().flat_map(|frame| base64(frame)).collect();
    assert_eq!(read_all_ways(GrpcKind::WebText, &padded), expected);
    let (messages, _, bad, lost) = read_all_ways(GrpcKind::WebText, b"AAAA!AAAA");
    assert_eq!((messages, bad, lost), (0, true, true));
    let many = base64(&message(0, b"abc").repeat(3000));
    assert_eq!(read(GrpcKind::WebText, &[&many]), (3000, None, false, false));
}

#[test]
fn gaps() {
    let bytes = [message(0, b"0123456789"), message(0, b"next")].concat();
    // (from, len, messages, lost)
    for (from, len, messages, lost) in [
        (5, 10, 2, false),
        (7, 3, 2, false),
        (14, 1, 2, false),
        (5, 11, 0, true),
        (0, 1, 0, true),
        (3, 1, 0, true),
        (15, 2, 1, true),
    ] {
        let mut reader = GrpcReader::new(GrpcKind::Plain);
        reader.data(&bytes[..from]);
        reader.gap(len as u64);
        reader.data(&bytes[from + len..]);
        assert_eq!((reader.messages, reader.is_lost, reader.is_bad), (messages, lost, false), "{from}+{len}");
    }
    let mut reader = GrpcReader::new(GrpcKind::WebText);
    reader.data(&base64(&bytes)[..9]);
    reader.gap(1);
    assert!(reader.is_lost, "where a group begins is not known any more");
}
