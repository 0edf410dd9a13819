//! Cases about what is inside the bytes.

use std::net::SocketAddr;
use std::time::Duration;

use umbra_testkit::{Conversation, Http2Writer, Trace};

use super::http1::{chunked, request, response};

const HOST: &str = "api.case.example";

pub(super) fn http1_framing() -> Trace {
    Conversation::new()
        .request(&request("GET", "/v1/length", HOST, &[], ""))
        .response(&response(200, &[], r#"{"framing":"length"}"#))
        .request(&request("GET", "/v1/chunked", HOST, &[], ""))
        .response(&chunked(200, "application/json", &[r#"{"framing":"#, r#""chunked"}"#]))
        .request(
            b"POST /v1/upload HTTP/1.1\r\nHost: api.case.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              4;name=value\r\nwiki\r\n5;\"q\"\r\npedia\r\n0\r\nX-Sum: 17\r\n\r\n",
        )
        .response(&response(201, &[], "{}"))
        .request(&request("HEAD", "/v1/length", HOST, &[], ""))
        .response(&b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"[..])
        .request(&request("DELETE", "/v1/things/7", HOST, &[], ""))
        .response(&response(204, &[], ""))
        .request(&request("GET", "/v1/length", HOST, &["If-None-Match: \"x\""], ""))
        .response(&b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 20\r\n\r\n"[..])
        .request(
            b"PUT /v1/things/7 HTTP/1.1\r\nHost: api.case.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .response(b"HTTP/1.1 100 Continue\r\n\r\n")
        .request(b"{}")
        .response(&response(200, &[], "{}"))
        // Three at once; the answers come in the same order.
        .request(&["/v1/a", "/v1/b", "/v1/c"].map(|path| request("GET", path, HOST, &[], "")).concat())
        .response(&[200, 404, 200].map(|status| response(status, &[], "{}")).concat())
        .request(&request("GET", "/v1/until-close", HOST, &["Connection: close"], ""))
        .response(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"framing\":\"close\"}")
        .build()
}

pub(super) fn http1_smuggling() -> Trace {
    let requests: [&[u8]; 5] = [
        b"POST /v1/cl-te HTTP/1.1\r\nHost: api.case.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\n\r\n",
        b"POST /v1/two-lengths HTTP/1.1\r\nHost: api.case.example\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/odd-coding HTTP/1.1\r\nHost: api.case.example\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"GET /v1/blank HTTP/1.1\r\nHost: api.case.example\r\nX-Odd : 1\r\n\r\n",
        b"GET /v1/two-hosts HTTP/1.1\r\nHost: api.case.example\r\nHost: other.case.example\r\n\r\n",
    ];
    // Each on a connection of its own: the ambiguity of one must not touch the others.
    let mut trace: Option<Trace> = None;
    for (port, bytes) in (41_000..).zip(requests) {
        let one = Conversation::new()
            .client(SocketAddr::from(([10, 0, 0, 1], port)))
            .request(bytes)
            .response(&response(200, &[], "{}"))
            .build()
            .delayed(Duration::from_millis(u64::from(port) - 41_000));
        trace = Some(match trace {
            Some(trace) => trace.merging(one),
            None => one,
        });
    }
    trace.unwrap_or_default()
}

/// Pseudo-headers of a request.
fn http2_request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", HOST), (":path", path)]
}

pub(super) fn http2() -> Trace {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
    let mut c = Conversation::new().request(&client.take()).response(&server.take());

    // Three streams at once, answered in the order 5, 1, 3 with interleaved content.
    for (stream, path) in [(1, "/v2/one"), (3, "/v2/two?page=2"), (5, "/v2/three")] {
        client.headers(stream, &http2_request("GET", path), true);
    }
    c = c.request(&client.take());
    let head = [(":status", "200"), ("content-type", "application/json")];
    for stream in [5, 1, 3] {
        server.headers(stream, &head, false);
    }
    for stream in [1, 5, 3] {
        server.data(stream, b"{\"part\":1", false);
        server.data(stream, b"}", true);
    }
    c = c.response(&server.take());

    // A padded, prioritised HEADERS frame cut by CONTINUATION, and padded DATA.
    // 0x83 POST, 0x86 http, 0x04 :path and 0x01 :authority as literals that do not enter the table (RFC 7541 §6.2.2):
    // the writer does not know of this block.
    let block = [&b"\x83\x86\x04\x09/v2/split\x01\x10"[..], HOST.as_bytes()].concat();
    let (first, rest) = block.split_at(6);
    // RFC 9113 §6.2: pad length, priority (stream 0, weight 16), fragment, padding.
    client.frame(1, PADDED | PRIORITY, 7, &[&[3, 0, 0, 0, 0, 15], first, &[0; 3]].concat());
    client.frame(9, 0x4, 7, rest);
    client.frame(0, PADDED | 0x1, 7, b"\x02{}\0\0");
    c = c.request(&client.take());
    server.headers(7, &[(":status", "201")], false);
    server.headers(7, &[("x-checksum", "17")], true);
    c = c.response(&server.take());

    // A stream that the client gives up, PING, and the end.
    client.headers(9, &http2_request("GET", "/v2/slow"), true);
    client.frame(3, 0, 9, &[0, 0, 0, 8]); // RST_STREAM, CANCEL
    client.frame(6, 0, 0, b"12345678");
    c = c.request(&client.take());
    server.frame(6, 1, 0, b"12345678");
    server.frame(7, 0, 0, &[0, 0, 0, 9, 0, 0, 0, 0]); // GOAWAY, last stream 9, NO_ERROR
    c.response(&server.take()).build()
}

/// A length-prefixed message (gRPC) of these bytes.
fn grpc_message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&[0], &length[..], bytes].concat()
}

pub(super) fn grpc() -> Trace {
    let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
    let mut c = Conversation::new().request(&client.take()).response(&server.take());
    // Method, messages to the server, messages to the client, status.
    let calls = [
        ("/case.v1.Echo/Unary", 1, 1, "0"),
        ("/case.v1.Echo/ClientStream", 4, 1, "0"),
        ("/case.v1.Echo/ServerStream", 1, 3, "0"),
        ("/case.v1.Echo/Both", 2, 2, "0"),
        ("/case.v1.Echo/Fails", 1, 1, "13"),
        ("/case.v1.Echo/TrailersOnly", 1, 0, "5"),
    ];
    for (stream, (path, to_server, to_client, status)) in (1..).step_by(2).zip(calls) {
        let mut fields = http2_request("POST", path);
        fields.extend([("content-type", "application/grpc+proto"), ("te", "trailers")]);
        client.headers(stream, &fields, false);
        for n in 1..=to_server {
            client.data(stream, &grpc_message(&[8, n]), n == to_server);
        }
        c = c.request(&client.take());
        let head = [(":status", "200"), ("content-type", "application/grpc+proto")];
        let trailer = [("grpc-status", status)];
        if to_client == 0 {
            server.headers(stream, &[&head[..], &trailer].concat(), true);
        } else {
            server.headers(stream, &head, false);
            // Two messages of one call may share a DATA frame, one message may need two.
            let messages: Vec<u8> = (1..=to_client).flat_map(|n| grpc_message(&[8, n])).collect();
            let (first, rest) = messages.split_at(3);
            server.data(stream, first, false);
            server.data(stream, rest, false);
            server.headers(stream, &trailer, true);
        }
        c = c.response(&server.take());
    }
    c.build()
}

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

pub(super) fn websocket() -> Trace {
    let accepted = Conversation::new()
        .request(&request("GET", "/v1/live", HOST, &UPGRADE, ""))
        .response(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        // RFC 6455 §5.7: a masked "Hello".
        .request(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
        .response(b"\x81\x05Hello")
        // "Hello" in two fragments with a ping between them.
        .response(b"\x01\x03Hel\x89\x01p\x80\x02lo")
        .request(&[0x8a, 0x81, 0, 0, 0, 0, b'p'])
        .request(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])
        .response(&[0x88, 2, 0x03, 0xe8])
        .build();
    let refused = Conversation::new()
        .client(SocketAddr::from(([10, 0, 0, 1], 40_001)))
        .request(&request("GET", "/v1/live", HOST, &UPGRADE, ""))
        .response(&response(403, &[], "{}"))
        .request(&request("GET", "/v1/after", HOST, &[], ""))
        .response(&response(200, &[], "{}"))
        .build();
    accepted.merging(refused.delayed(Duration::from_millis(50)))
}

pub(super) fn secrets() -> Trace {
    let body = r#"{"password":"CANARY-body","card":"4111111111111111"}"#;
    let headers = [
        "Authorization: Bearer CANARY-bearer",
        "Cookie: sid=CANARY-cookie; theme=CANARY-theme",
        "X-Api-Key: CANARY-key",
        "X-Customer: CANARY-header",
        "Referer: http://api.case.example/?token=CANARY-referer",
    ];
    let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
    let mut fields =
        http2_request("GET", "/v2/reset/CANARYaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0123456789?access_token=CANARY-h2");
    fields.extend([("authorization", "Bearer CANARY-h2-bearer"), ("cookie", "sid=CANARY-h2-cookie")]);
    client.headers(1, &fields, true);
    server.headers(1, &[(":status", "200"), ("set-cookie", "sid=CANARY-h2-set"), ("x-note", "CANARY-h2-note")], true);
    let http1 = Conversation::new()
        .request(&request("POST", "/v1/login?token=CANARY-query&email=CANARY@mail.example", HOST, &headers, body))
        .response(&response(200, &["Set-Cookie: sid=CANARY-set", "X-Debug: CANARY-debug"], body))
        .request(&request(
            "GET",
            "/v1/users/CANARY@mail.example/files",
            HOST,
            &["Authorization: Basic Q0FOQVJZOkNBTkFSWQ=="],
            "",
        ))
        .response(&response(404, &[], r#"{"error":"CANARY-error"}"#))
        .request(
            b"POST /v1/trailers HTTP/1.1\r\nHost: api.case.example\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\n{}\r\n0\r\nAuthorization: Bearer CANARY-trailer\r\n\r\n",
        )
        .response(&response(200, &[], "{}"))
        .request(
            b"GET http://user:CANARY-userinfo@api.case.example/v1/absolute HTTP/1.1\r\nHost: api.case.example\r\n\r\n",
        )
        .response(&response(200, &[], "{}"))
        .build();
    let http2 = Conversation::new()
        .client(SocketAddr::from(([10, 0, 0, 1], 40_001)))
        .request(&client.take())
        .response(&server.take())
        .build();
    http1.merging(http2.delayed(Duration::from_millis(50)))
}
