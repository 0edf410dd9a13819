//! What goes into the spool, what comes out, and its sizes.

use std::fmt;
use std::time::Duration;

use super::frame;
use super::{Losses, Sequence};
use crate::Error;

/// Longest key and value together. The broker's limit for a message is 1 MiB by default.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// What a record is, in the order in which a full spool gives them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// One transaction: a sample of what goes on.
    Event,
    /// How the sensor does.
    Health,
    /// The state of one endpoint. Only the newest of a key matters.
    Endpoint,
    /// Something a person should look at.
    Finding,
}

impl Class {
    /// All classes, the least valuable first.
    pub const ALL: [Class; 4] = [Class::Event, Class::Health, Class::Endpoint, Class::Finding];

    /// As records call it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Event => "event",
            Class::Health => "health",
            Class::Endpoint => "endpoint",
            Class::Finding => "finding",
        }
    }

    pub(super) fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn from_code(code: u8) -> Option<Class> {
        Class::ALL.get(usize::from(code)).copied()
    }
}

/// Sizes and times of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes on disk, all classes together. At it, the least valuable and oldest records are dropped and counted.
    pub cap_bytes: u64,
    /// Bytes of one segment, at most a quarter of the cap: what is removed at once, and half of what a class may hold in
    /// memory while the disk fails.
    pub segment_bytes: u64,
    /// How long a record may wait to be synced, if [`handle_timeout`](super::Spool::handle_timeout) is called often enough.
    pub sync_interval: Duration,
    /// Records handed out and not acknowledged, per class.
    pub max_in_flight: usize,
    /// Number of the first record of a new spool.
    pub first_sequence: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            cap_bytes: 1 << 30,
            segment_bytes: 8 << 20,
            sync_interval: Duration::from_millis(200),
            max_in_flight: 100_000,
            first_sequence: 1,
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), Error> {
        let reason = match () {
            () if self.segment_bytes < 1024 => "segments of less than 1 KiB",
            () if self.cap_bytes / 4 < self.segment_bytes => "a cap of less than four segments",
            () if self.max_in_flight == 0 => "no record may be in flight",
            () => return Ok(()),
        };
        Err(Error::Config { reason })
    }

    pub(super) fn longest_frame(&self) -> usize {
        frame::FRAME_HEAD + MAX_RECORD_BYTES
    }

    pub(super) fn buffer_bytes(&self) -> u64 {
        self.segment_bytes.saturating_mul(2)
    }
}

/// A record as it comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its class.
    pub class: Class,
    /// Its number within the class, for [`acknowledge`](super::Spool::acknowledge).
    pub sequence: Sequence,
    /// The time that was given with it: nanoseconds since 1970.
    pub time_ns: u64,
    /// The message key.
    pub key: &'a [u8],
    /// The message.
    pub value: &'a [u8],
}

/// Why a record was not taken. It is counted in [`Losses`], except one that is too long, which is the caller's to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Longer than [`MAX_RECORD_BYTES`], or its key than 65,535 bytes.
    TooLong,
    /// The spool is full of what is worth more.
    Full,
    /// The disk fails, and memory holds all it may.
    Disk,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::TooLong => "the record is too long",
            Refused::Full => "the spool is full of more valuable records",
            Refused::Disk => "the disk does not take what came before",
        })
    }
}

impl std::error::Error for Refused {}

/// Figures of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Records that wait to be acknowledged, by [`Class`].
    pub pending: [u64; 4],
    /// Of them, records that were handed out.
    pub in_flight: [u64; 4],
    /// Bytes on disk and on the way there.
    pub bytes: u64,
    /// Bytes that are not known to be on disk.
    pub unsynced_bytes: u64,
    /// Records that were set aside and are kept.
    pub aside: u64,
    /// What was lost since the spool was made.
    pub losses: Losses,
    /// Whether the last write or sync failed.
    pub failing: bool,
}
