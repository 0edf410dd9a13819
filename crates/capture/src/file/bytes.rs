//! Reading integers of either byte order, and why a format reader stops.

use crate::Corruption;

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The number at `at`; 0 past the end, which callers have ruled out.
    #[inline]
    pub(super) fn u32_at(self, bytes: &[u8], at: usize) -> u32 {
        let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        four.map_or(0, |four| self.u32(*four))
    }

    /// The number at `at`; 0 past the end, which callers have ruled out.
    #[inline]
    pub(super) fn u16_at(self, bytes: &[u8], at: usize) -> u16 {
        let two = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
        two.map_or(0, |two| match self {
            Order::Little => u16::from_le_bytes(*two),
            Order::Big => u16::from_be_bytes(*two),
        })
    }
}

/// Why a format reader stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The record at the front needs this many bytes, or at least this many to tell.
    Need(usize),
    /// The record at the front is wrong.
    Corrupt(Corruption),
}

/// A place in a batch buffer, as it is kept in a [`PacketMeta`](super::PacketMeta).
#[inline]
pub(super) fn place(at: usize) -> u32 {
    // Buffers are at most as long as the longest block, 16 MiB.
    at as u32
}
