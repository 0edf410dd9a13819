//! What is known of one direction: where in its frames it is, its header compression, what it lost.

use umbra_wire::Timestamp;

use super::frame::{Chain, FrameHead, HEAD_BYTES, chain};
use super::hpack::Decoder;
use crate::transaction::Transaction;

/// What a side lost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Bytes lost together with the place in the frames.
    pub(super) bytes: u64,
    /// Times that the snap length was the reason.
    pub(super) truncated: u32,
    /// Times that a retransmission contradicted what was read (F020).
    pub(super) conflicts: u32,
}

impl Losses {
    /// Puts what was lost since `before` on a transaction. True if bytes were.
    pub(super) fn charge(&self, before: &Losses, transaction: &mut Transaction) -> bool {
        let lost = self.bytes.saturating_sub(before.bytes);
        let coverage = &mut transaction.coverage;
        coverage.gap_bytes = coverage.gap_bytes.saturating_add(lost);
        coverage.truncated |= self.truncated != before.truncated;
        if self.conflicts != before.conflicts {
            coverage.tainted = true;
            transaction.anomalies.insert(crate::anomaly::Anomaly::SegmentConflict);
        }
        lost > 0
    }
}

/// Where in its frames a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// This many bytes of the client's preface came.
    Preface(u8),
    /// In a frame head, of which this many bytes came.
    Head(u8),
    /// In a DATA frame.
    Data {
        /// Payload bytes to come, padding too.
        remaining: u32,
        /// Of these, how many are padding at the end; `None`: the next byte says.
        padding: Option<u8>,
    },
    /// In a frame whose payload is collected.
    Collect {
        /// Payload bytes to come.
        remaining: u32,
    },
    /// In a frame that is passed over.
    Skip {
        /// Payload bytes to come.
        remaining: u32,
    },
    /// Looking for frames.
    Resync,
}

/// A header block in the making, or the frames it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockHead {
    /// Stream it came on.
    pub(super) stream: u32,
    /// Promised stream, of PUSH_PROMISE.
    pub(super) promised: Option<u32>,
    /// HEADERS had END_STREAM.
    pub(super) end_stream: bool,
    /// When its first byte came.
    pub(super) time: Timestamp,
    /// Offset of its first byte in the direction.
    pub(super) offset: u64,
    /// Frames so far.
    pub(super) frames: usize,
    /// It cannot be decoded (part of it was lost, or too long), only passed over.
    pub(super) lost: bool,
    /// A limit was why.
    pub(super) over_limit: bool,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) phase: Phase,
    /// Offset of the next byte.
    pub(super) offset: u64,
    head_bytes: [u8; HEAD_BYTES],
    /// The frame that `phase` is in.
    pub(super) frame: FrameHead,
    /// When its first byte came, and where.
    pub(super) frame_time: Timestamp,
    pub(super) frame_offset: u64,
    /// Collected payload of the frame.
    pub(super) payload: Vec<u8>,
    /// CONTINUATION is expected for this block.
    pub(super) open_block: Option<BlockHead>,
    /// Its fragments so far.
    pub(super) block: Vec<u8>,
    pub(super) decoder: Decoder,
    pub(super) losses: Losses,
    /// Bytes came in this direction.
    pub(super) seen: bool,
    /// It ended.
    pub(super) ended: bool,
    pub(super) window: Window,
}

impl Side {
    pub(super) fn new(phase: Phase, decoder: Decoder, offset: u64) -> Side {
        Side {
            phase,
            offset,
            head_bytes: [0; HEAD_BYTES],
            frame: FrameHead::default(),
            frame_time: Timestamp::default(),
            frame_offset: 0,
            payload: Vec::new(),
            open_block: None,
            block: Vec::new(),
            decoder,
            losses: Losses::default(),
            seen: false,
            ended: false,
            window: Window::default(),
        }
    }

    /// Reads a frame head, which may come in parts. Takes the bytes it uses from `rest`.
    pub(super) fn read_head(&mut self, have: u8, time: Timestamp, rest: &mut &[u8]) -> Option<FrameHead> {
        if have == 0 {
            self.frame_time = time;
            self.frame_offset = self.offset;
            if let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
                *rest = after;
                self.offset += HEAD_BYTES as u64;
                return Some(FrameHead::parse(head));
            }
        }
        let missing = self.head_bytes.get_mut(usize::from(have)..).unwrap_or_default();
        let taken = missing.len().min(rest.len());
        let (now, after) = rest.split_at_checked(taken)?;
        missing.get_mut(..taken)?.copy_from_slice(now);
        *rest = after;
        self.offset += taken as u64;
        let have = usize::from(have) + taken;
        if have < HEAD_BYTES {
            self.phase = Phase::Head(have as u8);
            return None;
        }
        Some(FrameHead::parse(&self.head_bytes))
    }

    /// The place in the frames is lost.
    pub(super) fn lose_place(&mut self, len: u64, truncated: bool) {
        self.losses.bytes = self.losses.bytes.saturating_add(len);
        self.losses.truncated = self.losses.truncated.saturating_add(u32::from(truncated));
        self.decoder.forget();
        self.open_block = None;
        self.block = Vec::new();
        self.payload = Vec::new();
        self.phase = Phase::Resync;
        self.window.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.payload.capacity() + self.block.capacity() + self.window.bytes.capacity() + self.decoder.memory_bytes()
    }
}

/// Bytes of evidence that frames must show where a gap ended: segments, so gaps, often end where a frame begins.
const BITS_AT_START: u32 = 50;
/// And elsewhere.
const BITS_WITHIN: u32 = 64;
/// Bytes a try may wait for: two full DATA frames, so that a chain of three heads fits.
const CHAIN_BYTES: usize = 33 * 1024;
/// Bytes kept while looking: as much, and what was looked through before it is dropped.
const WINDOW_BYTES: usize = 40 * 1024;
/// Bytes of payload that tries may read, beside [`WORK_RATIO`] for each byte looked through: what a side that lost its place
/// costs stays linear, whatever is sent to it.
const WORK_BYTES: u64 = 64 * 1024;
const WORK_RATIO: u64 = 4;
/// Times kept for the bytes in the window.
const MOST_MARKS: usize = 64;

/// What a side looks through for frames.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Up to here in `bytes`, and when those came.
    marks: Vec<(usize, Timestamp)>,
    /// Where the next try is.
    at: usize,
    /// The try needs the window to be this long.
    needed: usize,
    /// Bytes that were passed over since the loss.
    passed: u64,
    /// Bytes of payload that tries have read since.
    worked: u64,
}

impl Window {
    pub(super) fn clear(&mut self) {
        *self = Window::default();
    }

    /// Adds as much of `rest` as fits, and looks. True if frames begin at [`Self::take`]'s first byte.
    pub(super) fn push(&mut self, rest: &mut &[u8], time: Timestamp) -> bool {
        let room = WINDOW_BYTES.saturating_sub(self.bytes.len());
        let (now, after) = rest.split_at(room.min(rest.len()));
        *rest = after;
        self.bytes.extend_from_slice(now);
        let full = self.marks.len() >= MOST_MARKS;
        match self.marks.last_mut() {
            Some(last) if last.1 == time || full => last.0 = self.bytes.len(),
            _ => self.marks.push((self.bytes.len(), time)),
        }
        self.look()
    }

    fn look(&mut self) -> bool {
        while self.at < self.bytes.len() {
            if self.bytes.len() < self.needed {
                self.compact();
                return false;
            }
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let first = self.passed == 0 && self.at == 0;
            let bits = if first { BITS_AT_START } else { BITS_WITHIN };
            // Length, type and the reserved bit refuse nearly everything.
            let hopeless = rest.first().is_some_and(|length| *length > 0x10)
                || rest.get(3).is_some_and(|kind| *kind > 0x10)
                || rest.get(5).is_some_and(|stream| *stream > 0x7f);
            let looked_through = self.passed + self.at as u64;
            let most = WORK_RATIO.saturating_mul(looked_through).saturating_add(WORK_BYTES);
            let before = usize::try_from(most.saturating_sub(self.worked)).unwrap_or(usize::MAX);
            let mut left = before;
            let heads = if first { 1 } else { 2 };
            match if hopeless { Chain::Not } else { chain(rest, bits, heads, false, &mut left) } {
                Chain::Frames { .. } => return true,
                // Whether to wait must not hang on where in the window the try is, nor what it costs on how often it waits.
                Chain::Incomplete { needed, .. } if needed <= CHAIN_BYTES => self.needed = self.at + needed,
                _ => {
                    self.worked += (before - left) as u64;
                    self.at += 1;
                    self.needed = 0;
                }
            }
        }
        self.compact();
        false
    }

    /// Drops what was looked through, once that is half of it, so that each byte is moved a few times at most.
    fn compact(&mut self) {
        if self.at == 0 || (self.at < self.bytes.len() / 2 && self.needed <= WINDOW_BYTES) {
            return;
        }
        let dropped = self.at.min(self.bytes.len());
        self.bytes.drain(..dropped);
        self.marks.retain_mut(|mark| {
            mark.0 = mark.0.saturating_sub(dropped);
            mark.0 > 0
        });
        self.needed = self.needed.saturating_sub(dropped);
        self.passed += dropped as u64;
        self.at = 0;
    }

    /// Takes the window: its bytes, their times, where frames begin in it, and how many bytes were passed over.
    pub(super) fn take(&mut self) -> (Vec<u8>, Vec<(usize, Timestamp)>, usize, u64) {
        let window = std::mem::take(self);
        (window.bytes, window.marks, window.at, window.passed + window.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F055: heads of HEADERS every 13 bytes, each with the 16 KB behind it for payload: a literal field with an over-long name.
    #[test]
    fn f055_overlapping_heads_cost_no_more_than_others() {
        // length 16,125, HEADERS, END_HEADERS, stream 1; literal without index, name of 16,120 bytes
        let unit = [0x00, 0x3e, 0xfd, 1, 4, 0, 0, 0, 1, 0x00, 0x7f, 0xf9, 0x7c];
        let bytes: Vec<u8> = std::iter::once(0xff).chain(unit.into_iter().cycle().take(1 << 20)).collect();
        let mut window = Window::default();
        for piece in bytes.chunks(1400) {
            let mut rest = piece;
            while !rest.is_empty() {
                assert!(!window.push(&mut rest, Timestamp(1)));
            }
        }
        // All that it may be, and not a thousand times the bytes.
        let most = WORK_BYTES + WORK_RATIO * bytes.len() as u64;
        assert!((most / 2..=most).contains(&window.worked), "{} of {most}", window.worked);
        // What really are frames is found all the same.
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let frames: Vec<u8> = ping.into_iter().cycle().take(60 * 1024).collect();
        let found = frames.chunks(1400).any(|mut piece| window.push(&mut piece, Timestamp(2)));
        assert!(found);
    }
}
