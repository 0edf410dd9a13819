//! The gzip (RFC 1952) and deflate (RFC 1950, RFC 1951) codings.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{MEMBERS, Step, StepState};

/// Memory of one inflater, roughly: its window and tables.
pub(super) const STATE_BYTES: usize = 44 * 1024;
/// Bytes of one gzip header: the extra field is at most 64 KiB, a name of a megabyte is an attack (F065).
const HEADER_BYTES: u64 = 128 * 1024;

const FLAG_HEADER_CRC: u8 = 0x02;
const FLAG_EXTRA: u8 = 0x04;
const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;

/// One call of an inflater: bytes in, bytes out, and how it ended.
fn inflate(inflater: &mut Decompress, input: &[u8], output: &mut [u8]) -> (usize, usize, Option<Status>) {
    let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
    let result = inflater.decompress(input, output, FlushDecompress::None);
    let consumed = inflater.total_in().saturating_sub(before_in) as usize;
    let produced = inflater.total_out().saturating_sub(before_out) as usize;
    (consumed, produced, result.ok())
}

/// Where a gzip stream stands; the parts of RFC 1952 §2.3 in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The ten fixed bytes: so many are read.
    Fixed(u8),
    ExtraLen(u8),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(u8),
    Deflate,
    /// CRC-32 and length: so many of the eight bytes are read.
    Trailer(u8),
    /// After a member: another one, padding, or something else.
    Between,
}

/// Concatenated gzip members being decoded.
pub(super) struct Gzip {
    inflater: Decompress,
    part: Part,
    flags: u8,
    number: u64,
    header_crc: Crc,
    header_bytes: u64,
    crc: Crc,
    members: u32,
    suspect: bool,
}

impl Gzip {
    pub(super) fn new(inflater: Decompress) -> Gzip {
        Gzip {
            inflater,
            part: Part::Fixed(0),
            flags: 0,
            number: 0,
            header_crc: Crc::new(),
            header_bytes: 0,
            crc: Crc::new(),
            members: 0,
            suspect: false,
        }
    }

    pub(super) fn into_inflater(self) -> Decompress {
        self.inflater
    }

    pub(super) fn is_complete(&self) -> bool {
        self.part == Part::Between || (self.part == Part::Fixed(1) && self.members > 0)
    }

    /// A header had a wrong CRC or reserved flags: most readers ignore that, we go on and say so.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            if self.part == Part::Deflate {
                return self.step_deflate(consumed, rest, output);
            }
            let Some(&byte) = rest.first() else { return Step::new(consumed, 0, StepState::More) };
            if let Part::Name | Part::Comment | Part::Extra(_) = self.part {
                consumed += self.skip_field(rest);
            } else {
                consumed += 1;
                if let Err(state) = self.header_byte(byte) {
                    return Step::new(consumed, 0, state);
                }
            }
            if self.header_bytes > HEADER_BYTES {
                return Step::new(consumed, 0, StepState::Limit);
            }
        }
    }

    fn step_deflate(&mut self, skipped: usize, input: &[u8], output: &mut [u8]) -> Step {
        let (consumed, produced, status) = inflate(&mut self.inflater, input, output);
        self.crc.update(output.get(..produced).unwrap_or_default());
        let state = match status {
            None => StepState::Corrupt,
            Some(Status::StreamEnd) => {
                self.part = Part::Trailer(0);
                self.number = 0;
                StepState::More
            }
            Some(_) => StepState::More,
        };
        Step::new(skipped + consumed, produced, state)
    }

    /// Bytes of an optional field that lie at the start of `rest`, at least one.
    fn skip_field(&mut self, rest: &[u8]) -> usize {
        let len = match self.part {
            Part::Extra(left) => {
                let len = rest.len().min(usize::from(left));
                self.part = Part::Extra(left.saturating_sub(len as u16));
                if self.part == Part::Extra(0) {
                    self.next_field(FLAG_EXTRA);
                }
                len
            }
            _ => match memchr::memchr(0, rest) {
                Some(end) => {
                    self.next_field(if self.part == Part::Name { FLAG_NAME } else { FLAG_COMMENT });
                    end + 1
                }
                None => rest.len(),
            },
        };
        self.header_crc.update(rest.get(..len).unwrap_or_default());
        self.header_bytes = self.header_bytes.saturating_add(len as u64);
        len
    }

    /// Goes to the optional field after the one of this flag.
    fn next_field(&mut self, done: u8) {
        self.number = 0;
        self.part = if done < FLAG_EXTRA && self.flags & FLAG_EXTRA != 0 {
            Part::ExtraLen(0)
        } else if done < FLAG_NAME && self.flags & FLAG_NAME != 0 {
            Part::Name
        } else if done < FLAG_COMMENT && self.flags & FLAG_COMMENT != 0 {
            Part::Comment
        } else if self.flags & FLAG_HEADER_CRC != 0 {
            Part::HeaderCrc(0)
        } else {
            Part::Deflate
        };
    }

    /// One byte of a part of fixed length.
    fn header_byte(&mut self, byte: u8) -> Result<(), StepState> {
        match self.part {
            Part::Fixed(at) => {
                let is_wrong = match at {
                    0 => byte != 0x1f,
                    1 => byte != 0x8b,
                    2 => byte != 8,
                    _ => false,
                };
                if is_wrong {
                    // Not a member at all: after one, it is trailing garbage.
                    return Err(if self.members > 0 && at < 2 { StepState::End } else { StepState::Corrupt });
                }
                if at == 3 {
                    self.flags = byte;
                    // RFC 1952 §2.3.1.2 wants the reserved bits zero; most readers go on.
                    self.suspect |= byte & 0xe0 != 0;
                }
                self.header_crc.update(&[byte]);
                self.header_bytes = self.header_bytes.saturating_add(1);
                self.part = Part::Fixed(at + 1);
                if at >= 9 {
                    self.next_field(0);
                }
            }
            Part::ExtraLen(at) => {
                self.header_crc.update(&[byte]);
                self.number |= u64::from(byte) << (8 * at);
                if at == 0 {
                    self.part = Part::ExtraLen(1);
                } else if self.number == 0 {
                    self.next_field(FLAG_EXTRA);
                } else {
                    self.part = Part::Extra(self.number as u16);
                }
            }
            Part::HeaderCrc(at) => {
                self.number |= u64::from(byte) << (8 * at);
                if at == 0 {
                    self.part = Part::HeaderCrc(1);
                } else {
                    self.suspect |= self.number != u64::from(self.header_crc.sum() & 0xffff);
                    self.part = Part::Deflate;
                }
            }
            Part::Trailer(at) => {
                self.number |= u64::from(byte) << (8 * at);
                self.part = Part::Trailer(at + 1);
                if at >= 7 {
                    let expected = u64::from(self.crc.sum()) | u64::from(self.crc.amount()) << 32;
                    if self.number != expected {
                        return Err(StepState::Corrupt);
                    }
                    self.members = self.members.saturating_add(1);
                    self.part = Part::Between;
                }
            }
            Part::Between => {
                if byte == 0 {
                    return Ok(()); // padding, as tar and tapes leave it
                }
                if byte == 0x1f && self.members >= MEMBERS {
                    return Err(StepState::Limit);
                }
                self.inflater.reset(false);
                self.header_crc.reset();
                self.header_bytes = 0;
                self.crc.reset();
                self.part = Part::Fixed(0);
                return self.header_byte(byte);
            }
            Part::Extra(_) | Part::Name | Part::Comment | Part::Deflate => {}
        }
        Ok(())
    }
}

/// A deflate stream being decoded: with zlib's wrapper as RFC 9110 §8.4.1.2 asks, or without, as some send it.
pub(super) struct Deflate {
    inflater: Decompress,
    /// The first two bytes, which tell one from the other.
    prefix: [u8; 2],
    read: usize,
    /// Of `prefix`, given to the inflater.
    given: usize,
}

impl Deflate {
    pub(super) fn new(inflater: Decompress) -> Deflate {
        Deflate { inflater, prefix: [0; 2], read: 0, given: 0 }
    }

    pub(super) fn into_inflater(self) -> Decompress {
        self.inflater
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut skipped = 0;
        while let (Some(place), Some(&byte)) = (self.prefix.get_mut(self.read), input.get(skipped)) {
            *place = byte;
            self.read += 1;
            skipped += 1;
            if self.read == self.prefix.len() {
                // RFC 1950 §2.2: method 8, and the check bits make a multiple of 31.
                let is_zlib = self.prefix[0] & 0x0f == 8 && u16::from_be_bytes(self.prefix).is_multiple_of(31);
                self.inflater.reset(is_zlib);
            }
        }
        if self.read < self.prefix.len() {
            return Step::new(skipped, 0, StepState::More);
        }
        let mut produced = 0;
        while let Some(prefix) = self.prefix.get(self.given..).filter(|prefix| !prefix.is_empty()) {
            let (consumed, made, status) = inflate(&mut self.inflater, prefix, output);
            self.given += consumed;
            produced += made;
            match status {
                None => return Step::new(skipped, produced, StepState::Corrupt),
                Some(Status::StreamEnd) => return Step::new(skipped, produced, StepState::End),
                Some(_) if consumed == 0 => return Step::new(skipped, produced, StepState::Corrupt),
                Some(_) => {}
            }
        }
        let rest = input.get(skipped..).unwrap_or_default();
        let (consumed, made, status) =
            inflate(&mut self.inflater, rest, output.get_mut(produced..).unwrap_or_default());
        let state = match status {
            None => StepState::Corrupt,
            Some(Status::StreamEnd) => StepState::End,
            Some(_) => StepState::More,
        };
        Step::new(skipped + consumed, produced + made, state)
    }
}
