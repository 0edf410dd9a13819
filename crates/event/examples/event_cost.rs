//! What one event costs, in nanoseconds: encoding, redaction, credentials.
//! `cargo run --release -p umbra-event --example event_cost`
#![allow(clippy::disallowed_methods)] // the clock is the point here

use std::hint::black_box;
use std::time::Instant;

use umbra_event::auth::Credentials;
use umbra_event::*;

fn measure(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 200_000;
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    println!("{name:<40} {best:8.1} ns");
}

fn main() {
    let redaction = Redaction::new(FleetKey::new(&[1; 32]), Reveal::default());
    let facts = FieldFacts::default();
    let request_fields: [(&[u8], &[u8]); 8] = [
        (b"Host", b"api.example.com"),
        (
            b"User-Agent",
            b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109",
        ),
        (b"Accept", b"application/json"),
        (b"Accept-Encoding", b"gzip, deflate, br"),
        (b"Authorization", b"Bearer 9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
        (b"Cookie", b"theme=dark; sessionid=8a7b6c5d4e3f2a1b"),
        (b"X-Request-Id", b"7d444840-9dc0-11d1-b245-5ffdce74fad2"),
        (b"Connection", b"keep-alive"),
    ];
    let response_fields: [(&[u8], &[u8]); 5] = [
        (b"Server", b"nginx/1.24.0"),
        (b"Date", b"Sat, 01 Jan 2028 00:00:00 GMT"),
        (b"Content-Type", b"application/json; charset=utf-8"),
        (b"Content-Length", b"512"),
        (b"Connection", b"keep-alive"),
    ];
    let mut request_headers = HeaderJson::default();
    let mut response_headers = HeaderJson::default();
    let fill = |headers: &mut HeaderJson, fields: &[(&[u8], &[u8])]| {
        headers.clear();
        for (name, value) in fields {
            headers.push(&redaction, name, value, facts);
        }
    };
    measure("13 header fields", || {
        fill(&mut request_headers, black_box(&request_fields));
        fill(&mut response_headers, black_box(&response_fields));
    });

    let (mut path, mut query) = (Vec::new(), Vec::new());
    measure("path, 5 ordinary segments", || {
        path.clear();
        redaction.path(black_box(b"/api/v1/users/12345/orders"), &mut path);
    });
    measure("path, UUID and camelCase", || {
        path.clear();
        redaction.path(black_box(b"/api/getUserOrders/7d444840-9dc0-11d1-b245-5ffdce74fad2"), &mut path);
    });
    measure("path, e-mail", || {
        path.clear();
        redaction.path(black_box(b"/api/v1/users/john@example.com/orders"), &mut path);
    });
    measure("query, 3 parameters", || {
        query.clear();
        redaction.query(black_box(b"page=2&sort=created_at&q=hello"), &mut query);
    });

    measure("credentials of 8 fields", || {
        let mut found = Credentials::default();
        for (name, value) in black_box(&request_fields) {
            found.field(name, value);
        }
        found.query(black_box(b"page=2&sort=created_at&q=hello"));
        black_box(found.auth(redaction.key()));
    });

    path.clear();
    redaction.path(b"/api/v1/users/12345/orders", &mut path);
    let mut found = Credentials::default();
    for (name, value) in &request_fields {
        found.field(name, value);
    }
    let auth = found.auth(redaction.key());
    let mut event = Event {
        time_ns: 1_700_000_000_123_456_789,
        sensor: Sensor { id: "edge-1", version: "0.1.0" },
        capture: Capture { interface: "eth0", ..Capture::default() },
        flow_id: 0x8c1f_2e3d_4a5b_6c7d_8c1f_2e3d_4a5b_6c7d,
        community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        client: Peer { address: [192, 0, 2, 10].into(), port: 51324 },
        server: Peer { address: [198, 51, 100, 5].into(), port: 8080 },
        url: Some(Url { domain: Some(b"api.example.com"), path: Some(&path), query: Some(&query), ..Url::default() }),
        route: Some(b"/api/v1/users/{id}/orders"),
        request: Some(Request {
            method: b"GET",
            header_bytes: Some(420),
            headers: Some(&request_headers),
            body: Body::default(),
        }),
        response: Some(Response {
            status_code: 200,
            header_bytes: Some(180),
            headers: Some(&response_headers),
            body: Body { size_bytes: 512, ..Body::default() },
            ..Response::default()
        }),
        ttfb_ns: Some(1_250_000),
        duration_ns: Some(1_400_000),
        api: Api { endpoint_id: Some([7; 16]), style: Some(ApiStyle::Rest), operation: None },
        auth,
        ..Event::default()
    };
    let mut out = Vec::new();
    measure("write_json", || {
        if out.len() > 60_000 {
            out.clear();
        }
        black_box(&event).write_json(&mut out);
    });
    out.clear();
    event.write_json(&mut out);
    println!("{} bytes: {}", out.len(), String::from_utf8_lossy(&out));
    event.request = event.request.map(|request| Request { headers: None, ..request });
    event.response = event.response.map(|response| Response { headers: None, ..response });
    measure("write_json without header fields", || {
        if out.len() > 60_000 {
            out.clear();
        }
        black_box(&event).write_json(&mut out);
    });
    measure("write_rfc3339", || {
        out.clear();
        write_rfc3339(black_box(1_700_000_000_123_456_789), &mut out);
    });
}
