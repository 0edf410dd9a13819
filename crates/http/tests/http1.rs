//! HTTP/1 through `Connection`: one test a row of the fault table.
#![allow(clippy::unwrap_used)]

mod support;

use support::*;
use umbra_flow::EndReason;
use umbra_http::{Anomaly, KnownHeader, Protocol, Transaction, Upgrade, Version};
use umbra_wire::Timestamp;

const GET: &str = "GET /a HTTP/1.1\r\nHost: example.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn keep_alive() {
    let steps = [
        c(GET),
        s(OK),
        c("POST /b?x=1 HTTP/1.1\r\nHost: example.test\r\nContent-Length: 5\r\n\r\nhello"),
        s("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ];
    let outcome = run_as(&steps, &Run { open: true, ..Run::default() });
    assert_eq!(lines(&outcome), ["GET /a 200", "POST /b?x=1 201"]);
    let t = &outcome.transactions[1];
    assert_eq!(t.request.as_ref().unwrap().authority(), Some(&b"example.test"[..]));
    assert_eq!((t.request_body.len_bytes, t.response_body.len_bytes), (5, 5));
    assert!(t.request_body.complete && t.response_body.complete && t.anomalies.is_empty());
    assert_eq!(outcome.connection.protocol(), Protocol::Http1);
    assert!(outcome.connection.memory_bytes() <= 1024, "{}", outcome.connection.memory_bytes());
    assert_split_invariant(&steps, &Run::default());
}

fn many_splits(steps: &[Step]) -> Outcome {
    assert_split_invariant(steps, &Run::default());
    run(steps)
}

fn anomalies(t: &Transaction) -> Vec<&'static str> {
    t.anomalies.iter().map(Anomaly::name).collect()
}

fn get(n: usize) -> Step {
    c(format!("GET /{n} HTTP/1.1\r\nHost: example.test\r\n\r\n"))
}

fn answer(status: u16) -> Step {
    s(format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok"))
}

/// Every pair must be right: request /n is answered with status 400 + n % 100.
fn assert_no_wrong_pair(outcome: &Outcome) {
    for t in &outcome.transactions {
        if let (Some(request), Some(response)) = (&t.request, &t.response) {
            let n: u16 = String::from_utf8_lossy(&request.target().unwrap()[1..]).parse().unwrap();
            assert_eq!(response.status, 400 + n % 100, "{:?}", lines(outcome));
        }
    }
}

#[test]
fn f022_a_lost_message_shifts_no_pair() {
    let len = |step: &Step| match step {
        Step::C(bytes) | Step::S(bytes) => bytes.len() as u64,
        _ => 0,
    };
    // Lockstep: each of the messages of ten exchanges lost in turn, alone and with the one behind it.
    let messages: Vec<Step> = (0..10).flat_map(|n| [get(n), answer(400 + n as u16)]).collect();
    for lost in 0..messages.len() {
        for count in 1..4usize {
            let mut steps = messages.clone();
            for step in steps.iter_mut().skip(lost).take(count) {
                let bytes = len(step);
                *step = if matches!(step, Step::C(_)) { Step::GapC(bytes) } else { Step::GapS(bytes) };
            }
            let outcome = many_splits(&steps);
            assert_no_wrong_pair(&outcome);
            let paired = outcome.transactions.iter().filter(|t| t.request.is_some() && t.response.is_some()).count();
            assert!(paired >= 10 - count.div_ceil(2) - 1, "{lost} {count} {:?}", lines(&outcome));
            // The untouched ones confirm endpoints.
            let clean = outcome.transactions.iter().filter(|t| !t.coverage.tainted).count();
            assert!(clean >= 9 - count, "{lost} {count}");
        }
    }
}

#[test]
fn f022_pairing_starts_afresh_once_all_is_quiet() {
    let burst = c("GET /0 HTTP/1.1\r\nHost: a\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let steps = [burst, Step::GapS(40), answer(401), get(2), answer(402), Step::Wait(6000), get(3), answer(403)];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["GET /0 -", "GET /1 -", "- - 401", "GET /2 -", "- - 402", "GET /3 403"]);
}

#[test]
fn f022_pipelined_messages_are_given_out_apart_after_a_loss() {
    let all: Vec<u8> = (0..6).flat_map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()).collect();
    let answers: Vec<Step> = (0..6).map(|n| answer(400 + n)).collect();
    for lost in 0..6 {
        let mut steps = vec![c(&all)];
        steps.extend(answers.iter().cloned());
        steps[1 + lost] = Step::GapS(40);
        steps.extend([get(7), answer(407)]);
        assert_no_wrong_pair(&many_splits(&steps));
    }
    // A request of the burst is lost.
    for lost in 0..6 {
        let mut steps: Vec<Step> = (0..6).map(get).collect();
        steps[lost] = Step::GapC(30);
        steps.extend(answers.iter().cloned());
        let outcome = many_splits(&steps);
        assert_no_wrong_pair(&outcome);
        assert_eq!(outcome.transactions.iter().filter(|t| t.request.is_some()).count(), 5);
    }
}

#[test]
fn f022_a_gap_in_a_body_keeps_the_frame() {
    let steps = [
        c("POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n0123456789"),
        Step::GapC(80),
        c("0123456789GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n0123456789"),
        Step::GapS(80),
        s("0123456789\r\n0\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["POST /0 200", "GET /1 201"]);
    let t = &outcome.transactions[0];
    assert_eq!((t.request_body.len_bytes, t.request_body.missing_bytes), (100, 80));
    assert_eq!((t.response_body.len_bytes, t.response_body.missing_bytes), (100, 80));
    assert!(t.request_body.complete && t.response_body.complete && !t.coverage.tainted);
    assert_eq!(t.coverage.gap_bytes, 160);
}

#[test]
fn f022_a_cut_head_still_names_its_message() {
    let steps = [c("GET /0 HTTP/1.1\r\nHost: a\r\nCook"), Step::GapC(10), answer(200), get(1), answer(201)];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["GET /0 200", "GET /1 201"]);
    assert_eq!(outcome.transactions[0].coverage.gap_bytes, 10);
    assert!(!outcome.transactions[0].coverage.tainted && !outcome.transactions[1].coverage.tainted);
}

#[test]
fn f027_joined_in_the_middle() {
    let late = Run { mid_stream: true, ..Run::default() };
    // The server's bytes first: roles swapped.
    let steps = [c(OK), s(GET), c(OK)];
    assert_split_invariant(&steps, &late);
    let outcome = run_as(&steps, &late);
    assert!(outcome.connection.roles_swapped());
    assert_eq!(lines(&outcome), ["- - 200", "GET /a 200"]);
    assert_eq!(outcome.transactions[1].request_offsets, 0..GET.len() as u64);
    // In a response body, which holds the text of messages.
    let body = "x\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let steps = [s(body), s("rest of it"), c(GET), s(OK), c(GET), s(OK)];
    assert_split_invariant(&steps, &late);
    let outcome = run_as(&steps, &late);
    assert_eq!(lines(&outcome), ["GET /a 200", "GET /a 200"]);
    assert!(outcome.transactions.iter().all(|t| t.coverage.mid_stream && !t.coverage.tainted));
    // In a request body: the text of a request in it confirms nothing.
    let steps = [c(format!("{{\"a\":1}}\r\n{GET}tail")), s(OK), c(GET), s(OK), c(GET), s(OK)];
    assert_split_invariant(&steps, &late);
    let outcome = run_as(&steps, &late);
    let clean: Vec<_> = outcome.transactions.iter().filter(|t| t.request.is_some() && !t.coverage.tainted).collect();
    assert_eq!(clean.len(), 1, "{:?}", lines(&outcome));
    // Every cut of a keep-alive conversation: no wrong pair, no wrong path.
    let conversation: Vec<Step> = (0..4).flat_map(|n| [get(n), answer(400 + n as u16)]).collect();
    for first in 0..conversation.len() {
        let (Step::C(bytes) | Step::S(bytes)) = &conversation[first] else { continue };
        for cut in 0..bytes.len() {
            let mut steps = conversation[first..].to_vec();
            let (Step::C(bytes) | Step::S(bytes)) = &mut steps[0] else { continue };
            bytes.drain(..cut);
            assert_split_invariant(&steps, &late);
            let outcome = run_as(&steps, &late);
            assert_no_wrong_pair(&outcome);
            let whole = (7 - first) / 2;
            let found = outcome.transactions.iter().filter(|t| t.request.is_some() && t.response.is_some()).count();
            assert!(found >= whole, "{first} {cut} {:?}", lines(&outcome));
            for t in outcome.transactions.iter().filter(|t| t.request.is_some() && !t.coverage.tainted) {
                let n = lines(&outcome);
                assert!(t.request.as_ref().unwrap().target().unwrap().starts_with(b"/"), "{n:?}");
            }
        }
    }
}

#[test]
fn f027_joined_inside_a_pipelined_batch() {
    let late = Run { mid_stream: true, ..Run::default() };
    let batch: Vec<u8> = (0..4).flat_map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()).collect();
    let one = batch.len() / 4;
    for lost in 0..4 {
        // So many of the answers were sent before we came, and so many bytes of the batch.
        for cut in (0..batch.len()).filter(|cut| cut.div_ceil(one) >= lost) {
            let mut steps = vec![c(&batch[cut..])];
            steps.extend((lost as u16..4).map(|n| answer(400 + n)));
            for end in [vec![], vec![get(5), answer(405), get(6), answer(406)]] {
                let steps = [steps.clone(), end].concat();
                assert_split_invariant(&steps, &late);
                let outcome = run_as(&steps, &late);
                assert_no_wrong_pair(&outcome);
                let responses = outcome.transactions.iter().filter(|t| t.response.is_some()).count();
                assert_eq!(responses, steps.iter().filter(|step| matches!(step, Step::S(_))).count());
            }
        }
    }
    // A loss among the answers, or a capture that ends behind the first one, proves nothing.
    let last = get(3);
    let cases = [
        vec![last.clone(), answer(402), Step::GapS(40), get(5), answer(405)],
        vec![last.clone(), answer(402), Step::EndS(EndReason::Finished)],
        vec![last.clone(), answer(402), Step::EndC(EndReason::Reset), Step::EndS(EndReason::Reset)],
        vec![last.clone(), s("HTTP/1.1 402 X\r\nContent-Length: 20\r\n\r\nok"), Step::GapS(60), get(5), answer(405)],
    ];
    for steps in cases {
        assert_split_invariant(&steps, &late);
        assert_no_wrong_pair(&run_as(&steps, &late));
    }
    // What proves it: the client goes on, silence, the server's end.
    let ends = [vec![get(4), answer(404)], vec![Step::Wait(1000), Step::EndS(EndReason::Finished)], vec![]];
    for (end, expected) in ends.into_iter().zip([2, 1, 1]) {
        let steps = [vec![last.clone(), answer(403)], end].concat();
        assert_split_invariant(&steps, &late);
        let outcome = run_as(&steps, &late);
        assert_eq!(outcome.transactions.len(), expected, "{:?}", lines(&outcome));
        assert!(outcome.transactions.iter().all(|t| t.request.is_some() && t.response.is_some()));
    }
}

#[test]
fn f033_a_head_without_end() {
    let mut steps = vec![c("GET /a HTTP/1.1\r\nHost: a\r\nX: ")];
    steps.push(c("y".repeat(200_000)));
    let outcome = run_as(&steps, &Run { pieces: vec![1], open: true, ..Run::default() });
    assert!(outcome.connection.memory_bytes() <= 2 * 64 * 1024 + 1024, "{}", outcome.connection.memory_bytes());
    // It ends after all: given out with what was kept, flagged, and the next message is read.
    steps.extend([c("\r\n\r\n"), s(OK), c(GET), s(OK)]);
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["GET /a 200", "GET /a 200"]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["header_limit"]);
    assert!(!outcome.transactions[1].coverage.tainted);
}

#[test]
fn f034_too_many_and_too_long() {
    let mut head = "GET /a HTTP/1.1\r\nHost: a\r\n".to_owned();
    head.extend((0..5000).map(|_| "X: y\r\n"));
    let outcome = many_splits(&[c(head + "\r\n"), s(OK)]);
    assert_eq!(outcome.transactions[0].request.as_ref().unwrap().headers.fields().len(), 1024);
    assert_eq!(anomalies(&outcome.transactions[0]), ["header_limit"]);

    let mut head = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n".to_owned();
    head.extend((0..20_000).map(|_| " z\r\n"));
    let outcome = run(&[c(head + "\r\n"), s(OK)]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["folded_header", "header_limit"]);

    for len in [9_000, 100_000, 1 << 20] {
        let steps = [c(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(len))), s(OK), c(GET), s(OK)];
        if len < 1 << 20 {
            assert_split_invariant(&steps, &Run::default());
        }
        let outcome = run(&steps);
        assert_eq!(outcome.transactions.len(), 2);
        let t = &outcome.transactions[0];
        assert_eq!(t.request.as_ref().unwrap().target().unwrap().len(), 8 * 1024);
        assert!(t.anomalies.contains(Anomaly::TargetLimit));
    }
}

#[test]
fn f035_f036_lengths_and_codings_that_readers_take_differently() {
    let cases = [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\n", Anomaly::LengthAndChunked),
        ("Content-Length: 5\r\nContent-Length: 6", "hello", Anomaly::BadContentLength),
        ("Content-Length: +5", "hello", Anomaly::BadContentLength),
        ("Content-Length: 0x5", "hello", Anomaly::BadContentLength),
        ("Content-Length: -1", "", Anomaly::BadContentLength),
        ("Content-Length:", "", Anomaly::BadContentLength),
        ("Content-Length: 18446744073709551616", "", Anomaly::BadContentLength),
        ("Content-Length: 5, 6", "hello", Anomaly::BadContentLength),
        ("Transfer-Encoding: ,chunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding: xchunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding: chunked, gzip", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding:\r\n chunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding : chunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding: \x0bchunked", "0\r\n\r\n", Anomaly::BadTransferEncoding),
        ("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n", Anomaly::BadChunk),
        ("Transfer-Encoding: chunked", "5\nhello\n0\n\n", Anomaly::BareLineEnd),
    ];
    for (fields, body, anomaly) in cases {
        let steps = [
            c(format!(
                "POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            )),
            s(OK),
            s(OK),
            c(GET),
            s(OK),
        ];
        let outcome = many_splits(&steps);
        assert!(
            outcome.transactions[0].anomalies.contains(anomaly),
            "{fields:?} {:?}",
            anomalies(&outcome.transactions[0])
        );
        for t in &outcome.transactions {
            let target = t.request.as_ref().and_then(|request| request.target()).unwrap_or_default();
            assert!(t.coverage.tainted || target != b"/smuggled", "{fields:?}");
        }
        // Once the server has answered everything and the client waited for it, framing is trusted again.
        let last = outcome.transactions.last().unwrap();
        assert_eq!(
            (line(last).as_str(), last.coverage.tainted),
            ("GET /a 200", false),
            "{fields:?} {:?}",
            lines(&outcome)
        );
    }
    // HTTP/1.0 knows no transfer coding.
    let outcome =
        many_splits(&[c("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), s(OK)]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["bad_transfer_encoding"]);
}

#[test]
fn f037_f038_chunks_and_trailers() {
    let steps = [
        c("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
           5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nAuthorization: Basic eA==\r\nContent-Length: 9\r\n\r\n"),
        s(OK),
        c(GET),
        s(OK),
    ];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["POST /a 200", "GET /a 200"]);
    let t = &outcome.transactions[0];
    let request = t.request.as_ref().unwrap();
    assert_eq!(anomalies(t), ["forbidden_trailer"]);
    assert_eq!(request.authority(), Some(&b"a"[..]));
    assert_eq!(request.headers.first(KnownHeader::Authorization), None);
    assert_eq!(request.headers.fields().iter().filter(|field| field.trailer).count(), 4);
    assert!(!t.coverage.tainted);

    // Many one-byte chunks: constant memory.
    let mut steps = vec![c("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")];
    steps.extend((0..1000).map(|_| c("1\r\nx\r\n".repeat(100))));
    let outcome = run_as(&steps, &Run { open: true, ..Run::default() });
    assert!(outcome.connection.memory_bytes() < 4096, "{}", outcome.connection.memory_bytes());
    steps.push(c("0\r\n\r\n"));
    assert_eq!(run(&steps).transactions[0].request_body.len_bytes, 100_000);
}

#[test]
fn f039_odd_bytes_in_heads() {
    let cases: [(&[u8], &str); 8] = [
        (b"GET /a HTTP/1.1\nHost: a\n\n", "bare_line_end"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "bare_line_end"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "control_byte"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "space_before_colon"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "bad_header_line"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", "bad_header_line"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n", "non_ascii"),
        (b"GET /a HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n", "bad_header_line"),
    ];
    for (head, name) in cases {
        let outcome = many_splits(&[c(head), s(OK)]);
        assert_eq!(lines(&outcome), ["GET /a 200"], "{:?}", head.escape_ascii());
        assert_eq!(anomalies(&outcome.transactions[0]), [name]);
        assert_eq!(outcome.transactions[0].request.as_ref().unwrap().authority(), Some(&b"a"[..]));
    }
    // A folded value is one value.
    let outcome = many_splits(&[c("GET /a HTTP/1.1\r\nHost: a\r\nX: one\r\n  two\r\n\ttree\r\nY: z\r\n\r\n"), s(OK)]);
    let request = outcome.transactions[0].request.as_ref().unwrap();
    let values: Vec<_> = request.headers.iter().map(|(_, _, value)| value.to_vec()).collect();
    assert_eq!(values, [&b"a"[..], b"one    two  \ttree", b"z"]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["folded_header"]);
}

#[test]
fn f040_forms_of_the_request_line() {
    let cases = [
        ("GET http://one.test:81/p?q HTTP/1.1\r\nHost: one.test:81\r\n\r\n", "GET /p?q 200", Some("one.test:81"), ""),
        ("GET HTTP://u:p@one.test?q HTTP/1.1\r\nHost: one.test\r\n\r\n", "GET /?q 200", Some("one.test"), ""),
        ("GET https://one.test HTTP/1.1\r\nHost: one.test\r\n\r\n", "GET / 200", Some("one.test"), ""),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 200", Some("a"), ""),
        ("\r\n\r\nGET /a HTTP/1.0\r\n\r\n", "GET /a 200", None, ""),
        ("GET /a HTTP/1.1\r\n\r\n", "GET /a 200", None, "missing_host"),
        ("GET /a http/1.1\r\nHost: a\r\n\r\n", "GET /a 200", Some("a"), "bad_version"),
        ("GET /a HTTP/7.3\r\nHost: a\r\n\r\n", "GET /a 200", Some("a"), "bad_version"),
        ("GET   /a\tHTTP/1.1 \r\nHost: a\r\n\r\n", "GET /a 200", Some("a"), "bad_start_line"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a b 200", Some("a"), "bad_start_line"),
        ("FROBNICATE /a HTTP/1.1\r\nHost: a\r\n\r\n", "FROBNICATE /a 200", Some("a"), ""),
    ];
    for (head, expected, authority, anomaly) in cases {
        let outcome = many_splits(&[c(head), s(OK)]);
        assert_eq!(lines(&outcome), [expected], "{head:?}");
        let t = &outcome.transactions[0];
        let got = t.request.as_ref().unwrap().authority().map(|a| String::from_utf8_lossy(a).into_owned());
        assert_eq!(got.as_deref(), authority, "{head:?}");
        assert_eq!(anomalies(t).join(","), anomaly, "{head:?}");
    }
    let outcome = many_splits(&[c(format!("{} /a HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(1000))), s(OK)]);
    assert_eq!(outcome.transactions[0].request.as_ref().unwrap().method(), "M".repeat(32).as_bytes());
    assert_eq!(anomalies(&outcome.transactions[0]), ["long_method"]);
    // HTTP/0.9: a line there, a body back.
    let outcome = many_splits(&[c("GET /old\r\n"), s("<html>hello</html>")]);
    assert_eq!(lines(&outcome), ["GET /old 0"]);
    let t = &outcome.transactions[0];
    assert_eq!((t.request.as_ref().unwrap().version, t.response_body.len_bytes), (Version::Http09, 18));
    assert!(t.response_body.complete && t.anomalies.is_empty());
}

#[test]
fn f041_hosts() {
    let cases = [
        ("/a", "one.test\r\nHost: two.test", "one.test", "host_conflict"),
        ("http://one.test/a", "two.test", "one.test", "host_conflict"),
        ("http://ONE.test/a", "one.test", "ONE.test", ""),
        ("/a", "[::1]:8080", "[::1]:8080", ""),
        ("/a", "a b", "a b", "bad_host"),
        ("/a", "x/../y", "x/../y", "bad_host"),
    ];
    for (target, host, authority, anomaly) in cases {
        let outcome = many_splits(&[c(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")), s(OK)]);
        let t = &outcome.transactions[0];
        assert_eq!(t.request.as_ref().unwrap().authority(), Some(authority.as_bytes()));
        assert_eq!(anomalies(t).join(","), anomaly, "{target} {host}");
    }
    let outcome = run(&[c(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "h".repeat(300)))]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["bad_host"]);
}

#[test]
fn f042_no_body_and_interim_responses() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let steps = [
        c("HEAD /0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        get(4),
        s("HTTP/1.1 204 No\r\n\r\n"),
        get(5),
        s("HTTP/1.1 304 No\r\nContent-Length: 10\r\n\r\n"),
        get(6),
        s(format!("HTTP/1.1 100 Continue\r\n\r\n{interim}HTTP/1.1 206 OK\r\nContent-Length: 0\r\n\r\n")),
        get(7),
        s("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n"),
    ];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["HEAD /0 200", "GET /4 204", "GET /5 304", "GET /6 206", "GET /7 205"]);
    assert_eq!(outcome.transactions[3].informational, 2);
    assert!(outcome.transactions.iter().all(|t| t.anomalies.is_empty()));
    let outcome = many_splits(&[get(0), s(interim.repeat(1000) + OK), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["GET /0 200", "GET /1 201"]);
    assert_eq!(outcome.transactions[0].informational, 64);
    assert_eq!(anomalies(&outcome.transactions[0]), ["interim_limit"]);
}

#[test]
fn f043_pipelining() {
    let n = 10_000;
    let requests: String = (0..n).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let answers: String =
        (0..n).map(|n| format!("HTTP/1.1 {} X\r\nContent-Length: 2\r\n\r\nok", 400 + n % 100)).collect();
    let outcome = run(&[c(requests), s(answers), get(3), answer(403)]);
    assert_no_wrong_pair(&outcome);
    let paired = outcome.transactions.iter().filter(|t| t.request.is_some() && t.response.is_some()).count();
    assert_eq!(paired, 513);
    assert_eq!(outcome.transactions.iter().filter(|t| t.request.is_some()).count(), n + 1);
    assert_eq!(outcome.engine.counters.responses, n as u64 + 1);
    assert_eq!(outcome.engine.counters.anomalies[Anomaly::PendingLimit as usize], 2 * (n as u64 - 512));

    // Within the bound every pair is right and the indexes are in order.
    let steps = [c((0..500).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>())];
    let outcome = many_splits(&[&steps[..], &(0..500).map(|n| answer(400 + n % 100)).collect::<Vec<_>>()].concat());
    assert_no_wrong_pair(&outcome);
    assert!(outcome.transactions.iter().enumerate().all(|(n, t)| t.index == n as u64 && t.response.is_some()));

    // The server speaks first; a response too many; an early one.
    let outcome = many_splits(&[s(OK), get(0), answer(200), answer(299), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["- - 200", "GET /0 200", "- - 299", "GET /1 201"]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["orphan_response"]);
    let outcome = many_splits(&[
        c("POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"),
        answer(404),
        c("56789"),
        get(1),
        answer(201),
    ]);
    assert_eq!(lines(&outcome), ["POST /4 404", "GET /1 201"]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["early_response"]);
}

#[test]
fn f044_upgrades() {
    let ask = |protocol: &str| {
        c(format!("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {protocol}\r\n\r\n"))
    };
    let agree = |protocol: &str| {
        s(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"))
    };
    // Accepted: what follows is no HTTP/1 any more, even if it looks so.
    for protocol in ["websocket", "tcp"] {
        let outcome = many_splits(&[ask(protocol), agree(protocol), c(GET), s(OK)]);
        assert_eq!(lines(&outcome), ["GET /ws 101"]);
        let expected = if protocol == "tcp" { Upgrade::Other } else { Upgrade::WebSocket };
        assert_eq!(outcome.transactions[0].upgrade, Some(expected));
    }
    // Answered late: the client's next bytes wait for the answer.
    let outcome =
        many_splits(&[ask("websocket"), c([0x81, 0x80, 1, 2, 3, 4]), agree("websocket"), c([0x88, 0x80, 1, 2, 3, 4])]);
    assert_eq!(lines(&outcome), ["GET /ws 101"]);
    assert_eq!(outcome.transactions[0].websocket.map(|facts| facts.frames), Some([2, 0]));
    // Refused: HTTP goes on, also where the client was ahead.
    let outcome = many_splits(&[ask("websocket"), get(1), answer(403), answer(201), get(2), answer(202)]);
    assert_eq!(lines(&outcome), ["GET /ws 403", "GET /1 201", "GET /2 202"]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["unexpected_upgrade"]);
    assert_eq!(outcome.transactions[0].upgrade, None);
    let end = Step::EndC(EndReason::Fin);
    let outcome = many_splits(&[ask("websocket"), get(1), end, answer(403), answer(201)]);
    assert_eq!(lines(&outcome), ["GET /ws 403", "GET /1 201"]);
    // Nobody asked.
    let outcome = many_splits(&[get(0), agree("websocket"), answer(200), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["GET /0 200", "GET /1 201"]);
    // CONNECT: what is inside is read again, and numbered on.
    let connect = c("CONNECT in.test:80 HTTP/1.1\r\nHost: in.test:80\r\n\r\n");
    let outcome =
        many_splits(&[get(0), answer(200), connect.clone(), s("HTTP/1.1 200 OK\r\n\r\n"), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["GET /0 200", "CONNECT  200", "GET /1 201"]);
    let offsets: Vec<_> = outcome.transactions.iter().map(|t| (t.index, t.request_offsets.start)).collect();
    assert_eq!(offsets, [(0, 0), (1, 39), (2, 88)]);
    assert_eq!(outcome.transactions[1].request.as_ref().unwrap().authority(), Some(&b"in.test:80"[..]));
    assert_eq!(outcome.transactions[1].upgrade, Some(Upgrade::Tunnel));
    // A TLS tunnel is opaque; a refused one is none.
    let outcome = run(&[connect.clone(), s("HTTP/1.1 200 OK\r\n\r\n"), c([0x16, 3, 1, 2, 0, 1, 0, 0])]);
    assert_eq!(outcome.connection.protocol(), Protocol::Tls);
    let outcome = many_splits(&[connect, answer(407), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["CONNECT  407", "GET /1 201"]);
    // Expect: 100-continue with nothing to send.
    let outcome = many_splits(&[
        c("PUT /0 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
        answer(200),
    ]);
    assert_eq!(anomalies(&outcome.transactions[0]), ["odd_expect"]);
}

#[test]
fn f044_a_body_that_was_never_sent() {
    // RFC 9110 §10.1.1: after a final answer instead of 100 the client may leave the body out.
    let ask = "PUT /0 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n";
    let outcome = many_splits(&[c(ask), answer(200), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["PUT /0 200", "GET /1 201"]);
    // Or send it all the same.
    let outcome = many_splits(&[c(ask), answer(200), c("x".repeat(50)), get(1), answer(201)]);
    assert_eq!(lines(&outcome), ["PUT /0 200", "GET /1 201"]);
    assert_eq!(outcome.transactions[0].request_body.len_bytes, 50);
}

#[test]
fn f045_bodies_cut_by_the_end() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let close = "HTTP/1.1 200 OK\r\n\r\nall of it";
    for (answer, reason, complete) in [
        (half, EndReason::Fin, false),
        (half, EndReason::Reset, false),
        (half, EndReason::Idle, false),
        (close, EndReason::Fin, true),
        (close, EndReason::Reset, false),
        (close, EndReason::Idle, false),
    ] {
        let steps = [c(GET), s(answer), Step::EndS(reason), Step::EndC(reason)];
        let outcome = many_splits(&steps);
        assert_eq!(lines(&outcome), ["GET /a 200"]);
        let t = &outcome.transactions[0];
        assert_eq!(t.response_body.complete, complete);
        assert_eq!(t.anomalies.contains(Anomaly::IncompleteBody), !complete);
    }
    // The client goes first, the answer still comes; one end of an idle flow ends it all.
    let outcome = many_splits(&[c(GET), Step::EndC(EndReason::Fin), s(OK)]);
    assert_eq!(lines(&outcome), ["GET /a 200"]);
    let steps = [c("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"), Step::EndS(EndReason::Idle)];
    let outcome = run_as(&steps, &Run { open: true, ..Run::default() });
    assert_eq!(lines(&outcome), ["POST /a -"]);
    assert!(outcome.transactions[0].coverage.one_sided);
}

#[test]
fn f046_bodies_that_look_like_messages() {
    let body = format!("{GET}{OK}{GET}");
    let steps = [
        c(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())),
        s(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        c(GET),
        s(format!("HTTP/1.1 200 OK\r\n\r\n{body}")),
    ];
    let outcome = many_splits(&steps);
    assert_eq!(lines(&outcome), ["POST /a 200", "GET /a 200"]);
}

#[test]
fn f047_what_is_spoken() {
    let decide = |steps: &[Step]| run_as(steps, &Run { open: true, ..Run::default() }).connection.protocol();
    let cases: [(&[Step], Protocol); 6] = [
        (&[s("SSH-2.0-OpenSSH\r\n"), c("SSH-2.0-x\r\n")], Protocol::Unknown),
        (&[c("EHLO a\r\n"), s("250 hi\r\n")], Protocol::Unknown),
        (&[c(b"GET \x00\x01\x02\x03\n"), s(b"\xff\x01\n")], Protocol::Unknown),
        (&[c([0x16, 3, 1, 2, 0, 1, 0, 0])], Protocol::Tls),
        (&[s([0x16, 3, 3, 0, 90, 2, 0, 0])], Protocol::Tls),
        (&[c("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], Protocol::Http2),
    ];
    for (steps, protocol) in cases {
        assert_eq!(decide(steps), protocol, "{steps:?}");
        assert_split_invariant(steps, &Run::default());
    }
    // Given up after 4 KiB of each direction, and nothing is kept.
    let long = [c("A".repeat(5000)), s("B".repeat(5000))];
    let outcome = run_as(&long, &Run { open: true, pieces: vec![100], ..Run::default() });
    assert_eq!((outcome.connection.protocol(), outcome.connection.memory_bytes()), (Protocol::Unknown, 0));
    assert_eq!(outcome.engine.counters.unknown_flows, 1);
    // Another protocol in the middle.
    let outcome = many_splits(&[c(GET), s(OK), c([0, 1, 2, 3, b'\n']), s([5, 6, 7, b'\n']), c(GET), s(OK)]);
    assert_eq!(lines(&outcome), ["GET /a 200", "GET /a 200"]);
    assert_eq!(anomalies(&outcome.transactions[1]), ["protocol_change"]);
}

#[test]
fn f020_a_conflict_taints() {
    let outcome = run(&[c(GET), Step::ConflictC, s(OK)]);
    assert!(outcome.transactions[0].coverage.tainted);
    assert_eq!(anomalies(&outcome.transactions[0]), ["segment_conflict"]);
}

#[test]
fn times_are_those_of_the_bytes() {
    let outcome = run(&[
        c("POST /a HTTP/1.1\r\nHost: a\r\n"),
        c("Content-Length: 2\r\n\r\n"),
        c("ok"),
        s("HTTP/1.1 100 Continue\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        s("ok"),
    ]);
    let t = &outcome.transactions[0];
    let millis = |time: Option<Timestamp>| time.unwrap().0 / 1_000_000 - 1000;
    assert_eq!([t.request_start, t.request_end, t.response_start, t.response_end].map(millis), [1, 3, 5, 6]);
}
