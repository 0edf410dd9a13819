//! gRPC message framing in a body: counts length-prefixed messages, allocates nothing by their claims.
//!
//! ```text
//! flags (1) | length (4, big-endian) | message (length)        gRPC over HTTP/2, "Length-Prefixed-Message"
//! ```
//!
//! gRPC-Web is the same in any HTTP version, with the trailers in a last frame whose flags have 0x80, and in its text form
//! all of it in base64.

/// Bytes kept of a trailer frame: real ones hold a status and a short message.
const TRAILER_BYTES: usize = 4 * 1024;
const HEADER_BYTES: usize = 5;
const FLAG_COMPRESSED: u8 = 0x01;
const FLAG_TRAILER: u8 = 0x80;

/// Which framing a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcKind {
    /// gRPC.
    Plain,
    /// gRPC-Web.
    Web,
    /// gRPC-Web in base64.
    WebText,
}

impl GrpcKind {
    /// By the value of Content-Type; `None` if it is no gRPC.
    pub(crate) fn of(content_type: &[u8]) -> Option<GrpcKind> {
        const PREFIX: &[u8] = b"application/grpc";
        let (start, rest) = content_type.split_at_checked(PREFIX.len())?;
        // Most are `application/json`: the first letter that differs tells.
        if !matches!(start.get(12), Some(b'g' | b'G')) || !start.eq_ignore_ascii_case(PREFIX) {
            return None;
        }
        let end = rest.iter().position(|byte| b"+; \t".contains(byte)).unwrap_or(rest.len());
        let kind = rest.get(..end).unwrap_or_default();
        if kind.is_empty() {
            Some(GrpcKind::Plain)
        } else if kind.eq_ignore_ascii_case(b"-web") {
            Some(GrpcKind::Web)
        } else if kind.eq_ignore_ascii_case(b"-web-text") {
            Some(GrpcKind::WebText)
        } else {
            None
        }
    }
}

/// Counts the messages of one body.
#[derive(Debug)]
pub(crate) struct GrpcReader {
    pub(crate) kind: GrpcKind,
    /// Messages that ended.
    pub(crate) messages: u64,
    /// `grpc-status` of a trailer frame.
    pub(crate) status: Option<u32>,
    /// A flag or length that cannot be.
    pub(crate) is_bad: bool,
    /// A gap hid a message boundary, or the framing broke: counting stopped.
    pub(crate) is_lost: bool,
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// Bytes of the message that are still to come.
    left: u32,
    in_trailer: bool,
    after_trailer: bool,
    trailer: Vec<u8>,
    base64: Base64,
}

impl GrpcReader {
    pub(crate) fn new(kind: GrpcKind) -> GrpcReader {
        GrpcReader {
            kind,
            messages: 0,
            status: None,
            is_bad: false,
            is_lost: false,
            header: [0; HEADER_BYTES],
            header_len: 0,
            left: 0,
            in_trailer: false,
            after_trailer: false,
            trailer: Vec::new(),
            base64: Base64::default(),
        }
    }

    /// The next bytes of the body.
    pub(crate) fn data(&mut self, bytes: &[u8]) {
        if self.kind != GrpcKind::WebText {
            return self.frames(bytes);
        }
        let mut out = [0; 768];
        for part in bytes.chunks(1020) {
            if self.is_lost {
                return;
            }
            let mut base64 = self.base64;
            let (len, is_fine) = base64.decode(part, &mut out);
            self.base64 = base64;
            self.frames(out.get(..len).unwrap_or_default());
            if !is_fine {
                self.fail();
            }
        }
    }

    /// `len` bytes are missing: inside one message its length still says where the next begins.
    pub(crate) fn gap(&mut self, len: u64) {
        if self.is_lost || len == 0 {
            return;
        }
        if self.kind != GrpcKind::WebText && self.header_len == 0 && len <= u64::from(self.left) && !self.in_trailer {
            self.take(len as u32);
        } else {
            self.is_lost = true;
        }
    }

    /// The body ended at its proper end, nothing missing: half a message cannot be.
    pub(crate) fn end(&mut self) {
        if !self.is_lost && (self.header_len > 0 || self.left > 0) {
            self.is_bad = true;
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.trailer.capacity()
    }

    fn fail(&mut self) {
        self.is_bad = true;
        self.is_lost = true;
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_lost {
            if self.left > 0 {
                let len = bytes.len().min(self.left as usize);
                let (now, later) = bytes.split_at(len);
                if self.in_trailer {
                    let room = TRAILER_BYTES - self.trailer.len().min(TRAILER_BYTES);
                    self.trailer.extend_from_slice(now.get(..len.min(room)).unwrap_or_default());
                }
                self.take(len as u32);
                bytes = later;
                continue;
            }
            // Usually the whole prefix is there, and need not be put together.
            if self.header_len == 0
                && let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>()
            {
                bytes = rest;
                self.begin(*header);
            } else if let Some((&byte, rest)) = bytes.split_first() {
                bytes = rest;
                if let Some(place) = self.header.get_mut(self.header_len) {
                    *place = byte;
                }
                self.header_len += 1;
                if self.header_len == HEADER_BYTES {
                    self.header_len = 0;
                    self.begin(self.header);
                }
            }
        }
    }

    /// A message prefix is complete.
    fn begin(&mut self, header: [u8; HEADER_BYTES]) {
        let [flags, length @ ..] = header;
        let allowed = if self.kind == GrpcKind::Plain { FLAG_COMPRESSED } else { FLAG_COMPRESSED | FLAG_TRAILER };
        if flags & !allowed != 0 || self.after_trailer {
            // What follows such a prefix is anyone's guess.
            return self.fail();
        }
        self.in_trailer = flags & FLAG_TRAILER != 0;
        self.left = u32::from_be_bytes(length);
        if self.left == 0 {
            self.ended();
        }
    }

    fn take(&mut self, len: u32) {
        self.left = self.left.saturating_sub(len);
        if self.left == 0 {
            self.ended();
        }
    }

    fn ended(&mut self) {
        if self.in_trailer {
            self.in_trailer = false;
            self.after_trailer = true;
            self.status = trailer_status(&self.trailer);
            self.trailer = Vec::new();
        } else {
            self.messages = self.messages.saturating_add(1);
        }
    }
}

/// `grpc-status` in the trailer frame of gRPC-Web: header lines of HTTP/1, names in lower case.
fn trailer_status(trailer: &[u8]) -> Option<u32> {
    trailer.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at(colon);
        if !name.trim_ascii().eq_ignore_ascii_case(b"grpc-status") {
            return None;
        }
        status_code(value.get(1..)?)
    })
}

/// A `grpc-status` value: digits only.
pub(crate) fn status_code(value: &[u8]) -> Option<u32> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u32, |code, byte| {
        byte.is_ascii_digit().then_some(())?;
        code.checked_mul(10)?.checked_add(u32::from(byte & 0x0f))
    })
}

/// Base64 (RFC 4648 §4) in a stream; padding may come in the middle, since servers encode frame by frame.
#[derive(Clone, Copy, Debug, Default)]
struct Base64 {
    bits: u32,
    digits: u8,
}

impl Base64 {
    /// Decodes into `out`, which must have room for three quarters of the digits of `input` and of the group that is pending.
    /// Says how many bytes came out, and false if it stopped at a byte that does not belong there.
    fn decode(&mut self, input: &[u8], out: &mut [u8]) -> (usize, bool) {
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            for &byte in bytes {
                if let Some(place) = out.get_mut(len) {
                    *place = byte;
                    len += 1;
                }
            }
        };
        for &byte in input {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'\r' | b'\n' => continue,
                b'=' => {
                    // Two digits make one byte, three make two.
                    match (self.digits, (self.bits << (6 * (4 - self.digits.min(4)) % 24)).to_be_bytes()) {
                        (0, _) => {}
                        (2, [_, first, ..]) => put(&[first]),
                        (3, [_, first, second, _]) => put(&[first, second]),
                        _ => return (len, false),
                    }
                    *self = Base64::default();
                    continue;
                }
                _ => return (len, false),
            };
            self.bits = self.bits << 6 | u32::from(digit);
            self.digits += 1;
            if self.digits == 4 {
                let [_, first, second, third] = self.bits.to_be_bytes();
                put(&[first, second, third]);
                *self = Base64::default();
            }
        }
        (len, true)
    }
}

#[cfg(test)]
mod tests;
