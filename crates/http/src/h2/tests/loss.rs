//! Late joins and gaps (F055), and recognition without the preface (F056).

use super::*;

/// Requests with a path each, and their answers; pieces by direction.
fn conversation(requests: u32) -> Script {
    let mut script = Script::new();
    for number in 0..requests {
        let id = 2 * number + 1;
        let path = format!("/items/{}", number % 7);
        let query = format!("v{number}");
        script.headers(
            Direction::ToServer,
            id,
            &[(":method", "GET"), (":scheme", "http"), (":path", &path), GET[3], ("x-number", &query)],
            !number.is_multiple_of(3),
        );
        if number.is_multiple_of(3) {
            script.data(Direction::ToServer, id, &[b'a'; 300], true);
        }
        let etag = format!("e{}", number % 5);
        script.headers(
            Direction::ToClient,
            id,
            &[
                (":status", if number.is_multiple_of(4) { "404" } else { "200" }),
                ("etag", &etag),
                ("x-answers", &query),
            ],
            false,
        );
        script.data(Direction::ToClient, id, &[b'z'; 500], true);
    }
    script
}

/// What is known is what was sent.
fn assert_right(transaction: &Transaction) {
    let number = (transaction.stream_id.unwrap() - 1) / 2;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if let Some(request) = &transaction.request {
        let unknown = transaction.coverage.unknown_fields > 0;
        assert!(request.method() == b"GET" || (request.method().is_empty() && unknown));
        match request.target() {
            Some(target) => assert_eq!(text(target), format!("/items/{}", number % 7)),
            None => assert!(unknown, "{transaction:?}"),
        }
        assert!(request.authority().is_none_or(|authority| authority == b"api.example"));
        for (field, name, value) in request.headers.iter() {
            assert!(field.unknown || (name == b"x-number" && text(value) == format!("v{number}")));
        }
    }
    if let Some(response) = &transaction.response {
        assert!(response.status == 0 || response.status == if number.is_multiple_of(4) { 404 } else { 200 });
        for (field, name, value) in response.headers.iter() {
            let right = match name {
                b"etag" => text(value) == format!("e{}", number % 5),
                b"x-answers" => text(value) == format!("v{number}"),
                _ => false,
            };
            assert!(field.unknown || right, "{} = {} of {number}", text(name), text(value));
        }
    }
}

#[test]
fn f055_join_at_every_frame() {
    let whole = conversation(40);
    for from in 0..whole.steps.len() {
        let script = Script { steps: whole.steps[from..].to_vec(), encoders: [Encoder::new(), Encoder::new()] };
        let rest_requests = script
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Data(Direction::ToServer, bytes) if bytes.get(3) == Some(&1)))
            .count();
        let found = script.run_late();
        assert!(found.iter().all(|transaction| transaction.coverage.mid_stream || from < 1));
        found.iter().for_each(assert_right);
        let with_request = found.iter().filter(|transaction| transaction.request.is_some()).count();
        // Two frames are needed to be sure of frames.
        assert!(with_request + 2 >= rest_requests, "{from}: {with_request} of {rest_requests}");
    }
}

#[test]
fn f055_join_in_the_middle_of_a_frame() {
    let whole = conversation(30);
    let join = |direction: Direction| -> Vec<u8> {
        let pieces = whole.steps.iter().filter_map(|step| match step {
            Step::Data(of, bytes) if *of == direction => Some(&bytes[..]),
            _ => None,
        });
        pieces.collect::<Vec<_>>().concat()
    };
    let (client, server) = (join(Direction::ToServer), join(Direction::ToClient));
    for cut in (0..client.len()).step_by(13) {
        let mut script = Script::bare();
        script.raw(Direction::ToServer, &client[cut..]);
        script.raw(Direction::ToClient, &server[(cut * server.len() / client.len())..]);
        let found = script.run_late();
        found.iter().for_each(assert_right);
        if cut < client.len() / 2 {
            assert!(found.iter().filter(|transaction| transaction.response.is_some()).count() >= 10, "{cut}");
        }
    }
}

#[test]
fn f055_gap_in_hpack_state() {
    let whole = conversation(30);
    for lost in (5..whole.steps.len()).step_by(2) {
        let Step::Data(direction, bytes) = &whole.steps[lost] else { continue };
        // The whole frame, or from its middle to its end, or some of its middle.
        for (from, to) in
            [(0, bytes.len()), (bytes.len() / 2, bytes.len()), (bytes.len() / 3, bytes.len() / 2), (4, 12)]
        {
            let mut script = Script { steps: whole.steps.clone(), encoders: [Encoder::new(), Encoder::new()] };
            script.steps.splice(
                lost..=lost,
                [
                    Step::Data(*direction, bytes[..from].to_vec()),
                    Step::Gap(*direction, (to - from) as u64),
                    Step::Data(*direction, bytes[to..].to_vec()),
                ],
            );
            let found = script.run();
            found.iter().for_each(assert_right);
            assert!(found.len() >= 28, "{} with a gap in {lost}", found.len());
            let paired = |transaction: &&Transaction| transaction.request.is_some() && transaction.response.is_some();
            assert!(found.iter().filter(paired).count() >= 27, "with a gap in {lost} from {from} to {to}");
        }
    }
}

#[test]
fn f055_gap_in_data_keeps_everything() {
    let mut script = Script::new();
    script.headers(Direction::ToServer, 1, GET, false);
    let data = frame(kind::DATA, 1, 1, &[b'x'; 1000]);
    script.raw(Direction::ToServer, &data[..100]);
    script.gap(Direction::ToServer, 600);
    script.raw(Direction::ToServer, &data[700..]);
    script.response(1, OK);
    script.request(3, GET);
    script.response(3, OK);
    let found = script.run();
    assert_eq!(lines(&found), ["1 GET api.example /users/1 200", "3 GET api.example /users/1 200"]);
    assert_eq!((found[0].request_body.len_bytes, found[0].request_body.missing_bytes), (1000, 600));
    assert_eq!(found[0].coverage.gap_bytes, 600);
    assert_eq!(found[1].coverage, Default::default());
}

#[test]
fn f055_a_request_whose_head_was_cut_is_counted_timed_and_paired() {
    let mut script = Script::new();
    let block = script.block(Direction::ToServer, GET);
    let head = frame(kind::HEADERS, 5, 1, &block);
    script.raw(Direction::ToServer, &head[..12]);
    script.gap(Direction::ToServer, head.len() as u64 - 12);
    script.response(1, OK);
    let found = script.run();
    assert_eq!(lines(&found), ["1 - - - 200"]);
    assert_eq!(found[0].coverage.gap_bytes, head.len() as u64 - 12);
    assert!(found[0].request_start.is_some() && found[0].response_end.is_some());
}

#[test]
fn f055_unknown_means_unknown_and_is_counted() {
    let mut script = Script::new();
    script.request(1, GET);
    script.response(1, OK);
    script.steps.clear(); // joined after this
    script.request(3, GET);
    script.response(3, OK);
    script.request(5, &[GET[0], GET[1], (":path", "/new"), GET[3]]);
    script.response(5, OK);
    script.request(7, &[GET[0], GET[1], (":path", "/new"), GET[3]]);
    script.response(7, OK);
    let found = script.run_late();
    assert_eq!(lines(&found), ["3 GET - - 200", "5 GET - /new 200", "7 GET - /new 200"]);
    // path, authority, user-agent; content-type, server
    assert_eq!(found.iter().map(|transaction| transaction.coverage.unknown_fields).collect::<Vec<_>>(), [5, 3, 3]);
    assert!(found.iter().all(|transaction| transaction.anomalies.is_empty()));
}

#[test]
fn conflicts_taint_and_forget() {
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, false, [0; 2]);
    let mut script = Script::new();
    script.request(1, GET);
    for step in &script.steps {
        if let Step::Data(direction, bytes) = step {
            h2.handle_data(&mut engine, *direction, Timestamp(1), bytes);
        }
    }
    h2.handle_conflict(Direction::ToClient);
    h2.handle_end(&mut engine, Direction::ToClient, EndReason::Fin);
    let transaction = engine.poll_transaction().unwrap();
    assert!(transaction.coverage.tainted && transaction.anomalies.contains(Anomaly::SegmentConflict));
}

#[test]
fn roles_that_were_taken_the_wrong_way_are_put_right() {
    let whole = conversation(20);
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, true, [0; 2]);
    for step in &whole.steps[12..] {
        if let Step::Data(direction, bytes) = step {
            h2.handle_data(&mut engine, direction.opposite(), Timestamp(1), bytes);
        }
    }
    assert!(h2.roles_swapped());
    let mut paired = 0;
    while let Some(transaction) = engine.poll_transaction() {
        assert_right(&transaction);
        paired += usize::from(transaction.request.is_some() && transaction.response.is_some());
    }
    assert!(paired >= 15, "{paired}");
}

#[test]
fn f056_recognised_without_preface() {
    let whole = conversation(20);
    for direction in [Direction::ToServer, Direction::ToClient] {
        let pieces: Vec<&Vec<u8>> = whole
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Data(of, bytes) if *of == direction => Some(bytes),
                _ => None,
            })
            .collect();
        for from in 1..pieces.len() - 4 {
            let rest = pieces[from..].iter().flat_map(|bytes| bytes.iter().copied()).collect::<Vec<u8>>();
            let Recognition::Yes { from_client, .. } = recognise(&rest) else {
                panic!("{direction:?} from {from}");
            };
            assert!(from_client.is_none_or(|from_client| from_client == (direction == Direction::ToServer)));
            // And in the middle of a frame.
            assert!(matches!(recognise(&rest[5..]), Recognition::Yes { late: true, .. }), "{direction:?} from {from}");
            for cut in 0..60 {
                assert_ne!(recognise(&rest[..cut]), Recognition::No, "{direction:?} from {from} cut at {cut}");
            }
        }
    }
}

#[test]
fn f056_what_is_not_http2_is_not_recognised() {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for sparse in [false, true] {
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..4096)
                .map(|_| {
                    let byte = random();
                    // Binary protocols are full of zeros and small numbers.
                    if sparse && byte < 200 { byte & 3 } else { byte }
                })
                .collect();
            assert!(!matches!(recognise(&bytes), Recognition::Yes { .. }));
        }
    }
    for text in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"PRIVMSG #a :hello\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9\r\n",
    ] {
        assert_eq!(recognise(text), Recognition::No, "{}", String::from_utf8_lossy(text));
    }
    for fill in 0..=255u8 {
        assert!(!matches!(recognise(&[fill; 5000]), Recognition::Yes { .. }), "{fill}");
    }
}

/// Whether a try waits for more bytes must hang on the bytes alone, not on how they were cut (found by fuzzing).
#[test]
fn f055_a_false_head_is_given_up_wherever_it_is() {
    for (junk, claim) in
        [(0, 20_000u32), (300, 16_384), (300, 20_000), (3000, 30_000), (20_000, 16_384), (39_000, 33_000)]
    {
        let mut script = Script::bare();
        let mut bytes = vec![0xff; junk];
        bytes.extend([0, (claim >> 8) as u8, claim as u8, kind::DATA, 0, 0x41, 0, 0, 1]);
        bytes.extend([0xff; 100]);
        script.raw(Direction::ToServer, &bytes);
        for stream in [1, 3, 5] {
            script.request(stream, GET);
            script.response(stream, OK);
        }
        // So that what waits is decided.
        script.raw(Direction::ToServer, &vec![0xff; 50_000]);
        let found = script.run_late();
        assert_eq!(found.iter().filter(|transaction| transaction.request.is_some()).count(), 3, "{junk} {claim}");
    }
}
