//! The br coding (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Step, StepState};

/// What the decoder holds besides its window (Huffman tables, context maps), roughly.
const STATE_BYTES: usize = 64 * 1024;

/// A br stream being decoded. What a block had made before an error in it is lost with it: the decoder gives out nothing more
/// once it failed. Windows above 8 MiB, and the large windows outside RFC 7932, are refused.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    window_bytes: Option<usize>,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Brotli { state: BrotliState::new_strict(alloc(), alloc(), alloc()), window_bytes: None }
    }
}

impl Brotli {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if self.window_bytes.is_none()
            && let Some(&first) = input.first()
        {
            if !is_window_fine(first) {
                return Step::new(0, 0, StepState::Limit);
            }
            self.window_bytes = Some(window_bytes(first));
        }
        let (mut available_in, mut consumed) = (input.len(), 0);
        let (mut available_out, mut produced) = (output.len(), 0);
        let mut total = 0;
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut consumed,
            input,
            &mut available_out,
            &mut produced,
            output,
            &mut total,
            &mut self.state,
        );
        let state = match result {
            BrotliResult::ResultSuccess => StepState::End,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => StepState::More,
            BrotliResult::ResultFailure => StepState::Corrupt,
        };
        Step::new(consumed, produced, state)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        STATE_BYTES + size_of::<Brotli>() + self.window_bytes.unwrap_or_default()
    }
}

/// Is the window at most 8 MiB, by the stream's first byte?
///
/// ```text
/// bits 0-3 WBITS (1111: 24, which is 16 MiB) | bit 4 ISLAST | bit 5 ISLASTEMPTY | bits 6-7 MNIBBLES - 4
/// ```
///
/// One call of the decoder fills the whole window before it gives anything out, so the window bounds its work. But encoders
/// write 16 MiB for small bodies too: where the first meta-block is the last and holds at most 1 MiB (4 or 5 nibbles of
/// length), the decoder makes its window no larger than twice that.
fn is_window_fine(first: u8) -> bool {
    let is_small = first & 0x20 != 0 || matches!(first >> 6, 0 | 1);
    first & 0x0f != 0x0f || (first & 0x10 != 0 && is_small)
}

/// Window of a stream by its first byte (RFC 7932 §9.1).
fn window_bytes(first: u8) -> usize {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    1 << bits
}
