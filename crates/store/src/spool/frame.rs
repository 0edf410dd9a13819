//! How a record lies in a segment.
//!
//! ```text
//! segment:  magic "UMBSPOOL" (8) | version (2) | zero (2) | crc of these 12 (4) | frames
//! frame:    mark (4) | class (1) | zero (1) | key length (2) | value length (4) | sequence (8) | time (8)
//!           | crc of key and value (4) | crc of these 32 (4) | key | value
//! ```
//!
//! Numbers are little-endian. The head has a checksum of its own, so that a length is believed before the bytes are there,
//! and a damaged frame is left behind by looking for the next head. The mark cannot occur in UTF-8, which keys and values
//! are: no traffic can put something into a record that looks like a frame.

use super::{Class, Sequence};

/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"UMBSPOOL";
/// The layout above. Another version is never read as this one.
pub(crate) const VERSION: u16 = 1;
/// Length in bytes of what stands before the first frame.
pub(crate) const SEGMENT_HEAD: usize = 16;
/// First bytes of a frame: 0xFF and 0xFE are never part of UTF-8.
pub(crate) const MARK: [u8; 4] = [0xFF, b'U', 0xFE, b'R'];
/// Length in bytes of a frame's head.
pub(crate) const FRAME_HEAD: usize = 36;

/// What the head of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentHead {
    Ours,
    /// Intact, but of a version that this program does not know.
    Version(u16),
    /// Not a head that anyone wrote. The frames may be fine: they say themselves what they are.
    Damaged,
}

pub(crate) fn segment_head() -> [u8; SEGMENT_HEAD] {
    segment_head_of(VERSION)
}

fn segment_head_of(version: u16) -> [u8; SEGMENT_HEAD] {
    let mut head = [0; SEGMENT_HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..10].copy_from_slice(&version.to_le_bytes());
    let crc = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&crc.to_le_bytes());
    head
}

pub(crate) fn read_segment_head(bytes: &[u8]) -> SegmentHead {
    let Some(head) = bytes.first_chunk::<SEGMENT_HEAD>() else { return SegmentHead::Damaged };
    let version = u16::from_le_bytes([head[8], head[9]]);
    match () {
        () if *head != segment_head_of(version) => SegmentHead::Damaged,
        () if version == VERSION => SegmentHead::Ours,
        () => SegmentHead::Version(version),
    }
}

/// The head of a frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) class: Class,
    pub(crate) key_length: usize,
    pub(crate) value_length: usize,
    pub(crate) sequence: Sequence,
    pub(crate) time_ns: u64,
    body_crc: u32,
}

impl FrameHead {
    /// Length in bytes of the whole frame.
    pub(crate) fn frame_length(&self) -> usize {
        FRAME_HEAD.saturating_add(self.key_length).saturating_add(self.value_length)
    }
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole and right frame.
    Frame(FrameHead),
    /// A right head whose key or value is not what was written.
    BadBody(FrameHead),
    /// Not a frame.
    BadHead,
    /// This many bytes are needed to say.
    Partial(usize),
}

pub(crate) fn step(bytes: &[u8]) -> Step {
    let Some(bytes_of_head) = bytes.first_chunk::<FRAME_HEAD>() else {
        let mark = MARK.get(..bytes.len().min(4)).unwrap_or_default();
        return if bytes.starts_with(mark) { Step::Partial(FRAME_HEAD) } else { Step::BadHead };
    };
    let Some(head) = read_head(bytes_of_head) else { return Step::BadHead };
    match bytes.get(FRAME_HEAD..head.frame_length()) {
        None => Step::Partial(head.frame_length()),
        Some(body) if crc32fast::hash(body) == head.body_crc => Step::Frame(head),
        Some(_) => Step::BadBody(head),
    }
}

fn read_head(head: &[u8; FRAME_HEAD]) -> Option<FrameHead> {
    let [m0, m1, m2, m3, class, zero, k0, k1, v0, v1, v2, v3, rest @ ..] = *head;
    let (numbers, crcs) = rest.split_first_chunk::<16>()?;
    let (sequence, time) = numbers.split_first_chunk::<8>()?;
    let (body_crc, head_crc) = crcs.split_first_chunk::<4>()?;
    let right = [m0, m1, m2, m3] == MARK
        && zero == 0
        && crc32fast::hash(&head[..FRAME_HEAD - 4]).to_le_bytes().as_slice() == head_crc;
    right.then_some(())?;
    Some(FrameHead {
        class: Class::from_code(class)?,
        key_length: usize::from(u16::from_le_bytes([k0, k1])),
        value_length: usize::try_from(u32::from_le_bytes([v0, v1, v2, v3])).ok()?,
        sequence: Sequence(u64::from_le_bytes(*sequence)),
        time_ns: u64::from_le_bytes(time.try_into().ok()?),
        body_crc: u32::from_le_bytes(*body_crc),
    })
}

/// The time in the head of a frame, whose key and value need not be there.
pub(crate) fn time_of(bytes: &[u8]) -> Option<u64> {
    read_head(bytes.first_chunk()?).map(|head| head.time_ns)
}

/// Bytes that `write` will append.
pub(crate) fn frame_length(key: &[u8], value: &[u8]) -> u64 {
    (FRAME_HEAD as u64).saturating_add(key.len() as u64).saturating_add(value.len() as u64)
}

/// Appends a frame. The caller has checked that the key fits 16 bits and the value 32.
pub(crate) fn write(class: Class, sequence: Sequence, time_ns: u64, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let mut body_crc = crc32fast::Hasher::new();
    body_crc.update(key);
    body_crc.update(value);
    let mut head = [0; FRAME_HEAD];
    head[..4].copy_from_slice(&MARK);
    head[4] = class.code();
    head[6..8].copy_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
    head[8..12].copy_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[12..20].copy_from_slice(&sequence.0.to_le_bytes());
    head[20..28].copy_from_slice(&time_ns.to_le_bytes());
    head[28..32].copy_from_slice(&body_crc.finalize().to_le_bytes());
    let crc = crc32fast::hash(&head[..32]);
    head[32..].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Offset of the next mark behind the first byte; without one, of the last bytes that could begin one.
pub(crate) fn next_mark(bytes: &[u8]) -> usize {
    let rest = bytes.get(1..).unwrap_or_default();
    match memchr::memmem::find(rest, &MARK) {
        Some(at) => at + 1,
        None => bytes.len().saturating_sub(MARK.len() - 1).max(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(Class::Finding, Sequence(7), 9, b"key", b"value", &mut bytes);
        bytes
    }

    #[test]
    fn a_frame_is_read_as_written() {
        let bytes = sample();
        let Step::Frame(head) = step(&bytes) else { panic!("no frame") };
        assert_eq!((head.class, head.sequence, head.time_ns), (Class::Finding, Sequence(7), 9));
        assert_eq!((head.key_length, head.value_length, head.frame_length()), (3, 5, bytes.len()));
    }

    #[test]
    fn a_cut_frame_says_what_it_needs() {
        let bytes = sample();
        for length in 0..bytes.len() {
            let needed = if length < FRAME_HEAD { FRAME_HEAD } else { bytes.len() };
            assert_eq!(step(&bytes[..length]), Step::Partial(needed), "{length}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = sample();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(step(&bad), Step::Frame(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_segment_head_says_its_version() {
        assert_eq!(read_segment_head(&segment_head()), SegmentHead::Ours);
        assert_eq!(read_segment_head(&segment_head_of(2)), SegmentHead::Version(2));
        assert_eq!(read_segment_head(&segment_head()[..15]), SegmentHead::Damaged);
        for bit in 0..SEGMENT_HEAD * 8 {
            let mut bad = segment_head();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_segment_head(&bad), SegmentHead::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn the_next_mark_is_found_also_when_cut() {
        let two = [sample(), sample()].concat();
        assert_eq!(next_mark(&two), two.len() / 2);
        assert_eq!(next_mark(b"abcdef"), 3);
        assert_eq!(next_mark(b"a"), 1);
    }
}
