//! Header compression of HTTP/2 (RFC 7541), for a reader that may have joined late.
//!
//! Entries are counted from the newest, as the encoder does. What was inserted before we joined, or around a gap, is
//! *unknown*: a reference to it gives a field without name and value, never a guess.

mod decoder;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod encoder;
mod huffman;
#[cfg(test)]
mod late_tests;
mod static_table;
#[cfg(test)]
mod story_tests;
mod table;

use crate::message::KnownHeader;

pub(crate) use self::decoder::{Decoder, Sink, plausible_block};
pub(crate) use self::huffman::Memo;

/// What a field's name means; found once, when the name was first decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A field.
    Field(KnownHeader),
    /// `:method`.
    Method,
    /// `:path`.
    Path,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:status`.
    Status,
    /// `:protocol` (RFC 8441 §4).
    Protocol,
    /// A pseudo-header field that no standard defines.
    OtherPseudo,
    /// The name was inserted before we joined.
    Unknown,
}

/// What is odd about a name and value, found once, when they were first decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddities(u8);

impl Oddities {
    /// CR, LF or NUL in the name or value (RFC 9113 §8.2.1).
    pub(crate) const CONTROL: Oddities = Oddities(1);
    /// An upper-case letter in the name.
    pub(crate) const UPPER_CASE: Oddities = Oddities(2);
    /// An empty name, or one with a byte that no name has.
    pub(crate) const BAD_NAME: Oddities = Oddities(4);
    /// The value is not known.
    pub(crate) const UNKNOWN_VALUE: Oddities = Oddities(8);

    pub(crate) fn insert(&mut self, other: Oddities) {
        self.0 |= other.0;
    }

    pub(crate) fn contains(self, other: Oddities) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A block that does not decode. The table is unknown afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HpackError {
    /// The block ended inside a field.
    Truncated,
    /// An integer past 2^32 - 1 or with too many bytes (§5.1).
    Integer,
    /// Bad Huffman code (§5.2).
    Huffman,
    /// Index 0, or past the end of a table that is known entirely (§2.3.3).
    Index,
    /// A size update after the first field (§4.2).
    LateSizeUpdate,
}
