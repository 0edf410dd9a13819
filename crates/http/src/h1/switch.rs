//! What a connection becomes after CONNECT or Upgrade, and where a nested one begins.

use crate::replay::Replay;
use crate::transaction::{Transaction, Upgrade};

/// Where a connection, or what is inside a tunnel, begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// Its start was not seen.
    pub(crate) mid_stream: bool,
    /// Number of its first transaction.
    pub(crate) next_index: u64,
    /// By direction (by role): bytes before the first ones are missing, perhaps whole messages.
    pub(crate) gaps: [bool; 2],
    /// Stream offsets of its first bytes, by direction (by role).
    pub(crate) offsets: [u64; 2],
}

/// The connection changes its protocol.
#[derive(Debug)]
pub(crate) struct Switch {
    /// To what.
    pub(crate) upgrade: Upgrade,
    /// The transaction that did it, where the new protocol adds to it: WebSocket, h2c.
    pub(crate) transaction: Option<Box<Transaction>>,
    /// What the client sent in the new protocol already.
    pub(crate) held: Option<Box<Replay>>,
    /// Where the new protocol begins. The client's offset is that of the first byte held.
    pub(crate) origin: Origin,
}
