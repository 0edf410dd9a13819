//! Specifications made to hurt: bounded, told, and the rest used.
#![allow(clippy::unwrap_used, missing_docs)]

use umbra_openapi::{Bound, Found, Issue, Limits, Observed, Operation, Schemas, Spec, SpecSet, read};

fn spec(text: &str) -> Spec {
    spec_with(text, &Limits::default())
}

fn spec_with(text: &str, limits: &Limits) -> Spec {
    read("x.yaml", text.as_bytes(), limits, &mut |_| None).unwrap()
}

fn refused(text: &str) -> Issue {
    read("x.yaml", text.as_bytes(), &Limits::default(), &mut |_| None).unwrap_err()
}

const HEAD: &str = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\nservers: [{url: https://h.test}]\n";

#[test]
fn what_is_no_specification_is_refused_in_one_line() {
    for (text, expected) in [
        ("", "x.yaml#: not a specification: null instead of an object"),
        ("[1]", "x.yaml#: not a specification: a list instead of an object"),
        ("hello", "x.yaml#: not a specification: a string instead of an object"),
        ("{\"a\": 1}", "x.yaml#: not a specification: neither openapi nor swagger at its top"),
        ("openapi: 4.0.0", "x.yaml#/openapi: version 4.0.0 is not known"),
        ("swagger: '1.2'", "x.yaml#/swagger: version 1.2 is not known"),
        ("openapi: {a: 1}", "x.yaml#/openapi: version ? is not known"),
    ] {
        assert_eq!(refused(text).to_string(), expected);
    }
    let issue = refused("{\"openapi\": \"3.0.0\", \"paths\": {\"/a\nb\u{202e}\": [}");
    assert_eq!(issue.to_string().lines().count(), 1);
    assert!(!issue.to_string().contains('\u{202e}'));
}

#[test]
fn a_flaw_is_told_with_its_pointer_and_the_rest_is_used() {
    let text = format!(
        "{HEAD}{}",
        r##"
paths:
  /good:
    get: {responses: {'200': {description: ok}}}
  /bad-item: 5
  /bad-operation:
    get: [1]
    post: {responses: {'200': {description: ok}}}
  /bad-parts/{id}:
    get:
      parameters: [{in: query}, {name: a}, {name: b, in: nowhere}, {$ref: '#/nowhere'}, {name: c, in: query}]
      responses: {abc: {}, '200': {description: ok, content: {application/json: {schema: 5}}}}
  /remote: {$ref: 'https://example.test/x.yaml#/a'}
  no-slash:
    get: {}
"##
    );
    let spec = spec(&text);
    let lines: Vec<String> = spec.issues.iter().map(ToString::to_string).collect();
    let expected = [
        "x.yaml#/paths/~1bad-item: a number instead of a path item",
        "x.yaml#/paths/~1bad-operation/get: a list instead of an operation",
        "x.yaml#/paths/~1bad-parts~1{id}/get/parameters/0: a parameter without name",
        "x.yaml#/paths/~1bad-parts~1{id}/get/parameters/1: a parameter that does not say where it is",
        "x.yaml#/paths/~1bad-parts~1{id}/get/parameters/2: a parameter in an unknown place",
        "x.yaml#/paths/~1bad-parts~1{id}/get/parameters/3: $ref #/nowhere: leads nowhere",
        "x.yaml#/paths/~1bad-parts~1{id}/get/responses/abc: neither a status code nor a class of them",
        "x.yaml#/paths/~1bad-parts~1{id}/get/responses/200/content/application~1json/schema: a number instead of a schema",
        "x.yaml#/paths/~1remote: $ref https://example.test/x.yaml#/a: on another machine, not fetched",
        "x.yaml#/paths/no-slash/get: the path does not start with a slash",
    ];
    assert_eq!(lines, expected);
    let set = SpecSet::new(vec![Bound { spec, hosts: Vec::new() }]);
    let known =
        |method: &str, path: &str| matches!(set.request("h.test", method, path.as_bytes()), Found::Operations(_));
    assert!(known("GET", "/good") && known("POST", "/bad-operation") && known("GET", "/no-slash"));
    // Something is documented there, nobody can say what: not a shadow.
    assert!(known("PUT", "/bad-item") && known("GET", "/bad-operation") && known("GET", "/remote"));
    assert!(!known("PUT", "/bad-operation"));
    assert!(set.specs().next().unwrap().operations.iter().any(|operation| {
        operation.template == "/bad-parts/{id}" && operation.incomplete && operation.parameters.len() == 1
    }));
}

#[test]
fn f066_references_in_circles_and_long_chains_end() {
    let mut schemas = String::new();
    for n in 0..20_000 {
        schemas +=
            &format!("    s{n}: {{type: object, properties: {{next: {{$ref: '#/components/schemas/s{}'}}}}}}\n", n + 1);
    }
    let text = format!(
        "{HEAD}{}{schemas}",
        r##"
paths:
  /self: {$ref: '#/paths/~1self'}
  /a: {$ref: '#/paths/~1b'}
  /b: {$ref: '#/paths/~1a'}
  /deep:
    get:
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/s0'}}}}}
      parameters: [{$ref: '#/components/parameters/p'}]
components:
  parameters: {p: {$ref: '#/components/parameters/q'}, q: {$ref: '#/components/parameters/p'}}
  schemas:
    s20001: {allOf: [{$ref: '#/components/schemas/s20001'}], anyOf: [{$ref: '#/components/schemas/s20000'}]}
"##
    );
    let spec = spec(&text.replace("s20001'}}}}\n", "s0'}}}}\n"));
    assert!(spec.schemas.len() > 20_000);
    assert_eq!(spec.issues.iter().filter(|issue| issue.what.contains("does not end")).count(), 4, "{:?}", spec.issues);
}

#[test]
fn f067_shared_parts_cannot_multiply_without_end() {
    let parameters: String = (0..200).map(|n| format!("{{name: p{n}, in: query}}, ")).collect();
    let paths: String = (0..5000).map(|n| format!("  /p{n}: *item\n")).collect();
    let text = format!("{HEAD}x: &item\n  parameters: [{parameters}]\n  get: {{}}\n  put: {{}}\npaths:\n{paths}");
    let limits = Limits { shared_parts: 10_000, ..Limits::default() };
    let spec = spec_with(&text, &limits);
    assert!(spec.operations.len() < 200);
    assert_eq!(spec.issues.len(), 1, "{:?}", spec.issues);
    assert!(spec.issues[0].what.contains("too large"));
}

#[test]
fn f068_parameters_responses_operations_and_templates_are_bounded() {
    let limits = Limits { parameters: 5, responses: 3, operations: 4, template_bytes: 50, ..Limits::default() };
    let parameters: String = (0..9).map(|n| format!("{{name: p{n}, in: query}}, ")).collect();
    let responses: String = (200..209).map(|n| format!("'{n}': {{description: ok}}, ")).collect();
    let long = "x".repeat(60);
    let paths: String = (0..9).map(|n| format!("  /p{n}: {{get: {{}}}}\n")).collect();
    let text = format!(
        "{HEAD}paths:\n  /{long}: {{get: {{}}}}\n  /a: {{get: {{parameters: [{parameters}], responses: {{{responses}}}}}}}\n{paths}"
    );
    let spec = spec_with(&text, &limits);
    assert_eq!(spec.operations.len(), 4);
    assert_eq!((spec.operations[0].parameters.len(), spec.operations[0].responses.len()), (5, 3));
    assert_eq!(spec.issues.len(), 4, "{:?}", spec.issues);
    let limits = Limits { issues: 2, ..limits };
    let spec = spec_with(&text, &limits);
    assert_eq!((spec.issues.len(), spec.more_issues), (2, 2));
}

#[test]
fn files_are_asked_for_once_by_name_and_bounded() {
    let text = format!(
        "{HEAD}{}",
        r##"
paths:
  /a: {$ref: 'parts/a.yaml#/item'}
  /b: {$ref: 'parts/a.yaml#/item'}
  /c: {$ref: '../outside.yaml'}
  /d: {$ref: 'parts/broken.yaml#/item'}
  /e: {$ref: 'parts/broken.yaml#/item'}
"##
    );
    let mut asked = Vec::new();
    let spec = read("spec/api.yaml", text.as_bytes(), &Limits::default(), &mut |name| {
        asked.push(name.to_string());
        match name {
            "spec/parts/a.yaml" => Some(b"item: {get: {}, put: {$ref: 'b.yaml'}}".to_vec()),
            "spec/parts/b.yaml" => Some(b"operationId: x".to_vec()),
            "spec/parts/broken.yaml" => Some(b"item: [".to_vec()),
            _ => None,
        }
    })
    .unwrap();
    assert_eq!(asked, ["spec/parts/a.yaml", "spec/parts/b.yaml", "outside.yaml", "spec/parts/broken.yaml"]);
    let ids = spec.operations.iter().filter(|operation| operation.operation_id.is_some()).count();
    assert_eq!((spec.operations.len(), ids), (7, 2));
    assert!(spec.issues.iter().any(|issue| issue.document == "spec/parts/broken.yaml"), "{:?}", spec.issues);
    // Each file leads to the next.
    let mut loads = 0;
    let chain = |n: usize| format!("x: {{$ref: 'f{}.yaml#/x'}}\n", n + 1).into_bytes();
    let limits = Limits { files: 10, reference_chain: 1000, ..Limits::default() };
    let text = format!("{HEAD}paths: {{/a: {{$ref: 'f0.yaml#/x'}}}}");
    let spec = read("api.yaml", text.as_bytes(), &limits, &mut |_| {
        loads += 1;
        Some(chain(loads - 1))
    })
    .unwrap();
    assert_eq!(loads, 9);
    assert_eq!(spec.issues.len(), 1);
}

#[test]
fn f070_a_specification_built_against_the_search_costs_bounded_steps() {
    // Every level offers a literal and a variable, so a failing search could try all of 2^12 ways.
    let mut paths = String::new();
    for bits in 0..4096_u32 {
        let segments: Vec<String> =
            (0..12).map(|bit| if bits >> bit & 1 == 1 { "a".into() } else { format!("{{v{bit}}}") }).collect();
        paths += &format!("  /{}/end: {{get: {{}}}}\n", segments.join("/"));
    }
    let set = SpecSet::new(vec![Bound { spec: spec(&format!("{HEAD}paths:\n{paths}")), hosts: Vec::new() }]);
    let path = format!("{}/nothing", "/a".repeat(12));
    assert_eq!(set.request("h.test", "GET", path.as_bytes()), Found::NoPath);
    assert!(matches!(
        set.request("h.test", "GET", format!("{}/end", "/a".repeat(12)).as_bytes()),
        Found::Operations(_)
    ));
    assert_eq!(set.request("h.test", "GET", &b"/a".repeat(100_000)), Found::NoPath);
}

#[test]
fn comparing_recursive_shapes_ends() {
    let text = format!(
        "{HEAD}{}",
        r##"
paths:
  /tree:
    get: {responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/T'}}}}}}
components:
  schemas:
    T: {type: object, properties: {left: {$ref: '#/components/schemas/T'}, right: {$ref: '#/components/schemas/T'}}}
"##
    );
    let spec = spec(&text);
    let schemas: Schemas = spec.schemas.clone();
    let operation: Operation = spec.operations[0].clone();
    let set = SpecSet::new(vec![Bound { spec, hosts: Vec::new() }]);
    let observed = [Observed { host: "h.test".into(), operation, ..Observed::default() }];
    let report = set.compare(&observed, &schemas, &[]);
    assert_eq!(report.verdicts[0].conformance.name(), "documented");
    assert!(report.verdicts[0].drift.is_empty());
}
