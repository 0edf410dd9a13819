//! The chunked transfer coding (RFC 9112 §7.1), byte by byte and without memory.

use crate::anomaly::{Anomalies, Anomaly};

/// Most hex digits of a chunk size; more cannot be told from an overflow by every reader (F037).
const SIZE_DIGITS: u8 = 16;
/// Bytes of chunk extensions of one message that are normal (F037).
const EXTENSION_BYTES: u32 = 4096;

/// Where in the coding the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the size, after so many digits.
    Size(u8),
    /// In blanks behind the size.
    Blank,
    /// In an extension; the flag: inside a quoted string.
    Extension(bool),
    /// After a backslash in a quoted string.
    Escape,
    /// After the CR of the size line.
    SizeEnd,
    /// In the data.
    Data,
    /// Before the CR behind the data.
    DataCr,
    /// Before the LF behind the data.
    DataLf,
}

/// A chunked body being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    place: Place,
    /// Of the size line: the size so far. In the data: bytes left.
    left: u64,
    extension_bytes: u32,
    odd_extension: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes of framing were read.
    Framing(usize),
    /// The next bytes are so many bytes of content (at least one); they are not counted yet.
    Data(u64),
    /// After so many bytes the last chunk's size line ended: the trailer section follows.
    Trailer(usize),
    /// Framing is broken after so many bytes.
    Broken(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked { place: Place::Size(0), left: 0, extension_bytes: 0, odd_extension: false }
    }

    /// Content bytes left of the current chunk, if the next byte is one.
    pub(super) fn data_left(&self) -> Option<u64> {
        (self.place == Place::Data).then_some(self.left)
    }

    /// `len` bytes of content went by; at most [`data_left`](Self::data_left).
    pub(super) fn pass(&mut self, len: u64) {
        self.left = self.left.saturating_sub(len);
        if self.left == 0 {
            self.place = Place::DataCr;
        }
    }

    /// Reads framing up to the next content byte. An anomaly other than `LongChunkExtension` means that readers may
    /// disagree about where the body ends.
    pub(super) fn step(&mut self, bytes: &[u8], anomalies: &mut Anomalies) -> Step {
        for (at, byte) in bytes.iter().copied().enumerate() {
            match (self.place, byte) {
                (Place::Data, _) => return Step::Data(self.left),
                (Place::DataCr, b'\r') => self.place = Place::DataLf,
                (Place::DataCr | Place::DataLf, b'\n') => {
                    if self.place == Place::DataCr {
                        anomalies.insert(Anomaly::BareLineEnd);
                    }
                    (self.place, self.left) = (Place::Size(0), 0);
                }
                (Place::Size(digits @ 0..SIZE_DIGITS), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).unwrap_or(0);
                    // At most 16 digits: nothing is shifted out.
                    self.left = (self.left << 4) | u64::from(digit);
                    self.place = Place::Size(digits + 1);
                }
                (Place::Size(1..) | Place::Blank, b' ' | b'\t') => self.place = Place::Blank,
                (Place::Size(1..) | Place::Blank, b';') => {
                    self.odd_extension = true; // until a name follows
                    self.place = Place::Extension(false);
                }
                (Place::Size(1..) | Place::SizeEnd | Place::Blank | Place::Extension(_) | Place::Escape, b'\n') => {
                    if self.place == Place::Blank
                        || matches!(self.place, Place::Extension(true) | Place::Escape)
                        || self.odd_extension
                    {
                        anomalies.insert(Anomaly::BadChunk);
                    }
                    if self.place != Place::SizeEnd {
                        anomalies.insert(Anomaly::BareLineEnd);
                    }
                    self.odd_extension = false;
                    if self.left == 0 {
                        return Step::Trailer(at + 1);
                    }
                    self.place = Place::Data;
                    return Step::Framing(at + 1);
                }
                (Place::Size(1..) | Place::Blank | Place::Extension(_) | Place::Escape, b'\r') => {
                    if self.place == Place::Blank || matches!(self.place, Place::Extension(true) | Place::Escape) {
                        anomalies.insert(Anomaly::BadChunk);
                    }
                    self.place = Place::SizeEnd;
                }
                (Place::Extension(_) | Place::Escape, _) => self.extension(byte, anomalies),
                _ => {
                    anomalies.insert(Anomaly::BadChunk);
                    return Step::Broken(at);
                }
            }
        }
        Step::Framing(bytes.len())
    }

    fn extension(&mut self, byte: u8, anomalies: &mut Anomalies) {
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        if self.extension_bytes > EXTENSION_BYTES {
            anomalies.insert(Anomaly::LongChunkExtension);
        }
        if byte != b' ' && byte != b'\t' {
            self.odd_extension = byte < 0x20;
        }
        self.place = match (self.place, byte) {
            (Place::Escape, _) => Place::Extension(true),
            (Place::Extension(true), b'\\') => Place::Escape,
            (Place::Extension(quoted), b'"') => Place::Extension(!quoted),
            (place, _) => place,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<bool>, Anomalies) {
        let (mut chunked, mut anomalies, mut content) = (Chunked::new(), Anomalies::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                match chunked.step(rest, &mut anomalies) {
                    Step::Framing(len) => rest = &rest[len..],
                    Step::Data(len) => {
                        let len = rest.len().min(usize::try_from(len).unwrap_or(usize::MAX));
                        content.extend_from_slice(&rest[..len]);
                        chunked.pass(len as u64);
                        rest = &rest[len..];
                        continue;
                    }
                    Step::Trailer(_) => return (content, Some(true), anomalies),
                    Step::Broken(_) => return (content, Some(false), anomalies),
                }
            }
        }
        (content, None, anomalies)
    }

    #[test]
    fn f037_chunk_sizes() {
        for (bytes, content, end, odd) in [
            (&b"5\r\nhello\r\n0\r\n"[..], &b"hello"[..], Some(true), false),
            (b"00A\r\n0123456789\r\n000\r\n", b"0123456789", Some(true), false),
            (b"5;a=b;c=\"\\\"\"\r\nhello\r\n0\r\n", b"hello", Some(true), false),
            (b"5\nhello\n0\n", b"hello", Some(true), true),
            (b"5 \r\nhello\r\n0\r\n", b"hello", Some(true), true),
            (b"5;\r\nhello\r\n0\r\n", b"hello", Some(true), true),
            (b"0x5\r\nhello\r\n", b"", Some(false), true),
            (b"1_0\r\n", b"", Some(false), true),
            (b"+1\r\n", b"", Some(false), true),
            (b"\r\n", b"", Some(false), true),
            (b"10000000000000005\r\nhello", b"", Some(false), true),
            (b"00000000000000000\r\n", b"", Some(false), true),
            (b"5\r\nhello0\r\n", b"hello", Some(false), true),
            (b"ffffffffffffffff\r\nhello", b"hello", None, false),
        ] {
            for piece in [1, 2, 3, bytes.len()] {
                let (got, got_end, anomalies) = read(bytes, piece);
                assert_eq!(
                    (&got[..], got_end, !anomalies.is_empty()),
                    (content, end, odd),
                    "{:?}",
                    bytes.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn f037_a_long_extension_is_skipped_and_flagged() {
        let mut bytes = b"5;".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 1 << 20));
        bytes.extend_from_slice(b"\r\nhello\r\n0\r\n");
        let (content, end, anomalies) = read(&bytes, 1000);
        assert_eq!((&content[..], end), (&b"hello"[..], Some(true)));
        assert!(anomalies.contains(Anomaly::LongChunkExtension));
    }
}
