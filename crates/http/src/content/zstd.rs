//! The zstd coding (RFC 8878), with the window limit of RFC 9659.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{MEMBERS, Step, StepState};

/// 8 MiB: what RFC 9659 §3 lets a sender of this coding ask for.
const WINDOW_LOG: u32 = 23;
/// Longest frame header (RFC 8878 §3.1.1).
const HEADER_BYTES: usize = 18;
/// What the decoder holds besides its window (tables, one block of input and of output), roughly.
const STATE_BYTES: usize = 416 * 1024;

/// Concatenated zstd frames being decoded.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// Input that the decoder asks for, as it last said.
    hint: usize,
    /// First bytes of the frame.
    header: [u8; HEADER_BYTES],
    header_len: usize,
    window_bytes: Option<u64>,
    max_window_bytes: u64,
    frames: u32,
}

impl Zstd {
    pub(super) fn new() -> Option<Zstd> {
        let mut decoder = Decoder::new().ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).ok()?;
        Some(Zstd {
            decoder,
            hint: 0,
            header: [0; HEADER_BYTES],
            header_len: 0,
            window_bytes: None,
            max_window_bytes: 0,
            frames: 0,
        })
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let in_header = self.header_len < HEADER_BYTES;
        // A call that fails forgets the output it had made before the error, so no call may reach past one block: the header
        // goes in byte by byte (that also keeps the decoder from taking a small frame in one piece), then block by block. The
        // hint covers the next block and the 3 bytes of the header after it.
        let len = match self.hint {
            _ if in_header => 1,
            hint @ 0..=3 => hint.max(1),
            hint => hint - 3,
        };
        let now = input.get(..len.min(input.len())).unwrap_or_default();
        if in_header
            && let Some(&byte) = now.first()
            && let Some(place) = self.header.get_mut(self.header_len)
        {
            if self.header_len == 0 && self.frames >= MEMBERS {
                return Step::new(0, 0, StepState::Limit);
            }
            *place = byte;
            if self.window_bytes.is_none() {
                self.window_bytes = window_bytes(self.header.get(..=self.header_len).unwrap_or_default());
                let window = self.window_bytes.unwrap_or_default();
                if window > 1 << WINDOW_LOG {
                    return Step::new(0, 0, StepState::Limit);
                }
                self.max_window_bytes = self.max_window_bytes.max(window);
            }
        }

        let mut source = InBuffer::around(now);
        let mut target = OutBuffer::around(output);
        let result = self.decoder.run(&mut source, &mut target);
        let (consumed, produced) = (source.pos(), target.pos());
        if in_header {
            self.header_len += consumed;
        }
        match result {
            Ok(0) => {
                // End of a frame, all of it given out.
                self.hint = 0;
                if self.header_len > 0 {
                    self.frames = self.frames.saturating_add(1);
                }
                self.header_len = 0;
                self.window_bytes = None;
                Step::new(consumed, produced, StepState::More)
            }
            Ok(hint) => {
                self.hint = hint;
                Step::new(consumed, produced, StepState::More)
            }
            Err(_) => Step::new(consumed, produced, StepState::Corrupt),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.frames > 0 && self.header_len == 0
    }

    pub(super) fn memory_bytes(&self) -> usize {
        STATE_BYTES + size_of::<Zstd>() + self.max_window_bytes as usize
    }
}

/// Window of a frame (RFC 8878 §3.1.1.1), once enough of its header is there. A single segment is its own window.
///
/// ```text
/// magic (4) | descriptor (1) | [window (1)] | dictionary id (0, 1, 2, 4) | content size (0, 1, 2, 4, 8)
/// ```
fn window_bytes(header: &[u8]) -> Option<u64> {
    let (magic, rest) = header.split_first_chunk::<4>()?;
    if *magic != [0x28, 0xb5, 0x2f, 0xfd] {
        return None; // a skippable frame, or none at all
    }
    let (&descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = u64::from(*rest.first()?);
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * (window & 7));
    }
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(dictionary_len..dictionary_len + size_len)?;
    let value = size.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    Some(if size_len == 2 { value + 256 } else { value })
}

#[cfg(test)]
mod tests {
    use super::window_bytes;

    #[test]
    fn window_of_a_frame_header() {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let of = |rest: &[u8]| window_bytes(&[&magic[..], rest].concat());
        assert_eq!(of(&[0x00]), None, "the window byte is not there yet");
        assert_eq!(of(&[0x00, 0x68]), Some(8 << 20), "exponent 13: 8 MiB");
        assert_eq!(of(&[0x00, 0x69]), Some(9 << 20), "mantissa 1 adds an eighth");
        assert_eq!(of(&[0x00, 0xff]), Some((1 << 41) + (1 << 41) / 8 * 7), "largest that can be written");
        assert_eq!(of(&[0x20, 0x36]), Some(54), "single segment, one byte of size");
        assert_eq!(of(&[0x60, 0x00, 0x01]), Some(512), "two bytes of size count from 256");
        assert_eq!(of(&[0xa1, 0x07, 0, 0, 0, 1]), Some(1 << 24), "dictionary id, then four bytes of size");
        assert_eq!(window_bytes(&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), None, "skippable");
    }
}
