//! Conversations in, transactions out, for the tests of HTTP/1.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::vec_box)] // each test file uses a part

use umbra_flow::{Direction, EndReason};
use umbra_http::{Config, Connection, Engine, Transaction};
use umbra_wire::Timestamp;

/// One step of a conversation.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bytes from the client.
    C(Vec<u8>),
    /// Bytes from the server.
    S(Vec<u8>),
    /// Bytes missing from the client.
    GapC(u64),
    /// Bytes missing from the server.
    GapS(u64),
    /// A contradicting retransmission by the client.
    ConflictC,
    /// Time goes on.
    Wait(u64),
    /// The client's end.
    EndC(EndReason),
    /// The server's end.
    EndS(EndReason),
}

pub fn c(bytes: impl AsRef<[u8]>) -> Step {
    Step::C(bytes.as_ref().to_vec())
}

pub fn s(bytes: impl AsRef<[u8]>) -> Step {
    Step::S(bytes.as_ref().to_vec())
}

/// How to run a conversation.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub mid_stream: bool,
    /// Piece lengths, used in turn; none: whole.
    pub pieces: Vec<usize>,
    /// Leave the flow open.
    pub open: bool,
    pub config: Config,
}

pub struct Outcome {
    pub transactions: Vec<Box<Transaction>>,
    pub connection: Connection,
    pub engine: Engine,
}

pub fn run(steps: &[Step]) -> Outcome {
    run_as(steps, &Run::default())
}

pub fn run_as(steps: &[Step], how: &Run) -> Outcome {
    let mut engine = Engine::new(how.config.clone());
    let mut connection = Connection::new(how.mid_stream);
    let mut time = Timestamp(1_000_000_000);
    let mut pieces = how.pieces.iter().copied().cycle();
    let mut feed = |engine: &mut Engine, connection: &mut Connection, direction, time, bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
            connection.handle_data(engine, direction, time, &rest[..len]);
            rest = &rest[len..];
        }
    };
    for step in steps {
        time.0 += 1_000_000;
        match step {
            Step::C(bytes) => feed(&mut engine, &mut connection, Direction::ToServer, time, bytes),
            Step::S(bytes) => feed(&mut engine, &mut connection, Direction::ToClient, time, bytes),
            Step::GapC(len) => connection.handle_gap(&mut engine, Direction::ToServer, time, *len, false),
            Step::GapS(len) => connection.handle_gap(&mut engine, Direction::ToClient, time, *len, false),
            Step::ConflictC => connection.handle_conflict(Direction::ToServer),
            Step::Wait(millis) => time.0 += millis * 1_000_000,
            Step::EndC(reason) => connection.handle_end(&mut engine, Direction::ToServer, time, *reason),
            Step::EndS(reason) => connection.handle_end(&mut engine, Direction::ToClient, time, *reason),
        }
    }
    if !how.open {
        connection.handle_end(&mut engine, Direction::ToServer, time, EndReason::Fin);
        connection.handle_end(&mut engine, Direction::ToClient, time, EndReason::Fin);
    }
    let mut transactions = Vec::new();
    while let Some(transaction) = engine.poll_transaction() {
        transactions.push(transaction);
    }
    Outcome { transactions, connection, engine }
}

/// `METHOD target status`, `-` where there is none.
pub fn line(transaction: &Transaction) -> String {
    let request = transaction.request.as_ref().map_or_else(
        || "- -".to_owned(),
        |request| {
            format!(
                "{} {}",
                String::from_utf8_lossy(request.method()),
                request.target().map_or("?".into(), String::from_utf8_lossy)
            )
        },
    );
    let status = transaction.response.as_ref().map_or("-".to_owned(), |response| response.status.to_string());
    format!("{request} {status}")
}

pub fn lines(outcome: &Outcome) -> Vec<String> {
    outcome.transactions.iter().map(|transaction| line(transaction)).collect()
}

/// Everything that must not depend on how the bytes were split.
pub fn facts(outcome: &Outcome) -> Vec<String> {
    let block = |headers: &umbra_http::HeaderBlock| {
        headers
            .iter()
            .map(|(field, name, value)| {
                format!("{}{}={};", if field.trailer { "+" } else { "" }, name.escape_ascii(), value.escape_ascii())
            })
            .collect::<String>()
    };
    outcome
        .transactions
        .iter()
        .map(|t| {
            format!(
                "{} #{} {:?} {:?} {:?} [{}] {} | {:?} [{}] | {} {:?} {:?} | {:?} {:?} | {:?} | {:?} {:?} {:?}",
                line(t),
                t.index,
                t.request.as_ref().map(|r| r.version),
                t.request.as_ref().and_then(|r| r.authority().map(|a| a.escape_ascii().to_string())),
                t.request_offsets,
                t.request.as_ref().map(|r| block(&r.headers)).unwrap_or_default(),
                t.stream_id.unwrap_or(0),
                t.response.as_ref().map(|r| r.version),
                t.response.as_ref().map(|r| block(&r.headers)).unwrap_or_default(),
                t.informational,
                t.request_body,
                t.response_body,
                (t.request_start, t.request_end),
                (t.response_start, t.response_end),
                t.anomalies.iter().map(|a| a.name()).collect::<Vec<_>>(),
                t.coverage,
                t.upgrade,
                t.websocket,
            )
        })
        .collect()
}

/// The same whole, in single bytes and in odd pieces.
pub fn assert_split_invariant(steps: &[Step], how: &Run) {
    let whole = run_as(steps, how);
    let (expected, protocol) = (facts(&whole), whole.connection.protocol());
    for pieces in [vec![1], vec![2], vec![3, 1], vec![7, 2, 5], vec![64], vec![1400]] {
        let split = run_as(steps, &Run { pieces: pieces.clone(), ..how.clone() });
        assert_eq!(facts(&split), expected, "pieces {pieces:?}");
        assert_eq!(split.connection.protocol(), protocol);
    }
}
