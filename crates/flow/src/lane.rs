//! What is known about one direction of a flow.

use umbra_wire::Timestamp;

use crate::assembler::Assembler;
use crate::facts::DirectionFacts;
use crate::history::History;

/// Room granted past the receiver's window: the capture may have missed the ACK that opened it.
pub(crate) const WINDOW_SLACK: u64 = 1 << 20;

/// Largest window there is (RFC 7323 §2.3: 65,535 shifted by 14), used while the real one is not known.
pub(crate) const MAX_WINDOW: u64 = 1 << 30;

/// A segment older than this is not a retransmission: no sender keeps so much unacknowledged.
const MAX_AGE_BYTES: u64 = 1 << 26;

/// How the sequence numbers of a direction are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Not at all.
    #[default]
    No,
    /// From an ACK of the peer, or an empty segment: the first data segment may correct it.
    Soft,
    /// From a SYN or from data.
    Yes,
}

/// Bytes the peer acknowledged but that were not seen (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Stream offset acknowledged when the mark was set.
    pub(crate) until: u64,
    /// Flow clock then.
    pub(crate) since: Timestamp,
}

/// Window scale of a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Its SYN was not seen, or the other side's was not.
    #[default]
    Unknown,
    /// Windows in its segments are shifted by this.
    Known(u8),
}

/// State of one direction; offsets are stream offsets, and the next one expected is `DirectionFacts::offset`.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) sync: Sync,
    /// Sequence number of the next byte to hand over.
    pub(crate) next_seq: u32,
    /// End of the farthest byte the sender is known to have sent.
    pub(crate) sent: u64,
    /// End of the receiver's window; `u64::MAX` while not known.
    pub(crate) edge: u64,
    /// Scale of the windows *this sender* announces.
    pub(crate) scale: Scale,
    /// Window scale option of this sender's SYN; outer `None`: SYN not seen.
    pub(crate) syn_scale: Option<Option<u8>>,
    /// This sender's SYN carried timestamps.
    pub(crate) syn_timestamps: bool,
    /// Newest timestamp value of in-order segments.
    pub(crate) recent_timestamp: Option<u32>,
    /// Offset of the FIN.
    pub(crate) fin: Option<u64>,
    /// Offset past which there is probably nothing but a FIN that was not seen; 0 for none.
    pub(crate) fin_guess: u64,
    /// The peer acknowledged the FIN.
    pub(crate) fin_acked: bool,
    /// The reader was told the end.
    pub(crate) ended: bool,
    pub(crate) mark: Option<Mark>,
    /// The newest gap, to tell late bytes from retransmitted ones.
    pub(crate) last_gap: (u64, u64),
    /// Where the next segment starts if the rejected ones before it are right and we are wrong.
    stray_next: u32,
    stray_run: u8,
    good_checksums: u8,
    bad_checksums: u8,
    pub(crate) waiting: Assembler,
    pub(crate) history: History,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Lane {
            sync: Sync::No,
            next_seq: 0,
            sent: 0,
            edge: u64::MAX,
            scale: Scale::Unknown,
            syn_scale: None,
            syn_timestamps: false,
            recent_timestamp: None,
            fin: None,
            fin_guess: 0,
            fin_acked: false,
            ended: false,
            mark: None,
            last_gap: (0, 0),
            stray_next: 0,
            stray_run: 0,
            good_checksums: 0,
            bad_checksums: 0,
            waiting: Assembler::default(),
            history: History::default(),
        }
    }

    /// Stream offset of a sequence number: the one nearest to `offset` (RFC 9293 §3.4 serial arithmetic); negative
    /// before the start.
    #[inline]
    pub(crate) fn position(&self, offset: u64, seq: u32) -> i64 {
        (offset as i64).wrapping_add(i64::from(seq.wrapping_sub(self.next_seq) as i32))
    }

    /// Stream offset 0 is at this sequence number.
    pub(crate) fn start_at(&mut self, seq: u32, sync: Sync) {
        self.next_seq = seq;
        self.sync = sync;
    }

    /// The direction's own first data (or SYN) says where it is; an earlier guess gives way as long as nothing was
    /// handed over.
    pub(crate) fn restart_at(&mut self, facts: &mut DirectionFacts, seq: u32) {
        let behind = i64::from(self.next_seq.wrapping_sub(seq) as i32);
        let moved = |offset: u64| (offset as i64).saturating_add(behind).max(0) as u64;
        facts.acked = moved(facts.acked);
        self.sent = moved(self.sent);
        if self.edge != u64::MAX {
            self.edge = moved(self.edge);
        }
        self.fin = self.fin.map(moved);
        self.mark = None;
        self.start_at(seq, Sync::Yes);
    }

    /// Whether `len` bytes at `position` can be what the sender may send now.
    #[inline]
    pub(crate) fn plausible(&self, offset: u64, position: i64, len: u64) -> bool {
        let end = position.saturating_add_unsigned(len);
        let limit = if self.edge == u64::MAX {
            offset.saturating_add(MAX_WINDOW)
        } else {
            self.edge.max(self.sent).saturating_add(WINDOW_SLACK)
        };
        end <= limit as i64 && end >= offset.saturating_sub(MAX_AGE_BYTES) as i64
    }

    /// Offset up to which an ACK of the peer can be believed.
    #[inline]
    pub(crate) fn ack_limit(&self) -> u64 {
        let known = if self.edge == u64::MAX { self.sent.saturating_add(MAX_WINDOW) } else { self.edge.max(self.sent) };
        known.saturating_add(WINDOW_SLACK)
    }

    /// PAWS (RFC 7323 §5.3): the timestamp is older than one already seen in order.
    #[inline]
    pub(crate) fn timestamp_is_old(&self, value: u32) -> bool {
        self.recent_timestamp.is_some_and(|recent| (value.wrapping_sub(recent) as i32) < 0)
    }

    /// A segment was rejected. True when it follows several rejected ones without a hole: then it is our picture that
    /// is wrong (the capture missed a lot), not theirs.
    pub(crate) fn stray(&mut self, seq: u32, len: u32) -> bool {
        self.stray_run = if self.stray_run > 0 && self.stray_next == seq { self.stray_run + 1 } else { 1 };
        self.stray_next = seq.wrapping_add(len);
        if self.stray_run < STRAY_RUN {
            return false;
        }
        self.stray_run = 0;
        true
    }

    /// Counts a checksum result and says whether a wrong one counts against the segment (F030): only where right ones
    /// are usual. A sender that leaves them to its network card has none right, so a fifth is enough; a flood of garbage
    /// beside a real sender must not switch the check off.
    pub(crate) fn usually_right(&mut self, good: bool) -> bool {
        let count = if good { &mut self.good_checksums } else { &mut self.bad_checksums };
        *count = count.saturating_add(1);
        if *count == u8::MAX {
            self.good_checksums /= 2;
            self.bad_checksums /= 2;
        }
        self.good_checksums >= 4 && self.bad_checksums / 4 <= self.good_checksums
    }

    /// Exactly one number past the known bytes is acknowledged and nothing is known beyond it: as well as one byte, that can
    /// be a FIN the capture missed. It is waited for, but no gap is reported unless bytes beyond it show that it was one.
    #[inline]
    pub(crate) fn is_unseen_fin(&self, offset: u64, acked: u64) -> bool {
        acked == offset + 1 && self.sent <= acked && self.fin.is_none() && self.waiting.is_empty()
    }

    /// The same, and it was waited for long enough.
    #[inline]
    pub(crate) fn guessed_fin(&self, offset: u64, acked: u64) -> bool {
        self.fin_guess == acked && self.is_unseen_fin(offset, acked)
    }

    /// A FIN tells where the bytes end: what was acknowledged past it was the FIN.
    pub(crate) fn refresh_mark_after_fin(&mut self) {
        if let (Some(mark), Some(fin)) = (&mut self.mark, self.fin) {
            mark.until = mark.until.min(fin);
        }
    }

    /// Keeps the mark in step after `offset` or the acknowledged offset moved.
    pub(crate) fn refresh_mark(&mut self, facts: &DirectionFacts, clock: Timestamp) {
        if facts.acked <= facts.offset || facts.packets == 0 || self.guessed_fin(facts.offset, facts.acked) {
            self.mark = None;
        } else if self.mark.is_none_or(|mark| mark.until <= facts.offset) {
            // What is known to have been sent need not wait for what is only claimed.
            let until = if self.sent > facts.offset { facts.acked.min(self.sent) } else { facts.acked };
            self.mark = Some(Mark { until, since: clock });
        }
    }
}

/// Rejected segments in a row, each where the last ended, after which they are believed.
const STRAY_RUN: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_wrap_with_the_sequence_number() {
        let mut lane = Lane::new();
        lane.start_at(0xffff_fff0, Sync::Yes);
        assert_eq!(lane.position(0, 0xffff_fff0), 0);
        assert_eq!(lane.position(0, 0x10), 32);
        assert_eq!(lane.position(0, 0xffff_ffef), -1);
        assert_eq!(lane.position(5 << 32, 0xffff_ffe0), (5 << 32) - 16);
    }

    #[test]
    fn checksums_count_only_where_they_are_usually_right() {
        let mut lane = Lane::new();
        assert!(!lane.usually_right(false));
        for _ in 0..3 {
            assert!(!lane.usually_right(true));
        }
        for _ in 0..8 {
            lane.usually_right(true);
        }
        assert!(lane.usually_right(false));
        for _ in 0..2000 {
            lane.usually_right(false);
        }
        assert!(!lane.usually_right(false));
    }

    #[test]
    fn strays_are_believed_when_they_line_up() {
        let mut lane = Lane::new();
        assert!(!lane.stray(100, 10));
        assert!(!lane.stray(110, 10));
        assert!(!lane.stray(500, 10));
        assert!(!lane.stray(510, 10));
        assert!(!lane.stray(520, 10));
        assert!(lane.stray(530, 10));
    }
}
