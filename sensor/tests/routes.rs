//! The route and `endpoint_id` that events of a replay carry: those of the inventory.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use umbra_testkit::{Conversation, Trace};

/// Requests for places that turn out to be values (`/users/alice/orders`): more bytes of events than are held in memory.
fn capture() -> PathBuf {
    let names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"];
    let mut frames = Vec::new();
    for flow in 0..60_usize {
        let client = ([10, 0, (flow / 200) as u8, 1], 20_000 + flow as u16).into();
        let mut conversation = Conversation::new().client(client);
        for number in 0..100 {
            let name = names[(flow * 7 + number) % names.len()];
            let path = match number % 4 {
                0 => format!("/users/{name}"),
                1 => format!("/users/{name}/orders"),
                2 => format!("/users/{name}/orders/{}", flow * 100 + number),
                _ => "/health".to_owned(),
            };
            let body = r#"{"id":1,"name":"x"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let request = format!("GET {path} HTTP/1.1\r\nHost: api.test\r\n\r\n");
            conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
        }
        frames.extend(conversation.build().frames);
    }
    let path = support::temporary("routes.pcap", "");
    std::fs::write(&path, Trace::ethernet(frames).to_pcap()).unwrap();
    path
}

/// Method, route and id.
type Named = (String, String, String);

fn rows(inventory: &Value) -> BTreeSet<Named> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = inventory["endpoints"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "method"), text(row, "route"), text(row, "endpoint_id"))).collect()
}

fn named(event: &Value) -> Named {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&event["http"]["request"]["method"]), text(&event["http"]["route"]), text(&event["api"]["endpoint_id"]))
}

fn events(text: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_of_a_replay_carry_the_routes_of_the_inventory() {
    let capture = capture();
    let file = capture.to_str().unwrap();
    let inventory = support::umbra(&["replay", file, "-q", "--format", "json"]).stdout;
    let inventory: Value = serde_json::from_slice(&inventory).unwrap();
    // What was decided of the route, and why, stands beside it.
    let mut orders = inventory["endpoints"].as_array().unwrap().iter();
    let template = &orders.rfind(|row| row["route"].as_str().unwrap().contains("/orders/{")).unwrap()["template"];
    assert!((0.5..=1.0).contains(&template["confidence"].as_f64().unwrap()), "{template}");
    let parameters = template["parameters"].as_array().unwrap();
    let of = |name: &str| parameters.iter().map(|it| it[name].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((of("name")[1], of("type")), ("order_id", vec!["string", "integer"]));
    assert!(parameters.iter().all(|it| !it["reasons"].as_array().unwrap().is_empty()), "{template}");
    let rows = rows(&inventory);
    let routes: Vec<&str> = rows.iter().map(|(_, route, _)| route.as_str()).collect();
    assert!(routes.iter().any(|route| route.starts_with("/users/{")), "{routes:?}");
    assert!(!routes.iter().any(|route| route.contains("alice")), "{routes:?}");
    let mut first = None;
    for workers in ["1", "2", "4"] {
        let args = ["-q", "--format", "none", "--events", "-", "-w", workers];
        let from_file = support::umbra(&[&["replay", file], &args[..]].concat());
        let from_pipe = Command::new(env!("CARGO_BIN_EXE_umbra"))
            .args(["replay", "-"])
            .args(args)
            .stdin(Stdio::from(File::open(&capture).unwrap()))
            .output()
            .unwrap();
        for output in [from_file, from_pipe] {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout.len() > 4 << 20, "some had to wait on the disk");
            let events = events(&output.stdout);
            assert_eq!(events.len(), 6000);
            let used: BTreeSet<Named> = events.iter().map(named).collect();
            assert_eq!(used, rows, "{workers} workers");
            if workers == "1" {
                let ids: Vec<Value> = events.iter().map(|event| event["event_id"].clone()).collect();
                assert!(*first.get_or_insert_with(|| ids.clone()) == ids, "the same order");
            }
        }
    }
    // Written at once they carry what was known by then.
    let known = support::umbra(&["replay", file, "-q", "--format", "none", "--events", "-", "--routes", "known"]);
    assert!(events(&known.stdout).iter().any(|event| named(event).1 == "/users/alice"));
}
