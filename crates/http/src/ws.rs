//! WebSocket frames after an upgrade (RFC 6455): counted, skipped by length, never unmasked.

use umbra_flow::Direction;

use crate::transaction::{Transaction, WebSocket};

/// Reads both directions of a WebSocket connection, from the first byte after the upgrade.
#[derive(Debug)]
pub(crate) struct WebSocketReader {
    facts: WebSocket,
}

impl WebSocketReader {
    /// A reader for the connection that the transaction opened; its response head says whether permessage-deflate was agreed.
    pub(crate) fn new(transaction: &Transaction) -> Self {
        let _ = transaction;
        WebSocketReader { facts: WebSocket::default() }
    }

    /// The next bytes of a direction.
    pub(crate) fn data(&mut self, direction: Direction, bytes: &[u8]) {
        let _ = (direction, bytes);
    }

    /// `len` bytes of a direction are missing.
    pub(crate) fn gap(&mut self, direction: Direction, len: u64) {
        let _ = (direction, len);
    }

    /// The connection ended: fills [`Transaction::websocket`] and the anomalies.
    pub(crate) fn finish(self, transaction: &mut Transaction) {
        transaction.websocket = Some(self.facts);
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        0
    }
}
