//! How far each half of a stream is.
//!
//! ```text
//!                head            END_STREAM, RST_STREAM, end of the connection
//!   Waiting ───────────► Open ──────────────────────────────────────────────► Ended
//!      │                                                                        ▲
//!      └──────────── head with END_STREAM, or the head was lost ────────────────┘
//! ```
//!
//! The request and the response half go their way independently (RFC 9113 §5.1: both "half-closed" states are one half
//! `Ended`). A stream is live until both halves are `Ended`, or it is reset.

use umbra_flow::Direction;

/// One half of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Half {
    /// No head yet (of a response: at most interim ones).
    #[default]
    Waiting,
    /// The head was seen.
    Open,
    /// Nothing more will come.
    Ended,
}

/// Both halves of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves([Half; 2]);

impl Halves {
    pub(super) fn of(self, direction: Direction) -> Half {
        match direction {
            Direction::ToServer => self.0[0],
            Direction::ToClient => self.0[1],
        }
    }

    fn of_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ToServer => &mut self.0[0],
            Direction::ToClient => &mut self.0[1],
        }
    }

    /// A head came.
    pub(super) fn open(&mut self, direction: Direction) {
        let half = self.of_mut(direction);
        if *half == Half::Waiting {
            *half = Half::Open;
        }
    }

    /// Nothing more will come. True if that is news.
    pub(super) fn end(&mut self, direction: Direction) -> bool {
        std::mem::replace(self.of_mut(direction), Half::Ended) != Half::Ended
    }

    pub(super) fn ended(self, direction: Direction) -> bool {
        self.of(direction) == Half::Ended
    }

    pub(super) fn both_ended(self) -> bool {
        self.0 == [Half::Ended; 2]
    }
}
