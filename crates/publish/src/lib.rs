//! Where events go: JSON lines to a file or stdout, HAR 1.2 to a file, and `kafka` (a feature).
//!
//! Workers encode events themselves, into buffers of their own; a sink takes whole buffers. So nothing here runs on the packet
//! path, and a sink that is slow or broken costs events, which it counts, and never packets.
#![forbid(unsafe_code)]

#[cfg(feature = "kafka")]
mod compacted;
mod har;
mod json_lines;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kafka")]
pub mod rollup;

#[cfg(feature = "kafka")]
pub use compacted::{GroupError, read_to_end};
pub use har::{Har, HarBuffer};
pub use json_lines::{JsonLines, Open, Rotation};

use std::io;

/// Takes buffers of encoded events.
pub trait EventSink: Send {
    /// Takes `count` events: whole lines of JSON, each with its line feed.
    ///
    /// # Errors
    /// What the operating system said. The events are kept for another try or counted as lost, see
    /// [`counters`](Self::counters): the caller must not send them again, and need not stop.
    fn write(&mut self, events_json: &[u8], count: u64) -> io::Result<()>;

    /// Hands everything kept to the operating system.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn flush(&mut self) -> io::Result<()>;

    /// What became of the events so far.
    fn counters(&self) -> SinkCounters;

    /// No event can be written any more (the reader of a pipe has gone).
    fn is_closed(&self) -> bool {
        false
    }
}

/// What became of the events. `written + lost` and what is still buffered make all events taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkCounters {
    /// Events handed to the operating system.
    pub written: u64,
    /// Bytes of these.
    pub written_bytes: u64,
    /// Events dropped because they could not be written.
    pub lost: u64,
    /// Failed attempts.
    pub errors: u64,
    /// Files rotated.
    pub rotations: u64,
}
