//! Styles and operations against the conformance sets, and hostile bodies.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use serde_json::Value;
use umbra_discovery::schema::Sample;
use umbra_discovery::style::{Classified, Facts, Style, classify};
use umbra_http::{HeaderBlock, KnownHeader};

fn cases(set: &str) -> Option<Vec<Value>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("UMBRA_SHARED").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(shared.join("conformance").join(set).join("cases.jsonl")) else {
        eprintln!("skipped: no conformance/{set}");
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn headers(fields: &[(&str, &str)]) -> HeaderBlock {
    let mut block = HeaderBlock::default();
    for (name, value) in fields {
        let known = match *name {
            "host" => KnownHeader::Host,
            "content-type" => KnownHeader::ContentType,
            "accept" => KnownHeader::Accept,
            "authorization" => KnownHeader::Authorization,
            _ => KnownHeader::Other,
        };
        block.push(known, name.as_bytes(), value.as_bytes());
    }
    block
}

fn headers_of(message: &Value) -> HeaderBlock {
    let fields = message["headers"].as_object().into_iter().flatten();
    let fields: Vec<(&str, &str)> = fields.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    headers(&fields)
}

fn split(target: &str) -> (&[u8], Option<&[u8]>) {
    match target.split_once('?') {
        Some((path, query)) => (path.as_bytes(), Some(query.as_bytes())),
        None => (target.as_bytes(), None),
    }
}

fn sample(body: &Value) -> Option<Sample<'_>> {
    body.as_str().map(|body| Sample { bytes: body.as_bytes(), cut: false })
}

#[test]
fn graphql_conformance_set() {
    let Some(cases) = cases("graphql") else { return };
    assert_eq!(cases.len(), 38);
    for case in &cases {
        let (path, query) = split(case["target"].as_str().unwrap_or("/graphql"));
        let kind = case["content_type"].as_str();
        let request_headers = headers(&kind.map(|kind| ("content-type", kind)).into_iter().collect::<Vec<_>>());
        let messages: Vec<&[u8]> =
            case["messages"].as_array().into_iter().flatten().map(|m| m["text"].as_str().unwrap().as_bytes()).collect();
        let facts = Facts {
            method: case["method"].as_str().unwrap_or("GET").as_bytes(),
            path,
            query,
            request_headers: Some(&request_headers),
            request_body: sample(&case["body"]),
            websocket: case["transport"] == "websocket",
            socket_messages: &messages,
            ..Facts::default()
        };
        let found = classify(&facts);
        let (id, expected) = (&case["id"], &case["expected"]);
        assert_eq!(found.style == Style::GraphQl, expected["graphql"] == true, "{id}: {found:?}");
        assert_eq!(found.batch, expected["batch"] == true, "{id}");
        let operations: Vec<Value> = found
            .operations
            .iter()
            .map(|o| serde_json::json!({"type": o.kind.map(|kind| kind.name()), "name": o.name, "root_fields": o.targets}))
            .collect();
        assert_eq!(Value::from(operations), expected["operations"], "{id}");
        assert_eq!(found.persisted_hash.as_deref(), expected["persisted_hash"].as_str(), "{id}");
        assert_eq!(found.parse_error, expected["parse_error"] == true, "{id}");
        assert_eq!(found.introspection, id.as_str().unwrap().starts_with("introspection"), "{id}");

        // Cut anywhere: no panic, and no other style than without the cut, or REST.
        for end in (0..facts.request_body.map_or(0, |body| body.bytes.len())).step_by(7) {
            let cut = facts.request_body.map(|body| Sample { bytes: &body.bytes[..end], cut: true });
            let found = classify(&Facts { request_body: cut, ..facts });
            assert!(matches!(found.style, Style::GraphQl | Style::Rest), "{id} cut at {end}: {found:?}");
        }
    }
}

fn protocol(found: &Classified) -> &'static str {
    match (found.style, found.llm) {
        (Style::Mcp, _) => "mcp",
        (Style::JsonRpc, _) => "json-rpc",
        (Style::Llm, Some(api)) => api.name(),
        _ => "none",
    }
}

fn operation(found: &Classified) -> Value {
    match protocol(found) {
        "none" => Value::Null,
        _ if found.batch => "batch".into(),
        _ => found.operations[0].name.clone().into(),
    }
}

#[test]
fn mcp_and_llm_conformance_set() {
    let Some(cases) = cases("mcp-llm") else { return };
    assert_eq!(cases.len(), 41);
    for case in &cases {
        let (id, expected) = (case["id"].as_str().unwrap(), &case["expected"]);
        let (request, response) = (&case["request"], &case["response"]);
        let (path, query) = split(request["target"].as_str().unwrap());
        let (request_headers, response_headers) = (headers_of(request), headers_of(response));
        let alone = Facts {
            method: request["method"].as_str().unwrap().as_bytes(),
            authority: request["headers"]["host"].as_str().unwrap().as_bytes(),
            path,
            query,
            request_headers: Some(&request_headers),
            request_body: sample(&request["body"]),
            ..Facts::default()
        };
        let whole = Facts {
            status: response["status"].as_u64().unwrap() as u16,
            response_headers: Some(&response_headers),
            response_body: sample(&response["body"]),
            ..alone
        };
        for facts in [&whole, &alone] {
            let found = classify(facts);
            assert_eq!(protocol(&found), expected["protocol"], "{id}: {found:?}");
            assert_eq!(operation(&found), expected["operation"], "{id}");
            assert_eq!(found.model.as_deref(), expected["model"].as_str(), "{id}");
        }

        let found = classify(&whole);
        let check = |name: &str, value: Value| {
            if !expected[name].is_null() {
                assert_eq!(value, expected[name], "{id} {name}: {found:?}");
            }
        };
        check("stream", found.stream.into());
        check("tools_called", found.tools_called.clone().into());
        check("tools_offered", found.tools_offered.clone().into());
        check("tools_listed", found.tools_listed.clone().into());
        check("response_model", found.response_model.clone().into());
        check("tokens_in", found.tokens_in.into());
        check("tokens_out", found.tokens_out.into());
        check("rpc_error", found.rpc_error.into());
        check("tool_error", found.tool_error.into());
        check("protocol_version", found.protocol_version.clone().into());
        check("client", found.client.clone().into());
        check("server", found.server.clone().into());
        let names: Vec<_> =
            found.operations.iter().map(|operation| operation.name.clone().unwrap_or_default()).collect();
        check("operations", names.into());

        // An event stream cut at any byte keeps its protocol, operation and model.
        let body = response["body"].as_str().unwrap_or_default().as_bytes();
        for end in 0..body.len() {
            let cut = Facts { response_body: Some(Sample { bytes: &body[..end], cut: true }), ..whole };
            let found = classify(&cut);
            if found.stream || end == body.len() - 1 {
                assert_eq!(
                    (protocol(&found), operation(&found)),
                    (expected["protocol"].as_str().unwrap(), expected["operation"].clone()),
                    "{id} cut at {end}"
                );
            }
        }
    }
}

/// One request with these fields and body.
fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Classified {
    let (path, query) = split(target);
    let block = headers(fields);
    let facts = Facts {
        method: method.as_bytes(),
        path,
        query,
        request_headers: Some(&block),
        request_body: (!body.is_empty()).then_some(Sample { bytes: body.as_bytes(), cut: false }),
        ..Facts::default()
    };
    classify(&facts)
}

#[test]
fn soap_actions() {
    let envelope = "<?xml version='1.0'?><s:Envelope xmlns:s='x'><s:Header><a/></s:Header><s:Body><m:GetPrice xmlns:m='y'><b/></m:GetPrice></s:Body></s:Envelope>";
    for (fields, body) in [
        ([("content-type", "text/xml"), ("soapaction", "\"urn:shop#GetPrice\"")], envelope),
        ([("content-type", "text/xml"), ("soapaction", "\"\"")], envelope),
        ([("content-type", "application/soap+xml; action=\"http://x.example/GetPrice\""), ("x", "")], ""),
        ([("content-type", "text/xml"), ("x", "")], envelope),
    ] {
        let found = request("POST", "/ws", &fields, body);
        assert_eq!((found.style, found.operation().as_deref()), (Style::Soap, Some("GetPrice")), "{fields:?}");
    }
    assert_eq!(request("POST", "/ws", &[("content-type", "text/xml")], "<order/>").style, Style::Rest);
}

#[test]
fn pages_and_files_are_set_aside() {
    let style = |path: &str, status, kind: &str| {
        let (request, response) = (headers(&[("accept", "text/html,*/*")]), headers(&[("content-type", kind)]));
        let facts = Facts {
            method: b"GET",
            path: path.as_bytes(),
            status,
            request_headers: Some(&request),
            response_headers: Some(&response),
            ..Facts::default()
        };
        classify(&facts).style
    };
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/app.3f2a.js", 200, "application/javascript"),
        ("/logo.png", 304, ""),
        ("/style.css", 200, "text/css"),
        ("/about", 404, "text/html"),
        ("/favicon.ico", 200, "image/x-icon"),
    ] {
        assert_eq!(style(path, status, kind), Style::Web, "{path}");
    }
    for (path, status, kind) in [
        ("/users", 200, "application/json"),
        ("/users/7.json", 200, "application/json"),
        ("/api/users/7/avatar", 200, "image/png"),
        ("/export", 200, "text/csv"),
        ("/users", 204, ""),
        ("/v1.js", 200, "application/json"),
    ] {
        assert_eq!(style(path, status, kind), Style::Rest, "{path}");
    }
}

#[test]
fn an_operation_in_one_line() {
    let json = [("content-type", "application/json")];
    let of = |path: &str, body: &str| request("POST", path, &json, body).operation();
    assert_eq!(of("/graphql", r#"{"query": "query GetUser { user { id } }"}"#).as_deref(), Some("query GetUser"));
    assert_eq!(of("/graphql", r#"{"query": "{ a b }"}"#).as_deref(), Some("query a,b"));
    assert_eq!(of("/rpc", r#"{"jsonrpc": "2.0", "id": 1, "method": "eth_call"}"#).as_deref(), Some("eth_call"));
    let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_weather", "arguments": {"name": "x"}}}"#;
    assert_eq!(of("/mcp", call).as_deref(), Some("tools/call get_weather"));
    assert_eq!(of("/users", r#"{"name": "x"}"#), None);
}

#[test]
fn f067_hostile_batches_are_capped() {
    let json = [("content-type", "application/json")];
    let batch = format!("[{}]", vec![r#"{"query":"{ a }"}"#; 10_000].join(","));
    let found = request("POST", "/graphql", &json, &batch);
    assert_eq!((found.operations.len() as u64 + found.more_operations, found.operations.len()), (10_000, 32));
    let calls = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#; 10_000].join(","));
    let found = request("POST", "/rpc", &json, &calls);
    assert_eq!((found.style, found.operations.len()), (Style::JsonRpc, 32));
    for body in ["[".repeat(100_000), "{\"query\":".repeat(100_000), "{\"jsonrpc\":{\"params\":".repeat(50_000)] {
        assert_eq!(request("POST", "/rpc", &json, &body).style, Style::Rest);
        request("POST", "/v1/chat/completions", &json, &body);
    }
}

#[test]
fn f076_names_that_hold_personal_data_are_not_kept() {
    let json = [("content-type", "application/json")];
    let shown = |path: &str, body: &str| format!("{:?}", request("POST", path, &json, body));
    for (path, body) in [
        ("/rpc", r#"{"jsonrpc":"2.0","method":"jane@mail.example","params":{"name":"4111111111111111"}}"#),
        ("/mcp", r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"jane@mail.example"}}"#),
        (
            "/graphql",
            r#"{"query":"query sk_live_abcdEFGH1234ijkl5678 { user4111111111111111 }","operationName":"jane@mail.example"}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"jane@mail.example","messages":[],"tools":[{"name":"4111111111111111"}]}"#,
        ),
        ("/v1/chat/completions", r#"{"model":"sk-abcdEFGH1234ijkl5678mnop","messages":[]}"#),
    ] {
        let found = shown(path, body);
        for value in ["jane", "4111", "sk_live", "sk-abcd"] {
            assert!(!found.contains(value), "{found}");
        }
    }
}
