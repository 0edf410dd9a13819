//! Any order of flows, any number of workers, any split into two captures whose inventories are joined later: the same inventory.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use umbra_testkit::{Conversation, Trace};

/// Random numbers that are the same on every run (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// Requests of a flow: of two services with values that only look like words, special values beside them, and sub-resources
/// that are rare.
fn flow(number: usize, random: &mut Random) -> Conversation {
    let names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "me", "ivan", "judy", "search"];
    let cities = ["paris", "berlin", "oslo", "madrid", "rome"];
    let client = ([10, 0, 0, (number % 5) as u8], 20_000 + number as u16).into();
    let mut conversation = Conversation::new().client(client);
    for _ in 0..1 + random.below(6) {
        let name = names[random.below(names.len())];
        let id = random.below(1000);
        let (host, path) = match random.below(9) {
            0 | 1 => ("api.test", format!("/v1/users/{name}")),
            2 => ("api.test", format!("/v1/users/{name}/orders")),
            3 => ("api.test", format!("/v1/orders/{id}")),
            4 => ("api.test", "/v1/orders".to_owned()),
            5 => ("api.test", format!("/v1/orders/{id}/{}", ["items", "refund", "notes"][random.below(3)])),
            6 => ("geo.test", format!("/weather/{}", cities[random.below(cities.len())])),
            7 => ("geo.test", "/health".to_owned()),
            _ => ("geo.test", format!("/reports/2024-01-{:02}.csv", 1 + random.below(28))),
        };
        let status = ["200 OK", "200 OK", "200 OK", "404 Not Found"][random.below(4)];
        let body = format!(r#"{{"id":{id},"name":"{name}"}}"#);
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
    }
    conversation
}

fn write(path: &Path, flows: &[&Conversation]) -> String {
    let frames = flows.iter().flat_map(|flow| (*flow).clone().build().frames).collect();
    std::fs::write(path, Trace::ethernet(frames).to_pcap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn json(args: &[&str]) -> Value {
    let output = support::umbra(&[args, &["--format", "json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn any_order_any_workers_any_split_give_one_inventory() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("merging-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = key.to_str().unwrap();
    for seed in 1..=12_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let flows: Vec<Conversation> = (0..20 + random.below(60)).map(|number| flow(number, &mut random)).collect();
        let mut order: Vec<&Conversation> = flows.iter().collect();
        let whole = write(&folder.join("whole.pcap"), &order);
        let expected = json(&["replay", "-q", &whole, "--key-file", key]);
        assert!(expected["endpoints"].as_array().unwrap().len() > 4, "seed {seed}");

        for place in (1..order.len()).rev() {
            order.swap(place, random.below(place + 1));
        }
        let other = write(&folder.join("order.pcap"), &order);
        let workers = (1 + random.below(4)).to_string();
        assert!(json(&["replay", "-q", &other, "--key-file", key, "-w", &workers]) == expected, "seed {seed}: order");

        // Also very uneven splits.
        let share = [50, 50, 10, 90][random.below(4)];
        let (left, right): (Vec<&Conversation>, Vec<&Conversation>) =
            order.iter().partition(|_| random.below(100) < share);
        let mut states = Vec::new();
        for (side, flows) in [("left", left), ("right", right)] {
            let state = folder.join(format!("{side}-{seed}")).to_str().unwrap().to_owned();
            let part = write(&folder.join(format!("{side}.pcap")), &flows);
            let workers = (1 + random.below(4)).to_string();
            json(&["replay", "-q", &part, "--key-file", key, "--state", &state, "-w", &workers]);
            // Another run adds to a state.
            let added = folder.join(format!("added-{seed}")).to_str().unwrap().to_owned();
            let last = json(&["replay", "-q", &part, "--key-file", key, "--state", &added, "-w", &workers]);
            if side == "right" {
                assert!(last == expected, "seed {seed}: added\n{last:#}\n{expected:#}");
            }
            states.push(state);
        }
        for [one, two] in [[0, 1], [1, 0]] {
            let joined = json(&["inventory", "--state", &states[one], "--state", &states[two]]);
            assert!(joined == expected, "seed {seed}: joined\n{joined:#}\n{expected:#}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
