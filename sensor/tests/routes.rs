//! The route and `endpoint_id` that events of a replay carry: those of the inventory.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use umbra_testkit::{Conversation, Trace};

const NAMES: [&str; 12] =
    ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"];

/// Requests for places that turn out to be values (`/users/alice/orders`): more bytes of events than are held in memory.
fn capture(file: &str, names: &[&str]) -> PathBuf {
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
    let path = support::temporary(file, "");
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
    let capture = capture("routes.pcap", &NAMES);
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

/// The row of `/users/{}`, whatever its parameter is called.
fn is_user(row: &Value) -> bool {
    let route = row["route"].as_str().unwrap();
    route.starts_with("/users/{") && route.matches('/').count() == 2
}

#[test]
fn an_inventory_names_the_ids_that_events_carried_before_the_route_was_known() {
    let folder = support::temporary("merged-from", "").with_extension("states");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let state = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let captures =
        [("merged-a.pcap", &NAMES[..7]), ("merged-b.pcap", &NAMES[5..])].map(|(file, names)| capture(file, names));
    let replay = |capture: &PathBuf, state: &str| {
        let file = capture.to_str().unwrap();
        let args = ["replay", file, "-q", "--format", "none", "--events", "-", "--routes", "known", "--state", state];
        let output = support::umbra(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        events(&output.stdout).iter().map(named).collect::<BTreeSet<Named>>()
    };
    let inventory = |states: &[&str]| -> Value {
        let states = states.iter().flat_map(|state| ["--state", *state]);
        let args: Vec<&str> = ["inventory", "--format", "json"].into_iter().chain(states).collect();
        serde_json::from_slice(&support::umbra(&args).stdout).unwrap()
    };
    // One store for both, as a sensor that is started again has it; and one each, joined.
    let (one, other) = (state("one"), state("other"));
    let first = replay(&captures[0], &one);
    let both: BTreeSet<Named> = first.iter().cloned().chain(replay(&captures[1], &one)).collect();
    replay(&captures[1], &other);
    let earlier = inventory(&[&one]);
    let rows = earlier["endpoints"].as_array().unwrap();
    let merged = |row: &Value| -> BTreeSet<String> {
        let ids = row["merged_from"].as_array().into_iter().flatten();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    for (method, route, id) in &both {
        let of: Vec<&Value> =
            rows.iter().filter(|row| row["endpoint_id"] == *id.as_str() || merged(row).contains(id)).collect();
        assert_eq!(of.len(), 1, "{method} {route} {id}");
        let segments = |route: &str| route.split('/').count();
        assert_eq!(segments(of[0]["route"].as_str().unwrap()), segments(route), "{of:?} for {route}");
    }
    let users = rows.iter().find(|row| is_user(row)).unwrap();
    assert_eq!(merged(users).len(), 12, "{users}");
    assert!(rows.iter().find(|row| row["route"] == "/health").unwrap().get("merged_from").is_none());

    let joined = inventory(&[&one, &other]);
    let ids = |inventory: &Value| -> Vec<BTreeSet<String>> {
        inventory["endpoints"].as_array().unwrap().iter().map(merged).collect()
    };
    assert_eq!(ids(&joined), ids(&earlier));
}

#[test]
fn ids_of_a_thousand_words_are_bounded() {
    let names: Vec<String> = (0..150_u32)
        .map(|n| {
            let letter = |place: u32| char::from(b'a' + ((n / 26_u32.pow(place)) % 26) as u8);
            format!("user{}{}", letter(1), letter(0))
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let capture = capture("bounded.pcap", &names);
    let inventory = support::umbra(&["replay", capture.to_str().unwrap(), "-q", "--format", "json"]).stdout;
    let inventory: Value = serde_json::from_slice(&inventory).unwrap();
    let rows = inventory["endpoints"].as_array().unwrap();
    let users = rows.iter().find(|row| is_user(row)).unwrap();
    assert_eq!(users["merged_from"].as_array().unwrap().len(), 64);
}
