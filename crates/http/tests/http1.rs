//! HTTP/1 through `Connection`: one test a row of the fault table.
#![allow(clippy::unwrap_used)]

mod support;

use support::*;
use umbra_http::Protocol;

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
