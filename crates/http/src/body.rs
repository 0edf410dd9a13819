//! What is read out of a message body while it passes: length, sample, gRPC messages, server-sent events.

use crate::anomaly::{Anomalies, Anomaly};
use crate::content::{Codings, Decoder, Decoders, Outcome};
use crate::engine::Engine;
use crate::grpc::{GrpcKind, GrpcReader, status_code};
use crate::message::{HeaderBlock, KnownHeader};
use crate::sse::SseReader;
use crate::transaction::Transaction;

/// Reads one message body after another. 24 bytes while nobody wants the bytes.
///
/// Call order: [`FlowBodies::start`] at the end of the head (optional for a message without body), then `data`, `skip` and
/// `gap` in stream order, then [`FlowBodies::finish`], which makes it ready for the next. Only content goes in: chunk framing
/// and padding stay out.
#[derive(Debug, Default)]
pub(crate) struct BodyReader {
    len_bytes: u64,
    missing_bytes: u64,
    /// Only where somebody wants the bytes.
    inner: Option<Box<Inner>>,
}

/// The rare part of a [`BodyReader`].
#[derive(Debug, Default)]
struct Inner {
    source: Source,
    content: Content,
    anomalies: Anomalies,
    is_bomb: bool,
}

/// Where the content comes from.
#[derive(Debug, Default)]
enum Source {
    /// The bytes are the content.
    #[default]
    Plain,
    /// Coded.
    Coded(Box<Decoder>),
    /// Nothing more can be read: the coded stream ended or was hit by a gap, or its coding is not undone.
    Over,
}

/// Who reads the content, codings undone.
#[derive(Debug, Default)]
struct Content {
    sample: Option<Vec<u8>>,
    sample_limit: usize,
    /// The sample lacks bytes.
    is_cut: bool,
    grpc: Option<GrpcReader>,
    sse: Option<SseReader>,
}

impl Content {
    /// Takes the next bytes; does anybody want more?
    fn data(&mut self, bytes: &[u8]) -> bool {
        if let Some(sample) = &mut self.sample
            && !self.is_cut
        {
            let room = self.sample_limit - sample.len().min(self.sample_limit);
            sample.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
            self.is_cut = bytes.len() > room;
        }
        if let Some(grpc) = &mut self.grpc {
            grpc.data(bytes);
        }
        if let Some(sse) = &mut self.sse {
            sse.data(bytes);
        }
        self.wants_bytes()
    }

    fn wants_bytes(&self) -> bool {
        (self.sample.is_some() && !self.is_cut)
            || self.sse.is_some()
            || self.grpc.as_ref().is_some_and(|grpc| !grpc.is_lost)
    }

    fn gap(&mut self, len: u64) {
        self.is_cut = true;
        if let Some(grpc) = &mut self.grpc {
            grpc.gap(len);
        }
        if let Some(sse) = &mut self.sse {
            sse.gap();
        }
    }

    /// From here on the content is unknown.
    fn lost(&mut self) {
        self.is_cut = true;
        self.sse = None;
        if let Some(grpc) = &mut self.grpc {
            grpc.is_lost = true;
        }
    }
}

impl BodyReader {
    /// [`FlowBodies::start`] of a body without a flow.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn start(&mut self, engine: &mut Engine, headers: &HeaderBlock, is_request: bool, sampled: bool) {
        self.start_with(engine, headers, is_request, sampled, true);
    }

    /// A message head is complete: decides what to look for. `sampled`: the sampler wants the body's first bytes;
    /// `may_decode`: content codings may be undone.
    fn start_with(
        &mut self,
        engine: &mut Engine,
        headers: &HeaderBlock,
        is_request: bool,
        sampled: bool,
        may_decode: bool,
    ) {
        self.abandon(engine);
        let content_type = headers.first(KnownHeader::ContentType).unwrap_or_default();
        let grpc = GrpcKind::of(content_type);
        let is_events = !is_request && SseReader::is_event_stream(content_type);
        if !sampled && grpc.is_none() && !is_events {
            return;
        }
        let mut inner = engine.bodies.spare.pop().unwrap_or_default();
        inner.content = Content {
            sample: sampled.then(Vec::new),
            sample_limit: engine.config.sample_bytes,
            is_cut: false,
            grpc: grpc.map(GrpcReader::new),
            sse: is_events.then(SseReader::default),
        };
        let decoder = match Codings::of(headers, engine.config.codings) {
            Codings::Identity => return self.inner = Some(inner),
            Codings::Known(codings) if may_decode => engine.bodies.decoders.decoder(&codings, &engine.config),
            Codings::Known(_) | Codings::Unsupported => None,
            Codings::Unknown => {
                inner.anomalies.insert(Anomaly::BadContentEncoding);
                None
            }
            Codings::TooMany => {
                inner.anomalies.insert(Anomaly::DecompressionLimit);
                None
            }
        };
        inner.source = match decoder {
            Some(decoder) => Source::Coded(decoder),
            None => {
                engine.counters.opaque_bodies += 1;
                inner.content.lost();
                Source::Over
            }
        };
        self.inner = Some(inner);
    }

    /// Must the bytes go through [`data`](Self::data)? If not, `skip` by length is enough (the hot path). The answer may
    /// change from true to false while the body passes, never back.
    #[inline]
    pub(crate) fn wants_bytes(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.wants_bytes())
    }

    /// The next bytes.
    #[inline]
    pub(crate) fn data(&mut self, engine: &mut Engine, bytes: &[u8]) {
        self.len_bytes = self.len_bytes.saturating_add(bytes.len() as u64);
        if let Some(inner) = &mut self.inner
            && !bytes.is_empty()
        {
            inner.data(engine, bytes);
        }
    }

    /// The next `len` bytes were there, and were not looked at. Only while [`wants_bytes`](Self::wants_bytes) is false.
    #[inline]
    pub(crate) fn skip(&mut self, len: u64) {
        self.len_bytes = self.len_bytes.saturating_add(len);
        if len > 0
            && let Some(inner) = &mut self.inner
        {
            inner.skip();
        }
    }

    /// The next `len` bytes are missing from the capture.
    pub(crate) fn gap(&mut self, len: u64) {
        self.len_bytes = self.len_bytes.saturating_add(len);
        self.missing_bytes = self.missing_bytes.saturating_add(len);
        if let Some(inner) = &mut self.inner
            && len > 0
        {
            inner.gap(len);
        }
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
        let body = if is_request { &mut transaction.request_body } else { &mut transaction.response_body };
        body.len_bytes = std::mem::take(&mut self.len_bytes);
        body.missing_bytes = std::mem::take(&mut self.missing_bytes);
        body.complete = complete;
        let Some(mut inner) = self.inner.take() else { return false };

        let is_whole = complete && body.missing_bytes == 0;
        inner.finish(engine, is_whole);
        body.sample = inner.content.sample.take();
        body.sample_truncated = body.sample.is_some() && (inner.content.is_cut || !is_whole);
        transaction.anomalies.extend(inner.anomalies);
        if let Some(sse) = inner.content.sse.take() {
            transaction.sse_events = Some(sse.events);
        }
        if let Some(grpc) = inner.content.grpc.take() {
            fill_grpc(&grpc, transaction, is_request);
        }
        let is_bomb = inner.is_bomb;
        engine.bodies.recycle(inner);
        is_bomb
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        let Some(inner) = &self.inner else { return 0 };
        size_of::<Inner>()
            + if let Source::Coded(decoder) = &inner.source { decoder.memory_bytes() } else { 0 }
            + inner.content.sample.as_ref().map_or(0, Vec::capacity)
            + inner.content.grpc.as_ref().map_or(0, GrpcReader::memory_bytes)
    }

    /// Drops a body that was never finished.
    fn abandon(&mut self, engine: &mut Engine) {
        if let Some(inner) = self.inner.take() {
            engine.bodies.recycle(inner);
        }
        (self.len_bytes, self.missing_bytes) = (0, 0);
    }
}

impl Inner {
    fn wants_bytes(&self) -> bool {
        match self.source {
            Source::Plain => self.content.wants_bytes(),
            // The decoder ends by itself where nobody wants more.
            Source::Coded(_) => true,
            Source::Over => false,
        }
    }

    #[inline(never)]
    fn data(&mut self, engine: &mut Engine, bytes: &[u8]) {
        match &mut self.source {
            Source::Plain => {
                self.content.data(bytes);
            }
            Source::Coded(decoder) => {
                decoder.push(bytes, |content| self.content.data(content));
                if decoder.outcome() != Outcome::Running {
                    let decoder = self.end_decoding(false);
                    engine.bodies.decoders.recycle(decoder);
                }
            }
            Source::Over => {}
        }
    }

    /// Bytes passed that nobody looked at.
    fn skip(&mut self) {
        debug_assert!(!self.wants_bytes(), "skipped bytes that were wanted");
        if self.wants_bytes() {
            self.content.lost();
            self.source = Source::Over;
        }
    }

    fn gap(&mut self, len: u64) {
        match self.source {
            Source::Plain => self.content.gap(len),
            // What came before stands; a coded stream cannot be joined again.
            Source::Coded(_) => drop(self.end_decoding(false)),
            Source::Over => {}
        }
    }

    /// Takes what the decoder still holds, and its verdict. `is_whole`: the body ended properly and nothing is missing.
    fn end_decoding(&mut self, is_whole: bool) -> Option<Box<Decoder>> {
        let Source::Coded(mut decoder) = std::mem::replace(&mut self.source, Source::Over) else { return None };
        let outcome = decoder.finish(|content| self.content.data(content));
        match outcome {
            // What follows a coded stream is not content.
            Outcome::Complete => return Some(decoder),
            // The body is all there, the coded stream in it is not.
            Outcome::Truncated if is_whole => self.anomalies.insert(Anomaly::BadContentEncoding),
            Outcome::Running | Outcome::Stopped | Outcome::Truncated => {}
            Outcome::Corrupt => self.anomalies.insert(Anomaly::BadContentEncoding),
            Outcome::Limit => {
                self.anomalies.insert(Anomaly::DecompressionLimit);
                self.is_bomb = true;
            }
        }
        self.content.lost();
        Some(decoder)
    }

    fn finish(&mut self, engine: &mut Engine, is_whole: bool) {
        let decoder = self.end_decoding(is_whole);
        engine.bodies.decoders.recycle(decoder);
        if let Some(grpc) = &mut self.content.grpc {
            if is_whole {
                grpc.end();
            }
            if grpc.is_bad {
                self.anomalies.insert(Anomaly::BadGrpcMessage);
            }
        }
    }
}

fn fill_grpc(grpc: &GrpcReader, transaction: &mut Transaction, is_request: bool) {
    let trailers = transaction.response.as_ref().filter(|_| !is_request);
    // The last one wins: trailers come after headers.
    let status = trailers.and_then(|response| {
        let mut fields = response.headers.fields().iter().rev();
        let field = fields.find(|field| field.known == KnownHeader::GrpcStatus && !field.unknown)?;
        status_code(response.headers.value(field))
    });
    let facts = transaction.grpc.get_or_insert_default();
    facts.web |= grpc.kind != GrpcKind::Plain;
    facts.partial |= grpc.is_lost;
    if is_request {
        facts.request_messages = grpc.messages;
    } else {
        facts.response_messages = grpc.messages;
        facts.status = grpc.status.or(status).or(facts.status);
    }
}

/// Readers kept for the next gRPC call.
const SPARES: usize = 64;

/// Memory of the body readers of a worker.
#[derive(Default)]
pub(crate) struct Bodies {
    decoders: Decoders,
    // The boxes are what is used again.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Inner>>,
}

impl Bodies {
    fn recycle(&mut self, mut inner: Box<Inner>) {
        if let Source::Coded(decoder) = std::mem::take(&mut inner.source) {
            self.decoders.recycle(Some(decoder));
        }
        if self.spare.len() < SPARES {
            *inner = Inner::default();
            self.spare.push(inner);
        }
    }
}

/// What the bodies of one flow share: how many hit a decompression limit (F064). The flow keeps one, and starts and
/// finishes its readers through it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowBodies {
    bombs: u32,
}

impl FlowBodies {
    /// A message head is complete: the reader decides what to look for. `sampled`: the sampler wants the body's first bytes.
    /// Content codings are not undone any more once the flow had too many bombs.
    pub(crate) fn start(
        &self,
        reader: &mut BodyReader,
        engine: &mut Engine,
        headers: &HeaderBlock,
        is_request: bool,
        sampled: bool,
    ) {
        let may_decode = self.bombs < engine.config.bombs;
        reader.start_with(engine, headers, is_request, sampled, may_decode);
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
            engine.counters.bomb_flows += u64::from(self.bombs == engine.config.bombs);
        }
    }
}

#[cfg(test)]
mod tests;
