//! What reassembly hands to its reader.

use umbra_wire::Timestamp;

use crate::key::Direction;

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The capture missed them: the peer acknowledged them.
    Lost,
    /// Cut by the snap length.
    Truncated,
    /// A byte or segment cap was reached, the hole was given up.
    Limit,
    /// Nobody sent or acknowledged them in time.
    Timeout,
}

/// Why a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// FIN.
    Fin,
    /// RST.
    Reset,
    /// Nothing was seen for the idle timeout.
    Idle,
    /// The table needed the room.
    Evicted,
    /// A new connection took the same 5-tuple.
    Reused,
    /// The input ended.
    Finished,
}

/// One step of a flow, in the order in which the reader must see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent<'a> {
    /// The next bytes of a direction.
    Data {
        /// Which way they went.
        direction: Direction,
        /// When the packet that carried them was captured.
        time: Timestamp,
        /// The bytes: borrowed from the packet while in order.
        bytes: &'a [u8],
    },
    /// `len` bytes of a direction are missing here.
    Gap {
        /// Which way they went.
        direction: Direction,
        /// When the gap was given up.
        time: Timestamp,
        /// How many bytes.
        len: u64,
        /// Why.
        cause: GapCause,
    },
    /// A retransmission carried other bytes than those already handed over (first bytes win, F020): what was read
    /// from this direction around here is tainted.
    Conflict {
        /// Which way they went.
        direction: Direction,
    },
    /// No more bytes will come in this direction.
    End {
        /// Which direction.
        direction: Direction,
        /// When.
        time: Timestamp,
        /// Why.
        reason: EndReason,
    },
}
