//! From packets to what is learnt of styles, operations, parameters and bodies.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use umbra_discovery::schema::Schemas;
use umbra_discovery::schema::describe::describe;
use umbra_discovery::schema::schemas::{Bodies, Place};
use umbra_discovery::{Endpoint, SamplingConfig, Style};
use umbra_pipeline::{Config, Inventory, Worker};
use umbra_testkit::Conversation;
use umbra_wire::Timestamp;

/// A request and its answer.
type Exchange = (String, String);

fn post(target: &str, fields: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\n{fields}Content-Length: {len}\r\n\r\n{body}"
    )
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn learn(exchanges: &[Exchange], sampling: SamplingConfig) -> Inventory {
    learn_with(exchanges, sampling, 1)
}

/// One flow for fifty exchanges, one flow after another to so many workers.
fn learn_with(exchanges: &[Exchange], sampling: SamplingConfig, workers: usize) -> Inventory {
    let mut config = Config::new(&[7; 32]);
    config.discovery.sampling = sampling;
    let mut inventory = Inventory::new(config.discovery.clone(), workers);
    let mut all: Vec<Worker> = (0..workers).map(|_| Worker::new(config.clone(), None)).collect();
    let mut now = Timestamp::from_parts(1_700_000_000, 0);
    for (flow, exchanges) in exchanges.chunks(50).enumerate() {
        let client = format!("10.1.0.1:{}", 20_000 + flow).parse().unwrap();
        let mut conversation = Conversation::new().client(client).start(now);
        for (request, answer) in exchanges {
            conversation = conversation.request(request.as_bytes()).response(answer.as_bytes());
        }
        for packet in conversation.build().packets() {
            all[flow % workers].handle_packet(&packet);
        }
        now = now.after(Duration::from_secs(10));
    }
    for worker in &mut all {
        worker.finish(now);
        inventory.add(worker);
    }
    inventory
}

fn all(exchanges: &[Exchange]) -> Inventory {
    learn(exchanges, SamplingConfig { first: 1, every: 1 })
}

fn rows(inventory: &Inventory) -> Vec<(Style, &str, Option<&str>, u64)> {
    let endpoints = inventory.endpoints().into_iter();
    endpoints.map(|endpoint| (endpoint.style, endpoint.route(), endpoint.operation(), endpoint.requests)).collect()
}

fn schemas(endpoint: &Endpoint) -> Schemas {
    endpoint.learnt.as_ref().unwrap().schemas()
}

fn bodies(endpoint: &Endpoint, place: Place) -> Bodies {
    schemas(endpoint).bodies().iter().find(|bodies| bodies.place == place).unwrap().clone()
}

#[test]
fn operations_are_endpoints_of_their_own() {
    let ok = || answer("200 OK", r#"{"data":{}}"#);
    let rpc = |method: &str, params: &str| {
        post("/mcp", "", &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    };
    let exchanges = [
        (post("/graphql", "", r#"{"query":"query GetUser { user { id } }"}"#), ok()),
        (post("/graphql", "", r#"{"query":"query GetUser { user { id } }"}"#), ok()),
        (post("/graphql", "", r#"{"query":"mutation { addItem(n: 1) { id } }"}"#), ok()),
        (
            rpc("tools/list", "{}"),
            answer("200 OK", r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_weather"}]}}"#),
        ),
        (rpc("tools/call", r#"{"name":"get_weather"}"#), answer("200 OK", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)),
        (
            post("/v1/chat/completions", "", r#"{"model":"demo-gpt","messages":[]}"#),
            answer("200 OK", r#"{"model":"demo-gpt","usage":{"prompt_tokens":9,"completion_tokens":2}}"#),
        ),
        (
            get("/", "Accept: text/html\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx".into(),
        ),
        (get("/users", ""), answer("200 OK", "[]")),
    ];
    let inventory = all(&exchanges);
    assert_eq!(
        rows(&inventory),
        [
            (Style::Web, "/", None, 1),
            (Style::GraphQl, "/graphql", Some("mutation addItem"), 1),
            (Style::GraphQl, "/graphql", Some("query GetUser"), 2),
            (Style::Mcp, "/mcp", Some("tools/call get_weather"), 1),
            (Style::Mcp, "/mcp", Some("tools/list"), 1),
            (Style::Rest, "/users", None, 1),
            (Style::Llm, "/v1/chat/completions", Some("chat.completions"), 1),
        ]
    );
    let endpoints = inventory.endpoints();
    let calls = |at: usize| endpoints[at].learnt.as_ref().unwrap().calls.as_ref().unwrap();
    assert_eq!(calls(1).root_fields.iter().collect::<Vec<_>>(), ["addItem"]);
    assert_eq!(calls(4).tools_listed.iter().collect::<Vec<_>>(), ["get_weather"]);
    assert_eq!((calls(6).tokens_in, calls(6).tokens_out), (9, 2));
    let mut ids: Vec<_> = endpoints.iter().map(|endpoint| endpoint.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), endpoints.len());
}

#[test]
fn bodies_are_looked_at_first_often_then_rarely() {
    let exchanges: Vec<Exchange> = (0..3000)
        .map(|n| {
            (post(&format!("/orders/{}", 1000 + n), "", &format!("{{\"n\":{n}}}")), answer("200 OK", "{\"ok\":true}"))
        })
        .collect();
    let bodies_of = |count: usize, first, every| {
        let inventory = learn(&exchanges[..count], SamplingConfig { first, every });
        let endpoints = inventory.endpoints();
        let [endpoint] = endpoints.as_slice() else { panic!("{:?}", rows(&inventory)) };
        assert_eq!((endpoint.route(), endpoint.requests), ("/orders/{id}", count as u64));
        let bodies = [Place::Request, Place::Response(2)].map(|place| bodies(endpoint, place).schema.bodies);
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(bodies[0], schemas(endpoint).exchanges);
        bodies[0]
    };
    assert_eq!(bodies_of(128, 128, 256), 128);
    // A quarter of them, and so on, but for chance.
    assert!((15..=128).contains(&bodies_of(129, 128, 256)));
    assert!((15..=128).contains(&bodies_of(3000, 128, 256)));
    // Never fewer than one of sixteen.
    assert!((120..=260).contains(&bodies_of(3000, 16, 16)));
    assert_eq!(bodies_of(3000, 1, 1), 3000);
    assert_eq!(learn(&exchanges, SamplingConfig { first: 0, every: 1 }).endpoints()[0].learnt, None);
}

/// The same are looked at whatever the number of workers, and whatever else was seen.
#[test]
fn what_is_looked_at_does_not_depend_on_workers() {
    let exchanges: Vec<Exchange> = (0..4000)
        .map(|n| {
            (
                post(&format!("/orders/{}?page={n}", 1000 + n % 7), "", &format!("{{\"n\":{n}}}")),
                answer("200 OK", "{\"ok\":true}"),
            )
        })
        .collect();
    let shown = |workers| {
        let inventory = learn_with(&exchanges, SamplingConfig::default(), workers);
        inventory.endpoints().iter().map(|endpoint| format!("{endpoint:?}")).collect::<Vec<_>>()
    };
    let one = shown(1);
    for workers in [2, 3, 7] {
        assert_eq!(shown(workers), one, "{workers} workers");
    }
}

#[test]
fn every_body_is_looked_at_where_it_names_the_operation() {
    let exchanges: Vec<Exchange> = (0..600)
        .map(|n| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"{}"}}"#, ["get_block", "send_raw"][n % 2]);
            (post("/rpc", "", &body), answer("200 OK", r#"{"jsonrpc":"2.0","id":1,"result":null}"#))
        })
        .collect();
    let inventory = learn(&exchanges, SamplingConfig::default());
    let expected = [(Style::JsonRpc, "/rpc", Some("get_block"), 300), (Style::JsonRpc, "/rpc", Some("send_raw"), 300)];
    assert_eq!(rows(&inventory), expected);
}

#[test]
fn f067_operations_of_a_route_are_capped() {
    let exchanges: Vec<Exchange> = (0..2000)
        .map(|n| {
            let name: String = (0..3).map(|at| char::from(b'a' + (n / 13_usize.pow(at) % 13) as u8)).collect();
            (post("/graphql", "", &format!(r#"{{"query":"query {name} {{ a }}"}}"#)), answer("200 OK", "{}"))
        })
        .collect();
    let inventory = all(&exchanges);
    let endpoints = inventory.endpoints();
    assert_eq!(endpoints.len(), 512 + 1);
    assert_eq!(endpoints.iter().map(|endpoint| endpoint.requests).sum::<u64>(), 2000);
    assert!(inventory.endpoint_counters().operations_overflow > 1000);
}

#[test]
fn f069_a_sample_is_at_most_64_kib() {
    let digits = format!("{{\"a\":\"{}\"}}", "7".repeat(1 << 20));
    let inventory = all(&[(post("/x", "", &digits), answer("200 OK", &digits))]);
    let endpoints = inventory.endpoints();
    for place in [Place::Request, Place::Response(2)] {
        let schema = &bodies(endpoints[0], place).schema;
        assert_eq!((schema.bodies, schema.cut, schema.malformed), (1, 1, 0));
    }
}

#[test]
fn f071_what_a_scanner_sends_teaches_nothing() {
    let exchanges = [
        (
            post("/users?debug=1", "X-Scan: 1\r\n", r#"{"is_admin":true}"#),
            answer("400 Bad Request", r#"{"error":"no"}"#),
        ),
        (post("/users?ref=a", "X-Tenant: t\r\n", r#"{"name":"x"}"#), answer("201 Created", r#"{"id":1}"#)),
        (get("/.env", ""), answer("404 Not Found", "{}")),
    ];
    let inventory = all(&exchanges);
    let endpoints = inventory.endpoints();
    let users = endpoints.iter().find(|endpoint| endpoint.route() == "/users").unwrap();
    let schemas = schemas(users);
    let names = |object: &umbra_discovery::schema::shape::Object| -> Vec<String> {
        object.properties().iter().map(|property| property.name.to_string()).collect()
    };
    assert_eq!(names(&schemas.query), ["ref"]);
    assert_eq!(names(&schemas.headers), ["x-tenant"]);
    let request = describe(&bodies(users, Place::Request).schema.shape);
    assert_eq!(request.properties.iter().map(|property| &*property.name).collect::<Vec<_>>(), ["name"]);
    // What the server says is learnt whatever it says.
    assert_eq!(bodies(users, Place::Response(4)).schema.bodies, 1);
}

#[test]
fn f076_no_value_reaches_what_is_learnt() {
    let body = r#"{"password":"CANARY1","CANARY2@mail.example":1,"nested":[{"token":"CANARY3"}],"n":4111111111111111}"#;
    let fields =
        "Cookie: sid=CANARY4; CANARY5@mail.example=1\r\nX-Tenant: CANARY6\r\nAuthorization: Bearer CANARY7\r\n";
    let exchanges = [
        (post("/login?user=CANARY8&CANARY9%40mail.example=1", fields, body), answer("200 OK", body)),
        (post("/rpc", "", r#"{"jsonrpc":"2.0","method":"CANARY1@mail.example","id":1}"#), answer("200 OK", "{}")),
        (post("/graphql", "", r#"{"query":"query A { user(id: \"CANARY2\") { id } }"}"#), answer("200 OK", "{}")),
        (
            post("/v1/chat/completions", "", r#"{"model":"CANARY3@mail","messages":[{"content":"CANARY4"}]}"#),
            answer("200 OK", "{}"),
        ),
    ];
    let inventory = all(&exchanges);
    let state = format!("{:?}", inventory.endpoints());
    for canary in ["CANARY", "4111111111111111"] {
        assert!(!state.contains(canary), "{canary} in {state}");
    }
    assert!(state.contains("password") && state.contains("x-tenant") && state.contains("\"sid\""));
}

/// A WebSocket of one text message from the client, and of text, binary and a Close frame from the server.
fn socket(client: u16, protocol: &str, code: u16) -> Conversation {
    let request = format!(
        "GET /live HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    let [high, low] = code.to_be_bytes();
    Conversation::new()
        .client(format!("10.1.0.1:{client}").parse().unwrap())
        .request(request.as_bytes())
        .response(answer.as_bytes())
        .request(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .response(b"\x82\x03bin\x81\x04text")
        .response(&[0x88, 2, high, low])
}

#[test]
fn what_goes_over_sockets_is_the_same_for_any_number_of_workers() {
    let count = |workers: usize| {
        let config = Config::new(&[7; 32]);
        let mut inventory = Inventory::new(config.discovery.clone(), workers);
        let mut all: Vec<Worker> = (0..workers).map(|_| Worker::new(config.clone(), None)).collect();
        for (at, code) in [1000, 1000, 1001, 4000].into_iter().enumerate() {
            let protocol = ["chat", "graphql-ws", "chat", "eyJhbGciOiJIUzI1NiJ9x8KfQ2zR7Lw0Pm5Yt3Vb1Nc6"][at];
            for packet in socket(20_000 + at as u16, protocol, code).build().packets() {
                all[at % workers].handle_packet(&packet);
            }
        }
        for worker in &mut all {
            worker.finish(Timestamp::from_parts(1_800_000_000, 0));
            inventory.add(worker);
        }
        let of = |style| {
            let endpoints = inventory.endpoints();
            let found: Vec<_> = endpoints.into_iter().filter(|endpoint| endpoint.style == style).cloned().collect();
            assert_eq!(found.len(), 1, "{style:?}");
            // As it is kept on disk.
            let json = serde_json::to_string(&umbra_discovery::EndpointState::from(&found[0])).unwrap();
            assert!(!json.contains("eyJ"), "{json}");
            let back = serde_json::from_str::<umbra_discovery::EndpointState>(&json).unwrap().endpoint().unwrap();
            assert_eq!(back, found[0]);
            *back.learnt.unwrap().sockets.unwrap()
        };
        (of(Style::WebSocket), of(Style::GraphQl))
    };
    let (sockets, graphql) = count(1);
    assert_eq!((sockets.ended, sockets.text, sockets.binary), (3, [3, 3], [0, 3]));
    assert_eq!((sockets.payload_bytes, sockets.partial, sockets.deflate), ([6, 21], 0, 0));
    assert_eq!(sockets.codes(), [(1000, 1), (1001, 1), (4000, 1)]);
    assert_eq!(sockets.protocols.iter().collect::<Vec<_>>(), ["chat"]);
    assert_eq!((graphql.ended, graphql.protocols.iter().next()), (1, Some("graphql-ws")));
    assert_eq!(count(3), (sockets, graphql));
}
