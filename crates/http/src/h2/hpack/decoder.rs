//! Reads header blocks (RFC 7541 §6).

use super::huffman::Memo;
use super::static_table::{STATIC_TABLE, classify};
use super::table::{Lookup, Table};
use super::{HpackError, Name, Oddities};
use crate::message::KnownHeader;
use umbra_flow::Direction;

/// Takes the fields of a block as they are decoded.
pub(crate) trait Sink {
    /// The next field. Both texts are empty where they are unknown.
    fn field(&mut self, name: Name, odd: Oddities, name_text: &[u8], value: &[u8]);

    /// [`field`](Self::field), the value behind the name, which is `name_len` bytes long.
    fn entry(&mut self, name: Name, odd: Oddities, text: &[u8], name_len: usize) {
        let (name_text, value) = text.split_at_checked(name_len).unwrap_or_default();
        self.field(name, odd, name_text, value);
    }
}

/// The decoder of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// Text of a literal that does not enter the table.
    scratch: Vec<u8>,
}

/// A scratch buffer larger than this is given back after the block.
const SCRATCH_BYTES: usize = 4096;

/// A string as it stands in the block (§5.2).
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl Text<'_> {
    fn append_to(self, memo: &mut Memo, out: &mut Vec<u8>) -> Result<(), HpackError> {
        if self.huffman {
            memo.decode(self.bytes, out)
        } else {
            out.extend_from_slice(self.bytes);
            Ok(())
        }
    }
}

impl Decoder {
    /// A decoder whose table is bounded to `bound_bytes`; `mid_stream` if earlier blocks were not seen.
    pub(crate) fn new(bound_bytes: usize, mid_stream: bool) -> Decoder {
        Decoder { table: Table::new(bound_bytes, mid_stream), scratch: Vec::new() }
    }

    /// A block was lost, or could not be decoded: what the table holds is unknown.
    pub(crate) fn forget(&mut self) {
        self.table.forget();
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.scratch.capacity()
    }

    /// Decodes a whole block. After an error the table is unknown, and the fields before it have been handed over.
    ///
    /// # Errors
    /// The block is not valid HPACK.
    pub(crate) fn decode<S: Sink>(&mut self, block: &[u8], sink: &mut S) -> Result<(), HpackError> {
        self.decode_with(&mut Memo::off(), block, sink)
    }

    /// [`decode`](Self::decode), with the strings of blocks before.
    ///
    /// # Errors
    /// The block is not valid HPACK.
    pub(crate) fn decode_with<S: Sink>(
        &mut self,
        memo: &mut Memo,
        block: &[u8],
        sink: &mut S,
    ) -> Result<(), HpackError> {
        let result = self.decode_fields(memo, block, sink);
        if result.is_err() {
            self.table.forget();
        }
        if self.scratch.capacity() > SCRATCH_BYTES {
            self.scratch = Vec::new();
        }
        result
    }

    fn decode_fields<S: Sink>(&mut self, memo: &mut Memo, mut rest: &[u8], sink: &mut S) -> Result<(), HpackError> {
        let mut seen_field = false;
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                // §6.1: indexed field.
                let index = integer(&mut rest, 7)?;
                self.indexed(index, sink)?;
            } else if first & 0x40 != 0 {
                // §6.2.1: literal that enters the table.
                let index = integer(&mut rest, 6)?;
                self.literal_indexed(memo, index, &mut rest, sink)?;
            } else if first & 0x20 != 0 {
                // §6.3: size update; §4.2: only before the first field.
                if seen_field {
                    return Err(HpackError::LateSizeUpdate);
                }
                let max = integer(&mut rest, 5)?;
                self.table.set_max(max);
                continue;
            } else {
                // §6.2.2, §6.2.3: literal that does not.
                let index = integer(&mut rest, 4)?;
                self.literal(memo, index, &mut rest, sink)?;
            }
            seen_field = true;
        }
        Ok(())
    }

    #[inline]
    fn indexed<S: Sink>(&self, index: usize, sink: &mut S) -> Result<(), HpackError> {
        let from_zero = index.checked_sub(1).ok_or(HpackError::Index)?;
        if let Some((name, name_text, value)) = STATIC_TABLE.get(from_zero) {
            sink.field(*name, Oddities::default(), name_text, value);
            return Ok(());
        }
        match self.table.lookup(index - STATIC_TABLE.len()) {
            Lookup::Entry(entry, text) => sink.entry(entry.name, entry.odd, text, entry.name_len()),
            Lookup::Unknown => sink.field(Name::Unknown, Oddities::UNKNOWN_VALUE, b"", b""),
            Lookup::None => return Err(HpackError::Index),
        }
        Ok(())
    }

    fn literal_indexed<S: Sink>(
        &mut self,
        memo: &mut Memo,
        index: usize,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> Result<(), HpackError> {
        let (name, mut odd, name_len, start);
        if index == 0 {
            let text = string(rest)?;
            let buffer = self.table.begin();
            start = buffer.len();
            text.append_to(memo, buffer)?;
            let name_text = buffer.get(start..).unwrap_or_default();
            name_len = name_text.len();
            (name, odd) = inspect_name(name_text);
        } else if let Some((static_name, text, _)) = STATIC_TABLE.get(index - 1) {
            let buffer = self.table.begin();
            start = buffer.len();
            buffer.extend_from_slice(text);
            (name, odd, name_len) = (*static_name, Oddities::default(), text.len());
        } else {
            match self.table.lookup(index - STATIC_TABLE.len()) {
                Lookup::Entry(..) => {
                    let copied = self.table.copy_name(index - STATIC_TABLE.len()).ok_or(HpackError::Index)?;
                    start = self.table.buffer().len().saturating_sub(copied.2);
                    (name, odd, name_len) = copied;
                    odd = odd.of_name();
                }
                Lookup::Unknown => {
                    start = self.table.begin().len();
                    (name, odd, name_len) = (Name::Unknown, Oddities::default(), 0);
                }
                Lookup::None => return Err(HpackError::Index),
            }
        }
        let text = string(rest)?;
        let buffer = self.table.buffer();
        text.append_to(memo, buffer)?;
        let entry_text = buffer.get(start..).unwrap_or_default();
        odd.insert(inspect_value(entry_text.get(name_len..).unwrap_or_default()));
        sink.entry(name, odd, entry_text, name_len);
        self.table.commit(start, name_len, name, odd);
        Ok(())
    }

    fn literal<S: Sink>(
        &mut self,
        memo: &mut Memo,
        index: usize,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> Result<(), HpackError> {
        self.scratch.clear();
        let mut literal_name = 0;
        if index == 0 {
            let text = string(rest)?;
            text.append_to(memo, &mut self.scratch)?;
            literal_name = self.scratch.len();
        }
        let text = string(rest)?;
        let value_in_scratch = text.huffman;
        if value_in_scratch {
            memo.decode(text.bytes, &mut self.scratch)?;
        }
        let (name_scratch, value_scratch) = self.scratch.split_at_checked(literal_name).unwrap_or_default();
        let value = if value_in_scratch { value_scratch } else { text.bytes };
        let (name, mut odd, name_text);
        if index == 0 {
            (name, odd) = inspect_name(name_scratch);
            name_text = name_scratch;
        } else if let Some((static_name, text, _)) = STATIC_TABLE.get(index - 1) {
            (name, odd, name_text) = (*static_name, Oddities::default(), *text);
        } else {
            match self.table.lookup(index - STATIC_TABLE.len()) {
                Lookup::Entry(entry, text) => {
                    (name, odd) = (entry.name, entry.odd.of_name());
                    name_text = text.get(..entry.name_len()).unwrap_or_default();
                }
                Lookup::Unknown => (name, odd, name_text) = (Name::Unknown, Oddities::default(), &b""[..]),
                Lookup::None => return Err(HpackError::Index),
            }
        }
        odd.insert(inspect_value(value));
        sink.field(name, odd, name_text, value);
        Ok(())
    }
}

/// What a literal name means, and what is odd about it.
fn inspect_name(name: &[u8]) -> (Name, Oddities) {
    let mut odd = Oddities::default();
    let plain = |byte: &u8| PLAIN[usize::from(*byte)];
    let fields = if let [b':', rest @ ..] = name { rest } else { name };
    if fields.is_empty() {
        odd.insert(Oddities::BAD_NAME);
    }
    if fields.iter().all(plain) {
        return (classify(name), odd);
    }
    for byte in fields {
        match byte {
            b'A'..=b'Z' => odd.insert(Oddities::UPPER_CASE),
            b'\r' | b'\n' | 0 => odd.insert(Oddities::CONTROL),
            // RFC 9113 §8.2.1: none of 0x00-0x20, 0x7f-0xff, and no colon but the first.
            0..=0x20 | 0x7f..=0xff | b':' => odd.insert(Oddities::BAD_NAME),
            _ => {}
        }
    }
    if odd.contains(Oddities::UPPER_CASE) && name.len() <= 64 {
        // Malformed, but whoever forwards it as HTTP/1 makes the field of it.
        let name = match classify(&name.to_ascii_lowercase()) {
            Name::Field(known) => Name::Field(known),
            _ => Name::OtherPseudo,
        };
        return (name, odd);
    }
    (classify(name), odd)
}

#[inline]
fn inspect_value(value: &[u8]) -> Oddities {
    // Values are short: a call costs more than looking for the lowest bytes here.
    if has_byte_to_cr(value) && memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
        return Oddities::CONTROL;
    }
    Oddities::default()
}

/// Is any byte at most CR?
#[inline]
fn has_byte_to_cr(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = |eight: &[u8; 8]| {
        let word = u64::from_le_bytes(*eight);
        word.wrapping_sub(ONES * (b'\r' as u64 + 1)) & !word & (ONES << 7)
    };
    let Some(last) = bytes.last_chunk::<8>() else { return bytes.iter().any(|byte| *byte <= b'\r') };
    bytes.as_chunks::<8>().0.iter().fold(low(last), |any, eight| any | low(eight)) != 0
}

/// By byte: is it usual in a field name?
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        byte += 1;
    }
    table
};

impl Oddities {
    /// What remains of an entry's oddities when only its name is used. A control byte may have been in either.
    fn of_name(self) -> Oddities {
        Oddities(self.0 & !Self::UNKNOWN_VALUE.0)
    }
}

/// An integer with a prefix of `prefix_bits` (§5.1); at most 2^32 - 1.
#[inline]
fn integer(rest: &mut &[u8], prefix_bits: u32) -> Result<usize, HpackError> {
    let (&first, mut after) = rest.split_first().ok_or(HpackError::Truncated)?;
    let mask = (1u32 << prefix_bits) - 1;
    let prefix = u32::from(first) & mask;
    if prefix < mask {
        *rest = after;
        return Ok(prefix as usize);
    }
    let mut value = u64::from(mask);
    let mut shift = 0;
    loop {
        let (&byte, next) = after.split_first().ok_or(HpackError::Truncated)?;
        after = next;
        // Five bytes of seven bits reach past 32 bits; a sixth could only be padding.
        if shift > 28 {
            return Err(HpackError::Integer);
        }
        value += u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    *rest = after;
    u32::try_from(value).map(|value| value as usize).map_err(|_| HpackError::Integer)
}

/// A string literal (§5.2).
#[inline]
fn string<'a>(rest: &mut &'a [u8]) -> Result<Text<'a>, HpackError> {
    let huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let len = integer(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(HpackError::Truncated)?;
    *rest = after;
    Ok(Text { bytes, huffman })
}

/// Could this be a whole block, whatever the table holds? `Some` with who sent it, where a pseudo-header tells.
pub(crate) fn plausible_block(block: &[u8]) -> Option<Option<Direction>> {
    struct Role {
        from: Option<Direction>,
        fields: usize,
        odd: bool,
    }
    impl Sink for Role {
        fn field(&mut self, name: Name, odd: Oddities, _: &[u8], value: &[u8]) {
            self.fields += 1;
            let token = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
            let plain = match name {
                Name::Method => !value.is_empty() && value.iter().all(token),
                Name::Path => matches!(value, [b'/' | b'*', ..]),
                Name::Scheme => matches!(value, b"http" | b"https"),
                Name::Status => matches!(value, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']),
                Name::OtherPseudo => false,
                _ => true,
            };
            let control = value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f);
            self.odd |= !plain || control || odd.contains(Oddities::CONTROL) || odd.contains(Oddities::BAD_NAME);
            let from = match name {
                Name::Method | Name::Path | Name::Scheme | Name::Authority | Name::Protocol => Direction::ToServer,
                Name::Status => Direction::ToClient,
                Name::Field(KnownHeader::SetCookie | KnownHeader::Server) => Direction::ToClient,
                _ => return,
            };
            self.from.get_or_insert(from);
        }
    }
    let mut role = Role { from: None, fields: 0, odd: false };
    let mut decoder = Decoder::new(block.len(), true);
    decoder.decode(block, &mut role).ok()?;
    (role.fields > 0 && !role.odd).then_some(role.from)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::encoder::{self, Encoder, Form};
    use super::super::late_tests::List;
    use super::*;

    pub(in super::super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn decode(decoder: &mut Decoder, block: &str) -> Vec<(String, String)> {
        let mut list = List::default();
        decoder.decode(&hex(block), &mut list).unwrap();
        list.0
    }

    fn fields(text: &str) -> Vec<(String, String)> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| line.split_once(" = ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn rfc7541_appendix_c1_integers() {
        for (bytes, bits, value) in
            [(&[0b01010][..], 5, 10), (&[0b11111, 0b10011010, 0b00001010], 5, 1337), (&[0b00101010], 8, 42)]
        {
            let mut rest = bytes;
            assert_eq!(integer(&mut rest, bits), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn rfc7541_appendix_c2_representations() {
        let mut decoder = Decoder::new(65536, false);
        let literal = decode(&mut decoder, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572");
        assert_eq!(literal, fields("custom-key = custom-header"));
        assert_eq!(decode(&mut decoder, "be"), fields("custom-key = custom-header"));
        assert_eq!(decode(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468"), fields(":path = /sample/path"));
        assert_eq!(decode(&mut decoder, "1008 7061 7373 776f 7264 0673 6563 7265 74"), fields("password = secret"));
        assert_eq!(decode(&mut decoder, "82"), fields(":method = GET"));
        assert_eq!(decoder.decode(&hex("bf"), &mut List::default()), Err(HpackError::Index));
    }

    #[test]
    fn rfc7541_appendix_c3_c4_requests() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let huffman = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::new(65536, false);
            assert_eq!(
                decode(&mut decoder, blocks[0]),
                fields(":method = GET\n:scheme = http\n:path = /\n:authority = www.example.com")
            );
            assert_eq!(
                decode(&mut decoder, blocks[1]),
                fields(
                    ":method = GET\n:scheme = http\n:path = /\n:authority = www.example.com\ncache-control = no-cache"
                )
            );
            assert_eq!(
                decode(&mut decoder, blocks[2]),
                fields(
                    ":method = GET\n:scheme = https\n:path = /index.html\n:authority = www.example.com
                     custom-key = custom-value"
                )
            );
        }
    }

    #[test]
    fn rfc7541_appendix_c5_c6_responses_with_eviction() {
        let plain = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
             546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
             6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
             2076 6572 7369 6f6e 3d31",
        ];
        let huffman = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
             8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
             dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::new(65536, false);
            decoder.table.set_max(256);
            let common =
                "cache-control = private\ndate = Mon, 21 Oct 2013 20:13:21 GMT\nlocation = https://www.example.com";
            assert_eq!(decode(&mut decoder, blocks[0]), fields(&format!(":status = 302\n{common}")));
            assert_eq!(decode(&mut decoder, blocks[1]), fields(&format!(":status = 307\n{common}")));
            assert_eq!(
                decode(&mut decoder, blocks[2]),
                fields(
                    ":status = 200\ncache-control = private\ndate = Mon, 21 Oct 2013 20:13:22 GMT
                     location = https://www.example.com\ncontent-encoding = gzip
                     set-cookie = foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
                )
            );
        }
    }

    #[test]
    fn f049_malformed_blocks_make_the_table_unknown() {
        for (block, error) in [
            ("80", HpackError::Index),
            ("82 3f e1 1f", HpackError::LateSizeUpdate),
            ("ff ff ff ff ff 7f", HpackError::Integer),
            ("ff 80 80 80 80 80 00", HpackError::Integer),
            ("ff ff ff ff ff 0f", HpackError::Integer),
            ("ff", HpackError::Truncated),
            ("40 05 61 62", HpackError::Truncated),
            ("44 81 00", HpackError::Huffman),
            ("c5", HpackError::Index),
        ] {
            let mut decoder = Decoder::new(65536, false);
            assert_eq!(decode(&mut decoder, "44 02 2f 78"), fields(":path = /x"));
            assert_eq!(decoder.decode(&hex(block), &mut List::default()), Err(error), "{block}");
            let mut list = List::default();
            decoder.decode(&hex("82 be 44 02 2f 79 be"), &mut list).unwrap();
            assert_eq!(list.0, fields(":method = GET\n? = ?\n:path = /y\n:path = /y"), "{block}");
        }
    }

    #[test]
    fn f049_huge_table_size_is_clamped() {
        let mut decoder = Decoder::new(65536, false);
        let mut block = Vec::new();
        encoder::integer(u32::MAX as usize, 5, 0x20, &mut block);
        let mut encoder = Encoder::new();
        let mut ignored = Vec::new();
        encoder.set_max(u32::MAX as usize, &mut ignored);
        for number in 0..200_000u32 {
            let before = block.len();
            encoder.set_max(0, &mut ignored); // keep the test encoder fast: every entry is new
            encoder.set_max(1 << 20, &mut ignored);
            encoder.field(b"x", &number.to_be_bytes(), Form::Index, &mut block);
            assert!(block.len() > before);
            if block.len() > 8192 {
                decoder.decode(&block, &mut List::default()).unwrap();
                block.clear();
            }
        }
        assert!(decoder.memory_bytes() < 256 * 1024, "{}", decoder.memory_bytes());
    }

    #[test]
    fn a_late_reader_resolves_what_was_inserted_after_it_joined() {
        let mut encoder = Encoder::new();
        let mut early = Vec::new();
        encoder.field(b":path", b"/before", Form::Index, &mut early);
        encoder.field(b"x-name", b"before", Form::Index, &mut early);
        let mut late = Vec::new();
        encoder.field(b":path", b"/after", Form::Index, &mut late);
        encoder.field(b":path", b"/after", Form::Index, &mut late);
        encoder.field(b":path", b"/before", Form::Index, &mut late);
        encoder.field(b"x-name", b"new value", Form::Index, &mut late); // a known value under an unknown name
        encoder.field(b"x-name", b"new value", Form::Index, &mut late);
        encoder.field(b":path", b"/after", Form::Index, &mut late);
        let mut decoder = Decoder::new(65536, true);
        let mut list = List::default();
        decoder.decode(&late, &mut list).unwrap();
        assert_eq!(list.0, fields(":path = /after\n:path = /after\n? = ?\n? = ?\n? = ?\n:path = /after"));
    }
}
