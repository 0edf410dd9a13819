//! Captures made from code, with the log that a server would have written: fixed inputs of the stage benches, and the
//! whole-sensor captures where real servers are not at hand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use umbra_testkit::{Conversation, Http2Writer, Random, Trace};
use umbra_wire::Timestamp;

/// Requests of one keep-alive HTTP/1 connection.
const REQUESTS_PER_CONNECTION: usize = 500;
/// Streams under way at once on one HTTP/2 connection.
const STREAMS_AT_ONCE: usize = 16;
/// Streams of one HTTP/2 connection.
const STREAMS_PER_CONNECTION: usize = 4_000;

/// A capture and what its server logged.
#[derive(Clone, Debug)]
pub struct Made {
    /// The packets.
    pub trace: Trace,
    /// A line a transaction, in the columns of the corpus' `access.tsv`.
    pub log: String,
    /// Transactions.
    pub transactions: usize,
    random: Random,
    connections: u32,
}

/// What a connection is like.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Http1 { body_bytes: usize, requests: usize },
    Http2,
}

/// Names of the captures that [`make`] knows.
pub const NAMES: [&str; 4] = ["http1-small", "http1-big", "h2c", "many-conns"];

/// The capture of this name with about so many transactions; nothing for another name. Always the same bytes.
pub fn make(name: &str, transactions: usize) -> Option<Made> {
    let shape = match name {
        "http1-small" => Shape::Http1 { body_bytes: 600, requests: REQUESTS_PER_CONNECTION },
        "http1-big" => Shape::Http1 { body_bytes: 24_000, requests: REQUESTS_PER_CONNECTION },
        "h2c" => Shape::Http2,
        "many-conns" => Shape::Http1 { body_bytes: 600, requests: 1 },
        _ => return None,
    };
    let mut made = Made {
        trace: Trace::ethernet(Vec::new()),
        log: String::new(),
        transactions: 0,
        random: Random::new(7),
        connections: 0,
    };
    while made.transactions < transactions {
        let left = transactions - made.transactions;
        match shape {
            Shape::Http1 { body_bytes, requests } => made.http1_connection(left.min(requests), body_bytes),
            Shape::Http2 => made.http2_connection(left.min(STREAMS_PER_CONNECTION)),
        }
    }
    // Connections overlap in time: sort packets as a capture sees them.
    made.trace.frames.sort_by_key(|(time, _)| *time);
    Some(made)
}

/// One request and its answer, whatever the version.
struct Exchange {
    method: &'static str,
    uri: String,
    status: u16,
    id: String,
    token: String,
    request_body: String,
    response_body: String,
}

impl Made {
    fn connection(&mut self) -> Conversation {
        self.connections += 1;
        let [_, high, middle, low] = (self.connections / 50_000).to_be_bytes();
        let port = 1_024 + u16::try_from(self.connections % 50_000).unwrap_or(0);
        // 64 connections begin within a second, as from a load generator.
        let start = u64::from(self.connections / 64) * 1_000_000_000 + u64::from(self.connections % 64) * 1_000_000;
        Conversation::new()
            .client(SocketAddr::from(([10, 1 + high, middle, 1 + low], port)))
            .server(SocketAddr::from(([10, 200, 0, 1], 80)))
            .isn(self.random.bits() as u32, self.random.bits() as u32)
            .start(Timestamp(1_772_442_000_000_000_000 + start))
            .step(Duration::from_micros(190))
    }

    fn http1_connection(&mut self, requests: usize, body_bytes: usize) {
        let mut conversation = self.connection();
        for n in 1..=requests {
            let exchange = self.exchange(body_bytes);
            let mut request = format!(
                "{} {} HTTP/1.1\r\nHost: api.made.example\r\nUser-Agent: made/1.0\r\nAccept: application/json\r\n\
                 Authorization: Bearer {}\r\n",
                exchange.method, exchange.uri, exchange.token
            );
            if !exchange.request_body.is_empty() {
                let length = exchange.request_body.len();
                let _ = write!(request, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
            }
            let _ = write!(request, "\r\n{}", exchange.request_body);
            let response = format!(
                "HTTP/1.1 {} Said\r\nServer: made\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 X-Request-Id: {}\r\nCache-Control: no-store\r\n\r\n{}",
                exchange.status,
                exchange.response_body.len(),
                exchange.id,
                exchange.response_body
            );
            conversation = conversation.request(request.as_bytes()).response(response.as_bytes());
            self.log("HTTP/1.1", n, &exchange, request.len());
        }
        self.trace.frames.extend(conversation.build().frames);
    }

    fn http2_connection(&mut self, streams: usize) {
        let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
        let mut conversation = self.connection().request(&client.take()).response(&server.take());
        let mut done = 0;
        while done < streams {
            let burst: Vec<(u32, Exchange)> = (done..streams.min(done + STREAMS_AT_ONCE))
                .map(|n| (u32::try_from(2 * n + 1).unwrap_or(u32::MAX), self.exchange(500)))
                .collect();
            for (stream, exchange) in &burst {
                let length = exchange.request_body.len().to_string();
                let mut fields = vec![
                    (":method", exchange.method),
                    (":scheme", "http"),
                    (":authority", "api.made.example"),
                    (":path", &exchange.uri),
                    ("user-agent", "made/2.0"),
                    ("authorization", &exchange.token),
                ];
                if !exchange.request_body.is_empty() {
                    fields.extend([("content-type", "application/json"), ("content-length", &length)]);
                }
                client.headers(*stream, &fields, exchange.request_body.is_empty());
                if !exchange.request_body.is_empty() {
                    client.data(*stream, exchange.request_body.as_bytes(), true);
                }
            }
            conversation = conversation.request(&client.take());
            for (stream, exchange) in burst.iter().rev() {
                let (status, length) = (exchange.status.to_string(), exchange.response_body.len().to_string());
                let fields = [
                    (":status", status.as_str()),
                    ("server", "made"),
                    ("content-type", "application/json"),
                    ("content-length", &length),
                    ("x-request-id", &exchange.id),
                ];
                server.headers(*stream, &fields, false);
                server.data(*stream, exchange.response_body.as_bytes(), true);
                self.log("HTTP/2.0", done + 1, exchange, 0);
            }
            conversation = conversation.response(&server.take());
            done += burst.len();
        }
        self.trace.frames.extend(conversation.build().frames);
    }

    fn exchange(&mut self, body_bytes: usize) -> Exchange {
        let (low, high) = (self.random.bits(), self.random.bits());
        let uri = match self.random.below(6) {
            0 => format!("/api/v1/users/{}", low % 100_000),
            1 => format!("/api/v1/orders/{:08x}-{:04x}-4a11-a0b1-{:012x}", low as u32, high as u16, high >> 16),
            2 => format!("/api/v1/products?page={}&size=20", low % 50),
            3 => format!("/api/v2/devices/{low:016x}{:08x}", high as u32),
            4 => format!("/api/v1/teams/{}/members/{}", low % 300, high % 100_000),
            _ => format!("/search?q={:06x}&limit=10", low & 0xff_ffff),
        };
        let method = ["GET", "GET", "GET", "POST", "PUT", "DELETE"][self.random.below(6)];
        let status = if self.random.chance(95) { 200 } else { [401, 404, 500][self.random.below(3)] };
        let request_body = if matches!(method, "POST" | "PUT") { self.json(300) } else { String::new() };
        let size = body_bytes / 2 + self.random.below(body_bytes);
        Exchange {
            method,
            uri,
            status,
            id: format!("{:016x}{:016x}", self.random.bits(), self.random.bits()),
            token: format!("eyJhbGciOiJIUzI1NiJ9.{low:016x}{high:016x}.{high:016x}{low:016x}"),
            request_body,
            response_body: self.json(size),
        }
    }

    /// A JSON object of about this many bytes.
    fn json(&mut self, bytes: usize) -> String {
        let mut text = String::from(r#"{"items":["#);
        while text.len() < bytes {
            let (sku, price) = (self.random.below(100_000), self.random.below(10_000));
            let _ = write!(text, r#"{{"sku":"SKU-{sku:05}","quantity":{},"price":{price}}},"#, sku % 9);
        }
        text.push_str("{}]}");
        text
    }

    fn log(&mut self, protocol: &str, number: usize, exchange: &Exchange, request_bytes: usize) {
        self.transactions += 1;
        let _ = writeln!(
            self.log,
            "0\t{}\t{number}\t{protocol}\t{}\t{}\t{}\t{request_bytes}\t{}\t{}",
            self.connections,
            exchange.method,
            exchange.uri,
            exchange.status,
            exchange.response_body.len(),
            exchange.id
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capture_has_what_was_asked_for_and_is_always_the_same() {
        for name in NAMES {
            let made = make(name, 700).expect("a known name");
            assert_eq!((made.transactions, made.log.lines().count()), (700, 700), "{name}");
            assert!(made.trace.frames.is_sorted_by_key(|(time, _)| *time));
            assert_eq!(made.trace, make(name, 700).expect("a known name").trace, "{name}");
        }
        assert!(make("no-such", 1).is_none());
    }
}
