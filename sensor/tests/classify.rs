//! What the configuration says of endpoints: rules, places, versions.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::umbra;
use umbra_testkit::{Conversation, pcap_file};
use umbra_wire::LinkType;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("classify-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const RULES: &str = r#"
[services]
third_party = ["*.partner.test"]

[[rule]]
name = "payments"
host = ["pay.test"]
path = ["/v*/cards*"]
team = "payments"
criticality = "high"
owner = "pay@example.com"
tags = ["pci"]

[[rule]]
name = "tenants"
header = ["x-tenant"]
product = "tenancy"

[[rule]]
name = "all"
host = ["*"]
team = "platform"
environment = "production"
"#;

fn run(args: &[&str]) -> String {
    let output = umbra(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A capture of requests with JSON answers.
fn capture(requests: &[(&str, &str, &str)]) -> Vec<u8> {
    let body = r#"{"ok":true}"#;
    let mut conversation = Conversation::new();
    for (host, target, fields) in requests {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
    }
    let trace = conversation.build();
    pcap_file(LinkType::ETHERNET, trace.packets().map(|packet| (packet.time, packet.wire_len, packet.data)))
}

fn endpoints(state: &str, config: &str, more: &[&str]) -> Vec<Value> {
    let args = [&["inventory", "--state", state, "--config", config, "--format", "json"], more].concat();
    let document: Value = serde_json::from_str(&run(&args)).unwrap();
    document["endpoints"].as_array().unwrap().clone()
}

#[test]
fn rules_places_and_versions_reach_every_format() {
    let scratch = Scratch::new("formats");
    let config = scratch.write("umbra.toml", RULES);
    let file = scratch.write(
        "traffic.pcap",
        capture(&[
            ("pay.test", "/v1/cards", "Api-Version: 2023-01-01\r\n"),
            ("pay.test", "/v2/cards", "Api-Version: 2024-01-01\r\nX-Tenant: 7\r\n"),
            ("pay.test", "/health", "Accept: application/vnd.pay.v3+json\r\n"),
            ("pay.test", "/v1/refunds/open", ""),
            ("pay.test", "/v2/limits", ""),
            ("pay.test", "/v2/refunds/closed", ""),
            ("api.partner.test", "/things?api-version=2", ""),
        ]),
    );
    let state = scratch.path("state");
    run(&["replay", "-q", &file, "--state", &state]);

    let all = endpoints(&state, &config, &[]);
    let of = |route: &str| all.iter().find(|row| row["route"] == route).unwrap_or_else(|| panic!("{route}: {all:#?}"));
    let cards = of("/v2/cards");
    assert_eq!(cards["labels"]["team"], "payments");
    assert_eq!(cards["labels"]["environment"], "production");
    assert_eq!(cards["labels"]["product"], "tenancy");
    assert_eq!(cards["labels"]["tags"][0], "pci");
    assert_eq!(cards["service"]["place"], "internal");
    assert_eq!(of("/health")["labels"]["team"], "platform");
    assert_eq!(of("/health")["versions"][0]["version"], "v3");
    assert_eq!(of("/health")["versions"][0]["in"], "media_type");
    assert_eq!(of("/things")["service"]["place"], "third_party");
    assert_eq!(of("/things")["versions"][0]["in"], "query");

    // The older version is visible, by path and by field.
    let old = of("/v1/cards");
    let versions: Vec<(&str, &str)> = old["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["version"].as_str().unwrap(), row["newest"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(versions, [("v1", "v2"), ("2023-01-01", "2024-01-01")]);
    assert!(of("/v2/cards")["versions"][0]["newest"].is_null());
    let table = run(&["inventory", "--state", &state, "--config", &config]);
    assert!(table.contains("version v1, newest is v2"), "{table}");

    for (filter, routes) in [
        ("team=payments", &["/v1/cards", "/v2/cards"][..]),
        ("tag=PCI", &["/v1/cards", "/v2/cards"]),
        ("place=third_party", &["/things"]),
        ("version=v3", &["/health"]),
        ("older=true", &["/v1/cards", "/v1/refunds/open"]),
        ("product=tenancy", &["/v2/cards"]),
    ] {
        let found = endpoints(&state, &config, &["--filter", filter]);
        let found: Vec<&str> = found.iter().map(|row| row["route"].as_str().unwrap()).collect();
        assert_eq!(found, routes, "{filter}");
    }

    let csv =
        run(&["inventory", "--state", &state, "--config", &config, "--format", "csv", "--filter", "route=/v1/cards"]);
    assert!(
        csv.lines().nth(1).unwrap().ends_with("internal,payments,,production,high,pay@example.com,pci,v1,v2,,"),
        "{csv}"
    );
    let openapi =
        run(&["inventory", "--state", &state, "--config", &config, "--format", "openapi", "--host", "pay.test"]);
    let openapi: Value = serde_json::from_str(&openapi).unwrap();
    let remarks = &openapi["paths"]["/v1/cards"]["get"]["x-umbra"];
    assert_eq!(
        (&remarks["team"], &remarks["tags"][0], &remarks["newest_version"]),
        (&"payments".into(), &"pci".into(), &"v2".into())
    );
}

#[test]
fn rules_can_be_tried() {
    let scratch = Scratch::new("try");
    let config = scratch.write("umbra.toml", RULES);
    let tried = run(&[
        "check",
        "--config",
        &config,
        "--host",
        "PAY.test:8443",
        "--path",
        "/v1/cards/7",
        "--header",
        "X-Tenant",
    ]);
    let lines: Vec<&str> = tried.lines().collect();
    assert_eq!(lines[0], "fits: payments: team=payments criticality=high owner=pay@example.com tag=pci");
    assert_eq!(lines[1], "fits: tenants: product=tenancy");
    assert_eq!(lines[2], "fits: all: team=platform environment=production");
    assert_eq!(
        lines[3],
        "together: team=payments product=tenancy environment=production criticality=high owner=pay@example.com tag=pci"
    );
    let model = run(&["check", "--host", "api.anthropic.com", "--style", "llm", "--address", "160.79.104.10"]);
    assert!(
        model.contains("(built in)") && model.contains("tag=ai") && model.ends_with("place: third_party\n"),
        "{model}"
    );
    assert_eq!(run(&["check", "--host", "plain.test"]), "no rule fits\n");
}

#[test]
fn f105_a_wrong_rule_is_one_line_with_place_and_mend() {
    let scratch = Scratch::new("wrong");
    for (text, expected) in [
        ("[[rule]]\nhost = [\"\"]\nteam = \"a\"\n", ":2: host: a pattern must not be empty"),
        ("[[rule]]\nteam = \"a\"\n", ": [[rule]] 1: says for no endpoint: give host"),
        ("[[rule]]\nname = \"n\"\nhost = [\"*\"]\n", ": [[rule]] 1 (n): says nothing: give team"),
        ("[[pin]]\ntemplate = \"users\"\n", ":2: template: a template starts with a slash: write /users/{user_id}"),
        (
            "[[pin]]\ntemplate = \"/a/{b}c{d}\"\n",
            ":2: template: a segment is text, {name}, or {name} with text behind it",
        ),
        ("[[pin]]\ntemplate = \"/a/{b}/{b}\"\n", ":2: template: two parameters of a template have one name"),
        ("[[pin]]\nhost = \"http://a\"\ntemplate = \"/a\"\n", ":2: host: a host is written as the inventory shows it"),
        (
            "[[pin]]\ntemplate = \"/a/{b}\"\n[[pin]]\ntemplate = \"/a/{c}\"\n",
            ": [[pin]] 2: claims the same requests as [[pin]] 1: take one out",
        ),
        ("[[pin]]\nhost = \"a\"\n", ":1: missing field `template`"),
        ("[inventory]\nplaces = 0\n", ": inventory.places must be at least 1"),
        ("[[rule]]\nhosts = [\"*\"]\n", ":2: unknown field `hosts`"),
        (
            "[services]\ninternal_ranges = [\"10.1.0.0/8\"]\n",
            ":2: internal_ranges: bits behind the prefix are set: write 10.0.0.0/8",
        ),
        ("[[rule]]\nhost = [\"*\"]\nteam = \"\"\n", ":3: team: a label is a text"),
    ] {
        let config = scratch.write("umbra.toml", text);
        let output = umbra(&["check", "--config", &config]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}: {told}");
        assert!(told.starts_with(&format!("umbra: {config}{expected}")), "{text}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn pins_name_merge_and_split_and_survive_a_restart() {
    let scratch = Scratch::new("pins");
    let words = ["otter", "heron", "north", "south"];
    let paths: Vec<String> =
        words.iter().map(|word| format!("/teams/{word}")).chain((100..140).map(|n| format!("/users/{n}"))).collect();
    let requests: Vec<(&str, &str, &str)> = paths.iter().map(|path| ("api.test", path.as_str(), "")).collect();
    let file = scratch.write("traffic.pcap", capture(&requests));
    let state = scratch.path("state");
    let routes = |rows: &[Value]| -> Vec<(String, u64)> {
        rows.iter().map(|row| (row["route"].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap())).collect()
    };

    // Inferred first.
    let plain = scratch.write("plain.toml", "");
    run(&["replay", "-q", &file, "--state", &state]);
    let before = routes(&endpoints(&state, &plain, &[]));
    assert!(before.contains(&("/users/{user_id}".to_owned(), 40)), "{before:?}");

    // Decided: another name, one value split off, words merged. A replay with the pins adds to what an earlier run has kept.
    let pins = r#"
[[pin]]
host = "API.test"
template = "/users/{account}"
[[pin]]
host = "api.test"
template = "/users/117"
[[pin]]
template = "/teams/{team}"
"#;
    let config = scratch.write("umbra.toml", pins);
    let found = routes(&endpoints(&state, &config, &[]));
    assert_eq!(found, [("/teams/{team}".to_owned(), 4), ("/users/{account}".to_owned(), 40)]);
    run(&["replay", "-q", &file, "--state", &state, "--config", &config]);
    let expected = [("/teams/{team}".to_owned(), 8), ("/users/117".to_owned(), 1), ("/users/{account}".to_owned(), 79)];
    // Also without the configuration: it is what is kept.
    for config in [&config, &plain] {
        assert_eq!(routes(&endpoints(&state, config, &[])), expected);
    }

    // Events carry them, too.
    let events = run(&["replay", "-q", &file, "--config", &config, "--events", "-", "--format", "none"]);
    let with = |route: &str| events.lines().filter(|line| line.contains(&format!("\"route\":\"{route}\""))).count();
    assert_eq!((with("/users/{account}"), with("/users/117"), with("/teams/{team}")), (39, 1, 4), "{events}");
}

const SPEC: &str = "
openapi: 3.1.0
info: {title: Shop, version: '2'}
paths:
  /orders: {get: {operationId: listOrders, responses: {'200': {description: ok}}}}
  /old: {get: {deprecated: true, responses: {'200': {description: ok}}}}
";

#[test]
fn the_inventory_says_what_specifications_say() {
    let scratch = Scratch::new("specs");
    std::fs::create_dir_all(scratch.path("specs")).unwrap();
    scratch.write("specs/shop.yaml", SPEC);
    let path = scratch.path("specs");
    let config = scratch.write("umbra.toml", format!("[[spec]]\npath = {path:?}\nhosts = [\"api.test\"]\n"));
    let file = scratch.write(
        "traffic.pcap",
        capture(&[
            ("api.test", "/orders", ""),
            ("api.test", "/old", ""),
            ("api.test", "/debug", ""),
            ("b.test", "/x", ""),
        ]),
    );
    let state = scratch.path("state");
    let table = run(&["replay", "-q", &file, "--state", &state, "--config", &config]);
    assert!(table.lines().any(|line| line.contains("/debug") && line.contains("shadow")), "{table}");
    let all = endpoints(&state, &config, &[]);
    let status: Vec<(&str, &str)> = all
        .iter()
        .map(|row| (row["route"].as_str().unwrap(), row["specification"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(status, [("/debug", "shadow"), ("/old", "zombie"), ("/orders", "documented"), ("/x", "unmanaged")]);
    assert_eq!(all[2]["specification"]["operation_id"], "listOrders");
    let shadows = endpoints(&state, &config, &["--filter", "specification=shadow"]);
    assert_eq!(shadows.len(), 1);
    let diff: Value =
        serde_json::from_str(&run(&["diff", "--state", &state, "--config", &config, "--format", "json"])).unwrap();
    assert_eq!((&diff["counts"]["shadow"], &diff["counts"]["zombie"]), (&1.into(), &1.into()));
    // Without specifications nothing is said.
    let plain = scratch.write("plain.toml", "");
    assert!(endpoints(&state, &plain, &[])[0]["specification"].is_null());

    let told = |args: &[&str]| {
        let output = umbra(args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = told(&["check", "--config", &config]);
    assert_eq!((code, text.contains("1 specification with 2 operations")), (Some(0), true), "{text}");
    // One that is broken is told, and the rest used.
    scratch.write("specs/broken.yaml", "openapi: 3.1.0\npaths: [");
    let (code, text) = told(&["check", "--config", &config]);
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("broken.yaml") && text.contains("with 2 operations"), "{text}");
    assert_eq!(told(&["replay", "-q", &file, "--config", &config]).0, Some(0));
    let missing = scratch.write("missing.toml", "[[spec]]\npath = \"/nowhere/specs\"\n");
    let (code, text) = told(&["check", "--config", &missing]);
    assert_eq!(code, Some(66));
    assert_eq!(text, "umbra: [[spec]] 1: path: /nowhere/specs: No such file or directory (os error 2)\n");
}
