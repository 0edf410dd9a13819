//! A quarter of an hour at a made-up web shop: the demo.

use std::net::SocketAddr;
use std::time::Duration;

use umbra_testkit::{Conversation, Http2Writer, Random, Trace};
use umbra_wire::Timestamp;

use super::http1::{chunked, request, response};

const API: &str = "api.shop.example";
const LEGACY: &str = "legacy.shop.example";
const GATEWAY: &str = "gateway.shop.example";
const ORDERS: &str = "orders.internal.shop.example:50051";

/// 2026-03-02 09:00:00 UTC.
const START_SECONDS: u64 = 1_772_442_000;

/// All of it, in time order.
pub(super) fn capture() -> Trace {
    let mut shop = Shop { random: Random::new(2026), trace: Trace::default(), connections: 0 };
    for visitor in 0..12 {
        shop.web_client(visitor);
    }
    for _ in 0..3 {
        shop.mobile_client();
    }
    shop.order_service();
    shop.live_updates();
    shop.event_stream();
    shop.legacy_partner();
    shop.scanner();
    shop.health_checks();
    shop.trace.frames.sort_by_key(|(time, _)| *time);
    shop.trace
}

struct Shop {
    random: Random,
    trace: Trace,
    connections: u16,
}

impl Shop {
    /// A connection from `10.20.0.host` to a server, begun at some time of the quarter of an hour.
    fn connection(&mut self, host: u8, server: [u8; 4], port: u16) -> Conversation {
        self.connections += 1;
        let start = START_SECONDS * 1_000 + self.below(840_000);
        Conversation::new()
            .client(SocketAddr::from(([10, 20, 0, host], 40_000 + self.connections)))
            .server(SocketAddr::from((server, port)))
            .isn(self.random.bits() as u32, self.random.bits() as u32)
            .start(Timestamp(start * 1_000_000))
            .step(Duration::from_micros(700 + self.below(900)))
    }

    fn add(&mut self, conversation: &Conversation) {
        let trace = conversation.build();
        self.trace.link = trace.link;
        self.trace.frames.extend(trace.frames);
    }

    fn below(&mut self, bound: usize) -> u64 {
        self.random.below(bound) as u64
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.random.below(16)])).collect()
    }

    fn uuid(&mut self) -> String {
        format!("{}-{}-4{}-a{}-{}", self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12))
    }

    /// A browser session on the REST API: log in, browse, fill a cart, order. One keep-alive connection.
    fn web_client(&mut self, visitor: u8) {
        let token = format!("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.{}.{}", self.hex(48), self.hex(43));
        let plain = ["User-Agent: Mozilla/5.0 (demo)", "Accept: application/json"];
        let signed = [plain[0], plain[1], token.as_str()];
        let mut c = self.connection(10 + visitor, [10, 30, 0, 5], 8080);
        let user = 1_000 + self.below(9_000);

        // One visitor in four mistypes the password first.
        let login = format!(r#"{{"email":"user{user}@mail.example","password":"{}"}}"#, self.hex(12));
        if visitor.is_multiple_of(4) {
            c = c.request(&request("POST", "/v1/sessions", API, &plain, &login));
            c = c.response(&response(401, &[], r#"{"error":"wrong_credentials"}"#));
        }
        c = c.request(&request("POST", "/v1/sessions", API, &plain, &login));
        c = c.response(&response(201, &["Set-Cookie: sid=demo; HttpOnly"], r#"{"expires_in":900}"#));
        c = c.request(&request("GET", &format!("/v1/users/{user}"), API, &signed, ""));
        c = c.response(&response(200, &[], &format!(r#"{{"id":{user},"name":"A. Visitor"}}"#)));

        for page in 1..=3 {
            c = c.request(&request("GET", &format!("/v1/products?page={page}&size=5"), API, &signed, ""));
            let items: Vec<String> = (0..5).map(|_| self.product()).collect();
            let items = items.join(",");
            c = c.response(&chunked(200, "application/json", &[r#"{"items":["#, &items, "]}"]));
            let id = self.below(5_000);
            c = c.request(&request("GET", &format!("/v1/products/{id}"), API, &signed, ""));
            c = c.response(&match self.random.chance(10) {
                true => response(404, &[], r#"{"error":"no_such_product"}"#),
                false => response(200, &[], &self.product()),
            });
        }

        let cart = self.uuid();
        c = c.request(&request("POST", "/v1/carts", API, &signed, r#"{"currency":"EUR"}"#));
        c = c.response(&response(201, &[], &format!(r#"{{"id":"{cart}"}}"#)));
        for line in 1..=2 {
            let body = format!(r#"{{"sku":"SKU-{}","quantity":{}}}"#, self.below(99_999), 1 + self.below(4));
            c = c.request(&request("POST", &format!("/v1/carts/{cart}/items"), API, &signed, &body));
            c = c.response(&response(201, &[], &format!(r#"{{"line":{line}}}"#)));
        }
        if visitor.is_multiple_of(3) {
            c = c.request(&request("DELETE", &format!("/v1/carts/{cart}/items/1"), API, &signed, ""));
            c = c.response(&response(204, &[], ""));
        }
        let order = format!(r#"{{"cart":"{cart}","card":"4111111111111111","ship_to":{{"city":"Bern"}}}}"#);
        c = c.request(&request("POST", "/v1/orders", API, &signed, &order));
        c = c.response(&match visitor {
            5 => response(500, &[], r#"{"error":"payment_backend"}"#),
            _ => response(201, &[], &format!(r#"{{"id":"{}","status":"paid"}}"#, self.uuid())),
        });
        let query = r#"{"query":"query Offers($n:Int){offers(first:$n){sku price}}","operationName":"Offers"}"#;
        c = c.request(&request("POST", "/graphql", API, &signed, query));
        c = c.response(&response(200, &[], r#"{"data":{"offers":[{"sku":"SKU-7","price":9.5}]}}"#));
        self.add(&c);
    }

    fn product(&mut self) -> String {
        let (id, price) = (self.below(5_000), self.below(20_000));
        format!(r#"{{"id":{id},"sku":"SKU-{id:05}","name":"Thing {id}","price":{}.{:02}}}"#, price / 100, price % 100)
    }

    /// The mobile app: HTTP/2 in cleartext behind the TLS terminator, several requests under way at once.
    fn mobile_client(&mut self) {
        let mut c = self.connection(100, [10, 30, 0, 6], 8000);
        let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
        let key = self.hex(32);
        c = c.request(&client.take()).response(&server.take());
        let mut stream = 1;
        for _ in 0..8 {
            let paths = [
                "/app/v2/home".to_string(),
                format!("/app/v2/products/{}/reviews?limit=3", self.below(5_000)),
                format!("/app/v2/orders/{}", self.uuid()),
            ];
            for (n, path) in (0..).zip(&paths) {
                let fields = [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", GATEWAY),
                    (":path", path),
                    ("user-agent", "shop-app/7.1"),
                    ("x-api-key", &key),
                ];
                client.headers(stream + 2 * n, &fields, true);
            }
            c = c.request(&client.take());
            // The last comes back first.
            for n in (0..3).rev() {
                let body = format!(r#"{{"ok":true,"trace":"{}"}}"#, self.hex(16));
                let length = body.len().to_string();
                let fields = [(":status", "200"), ("content-type", "application/json"), ("content-length", &length)];
                server.headers(stream + 2 * n, &fields, false);
                server.data(stream + 2 * n, body.as_bytes(), true);
            }
            c = c.response(&server.take());
            stream += 6;
        }
        self.add(&c);
    }

    /// gRPC between two services: unary calls, one that fails, and a server stream.
    fn order_service(&mut self) {
        let mut c = self.connection(200, [10, 30, 0, 8], 50_051);
        let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
        c = c.request(&client.take()).response(&server.take());
        for n in 0..24u32 {
            let stream = 1 + 2 * n;
            let (method, messages, status) = match n % 8 {
                7 => ("/shop.orders.v1.Orders/Watch", 5, "0"),
                3 => ("/shop.orders.v1.Orders/Reserve", 0, "9"),
                _ => ("/shop.orders.v1.Orders/Get", 1, "0"),
            };
            let fields = [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", ORDERS),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ];
            client.headers(stream, &fields, false);
            client.data(stream, &self.grpc_message(), true);
            c = c.request(&client.take());
            let head = [(":status", "200"), ("content-type", "application/grpc")];
            if messages == 0 {
                server.headers(stream, &[&head[..], &[("grpc-status", status)]].concat(), true);
            } else {
                server.headers(stream, &head, false);
                for _ in 0..messages {
                    server.data(stream, &self.grpc_message(), false);
                }
                server.headers(stream, &[("grpc-status", status)], true);
            }
            c = c.response(&server.take());
        }
        self.add(&c);
    }

    /// A length-prefixed message: field 1, a string.
    fn grpc_message(&mut self) -> Vec<u8> {
        let id = self.uuid();
        [&[0, 0, 0, 0, 38, 0x0a, 36], id.as_bytes()].concat()
    }

    /// A WebSocket: prices pushed, a few subscriptions.
    fn live_updates(&mut self) {
        let mut c = self.connection(17, [10, 30, 0, 5], 8080);
        let upgrade = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        c = c.request(&request("GET", "/v1/live", API, &upgrade, ""));
        c = c.response(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        for n in 0..10 {
            if n % 4 == 0 {
                let text = format!(r#"{{"subscribe":"SKU-{n:05}"}}"#);
                c = c.request(&web_socket_text(&text, Some([7, 21, 96, n])));
            }
            let price = self.below(100);
            c = c.response(&web_socket_text(&format!(r#"{{"sku":"SKU-{n:05}","price":{price}}}"#), None));
        }
        // Close, 1000 on both sides.
        c = c.request(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).response(&[0x88, 2, 0x03, 0xe8]);
        self.add(&c);
    }

    /// Server-sent events.
    fn event_stream(&mut self) {
        let mut c = self.connection(18, [10, 30, 0, 5], 8080);
        c = c.request(&request("GET", "/v1/notifications", API, &["Accept: text/event-stream"], ""));
        let events: Vec<String> =
            (1..=6).map(|id| format!("id: {id}\nevent: order\ndata: {{\"order\":\"{}\"}}\n\n", self.uuid())).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        c = c.response(&chunked(200, "text/event-stream", &events));
        self.add(&c);
    }

    /// A partner who still uses an old version that everyone thought was gone, without TLS, with Basic auth.
    fn legacy_partner(&mut self) {
        let basic = ["User-Agent: partner-sync/0.9", "Authorization: Basic ZGVtbzpkZW1v"];
        let mut c = self.connection(220, [10, 30, 0, 7], 80);
        for n in 0..6 {
            let id = 1_000 + self.below(9_000);
            c = c.request(&request(
                "GET",
                &format!("/v0/users/{id}/export?since=2026-02-0{}", n + 1),
                LEGACY,
                &basic,
                "",
            ));
            let body = format!(r#"{{"id":{id},"email":"user{id}@mail.example","iban":"CH9300762011623852957"}}"#);
            c = c.response(&response(200, &[], &body));
        }
        self.add(&c);
    }

    /// Somebody tries doors.
    fn scanner(&mut self) {
        let mut c = self.connection(250, [10, 30, 0, 5], 8080);
        for path in
            ["/.env", "/wp-login.php", "/actuator/env", "/admin", "/.git/config", "/v1/users/1/../2", "/server-status"]
        {
            c = c.request(&request("GET", path, API, &["User-Agent: curl/8.5"], ""));
            let status = if path == "/admin" { 403 } else { 404 };
            c = c.response(&response(status, &[], r#"{"error":"no"}"#));
        }
        self.add(&c);
    }

    /// The load balancer, every ten seconds, on connections of their own.
    fn health_checks(&mut self) {
        for _ in 0..20 {
            let mut c = self.connection(2, [10, 30, 0, 5], 8080);
            c = c.request(&request("GET", "/healthz", API, &["User-Agent: lb/1", "Connection: close"], ""));
            c = c.response(&response(200, &["Connection: close"], r#"{"status":"up"}"#));
            self.add(&c);
        }
    }
}

/// A text frame (RFC 6455 §5.2) of at most 125 bytes.
fn web_socket_text(text: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(125);
    let mut frame = vec![0x81, length];
    match mask {
        Some(mask) => {
            frame[1] |= 0x80;
            frame.extend_from_slice(&mask);
            frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => frame.extend_from_slice(text.as_bytes()),
    }
    frame
}
