//! Content codings (RFC 9110 §8.4): gzip, deflate, br, zstd, and stacks of them, undone as a stream within limits.

use std::fmt;
use std::sync::Arc;

use crate::engine::Config;
use crate::message::{HeaderBlock, KnownHeader};

mod brotli;
mod inflate;
mod zstd;

use brotli::Brotli;
use inflate::{Deflate, Gzip};
use zstd::Zstd;

/// Bytes handed to a coding at a time. Decoders lose what a call had made so far when it meets an error: with blocks cut by
/// the place in the stream, not by the packet, the result depends on the bytes alone (G7).
const BLOCK_BYTES: usize = 1024;
/// Bytes taken from a coding at a time.
const OUTPUT_BYTES: usize = 4096;
/// Concatenated gzip members or zstd frames of one body: real ones have a few (a megabyte of bgzip has 16), a flood of empty
/// ones is work without output.
const MEMBERS: u32 = 256;
/// Bytes that a coding may take beyond twice what it makes: empty blocks and skippable frames are work without output, and a
/// real stream is hardly longer than its content.
const FRUITLESS_BYTES: u64 = 256 * 1024;
/// Decoders alive in a worker at once: each holds 44 KiB (inflate) up to the 8 MiB window of br and zstd.
const LIVE_DECODERS: usize = 64;
/// Unused inflaters kept.
const SPARE_INFLATERS: usize = 4;
/// Output below which the ratio says nothing: a page of blanks, or a list of zeros, is no bomb.
const RATIO_FROM_BYTES: u64 = 256 * 1024;

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// What a head says about the codings of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codings {
    /// None: the bytes are the content.
    Identity,
    /// These, in the order in which they were applied.
    Known(CodingList),
    /// A registered coding that is not undone here, or a value that HPACK hides.
    Unsupported,
    /// A name that no registry has.
    Unknown,
    /// More than [`Config::codings`] (F065).
    TooMany,
}

/// Codings in the order in which they were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodingList(Vec<Coding>);

impl Codings {
    /// Reads every Content-Encoding field of a head, in order.
    pub(crate) fn of(headers: &HeaderBlock, limit: usize) -> Codings {
        let mut list = Vec::new();
        for (field, _, value) in headers.iter() {
            if field.known != KnownHeader::ContentEncoding || field.trailer {
                continue;
            }
            if field.unknown {
                return Codings::Unsupported;
            }
            for name in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
                let coding = if name.is_empty() || is("identity") {
                    continue;
                } else if is("gzip") || is("x-gzip") {
                    Coding::Gzip
                } else if is("br") {
                    Coding::Brotli
                } else if is("deflate") {
                    Coding::Deflate
                } else if is("zstd") {
                    Coding::Zstd
                } else if ["compress", "x-compress", "dcb", "dcz", "aes128gcm", "exi", "pack200-gzip", "aws-chunked"]
                    .into_iter()
                    .any(is)
                {
                    return Codings::Unsupported;
                } else {
                    return Codings::Unknown;
                };
                if list.len() >= limit {
                    return Codings::TooMany;
                }
                list.push(coding);
            }
        }
        if list.is_empty() { Codings::Identity } else { Codings::Known(CodingList(list)) }
    }
}

/// How far decoding came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The coded stream may go on.
    Running,
    /// It ended properly.
    Complete,
    /// It was cut.
    Truncated,
    /// It is not what its name says, or a checksum is wrong.
    Corrupt,
    /// A size, ratio, window, member or work limit was reached.
    Limit,
    /// Whoever wanted the content has enough.
    Stopped,
}

/// What one step of a coding did.
struct Step {
    consumed: usize,
    produced: usize,
    state: StepState,
}

/// Where a coding stands after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepState {
    /// Goes on with more input, or more room if `output` is full.
    More,
    /// The coded stream ended; what follows is not part of it.
    End,
    Corrupt,
    Limit,
}

impl Step {
    fn new(consumed: usize, produced: usize, state: StepState) -> Step {
        Step { consumed, produced, state }
    }
}

enum Machine {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Machine {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Machine::Gzip(gzip) => gzip.step(input, output),
            Machine::Deflate(deflate) => deflate.step(input, output),
            Machine::Brotli(brotli) => brotli.step(input, output),
            Machine::Zstd(zstd) => zstd.step(input, output),
        }
    }

    /// May the input end here?
    fn is_complete(&self) -> bool {
        match self {
            Machine::Gzip(gzip) => gzip.is_complete(),
            Machine::Deflate(_) | Machine::Brotli(_) => false,
            Machine::Zstd(zstd) => zstd.is_complete(),
        }
    }

    /// A checksum was wrong on the way; decoding went on.
    fn is_suspect(&self) -> bool {
        matches!(self, Machine::Gzip(gzip) if gzip.is_suspect())
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Machine::Gzip(_) | Machine::Deflate(_) => inflate::STATE_BYTES,
            Machine::Brotli(brotli) => brotli.memory_bytes(),
            Machine::Zstd(zstd) => zstd.memory_bytes(),
        }
    }
}

/// One coding with the input that waits for it.
struct Layer {
    machine: Machine,
    input: Vec<u8>,
    taken: usize,
    /// The last step filled its output: there may be more without more input.
    pending_output: bool,
    ended: bool,
    input_bytes: u64,
    output_bytes: u64,
}

impl Layer {
    fn new(machine: Machine, capacity: usize) -> Layer {
        let input = Vec::with_capacity(capacity);
        Layer { machine, input, taken: 0, pending_output: false, ended: false, input_bytes: 0, output_bytes: 0 }
    }

    fn can_step(&self) -> bool {
        !self.ended && (self.taken < self.input.len() || self.pending_output)
    }

    fn fill(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        if self.taken >= self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        self.input.extend_from_slice(bytes);
    }
}

/// Undoes the content codings of one body.
pub(crate) struct Decoder {
    /// The coding applied last comes first: the wire's order.
    layers: Vec<Layer>,
    output: Box<[u8; OUTPUT_BYTES]>,
    outcome: Outcome,
    is_corrupt: bool,
    /// The sink wants no more.
    is_enough: bool,
    limit_bytes: u64,
    limit_ratio: u64,
    input_bytes: u64,
    output_bytes: u64,
    _live: Arc<()>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("outcome", &self.outcome).field("output_bytes", &self.output_bytes).finish()
    }
}

impl Decoder {
    /// The next bytes of the body. `sink` takes the content and says whether it wants more.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8]) -> bool) {
        while self.outcome == Outcome::Running && !bytes.is_empty() {
            let Some(first) = self.layers.first_mut() else { return };
            if first.ended {
                return; // what follows is not part of the stream
            }
            let room = BLOCK_BYTES - first.input.len().min(BLOCK_BYTES);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            first.fill(now);
            bytes = later;
            if first.input.len() >= BLOCK_BYTES {
                self.run(&mut sink);
                if let Some(first) = self.layers.first_mut() {
                    first.input.clear();
                    first.taken = 0;
                }
            }
        }
    }

    /// The body ended, or will not be followed further. Never [`Outcome::Running`].
    pub(crate) fn finish(&mut self, mut sink: impl FnMut(&[u8]) -> bool) -> Outcome {
        if self.outcome == Outcome::Running {
            self.run(&mut sink);
        }
        let is_complete = self.layers.iter().all(|layer| layer.ended || layer.machine.is_complete())
            || self.layers.first().is_some_and(|layer| layer.input_bytes == 0);
        if self.outcome == Outcome::Running {
            self.outcome = if is_complete { self.ending() } else { Outcome::Truncated };
        }
        self.outcome
    }

    /// Every coding came to its end: well?
    fn ending(&self) -> Outcome {
        let is_suspect = self.is_corrupt || self.layers.iter().any(|layer| layer.machine.is_suspect());
        if is_suspect { Outcome::Corrupt } else { Outcome::Complete }
    }

    /// How far decoding came.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Memory held, bytes, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let layers = self.layers.iter().map(|layer| layer.machine.memory_bytes() + layer.input.capacity());
        OUTPUT_BYTES + size_of::<Decoder>() + layers.sum::<usize>()
    }

    /// Runs the codings until they want more input. A loop over a list: the layer nearest to the content that can work goes
    /// first, so that one buffer a layer is enough.
    fn run(&mut self, sink: &mut impl FnMut(&[u8]) -> bool) {
        while self.outcome == Outcome::Running {
            let Some(index) = self.layers.iter().rposition(Layer::can_step) else { break };
            self.step(index, sink);
        }
        // What a failed coding had made went through the inner ones first.
        if self.outcome == Outcome::Running && self.is_corrupt {
            self.outcome = Outcome::Corrupt;
        }
    }

    fn step(&mut self, index: usize, sink: &mut impl FnMut(&[u8]) -> bool) {
        let is_last = index.saturating_add(1) == self.layers.len();
        let left = self.limit_bytes.saturating_sub(self.output_bytes);
        let Some(layer) = self.layers.get_mut(index) else { return };
        // One byte more than may come out tells a body of just that size from one that goes on.
        let room = if is_last { left.saturating_add(1).min(OUTPUT_BYTES as u64) as usize } else { OUTPUT_BYTES };
        let output = self.output.get_mut(..room).unwrap_or_default();
        let step = layer.machine.step(layer.input.get(layer.taken..).unwrap_or_default(), output);
        layer.taken = layer.taken.saturating_add(step.consumed);
        layer.pending_output = step.produced == room;
        layer.input_bytes = layer.input_bytes.saturating_add(step.consumed as u64);
        layer.output_bytes = layer.output_bytes.saturating_add(step.produced as u64);
        let is_fruitless = layer.input_bytes > layer.output_bytes.saturating_mul(2).saturating_add(FRUITLESS_BYTES);
        layer.ended |= step.state == StepState::End;
        if index == 0 {
            self.input_bytes = self.input_bytes.saturating_add(step.consumed as u64);
        }

        let made = self.output.get(..step.produced).unwrap_or_default();
        if is_last {
            self.output_bytes = self.output_bytes.saturating_add(step.produced as u64);
            let within = made.get(..made.len().min(left as usize)).unwrap_or_default();
            if !within.is_empty() && !self.is_enough {
                self.is_enough = !sink(within);
            }
        } else if let Some(next) = self.layers.get_mut(index + 1) {
            next.fill(made);
        }

        let is_blown_up = self.output_bytes > self.limit_ratio.saturating_mul(self.input_bytes.saturating_add(16));
        // No progress with input at hand would be a loop; without input it is only a flush that had nothing left.
        let is_stuck = step.consumed == 0
            && step.produced == 0
            && step.state == StepState::More
            && self.layers.get(index).is_some_and(|layer| layer.taken < layer.input.len());
        if step.state == StepState::Corrupt || is_stuck {
            self.is_corrupt = true;
            for layer in self.layers.iter_mut().take(index + 1) {
                layer.ended = true;
            }
        } else if step.state == StepState::Limit
            || self.output_bytes > self.limit_bytes
            || (self.output_bytes > RATIO_FROM_BYTES && is_blown_up)
            || is_fruitless
        {
            self.outcome = Outcome::Limit;
        } else if self.is_enough && !is_blown_up {
            // What looks like a bomb is followed until it is one.
            self.outcome = Outcome::Stopped;
        }
        if self.outcome == Outcome::Running && self.layers.iter().all(|layer| layer.ended) {
            self.outcome = self.ending();
        }
    }
}

/// Decoders and their memory, shared by the bodies of a worker.
#[derive(Default)]
pub(crate) struct Decoders {
    inflaters: Vec<flate2::Decompress>,
    /// One reference is held by each living decoder: correct also when a flow is dropped with a body half read.
    live: Arc<()>,
}

impl Decoders {
    /// A decoder; `None` if too many live already.
    pub(crate) fn decoder(&mut self, codings: &CodingList, config: &Config) -> Option<Box<Decoder>> {
        if Arc::strong_count(&self.live) > LIVE_DECODERS {
            return None;
        }
        let mut layers = Vec::with_capacity(codings.0.len());
        for (index, coding) in codings.0.iter().rev().enumerate() {
            let machine = match coding {
                Coding::Gzip => Machine::Gzip(Gzip::new(self.inflater())),
                Coding::Deflate => Machine::Deflate(Deflate::new(self.inflater())),
                Coding::Brotli => Machine::Brotli(Box::default()),
                Coding::Zstd => Machine::Zstd(Box::new(Zstd::new()?)),
            };
            layers.push(Layer::new(machine, if index == 0 { BLOCK_BYTES } else { OUTPUT_BYTES }));
        }
        Some(Box::new(Decoder {
            layers,
            output: Box::new([0; OUTPUT_BYTES]),
            outcome: Outcome::Running,
            is_corrupt: false,
            is_enough: false,
            limit_bytes: config.decoded_bytes as u64,
            limit_ratio: u64::from(config.decoded_ratio),
            input_bytes: 0,
            output_bytes: 0,
            _live: Arc::clone(&self.live),
        }))
    }

    /// Takes a decoder's memory back.
    pub(crate) fn recycle(&mut self, decoder: Option<Box<Decoder>>) {
        for layer in decoder.map(|decoder| decoder.layers).into_iter().flatten() {
            let inflater = match layer.machine {
                Machine::Gzip(gzip) => gzip.into_inflater(),
                Machine::Deflate(deflate) => deflate.into_inflater(),
                Machine::Brotli(_) | Machine::Zstd(_) => continue,
            };
            if self.inflaters.len() < SPARE_INFLATERS {
                self.inflaters.push(inflater);
            }
        }
    }

    fn inflater(&mut self) -> flate2::Decompress {
        match self.inflaters.pop() {
            Some(mut inflater) => {
                inflater.reset(false);
                inflater
            }
            None => flate2::Decompress::new(false),
        }
    }
}

#[cfg(test)]
mod tests;
