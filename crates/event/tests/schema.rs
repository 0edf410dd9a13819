//! What is written obeys the published schema, and decodes to what was meant.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;
use umbra_event::*;

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&serde_json::from_str(EVENT_SCHEMA).unwrap()).unwrap()
}

fn key() -> FleetKey {
    FleetKey::new(&[9; 32])
}

/// Writes the event, checks everything that holds for any event, and gives the decoded record.
fn checked(event: &Event<'_>, validator: &jsonschema::Validator) -> EventRecord {
    let mut line = Vec::new();
    event.write_json(&mut line);
    let text = std::str::from_utf8(&line).unwrap();
    let body = text.strip_suffix('\n').unwrap();
    assert!(body.chars().all(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}')), "{body}");
    let value: Value = serde_json::from_str(body).unwrap();
    let errors: Vec<String> = validator.iter_errors(&value).map(|e| format!("{} at {}", e, e.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:?}\n{body}");
    let record: EventRecord = serde_json::from_str(body).unwrap();
    // The mirror says exactly the same, member by member.
    assert_eq!(serde_json::to_value(&record).unwrap(), value);
    record
}

#[test]
fn smallest_event() {
    let record = checked(&Event::default(), &validator());
    assert_eq!(record.event_id, "00000000000000000000000000000000-0");
    assert_eq!(record.url, None);
}

/// Every member present, every name of every closed set.
#[test]
fn largest_event() {
    let validator = validator();
    let redaction = Redaction::new(key(), Reveal::default());
    let mut headers = HeaderJson::default();
    headers.push(&redaction, b"Content-Type", b"application/json; charset=utf-8; boundary=xyz", FieldFacts::default());
    headers.push(&redaction, b"X-Secret", b"hunter2", FieldFacts::default());
    headers.push(&redaction, b"grpc-status", b"0", FieldFacts { trailer: true, unknown: false });
    headers.push(&redaction, b"accept", b"", FieldFacts { trailer: false, unknown: true });
    headers.push(&redaction, b"Server", &[b'a'; 1000], FieldFacts::default());
    let messages = PeerMessages { frames: 1, messages: 2, payload_bytes: u64::MAX };
    let event = Event {
        time_ns: u64::MAX,
        source: Source::Live,
        sensor: Sensor { id: "edge-\"1\"", version: "0.1.0" },
        capture: Capture {
            interface: "eth0",
            vlan: &[1, 4094],
            complete: false,
            gap_bytes: 7,
            truncated: true,
            mid_stream: true,
            one_sided: true,
            tainted: true,
            unknown_fields: 2,
        },
        flow_id: u128::MAX,
        flow_text: None,
        community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        tx_index: u64::MAX,
        stream_id: Some(2_147_483_647),
        client: Peer { address: "2001:db8::1".parse::<IpAddr>().unwrap(), port: 65535 },
        server: Peer { address: "255.255.255.255".parse::<IpAddr>().unwrap(), port: 443 },
        version: ProtocolVersion::Http2,
        url: Some(Url {
            scheme: UrlScheme::Https,
            domain: Some(b"api.example.com"),
            port: Some(8443),
            path: Some(b"/a/b"),
            query: Some(b"q={string}"),
        }),
        route: Some(b"/a/{id}"),
        request: Some(Request {
            method: b"POST",
            header_bytes: Some(100),
            headers: Some(&headers),
            body: Body { size_bytes: 9, missing_bytes: 3, complete: false },
        }),
        response: Some(Response {
            status_code: 503,
            informational: 2,
            header_bytes: Some(10),
            headers: Some(&headers),
            body: Body::default(),
        }),
        ttfb_ns: Some(1),
        duration_ns: Some(2),
        api: Api { endpoint_id: Some([0xab; 16]), style: Some(ApiStyle::Rest), operation: Some(b"op") },
        grpc: Some(Grpc { web: true, request_messages: 1, response_messages: 2, status_code: Some(16) }),
        websocket: Some(WebSocket { client: messages, server: messages, deflate: true, close_code: Some(1000) }),
        sse_events: Some(4),
        auth: Auth {
            kinds: &[AuthKind::Jwt, AuthKind::Cookie],
            location: Some(AuthLocation::Header),
            principal_hash: Some([1; 16]),
        },
        anomalies: &["early_response", "bad_chunk"],
        upgrade: Some(Upgrade::Websocket),
        pushed: true,
        reset: Some(u32::MAX),
    };
    let record = checked(&event, &validator);
    assert_eq!(record.event_id, format!("{}-{}", "f".repeat(32), u64::MAX));
    assert_eq!(record.client.address, event.client.address);
    assert_eq!(record.websocket.as_ref().unwrap().server.payload_bytes, u64::MAX);
    let fields = record.http.request.unwrap().headers.unwrap();
    let shown: Vec<_> =
        fields.iter().map(|f| (f.name.as_str(), f.value.as_deref().map(str::len), f.trailer, f.unknown)).collect();
    assert_eq!(
        shown,
        [
            ("content-type", Some("application/json;charset=utf-8".len()), false, false),
            ("grpc-status", Some(1), true, false),
            ("accept", None, false, true),
            ("server", Some(512), false, false),
        ]
    );
    assert!(fields[3].truncated);

    for source in Source::ALL {
        checked(&Event { source: *source, ..event }, &validator);
    }
    for version in ProtocolVersion::ALL {
        checked(&Event { version: *version, ..event }, &validator);
    }
    for style in ApiStyle::ALL {
        checked(&Event { api: Api { style: Some(*style), ..Api::default() }, ..event }, &validator);
    }
    for kind in AuthKind::ALL {
        checked(&Event { auth: Auth { kinds: &[*kind], ..Auth::default() }, ..event }, &validator);
    }
    for location in AuthLocation::ALL {
        checked(&Event { auth: Auth { location: Some(*location), ..event.auth }, ..event }, &validator);
    }
    for upgrade in Upgrade::ALL {
        checked(&Event { upgrade: Some(*upgrade), ..event }, &validator);
    }
    for (ttfb_ns, duration_ns) in [(None, Some(3)), (Some(3), None), (None, None)] {
        checked(&Event { ttfb_ns, duration_ns, ..event }, &validator);
    }
    for (route, request, response) in
        [(None, None, None), (event.route, None, event.response), (None, event.request, None)]
    {
        checked(&Event { route, request, response, url: None, ..event }, &validator);
    }
}

/// F078: every byte in every string that comes from the wire.
#[test]
fn f078_every_byte_in_every_field() {
    let validator = validator();
    let redaction = Redaction::new(key(), Reveal { path: true, query: true, headers: true });
    let nasty: [&[u8]; 6] = [
        b"\r\n{\"injected\":1}\r\n",
        b"\x1b[31m=cmd|' /C calc'!A0</script><script>alert(1)</script>",
        "\u{2028}\u{2029}\u{202e}\u{200b}\u{feff}\u{85}".as_bytes(),
        b"\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80\xff\xfe",
        b"\"\\\"\\u0000",
        &[0; 64],
    ];
    let singles: Vec<Vec<u8>> = (0..=255u8).map(|byte| [b"ab".as_slice(), &[byte], b"cd"].concat()).collect();
    for bytes in singles.iter().map(Vec::as_slice).chain(nasty) {
        let mut headers = HeaderJson::default();
        headers.push(&redaction, bytes, bytes, FieldFacts::default());
        headers.push(&redaction, b"user-agent", bytes, FieldFacts { trailer: true, unknown: false });
        let text = String::from_utf8_lossy(bytes);
        let event = Event {
            sensor: Sensor { id: &text, version: &text },
            capture: Capture { interface: &text, ..Capture::default() },
            url: Some(Url { domain: Some(bytes), path: Some(bytes), query: Some(bytes), ..Url::default() }),
            route: Some(bytes),
            request: Some(Request { method: bytes, headers: Some(&headers), ..Request::default() }),
            response: Some(Response { headers: Some(&headers), ..Response::default() }),
            api: Api { operation: Some(bytes), ..Api::default() },
            ..Event::default()
        };
        let record = checked(&event, &validator);
        let url = record.url.unwrap();
        for value in [url.domain, url.path, url.query, record.http.route, record.api.unwrap().operation] {
            assert_eq!(value.unwrap(), text);
        }
        let fields = record.http.request.unwrap().headers.unwrap();
        assert_eq!(fields[1].value.as_deref(), Some(&*text));
    }
}

/// F079: however long and hostile the strings, one event stays under the broker's limit.
#[test]
fn f079_event_stays_under_256_kib() {
    for reveal in [Reveal::default(), Reveal { path: true, query: true, headers: true }] {
        let redaction = Redaction::new(key(), reveal);
        let mut headers = HeaderJson::default();
        for _ in 0..1000 {
            headers.push(&redaction, &[1; 4000], &[1; 70_000], FieldFacts::default());
            headers.push(&redaction, b"server", &[1; 70_000], FieldFacts::default());
        }
        let path = [1; 8 << 10]; // target ≤ 8 KiB (F034), host ≤ 255 bytes, six bytes for a control byte
        let event = Event {
            url: Some(Url { path: Some(&path), domain: Some(&[1; 255]), ..Url::default() }),
            request: Some(Request { headers: Some(&headers), ..Request::default() }),
            response: Some(Response { headers: Some(&headers), ..Response::default() }),
            ..Event::default()
        };
        let mut line = Vec::new();
        event.write_json(&mut line);
        assert!(line.len() <= 256 << 10, "{}", line.len());
        let record: EventRecord = serde_json::from_slice(&line).unwrap();
        assert!(record.http.request.unwrap().headers_omitted > 1900);
    }
}

/// A sample of every version decodes and obeys its schema.
#[test]
fn samples_decode() {
    let validator = validator();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/samples");
    let mut count = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        // Those of other records: tests/records.rs.
        if !path.file_name().unwrap().to_str().unwrap().starts_with("event.v") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{} at {}", e, e.instance_path)).collect();
        assert!(errors.is_empty(), "{path:?}: {errors:?}");
        let record: EventRecord = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(record).unwrap(), value, "{path:?}");
        count += 1;
    }
    assert!(count >= 3);
}

/// The schema refuses what it does not name, at every level; so does the mirror.
#[test]
fn objects_are_closed() {
    fn walk(value: &Value, path: &str) {
        match value {
            Value::Object(members) => {
                if members.get("type").and_then(Value::as_str) == Some("object") {
                    assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{path}");
                }
                let described = members.contains_key("description") || !members.contains_key("type");
                assert!(described || path.ends_with("/properties"), "{path} has no description");
                for (name, value) in members {
                    walk(value, &format!("{path}/{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
            _ => {}
        }
    }
    walk(&serde_json::from_str(EVENT_SCHEMA).unwrap(), "");

    let mut line = Vec::new();
    Event::default().write_json(&mut line);
    let mut value: Value = serde_json::from_slice(&line).unwrap();
    value["flow"]["surprise"] = Value::Bool(true);
    assert!(!validator().is_valid(&value));
    assert!(serde_json::from_value::<EventRecord>(value).is_err());
}
