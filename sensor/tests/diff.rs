//! `umbra diff` and `umbra check --spec` on the demo capture.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::umbra;

/// What the shop of the demo capture might document: some of it, some that is gone, some that never was.
const SPEC: &str = "
openapi: 3.1.0
info: {title: Shop, version: '1.0'}
servers: [{url: https://api.shop.example/v1}]
paths:
  /products: {get: {responses: {'200': {description: ok}}}}
  /products/{productId}:
    parameters: [{name: productId, in: path, required: true, schema: {type: string}}]
    get: {operationId: product, responses: {'404': {description: not there}}}
    put: {responses: {'200': {description: ok}}}
  /carts: {post: {responses: {'201': {description: ok}, '200': {description: ok}}}}
  /carts/{cart}/items: {get: {responses: {'200': {description: ok}}}}
  /orders: {post: {deprecated: true, responses: {default: {description: ok}}}}
";

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/demo/capture.pcap")
}

fn diff(spec: &str, options: &[&str]) -> std::process::Output {
    let (capture, binding) = (demo(), spec.to_string());
    let mut args = vec!["diff", capture.to_str().unwrap(), "--spec", &binding, "-q"];
    args.extend(options);
    umbra(&args)
}

fn spec() -> String {
    support::temporary("shop.yaml", SPEC).to_str().unwrap().to_string()
}

/// `kind METHOD host template`.
fn lines(document: &Value) -> BTreeSet<String> {
    let findings = document["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_string();
    findings
        .iter()
        .map(|finding| ["kind", "method", "host", "template"].map(|key| text(finding, key)).join(" "))
        .filter(|line| line.contains("api.shop.example /v1"))
        .collect()
}

#[test]
fn findings_of_the_demo_capture() {
    let output = diff(&spec(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = lines(&document);
    for expected in [
        "shadow POST api.shop.example /v1/carts/{cart}/items",
        "shadow GET api.shop.example /v1/live",
        "zombie POST api.shop.example /v1/orders",
        "drift GET api.shop.example /v1/products/{productId}",
        "orphan PUT api.shop.example /v1/products/{productId}",
        "orphan GET api.shop.example /v1/carts/{cart}/items",
    ] {
        assert!(found.contains(expected), "{expected} is not in {found:#?}");
    }
    let of_both = |line: &&String| line.ends_with("/v1/products") || line.ends_with("/v1/carts");
    // Documented; but nothing is said of what they take and answer.
    assert!(found.iter().filter(of_both).all(|line| line.starts_with("drift")), "{found:#?}");
    let findings = document["findings"].as_array().unwrap();
    let of_product = |finding: &&Value| finding["operation"]["operation_id"] == "product";
    let drift = findings.iter().find(of_product).unwrap()["drift"].as_array().unwrap();
    assert!(drift.iter().any(|drift| drift["kind"] == "undocumented_status"), "{drift:?}");
    let unmanaged = findings.iter().filter(|finding| finding["kind"] == "unmanaged");
    let hosts: BTreeSet<&str> = unmanaged.map(|finding| finding["host"].as_str().unwrap()).collect();
    assert!(hosts.contains("legacy.shop.example"), "{hosts:?}");
    assert_eq!(document["counts"]["zombie"], 1);
    assert_eq!(document["documented"], 3);
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_workers() {
    let one = diff(&spec(), &["--format", "json", "--workers", "1"]);
    let two = diff(&spec(), &["--format", "json", "--workers", "2"]);
    assert_eq!(one.stdout, two.stdout);
}

#[test]
fn a_kept_inventory_gives_the_same_answer() {
    let state = Path::new(&spec()).parent().unwrap().join("state");
    let state = state.to_str().unwrap();
    let output = umbra(&["replay", demo().to_str().unwrap(), "--state", state, "--format", "none", "-q"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = umbra(&["diff", "--state", state, "--spec", &spec(), "--format", "json"]);
    assert_eq!(kept.stdout, diff(&spec(), &["--format", "json"]).stdout);
    // One or the other.
    assert_eq!(diff(&spec(), &["--state", state]).status.code(), Some(64));
    assert_eq!(umbra(&["diff", "--spec", &spec()]).status.code(), Some(64));
}

#[test]
fn the_exit_code_says_what_was_asked() {
    for (options, expected) in [
        (&["--fail-on", "shadow,zombie"][..], 1),
        (&["--fail-on", "any", "--format", "table"], 1),
        (&["--fail-on", "orphan"], 1),
        (&[], 0),
        (&["--fail-on", "nothing"], 64),
    ] {
        let output = diff(&spec(), options);
        assert_eq!(output.status.code(), Some(expected), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Bound to a host that was not seen: what could not be seen is not missing.
    let output = diff(&format!("{}=other.test", spec()), &["--fail-on", "orphan,shadow"]);
    assert_eq!(output.status.code(), Some(0));
    let output = diff(&format!("{}=other.test", spec()), &["--fail-on", "unmanaged"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sarif_and_table() {
    let output = diff(&spec(), &["--format", "sarif"]);
    let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules: BTreeSet<&str> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let results = run["results"].as_array().unwrap();
    assert!(results.iter().all(|result| rules.contains(result["ruleId"].as_str().unwrap())));
    let prints: BTreeSet<&str> =
        results.iter().map(|result| result["partialFingerprints"]["endpoint/v1"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), results.len());
    let output = diff(&spec(), &[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("FINDING") && table.contains("undocumented status at response 200"), "{table}");
    assert!(table.trim_end().lines().last().unwrap().contains("1 zombie"), "{table}");
}

#[test]
fn a_specification_that_cannot_be_read_is_one_line_and_the_rest_is_used() {
    let good = spec();
    let folder = Path::new(&good).parent().unwrap().join("specs");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.yaml"), SPEC).unwrap();
    std::fs::write(folder.join("broken.json"), "{\"openapi\": \"3.0.0\", \"paths\": {\"/a\": }").unwrap();
    std::fs::write(folder.join("other.json"), "{}").unwrap();
    let output = diff(folder.to_str().unwrap(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(65));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("broken.json#/paths/~1a: not JSON"), "{stderr}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(lines(&document).contains("zombie POST api.shop.example /v1/orders"));
    // A folder without any, a file that is not there, a file that is none.
    let empty = folder.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    assert_eq!(diff(empty.to_str().unwrap(), &[]).status.code(), Some(66));
    assert_eq!(diff("no-such-file.yaml", &[]).status.code(), Some(66));
    assert_eq!(diff(folder.join("other.json").to_str().unwrap(), &[]).status.code(), Some(65));
}

#[test]
fn f067_a_reference_opens_nothing_outside_its_folder() {
    let root = Path::new(&spec()).parent().unwrap().join("outside");
    std::fs::create_dir_all(root.join("specs/v1")).unwrap();
    std::fs::create_dir_all(root.join("specs/common")).unwrap();
    let item = "get: {operationId: from-a-file, responses: {default: {description: x}}}";
    std::fs::write(root.join("specs/common/item.yaml"), item).unwrap();
    std::fs::write(root.join("secret.yaml"), item).unwrap();
    let text = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\nservers: [{url: 'https://h.test'}]\npaths:\n  /a: {$ref: '../common/item.yaml'}\n  /b: {$ref: '../../secret.yaml'}\n  /c: {$ref: '/etc/hostname'}\n";
    let path = root.join("specs/v1/api.yaml");
    std::fs::write(&path, text).unwrap();
    let output = umbra(&["check", "--spec", path.to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("3 operations, 2 flaws"), "{stderr}");
    assert_eq!(output.status.code(), Some(0));
    let output = umbra(&["check", "--spec", "no-such-file.yaml"]);
    assert_eq!(output.status.code(), Some(66));
}

#[test]
fn a_specification_without_a_host_is_not_compared_silently() {
    let text = SPEC.replace("https://api.shop.example/v1", "/v1");
    let path = support::temporary("relative.yaml", &text);
    let path = path.to_str().unwrap();
    let output = diff(path, &["--format", "json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("names no host"), "{stderr}");
    let output = diff(&format!("{path}=api.shop.example"), &["--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["counts"]["zombie"], 1);
}
