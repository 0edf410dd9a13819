//! What was observed as a contract: `umbra inventory --format openapi`, and drift in `umbra diff`.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::umbra;
use umbra_openapi::{Bound, DriftKind, Limits, Observed, Operation, Schema, Schemas, Spec, SpecSet, Status, read};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// A new directory of this process.
fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn run(args: &[&str]) -> String {
    let output = umbra(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The state directory of a run over a capture.
fn state(folder: &Path, capture: &Path) -> String {
    let state = folder.join("state").to_str().unwrap().to_owned();
    run(&["replay", "-q", capture.to_str().unwrap(), "--state", &state, "--format", "none"]);
    state
}

fn export(state: &str) -> String {
    run(&["inventory", "--state", state, "--format", "openapi"])
}

fn parse(text: &str) -> Spec {
    let spec = read("exported.json", text.as_bytes(), &Limits::default(), &mut |_| None).unwrap();
    assert!(spec.issues.is_empty(), "{:?}", spec.issues);
    spec
}

#[test]
fn every_kind_of_drift_is_named_and_no_value_with_it() {
    let (capture, spec) = (testdata("contract/capture.pcap"), testdata("contract/spec.yaml"));
    let diff = |format| {
        let (capture, spec) = (capture.to_str().unwrap(), spec.to_str().unwrap());
        run(&["diff", capture, "--spec", spec, "-q", "--format", format])
    };
    let document: Value = serde_json::from_str(&diff("json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    for finding in document["findings"].as_array().unwrap() {
        assert_eq!(finding["kind"], "drift", "{finding}");
        for drift in finding["drift"].as_array().unwrap() {
            let name = format!("{} {}", text(&finding["method"]), text(&drift["kind"]));
            found.insert(format!(
                "{name}: {}: {} → {}",
                text(&drift["place"]),
                text(&drift["documented"]),
                text(&drift["observed"])
            ));
        }
    }
    let expected = [
        "GET auth_scheme: security: apiKey X-Api-Key in header → http bearer",
        "GET auth_scheme: security: apiKey X-Api-Key in header → none",
        "GET missing_required: query full: required → never there",
        "GET missing_required: response 200 application/json /state: required → never there",
        "GET type_change: response 200 application/json /id: integer → string",
        "GET undocumented_field: response 200 application/json /discount:  → integer",
        "GET undocumented_parameter: header x-tenant:  → string",
        "GET undocumented_parameter: query expand:  → string",
        "POST undocumented_content_type: request application/x-www-form-urlencoded: application/json → application/x-www-form-urlencoded",
        "POST undocumented_status: response 202: 201 → 202",
        "PUT missing_required: request application/json /item: required → never there",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(found, expected);
    assert_eq!(document["documented"], 5);
    let kinds: BTreeSet<&str> = found.iter().filter_map(|line| line.split([' ', ':']).nth(1)).collect();
    assert_eq!(kinds, DriftKind::ALL.iter().map(|kind| kind.name()).collect());
    for format in ["json", "table", "sarif"] {
        assert!(!diff(format).contains("CANARY"), "{format}");
    }
}

#[test]
fn an_observed_service_is_a_document_without_a_value() {
    let folder = scratch("document");
    let state = state(&folder, &testdata("contract/capture.pcap"));
    let text = export(&state);
    assert!(!text.contains("CANARY") && !text.contains("81001"), "{text}");
    validate(&folder, "contract", &text);
    let rows = run(&["inventory", "--state", &state, "--format", "json", "--filter", "route=/v1/orders/*"]);
    let rows: Value = serde_json::from_str(&rows).unwrap();
    let auth = json!({ "kinds": [{ "scheme": "bearer", "in": "header", "name": "authorization", "requests": 6 }], "none": 0, "of": 6 });
    assert_eq!(rows["endpoints"][0]["auth"], auth);
    let spec = parse(&text);
    let mut operations: Vec<&Operation> = spec.operations.iter().collect();
    operations.sort_by_key(|operation| (&operation.template, &operation.method));
    assert_eq!(operations.len(), 5);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["info"]["title"], "api.contract.example");
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    assert_eq!(schemes["header-x-api-key"]["name"], "x-api-key");
    let paths = document["paths"].as_object().unwrap();
    let at = |start: &str, method: &str| {
        let found = paths.iter().find(|(path, item)| path.starts_with(start) && item.get(method).is_some());
        found.map(|(_, item)| item[method].clone()).unwrap()
    };
    let order = at("/v1/orders/{", "get");
    assert_eq!(order["security"].to_string(), r#"[{"bearer":[]}]"#);
    let named = |operation: &Value| -> Vec<(String, String, bool)> {
        let of_query_or_header = |p: &&Value| p["in"] != "path";
        let one =
            |p: &Value| (p["in"].as_str().unwrap().into(), p["name"].as_str().unwrap().into(), p["required"] == true);
        operation["parameters"].as_array().unwrap().iter().filter(of_query_or_header).map(one).collect()
    };
    let line = |place: &str, name: &str| (place.to_owned(), name.to_owned(), true);
    assert_eq!(named(&order), [line("query", "expand"), line("header", "x-tenant")]);
    assert_eq!(order["x-umbra"]["requests"], 6);
    let body = &order["responses"]["200"]["content"]["application/json"];
    assert_eq!(body["example"].to_string(), r#"{"discount":1,"id":"string","total":1.5}"#);
    assert!(at("/v1/report", "get").get("security").unwrap().as_array().unwrap().is_empty());
    let form = at("/v1/orders", "post");
    assert!(form["requestBody"]["content"].get("application/x-www-form-urlencoded").is_some(), "{form}");
}

#[test]
fn services_go_to_files_or_one_to_stdout() {
    let folder = scratch("services");
    let state = state(&folder, &testdata("demo/capture.pcap"));
    let several = umbra(&["inventory", "--state", &state, "--format", "openapi"]);
    assert_eq!(several.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&several.stderr).contains("--host"), "{several:?}");
    let one = run(&["inventory", "--state", &state, "--format", "openapi", "--host", "API.shop.example"]);
    let output = folder.join("specs");
    run(&["inventory", "--state", &state, "--format", "openapi", "--output", output.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(output.join("api.shop.example.json")).unwrap(), one);
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(&output).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let operations = parse(&text).operations.len();
        assert!(operations > 0, "{}", path.display());
        validate(&folder, path.file_stem().unwrap().to_str().unwrap(), &text);
        documents.push((path, operations));
    }
    load(&documents);
    let none = umbra(&["inventory", "--state", &state, "--format", "openapi", "--host", "nobody.example"]);
    assert_eq!(none.status.code(), Some(66));
    let output = umbra(&["inventory", "--state", &state, "--output", "x"]);
    assert_eq!(output.status.code(), Some(64));
    // Of other formats, too.
    let table = run(&["inventory", "--state", &state, "--host", "legacy.shop.example"]);
    assert!(table.contains("legacy.shop.example") && !table.contains("api.shop.example"), "{table}");
}

#[test]
fn an_inventory_is_filtered_and_sorted() {
    let folder = scratch("select");
    let state = state(&folder, &testdata("demo/capture.pcap"));
    let rows = |options: &[&str]| -> Vec<Value> {
        let text = run(&[&["inventory", "--state", &state, "--format", "json"], options].concat());
        let document: Value = serde_json::from_str(&text).unwrap();
        document["endpoints"].as_array().unwrap().clone()
    };
    let all = rows(&[]);
    let some = rows(&["--filter", "route=/v1/*", "--filter", "method=get", "--filter", "confirmed=true"]);
    let wanted = |row: &&Value| {
        row["route"].as_str().unwrap().starts_with("/v1/") && row["method"] == "GET" && row["confirmed"] == true
    };
    assert!(!some.is_empty() && some.len() < all.len());
    assert_eq!(some, all.iter().filter(wanted).cloned().collect::<Vec<Value>>());
    let failed = rows(&["--filter", "status=4xx"]);
    assert!(!failed.is_empty() && failed.len() < all.len());
    let requests: Vec<u64> =
        rows(&["--sort", "requests"]).iter().map(|row| row["requests"].as_u64().unwrap()).collect();
    assert!(requests.len() == all.len() && requests.is_sorted_by(|a, b| a >= b), "{requests:?}");
    // Each host once, whatever the order.
    let table = run(&["inventory", "--state", &state, "--sort", "requests"]);
    assert_eq!(table.matches("METHOD").count(), run(&["inventory", "--state", &state]).matches("METHOD").count());
    // A tree has the same rows, each host once, in the order asked for.
    let tree = |options: &[&str]| run(&[&["inventory", "--state", &state, "--format", "tree"], options].concat());
    assert_eq!(tree(&["--sort", "requests"]).matches("METHOD").count(), table.matches("METHOD").count());
    let one = tree(&["--filter", "route=/v1/products*", "--sort", "errors"]);
    let lines: Vec<&str> =
        one.lines().skip(2).take(3).map(|line| line.split("GET").next().unwrap().trim_end()).collect();
    assert_eq!(lines, ["  └─ /v1/products", "     └─ /{product_id}", ""], "{one}");
    assert!(one.contains("200:32 404:4") && one.contains("jwt"), "{one}");
    let newest = all.iter().map(|row| row["last_seen"].as_str().unwrap().to_owned()).max().unwrap();
    let newest = format!("{}Z", &newest[..19]);
    let latest = rows(&["--since", &newest]);
    assert!(!latest.is_empty() && latest.len() < all.len());
    assert!(rows(&["--since", "1h"]).is_empty(), "the capture is older");
    for wrong in [["--since", "yesterday"], ["--filter", "colour=red"], ["--sort", "size"]] {
        assert_eq!(
            umbra(&[&["inventory", "--state", &state][..], &wrong].concat()).status.code(),
            Some(64),
            "{wrong:?}"
        );
    }
}

#[test]
fn sockets_of_two_inventories_are_added_up() {
    let states = ["sockets-a", "sockets-b"].map(|name| state(&scratch(name), &testdata("websocket/capture.pcap")));
    let sockets = |states: &[String]| {
        let states = states.iter().flat_map(|state| ["--state", state]);
        let args: Vec<&str> =
            ["inventory", "--format", "json", "--filter", "style=websocket"].into_iter().chain(states).collect();
        let rows: Value = serde_json::from_str(&run(&args)).unwrap();
        assert_eq!(rows["endpoints"].as_array().unwrap().len(), 1, "{rows}");
        rows["endpoints"][0]["sockets"].clone()
    };
    let of = |count: u64| {
        json!({
            "ended": count,
            "client": { "text": count, "binary": 0, "payload_bytes": 5 * count },
            "server": { "text": 2 * count, "binary": 0, "payload_bytes": 10 * count },
            "close_codes": { "1000": count },
            "deflate": 0,
            "partial": 0,
        })
    };
    assert_eq!(sockets(&states[..1]), of(1));
    assert_eq!(sockets(&states), of(2));
}

#[test]
fn no_secret_is_in_the_document() {
    let folder = scratch("secrets");
    let state = state(&folder, &testdata("secrets/capture.pcap"));
    let text = export(&state);
    assert!(!parse(&text).operations.is_empty());
    for canary in ["CANARY", "Q0FOQVJZ", "4111111111111111"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

/// Traffic that a generator makes from real specifications comes back as documents that validate, and what they say of parameters
/// and answers is in the specification.
#[test]
fn what_is_exported_of_five_services_is_in_their_specifications() {
    let shared = std::env::var_os("UMBRA_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let generator = shared.join("accuracy/specgen.py");
    if !generator.exists() {
        println!("skipped: {} is not there", generator.display());
        return;
    }
    let (mut parameters, mut fields) = (Share::default(), Share::default());
    let mut documents = Vec::new();
    for name in ["gotify", "qdrant", "harbor", "box", "svix"] {
        let folder = scratch(name);
        let mut command = Command::new("python3");
        command.arg(&generator).arg("--spec").arg(shared.join(format!("accuracy/specs/{name}.json.gz")));
        command
            .args(["--seed", "31", "--requests", "600", "--shadow", "0", "--zombie", "0", "--pcap", "--out"])
            .arg(&folder);
        let output = match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return println!("skipped: no python3"),
            output => output.unwrap(),
        };
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = export(&state(&folder, &folder.join("traffic.pcap")));
        validate(&folder, name, &text);
        let exported = parse(&text);
        assert!(exported.operations.len() >= 20, "{name}: {}", exported.operations.len());
        documents.push((folder.join(format!("{name}.validate.json")), exported.operations.len()));
        let bytes = std::fs::read(folder.join(format!("spec.{name}.modified.json"))).unwrap();
        let origin = read(name, &bytes, &Limits::default(), &mut |_| None).unwrap();
        let (of_parameters, of_fields) = precision(&exported, origin);
        println!("{name}: parameters {of_parameters:?}, fields {of_fields:?}");
        parameters.add(of_parameters);
        fields.add(of_fields);
    }
    println!("all: parameters {parameters:?} {:.4}, fields {fields:?} {:.4}", parameters.value(), fields.value());
    assert!(parameters.all > 100 && parameters.value() >= 0.98, "{parameters:?}");
    assert!(fields.all > 1000 && fields.value() >= 0.98, "{fields:?}");
    load(&documents);
}

/// How many of all are right.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: usize,
    wrong: usize,
}

impl Share {
    fn add(&mut self, other: Share) {
        self.all += other.all;
        self.wrong += other.wrong;
    }

    fn value(self) -> f64 {
        1.0 - self.wrong as f64 / self.all.max(1) as f64
    }
}

/// Query parameters, and members of the bodies of successful answers, that are in the specification.
fn precision(exported: &Spec, origin: Spec) -> (Share, Share) {
    let host = exported.title.clone();
    let set = SpecSet::new(vec![Bound { spec: origin, hosts: vec![host.clone()] }]);
    let observed: Vec<Observed> = exported
        .operations
        .iter()
        .map(|operation| Observed { host: host.clone(), operation: operation.clone(), ..Observed::default() })
        .collect();
    let report = set.compare(&observed, &exported.schemas, &[]);
    let (mut parameters, mut fields) = (Share::default(), Share::default());
    for (endpoint, verdict) in observed.iter().zip(&report.verdicts) {
        if verdict.operation.is_none() {
            continue;
        }
        assert_eq!(verdict.more_drift, 0);
        parameters.all += endpoint.operation.parameters.iter().filter(|it| it.location.name() == "query").count();
        let answers = endpoint.operation.responses.iter().filter(|it| matches!(it.status, Status::Code(200..=299)));
        let bodies = answers.flat_map(|answer| &answer.content).filter_map(|content| content.schema);
        fields.all += bodies.map(|id| members(&exported.schemas, exported.schemas.schema(id), 0)).sum::<usize>();
        for drift in &verdict.drift {
            let wrong = match drift.kind {
                DriftKind::UndocumentedParameter if drift.place.starts_with("query ") => &mut parameters.wrong,
                DriftKind::UndocumentedField if drift.place.starts_with("response 2") => &mut fields.wrong,
                _ => continue,
            };
            *wrong += 1;
            println!("  {} {}: {}", endpoint.operation.method, endpoint.operation.template, drift.place);
        }
    }
    (parameters, fields)
}

fn members(schemas: &Schemas, schema: Option<&Schema>, depth: usize) -> usize {
    let Some(schema) = schema.filter(|_| depth < 16) else { return 0 };
    let below = schema.properties.iter().map(|property| property.schema).chain(schema.items);
    schema.properties.len() + below.map(|id| members(schemas, schemas.schema(id), depth + 1)).sum::<usize>()
}

/// The folder with openapi-spec-validator and schemathesis (PyPI): `cargo xtask contract` and CI put them there.
fn tools(name: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("UMBRA_SPEC_TOOLS").map(PathBuf::from);
    if tools.is_none() {
        println!("skipped: {name}: UMBRA_SPEC_TOOLS is not set: see cargo xtask contract");
    }
    tools
}

/// Is it OpenAPI 3.1?
fn validate(folder: &Path, name: &str, text: &str) {
    let Some(tools) = tools(name) else { return };
    let path = folder.join(format!("{name}.validate.json"));
    std::fs::write(&path, text).unwrap();
    let output =
        Command::new(tools.join("openapi-spec-validator")).args(["--schema", "3.1"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
}

/// Has schemathesis read the documents, and make of each operation what it would test. Prints how many, a line for each document.
const LOAD: &str = r#"
import sys, schemathesis
for path in sys.argv[1:]:
    print(sum(bool(each.ok()) for each in schemathesis.openapi.from_path(path).get_all_operations()))
"#;

/// Does schemathesis load all operations of the documents?
fn load(documents: &[(PathBuf, usize)]) {
    let Some(tools) = tools("loading") else { return };
    let mut command = Command::new(tools.join("python"));
    let output = command.args(["-c", LOAD]).args(documents.iter().map(|(path, _)| path)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loaded = String::from_utf8(output.stdout).unwrap();
    let loaded: Vec<usize> = loaded.lines().map(|line| line.parse().unwrap()).collect();
    let expected: Vec<usize> = documents.iter().map(|(_, operations)| *operations).collect();
    assert_eq!(loaded, expected, "{documents:?}");
    println!("schemathesis: {} documents, {} operations", documents.len(), loaded.iter().sum::<usize>());
}
