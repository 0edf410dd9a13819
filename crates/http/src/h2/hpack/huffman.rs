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

/// One or two symbols; none where the code is longer than [`FAST_BITS`].
#[derive(Clone, Copy)]
struct Few {
    symbols: [u8; 2],
    /// How many of them.
    len: u8,
    /// Bits of their codes.
    bits: u8,
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables = Tables {
        fast: [Few { symbols: [0; 2], len: 0, bits: 0 }; 1 << FAST_BITS],
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
                        tables.fast[((code as usize) << spread) | low] =
                            Few { symbols: [symbol as u8, 0], len: 1, bits: length as u8 };
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
        let second = singles[(bits << first.bits) & ((1 << FAST_BITS) - 1)];
        if first.len == 1 && second.len == 1 && (first.bits + second.bits) as u32 <= FAST_BITS {
            tables.fast[bits] =
                Few { symbols: [first.symbols[0], second.symbols[0]], len: 2, bits: first.bits + second.bits };
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
        // A batch of symbols, written at once.
        let (mut batch, mut len) = (0u64, 0u32);
        while count >= FAST_BITS && len < BATCH_BYTES as u32 - 1 {
            let few = TABLES.fast[(bits >> (64 - FAST_BITS)) as usize];
            batch |= u64::from(u16::from_le_bytes(few.symbols)) << (8 * len);
            len += u32::from(few.len);
            bits <<= few.bits;
            count -= u32::from(few.bits);
            if few.len == 0 {
                break;
            }
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
    if few.len != 0 {
        let [first, _] = few.symbols;
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
    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = b"before".to_vec();
        decode(coded, &mut out).map(|()| out.split_off(6))
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
