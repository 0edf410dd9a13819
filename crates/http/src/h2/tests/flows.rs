//! What well-behaved peers do.

use super::*;
use crate::message::KnownHeader;
use crate::transaction::{Framing, Upgrade};

#[test]
fn a_request_and_its_answer() {
    let mut script = Script::new();
    script.headers(Direction::ToServer, 1, GET, false);
    script.data(Direction::ToServer, 1, b"hello", false);
    script.data(Direction::ToServer, 1, b" you", true);
    script.headers(Direction::ToClient, 1, OK, false);
    script.data(Direction::ToClient, 1, &[7; 20_000], false);
    script.data(Direction::ToClient, 1, b"", true);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200"]);
    let transaction = &found[0];
    assert_eq!(transaction.request_body.len_bytes, 9);
    assert_eq!(transaction.response_body.len_bytes, 20_000);
    assert!(transaction.request_body.complete && transaction.response_body.complete);
    assert_eq!(transaction.request_body.framing, Framing::Frames);
    // Steps are a second apart; the request's are 6 to 8 (from 1).
    assert_eq!(transaction.request_start, Some(Timestamp::from_parts(6, 0)));
    assert_eq!(transaction.request_end, Some(Timestamp::from_parts(8, 0)));
    assert_eq!(transaction.response_start, Some(Timestamp::from_parts(9, 0)));
    assert_eq!(transaction.response_end, Some(Timestamp::from_parts(11, 0)));
    // Preface, SETTINGS of one value, acknowledgement.
    assert_eq!(transaction.request_offsets.start, 24 + 15 + 9);
    assert!(transaction.anomalies.is_empty(), "{:?}", transaction.anomalies);
    assert_eq!(transaction.coverage, Default::default());
    let headers = &transaction.response.as_ref().unwrap().headers;
    assert_eq!(headers.first(KnownHeader::ContentType), Some(&b"application/json"[..]));
    assert_eq!(headers.fields().len(), 2);
}

#[test]
fn streams_interleave_and_finish_in_their_own_order() {
    let mut script = Script::new();
    for stream in [1, 3, 5] {
        script.request(stream, GET);
    }
    script.headers(Direction::ToClient, 3, OK, false);
    script.response(5, &[(":status", "404")]);
    script.response(1, &[(":status", "204")]);
    script.data(Direction::ToClient, 3, b"x", true);
    let found = script.run();
    assert_eq!(
        lines(&found),
        ["5 GET api.example /users/1 404", "1 GET api.example /users/1 204", "3 GET api.example /users/1 200"]
    );
    assert_eq!(found.iter().map(|transaction| transaction.index).collect::<Vec<_>>(), [2, 0, 1]);
}

#[test]
fn padding_and_priority_are_no_content() {
    let mut script = Script::new();
    let mut payload = vec![3, 0x80, 0, 0, 0, 15]; // pad length, dependency, weight
    payload.extend(script.block(Direction::ToServer, GET));
    payload.extend([0; 3]);
    script.frame(Direction::ToServer, kind::HEADERS, 4 | 8 | 0x20, 1, &payload);
    script.frame(Direction::ToServer, kind::DATA, 8, 1, b"\x04abc\0\0\0\0");
    script.frame(Direction::ToServer, kind::DATA, 8 | 1, 1, b"\x00de");
    script.response(1, OK);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200"]);
    assert_eq!(found[0].request_body.len_bytes, 5);
    assert!(found[0].anomalies.is_empty());
}

#[test]
fn continuation_and_interim_answers_and_trailers() {
    let mut script = Script::new();
    let block = script.block(Direction::ToServer, GET);
    script.frame(Direction::ToServer, kind::HEADERS, 1, 1, &block[..3]);
    script.frame(Direction::ToServer, kind::CONTINUATION, 0, 1, &[]);
    script.frame(Direction::ToServer, kind::CONTINUATION, 0, 1, &block[3..9]);
    script.frame(Direction::ToServer, kind::CONTINUATION, 4, 1, &block[9..]);
    script.headers(Direction::ToClient, 1, &[(":status", "100")], false);
    script.headers(Direction::ToClient, 1, &[(":status", "103"), ("link", "</a>")], false);
    script.headers(Direction::ToClient, 1, OK, false);
    script.data(Direction::ToClient, 1, b"body", false);
    script.headers(Direction::ToClient, 1, &[("x-checksum", "77"), ("host", "h")], true);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200"]);
    assert_eq!(found[0].informational, 2);
    let headers = &found[0].response.as_ref().unwrap().headers;
    let fields: Vec<_> = headers.iter().map(|(field, name, value)| (field.trailer, name, value)).collect();
    assert_eq!(fields[2], (true, &b"x-checksum"[..], &b"77"[..]));
    assert!(!fields[1].0);
    assert_eq!(found[0].anomalies.iter().collect::<Vec<_>>(), [Anomaly::ForbiddenTrailer]);
}

#[test]
fn f057_grpc_status_from_trailers_and_trailers_only() {
    let grpc = [GET, &[("content-type", "application/grpc"), ("te", "trailers")]].concat();
    let mut script = Script::new();
    script.headers(Direction::ToServer, 1, &grpc, false);
    script.data(Direction::ToServer, 1, b"\0\0\0\0\x02hi\0\0\0", false);
    script.data(Direction::ToServer, 1, b"\0\x01x", true);
    script.headers(Direction::ToClient, 1, &[(":status", "200"), ("content-type", "application/grpc")], false);
    script.data(Direction::ToClient, 1, b"\0\0\0\0\x02ok", false);
    script.headers(Direction::ToClient, 1, &[("grpc-status", "5"), ("grpc-message", "no")], true);
    script.headers(Direction::ToServer, 3, &grpc, true);
    script.response(3, &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")]);
    let found = script.run();
    let facts: Vec<_> = found.iter().map(|transaction| transaction.grpc.unwrap()).collect();
    assert_eq!((facts[0].request_messages, facts[0].response_messages, facts[0].status), (2, 1, Some(5)));
    assert_eq!(facts[1].status, Some(12));
    assert!(found.iter().all(|transaction| transaction.anomalies.is_empty()));
}

#[test]
fn f056_push_goaway_and_unknown_frames() {
    let mut script = Script::new();
    script.request(1, GET);
    script.frame(Direction::ToClient, 0xfa, 0xff, 99, b"grease");
    let mut promise = vec![0, 0, 0, 2];
    promise.extend(script.block(Direction::ToClient, GET));
    script.frame(Direction::ToClient, kind::PUSH_PROMISE, 4, 1, &promise);
    script.response(1, OK);
    script.headers(Direction::ToClient, 2, OK, false);
    script.data(Direction::ToClient, 2, b"pushed", true);
    script.frame(Direction::ToClient, kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    script.frame(Direction::ToClient, kind::ALTSVC, 0, 0, b"\0\x01ah2=\":1\"");
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200", "2 GET api.example /users/1 200"]);
    assert_eq!(found.iter().map(|transaction| transaction.pushed).collect::<Vec<_>>(), [false, true]);
    assert_eq!(found[1].response_body.len_bytes, 6);
    assert!(found.iter().all(|transaction| transaction.anomalies.is_empty()));
}

#[test]
fn f056_preface_split_at_every_byte() {
    for cut in 0..=PREFACE.len() {
        let mut script = Script::bare();
        script.raw(Direction::ToServer, &PREFACE[..cut]);
        script.raw(Direction::ToServer, &PREFACE[cut..]);
        script.frame(Direction::ToServer, kind::SETTINGS, 0, 0, &[]);
        script.request(1, GET);
        script.response(1, OK);
        assert_eq!(lines(&script.run()), ["1 GET api.example /users/1 200"], "cut at {cut}");
        let expected =
            if cut == 24 { Recognition::Yes { late: false, from_client: Some(true) } } else { Recognition::More };
        assert_eq!(recognise(&PREFACE[..cut]), expected, "cut at {cut}");
    }
}

#[test]
fn f056_upgraded_from_http1() {
    let mut script = Script::new();
    script.response(1, OK);
    script.request(3, GET);
    script.response(3, OK);
    script.end();
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, false, [0; 2]);
    let mut upgraded = engine.new_transaction();
    upgraded.request = Some(engine.new_request());
    upgraded.upgrade = Some(Upgrade::H2c);
    h2.adopt_upgraded(upgraded);
    for step in &script.steps {
        match step {
            Step::Data(direction, bytes) => h2.handle_data(&mut engine, *direction, Timestamp(9), bytes),
            Step::End(direction, reason) => h2.handle_end(&mut engine, *direction, *reason),
            Step::Gap(..) => {}
        }
    }
    let first = engine.poll_transaction().unwrap();
    assert_eq!((first.index, first.stream_id, first.upgrade), (0, Some(1), Some(Upgrade::H2c)));
    assert_eq!(first.response.as_ref().unwrap().status, 200);
    let second = engine.poll_transaction().unwrap();
    assert_eq!((second.index, second.stream_id, second.upgrade), (1, Some(3), None));
    assert!(engine.poll_transaction().is_none());
}

#[test]
fn f056_extended_connect_and_tunnel() {
    let mut script = Script::new();
    let connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "ws.example"),
    ];
    script.headers(Direction::ToServer, 1, &connect, false);
    script.headers(Direction::ToClient, 1, &[(":status", "200")], false);
    script.data(Direction::ToServer, 1, b"\x81\x82\0\0\0\0hi", false); // a text frame
    script.data(Direction::ToClient, 1, b"\x81\x02yo", false);
    script.data(Direction::ToServer, 1, b"", true);
    script.data(Direction::ToClient, 1, b"", true);
    script.headers(Direction::ToServer, 3, &[(":method", "CONNECT"), (":authority", "db.example:5432")], false);
    script.headers(Direction::ToClient, 3, &[(":status", "200")], false);
    script.data(Direction::ToServer, 3, b"anything", true);
    script.data(Direction::ToClient, 3, b"", true);
    let found = script.run();
    assert_eq!(lines(&found), ["1 CONNECT ws.example /chat 200", "3 CONNECT db.example:5432  200"]);
    assert_eq!(found[0].upgrade, Some(Upgrade::WebSocket));
    assert_eq!(found[0].websocket.unwrap().messages, [1, 1]);
    assert_eq!(found[1].upgrade, Some(Upgrade::Tunnel));
    assert!(found.iter().all(|transaction| transaction.anomalies.is_empty()), "{found:?}");
}

#[test]
fn resets_end_a_stream() {
    let mut script = Script::new();
    script.headers(Direction::ToServer, 1, GET, false);
    script.frame(Direction::ToClient, kind::RST_STREAM, 0, 1, &[0, 0, 0, 7]);
    script.data(Direction::ToServer, 1, b"in flight", true);
    script.request(3, GET);
    script.headers(Direction::ToClient, 3, OK, false);
    script.frame(Direction::ToServer, kind::RST_STREAM, 0, 3, &[0, 0, 0, 8]);
    script.data(Direction::ToClient, 3, b"in flight", true);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 -", "3 GET api.example /users/1 200"]);
    assert_eq!(found.iter().map(|transaction| transaction.reset).collect::<Vec<_>>(), [Some(7), Some(8)]);
    assert!(!found[1].response_body.complete);
}

#[test]
fn the_end_of_the_connection_gives_out_what_is_live() {
    let mut script = Script::new();
    script.request(1, GET);
    script.headers(Direction::ToClient, 1, OK, false);
    script.data(Direction::ToClient, 1, b"half", false);
    script.request(3, GET);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200", "3 GET api.example /users/1 -"]);
    assert!(found[0].anomalies.contains(Anomaly::IncompleteBody));
    assert!(!found[0].response_body.complete);
    assert_eq!(found[0].response_body.len_bytes, 4);
}

#[test]
fn an_answer_may_be_seen_before_its_request() {
    let mut script = Script::new();
    script.response(1, OK);
    script.request(1, GET);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200"]);
}
