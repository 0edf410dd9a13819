//! Body readers: content codings, WebSocket, gRPC and events.

use umbra_flow::Direction;

use crate::body::BodyReader;
use crate::engine::{Config, Engine};
use crate::message::{HeaderBlock, KnownHeader, Response};
use crate::transaction::{Transaction, WebSocket};
use crate::ws::WebSocketReader;

/// Reads a response body in pieces of `split` bytes as the protocols do; `gap`: where, and how many bytes are missing.
fn read(
    engine: &mut Engine,
    headers: &HeaderBlock,
    bytes: &[u8],
    split: usize,
    gap: Option<(usize, usize)>,
) -> Transaction {
    let mut reader = BodyReader::default();
    let mut transaction = Transaction::default();
    reader.start(engine, headers, false, true);
    let mut feed = |reader: &mut BodyReader, bytes: &[u8]| {
        for piece in bytes.chunks(split.max(1)) {
            let wanted = reader.wants_bytes();
            if wanted {
                reader.data(engine, piece);
            } else {
                reader.skip(piece.len() as u64);
            }
            assert!(wanted || !reader.wants_bytes(), "never wanted again");
            assert!(reader.memory_bytes() < 32 << 20);
        }
    };
    match gap {
        Some((from, len)) => {
            feed(&mut reader, &bytes[..from]);
            reader.gap(len as u64);
            feed(&mut reader, &bytes[from + len..]);
        }
        None => feed(&mut reader, bytes),
    }
    reader.finish(engine, true, &mut transaction, false);
    let body = &transaction.response_body;
    assert_eq!(body.len_bytes, bytes.len() as u64);
    assert!(body.sample.as_ref().is_some_and(|sample| sample.len() <= engine.config.sample_bytes));
    transaction
}

fn same(one: &Transaction, other: &Transaction) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

/// A place and a length within `len` bytes, by two bytes of the input.
fn hole(len: usize, from: u8, size: u8) -> (usize, usize) {
    let from = len * usize::from(from) / 256;
    (from, (len - from).min(usize::from(size)))
}

fn headers(content_type: &str, coding: &str) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    headers.push(KnownHeader::ContentType, b"content-type", content_type.as_bytes());
    headers.push(KnownHeader::ContentEncoding, b"content-encoding", coding.as_bytes());
    headers
}

/// `coding (1) | split (1) | gap from (1) | gap length (1) | body`.
pub fn content(data: &[u8]) {
    let Some(([coding, split, from, len], bytes)) = data.split_first_chunk::<4>() else { return };
    let codings = ["gzip", "deflate", "br", "zstd", "gzip, gzip", "deflate, gzip", "br, gzip", "zstd, br"];
    let headers = headers("text/event-stream", codings[usize::from(*coding) % codings.len()]);
    // Small limits are reached by small inputs.
    let mut engine = Engine::new(Config { sample_bytes: 4096, decoded_bytes: 64 * 1024, ..Config::default() });
    let whole = read(&mut engine, &headers, bytes, usize::MAX, None);
    same(&whole, &read(&mut engine, &headers, bytes, usize::from(*split), None));

    let (from, len) = hole(bytes.len(), *from, *len);
    let gapped = read(&mut engine, &headers, bytes, usize::MAX, Some((from, len)));
    // What came before the gap is a prefix. A br decoder that meets an error forgets what its last block had made, so there a
    // stream that stopped before the error may give more.
    let [whole, gapped] = [whole, gapped].map(|transaction| transaction.response_body.sample.unwrap_or_default());
    assert!(whole.starts_with(&gapped) || gapped.starts_with(&whole));
}

/// `kind (1) | split (1) | gap from (1) | gap length (1) | body`.
pub fn grpc_sse(data: &[u8]) {
    let Some(([kind, split, from, len], bytes)) = data.split_first_chunk::<4>() else { return };
    let kinds = ["application/grpc", "application/grpc-web", "application/grpc-web-text", "text/event-stream"];
    let headers = headers(kinds[usize::from(*kind) % kinds.len()], "");
    let mut engine = Engine::default();
    let whole = read(&mut engine, &headers, bytes, usize::MAX, None);
    same(&whole, &read(&mut engine, &headers, bytes, usize::from(*split), None));

    let gap = hole(bytes.len(), *from, *len);
    let gapped = read(&mut engine, &headers, bytes, usize::from(*split), Some(gap));
    if let (Some(whole), Some(gapped)) = (whole.grpc, gapped.grpc) {
        assert!(whole.response_messages <= bytes.len() as u64 / 5);
        // Bytes of a message do not matter; whatever else was lost is said.
        assert!(gapped.partial || gapped.response_messages == whole.response_messages);
        assert!(gapped.response_messages <= whole.response_messages);
    }
    assert!(gapped.sse_events.unwrap_or_default() <= bytes.len() as u64 / 2);
}

/// `flags (1) | split (1) | gap from (1) | gap length (1) | bytes of one direction`.
pub fn websocket(data: &[u8]) {
    let Some(([flags, split, from, len], bytes)) = data.split_first_chunk::<4>() else { return };
    let direction = if flags & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
    let mut response = Response::default();
    let extensions = ["", "permessage-deflate", "other"][usize::from(flags >> 1) % 3];
    response.headers.push(KnownHeader::SecWebSocketExtensions, b"sec-websocket-extensions", extensions.as_bytes());
    let opened = Transaction { response: Some(response), ..Transaction::default() };

    let read = |split: usize, gap: Option<(usize, usize)>| {
        let mut transaction = opened.clone();
        let mut reader = WebSocketReader::new(&transaction);
        let feed = |reader: &mut WebSocketReader, bytes: &[u8]| {
            bytes.chunks(split.max(1)).for_each(|piece| reader.data(direction, piece));
        };
        match gap {
            Some((from, len)) => {
                feed(&mut reader, &bytes[..from]);
                reader.gap(direction, len as u64);
                feed(&mut reader, &bytes[from + len..]);
            }
            None => feed(&mut reader, bytes),
        }
        reader.finish(&mut transaction);
        transaction
    };
    let whole = read(usize::MAX, None);
    same(&whole, &read(usize::from(*split), None));
    let gapped = read(usize::from(*split), Some(hole(bytes.len(), *from, *len)));
    let (Some(whole), Some(gapped)) = (whole.websocket, gapped.websocket) else { panic!("facts are always filled") };
    assert!(whole.frames[0] + whole.frames[1] <= bytes.len() as u64 / 2);
    if !gapped.partial {
        assert_eq!(
            WebSocket { close_code: whole.close_code, ..gapped },
            whole,
            "a gap in a payload hides its bytes only"
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    /// Calls `target` with seeds, damaged in a few places.
    fn damage(seeds: &[Vec<u8>], rounds: usize, target: impl Fn(&[u8])) {
        let mut state = 0x1234_5678_9abc_def1_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as usize % below
        };
        for round in 0..rounds {
            let mut bytes: Vec<u8> = (0..4).map(|_| random(256) as u8).collect();
            for _ in 0..=random(3) {
                bytes.extend_from_slice(&seeds[random(seeds.len())]);
            }
            for _ in 0..random(4) * (round % 4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            let len = bytes.len() - if round % 3 == 0 { random(bytes.len()) } else { 0 };
            target(&bytes[..len]);
        }
    }

    #[test]
    fn content_of_damaged_streams() {
        let text: Vec<u8> = (0..2000_u32).flat_map(|number| format!("data: {number}\n\n").into_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&text).unwrap();
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        damage(&[gzip, zlib.finish().unwrap(), zstd], 300, super::content);
    }

    #[test]
    fn grpc_and_events_of_damaged_streams() {
        let seeds = [
            &[0, 0, 0, 0, 5, 1, 2, 3, 4, 5][..],
            &[0x80, 0, 0, 0, 14, b'g', b'r', b'p', b'c', b'-', b's', b't', b'a', b't', b'u', b's', b':', b'5', b'\n'],
            b"AAAAAAUBAgMEBQ==",
            b"data: x\r\n\r\n",
            b":\n\n\xef\xbb\xbf",
        ];
        damage(&seeds.map(<[u8]>::to_vec), 5000, super::grpc_sse);
    }

    #[test]
    fn websocket_of_damaged_streams() {
        let seeds = [
            &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58][..],
            &[0x01, 0x03, 0x48, 0x65, 0x6c],
            &[0x80, 0x02, 0x6c, 0x6f],
            &[0x88, 0x82, 1, 2, 3, 4, 2, 0xea],
            &[0x82, 0x7e, 0x00, 0x02, 1, 2],
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 9],
        ];
        damage(&seeds.map(<[u8]>::to_vec), 5000, super::websocket);
    }
}
