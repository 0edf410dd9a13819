//! Compares an endpoint list with the modified specifications of the accuracy benchmark and writes the findings.
//!
//! `cargo run -p umbra-openapi --example conformance -- DIR…`: each DIR holds `spec.*.modified.json` and `endpoints.json`
//! (`[{"method", "host", "template", "kind"}]`) and gets `findings.json` for `score.py --conformance`. `traffic.jsonl` is
//! used, if it is there, to match requests one by one.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use umbra_openapi::{
    Bound, Coverage, Found, HostWindow, Limits, Observed, Operation, Schemas, Server, Spec, SpecSet, read,
};

fn main() {
    for dir in std::env::args().skip(1) {
        run(&dir);
    }
}

fn run(dir: &str) {
    let mut specs: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".modified.json"))
        .collect();
    specs.sort();
    let bound = specs.iter().map(|path| {
        let bytes = std::fs::read(path).unwrap();
        let spec = read(&path.to_string_lossy(), &bytes, &Limits::default(), &mut |_| None).unwrap();
        Bound { spec, hosts: Vec::new() }
    });
    let set = SpecSet::new(bound.collect());
    let endpoints: Vec<Value> =
        serde_json::from_slice(&std::fs::read(format!("{dir}/endpoints.json")).unwrap()).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_string();
    let apis = endpoints.iter().filter(|endpoint| endpoint["kind"].as_str().is_none_or(|kind| kind == "api"));
    let mut observed: Vec<Observed> = apis
        .map(|endpoint| Observed {
            host: text(endpoint, "host"),
            operation: Operation {
                method: text(endpoint, "method"),
                template: text(endpoint, "template"),
                ..Operation::default()
            },
            ..Observed::default()
        })
        .collect();
    let hosts: BTreeSet<&String> = observed.iter().map(|endpoint| &endpoint.host).collect();
    let windows: Vec<HostWindow> =
        hosts.into_iter().map(|host| HostWindow { host: host.clone(), coverage: Coverage::Whole }).collect();
    match_requests(dir, &set, &mut observed);
    let report = set.compare(&observed, &Schemas::default(), &windows);
    let seen = observed.iter().zip(&report.verdicts).map(|(endpoint, verdict)| {
        let operation = &endpoint.operation;
        json!({"kind": verdict.conformance.name(), "host": endpoint.host, "method": operation.method,
            "template": operation.template})
    });
    let orphans = report.orphans.iter().map(
        |orphan| json!({"kind": "orphan", "host": orphan.host, "method": orphan.method, "template": orphan.template}),
    );
    let findings: Vec<Value> = seen.chain(orphans).collect();
    std::fs::write(format!("{dir}/findings.json"), serde_json::to_vec(&findings).unwrap()).unwrap();
}

/// Says of each endpoint which operations its successful requests match.
fn match_requests(dir: &str, set: &SpecSet, observed: &mut [Observed]) {
    let Ok(traffic) = std::fs::read_to_string(format!("{dir}/traffic.jsonl")) else { return };
    // The inventory as a specification of its own finds the endpoint of a request.
    let hosts: BTreeSet<String> = observed.iter().map(|endpoint| endpoint.host.clone()).collect();
    let mut places: Vec<Vec<usize>> = Vec::new();
    let inventory = hosts.into_iter().map(|host| {
        let mine: Vec<usize> = (0..observed.len()).filter(|place| observed[*place].host == host).collect();
        let operations = mine.iter().map(|place| observed[*place].operation.clone()).collect();
        places.push(mine);
        let spec = Spec { operations, server_lists: vec![vec![Server::at("/")]], ..Spec::default() };
        Bound { spec, hosts: vec![host] }
    });
    let inventory = SpecSet::new(inventory.collect());
    for line in traffic.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        if request["status"].as_u64().unwrap() >= 400 {
            continue;
        }
        let text = |key: &str| request[key].as_str().unwrap();
        let find = |set: &SpecSet| set.request(text("host"), text("method"), text("path_with_query").as_bytes());
        let Found::Operations(endpoints) = find(&inventory) else { continue };
        let endpoint = &mut observed[places[endpoints[0].spec as usize][endpoints[0].operation as usize]];
        match find(set) {
            Found::Operations(operations) => {
                for operation in operations {
                    if !endpoint.matched.contains(&operation) {
                        endpoint.matched.push(operation);
                    }
                }
            }
            _ => endpoint.unmatched += 1,
        }
    }
}
