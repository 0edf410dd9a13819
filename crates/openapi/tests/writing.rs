//! What is written can be read again, is the same for the same model, and holds nothing that is not in the model.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{read_file, shared};
use umbra_openapi::{
    Additional, Content, Evidence, Limits, Location, Operation, Parameter, Property, RequestBody, Response, Schema,
    SecurityKind, SecurityScheme, Server, Spec, Status, Types, read, write,
};

fn again(text: &str) -> Spec {
    read("again.json", text.as_bytes(), &Limits::default(), &mut |_| None).unwrap()
}

/// A small inventory of one service.
fn inventory() -> Spec {
    let mut spec = Spec { title: "api.example.test".into(), version: "2024-02-29".into(), ..Spec::default() };
    spec.server_lists.push(vec![Server::at("https://api.example.test")]);
    let schemas = &mut spec.schemas;
    let id = schemas.add(Schema { types: Types::STRING, format: Some("uuid".into()), ..Schema::default() });
    let count = schemas.add(Schema {
        types: Types::INTEGER.with(Types::NULL),
        minimum: Some(0.0),
        maximum: Some(127.0),
        ..Schema::default()
    });
    let order = schemas.add(Schema {
        types: Types::OBJECT,
        properties: vec![
            Property { name: "count".into(), schema: count, required: false },
            Property { name: "id".into(), schema: id, required: true },
        ],
        ..Schema::default()
    });
    let orders = schemas.add(Schema { types: Types::ARRAY, items: Some(order), ..Schema::default() });
    let map = schemas.add(Schema { types: Types::OBJECT, additional: Additional::Shape(count), ..Schema::default() });
    spec.security_schemes = vec![
        SecurityScheme {
            name: "bearer token".into(),
            kind: SecurityKind::Http { scheme: "bearer".into(), bearer_format: Some("JWT".into()) },
        },
        SecurityScheme { name: "sigv4".into(), kind: SecurityKind::Other("aws_sigv4".into()) },
    ];
    let json = |schema| Content { media_type: "application/json".into(), schema: Some(schema) };
    let answer = |status, schema| Response { status, content: vec![json(schema)], headers: vec!["etag".into()] };
    let evidence = Evidence {
        confidence: 0.97,
        requests: 40,
        first_seen_ns: 0,
        last_seen_ns: 1_709_208_000_000_000_000,
        remarks: vec![("team", "pay".into()), ("tags", "pci".into())],
    };
    spec.operations.push(Operation {
        method: "GET".into(),
        template: "/orders/{id}/lines/{id}".into(),
        operation_id: Some("same".into()),
        parameters: vec![
            Parameter { schema: Some(count), ..Parameter::new("limit", Location::Query, false) },
            Parameter { schema: Some(id), confidence: Some(0.5), ..Parameter::new("id", Location::Path, true) },
            Parameter::new("Authorization", Location::Header, true),
            Parameter::new("x-tenant", Location::Header, true),
        ],
        responses: vec![answer(Status::Class(4), map), answer(Status::Code(200), orders)],
        security: Some(vec![vec![0], vec![1]]),
        evidence: Some(evidence),
        ..Operation::default()
    });
    spec.operations.push(Operation {
        method: "POST".into(),
        template: "/orders".into(),
        operation_id: Some("same".into()),
        request_body: Some(RequestBody { required: true, content: vec![json(order)] }),
        deprecated: true,
        ..Operation::default()
    });
    spec.operations.push(Operation { method: "PROPFIND".into(), template: "/orders".into(), ..Operation::default() });
    spec
}

#[test]
fn an_inventory_is_written() {
    let text = write(&inventory());
    assert_eq!(text, write(&inventory()));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["openapi"], "3.1.0");
    let get = &value["paths"]["/orders/{id}/lines/{id2}"]["get"];
    let names: Vec<&str> =
        get["parameters"].as_array().unwrap().iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "id2", "limit", "x-tenant"]);
    assert_eq!(get["x-umbra"]["last_seen"], "2024-02-29T12:00:00Z");
    assert_eq!((&get["x-umbra"]["team"], &get["x-umbra"]["tags"]), (&json!("pay"), &json!(["pci"])));
    assert_eq!(get["x-umbra"]["confidence"].as_f64(), Some(0.97));
    assert_eq!(get["parameters"][0]["x-umbra"]["confidence"].as_f64(), Some(0.5));
    let answer = &get["responses"]["200"]["content"]["application/json"];
    assert_eq!(answer["example"].to_string(), "[{\"count\":1,\"id\":\"00000000-0000-4000-8000-000000000000\"}]");
    assert_eq!(answer["schema"]["items"]["$ref"], "#/components/schemas/Schema1");
    assert_eq!(value["components"]["schemas"]["Schema1"]["required"].to_string(), "[\"id\"]");
    assert_eq!(get["responses"]["4XX"]["content"]["application/json"]["example"].to_string(), "{\"key\":1}");
    assert_eq!(get["security"].to_string(), "[{\"bearer_token\":[]},{\"sigv4\":[]}]");
    let post = &value["paths"]["/orders"]["post"];
    assert_eq!((post["operationId"].as_str(), post["deprecated"].as_bool()), (Some("same"), Some(true)));
    assert!(value["paths"]["/orders"].get("propfind").is_none());

    let spec = again(&text);
    assert!(spec.issues.is_empty(), "{:?}", spec.issues);
    assert_eq!(spec.operations.len(), 2);
    assert_eq!(write(&again(&write(&spec))), write(&spec));
}

type Told = (String, String, bool, Vec<(Location, String, bool)>, Vec<String>, Vec<String>);

/// What an operation says, without the shapes.
fn told(spec: &Spec) -> BTreeSet<Told> {
    let media = |content: &[Content]| content.iter().map(|content| content.media_type.clone()).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    let mut out = BTreeSet::new();
    for operation in &spec.operations {
        // The standard knows one operation of a method and template.
        if !seen.insert((operation.method.clone(), operation.template.clone())) {
            continue;
        }
        let mut parameters: Vec<_> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.location != Location::Path)
            .map(|parameter| (parameter.location, parameter.name.clone(), parameter.required))
            .collect();
        parameters.sort();
        parameters.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
        let mut request = operation.request_body.iter().flat_map(|body| media(&body.content)).collect::<Vec<_>>();
        request.sort();
        request.dedup();
        let mut answers: Vec<String> = operation
            .responses
            .iter()
            .flat_map(|response| {
                let mut media = media(&response.content);
                media.sort();
                media.dedup();
                [vec![response.status.to_string()], media].concat()
            })
            .collect();
        if answers.is_empty() {
            answers.push("default".into());
        }
        out.insert((
            operation.method.clone(),
            operation.template.clone(),
            operation.deprecated,
            parameters,
            request,
            answers,
        ));
    }
    out
}

#[test]
fn what_was_read_is_written_and_read_again() {
    let mut specs = Vec::new();
    if let Some(folder) = shared("accuracy/specs") {
        for name in ["gotify", "box", "harbor", "openai", "docker-engine"] {
            specs.push(read_file(&folder, &format!("{name}.json.gz")).unwrap());
        }
    }
    if let Some(folder) = shared("conformance/openapi") {
        for name in ["own-30-polymorph.yaml", "own-30-servers.yaml", "own-31-pathitems.yaml", "own-30-styles.json"] {
            specs.push(read_file(&folder, &format!("docs/{name}")).unwrap());
        }
    }
    for spec in specs {
        let text = write(&spec);
        let read = again(&text);
        assert!(read.issues.is_empty(), "{}: {:?}", spec.name, read.issues);
        let (before, after) = (told(&spec), told(&read));
        let lost: Vec<_> = before.difference(&after).take(3).collect();
        let new: Vec<_> = after.difference(&before).take(3).collect();
        assert!(lost.is_empty() && new.is_empty(), "{}: lost {lost:#?}, new {new:#?}", spec.name);
        assert_eq!(write(&again(&text)), write(&again(&write(&read))), "{}", spec.name);
        validate(&spec.name, &text);
    }
    validate("inventory", &write(&inventory()));
}

/// Asks openapi-spec-validator (PyPI) in the folder that `UMBRA_SPEC_TOOLS` names: `cargo xtask contract` and CI put it there.
fn validate(name: &str, text: &str) {
    let Some(tools) = std::env::var_os("UMBRA_SPEC_TOOLS") else {
        println!("skipped: {name}: UMBRA_SPEC_TOOLS is not set");
        return;
    };
    let program = std::path::Path::new(&tools).join("openapi-spec-validator");
    let file = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{file}.json"));
    std::fs::write(&path, text).unwrap();
    let output = std::process::Command::new(program).args(["--schema", "3.1"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn shapes_in_circles_and_very_deep_ones_are_written() {
    let mut spec = Spec { title: "deep".into(), version: "1".into(), ..Spec::default() };
    spec.server_lists.push(vec![Server::at("/")]);
    // A ring of 50,000 unnamed schemas.
    let mut id = spec.schemas.add(Schema { types: Types::STRING, ..Schema::default() });
    for _ in 0..50_000 {
        id = spec.schemas.add(Schema { types: Types::ARRAY, items: Some(id), ..Schema::default() });
    }
    let content = vec![Content { media_type: "application/json".into(), schema: Some(id) }];
    spec.operations.push(Operation {
        method: "GET".into(),
        template: "/".into(),
        responses: vec![Response { status: Status::Code(200), content, headers: Vec::new() }],
        ..Operation::default()
    });
    let text = write(&spec);
    let read = again(&text);
    assert!(read.issues.is_empty(), "{:?}", read.issues);
    assert_eq!(read.schemas.len(), 50_001);
}
