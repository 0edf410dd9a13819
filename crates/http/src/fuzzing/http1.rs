//! HTTP/1 and the whole connection: the same transactions for any split of the same conversation.

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use crate::connection::{Connection, Protocol};
use crate::engine::{Config, Engine};

/// Ends a record of the input.
const RECORD_END: u8 = 0x1e;

/// One step of a conversation.
enum Step<'a> {
    Data(Direction, &'a [u8]),
    Gap(Direction, u64),
    Conflict(Direction),
    End(Direction, EndReason),
    Wait,
}

/// The first byte of a record says what it is; text records begin with `C` or `S`.
fn step(record: &[u8]) -> Option<Step<'_>> {
    let (kind, rest) = record.split_first()?;
    let len = u64::from(rest.first().copied().unwrap_or(1)).saturating_mul(3);
    Some(match kind {
        b'C' => Step::Data(Direction::ToServer, rest),
        b'S' => Step::Data(Direction::ToClient, rest),
        b'g' => Step::Gap(Direction::ToServer, len),
        b'h' => Step::Gap(Direction::ToClient, len),
        b'x' => Step::Conflict(Direction::ToServer),
        b'y' => Step::Conflict(Direction::ToClient),
        b'e' => Step::End(Direction::ToServer, EndReason::Fin),
        b'f' => Step::End(Direction::ToClient, EndReason::Reset),
        b'w' => Step::Wait,
        _ => Step::Data(Direction::ToServer, record),
    })
}

/// HTTP/1 after an exchange that settles the protocol.
pub fn http1(data: &[u8]) {
    let prelude = b"CGET / HTTP/1.1\r\nHost: a\r\n\r\n\x1eSHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx\x1e";
    check(data, prelude);
}

/// Any conversation, from its first byte.
pub fn connection(data: &[u8]) {
    check(data, b"");
}

/// The input: flags, a seed for the split, records.
fn check(data: &[u8], prelude: &[u8]) {
    let Some((head, records)) = data.split_first_chunk::<3>() else { return };
    let mid_stream = head[0] & 1 == 1 && prelude.is_empty();
    let small = head[0] & 2 == 2;
    let stream = [prelude, records].concat();
    let whole = run(&stream, mid_stream, small, None);
    let seed = u64::from(u16::from_be_bytes([head[1], head[2]]));
    let split = run(&stream, mid_stream, small, Some(seed));
    // HTTP/2 has a target of its own.
    if whole.0 != Protocol::Http2 && split.0 != Protocol::Http2 {
        assert_eq!(whole, split, "the same transactions for any split");
    }
}

fn run(stream: &[u8], mid_stream: bool, small: bool, seed: Option<u64>) -> (Protocol, Vec<String>) {
    let mut config = Config::default();
    if small {
        // So that short inputs reach the limits.
        (config.head_bytes, config.fields, config.target_bytes, config.pending) = (256, 8, 64, 4);
    }
    let bound = config.pending * 4096 + config.head_bytes * 8 + 256 * 1024;
    let mut engine = Engine::new(config);
    let mut connection = Connection::new(mid_stream);
    let mut time = Timestamp(1);
    let mut state = seed.unwrap_or_default();
    for step in stream.split(|byte| *byte == RECORD_END).filter_map(step) {
        time.0 += 1_000_000;
        match step {
            Step::Data(direction, mut bytes) => {
                while !bytes.is_empty() {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let len = if seed.is_some() { (state >> 33) as usize % 9 + 1 } else { bytes.len() };
                    let (piece, rest) = bytes.split_at(len.min(bytes.len()));
                    connection.handle_data(&mut engine, direction, time, piece);
                    bytes = rest;
                }
            }
            Step::Gap(direction, len) => connection.handle_gap(&mut engine, direction, time, len, len % 2 == 1),
            Step::Conflict(direction) => connection.handle_conflict(direction),
            Step::End(direction, reason) => connection.handle_end(&mut engine, direction, time, reason),
            Step::Wait => time.0 += 6_000_000_000,
        }
        assert!(connection.memory_bytes() <= bound, "{} bytes", connection.memory_bytes());
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        connection.handle_end(&mut engine, direction, time, EndReason::Fin);
    }
    let mut seen = Vec::new();
    while let Some(transaction) = engine.poll_transaction() {
        assert!(transaction.request.is_some() || transaction.response.is_some());
        assert!(transaction.request_offsets.start <= transaction.request_offsets.end);
        seen.push(format!("{transaction:?}"));
        engine.recycle(transaction);
    }
    assert_eq!(seen.len() as u64, engine.counters.transactions);
    (connection.protocol(), seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of conversations, to be strung together.
    const PARTS: &[&[u8]] = &[
        b"CGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CGET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /c HTTP/1.1\r\n\r\n",
        b"CPOST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nHTTP/1.1 ",
        b"CPOST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nA: b\r\n\r\n",
        b"CPOST /f HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /g HTTP/1.1\r\n",
        b"CPUT /h HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n",
        b"CHEAD /i HTTP/1.1\nHost: a\nX: y\n z\n\n",
        b"CCONNECT a:1 HTTP/1.1\r\n\r\n",
        b"CGET /j HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"CGET /k\r\n",
        b"Cgarbage\r\n\x00\x01",
        b"CGE",
        b"CT /l HTTP/1.1\r\nHos",
        b"Ct: a\r\n\r\n",
        b"C\x81\x80abcd",
        b"SHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"SHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"SHTTP/1.1 100 Continue\r\n\r\n",
        b"SHTTP/1.1 101 Switch\r\nUpgrade: websocket\r\n\r\n",
        b"SHTTP/1.1 200 OK\r\n\r\n",
        b"SHTTP/1.0 204 No\r\n\r\nHTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
        b"SHTTP/1.1 4",
        b"S04 X\r\nContent-Length: 1\r\n\r\nx",
        b"Stext\r\n",
        b"g\x05",
        b"h\x05",
        b"x",
        b"y",
        b"w",
        b"e",
        b"f",
    ];

    #[test]
    fn any_split_gives_the_same_transactions() {
        let mut state = 7u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let mut data = vec![random(4) as u8, random(256) as u8, random(256) as u8];
            for _ in 0..=random(8) {
                // Ends of a direction come last.
                data.extend_from_slice(PARTS[random(PARTS.len() - 2)]);
                data.push(RECORD_END);
            }
            let caught = std::panic::catch_unwind(|| if data[1] % 2 == 0 { http1(&data) } else { connection(&data) });
            assert!(caught.is_ok(), "{}", data.escape_ascii());
        }
    }
}
