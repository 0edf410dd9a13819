//! Differences between what is documented and what was observed, each written as a specification of its own.
#![allow(clippy::unwrap_used, missing_docs)]

use umbra_openapi::{
    Bound, Conformance, Coverage, DriftKind, Found, HostWindow, Limits, Location, Observable, Observed, SecurityKind,
    Shadow, Spec, SpecSet, Status, Unmanaged, Zombie, read,
};

fn spec(text: &str) -> Spec {
    let spec = read("x.yaml", text.as_bytes(), &Limits::default(), &mut |_| None).unwrap();
    assert!(spec.issues.is_empty(), "{:?}", spec.issues);
    spec
}

fn head(title: &str, version: &str, url: &str) -> String {
    format!("openapi: 3.1.0\ninfo: {{title: {title}, version: '{version}'}}\nservers: [{{url: '{url}'}}]\n")
}

fn set(specs: &[&str]) -> SpecSet {
    SpecSet::new(specs.iter().map(|text| Bound { spec: spec(text), hosts: Vec::new() }).collect())
}

/// What a specification in the role of the traffic shows, at `h.test`.
fn observed(spec: &Spec) -> Vec<Observed> {
    let operations = spec.operations.iter();
    operations
        .map(|operation| Observed {
            host: "h.test".into(),
            operation: operation.clone(),
            looked_at: vec![Location::Query, Location::Header, Location::Cookie],
            bodies: true,
            ..Observed::default()
        })
        .collect()
}

/// Conformance of operations given as `METHOD template`.
fn conformance(set: &SpecSet, operations: &[&str]) -> Vec<Conformance> {
    let endpoints: Vec<Observed> = operations
        .iter()
        .map(|text| {
            let (method, place) = text.split_once(' ').unwrap();
            let (host, template) = place.split_once('/').unwrap();
            let host = if host.is_empty() { "h.test" } else { host };
            let mut endpoint = Observed { host: host.into(), ..Observed::default() };
            endpoint.operation.method = method.into();
            endpoint.operation.template = format!("/{template}");
            endpoint
        })
        .collect();
    let report = set.compare(&endpoints, &Default::default(), &[]);
    report.verdicts.iter().map(|verdict| verdict.conformance).collect()
}

/// Lines `kind place: documented -> observed`.
fn drift(documented: &str, seen: &str) -> Vec<String> {
    let head = head("t", "1", "https://h.test");
    let seen = spec(&format!("{head}{seen}"));
    let set = set(&[&format!("{head}{documented}")]);
    let report = set.compare(&observed(&seen), &seen.schemas, &[]);
    let drifts = report.verdicts.iter().flat_map(|verdict| &verdict.drift);
    drifts
        .map(|drift| format!("{} {}: {} -> {}", drift.kind.name(), drift.place, drift.documented, drift.observed))
        .collect()
}

#[test]
fn every_kind_of_conformance() {
    use Conformance::{Documented, Shadow as Undocumented, Unmanaged as Nobody, Zombie as Old};
    let set = set(&[&format!(
        "{}{}",
        head("t", "1", "https://h.test/v1"),
        r"
paths:
  /a/{id}: {get: {}, delete: {deprecated: true}}
  /a/{id}/levels:append: {post: {}}
  /b/{n}: {parameters: [{name: n, in: path, required: true, schema: {type: integer}}], get: {}}
"
    )]);
    for (operation, expected) in [
        ("GET /v1/a/{x}", Documented),
        ("GET /v1/a/{x}/", Documented),
        ("GET /v1/a/7", Documented),
        ("HEAD /v1/a/{x}", Documented),
        ("OPTIONS /v1/a/{x}", Documented),
        ("POST /v1/a/{x}/levels:append", Documented),
        ("DELETE /v1/a/{x}", Old(Zombie::Deprecated)),
        ("PUT /v1/a/{x}", Undocumented(Shadow::Method)),
        ("HEAD /v1/c", Undocumented(Shadow::Path)),
        ("GET /v1/a/{x}/other", Undocumented(Shadow::Path)),
        // An integer is documented there.
        ("GET /v1/b/export", Undocumented(Shadow::Path)),
        ("GET /v1/b/7", Documented),
        ("GET /v2/a/{x}", Nobody(Unmanaged::BasePath)),
        ("GET other.test/v1/a/{x}", Nobody(Unmanaged::Host)),
    ] {
        assert_eq!(conformance(&set, &[operation]), [expected], "{operation}");
    }
    // The inventory kept the two apart.
    let both = conformance(&set, &["GET /v1/a/{x}", "GET /v1/a/export", "GET /v1/a/me"]);
    assert_eq!(both, [Documented, Undocumented(Shadow::Path), Documented]);
}

#[test]
fn only_an_older_version_has_it() {
    use Conformance::{Documented, Zombie as Old};
    let old =
        format!("{}paths: {{/a: {{get: {{}}}}, /gone: {{get: {{}}}}}}", head("Shop v1", "1.9", "https://h.test/v1"));
    let new =
        format!("{}paths: {{/a: {{get: {{}}}}, /new: {{get: {{}}}}}}", head("Shop v2", "1.10", "https://h.test/v1"));
    let next = format!("{}paths: {{/a: {{get: {{}}}}}}", head("Shop", "1.0", "https://h.test/v2"));
    let other = format!("{}paths: {{/b: {{get: {{}}}}}}", head("Invoices", "9", "https://h.test/v1"));
    let operations = ["GET /v1/a", "GET /v1/gone", "GET /v1/new", "GET /v1/b"];
    let gone = Old(Zombie::OlderVersion);
    // The order in which they are given means nothing.
    assert_eq!(conformance(&set(&[&old, &new, &other]), &operations), [Documented, gone, Documented, Documented]);
    assert_eq!(conformance(&set(&[&other, &new, &old]), &operations), [Documented, gone, Documented, Documented]);
    // `/v1/new` has no counterpart in `/v2`, `/v1/a` has.
    assert_eq!(
        conformance(&set(&[&new, &next]), &["GET /v1/a", "GET /v1/new", "GET /v2/a"]),
        [Documented, gone, Documented]
    );
    // The same version, in two parts.
    let part = new.replace("/new", "/part");
    assert_eq!(conformance(&set(&[&new, &part]), &["GET /v1/new", "GET /v1/part"]), [Documented, Documented]);
    // Deprecated in the newest version counts, not in an older one.
    let deprecated = |text: &str| text.replace("/a: {get: {}}", "/a: {get: {deprecated: true}}");
    assert_eq!(conformance(&set(&[&old, &deprecated(&new)]), &["GET /v1/a"]), [Old(Zombie::Deprecated)]);
    assert_eq!(conformance(&set(&[&deprecated(&old), &new]), &["GET /v1/a"]), [Documented]);
    // What is gone is no orphan.
    let report = set(&[&old, &new]).compare(&[], &Default::default(), &[]);
    let templates: Vec<&str> = report.orphans.iter().map(|orphan| orphan.template.as_str()).collect();
    assert_eq!(templates, ["/v1/a", "/v1/new"]);
}

#[test]
fn orphans_are_qualified_by_what_could_be_seen() {
    let text = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\nservers: [{url: 'https://{r}.h.test', variables: {r: {default: eu, enum: [eu, us]}}}]\npaths: {/a: {get: {}}, /b: {get: {deprecated: true}}}";
    let set = set(&[text]);
    let window = |host: &str, coverage| HostWindow { host: host.into(), coverage };
    let found = |windows: &[HostWindow]| {
        let orphans = set.compare(&[], &Default::default(), windows).orphans;
        assert_eq!(orphans.iter().map(|orphan| orphan.deprecated).collect::<Vec<_>>(), [false, true]);
        (orphans[0].host.clone(), orphans[0].observable)
    };
    assert_eq!(found(&[]), ("eu.h.test".into(), Observable::No));
    assert_eq!(found(&[window("us.h.test", Coverage::Partly)]), ("us.h.test".into(), Observable::Partly));
    let both = [window("eu.h.test", Coverage::Partly), window("us.h.test", Coverage::Whole)];
    assert_eq!(found(&both), ("us.h.test".into(), Observable::Yes));
    // Seen at one of its hosts is seen.
    let mut endpoint = Observed { host: "us.h.test".into(), ..Observed::default() };
    (endpoint.operation.method, endpoint.operation.template) = ("GET".into(), "/a".into());
    assert_eq!(set.compare(&[endpoint], &Default::default(), &both).orphans.len(), 1);
}

#[test]
fn operations_with_servers_of_their_own_are_found_where_the_rest_is() {
    let text = format!(
        "{}{}",
        head("t", "1", "https://h.test/api"),
        "paths:\n  /a: {get: {}}\n  /up: {servers: [{url: 'https://up.test/x'}], post: {}, put: {}}\n"
    );
    let set = set(&[&text]);
    use Conformance::Documented;
    assert_eq!(conformance(&set, &["POST /api/up", "POST up.test/x/up"]), [Documented, Documented]);
    let windows = [HostWindow { host: "h.test".into(), coverage: Coverage::Whole }];
    let orphans = |seen: &[&str]| {
        let endpoints: Vec<Observed> = seen
            .iter()
            .map(|template| {
                let mut endpoint = Observed { host: "h.test".into(), ..Observed::default() };
                (endpoint.operation.method, endpoint.operation.template) = ("POST".into(), (*template).into());
                endpoint
            })
            .collect();
        let report = set.compare(&endpoints, &Default::default(), &windows);
        let last = report.orphans.last().unwrap();
        format!("{} {}{} {}", last.method, last.host, last.template, last.observable.name())
    };
    assert_eq!(orphans(&[]), "POST up.test/x/up no");
    assert_eq!(orphans(&["/api/up"]), "PUT h.test/api/up yes");
}

#[test]
fn f073_f098_the_order_of_endpoints_and_specifications_means_nothing() {
    let text = |title: &str, paths: &str| format!("{}paths: {paths}", head(title, "1", "https://h.test"));
    let a = text("a", "{'/a/{id}': {get: {}, put: {}}, '/a/x{y}z.{e}': {get: {deprecated: true}}, /b: {get: {}}}");
    let b = text("b", "{'/a/{id}': {get: {}, delete: {}}, /a/me: {get: {}}, /b: {get: {deprecated: true}}}");
    let templates = ["GET /a/{id}", "GET /a/me", "GET /a/x{1}z.{2}", "PUT /a/9", "GET /b", "POST /b", "GET /c"];
    let verdicts = |set: &SpecSet, reversed: bool| {
        let mut templates = templates;
        if reversed {
            templates.reverse();
        }
        let mut all: Vec<_> = templates.iter().zip(conformance(set, &templates)).collect();
        all.sort_by_key(|(template, _)| **template);
        all.into_iter().map(|(template, verdict)| format!("{template} {verdict:?}")).collect::<Vec<_>>()
    };
    let (ab, ba) = (set(&[&a, &b]), set(&[&b, &a]));
    let expected = verdicts(&ab, false);
    assert_eq!(verdicts(&ab, true), expected);
    assert_eq!(verdicts(&ba, false), expected);
    let orphans = |set: &SpecSet| {
        let report = set.compare(&[], &Default::default(), &[]);
        report
            .orphans
            .into_iter()
            .map(|orphan| (orphan.method, orphan.template))
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(orphans(&ab), orphans(&ba));
    // Twice the same is the same as once.
    assert_eq!(verdicts(&set(&[&a, &b, &a, &b]), false), expected);
}

#[test]
fn a_variable_over_documented_literals_is_what_its_requests_matched() {
    let set = set(&[&format!(
        "{}paths: {{/m/cpu: {{get: {{}}}}, /m/load: {{get: {{}}}}, /m/disk: {{get: {{}}}}}}",
        head("t", "1", "https://h.test")
    )]);
    let mut endpoint = Observed { host: "h.test".into(), ..Observed::default() };
    (endpoint.operation.method, endpoint.operation.template) = ("GET".into(), "/m/{x}".into());
    let conformance = |set: &SpecSet, endpoint: &Observed| {
        let report = set.compare(std::slice::from_ref(endpoint), &Default::default(), &[]);
        (report.verdicts[0].conformance, report.orphans.len())
    };
    assert_eq!(conformance(&set, &endpoint), (Conformance::Shadow(Shadow::Path), 3));
    for path in ["/m/cpu", "/m/load"] {
        let Found::Operations(found) = set.request("h.test", "GET", path.as_bytes()) else { panic!("{path}") };
        endpoint.matched.extend(found);
    }
    assert_eq!(conformance(&set, &endpoint), (Conformance::Documented, 1));
    // Documented beside a variable that the template matches, and seen behind it.
    let both = SpecSet::new(vec![Bound {
        spec: spec(&format!(
            "{}paths:\n  /m/cpu: {{get: {{}}}}\n  /m/load: {{get: {{}}}}\n  /m/disk: {{get: {{}}}}\n  /m/{{any}}: {{get: {{}}}}\n",
            head("t", "1", "https://h.test")
        )),
        hosts: Vec::new(),
    }]);
    let report = both.compare(std::slice::from_ref(&endpoint), &Default::default(), &[]);
    assert_eq!(report.orphans.iter().map(|orphan| orphan.template.as_str()).collect::<Vec<_>>(), ["/m/disk"]);
    endpoint.unmatched = 1;
    assert_eq!(conformance(&set, &endpoint).0, Conformance::Shadow(Shadow::Path));
}

#[test]
fn parameters() {
    let documented = "
paths:
  /a:
    get:
      parameters:
      - {name: limit, in: query, required: true, schema: {type: integer}}
      - {name: tags, in: query, schema: {type: array, items: {type: string}}}
      - {name: filter, in: query, style: deepObject, schema: {type: object, properties: {a: {type: string}}}}
      - {name: page, in: query, schema: {type: object, properties: {offset: {type: integer}, size: {type: integer}}}}
      - {name: X-Tenant, in: header, required: true, schema: {type: string}}
      - {name: q, in: query, schema: {type: string}}
      - {name: sid, in: cookie, required: true, schema: {type: string}}
      responses: {'200': {description: ok}}
";
    let seen = "
paths:
  /a:
    get:
      parameters:
      - {name: limit, in: query, schema: {type: string}}
      - {name: 'tags[]', in: query, schema: {type: string}}
      - {name: 'filter[a]', in: query, schema: {type: string}}
      - {name: offset, in: query, schema: {type: integer}}
      - {name: x-tenant, in: header, required: true, schema: {type: string}}
      - {name: q, in: query, schema: {type: integer}}
      - {name: debug, in: query, schema: {type: boolean}}
      responses: {'200': {description: ok}}
";
    assert_eq!(
        drift(documented, seen),
        [
            "undocumented_parameter query debug:  -> boolean",
            "type_change query limit: integer -> string",
            "missing_required cookie sid: required -> never there",
            "missing_required query limit: required -> not always there",
        ]
    );
}

#[test]
fn bodies_statuses_and_media_types() {
    let documented = "
paths:
  /a:
    post:
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/In'}}}}
      responses:
        '201': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Out'}}}}
        '404': {description: not there}
  /free:
    get: {responses: {default: {description: ok, content: {'application/*': {schema: {type: object}}}}}}
components:
  schemas:
    Base: {type: object, required: [id, kind, secret], properties: {id: {type: string, readOnly: true}, kind: {type: string}, secret: {type: string, writeOnly: true}}}
    In: {allOf: [{$ref: '#/components/schemas/Base'}, {type: object, required: [n], properties: {n: {type: integer}}}]}
    Out:
      allOf: [{$ref: '#/components/schemas/Base'}]
      properties:
        items: {type: array, items: {anyOf: [{type: object, required: [x], properties: {x: {type: number}}}, {type: object, properties: {y: {type: string}}}]}}
        map: {type: object, additionalProperties: {type: integer}}
        any: {}
";
    let seen = "
paths:
  /a:
    post:
      requestBody: {content: {application/json: {schema: {type: object, required: [kind], properties: {kind: {type: [string, 'null']}, n: {type: number}, secret: {type: string}}}}, text/plain: {}}}
      responses:
        '200': {description: x}
        '201':
          description: x
          content:
            application/hal+json:
              schema:
                type: object
                required: [id, kind]
                properties:
                  id: {type: string}
                  kind: {type: string}
                  items: {type: array, items: {type: object, properties: {x: {type: integer}, y: {type: string}, z: {type: string}}}}
                  map: {type: object, properties: {k: {type: integer}, l: {type: string}}}
                  any: {type: object, properties: {deep: {type: string}}}
                  extra: {type: object, properties: {deep: {type: string}}}
            text/html: {}
        '304': {description: x}
        '403': {description: x}
        '503': {description: x}
  /free:
    get: {responses: {'418': {description: x, content: {application/json: {schema: {type: object, properties: {whatever: {type: string}}}}, text/plain: {}}}}}
";
    assert_eq!(
        drift(documented, seen),
        [
            "undocumented_field response 201 application/hal+json /extra:  -> object",
            "undocumented_field response 201 application/hal+json /items/[]/z:  -> string",
            "undocumented_status response 200: 201 404 -> 200",
            "undocumented_status response 403: 201 404 -> 403",
            "undocumented_content_type request text/plain: application/json -> text/plain",
            "undocumented_content_type response 201 text/html: application/json -> text/html",
            "type_change request application/json /kind: string -> string|null",
            "type_change request application/json /n: integer -> number",
            "type_change response 201 application/hal+json /map/l: integer -> string",
            "missing_required request application/json /n: required -> not always there",
            "missing_required request application/json /secret: required -> not always there",
            "undocumented_content_type response 418 text/plain: application/* -> text/plain",
        ]
    );
}

#[test]
fn forms_have_no_types_of_their_own() {
    let documented = "
paths:
  /a:
    post:
      requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string}, n: {type: integer}, l: {type: array}}}}}}
      responses: {'200': {description: ok}}
";
    let seen =
        documented.replace("a: {type: string}", "a: {type: integer}").replace("l: {type: array}", "l: {type: string}");
    assert_eq!(
        drift(documented, &seen.replace("n: {type: integer}", "n: {type: boolean}")),
        ["type_change request application/x-www-form-urlencoded /n: integer -> boolean"]
    );
}

#[test]
fn what_was_not_kept_whole_is_not_called_missing() {
    let documented = "
paths:
  /a: {get: {responses: {'200': {description: ok, content: {application/json: {schema: {type: object, required: [a], properties: {a: {}}}}}}}}}
";
    assert_eq!(
        drift(documented, &documented.replace("required: [a], properties: {a: {}}", "additionalProperties: true")),
        [""; 0]
    );
    assert_eq!(drift(documented, &documented.replace("required: [a], properties: {a: {}}", "properties: {}")).len(), 1);
}

#[test]
fn credentials() {
    let text = format!(
        "{}{}",
        head("t", "1", "https://h.test"),
        "
security: [{key: []}, {oauth: []}]
paths:
  /a: {get: {}}
  /open: {get: {security: []}}
  /either: {get: {security: [{}, {key: []}]}}
components:
  securitySchemes:
    key: {type: apiKey, in: query, name: api_key}
    oauth: {type: oauth2, flows: {}}
"
    );
    let set = set(&[&text]);
    let bearer = || SecurityKind::Http { scheme: "bearer".into(), bearer_format: None };
    let basic = || SecurityKind::Http { scheme: "basic".into(), bearer_format: None };
    let key = |name: &str| SecurityKind::ApiKey { location: Location::Query, name: name.into() };
    let of = |template: &str, auth: Vec<SecurityKind>, unauthenticated| {
        let mut endpoint = Observed { host: "h.test".into(), auth, unauthenticated, ..Observed::default() };
        (endpoint.operation.method, endpoint.operation.template) = ("GET".into(), template.into());
        let parameter = umbra_openapi::Parameter::new("api_key", Location::Query, false);
        endpoint.operation.parameters.push(parameter);
        let report = set.compare(&[endpoint], &Default::default(), &[]);
        let drift = report.verdicts[0].drift.iter().filter(|drift| drift.kind == DriftKind::AuthScheme);
        drift.map(|drift| format!("{} -> {}", drift.documented, drift.observed)).collect::<Vec<_>>()
    };
    let documented = "apiKey api_key in query or oauth2";
    assert_eq!(of("/a", vec![bearer(), key("api_key"), key("")], 0), [""; 0]);
    assert_eq!(of("/a", vec![basic()], 3), [format!("{documented} -> http basic"), format!("{documented} -> none")]);
    assert_eq!(of("/a", vec![key("token")], 0), [format!("{documented} -> apiKey token in query")]);
    assert_eq!(of("/open", vec![basic()], 3), [""; 0]);
    assert_eq!(of("/either", vec![key("api_key")], 3), [""; 0]);
    assert_eq!(of("/either", vec![bearer()], 0).len(), 1);
}

#[test]
fn two_documents_of_one_operation_are_taken_together() {
    let head = head("t", "1", "https://h.test");
    let of = |name: &str, status: u16| {
        format!(
            "{head}paths: {{/a: {{get: {{parameters: [{{name: {name}, in: query}}], responses: {{'{status}': {{description: x}}}}}}}}}}"
        )
    };
    let set = set(&[&of("x", 200), &of("y", 201)]);
    let seen = spec(&format!(
        "{head}paths: {{/a: {{get: {{parameters: [{{name: x, in: query}}, {{name: y, in: query}}, {{name: z, in: query}}], responses: {{'200': {{description: x}}, '201': {{description: x}}}}}}}}}}"
    ));
    assert_eq!(seen.operations[0].responses[0].status, Status::Code(200));
    let report = set.compare(&observed(&seen), &seen.schemas, &[]);
    assert_eq!(report.verdicts[0].drift.iter().map(|drift| drift.place.as_str()).collect::<Vec<_>>(), ["query z"]);
    assert!(report.orphans.is_empty());
}
