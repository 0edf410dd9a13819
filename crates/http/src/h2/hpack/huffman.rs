//! The string literal code of HPACK (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: codes of one length are consecutive, in order of symbol. So the lengths alone give the tables.

use super::HpackError;

/// Code length of every symbol in bits; symbol 256 is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SYMBOLS: usize = 257;
/// Symbols of up to this many bits, and two where both fit, are found with one look-up: that covers all of printable ASCII
/// but a few signs, and hex digits come in twos.
const FAST_BITS: u32 = 12;
const MAX_BITS: usize = 30;

struct Tables {
    /// By the next [`FAST_BITS`] bits: what they begin with.
    fast: [Few; 1 << FAST_BITS],
    /// By code length: the code after the last one of that length, left aligned in 32 bits.
    limit: [u64; MAX_BITS + 1],
    /// By code length: the first code of that length, left aligned in 32 bits.
    first: [u64; MAX_BITS + 1],
    /// By code length: where its symbols begin in `sorted`.
    start: [u16; MAX_BITS + 1],
    /// Symbols in order of code.
    sorted: [u16; SYMBOLS],
    /// Code of every symbol, right aligned.
    #[cfg_attr(not(any(test, feature = "fuzzing")), allow(dead_code))]
    codes: [u32; SYMBOLS],
}

/// One or two symbols, in one word so that a look-up is one load: the symbols, first lowest, in 16 bits, then the bits of
/// their codes in 8, then how many there are. 0 where the code is longer than [`FAST_BITS`].
#[derive(Clone, Copy)]
struct Few(u32);

impl Few {
    const fn new(symbols: [u8; 2], bits: u32, len: u32) -> Few {
        Few(u16::from_le_bytes(symbols) as u32 | bits << 16 | len << 24)
    }

    const fn symbols(self) -> [u8; 2] {
        (self.0 as u16).to_le_bytes()
    }

    const fn bits(self) -> u32 {
        self.0 >> 16 & 0xff
    }

    const fn len(self) -> u32 {
        self.0 >> 24
    }
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables = Tables {
        fast: [Few(0); 1 << FAST_BITS],
        limit: [0; MAX_BITS + 1],
        first: [0; MAX_BITS + 1],
        start: [0; MAX_BITS + 1],
        sorted: [0; SYMBOLS],
        codes: [0; SYMBOLS],
    };
    let mut next = 0;
    let mut code: u64 = 0;
    let mut length = 1;
    while length <= MAX_BITS {
        code <<= 1;
        tables.first[length] = code << (32 - length);
        tables.start[length] = next as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                tables.sorted[next] = symbol as u16;
                tables.codes[symbol] = code as u32;
                if length <= FAST_BITS as usize {
                    let spread = FAST_BITS as usize - length;
                    let mut low = 0;
                    while low < 1 << spread {
                        tables.fast[((code as usize) << spread) | low] = Few::new([symbol as u8, 0], length as u32, 1);
                        low += 1;
                    }
                }
                next += 1;
                code += 1;
            }
            symbol += 1;
        }
        tables.limit[length] = code << (32 - length);
        length += 1;
    }
    let singles = tables.fast;
    let mut bits = 0;
    while bits < singles.len() {
        let first = singles[bits];
        let second = singles[(bits << first.bits()) & ((1 << FAST_BITS) - 1)];
        let both = first.bits() + second.bits();
        if first.len() == 1 && second.len() == 1 && both <= FAST_BITS {
            tables.fast[bits] = Few::new([first.symbols()[0], second.symbols()[0]], both, 2);
        }
        bits += 1;
    }
    tables
}

/// Appends the decoded form of `coded` to `out`. `out` may be longer by a part of it on error.
///
/// # Errors
/// EOS inside, or padding that is not up to seven one bits (RFC 7541 §5.2).
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let start = out.len();
    // The shortest code has 5 bits; and a batch is written whole.
    out.resize(start + coded.len() * 8 / 5 + BATCH_BYTES, 0);
    let mut written = start;
    let mut rest = coded;
    // The next bits of the code, left aligned, and how many of them count. Those that do not are zero or right.
    let mut bits: u64 = 0;
    let mut count: u32 = 0;
    let result = loop {
        if !rest.is_empty() {
            let taken = ((63 - count) as usize / 8).min(rest.len());
            // Bits past the whole bytes taken are ORed again, with the same value, by the next refill.
            bits |= next_word(rest, coded) >> count;
            count += taken as u32 * 8;
            rest = rest.get(taken..).unwrap_or_default();
        }
        // A batch of symbols, written at once. A longer code gives none, and is not passed.
        let (mut batch, mut len) = (0u64, 0u32);
        let look_ups = if count >= 4 * FAST_BITS { 4 } else { (count / FAST_BITS).min(3) };
        for _ in 0..look_ups {
            let few = TABLES.fast[(bits >> (64 - FAST_BITS)) as usize];
            // At most 8 symbols and 48 bits: nothing wraps, and nothing need be checked for it.
            batch |= u64::from(few.0 & 0xffff).wrapping_shl(8u32.wrapping_mul(len));
            len = len.wrapping_add(few.len());
            bits = bits.wrapping_shl(few.bits());
            count = count.wrapping_sub(few.bits());
        }
        if let Some(place) = out.get_mut(written..).and_then(|rest| rest.first_chunk_mut::<BATCH_BYTES>()) {
            *place = batch.to_le_bytes();
        }
        written += len as usize;
        if len > 0 && (count >= FAST_BITS || !rest.is_empty()) {
            continue;
        }
        // The end is near, or a long code comes: with what is not empty, a refill has made 56 bits of it.
        let (symbol, length) = next_symbol(bits);
        if length > count {
            // Padding: fewer than 8 bits, all ones, nothing after. (The zeros behind it complete some longer code, as no
            // code of up to 7 bits is all ones.)
            let all_ones = count == 0 || bits >> (64 - count) == u64::MAX >> (64 - count);
            break if rest.is_empty() && count < 8 && all_ones { Ok(()) } else { Err(HpackError::Huffman) };
        }
        if symbol > 255 {
            break Err(HpackError::Huffman);
        }
        if let Some(slot) = out.get_mut(written) {
            *slot = symbol as u8;
        }
        written += 1;
        bits <<= length;
        count -= length;
    };
    out.truncate(written);
    result
}

/// Strings decoded before: most of what a server says, it says each time, and not all encoders use the table for it. A worker
/// has one. The same coded bytes always give the same text, so a string from here is right on every connection.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Empty until there is one.
    strings: Vec<Known>,
    /// Nothing is kept.
    is_off: bool,
}

/// Strings kept, one for each value of a hash.
const KNOWN_STRINGS: usize = 256;
/// The longest kept, and the shortest for which it pays.
const KNOWN_BYTES: usize = 64;
const KNOWN_CODED_BYTES: std::ops::RangeInclusive<usize> = 4..=40;

/// A coded string and its text.
#[derive(Clone, Copy, Debug)]
struct Known {
    coded_len: u8,
    len: u8,
    coded: [u8; *KNOWN_CODED_BYTES.end()],
    text: [u8; KNOWN_BYTES],
}

impl Memo {
    /// One that keeps nothing: for blocks that may be none.
    pub(super) fn off() -> Memo {
        Memo { is_off: true, ..Memo::default() }
    }

    /// [`decode`], but for what was decoded before.
    ///
    /// # Errors
    /// Those of [`decode`].
    pub(super) fn decode(&mut self, coded: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
        if self.is_off || !KNOWN_CODED_BYTES.contains(&coded.len()) {
            return decode(coded, out);
        }
        let place = usize::from(hash(coded));
        if let Some(known) = self.strings.get(place)
            && known.coded.get(..usize::from(known.coded_len)) == Some(coded)
        {
            out.extend_from_slice(known.text.get(..usize::from(known.len)).unwrap_or_default());
            return Ok(());
        }
        let start = out.len();
        decode(coded, out)?;
        let text = out.get(start..).unwrap_or_default();
        if text.len() <= KNOWN_BYTES {
            if self.strings.is_empty() {
                let none = Known { coded_len: 0, len: 0, coded: [0; *KNOWN_CODED_BYTES.end()], text: [0; KNOWN_BYTES] };
                self.strings.resize(KNOWN_STRINGS, none);
            }
            if let Some(known) = self.strings.get_mut(place)
                && let Some(kept) = known.coded.get_mut(..coded.len())
                && let Some(kept_text) = known.text.get_mut(..text.len())
            {
                kept.copy_from_slice(coded);
                kept_text.copy_from_slice(text);
                (known.coded_len, known.len) = (coded.len() as u8, text.len() as u8);
            }
        }
        Ok(())
    }
}

/// Of a string of four bytes or more; who sends colliding ones makes his own traffic dearer to read by a comparison.
#[inline]
fn hash(coded: &[u8]) -> u8 {
    let (first, last) = match (coded.first_chunk::<8>(), coded.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (coded.first_chunk::<4>(), coded.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last))),
            _ => (0, 0),
        },
    };
    let mixed = first ^ last.rotate_left(29) ^ coded.len() as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Bytes that a batch of symbols is written as.
const BATCH_BYTES: usize = 8;

/// The next eight bytes, or those that are left and zeros. `rest` is the end of `coded`, and not empty.
#[inline]
fn next_word(rest: &[u8], coded: &[u8]) -> u64 {
    if let Some(eight) = rest.first_chunk::<8>() {
        u64::from_be_bytes(*eight)
    } else if let Some(last) = coded.last_chunk::<8>() {
        u64::from_be_bytes(*last) << (64 - 8 * rest.len() as u32)
    } else {
        let word = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        word << (64 - 8 * rest.len() as u32)
    }
}

/// The symbol at the front of `bits` and its code length.
#[inline]
fn next_symbol(bits: u64) -> (u16, u32) {
    let few = TABLES.fast[(bits >> (64 - FAST_BITS)) as usize];
    if few.len() != 0 {
        let [first, _] = few.symbols();
        return (u16::from(first), u32::from(LENGTHS[usize::from(first)]));
    }
    let window = bits >> 32;
    let mut length = FAST_BITS as usize + 1;
    while length < MAX_BITS && window >= TABLES.limit[length] {
        length += 1;
    }
    let offset = (window - TABLES.first[length]) >> (32 - length);
    let symbol = TABLES.sorted.get(usize::from(TABLES.start[length]) + offset as usize).copied().unwrap_or(256);
    (symbol, length as u32)
}

/// Appends the coded form of `plain` to `out`: for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u64, 0u32);
    for &byte in plain {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = (bits << length) | u64::from(TABLES.codes[usize::from(byte)]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push(((bits << (8 - count)) as u8) | (0xff >> count));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = b"before".to_vec();
        let result = decode(coded, &mut out).map(|()| out.split_off(6));
        // Once more, and once more from memory.
        thread_local!(static MEMO: RefCell<Memo> = RefCell::default());
        for _ in 0..2 {
            let mut out = b"before".to_vec();
            let again = MEMO.with_borrow_mut(|memo| memo.decode(coded, &mut out)).map(|()| out.split_off(6));
            assert_eq!(again, result);
        }
        result
    }

    #[test]
    fn rfc7541_appendix_c_strings() {
        assert_eq!(
            decoded(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]).unwrap(),
            b"www.example.com"
        );
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        assert_eq!(decoded(&[0x64, 0x02]).unwrap(), b"302");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn every_symbol_and_every_pair_comes_back() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let mut coded = Vec::new();
                let plain = [first, second, b'a', second];
                encode(&plain, &mut coded);
                assert_eq!(decoded(&coded).unwrap(), plain);
            }
        }
    }

    #[test]
    fn long_strings_come_back() {
        for length in 0..300usize {
            let plain: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
            let mut coded = Vec::new();
            encode(&plain, &mut coded);
            assert_eq!(decoded(&coded).unwrap(), plain, "length {length}");
        }
    }

    #[test]
    fn f049_bad_padding_and_eos() {
        // A whole byte of padding.
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0xff]), Err(HpackError::Huffman));
        // '0' is 00000; padding of zeros.
        assert_eq!(decoded(&[0x00]), Err(HpackError::Huffman));
        // EOS: thirty ones.
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0x07, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(HpackError::Huffman));
    }
}
