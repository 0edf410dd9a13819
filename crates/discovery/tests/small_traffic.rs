//! A few requests of APIs as people write them: what route inference must not get wrong where there is next to no evidence, as it
//! is the first thing that somebody sees who tries the sensor.
#![allow(clippy::unwrap_used)]

use umbra_discovery::routes::{BodyFacts, Config, Evidence, Routes};
use umbra_discovery::schema::ValueKey;

const KEY: ValueKey = ValueKey::new([3, 5]);

/// What is asked for, a request a line: `METHOD target [JSON body of the answer]`.
fn templates(traffic: &str) -> Vec<String> {
    let mut routes = Routes::new(Config { key: KEY, ..Config::default() });
    for (number, line) in traffic.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut words = line.splitn(3, ' ');
        let (method, target, body) = (words.next().unwrap(), words.next().unwrap(), words.next());
        let path = target.split('?').next().unwrap();
        let mut facts = BodyFacts::default();
        if let Some(body) = body {
            facts.read_json(&KEY, body.as_bytes());
        }
        routes.observe(&Evidence {
            service: b"api.example",
            method: method.as_bytes(),
            path: path.as_bytes(),
            status: if body.is_some() { 200 } else { 204 },
            response_type: body.map(|_| b"application/json".as_slice()),
            has_response_body: body.is_some(),
            response_keys: body.map(|_| facts.keys.as_slice()),
            values: &facts.values,
            lot: KEY.hash(&number.to_le_bytes()),
            ..Evidence::default()
        });
    }
    let endpoints = routes.templates(&[]);
    let mut found: Vec<String> =
        endpoints.endpoints().iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.template)).collect();
    found.sort();
    found
}

struct Case {
    name: &'static str,
    traffic: &'static str,
    expected: &'static [&'static str],
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        name: "two versions of one resource",
        traffic: r#"GET /v1/cards {"cards":[{"id":4,"number":"x"}]}
            GET /v2/cards {"cards":[{"id":4,"number":"x"}]}"#,
        expected: &["GET /v1/cards", "GET /v2/cards"],
    },
    Case {
        name: "two versions with items",
        traffic: r#"GET /v1/cards/17 {"id":17,"number":"x"}
            GET /v2/cards/17 {"id":17,"number":"x"}
            GET /v1/cards {"cards":[{"id":17,"number":"x"}]}
            GET /v2/cards {"cards":[{"id":17,"number":"x"}]}
            POST /v2/cards {"id":18,"number":"x"}"#,
        expected: &["GET /v1/cards", "GET /v1/cards/{card_id}", "GET /v2/cards", "GET /v2/cards/{card_id}", "POST /v2/cards"],
    },
    Case {
        name: "versions behind the name of an API",
        traffic: r#"GET /billing/v1/invoices {"invoices":[]}
            GET /billing/v2/invoices {"invoices":[]}
            GET /billing/v3/invoices {"invoices":[]}"#,
        expected: &["GET /billing/v1/invoices", "GET /billing/v2/invoices", "GET /billing/v3/invoices"],
    },
    Case {
        name: "versions behind api",
        traffic: r#"GET /api/v1/users {"users":[{"id":1}]}
            GET /api/v2/users {"users":[{"id":1}]}
            GET /api/v1beta1/users {"users":[{"id":1}]}
            GET /api/v2/users/7 {"id":7}"#,
        expected: &["GET /api/v1/users", "GET /api/v1beta1/users", "GET /api/v2/users", "GET /api/v2/users/{user_id}"],
    },
    Case {
        name: "dated version",
        traffic: r#"GET /2024-01-01/accounts {"accounts":[]}
            POST /2024-01-01/accounts {"id":"a"}
            GET /2024-01-01/accounts/19 {"id":19}
            GET /2024-01-01/regions {"regions":[]}
            DELETE /2024-01-01/accounts/19"#,
        expected: &[
            "DELETE /2024-01-01/accounts/{account_id}", "GET /2024-01-01/accounts", "GET /2024-01-01/accounts/{account_id}",
            "GET /2024-01-01/regions", "POST /2024-01-01/accounts",
        ],
    },
    Case {
        name: "me beside numbers",
        traffic: r#"GET /users/me {"id":4,"email":"a","roles":[]}
            GET /users/4 {"id":4,"email":"a"}
            GET /users/5 {"id":5,"email":"a"}"#,
        expected: &["GET /users/me", "GET /users/{user_id}"],
    },
    Case {
        name: "me alone",
        traffic: r#"GET /users/me {"id":4,"email":"a"}
            PATCH /users/me {"id":4,"email":"a"}
            GET /users/me/settings {"theme":"dark"}"#,
        expected: &["GET /users/me", "GET /users/me/settings", "PATCH /users/me"],
    },
    Case {
        name: "items of one order",
        traffic: r#"GET /orders/123/items {"items":[{"sku":"a","price":1}]}
            POST /orders/123/items {"sku":"a","price":1}
            DELETE /orders/123/items/9"#,
        expected: &["DELETE /orders/{order_id}/items/{item_id}", "GET /orders/{order_id}/items", "POST /orders/{order_id}/items"],
    },
    Case {
        name: "an action on an item",
        traffic: r#"POST /orders/123/cancel {"id":123,"state":"cancelled"}
            POST /orders/124/refund {"id":124,"state":"refunded"}
            GET /orders/123 {"id":123,"state":"open"}"#,
        expected: &["GET /orders/{order_id}", "POST /orders/{order_id}/cancel", "POST /orders/{order_id}/refund"],
    },
    Case {
        name: "health and friends",
        traffic: r#"GET /health {"status":"ok"}
            GET /healthz {"status":"ok"}
            GET /ready {"status":"ok"}
            GET /live {"status":"ok"}
            GET /metrics {"status":"ok"}
            GET /status {"status":"ok"}
            GET /version {"version":"1"}"#,
        expected: &["GET /health", "GET /healthz", "GET /live", "GET /metrics", "GET /ready", "GET /status", "GET /version"],
    },
    Case {
        name: "two collections with the same answers",
        traffic: r#"GET /api/invoices {"items":[{"id":1,"total":2}],"next":null}
            GET /api/receipts {"items":[{"id":1,"total":2}],"next":null}"#,
        expected: &["GET /api/invoices", "GET /api/receipts"],
    },
    Case {
        name: "collections with the same life",
        traffic: r#"GET /products {"items":[{"id":1,"name":"a"}]}
            GET /products/1 {"id":1,"name":"a"}
            DELETE /products/1
            GET /customers {"items":[{"id":1,"name":"a"}]}
            GET /customers/1 {"id":1,"name":"a"}
            DELETE /customers/1
            GET /suppliers {"items":[{"id":1,"name":"a"}]}
            GET /suppliers/1 {"id":1,"name":"a"}
            DELETE /suppliers/1"#,
        expected: &[
            "DELETE /customers/{customer_id}", "DELETE /products/{product_id}", "DELETE /suppliers/{supplier_id}",
            "GET /customers", "GET /customers/{customer_id}", "GET /products", "GET /products/{product_id}",
            "GET /suppliers", "GET /suppliers/{supplier_id}",
        ],
    },
    Case {
        name: "two words below a collection, a request each",
        traffic: r#"GET /reports {"reports":[]}
            GET /reports/daily {"rows":[],"total":1}
            GET /reports/weekly {"rows":[],"total":1}"#,
        expected: &["GET /reports", "GET /reports/daily", "GET /reports/weekly"],
    },
    Case {
        name: "logging in and out",
        traffic: r#"POST /auth/login {"token":"a"}
            POST /auth/logout {}
            POST /auth/refresh {"token":"a"}
            POST /auth/register {"token":"a"}
            POST /auth/password/reset {}"#,
        expected: &[
            "POST /auth/login", "POST /auth/logout", "POST /auth/password/reset", "POST /auth/refresh", "POST /auth/register",
        ],
    },
    Case {
        name: "UUIDs",
        traffic: r#"GET /files/550e8400-e29b-41d4-a716-446655440000 {"id":"550e8400-e29b-41d4-a716-446655440000"}
            GET /files/6fa459ea-ee8a-3ca4-894e-db77e160355e/content {"data":"x"}"#,
        expected: &["GET /files/{file_id}", "GET /files/{file_id}/content"],
    },
    Case {
        name: "slugs, once each",
        traffic: r#"GET /articles {"articles":[{"slug":"why-rust-is-fast","title":"t"},{"slug":"ten-tips-for-tea","title":"t"}]}
            GET /articles/why-rust-is-fast {"slug":"why-rust-is-fast","title":"t","body":"b"}
            GET /articles/ten-tips-for-tea {"slug":"ten-tips-for-tea","title":"t","body":"b"}
            GET /articles/hello-world {"slug":"hello-world","title":"t","body":"b"}"#,
        expected: &["GET /articles", "GET /articles/{article_name}"],
    },
    Case {
        name: "user names, once each",
        traffic: r#"GET /users/ann {"login":"ann","id":3}
            GET /users/bob42 {"login":"bob42","id":4}
            GET /users/carol.jones {"login":"carol.jones","id":5}
            GET /users/dave {"login":"dave","id":6}
            GET /users/ann/repos [{"name":"x"}]
            GET /users/dave/repos [{"name":"x"}]"#,
        expected: &["GET /users/{user_name}", "GET /users/{user_name}/repos"],
    },
    Case {
        name: "languages",
        traffic: r#"GET /translations/en {"messages":{"a":"b"}}
            GET /translations/de {"messages":{"a":"b"}}
            GET /translations/fr {"messages":{"a":"b"}}
            GET /translations/pt-BR {"messages":{"a":"b"}}"#,
        expected: &["GET /translations/{translation_name}"],
    },
    Case {
        name: "GraphQL, webhooks and the rest of a small shop",
        traffic: r#"POST /graphql {"data":{}}
            POST /webhooks/stripe {"received":true}
            POST /webhooks/github {"received":true}
            GET /api/v1/products?page=2 {"products":[]}
            GET /api/v1/products/search {"products":[]}
            GET /api/v1/products/81 {"id":81,"name":"a"}
            GET /api/v1/cart {"lines":[]}
            POST /api/v1/cart/items {"lines":[]}
            PUT /api/v1/cart/items/4 {"lines":[]}
            POST /api/v1/checkout {"order":9}"#,
        expected: &[
            "GET /api/v1/cart", "GET /api/v1/products", "GET /api/v1/products/search", "GET /api/v1/products/{product_id}",
            "POST /api/v1/cart/items", "POST /api/v1/checkout", "POST /graphql", "POST /webhooks/github", "POST /webhooks/stripe",
            "PUT /api/v1/cart/items/{item_id}",
        ],
    },
    Case {
        name: "administration",
        traffic: r#"GET /admin/users {"users":[]}
            GET /admin/orders {"orders":[]}
            GET /admin/settings {"settings":{}}
            PUT /admin/settings {"settings":{}}
            GET /internal/debug/vars {"a":1}
            GET /internal/debug/config {"a":1}"#,
        expected: &[
            "GET /admin/orders", "GET /admin/settings", "GET /admin/users", "GET /internal/debug/config", "GET /internal/debug/vars",
            "PUT /admin/settings",
        ],
    },
    Case {
        name: "files with endings",
        traffic: r#"GET /api/reports/17.json {"id":17}
            GET /api/reports/18.json {"id":18}
            GET /api/openapi.json {"openapi":"3.1.0"}"#,
        expected: &["GET /api/openapi.json", "GET /api/reports/{report_id}.json"],
    },
    Case {
        name: "prefixed ids",
        traffic: r#"GET /v1/customers/cus_9s6XKzkNRiz8i3 {"id":"cus_9s6XKzkNRiz8i3"}
            POST /v1/payment_intents {"id":"pi_3MtwBwLkdIwHu7ix28a3tqPa"}
            POST /v1/payment_intents/pi_3MtwBwLkdIwHu7ix28a3tqPa/confirm {"id":"pi_3MtwBwLkdIwHu7ix28a3tqPa"}"#,
        expected: &[
            "GET /v1/customers/{customer_id}", "POST /v1/payment_intents", "POST /v1/payment_intents/{payment_intent_id}/confirm",
        ],
    },
    Case {
        name: "OAuth",
        traffic: r#"GET /.well-known/openid-configuration {"issuer":"x"}
            GET /.well-known/jwks.json {"keys":[]}
            POST /oauth2/token {"access_token":"a"}
            POST /oauth2/revoke {}
            GET /oauth2/userinfo {"sub":"a"}"#,
        expected: &[
            "GET /.well-known/jwks.json", "GET /.well-known/openid-configuration", "GET /oauth2/userinfo", "POST /oauth2/revoke",
            "POST /oauth2/token",
        ],
    },
    Case {
        name: "nested resources, one of each",
        traffic: r#"GET /orgs/7/teams/3/members/12 {"id":12}
            PUT /orgs/7/teams/3/members/12 {"id":12}
            GET /orgs/7/teams/3/members {"members":[]}
            GET /orgs/7/teams {"teams":[]}
            GET /orgs/7 {"id":7}"#,
        expected: &[
            "GET /orgs/{org_id}", "GET /orgs/{org_id}/teams", "GET /orgs/{org_id}/teams/{team_id}/members",
            "GET /orgs/{org_id}/teams/{team_id}/members/{member_id}", "PUT /orgs/{org_id}/teams/{team_id}/members/{member_id}",
        ],
    },
];

#[test]
fn few_requests_make_a_list_that_nobody_laughs_at() {
    let mut wrong = Vec::new();
    for case in CASES {
        let found = templates(case.traffic);
        if found != case.expected {
            wrong.push(format!("{}: {found:#?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong: {}", wrong.len(), CASES.len(), wrong.join("\n"));
}
