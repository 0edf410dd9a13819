//! Secrets where nobody expects them: in a host name, in a method.
#![allow(clippy::unwrap_used)]

use umbra_event::EventRecord;
use umbra_pipeline::{Config, JsonLine, Worker};
use umbra_testkit::Conversation;
use umbra_wire::Timestamp;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const TOKEN: &str = "Zx8kQ2mV7tB4nR1wY6pL3c";

#[test]
fn f076_no_secret_of_a_host_or_method_leaves() {
    let mut worker = Worker::new(Config::new(&[7; 32]), Some(Box::<JsonLine>::default()));
    let mut conversation = Conversation::new();
    for (method, host) in [("GET", KEY), (TOKEN, "api.case.example"), ("GET", TOKEN)] {
        let request = format!("{method} /v1 HTTP/1.1\r\nHost: {host}.case.example:8080\r\n\r\n");
        conversation =
            conversation.request(request.as_bytes()).response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    for packet in conversation.build().packets() {
        worker.handle_packet(&packet);
    }
    worker.finish(Timestamp::from_parts(2_000_000_000, 0));
    let lines = String::from_utf8(worker.output().bytes.clone()).unwrap();
    let endpoints: Vec<String> =
        worker.endpoints().iter().map(|endpoint| format!("{} {}", endpoint.host(), endpoint.method())).collect();
    assert_eq!((lines.lines().count(), endpoints.len()), (3, 3));
    let all = format!("{lines}{endpoints:?}").to_lowercase();
    for secret in [KEY, TOKEN] {
        assert!(!all.contains(&secret.to_lowercase()), "{all}");
    }
    // The rest of the name, and the port, stay.
    let first: EventRecord = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let url = first.url.unwrap();
    let domain = url.domain.unwrap();
    assert!(domain.starts_with("{api_key:") && domain.ends_with("}.case.example"), "{domain}");
    assert_eq!(url.port, Some(8080));
    assert!(endpoints.iter().any(|endpoint| *endpoint == format!("{domain}:8080 GET")), "{endpoints:?}");
}

/// `url.domain` has no brackets, whoever wants a URL puts them on.
#[test]
fn an_ipv6_literal_is_shown_without_brackets() {
    let mut worker = Worker::new(Config::new(&[7; 32]), Some(Box::<JsonLine>::default()));
    let request = b"GET /v1 HTTP/1.1\r\nHost: [2001:DB8::1]:8080\r\n\r\n";
    let conversation = Conversation::new().request(request).response(b"HTTP/1.1 204 No Content\r\n\r\n");
    for packet in conversation.build().packets() {
        worker.handle_packet(&packet);
    }
    worker.finish(Timestamp::from_parts(2_000_000_000, 0));
    let event: EventRecord = serde_json::from_slice(worker.output().bytes.trim_ascii()).unwrap();
    assert_eq!(event.url.unwrap().domain.as_deref(), Some("2001:db8::1"));
}
