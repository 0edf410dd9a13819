//! What is read out of a message body while it passes: length, sample, gRPC messages, server-sent events.

use crate::engine::Engine;
use crate::message::HeaderBlock;
use crate::transaction::Transaction;

/// Reads one message body after another. Small while nobody wants the bytes.
///
/// Call order: `start` at the end of the head (optional for a message without body), then `data`, `skip` and `gap` in stream
/// order, then `finish`, which makes it ready for the next `start`. Only content goes in: chunk framing and padding stay out.
#[derive(Debug, Default)]
pub(crate) struct BodyReader {
    len_bytes: u64,
    missing_bytes: u64,
}

impl BodyReader {
    /// A message head is complete: decides what to look for. `sampled`: the sampler wants the body's first bytes.
    pub(crate) fn start(&mut self, engine: &mut Engine, headers: &HeaderBlock, is_request: bool, sampled: bool) {
        let _ = (engine, headers, is_request, sampled);
        *self = BodyReader::default();
    }

    /// Must the bytes go through [`data`](Self::data)? If not, `skip` by length is enough (the hot path). The answer may
    /// change from true to false while the body passes, never back.
    pub(crate) fn wants_bytes(&self) -> bool {
        false
    }

    /// The next bytes.
    pub(crate) fn data(&mut self, engine: &mut Engine, bytes: &[u8]) {
        let _ = engine;
        self.len_bytes = self.len_bytes.saturating_add(bytes.len() as u64);
    }

    /// The next `len` bytes were there, and were not looked at. Only while [`wants_bytes`](Self::wants_bytes) is false.
    pub(crate) fn skip(&mut self, len: u64) {
        self.len_bytes = self.len_bytes.saturating_add(len);
    }

    /// The next `len` bytes are missing from the capture.
    pub(crate) fn gap(&mut self, len: u64) {
        self.len_bytes = self.len_bytes.saturating_add(len);
        self.missing_bytes = self.missing_bytes.saturating_add(len);
    }

    /// The body ended (`complete`: at its proper end). Fills the body, gRPC and event fields and anomalies of the transaction;
    /// the caller sets [`framing`](crate::Body::framing). True if a decompression limit was hit: see [`FlowBodies`].
    pub(crate) fn finish(
        &mut self,
        engine: &mut Engine,
        complete: bool,
        transaction: &mut Transaction,
        is_request: bool,
    ) -> bool {
        let _ = engine;
        let body = if is_request { &mut transaction.request_body } else { &mut transaction.response_body };
        body.len_bytes = self.len_bytes;
        body.missing_bytes = self.missing_bytes;
        body.complete = complete;
        *self = BodyReader::default();
        false
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        0
    }
}

/// What the bodies of one flow share: how many hit a decompression limit (F064). The flow keeps one, and starts and
/// finishes its readers through it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowBodies {
    bombs: u32,
}

impl FlowBodies {
    /// [`BodyReader::start`], without content decoding once the flow had too many bombs.
    pub(crate) fn start(
        &self,
        reader: &mut BodyReader,
        engine: &mut Engine,
        headers: &HeaderBlock,
        is_request: bool,
        sampled: bool,
    ) {
        reader.start(engine, headers, is_request, sampled);
        if self.bombs >= engine.config.bombs {
            // The reader keeps everything that needs no decoding.
        }
    }

    /// [`BodyReader::finish`], counting bombs.
    pub(crate) fn finish(
        &mut self,
        reader: &mut BodyReader,
        engine: &mut Engine,
        complete: bool,
        transaction: &mut Transaction,
        is_request: bool,
    ) {
        if reader.finish(engine, complete, transaction, is_request) {
            self.bombs = self.bombs.saturating_add(1);
        }
    }
}
