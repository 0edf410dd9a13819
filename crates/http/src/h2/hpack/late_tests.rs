//! A reader that joins late, against a model that keeps books: who inserted what, and when.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use super::encoder::{Encoder, Form};
use super::static_table::STATIC_TABLE;
use super::{Decoder, Name, Oddities, Sink};

/// Fields as text; one whose name or value is unknown is `?`.
#[derive(Default)]
pub(super) struct List(pub(super) Vec<(String, String)>);

impl Sink for List {
    fn field(&mut self, name: Name, odd: Oddities, text: &[u8], value: &[u8]) {
        let unknown = name == Name::Unknown || odd.contains(Oddities::UNKNOWN_VALUE);
        let shown = |text: &[u8]| if unknown { "?".into() } else { String::from_utf8_lossy(text).into_owned() };
        self.0.push((shown(text), shown(value)));
    }
}

/// Which blocks a reader must have seen to know a field. It reads no text: sizes come from the truth, and all that counts is
/// which block put an entry, and the name of that entry, into the encoder's table.
#[derive(Debug)]
pub(super) struct Model {
    /// Newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
    block: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The latest block from which on a reader knows the name; it knows the value from there on too.
    since: usize,
    size: usize,
}

/// Known to whoever joins.
const ALWAYS: usize = usize::MAX;

impl Model {
    pub(super) fn new() -> Model {
        Model { entries: VecDeque::new(), size: 0, max: 4096, block: 0 }
    }

    /// For each field of the next block the latest block at which a reader that knows it may have joined.
    pub(super) fn read(&mut self, mut wire: &[u8], truth: &[(String, String)]) -> Vec<usize> {
        let mut known = Vec::new();
        while let Some(first) = wire.first().copied() {
            if first & 0xe0 == 0x20 {
                self.max = int(&mut wire, 5);
                self.evict(0);
                continue;
            }
            let (name, value) = &truth[known.len()];
            let size = name.len() + value.len() + 32;
            let (enters, bits) = if first & 0x40 != 0 { (true, 6) } else { (false, 4) };
            if first & 0x80 != 0 {
                let index = int(&mut wire, 7);
                known.push(self.since(index));
                continue;
            }
            let index = int(&mut wire, bits);
            if index == 0 {
                skip(&mut wire);
            }
            skip(&mut wire);
            let since = if index == 0 { ALWAYS } else { self.since(index) };
            known.push(since);
            if enters {
                self.evict(size);
                if size <= self.max {
                    self.entries.push_front(Entry { since: since.min(self.block), size });
                    self.size += size;
                }
            }
        }
        assert_eq!(known.len(), truth.len());
        self.block += 1;
        known
    }

    fn since(&self, index: usize) -> usize {
        if index <= STATIC_TABLE.len() { ALWAYS } else { self.entries[index - STATIC_TABLE.len() - 1].since }
    }

    fn evict(&mut self, more: usize) {
        while self.size + more > self.max
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

/// RFC 7541 §5.1, of a valid block.
fn int(wire: &mut &[u8], bits: u32) -> usize {
    let mask = (1 << bits) - 1;
    let (first, mut rest) = wire.split_first().unwrap();
    let mut value = usize::from(first & mask as u8);
    if value == mask {
        for shift in (0..).step_by(7) {
            let (byte, tail) = rest.split_first().unwrap();
            rest = tail;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *wire = rest;
    value
}

/// Passes over a string (§5.2).
fn skip(wire: &mut &[u8]) {
    let len = int(wire, 7);
    *wire = &wire[len..];
}

/// A decoder that joined at a block.
pub(super) struct Late {
    joined: usize,
    decoder: Decoder,
}

impl Late {
    /// Both ways in: a connection joined late, and one whose state a gap made unknown.
    pub(super) fn join(block: usize) -> [Late; 2] {
        let mut after_gap = Decoder::new(65_536, false);
        after_gap.forget();
        [Decoder::new(65_536, true), after_gap].map(|decoder| Late { joined: block, decoder })
    }

    /// Decodes the next block: every field is right where the model says that it can be known, and unknown elsewhere. Answers
    /// how many were unknown.
    pub(super) fn check(&mut self, wire: &[u8], truth: &[(String, String)], known: &[usize], context: &str) -> usize {
        let mut list = List::default();
        self.decoder.decode(wire, &mut list).unwrap();
        assert_eq!(list.0.len(), truth.len());
        let unknown = ("?".to_owned(), "?".to_owned());
        for ((got, truth), since) in list.0.iter().zip(truth).zip(known) {
            let expected = if self.joined <= *since { truth } else { &unknown };
            assert_eq!(got, expected, "{context}, joined at {}, knowable since {since}", self.joined);
        }
        known.iter().filter(|since| self.joined > **since).count()
    }
}

#[test]
fn unknown_is_exactly_what_was_inserted_before_the_join() {
    for (seed, max) in (1u64..).zip([4096, 4096, 300, 120, 0, 65_536]) {
        let mut random = umbra_testkit::Random::new(seed);
        let mut encoder = Encoder::new();
        let mut model = Model::new();
        let mut late: Vec<Late> = Vec::new();
        let mut before = Vec::new();
        encoder.set_max(max, &mut before);
        let (mut unknown, mut fields) = (0, 0);
        for block in 0..300 {
            let mut wire = std::mem::take(&mut before);
            if block % 40 == 39 {
                // Half the table and the whole of it again: entries go, also ones the late reader has never seen.
                encoder.set_max(max / 2, &mut wire);
                encoder.set_max(max, &mut wire);
            }
            let truth: Vec<(String, String)> = (0..random.below(12))
                .map(|_| {
                    let name = match random.below(4) {
                        0 => [":path", ":authority", "cookie", "user-agent"][random.below(4)].to_owned(),
                        _ => format!("x-{}", random.below(12)),
                    };
                    (name, "v".repeat(random.below(30)) + &random.below(20).to_string())
                })
                .collect();
            for (name, value) in &truth {
                let form = [Form::Index, Form::Index, Form::Index, Form::Plain, Form::Never][random.below(5)];
                encoder.huffman = random.below(2) == 0;
                encoder.field(name.as_bytes(), value.as_bytes(), form, &mut wire);
            }
            let known = model.read(&wire, &truth);
            if block % 3 == 0 {
                late.extend(Late::join(block));
            }
            if late.len() > 40 {
                late.drain(..2);
            }
            for reader in &mut late {
                unknown += reader.check(&wire, &truth, &known, &format!("table of {max}, block {block}"));
                fields += truth.len();
            }
        }
        println!("table of {max}: {unknown} of {fields} fields unknown");
        assert!(if max == 0 { unknown == 0 } else { unknown > 20 }, "table of {max}: {unknown} of {fields}");
    }
}
