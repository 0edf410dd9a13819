//! Both directions of one connection, from its first byte to its end.

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use crate::engine::Engine;

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
pub struct Connection {}

impl Connection {
    /// A connection; `mid_stream` if its start was not seen.
    pub fn new(mid_stream: bool) -> Self {
        let _ = mid_stream;
        Connection {}
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        Protocol::Undecided
    }

    /// The bytes show that client and server are the other way round than the flow stage took them to be
    /// (mid-stream joins, F027).
    pub fn roles_swapped(&self) -> bool {
        false
    }

    /// Bytes of memory held beyond the struct itself.
    pub fn memory_bytes(&self) -> usize {
        0
    }

    /// The next bytes of a direction.
    pub fn handle_data(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8]) {
        let _ = (engine, direction, time, bytes);
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
        let _ = (engine, direction, time, len, truncated);
    }

    /// A retransmission contradicted bytes of this direction (F020).
    pub fn handle_conflict(&mut self, engine: &mut Engine, direction: Direction) {
        let _ = (engine, direction);
    }

    /// No more bytes in this direction. Once both have ended every transaction has been given out.
    pub fn handle_end(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, reason: EndReason) {
        let _ = (engine, direction, time, reason);
    }
}
