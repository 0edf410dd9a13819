//! Feeds generated traffic (`traffic.jsonl` of the accuracy benchmark) to route inference and writes the endpoints.
//!
//! `cargo run --release -p umbra-discovery --example accuracy -- DIR…`: each DIR holds `traffic.jsonl` and gets `endpoints.json`.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;
use umbra_discovery::routes::{BodyFacts, BodyKind, Config, EndpointKind, Evidence, Routes, places};
use umbra_discovery::schema::ValueKey;

fn main() {
    for dir in std::env::args().skip(1) {
        run(&dir);
    }
}

fn run(dir: &str) {
    let truth: Option<Value> = std::env::var_os("TRACE")
        .and_then(|_| std::fs::read(format!("{dir}/truth.json")).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut labels: std::collections::HashMap<String, [u32; 2]> = std::collections::HashMap::new();
    let key = ValueKey::new([1, 2]);
    let mut routes = Routes::new(Config { key, ..Config::default() });
    let (mut request, mut response) = (BodyFacts::default(), BodyFacts::default());
    let file = BufReader::new(std::fs::File::open(format!("{dir}/traffic.jsonl")).unwrap());
    for (number, line) in file.lines().enumerate() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |name: &str| line[name].as_str();
        let target = text("path_with_query").unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(truth) = &truth
            && let Some(operation) = truth["requests"][number].as_u64()
            && line["status"].as_u64().unwrap() < 400
        {
            let template = truth["operations"][operation as usize]["template"].as_str().unwrap();
            for (place, segment) in
                places(path.as_bytes()).into_iter().zip(template.split('/').filter(|s| !s.is_empty()))
            {
                labels.entry(place).or_default()[usize::from(segment.contains('{'))] += 1;
            }
        }
        let mut query_names: Vec<u64> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| key.hash(pair.split('=').next().unwrap().as_bytes()))
            .collect();
        query_names.sort_unstable();
        query_names.dedup();
        let body = |name: &str| text(name).unwrap_or_default().as_bytes();
        request.clear();
        match BodyKind::of(text("request_content_type").map(str::as_bytes)) {
            BodyKind::Json => {
                request.read_json(&key, body("request_body"));
            }
            BodyKind::Form => request.read_form(&key, body("request_body")),
            _ => {}
        }
        response.clear();
        let is_json = BodyKind::of(text("response_content_type").map(str::as_bytes)) == BodyKind::Json
            && response.read_json(&key, body("response_body"));
        routes.observe(&Evidence {
            service: text("host").unwrap().as_bytes(),
            method: text("method").unwrap().as_bytes(),
            path: path.as_bytes(),
            status: line["status"].as_u64().unwrap() as u16,
            request_type: text("request_content_type").map(str::as_bytes),
            response_type: text("response_content_type").map(str::as_bytes),
            has_response_body: text("response_body").is_some(),
            query: &query_names,
            request_keys: &request.keys,
            response_keys: is_json.then_some(response.keys.as_slice()),
            values: &response.values,
            lot: line["id"].as_u64().unwrap(),
        });
    }
    let mut trace = std::env::var_os("TRACE").map(|_| Vec::new());
    let found = routes.explained(&[], &mut trace);
    if let Some(rows) = trace {
        let mut out = std::io::BufWriter::new(std::fs::File::create(format!("{dir}/trace.jsonl")).unwrap());
        for row in rows {
            let features: serde_json::Map<String, Value> =
                row.features.iter().map(|(name, value)| ((*name).to_owned(), serde_json::json!(value))).collect();
            let row = serde_json::json!({
                "truth": row.words.iter().map(|word| labels.get(word).copied().unwrap_or_default()).collect::<Vec<_>>(),
                "question": row.question, "words": row.words, "score": row.score, "features": features
            });
            writeln!(out, "{row}").unwrap();
        }
    }
    let endpoints: Vec<Value> = found
        .endpoints()
        .iter()
        .map(|endpoint| {
            serde_json::json!({"host": endpoint.service, "method": endpoint.method, "template": endpoint.template,
            "kind": match endpoint.kind { EndpointKind::Api => "api", EndpointKind::Static => "static" }})
        })
        .collect();
    let mut out =
        std::fs::File::create(format!("{dir}/{}", std::env::var("OUT").unwrap_or("endpoints.json".into()))).unwrap();
    out.write_all(&serde_json::to_vec_pretty(&endpoints).unwrap()).unwrap();
}
