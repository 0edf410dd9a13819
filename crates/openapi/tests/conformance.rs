//! Specifications of others, read as their truth says.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::{read_file, shared};
use umbra_openapi::{Bound, Found, Spec, SpecSet};

type Endpoint = (String, String, String, bool);

fn endpoints(spec: &Spec) -> BTreeSet<Endpoint> {
    let mut out = BTreeSet::new();
    for operation in &spec.operations {
        for base in spec.bases(operation) {
            out.insert((operation.method.clone(), base.to_string(), operation.template.clone(), operation.deprecated));
        }
    }
    out
}

#[test]
fn openapi_documents_read_as_their_truth_says() {
    let Some(folder) = shared("conformance/openapi") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for line in expected.lines() {
        let truth: Value = serde_json::from_str(line).unwrap();
        let file = truth["file"].as_str().unwrap();
        let spec = match read_file(&folder, file) {
            Ok(spec) => spec,
            Err(issue) => {
                wrong.push(issue.to_string());
                continue;
            }
        };
        let mut want = BTreeSet::new();
        for endpoint in truth["endpoints"].as_array().unwrap() {
            let text = |key: &str| endpoint[key].as_str().unwrap().to_string();
            for base in endpoint["bases"].as_array().unwrap() {
                let base = base.as_str().unwrap().to_string();
                want.insert((text("method"), base, text("template"), endpoint["deprecated"].as_bool().unwrap()));
            }
        }
        let got = endpoints(&spec);
        if got != want {
            let missing: Vec<_> = want.difference(&got).collect();
            let extra: Vec<_> = got.difference(&want).collect();
            wrong.push(format!("{file}: missing {missing:?}, too much {extra:?}"));
        }
        let count = |key: &str| truth[key].as_u64().unwrap() as usize;
        if spec.webhook_operations != count("webhooks") || spec.callback_operations != count("callback_operations") {
            wrong.push(format!("{file}: {} webhooks, {} callbacks", spec.webhook_operations, spec.callback_operations));
        }
        wrong.extend(spec.issues.iter().map(ToString::to_string));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(expected.lines().count(), 25);
}

/// Where a request leads: `METHOD template`, or what is known of it.
fn route(set: &SpecSet, host: &str, method: &str, path: &str) -> String {
    match set.request(host, method, path.as_bytes()) {
        Found::Operations(operations) => set.template(operations[0]).unwrap(),
        other => format!("{other:?}"),
    }
}

fn set(folder: &std::path::Path, file: &str) -> SpecSet {
    SpecSet::new(vec![Bound { spec: read_file(folder, file).unwrap(), hosts: Vec::new() }])
}

#[test]
fn requests_match_as_the_sets_readme_says() {
    let Some(folder) = shared("conformance/openapi") else { return };
    let overlap = set(&folder, "docs/own-30-overlap.yaml");
    for (path, expected) in [
        ("/v1/users/me", "/v1/users/me"),
        ("/v1/users/7", "/v1/users/{id}"),
        ("/v1/users/", "/v1/users/"),
        ("/v1/users", "/v1/users"),
        ("/v1/users?x=/y", "/v1/users"),
        ("/v1/users/me/posts/1", "/v1/users/me/posts/{postId}"),
        ("/v1/users/8/posts/1", "/v1/users/{id}/posts/{postId}"),
        ("/v1/users/settings", "/v1/users/{id}"),
        ("/v1/acme/settings", "/v1/{tenant}/settings"),
        ("/v1/acme/nothing", "NoPath"),
        ("/v2/users", "NoBase"),
    ] {
        assert_eq!(route(&overlap, "api.example.test", "GET", path), expected, "{path}");
    }
    assert_eq!(route(&overlap, "api.example.test", "DELETE", "/v1/users/me"), "NoMethod");
    assert_eq!(route(&overlap, "other.example.test", "GET", "/v1/users"), "NoHost");
    let templating = set(&folder, "docs/own-30-templating.yaml");
    for (method, path, expected) in [
        ("GET", "/reports/7.json", "/reports/{id}.json"),
        ("GET", "/reports/7.xml", "NoPath"),
        ("POST", "/jobs/x:cancel", "/jobs/{job-id}:cancel"),
        ("GET", "/files/a.tar.gz", "/files/{name}.{ext}"),
        ("GET", "/v2/things", "/v{version}/things"),
        ("GET", "/range/2024-01-01", "/range/{from}-{to}"),
        ("GET", "/a%20b/1", "/a%20b/{x}"),
        ("GET", "/caf%C3%A9/menu", "/caf\u{e9}/menu"),
    ] {
        assert_eq!(route(&templating, "api.example.test", method, path), expected, "{path}");
    }
    let servers = set(&folder, "docs/own-30-servers.yaml");
    for (host, method, path, expected) in [
        ("eu.example.test", "GET", "/v2/a", "/{basePath}/a"),
        ("us.example.test:8443", "GET", "/v9/a", "/{basePath}/a"),
        ("cn.example.test", "GET", "/v2/a", "NoHost"),
        ("path.example.test", "GET", "/pb/b", "/pb/b"),
        ("op.example.test", "POST", "/b", "/b"),
        ("op.example.test", "GET", "/b", "NoMethod"),
    ] {
        assert_eq!(route(&servers, host, method, path), expected, "{host} {path}");
    }
}

#[test]
fn a_specification_without_host_holds_where_the_operator_says() {
    let Some(folder) = shared("conformance/openapi") else { return };
    let spec = read_file(&folder, "docs/own-20-basepath-nohost.yaml").unwrap();
    let set = SpecSet::new(vec![Bound { spec: spec.clone(), hosts: Vec::new() }]);
    assert_eq!(set.unbound().count(), 1);
    let set = SpecSet::new(vec![Bound { spec, hosts: vec!["Api.example.test:80".into()] }]);
    assert_eq!(set.unbound().count(), 0);
    assert_eq!(route(&set, "api.example.test", "PUT", "/api/v1/users/1/avatar"), "/api/v1/users/{id}/avatar");
    // The port of a mirrored connection behind a proxy is not the API's.
    assert_eq!(route(&set, "api.example.test:8080", "GET", "/api/v1/users"), "/api/v1/users");
}

#[test]
fn all_specifications_of_the_benchmark_are_read() {
    let Some(folder) = shared("accuracy/specs") else { return };
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json.gz"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 26);
    for file in files {
        let spec = read_file(&folder, &file).unwrap();
        let truth: Value =
            serde_json::from_slice(&support::unpacked(std::fs::read(folder.join(&file)).unwrap())).unwrap();
        let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
        let items = truth["paths"].as_object().unwrap().values();
        let count: usize = items.map(|item| methods.iter().filter(|method| item.get(**method).is_some()).count()).sum();
        assert_eq!(spec.operations.len(), count, "{file}");
        println!("{file}: {} operations, {} schemas, {} issues", count, spec.schemas.len(), spec.issues.len());
        for issue in spec.issues.iter().take(5) {
            println!("  {issue}");
        }
        // Each documented operation is found by its own template.
        let set = SpecSet::new(vec![Bound { spec: spec.clone(), hosts: vec!["h.test".into()] }]);
        for (place, operation) in spec.operations.iter().enumerate() {
            for base in spec.bases(operation).take(1) {
                let template = format!("{}{}", base.path_pattern, operation.template);
                let Found::Operations(found) = set.observed("h.test", &operation.method, &template) else {
                    panic!("{file}: {} {template} is not found", operation.method);
                };
                assert!(found.iter().any(|found| found.operation as usize == place), "{file}: {template}");
            }
        }
    }
}
