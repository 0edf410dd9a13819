//! Reading path segments: canonical text, shape and hash of each; of words that come again and again only once.

use super::shape::{Shape, canonical_segment, shape_of};
use crate::schema::ValueKey;

/// Words remembered; one that falls on the place of another takes it.
const WORDS: usize = 256;

/// Longest word remembered, bytes.
const WORD_BYTES: usize = 23;

/// A segment as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    /// Canonical, so ASCII.
    pub(crate) text: &'a [u8],
    pub(crate) shape: Shape,
    /// Bytes of `text` before a literal ending.
    pub(crate) stem: usize,
    /// Hash of the text before the ending.
    pub(crate) hash: u64,
}

/// A word that is its own canonical text.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    len: u8,
    text: [u8; WORD_BYTES],
    hash: u64,
}

/// Reads segments under one key.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    key: ValueKey,
    /// Empty until the first one is read.
    words: Vec<Word>,
    text: Vec<u8>,
}

impl Segments {
    pub(crate) fn new(key: ValueKey) -> Segments {
        Segments { key, words: Vec::new(), text: Vec::new() }
    }

    pub(crate) fn key(&self) -> &ValueKey {
        &self.key
    }

    /// Reads a raw segment.
    pub(crate) fn read<'a>(&'a mut self, raw: &'a [u8]) -> Segment<'a> {
        if self.words.is_empty() {
            self.words = vec![Word::default(); WORDS];
        }
        let at = place(raw);
        let known = &self.words[at];
        if usize::from(known.len) == raw.len() && known.text.get(..raw.len()) == Some(raw) && !raw.is_empty() {
            return Segment { text: raw, shape: Shape::Word, stem: raw.len(), hash: known.hash };
        }
        canonical_segment(raw, &mut self.text);
        let (shape, stem) = shape_of(&self.text);
        let text = self.text.as_slice();
        let hash = self.key.hash(text.get(..stem).unwrap_or(text));
        if shape == Shape::Word && text == raw && raw.len() <= WORD_BYTES {
            let mut word = Word { len: raw.len() as u8, text: [0; WORD_BYTES], hash };
            word.text[..raw.len()].copy_from_slice(raw);
            self.words[at] = word;
        }
        Segment { text, shape, stem, hash }
    }
}

/// Where a word is remembered: by its length and its first and last bytes.
fn place(raw: &[u8]) -> usize {
    let mixed = match (raw.first_chunk::<4>(), raw.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => raw.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)),
    };
    ((mixed ^ raw.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_read_again_is_the_same() {
        let key = ValueKey::new([3, 4]);
        let mut segments = Segments::new(key);
        for _ in 0..2 {
            for raw in
                ["api", "v1", "users", "%75sers", "a;b=1", "7.json", "12345", "", "a-rather-long-word-of-a-route", "x"]
            {
                let mut text = Vec::new();
                canonical_segment(raw.as_bytes(), &mut text);
                let (shape, stem) = shape_of(&text);
                let read = segments.read(raw.as_bytes());
                assert_eq!((read.text, read.shape, read.stem), (text.as_slice(), shape, stem), "{raw}");
                assert_eq!(read.hash, key.hash(&text[..stem]), "{raw}");
            }
        }
    }
}
