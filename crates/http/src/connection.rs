//! Both directions of one connection, from its first byte to its end.

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use crate::detect::{self, Detect, Found};
use crate::engine::Engine;
use crate::h1::{Http1, Origin, Switch};
use crate::h2::H2;
use crate::replay::{Replay, Step};
use crate::transaction::{Transaction, Upgrade};
use crate::ws::WebSocketReader;

/// Tunnels inside tunnels that are still read.
const TUNNEL_DEPTH: u8 = 4;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Not known yet.
    #[default]
    Undecided,
    /// HTTP/1 (0.9, 1.0, 1.1).
    Http1,
    /// HTTP/2.
    Http2,
    /// WebSocket, after an upgrade.
    WebSocket,
    /// TLS: opaque here.
    Tls,
    /// None of ours. The caller may stop handing over bytes.
    Unknown,
}

/// Both directions of one connection.
///
/// Call order: `handle_data`, `handle_gap`, `handle_conflict` and `handle_end` as the flow stage says; after each, take what
/// is ready from [`Engine::poll_transaction`].
#[derive(Debug, Default)]
pub struct Connection {
    stage: Stage,
    origin: Origin,
    swapped: bool,
    /// Connections around this one: CONNECT tunnels.
    depth: u8,
}

/// Who reads the bytes. Everything large is boxed: most flows of a busy link are idle.
#[derive(Debug, Default)]
enum Stage {
    /// Nothing came yet.
    #[default]
    Fresh,
    Detect(Box<Detect>),
    Http1(Box<Http1>),
    Http2(Box<H2>),
    WebSocket(Box<WebSocketStage>),
    Tunnel(Box<Connection>),
    Tls,
    Unknown,
}

#[derive(Debug)]
struct WebSocketStage {
    reader: WebSocketReader,
    transaction: Box<Transaction>,
    ended: [bool; 2],
}

impl Connection {
    /// A connection; `mid_stream` if its start was not seen.
    pub fn new(mid_stream: bool) -> Self {
        Connection { origin: Origin { mid_stream, ..Origin::default() }, ..Connection::default() }
    }

    /// What it speaks; inside a CONNECT tunnel, what is spoken there.
    pub fn protocol(&self) -> Protocol {
        match &self.stage {
            Stage::Fresh | Stage::Detect(_) => Protocol::Undecided,
            Stage::Http1(_) => Protocol::Http1,
            Stage::Http2(_) => Protocol::Http2,
            Stage::WebSocket(_) => Protocol::WebSocket,
            Stage::Tunnel(inner) => inner.protocol(),
            Stage::Tls => Protocol::Tls,
            Stage::Unknown => Protocol::Unknown,
        }
    }

    /// The bytes show that client and server are the other way round than the flow stage took them to be
    /// (mid-stream joins, F027).
    pub fn roles_swapped(&self) -> bool {
        self.swapped ^ matches!(&self.stage, Stage::Http2(http2) if http2.roles_swapped())
    }

    /// Bytes of memory held beyond the struct itself.
    pub fn memory_bytes(&self) -> usize {
        match &self.stage {
            Stage::Fresh | Stage::Tls | Stage::Unknown => 0,
            Stage::Detect(detect) => size_of::<Detect>() + detect.memory_bytes(),
            Stage::Http1(http1) => http1.memory_bytes(),
            Stage::Http2(http2) => size_of::<H2>() + http2.memory_bytes(),
            Stage::WebSocket(stage) => {
                size_of::<WebSocketStage>() + size_of::<Transaction>() + stage.reader.memory_bytes()
            }
            Stage::Tunnel(inner) => size_of::<Connection>() + inner.memory_bytes(),
        }
    }

    /// The next bytes of a direction.
    pub fn handle_data(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8]) {
        let role = self.role(direction);
        match &mut self.stage {
            Stage::Fresh if bytes.is_empty() => {}
            Stage::Fresh => {
                match detect::at_once(engine, self.origin.mid_stream, direction, bytes) {
                    Some(found) => self.settle(engine, found),
                    None => self.stage = Stage::Detect(Box::default()),
                }
                self.handle_data(engine, direction, time, bytes);
            }
            Stage::Detect(detect) => {
                let offset = &mut self.origin.offsets[direction.index()];
                *offset = offset.saturating_add(bytes.len() as u64);
                if let Some(found) = detect.handle_data(engine, self.origin.mid_stream, direction, time, bytes) {
                    let replay = detect.take_replay();
                    for direction in [Direction::ToServer, Direction::ToClient] {
                        let offset = &mut self.origin.offsets[direction.index()];
                        *offset = offset.saturating_sub(replay.stream_bytes(direction));
                    }
                    self.settle(engine, found);
                    self.replay(engine, &replay);
                }
            }
            Stage::Http1(http1) => {
                let (used, switch) = http1.handle_data(engine, role, time, bytes);
                if let Some(switch) = switch {
                    self.switch(engine, *switch);
                    if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
                        self.handle_data(engine, direction, time, rest);
                    }
                }
            }
            Stage::Http2(http2) => http2.handle_data(engine, role, time, bytes),
            Stage::WebSocket(stage) => stage.reader.data(role, bytes),
            Stage::Tunnel(inner) => inner.handle_data(engine, role, time, bytes),
            Stage::Tls | Stage::Unknown => {}
        }
    }

    /// `len` bytes of a direction are missing; `truncated` if the snap length cut them.
    pub fn handle_gap(
        &mut self,
        engine: &mut Engine,
        direction: Direction,
        time: Timestamp,
        len: u64,
        truncated: bool,
    ) {
        if len == 0 {
            return;
        }
        let role = self.role(direction);
        match &mut self.stage {
            Stage::Fresh | Stage::Detect(_) => {
                if let Stage::Detect(detect) = &mut self.stage {
                    detect.handle_gap(direction);
                }
                // From here on it is a connection joined late.
                self.origin.mid_stream = true;
                self.origin.gaps[direction.index()] = true;
                let offset = &mut self.origin.offsets[direction.index()];
                *offset = offset.saturating_add(len);
            }
            Stage::Http1(http1) => http1.handle_gap(engine, role, time, len, truncated),
            Stage::Http2(http2) => http2.handle_gap(engine, role, time, len, truncated),
            Stage::WebSocket(stage) => {
                stage.transaction.coverage.gap_bytes = stage.transaction.coverage.gap_bytes.saturating_add(len);
                stage.transaction.coverage.truncated |= truncated;
                stage.reader.gap(role, len);
            }
            Stage::Tunnel(inner) => inner.handle_gap(engine, role, time, len, truncated),
            Stage::Tls | Stage::Unknown => {}
        }
    }

    /// A retransmission contradicted bytes of this direction (F020).
    pub fn handle_conflict(&mut self, direction: Direction) {
        let role = self.role(direction);
        match &mut self.stage {
            Stage::Http1(http1) => http1.handle_conflict(role),
            Stage::Http2(http2) => http2.handle_conflict(role),
            Stage::Tunnel(inner) => inner.handle_conflict(role),
            Stage::WebSocket(_) | Stage::Fresh | Stage::Detect(_) | Stage::Tls | Stage::Unknown => {}
        }
    }

    /// No more bytes in this direction. Once both have ended every transaction has been given out.
    pub fn handle_end(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, reason: EndReason) {
        let role = self.role(direction);
        match &mut self.stage {
            Stage::Http1(http1) => http1.handle_end(engine, role, time, reason),
            Stage::Http2(http2) => http2.handle_end(engine, role, reason),
            Stage::Tunnel(inner) => inner.handle_end(engine, role, time, reason),
            Stage::WebSocket(stage) => {
                stage.ended[role.index()] = true;
                if stage.ended == [true, true] || !matches!(reason, EndReason::Fin | EndReason::Reset) {
                    self.finish_websocket(engine, time);
                }
            }
            Stage::Fresh | Stage::Detect(_) | Stage::Tls | Stage::Unknown => {}
        }
    }

    fn role(&self, direction: Direction) -> Direction {
        if self.swapped { direction.opposite() } else { direction }
    }

    /// The protocol is known: who reads from here on.
    fn settle(&mut self, engine: &mut Engine, found: Found) {
        let swap = |swapped: bool, origin: &mut Origin| {
            if swapped {
                origin.offsets.swap(0, 1);
                origin.gaps.swap(0, 1);
            }
        };
        self.stage = match found {
            Found::Http1 { swapped, lost } => {
                engine.counters.http1_flows += 1;
                self.swapped = swapped;
                swap(swapped, &mut self.origin);
                Stage::Http1(Box::new(Http1::new(engine, self.origin, lost)))
            }
            Found::Http2 { swapped, late } => {
                engine.counters.http2_flows += 1;
                self.swapped = swapped;
                swap(swapped, &mut self.origin);
                let mut http2 = Box::new(H2::new(engine, late, self.origin.offsets));
                http2.number_from(self.origin.next_index);
                Stage::Http2(http2)
            }
            Found::Tls => {
                engine.counters.tls_flows += 1;
                Stage::Tls
            }
            Found::Unknown => {
                engine.counters.unknown_flows += 1;
                Stage::Unknown
            }
        };
    }

    fn replay(&mut self, engine: &mut Engine, replay: &Replay) {
        for step in replay.steps() {
            match step {
                Step::Data(direction, time, bytes) => self.handle_data(engine, direction, time, bytes),
                Step::Gap(direction, time, len, truncated) => self.handle_gap(engine, direction, time, len, truncated),
            }
        }
    }

    /// HTTP/1 changed into something else.
    fn switch(&mut self, engine: &mut Engine, switch: Switch) {
        let Switch { upgrade, transaction, held, origin } = switch;
        self.stage = match (upgrade, transaction) {
            (Upgrade::WebSocket, Some(transaction)) => Stage::WebSocket(Box::new(WebSocketStage {
                reader: WebSocketReader::new(&transaction),
                transaction,
                ended: [false; 2],
            })),
            (Upgrade::H2c, transaction) => {
                engine.counters.http2_flows += 1;
                let mut http2 = Box::new(H2::new(engine, origin.mid_stream, origin.offsets));
                if let Some(transaction) = transaction {
                    http2.adopt_upgraded(transaction);
                }
                Stage::Http2(http2)
            }
            (Upgrade::Tunnel, _) if self.depth < TUNNEL_DEPTH => {
                Stage::Tunnel(Box::new(Connection { origin, depth: self.depth + 1, ..Connection::default() }))
            }
            _ => {
                engine.counters.unknown_flows += 1;
                Stage::Unknown
            }
        };
        if let Some(held) = held {
            // It was kept by role.
            for step in held.steps() {
                match step {
                    Step::Data(role, time, bytes) => self.handle_data(engine, self.role(role), time, bytes),
                    Step::Gap(role, time, len, truncated) => {
                        self.handle_gap(engine, self.role(role), time, len, truncated);
                    }
                }
            }
        }
    }

    fn finish_websocket(&mut self, engine: &mut Engine, time: Timestamp) {
        if let Stage::WebSocket(stage) = std::mem::replace(&mut self.stage, Stage::Unknown) {
            let WebSocketStage { reader, mut transaction, .. } = *stage;
            transaction.response_end = Some(time);
            reader.finish(&mut transaction);
            engine.finish(transaction);
        }
    }
}
