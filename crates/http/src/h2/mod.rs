//! HTTP/2 (RFC 9113) of one connection: frames, HPACK, streams.

mod hpack;
mod recognise;

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

pub(crate) use self::recognise::{Recognition, recognise};
use crate::engine::Engine;
use crate::transaction::Transaction;

/// HTTP/2 state of one connection.
#[derive(Debug)]
pub(crate) struct H2 {}

impl H2 {
    /// A connection that speaks HTTP/2; `mid_stream` if its start was not seen.
    pub(crate) fn new(engine: &mut Engine, mid_stream: bool) -> H2 {
        let _ = (engine, mid_stream);
        H2 {}
    }

    /// Takes over the HTTP/1 request that asked for h2c (RFC 7540 §3.2): it is stream 1, half closed.
    pub(crate) fn adopt_upgraded(&mut self, transaction: Box<Transaction>) {
        let _ = transaction;
    }

    /// The next bytes of a direction; `direction` is by role: `ToServer` is from the client.
    pub(crate) fn handle_data(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, bytes: &[u8]) {
        let _ = (engine, direction, time, bytes);
    }

    /// `len` bytes of a direction are missing; `truncated` if the snap length cut them.
    pub(crate) fn handle_gap(
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
    pub(crate) fn handle_conflict(&mut self, engine: &mut Engine, direction: Direction) {
        let _ = (engine, direction);
    }

    /// No more bytes in this direction.
    pub(crate) fn handle_end(&mut self, engine: &mut Engine, direction: Direction, time: Timestamp, reason: EndReason) {
        let _ = (engine, direction, time, reason);
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        0
    }
}
