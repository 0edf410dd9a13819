//! Rows F048 to F054: hostile and broken peers.

use super::*;
use crate::h2::hpack::encoder::integer;

fn counted(script: &Script, anomaly: Anomaly) -> u64 {
    script.feed(usize::MAX, false).1.counters.anomalies[anomaly as usize]
}

#[test]
fn f048_hpack_bomb() {
    let mut script = Script::new();
    let bomb = "b".repeat(3900);
    script.request(1, &[GET, &[("x-bomb", &bomb)]].concat());
    script.response(1, OK);
    // 16 KiB of one-byte references to it would be 61 MiB.
    let mut block = script.block(Direction::ToServer, GET);
    block.extend(vec![0xbe; 16_000]);
    block.extend(script.block(Direction::ToServer, &[("x-after", "1")])); // the table stays in step
    script.frame(Direction::ToServer, kind::HEADERS, 5, 3, &block);
    script.response(3, OK);
    script.request(5, &[GET, &[("x-after", "1")]].concat());
    script.response(5, OK);
    let found = script.run();
    assert_eq!(found.len(), 3);
    let request = found[1].request.as_ref().unwrap();
    assert!(found[1].anomalies.contains(Anomaly::HeaderBlockLimit));
    assert!(request.headers.len_bytes() <= 64 * 1024);
    assert_eq!(request.target(), Some(&b"/users/1"[..]));
    let last = found[2].request.as_ref().unwrap();
    assert!(last.headers.iter().any(|(_, name, value)| name == b"x-after" && value == b"1"));
    assert!(found[2].anomalies.is_empty());
}

#[test]
fn f049_malformed_hpack_never_gives_a_wrong_path() {
    for bad in
        [&[0x80][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0x44, 0x81, 0x00], &[0x82, 0x20], &[0x44, 0x85, 1]]
    {
        let mut script = Script::new();
        script.request(1, GET);
        script.response(1, OK);
        script.frame(Direction::ToServer, kind::HEADERS, 5, 3, bad);
        script.response(3, OK);
        script.request(5, GET); // refers to entries that are unknown now
        script.response(5, OK);
        script.request(7, &[(":method", "GET"), (":scheme", "http"), (":path", "/new"), (":authority", "b.example")]);
        script.response(7, OK);
        let found = script.run();
        assert_eq!(lines(&found)[2], "5 GET - - 200");
        assert_eq!(found[2].coverage.unknown_fields, 3);
        assert_eq!(lines(&found)[3], "7 GET b.example /new 200");
        assert!(found[1].anomalies.contains(Anomaly::HpackError));
        assert!(found[1].request.as_ref().unwrap().target().is_none());
    }
}

#[test]
fn f049_huge_table_size_update() {
    let mut script = Script::new();
    let mut block = Vec::new();
    integer(u32::MAX as usize, 5, 0x20, &mut block);
    script.encoders[0].set_max(u32::MAX as usize, &mut Vec::new());
    block.extend(script.block(Direction::ToServer, GET));
    script.frame(Direction::ToServer, kind::HEADERS, 5, 1, &block);
    script.response(1, OK);
    for number in 0..3000u32 {
        let path = format!("/{number}/{}", "p".repeat(40));
        script.request(3 + 2 * number, &[(":method", "GET"), (":scheme", "http"), (":path", &path), GET[3]]);
        script.response(3 + 2 * number, OK);
    }
    // The oldest entry is beyond our table: unknown, not wrong.
    script.request(9001, &[GET[0], GET[1], GET[2], GET[3]]);
    script.end();
    let (found, _) = script.feed(usize::MAX, false);
    assert_eq!(found.len(), 3002);
    for (number, transaction) in found[1..3001].iter().enumerate() {
        let request = transaction.request.as_ref().unwrap();
        assert_eq!(request.target().unwrap(), format!("/{number}/{}", "p".repeat(40)).as_bytes());
        assert!(matches!(request.authority(), None | Some(b"api.example")));
    }
    assert_eq!(line(&found[3001]), "9001 GET - - -");
}

#[test]
fn f050_continuation_flood() {
    for (payload, frames) in [(&b""[..], 100), (&[0x82; 4096], 20), (b"\x82", 65)] {
        let mut script = Script::new();
        script.request(1, GET);
        script.frame(Direction::ToServer, kind::HEADERS, 0, 3, &[0x82]);
        for _ in 0..frames {
            script.frame(Direction::ToServer, kind::CONTINUATION, 0, 3, payload);
        }
        script.request(5, GET);
        let (_, engine) = script.feed(usize::MAX, false);
        assert_eq!(engine.counters.given_up_flows, 1);
        let found = script.run();
        assert_eq!(lines(&found), ["1 GET api.example /users/1 -"]);
        assert!(found[0].anomalies.contains(Anomaly::HeaderBlockLimit));
    }
}

#[test]
fn f050_no_end_headers_and_interleaved_frames() {
    let mut script = Script::new();
    script.request(1, GET);
    let block = script.block(Direction::ToServer, GET);
    script.frame(Direction::ToServer, kind::HEADERS, 1, 3, &block);
    script.frame(Direction::ToServer, kind::PING, 0, 0, &[0; 8]);
    script.frame(Direction::ToServer, kind::CONTINUATION, 4, 3, &[0x82]);
    script.request(5, GET);
    script.response(5, OK);
    assert_eq!(counted(&script, Anomaly::BadFrame), 2);
    let found = script.run();
    assert_eq!(lines(&found), ["5 GET - - 200", "1 GET api.example /users/1 -"]);
}

#[test]
fn f051_a_million_resets_keep_memory_flat() {
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, false, [0; 2]);
    let mut script = Script::new();
    let (server, client) = (Direction::ToServer, Direction::ToClient);
    for step in &script.steps {
        if let Step::Data(direction, bytes) = step {
            h2.handle_data(&mut engine, *direction, Timestamp(1), bytes);
        }
    }
    script.block(server, GET);
    let block = script.block(server, GET);
    let mut first = Script::bare();
    let opening = first.block(server, GET);
    h2.handle_data(&mut engine, server, Timestamp(1), &frame(kind::HEADERS, 5, 1, &opening));
    let mut most = 0;
    for number in 1..200_000u32 {
        let id = 2 * number + 1;
        h2.handle_data(&mut engine, server, Timestamp(1), &frame(kind::HEADERS, 5, id, &block));
        let by = if number % 2 == 0 { server } else { client };
        h2.handle_data(&mut engine, by, Timestamp(1), &frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]));
        let transaction = engine.poll_transaction().unwrap();
        assert_eq!(transaction.reset, Some(8));
        engine.recycle(transaction);
        if number == 100 {
            most = h2.memory_bytes();
        }
    }
    assert_eq!(h2.memory_bytes(), most);
    assert_eq!(h2.streams.len(), 1);
}

#[test]
fn f051_live_streams_are_bounded() {
    let mut script = Script::new();
    for number in 0..5000u32 {
        script.request(2 * number + 1, GET);
    }
    for number in 0..5000u32 {
        script.response(2 * number + 1, OK);
    }
    script.end();
    let (found, _) = script.feed(usize::MAX, false);
    assert_eq!(found.len(), 5000);
    let over = found.iter().filter(|transaction| transaction.anomalies.contains(Anomaly::StreamLimit)).count();
    assert_eq!(over, 5000 - 4096);
    assert_eq!(found.iter().filter(|transaction| transaction.response.is_some()).count(), 4096);
}

#[test]
fn f052_floods_keep_nothing() {
    let mut script = Script::new();
    script.headers(Direction::ToServer, 1, GET, false);
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, false, [0; 2]);
    for step in &script.steps {
        if let Step::Data(direction, bytes) = step {
            h2.handle_data(&mut engine, *direction, Timestamp(1), bytes);
        }
    }
    let flood: Vec<u8> = [
        frame(kind::DATA, 0, 1, b""),
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]),
        frame(kind::PRIORITY, 0, 1_000_001, &[0; 5]),
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(0xee, 0, 5, &[0; 100]),
        frame(kind::RST_STREAM, 0, 77, &[0; 4]),
        frame(kind::GOAWAY, 0, 0, &[0; 8]),
    ]
    .concat();
    let before = h2.memory_bytes();
    for _ in 0..20_000 {
        h2.handle_data(&mut engine, Direction::ToServer, Timestamp(1), &flood);
    }
    assert_eq!(h2.memory_bytes(), before);
    assert_eq!(h2.streams.len(), 1);
    assert!(engine.poll_transaction().is_none());
}

#[test]
fn f053_bad_frames_are_counted_and_passed_over() {
    let (server, client) = (Direction::ToServer, Direction::ToClient);
    let block = |fields| Script::bare().block(server, fields);
    let plain: &[(&str, &str)] = &[GET[0], GET[1]];
    for (name, direction, bytes, bad) in [
        ("DATA on stream 0", server, frame(kind::DATA, 1, 0, b"x"), 1),
        ("DATA on an idle stream", server, frame(kind::DATA, 1, 9, b"x"), 1),
        ("HEADERS on stream 0", server, frame(kind::HEADERS, 5, 0, &block(plain)), 1),
        ("HEADERS on an even stream", server, frame(kind::HEADERS, 5, 4, &block(plain)), 1),
        ("HEADERS on a used stream", server, frame(kind::HEADERS, 5, 1, &block(plain)), 1),
        ("answer on an idle even stream", client, frame(kind::HEADERS, 5, 8, &[0x88]), 1),
        ("HEADERS with too much padding", server, frame(kind::HEADERS, 5 | 8, 5, &[2, 0x82]), 1),
        ("HEADERS too short for priority", server, frame(kind::HEADERS, 5 | 0x20, 5, &[0, 0, 0]), 1),
        ("DATA with too much padding", server, frame(kind::DATA, 8, 3, &[9, 1, 1]), 1),
        ("short PRIORITY", server, frame(kind::PRIORITY, 0, 3, &[0; 4]), 1),
        ("short RST_STREAM", server, frame(kind::RST_STREAM, 0, 3, &[0; 3]), 1),
        ("RST_STREAM on stream 0", server, frame(kind::RST_STREAM, 0, 0, &[0; 4]), 1),
        ("RST_STREAM on an idle stream", server, frame(kind::RST_STREAM, 0, 99, &[0; 4]), 1),
        ("odd SETTINGS", server, frame(kind::SETTINGS, 0, 0, &[0; 5]), 1),
        ("SETTINGS on a stream", server, frame(kind::SETTINGS, 0, 1, &[0; 6]), 1),
        ("PING of 7", server, frame(kind::PING, 0, 0, &[0; 7]), 1),
        ("WINDOW_UPDATE of 5", server, frame(kind::WINDOW_UPDATE, 0, 0, &[0; 5]), 1),
        ("CONTINUATION without a block", client, frame(kind::CONTINUATION, 4, 3, &[0x88]), 1),
        ("PUSH_PROMISE by the client", server, frame(kind::PUSH_PROMISE, 4, 3, &[0, 0, 0, 2, 0x82]), 1),
        ("PUSH_PROMISE of an odd stream", client, frame(kind::PUSH_PROMISE, 4, 3, &[0, 0, 0, 9, 0x82]), 1),
        ("short PUSH_PROMISE", client, frame(kind::PUSH_PROMISE, 4, 3, &[0, 0, 2]), 1),
    ] {
        let mut script = Script::new();
        script.request(1, plain_request());
        script.response(1, &[(":status", "204")]);
        script.headers(server, 3, plain_request(), false);
        script.raw(direction, &bytes);
        script.data(server, 3, b"", true);
        script.response(3, &[(":status", "404")]);
        assert_eq!(counted(&script, Anomaly::BadFrame), bad, "{name}");
        let found = script.run();
        assert_eq!(lines(&found), ["1 GET - / 204", "3 GET - / 404"], "{name}");
    }
}

/// Refers to the static table only.
fn plain_request() -> &'static [(&'static str, &'static str)] {
    &[(":method", "GET"), (":scheme", "http"), (":path", "/")]
}

#[test]
fn f053_longest_length_is_passed_over_without_a_buffer() {
    for (kind, flags) in [(kind::DATA, 0), (kind::HEADERS, 5), (kind::SETTINGS, 0), (0x42, 0)] {
        let mut engine = Engine::new(Config::default());
        let mut h2 = H2::new(&mut engine, false, [0; 2]);
        let mut script = Script::new();
        script.request(1, GET);
        for step in &script.steps {
            if let Step::Data(direction, bytes) = step {
                h2.handle_data(&mut engine, *direction, Timestamp(1), bytes);
            }
        }
        let before = h2.memory_bytes();
        h2.handle_data(&mut engine, Direction::ToServer, Timestamp(1), &[0xff, 0xff, 0xff, kind, flags, 0, 0, 0, 3]);
        for _ in 0..1 << 12 {
            h2.handle_data(&mut engine, Direction::ToServer, Timestamp(1), &[0x82; 1 << 12][..(1 << 12) - 1]);
        }
        assert!(h2.memory_bytes() < before + 4096, "{kind}");
        // (2^24 - 1) - 2^12 * (2^12 - 1)
        h2.handle_data(&mut engine, Direction::ToServer, Timestamp(1), &[0; 4095]);
        let mut script = Script::bare();
        script.request(5, plain_request());
        if let Some(Step::Data(direction, bytes)) = script.steps.first() {
            h2.handle_data(&mut engine, *direction, Timestamp(1), bytes);
        }
        h2.handle_end(&mut engine, Direction::ToServer, EndReason::Reset);
        let mut found = Vec::new();
        while let Some(transaction) = engine.poll_transaction() {
            found.push(line(&transaction));
        }
        assert!(found.contains(&"5 GET - / -".to_owned()), "{kind}: {found:?}");
    }
}

#[test]
fn f053_highest_stream_ids() {
    let mut script = Script::new();
    script.request(0x7fff_fffd, plain_request());
    script.request(0x7fff_ffff, plain_request());
    script.request(1, plain_request());
    script.response(0x7fff_ffff, OK);
    script.response(0x7fff_fffd, OK);
    assert_eq!(lines(&script.run()), ["2147483647 GET - / 200", "2147483645 GET - / 200"]);
}

#[test]
fn f054_pseudo_headers() {
    let method = (":method", "GET");
    let scheme = (":scheme", "http");
    let path = (":path", "/a");
    let authority = (":authority", "a.example");
    for (fields, anomalies, expected) in [
        (vec![method, scheme, path, authority], vec![], "1 GET a.example /a 200"),
        (vec![method, scheme, path, (":path", "/b")], vec![Anomaly::BadPseudoHeader], "1 GET - /a 200"),
        (vec![method, scheme, ("x", "y"), path], vec![Anomaly::BadPseudoHeader], "1 GET - /a 200"),
        (vec![method, scheme], vec![Anomaly::BadPseudoHeader], "1 GET - - 200"),
        (vec![scheme, path], vec![Anomaly::BadPseudoHeader], "1 - - /a 200"),
        (vec![method, scheme, (":path", "")], vec![Anomaly::BadPseudoHeader], "1 GET -  200"),
        (vec![method, scheme, (":path", "a b")], vec![Anomaly::BadPseudoHeader], "1 GET - a b 200"),
        (vec![method, scheme, path, (":status", "200")], vec![Anomaly::BadPseudoHeader], "1 GET - /a 200"),
        (vec![method, scheme, path, (":odd", "1")], vec![Anomaly::BadPseudoHeader], "1 GET - /a 200"),
        (vec![method, scheme, (":path", "/a\r\nx: y\0")], vec![Anomaly::ControlByte], "1 GET - /a  x: y  200"),
        (vec![method, scheme, path, authority, ("x", "a\nb")], vec![Anomaly::ControlByte], "1 GET a.example /a 200"),
        (vec![method, scheme, path, authority, ("x\r", "b")], vec![Anomaly::ControlByte], "1 GET a.example /a 200"),
        (vec![method, scheme, path, authority, ("X-Up", "b")], vec![Anomaly::UpperCaseName], "1 GET a.example /a 200"),
        (vec![method, scheme, path, authority, ("", "b")], vec![Anomaly::BadHeaderLine], "1 GET a.example /a 200"),
        (vec![method, scheme, path, authority, ("a b", "c")], vec![Anomaly::BadHeaderLine], "1 GET a.example /a 200"),
        (
            vec![method, scheme, path, authority, ("host", "b.example")],
            vec![Anomaly::HostConflict],
            "1 GET a.example /a 200",
        ),
        (vec![method, scheme, path, authority, ("host", "A.example")], vec![], "1 GET a.example /a 200"),
        (vec![method, scheme, path, ("host", "b.example")], vec![], "1 GET b.example /a 200"),
        (vec![method, scheme, path, (":authority", "u@h/")], vec![Anomaly::BadHost], "1 GET u@h/ /a 200"),
        (
            vec![method, scheme, path, authority, ("transfer-encoding", "chunked")],
            vec![Anomaly::BadTransferEncoding],
            "1 GET a.example /a 200",
        ),
        (
            vec![method, scheme, path, authority, ("content-length", "5")],
            vec![Anomaly::BadContentLength],
            "1 GET a.example /a 200",
        ),
        (vec![(":method", "OPTIONS"), scheme, (":path", "*"), authority], vec![], "1 OPTIONS a.example * 200"),
        (vec![(":method", "CONNECT"), authority, path], vec![Anomaly::BadPseudoHeader], "1 CONNECT a.example /a 200"),
    ] {
        let mut script = Script::new();
        script.request(1, &fields);
        script.response(1, &[(":status", "200")]);
        // Through the table the second time.
        script.request(3, &fields);
        script.response(3, &[(":status", "200")]);
        let found = script.run();
        for transaction in &found {
            assert_eq!(line(transaction)[2..], expected[2..], "{fields:?}");
            assert_eq!(transaction.anomalies.iter().collect::<Vec<_>>(), anomalies, "{fields:?}");
            let headers = &transaction.request.as_ref().unwrap().headers;
            assert!(headers.iter().all(|(_, name, value)| {
                ![name, value].iter().any(|text| text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
            }));
        }
    }
    for status in ["", "20", "2000", "abc", "099"] {
        let mut script = Script::new();
        script.request(1, plain_request());
        script.response(1, &[(":status", status)]);
        let found = script.run();
        assert_eq!(lines(&found), ["1 GET - / 0"], "{status}");
        assert!(found[0].anomalies.contains(Anomaly::BadPseudoHeader));
    }
}

#[test]
fn long_methods_and_targets_are_cut_and_flagged() {
    let (method, path) = ("M".repeat(100), format!("/{}", "p".repeat(9000)));
    let mut script = Script::new();
    script.request(1, &[(":method", &method), (":scheme", "http"), (":path", &path)]);
    let found = script.run();
    let request = found[0].request.as_ref().unwrap();
    assert_eq!((request.method().len(), request.target().unwrap().len()), (32, 8192));
    assert!(found[0].anomalies.contains(Anomaly::LongMethod) && found[0].anomalies.contains(Anomaly::TargetLimit));
}
