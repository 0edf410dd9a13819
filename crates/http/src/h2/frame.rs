//! Frame heads (RFC 9113 §4.1), and how sure one can be that bytes are some.
//!
//! ```text
//! +-----------------------------------------------+
//! |                 Length (24)                   |
//! +---------------+---------------+---------------+
//! |   Type (8)    |   Flags (8)   |
//! +-+-------------+---------------+-------------------------------+
//! |R|                 Stream Identifier (31)                      |
//! +=+=============================================================+
//! |                   Frame Payload (0...)                      ...
//! ```

use umbra_flow::Direction;

use super::hpack::plausible_block;

/// Bytes of a frame head.
pub(super) const HEAD_BYTES: usize = 9;

/// Frame types; the names of RFC 9113 §6, RFC 7838, RFC 8336.
pub(super) mod kind {
    pub(in crate::h2) const DATA: u8 = 0;
    pub(in crate::h2) const HEADERS: u8 = 1;
    pub(in crate::h2) const PRIORITY: u8 = 2;
    pub(in crate::h2) const RST_STREAM: u8 = 3;
    pub(in crate::h2) const SETTINGS: u8 = 4;
    pub(in crate::h2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::h2) const PING: u8 = 6;
    pub(in crate::h2) const GOAWAY: u8 = 7;
    pub(in crate::h2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::h2) const CONTINUATION: u8 = 9;
    pub(in crate::h2) const ALTSVC: u8 = 10;
    pub(in crate::h2) const ORIGIN: u8 = 12;
    pub(in crate::h2) const PRIORITY_UPDATE: u8 = 16;
}

/// A frame head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Payload length in bytes, 24 bits.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Without the reserved bit.
    pub(super) stream: u32,
    /// The reserved bit, which must be ignored but is never set.
    reserved: bool,
}

impl FrameHead {
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES]) -> FrameHead {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        FrameHead {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        }
    }

    /// END_STREAM of DATA and HEADERS.
    pub(super) fn end_stream(self) -> bool {
        self.flags & 0x01 != 0 && matches!(self.kind, kind::DATA | kind::HEADERS)
    }

    /// END_HEADERS of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub(super) fn end_headers(self) -> bool {
        self.flags & 0x04 != 0
    }

    pub(super) fn padded(self) -> bool {
        self.flags & 0x08 != 0
    }

    /// PRIORITY of HEADERS.
    pub(super) fn priority(self) -> bool {
        self.flags & 0x20 != 0
    }

    /// Part of a header block.
    pub(super) fn is_block(self) -> bool {
        matches!(self.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION)
    }

    /// Does the frame break a rule of RFC 9113 §6 on its size or stream? (F053)
    pub(super) fn is_bad(self) -> bool {
        match self.kind {
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => self.stream == 0,
            kind::PRIORITY => self.stream == 0 || self.len != 5,
            kind::RST_STREAM => self.stream == 0 || self.len != 4,
            kind::SETTINGS => self.stream != 0 || !self.len.is_multiple_of(6) || (self.flags & 1 != 0 && self.len != 0),
            kind::PING => self.stream != 0 || self.len != 8,
            kind::GOAWAY => self.stream != 0 || self.len < 8,
            kind::WINDOW_UPDATE => self.len != 4,
            _ => false,
        }
    }

    /// How many bits of this head (and of its payload, which is whole but for DATA) are as they must be, if it is a frame of
    /// the kinds and sizes that are sent in practice; `None` if it is not.
    fn evidence(self, payload: &[u8]) -> Option<Evidence> {
        if self.reserved || self.is_bad() {
            return None;
        }
        // Small ids leave bits that are zero; but so do the small numbers of other protocols.
        let id_bits: u32 = match self.stream {
            0 => 0,
            id if id < 1 << 16 => 11,
            id if id < 1 << 20 => 8,
            id if id < 1 << 24 => 4,
            _ => 0,
        };
        let mut from = None;
        let allowed_flags;
        let bits = match self.kind {
            kind::DATA => {
                allowed_flags = 0x09;
                if self.len > LARGE_FRAME_BYTES {
                    return None;
                }
                match self.len {
                    0 if self.flags & 1 == 0 => 0,
                    0 => 24 + id_bits,
                    // What a sender with much to send makes.
                    DEFAULT_FRAME_BYTES => 32 + id_bits,
                    _ => 14 + id_bits,
                }
            }
            kind::HEADERS => {
                allowed_flags = 0x2d;
                let overhead = u32::from(self.padded()) + 5 * u32::from(self.priority());
                if self.len <= overhead || self.len > DEFAULT_FRAME_BYTES {
                    return None;
                }
                if self.end_headers() {
                    from = plausible_block(header_fragment(self, payload)?)?;
                    id_bits + if from.is_some() { 43 } else { 31 }
                } else {
                    8
                }
            }
            kind::PRIORITY => {
                allowed_flags = 0;
                from = Some(Direction::ToServer);
                41 + id_bits
            }
            kind::RST_STREAM => {
                allowed_flags = 0;
                // Error codes are small (§7).
                if payload.first_chunk::<4>().is_some_and(|code| u32::from_be_bytes(*code) > 0xff) {
                    return None;
                }
                41 + id_bits + 24 * u32::from(payload.len() >= 4)
            }
            kind::SETTINGS => {
                allowed_flags = 1;
                if self.len > MOST_SETTINGS_BYTES
                    || !payload.chunks_exact(6).take(self.len as usize / 6).all(is_setting)
                {
                    return None;
                }
                if self.len == 0 { 56 } else { 64 + 8 * self.len.min(payload.len() as u32) / 6 }
            }
            kind::PUSH_PROMISE => {
                allowed_flags = 0x0c;
                if self.len <= 4 || self.len > DEFAULT_FRAME_BYTES {
                    return None;
                }
                from = Some(Direction::ToClient);
                8
            }
            kind::PING => {
                allowed_flags = 1;
                71
            }
            kind::GOAWAY => {
                allowed_flags = 0;
                if self.len > 1024 {
                    return None;
                }
                60
            }
            kind::WINDOW_UPDATE => {
                allowed_flags = 0;
                let increment = payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
                if increment.is_some_and(|increment| increment == 0 || increment > 0x7fff_ffff) {
                    return None;
                }
                if self.stream == 0 { 60 } else { 41 + id_bits }
            }
            kind::CONTINUATION => {
                allowed_flags = 0x04;
                if self.len == 0 || self.len > DEFAULT_FRAME_BYTES {
                    return None;
                }
                8
            }
            kind::ALTSVC | kind::ORIGIN | kind::PRIORITY_UPDATE => {
                allowed_flags = 0;
                if self.len > 4096 {
                    return None;
                }
                16 + id_bits
            }
            _ => return None,
        };
        (self.flags & !allowed_flags == 0).then_some(Evidence { bits, from })
    }
}

/// SETTINGS_MAX_FRAME_SIZE where nobody changed it.
const DEFAULT_FRAME_BYTES: u32 = 16384;
/// The longest DATA frame taken for one without context; senders allowed more send at most this.
const LARGE_FRAME_BYTES: u32 = 1 << 20;
/// The longest SETTINGS taken for one without context.
const MOST_SETTINGS_BYTES: u32 = 6 * 32;

struct Evidence {
    bits: u32,
    from: Option<Direction>,
}

/// A setting that somebody sends (§6.5.2, RFC 8441, RFC 9218, or reserved for greasing).
fn is_setting(bytes: &[u8]) -> bool {
    let [a, b, value @ ..] = bytes else { return false };
    let id = u16::from_be_bytes([*a, *b]);
    let value = value.first_chunk::<4>().map_or(0, |value| u32::from_be_bytes(*value));
    match id {
        2 | 8 | 9 => value <= 1,
        4 => value <= 0x7fff_ffff,
        5 => (16384..1 << 24).contains(&value),
        1..=0x10 => true,
        _ => id & 0x0f0f == 0x0a0a || id >= 0xf000,
    }
}

/// The part of a HEADERS payload that is header block (§6.2): without padding and priority.
pub(super) fn header_fragment(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    let mut fragment = unpadded(head, payload)?;
    if head.priority() {
        fragment = fragment.get(5..)?;
    }
    Some(fragment)
}

/// The payload without padding (§6.1); `None` if the padding is longer than it.
pub(super) fn unpadded(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    if !head.padded() {
        return Some(payload);
    }
    let (&pad, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(pad))?)
}

/// What a run of bytes says when read as frames, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// Frames, beyond doubt.
    Frames {
        /// Who sends them, where that shows.
        from: Option<Direction>,
    },
    /// May be: say more with this many bytes.
    Incomplete {
        /// How many.
        needed: usize,
        /// There is at least one frame head.
        started: bool,
    },
    /// No frames.
    Not,
}

/// Heads looked at before a chain without enough evidence is refused.
const MOST_HEADS: usize = 8;

/// Reads `bytes` as frames until `wanted_bits` of evidence from at least `wanted_heads` heads have come together.
/// `strict`: DATA alone does not do, as nothing of it can be checked. `work_bytes`: bytes of payload that may still be read;
/// a frame with more is none. A search has one sum for all its tries, as heads a few bytes apart may all lay claim to the same
/// long payload.
pub(super) fn chain(
    bytes: &[u8],
    wanted_bits: u32,
    wanted_heads: usize,
    strict: bool,
    work_bytes: &mut usize,
) -> Chain {
    let (mut bits, mut from, mut at, mut checked) = (0u32, None, 0usize, !strict);
    let mut open_block = None;
    for heads in 0..MOST_HEADS {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((head, payload)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Chain::Incomplete { needed: at + HEAD_BYTES, started: heads > 0 };
        };
        let head = FrameHead::parse(head);
        let end = at + HEAD_BYTES + head.len as usize;
        let whole = payload.get(..head.len as usize);
        if head.kind != kind::DATA && whole.is_none() {
            if head.reserved || head.is_bad() || head.kind > kind::PRIORITY_UPDATE || head.len > DEFAULT_FRAME_BYTES {
                return Chain::Not;
            }
            // The same answer however the bytes are cut: the payload counts, so wait for it.
            return Chain::Incomplete { needed: end, started: heads > 0 };
        }
        if head.kind != kind::DATA && !head.is_bad() {
            match work_bytes.checked_sub(head.len as usize) {
                Some(left) => *work_bytes = left,
                None => return Chain::Not,
            }
        }
        let Some(evidence) = head.evidence(whole.unwrap_or(payload)) else { return Chain::Not };
        bits += evidence.bits;
        // §6.10: a block without END_HEADERS goes on in the next frame, and only there.
        if open_block.is_some_and(|stream| head.kind != kind::CONTINUATION || head.stream != stream)
            || (open_block.is_none() && head.kind == kind::CONTINUATION && heads > 0)
        {
            return Chain::Not;
        }
        open_block = (head.is_block() && !head.end_headers()).then_some(head.stream);
        checked |= match head.kind {
            kind::DATA | kind::PUSH_PROMISE | kind::CONTINUATION => false,
            kind::HEADERS => head.end_headers(),
            _ => true,
        };
        from = from.or(evidence.from);
        if bits >= wanted_bits && checked && heads + 1 >= wanted_heads {
            return Chain::Frames { from };
        }
        at = end;
    }
    Chain::Not
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_head() {
        let head = FrameHead::parse(&[0x01, 0x02, 0x03, 0x01, 0x05, 0x80, 0, 0, 0x07]);
        assert_eq!(head, FrameHead { len: 0x010203, kind: kind::HEADERS, flags: 5, stream: 7, reserved: true });
        assert!(head.end_stream() && head.end_headers() && !head.padded() && !head.priority());
    }

    #[test]
    fn padding_is_cut_and_checked() {
        let head = FrameHead { kind: kind::HEADERS, flags: 0x28, ..FrameHead::default() };
        assert_eq!(header_fragment(head, &[2, 0, 0, 0, 0, 9, b'x', b'y', 0, 0]), Some(&b"xy"[..]));
        assert_eq!(header_fragment(head, &[9, 0, 0, 0, 0, 9, b'x', b'y', 0, 0]), None);
        assert_eq!(unpadded(head, &[]), None);
        assert_eq!(unpadded(head, &[1]), None);
        assert_eq!(unpadded(head, &[0]), Some(&b""[..]));
    }
}
