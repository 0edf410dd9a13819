#![allow(clippy::unwrap_used)]

use super::*;

const KEY: ValueKey = ValueKey::new([7, 9]);

fn config() -> Config {
    Config { key: KEY, ..Config::default() }
}

struct Call {
    method: &'static str,
    path: String,
    status: u16,
    body: Option<String>,
}

fn get(path: String, body: &str) -> Call {
    Call { method: "GET", path, status: 200, body: Some(body.to_owned()) }
}

fn feed(routes: &mut Routes, number: usize, call: &Call) {
    let mut facts = BodyFacts::default();
    if let Some(body) = &call.body {
        facts.read_json(&KEY, body.as_bytes());
    }
    routes.observe(&Evidence {
        service: b"api.example",
        method: call.method.as_bytes(),
        path: call.path.as_bytes(),
        status: call.status,
        response_type: call.body.as_ref().map(|_| b"application/json".as_slice()),
        has_response_body: call.body.is_some(),
        response_keys: call.body.as_ref().map(|_| facts.keys.as_slice()),
        values: &facts.values,
        lot: KEY.hash(&number.to_le_bytes()),
        ..Evidence::default()
    });
}

fn learnt(calls: &[Call]) -> Routes {
    let mut routes = Routes::new(config());
    for (number, call) in calls.iter().enumerate() {
        feed(&mut routes, number, call);
    }
    routes
}

fn listed(routes: &Routes, pins: &[Pin]) -> Vec<String> {
    routes
        .templates(pins)
        .endpoints()
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.template))
        .collect()
}

const NAMES: [&str; 12] = [
    "otter",
    "red-panda",
    "lynx",
    "blue_whale",
    "search",
    "Heron",
    "fox12",
    "mole",
    "default",
    "eagle",
    "owl7",
    "wolf",
];

/// A shop: users by number, projects by name with `me`-like neighbours, reports by name of a fixed set.
fn shop() -> Vec<Call> {
    let mut calls = Vec::new();
    for n in 0..120_usize {
        let id = 1000 + n * 7;
        calls.push(get("/api/v1/users".into(), r#"{"users":[{"id":1,"email":"a"}],"total":3}"#));
        calls.push(get(format!("/api/v1/users/{id}"), &format!(r#"{{"id":{id},"email":"a","created":"b"}}"#)));
        calls.push(get("/api/v1/users/me".into(), r#"{"id":4,"email":"a","created":"b","roles":[],"limits":{}}"#));
        calls.push(get(format!("/api/v1/users/{id}/orders"), r#"{"orders":[{"sku":"a","price":1}]}"#));
        let name = NAMES[n % NAMES.len()];
        let project = format!(r#"{{"name":"{name}","stars":3,"language":"c"}}"#);
        calls.push(get("/api/v1/projects".into(), &format!(r#"[{project}]"#)));
        calls.push(get(format!("/api/v1/projects/{name}"), &project));
        calls.push(get(format!("/api/v1/projects/{name}/issues"), r#"[{"title":"t","state":"s"}]"#));
        calls.push(get("/api/v1/health".into(), r#"{"ok":true}"#));
        calls.push(Call {
            method: "POST",
            path: "/api/v1/orders/search".into(),
            status: 200,
            body: Some(r#"{"hits":[]}"#.into()),
        });
        calls.push(get(format!("/api/v1/orders/{n}.json"), r#"{"sku":"a","price":1}"#));
        calls.push(Call { method: "GET", path: format!("/api/v1/{name}/x"), status: 404, body: Some("{}".into()) });
    }
    calls
}

const SHOP: [&str; 9] = [
    "GET /api/v1/health",
    "GET /api/v1/orders/{order_id}.json",
    "GET /api/v1/projects",
    "GET /api/v1/projects/{project_name}",
    "GET /api/v1/projects/{project_name}/issues",
    "GET /api/v1/users",
    "GET /api/v1/users/me",
    "GET /api/v1/users/{user_id}",
    "GET /api/v1/users/{user_id}/orders",
];

#[test]
fn values_and_routes_are_told_apart() {
    let mut expected: Vec<String> = SHOP.iter().map(|&text| text.to_owned()).collect();
    expected.insert(1, "POST /api/v1/orders/search".into());
    let routes = learnt(&shop());
    assert_eq!(listed(&routes, &[]), expected);
    let templates = routes.templates(&[]);
    let user = templates.find("api.example", b"GET", b"/api/v1/users/99").unwrap();
    assert_eq!(user.template, "/api/v1/users/{user_id}");
    assert_eq!((user.parameters[0].kind, user.parameters[0].distinct > 50), (ParameterType::Integer, true));
    assert!(user.confidence > 0.9);
    let refused = templates.find("api.example", b"DELETE", b"/api/v1/projects/unknown/").unwrap();
    assert_eq!(refused.template, "/api/v1/projects/{project_name}");
    assert!(templates.find("api.example", b"GET", b"/wp-login.php").is_none());
    assert!(templates.find("other.example", b"GET", b"/api/v1/users").is_none());
}

#[test]
fn g7_any_order_and_any_number_of_workers_learn_the_same() {
    let calls = shop();
    let expected = listed(&learnt(&calls), &[]);
    for workers in [2, 3, 7] {
        let mut parts: Vec<Routes> = (0..workers).map(|_| Routes::new(config())).collect();
        // A walk with a stride that is prime to the length meets every call once, in another order.
        for step in 0..calls.len() {
            let number = (step * 37) % calls.len();
            feed(&mut parts[step % workers], number, &calls[number]);
        }
        let mut merged = Routes::new(config());
        for part in parts.iter().rev() {
            merged.merge(part);
        }
        assert_eq!(listed(&merged, &[]), expected, "{workers} workers");
    }
}

#[test]
fn f071_what_failed_is_no_endpoint() {
    let calls: Vec<Call> = (0..1000)
        .map(|n| Call {
            method: "GET",
            path: format!("/probe/{n}/x"),
            status: [404, 403, 401, 400, 429][n % 5],
            body: Some("{}".into()),
        })
        .collect();
    let routes = learnt(&calls);
    assert!(listed(&routes, &[]).is_empty());
    assert_eq!(routes.counters().unsuccessful, 1000);
}

#[test]
fn f070_distinct_paths_without_end_stay_within_bounds() {
    let limits = Limits { children: 50, nodes: 2_000 };
    let mut routes = Routes::new(Config { limits, ..config() });
    let word = |n: usize| -> String {
        let hash = KEY.hash(&n.to_le_bytes());
        (0..10).map(|place| char::from(b'a' + (hash >> (place * 5) & 31) as u8 % 26)).collect()
    };
    for n in 0..20_000 {
        feed(&mut routes, n, &get(format!("/files/{}/{}", word(n), word(n + 1_000_000)), r#"{"size":1}"#));
        if n % 100 == 0 {
            feed(&mut routes, n + 500_000, &get("/files".into(), r#"{"files":[]}"#));
            feed(&mut routes, n + 700_000, &get("/status".into(), r#"{"ok":true}"#));
        }
    }
    assert!(routes.nodes() <= 2_000, "{}", routes.nodes());
    assert!(routes.overflow() > 1_000);
    let found = listed(&routes, &[]);
    assert!(found.len() <= 12, "{found:?}");
    assert!(found.contains(&"GET /files".to_owned()) && found.contains(&"GET /status".to_owned()), "{found:?}");
}

#[test]
fn what_is_stored_holds_no_values_and_decides_the_same() {
    let calls = shop();
    let routes = learnt(&calls);
    let text = serde_json::to_string(&routes.snapshot()).unwrap();
    for name in ["otter", "red-panda", "Heron", "1007"] {
        assert!(!text.contains(&format!("\"{name}\"")), "{name} is stored");
    }
    assert!(text.contains("\"projects\""));
    let mut restored = Routes::restore(config(), serde_json::from_str(&text).unwrap());
    assert_eq!(listed(&restored, &[]), listed(&routes, &[]));
    // And it goes on learning under the same names.
    let nodes = restored.nodes();
    restored.merge(&routes);
    assert_eq!(restored.nodes(), nodes);
    assert_eq!(listed(&restored, &[]), listed(&routes, &[]));
}

#[test]
fn what_comes_later_splits_and_merges() {
    // One project only: its name may be part of the route, and is shown as such with less confidence.
    let one = |name: &str| get(format!("/v1/stores/{name}/stock"), r#"{"sku":"a","left":2}"#);
    let mut calls: Vec<Call> = (0..20).map(|_| one("north")).collect();
    assert_eq!(listed(&learnt(&calls), &[]), ["GET /v1/stores/north/stock"]);
    for name in ["south", "old_mill", "harbor", "oak-street", "n12"] {
        calls.push(one(name));
    }
    assert_eq!(listed(&learnt(&calls), &[]), ["GET /v1/stores/{store_name}/stock"]);
}

#[test]
fn a_pinned_template_wins() {
    let routes = learnt(&shop());
    let pins = [
        Pin::new(None, "/api/v1/projects/{slug}").unwrap(),
        Pin::new(Some("api.example"), "/api/v1/projects/otter").unwrap(),
        Pin::new(Some("other.example"), "/api/v1/{anything}").unwrap(),
        Pin::new(None, "/api/v1/users/{who}").unwrap(),
    ];
    let found = listed(&routes, &pins);
    for expected in ["GET /api/v1/projects/otter", "GET /api/v1/projects/{slug}", "GET /api/v1/users/{who}"] {
        assert!(found.contains(&expected.to_owned()), "{expected} in {found:?}");
    }
    assert!(!found.contains(&"GET /api/v1/users/me".to_owned()), "merged: {found:?}");
    let templates = routes.templates(&pins);
    assert!(templates.find("api.example", b"GET", b"/api/v1/projects/otter").unwrap().pinned);
    assert_eq!(Pin::new(None, "users"), Err(PinError::NoSlash));
    assert_eq!(Pin::new(None, "/a{b}"), Err(PinError::Segment));
}
