//! Definitions that services publish: found, told, and kept only if the operator allows it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::umbra;
use umbra_testkit::{Conversation, pcap_file};
use umbra_wire::LinkType;

const CANARY: &str = "s3cr3t-canary-9f";

fn document(paths: &str) -> String {
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"{CANARY}","version":"1","description":"{CANARY}"}},"servers":[{{"url":"https://admin:{CANARY}@{CANARY}.corp.test/v1"}}],"paths":{{{paths}}}}}"#
    )
}

fn operation(path: &str) -> String {
    format!(
        r#""{path}":{{"get":{{"parameters":[{{"name":"key","in":"query","schema":{{"type":"string","default":"{CANARY}","enum":["{CANARY}"]}},"example":"{CANARY}"}}],"responses":{{"200":{{"description":"{CANARY}"}}}}}}}}"#
    )
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("published-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
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

/// Requests of one client with their answers: method, host, target, request body, type and body of the answer.
fn capture(exchanges: &[(&str, &str, &str, &str, &str, &str)]) -> Vec<u8> {
    let mut conversation = Conversation::new();
    for (method, host, target, asked, kind, answer) in exchanges {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{asked}",
            asked.len()
        );
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
    }
    let trace = conversation.build();
    pcap_file(LinkType::ETHERNET, trace.packets().map(|packet| (packet.time, packet.wire_len, packet.data)))
}

fn run(args: &[&str]) -> String {
    let output = umbra(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn rows(state: &str, config: &str) -> Vec<Value> {
    let text = run(&["inventory", "--state", state, "--config", config, "--format", "json"]);
    serde_json::from_str::<Value>(&text).unwrap()["endpoints"].as_array().unwrap().clone()
}

fn of<'a>(rows: &'a [Value], host: &str, route: &str) -> &'a Value {
    rows.iter()
        .find(|row| row["host"] == host && row["route"] == route)
        .unwrap_or_else(|| panic!("{host}{route}: {rows:#?}"))
}

#[test]
fn definitions_on_the_wire_are_found_whatever_they_are() {
    let scratch = Scratch::new("found");
    let openapi = document(&operation("/orders"));
    let swagger = r#"{"swagger":"2.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"responses":{}}}}}"#;
    let wsdl = r#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><portType name="P"/></definitions>"#;
    let graphql = r#"{"query":"query Q { __schema { types { name } } }"}"#;
    let schema = r#"{"data":{"__schema":{"types":[{"name":"Query"}]}}}"#;
    let mcp = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"weather","inputSchema":{"type":"object"}}]}}"#;
    let json = "application/json";
    let file = scratch.write(
        "traffic.pcap",
        capture(&[
            ("GET", "a.test", "/openapi.json", "", json, &openapi),
            ("GET", "b.test", "/v3/api-docs", "", json, &openapi),
            ("GET", "c.test", "/docs/swagger", "", json, swagger),
            ("GET", "c.test", "/openapi.yaml", "", "application/yaml", "openapi: 3.0.0\npaths: {}\n"),
            ("GET", "d.test", "/service?wsdl", "", "text/xml", wsdl),
            ("POST", "e.test", "/graphql", graphql, json, schema),
            ("POST", "f.test", "/mcp", mcp, json, tools),
            // Not one: a page for everything, data that is called so.
            ("GET", "g.test", "/openapi.json", "", "text/html", "<html></html>"),
            ("GET", "g.test", "/swagger.json", "", json, r#"{"error":"none"}"#),
            ("GET", "g.test", "/plans?wsdl", "", json, r#"{"paths":1}"#),
        ]),
    );
    let config = scratch.write("umbra.toml", "");
    let state = scratch.path("state");
    let table = run(&["replay", "-q", &file, "--state", &state, "--config", &config]);
    assert!(table.contains("publishes openapi") && table.contains("publishes mcp tools"), "{table}");
    let rows = rows(&state, &config);
    let mut found: Vec<(&str, &str)> =
        rows.iter().filter_map(|row| Some((row["host"].as_str()?, row["publishes"].as_str()?))).collect();
    found.sort_unstable();
    let expected = [
        ("a.test", "openapi"),
        ("b.test", "openapi"),
        ("c.test", "openapi"),
        ("c.test", "openapi"),
        ("d.test", "wsdl"),
        ("e.test", "graphql"),
        ("f.test", "mcp_tools"),
    ];
    assert_eq!(found, expected, "{rows:#?}");
    // Nothing was allowed, so nothing is compared.
    assert!(rows.iter().all(|row| row["specification"].is_null()));
}

#[test]
fn f076_what_is_kept_of_a_definition_is_its_structure_and_only_if_allowed() {
    let scratch = Scratch::new("kept");
    let json = "application/json";
    let openapi = document(&operation("/orders"));
    let long = document(&(0..900).map(|n| operation(&format!("/long{n}"))).collect::<Vec<_>>().join(","));
    assert!(long.len() > 64 * 1024);
    let exchanges = [
        ("GET", "a.test", "/openapi.json", "", json, openapi.as_str()),
        ("GET", "a.test", "/v1/orders", "", json, "{}"),
        ("GET", "a.test", "/v1/debug", "", json, "{}"),
        ("GET", "b.test", "/openapi.json", "", json, long.as_str()),
        ("GET", "b.test", "/v1/long1", "", json, "{}"),
        ("GET", "c.test", "/openapi.json", "", json, r#"{"openapi":"3.0.0","paths":["#),
    ];
    let file = scratch.write("traffic.pcap", capture(&exchanges));
    let plain = scratch.write("plain.toml", "");
    let config = scratch.write("umbra.toml", "[specs]\nkeep_from_wire = true\n");

    let state = scratch.path("not-allowed");
    run(&["replay", "-q", &file, "--state", &state, "--config", &plain]);
    assert!(rows(&state, &config).iter().all(|row| row["specification"].is_null()));

    for workers in ["1", "2"] {
        let state = scratch.path(&format!("allowed-{workers}"));
        run(&["replay", "-q", &file, "--state", &state, "--config", &config, "--workers", workers]);
        let kept = rows(&state, &config);
        let status = |host: &str, route: &str| of(&kept, host, route)["specification"]["status"].clone();
        assert_eq!(status("a.test", "/v1/orders"), "documented");
        assert_eq!(status("a.test", "/v1/debug"), "shadow");
        // Longer than the sample of a body, or no specification: told, not kept.
        assert_eq!(of(&kept, "b.test", "/openapi.json")["publishes"], "openapi");
        assert_eq!(status("b.test", "/v1/long1"), "unmanaged");
        let text = run(&["inventory", "--state", &state, "--config", &config, "--format", "json"]);
        let left_out = serde_json::from_str::<Value>(&text).unwrap()["left_out"]["definitions"].clone();
        assert_eq!(left_out, serde_json::json!({ "too_long": 1, "cut": 0, "unreadable": 1, "overflow": 0 }));
        let table = run(&["inventory", "--state", &state, "--config", &config]);
        assert!(table.contains("2 answers with definitions not kept: 1 too long, 1 unreadable"), "{table}");
        assert!(rows(&state, &plain).iter().all(|row| row["specification"].is_null()), "allowed no more");
        for entry in std::fs::read_dir(&state).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
        }
    }
}
