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
            // RFC 7932 §9.1: WBITS 24 (16 MiB) is the pattern 1111.
            if first & 0x0f == 0x0f {
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
