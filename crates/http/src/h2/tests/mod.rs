//! Tests of the whole, with both peers written by hand.
#![allow(clippy::unwrap_used)]

mod faults;
mod flows;
mod loss;

use super::hpack::encoder::{Encoder, Form};
use super::*;
use crate::engine::Config;

const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/users/1"),
    (":authority", "api.example"),
    ("user-agent", "t"),
];
const OK: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/json"), ("server", "s")];

/// One direction's step.
#[derive(Clone, Debug)]
enum Step {
    Data(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction, EndReason),
}

/// Writes both directions.
struct Script {
    steps: Vec<Step>,
    encoders: [Encoder; 2],
}

impl Script {
    /// Preface and SETTINGS are written.
    fn new() -> Script {
        let mut script = Script::bare();
        script.raw(Direction::ToServer, PREFACE);
        script.frame(Direction::ToServer, kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        script.frame(Direction::ToClient, kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        script.frame(Direction::ToServer, kind::SETTINGS, 1, 0, &[]);
        script.frame(Direction::ToClient, kind::SETTINGS, 1, 0, &[]);
        script
    }

    fn bare() -> Script {
        Script { steps: Vec::new(), encoders: [Encoder::new(), Encoder::new()] }
    }

    fn raw(&mut self, direction: Direction, bytes: &[u8]) {
        self.steps.push(Step::Data(direction, bytes.to_vec()));
    }

    fn frame(&mut self, direction: Direction, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.raw(direction, &frame(kind, flags, stream, payload));
    }

    fn block(&mut self, direction: Direction, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        let encoder = &mut self.encoders[direction.index()];
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), Form::Index, &mut block);
        }
        block
    }

    fn headers(&mut self, direction: Direction, stream: u32, fields: &[(&str, &str)], end: bool) {
        let block = self.block(direction, fields);
        self.frame(direction, kind::HEADERS, 4 | u8::from(end), stream, &block);
    }

    fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(Direction::ToServer, stream, fields, true);
    }

    fn response(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(Direction::ToClient, stream, fields, true);
    }

    fn data(&mut self, direction: Direction, stream: u32, content: &[u8], end: bool) {
        self.frame(direction, kind::DATA, u8::from(end), stream, content);
    }

    fn gap(&mut self, direction: Direction, len: u64) {
        self.steps.push(Step::Gap(direction, len));
    }

    fn end(&mut self) {
        self.steps.push(Step::End(Direction::ToServer, EndReason::Fin));
        self.steps.push(Step::End(Direction::ToClient, EndReason::Fin));
    }

    /// Both directions, whole, by byte, and in odd pieces: the same transactions.
    fn run(self) -> Vec<Transaction> {
        self.run_as(false)
    }

    /// As [`run`](Self::run), joined late.
    fn run_late(self) -> Vec<Transaction> {
        self.run_as(true)
    }

    fn run_as(mut self, late: bool) -> Vec<Transaction> {
        self.end();
        let whole = self.feed(usize::MAX, late).0;
        for piece in [1, 7, 100] {
            let split = self.feed(piece, late).0;
            assert_eq!(lines(&split), lines(&whole), "in pieces of {piece} bytes");
            for (split, whole) in split.iter().zip(&whole) {
                let (split, whole) = (format!("{split:#?}"), format!("{whole:#?}"));
                if let Some((split, whole)) = split.lines().zip(whole.lines()).find(|(split, whole)| split != whole) {
                    panic!("in pieces of {piece} bytes: {split} is not {whole}");
                }
            }
        }
        whole
    }

    fn feed(&self, piece: usize, late: bool) -> (Vec<Transaction>, Engine) {
        let mut engine = Engine::new(Config::default());
        let mut h2 = H2::new(&mut engine, late, [0; 2]);
        let mut found = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let time = Timestamp::from_parts(1 + number as u64, 0);
            match step {
                Step::Data(direction, bytes) => {
                    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
                        h2.handle_data(&mut engine, *direction, time, piece);
                    }
                }
                Step::Gap(direction, len) => h2.handle_gap(&mut engine, *direction, time, *len, false),
                Step::End(direction, reason) => h2.handle_end(&mut engine, *direction, *reason),
            }
            while let Some(transaction) = engine.poll_transaction() {
                found.push((*transaction).clone());
                engine.recycle(transaction);
            }
        }
        (found, engine)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `stream method authority target status`, `-` for unknown.
fn line(transaction: &Transaction) -> String {
    let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let request = transaction.request.as_ref();
    format!(
        "{} {} {} {} {}",
        transaction.stream_id.unwrap(),
        text(request.map(|request| request.method()).filter(|method| !method.is_empty())),
        text(request.and_then(|request| request.authority())),
        text(request.and_then(|request| request.target())),
        transaction.response.as_ref().map_or("-".into(), |response| response.status.to_string()),
    )
}

fn lines(transactions: &[Transaction]) -> Vec<String> {
    transactions.iter().map(line).collect()
}
