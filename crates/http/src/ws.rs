//! WebSocket frames after an upgrade (RFC 6455): counted, skipped by length, never unmasked.
//!
//! ```text
//! FIN RSV1-3 opcode (1) | MASK length (1) | [length (2 or 8)] | [mask (4)] | payload
//! ```

use umbra_flow::Direction;

use crate::anomaly::{Anomalies, Anomaly};
use crate::message::KnownHeader;
use crate::transaction::{Transaction, WebSocket};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV23: u8 = 0x30;
const MASK: u8 = 0x80;
/// Opcodes from here on are control frames (RFC 6455 §5.5).
const CONTROL: u8 = 0x8;
const CLOSE: u8 = 0x8;
/// Longest frame header: two bytes, length, mask.
const HEADER_BYTES: usize = 14;

/// Reads both directions of a WebSocket connection, from the first byte after the upgrade. Holds no payload.
#[derive(Debug)]
pub(crate) struct WebSocketReader {
    sides: [Side; 2],
    /// permessage-deflate was agreed.
    deflate: bool,
    /// Extensions that we do not know, or whose agreement we did not see, may use any reserved bit.
    any_reserved: bool,
    close_code: Option<u16>,
    anomalies: Anomalies,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    header: [u8; HEADER_BYTES],
    header_len: u8,
    /// Payload bytes of the frame that are still to come.
    left: u64,
    opcode: u8,
    fin: bool,
    /// A data message began and has not ended.
    in_message: bool,
    closed: bool,
    /// A gap hid a frame boundary: nothing is read any more.
    lost: bool,
    /// The first payload bytes of a Close frame, still masked, and how many.
    close: [u8; 2],
    close_len: u8,
    frames: u64,
    messages: u64,
    text_messages: u64,
    /// The data message that began last is text.
    is_text: bool,
    payload_bytes: u64,
}

impl WebSocketReader {
    /// A reader for the connection that the transaction opened; its response head says whether permessage-deflate was agreed.
    pub(crate) fn new(transaction: &Transaction) -> Self {
        let mut reader = WebSocketReader {
            sides: Default::default(),
            deflate: false,
            any_reserved: transaction.response.is_none(),
            close_code: None,
            anomalies: Anomalies::default(),
        };
        let headers = transaction.response.as_ref().map(|response| &response.headers);
        for (field, _, value) in headers.into_iter().flat_map(|headers| headers.iter()) {
            if field.known != KnownHeader::SecWebSocketExtensions || field.trailer {
                continue;
            }
            reader.any_reserved |= field.unknown;
            for extension in value.split(|&byte| byte == b',') {
                let name = extension.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
                if name.eq_ignore_ascii_case(b"permessage-deflate") {
                    reader.deflate = true;
                } else if !name.is_empty() {
                    reader.any_reserved = true;
                }
            }
        }
        reader
    }

    /// The next bytes of a direction.
    pub(crate) fn data(&mut self, direction: Direction, mut bytes: &[u8]) {
        let Self { sides: [to_server, to_client], deflate, any_reserved, close_code, anomalies } = self;
        let (side, masked) = match direction {
            Direction::ToServer => (to_server, true),
            Direction::ToClient => (to_client, false),
        };
        while !bytes.is_empty() && !side.lost {
            if side.left > 0 {
                let len = side.left.min(bytes.len() as u64) as usize;
                let (now, later) = bytes.split_at(len);
                bytes = later;
                side.payload(now, len as u64);
            } else if let Some((&byte, rest)) = bytes.split_first() {
                bytes = rest;
                let Some(len) = side.header_byte(byte) else { continue };
                let rules = Rules { masked, deflate: *deflate, any_reserved: *any_reserved };
                if !side.begin(len, rules) {
                    anomalies.insert(Anomaly::BadWebSocketFrame);
                }
            }
            if side.left == 0 && side.header_len > 0 && side.is_header_complete() {
                note_code(side.end(), close_code, anomalies);
            }
        }
    }

    /// `len` bytes of a direction are missing. Inside a payload its length still says where the next frame begins.
    pub(crate) fn gap(&mut self, direction: Direction, len: u64) {
        let [to_server, to_client] = &mut self.sides;
        let side = match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        };
        if side.lost || len == 0 {
            return;
        }
        if len > side.left {
            side.lost = true;
            return;
        }
        if side.opcode == CLOSE && side.close_len < 2 {
            side.close_len = u8::MAX; // what follows are not the first two bytes any more
        }
        side.payload(&[], len);
        if side.left == 0 {
            note_code(side.end(), &mut self.close_code, &mut self.anomalies);
        }
    }

    /// The connection ended: fills [`Transaction::websocket`] and the anomalies.
    pub(crate) fn finish(self, transaction: &mut Transaction) {
        let [to_server, to_client] = &self.sides;
        transaction.websocket = Some(WebSocket {
            frames: [to_server.frames, to_client.frames],
            messages: [to_server.messages, to_client.messages],
            text_messages: [to_server.text_messages, to_client.text_messages],
            payload_bytes: [to_server.payload_bytes, to_client.payload_bytes],
            deflate: self.deflate,
            partial: to_server.lost || to_client.lost,
            close_code: self.close_code,
        });
        transaction.anomalies.extend(self.anomalies);
    }

    /// Bytes of memory held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        0
    }
}

/// What a frame of a direction may look like.
#[derive(Clone, Copy)]
struct Rules {
    /// RFC 6455 §5.1: a client masks, a server does not.
    masked: bool,
    deflate: bool,
    any_reserved: bool,
}

impl Side {
    /// Bytes that the header has, as far as its first two say.
    fn header_size(&self) -> u8 {
        let [_, second, ..] = self.header;
        let length = match second & !MASK {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & MASK != 0 { 4 } else { 0 }
    }

    fn is_header_complete(&self) -> bool {
        self.header_len >= 2 && self.header_len >= self.header_size()
    }

    /// Takes one byte of a header; the payload length once the header is complete.
    fn header_byte(&mut self, byte: u8) -> Option<u64> {
        if let Some(place) = self.header.get_mut(usize::from(self.header_len)) {
            *place = byte;
        }
        self.header_len = self.header_len.saturating_add(1);
        if !self.is_header_complete() {
            return None;
        }
        let [_, second, two @ .., _, _, _, _, _, _, _, _, _, _] = self.header;
        let [_, _, eight @ .., _, _, _, _] = self.header;
        Some(match second & !MASK {
            126 => u64::from(u16::from_be_bytes(two)),
            127 => u64::from_be_bytes(eight),
            len => u64::from(len),
        })
    }

    /// A frame header is complete. False if the frame is against the standard; it is followed by its length all the same.
    fn begin(&mut self, len: u64, rules: Rules) -> bool {
        let [first, second, ..] = self.header;
        self.opcode = first & 0x0f;
        self.fin = first & FIN != 0;
        self.left = len;
        self.close_len = 0;
        self.frames = self.frames.saturating_add(1);

        let is_control = self.opcode >= CONTROL;
        let is_data = self.opcode == 1 || self.opcode == 2;
        let is_known = matches!(self.opcode, 0..=2 | 8..=10);
        let is_shape_ok = match is_control {
            // RFC 6455 §5.5: at most 125 bytes, in one piece.
            true => len <= 125 && self.fin && !(self.opcode == CLOSE && len == 1),
            // §5.4: a continuation continues something; a new message waits for the end of the one before.
            false => (self.opcode != 0) != self.in_message && !self.closed,
        };
        // §5.2: the shortest form, and no length of 2^63 or more.
        let is_length_ok = match second & !MASK {
            126 => len > 125,
            127 => len > 0xffff && len >> 63 == 0,
            _ => true,
        };
        // RFC 7692 §6: RSV1 marks the first frame of a compressed message.
        let rsv1_ok = first & RSV1 == 0 || (rules.deflate && is_data);
        let is_reserved_ok = rules.any_reserved || (rsv1_ok && first & RSV23 == 0);
        let is_mask_ok = (second & MASK != 0) == rules.masked;

        if !is_control {
            self.in_message = !self.fin;
        }
        if is_data {
            self.is_text = self.opcode == 1;
        }
        self.closed |= self.opcode == CLOSE;
        is_known && is_shape_ok && is_length_ok && is_reserved_ok && is_mask_ok
    }

    /// The next payload bytes: `len` of them passed, the first are `bytes` unless they are missing.
    fn payload(&mut self, bytes: &[u8], len: u64) {
        if self.opcode == CLOSE {
            for (place, &byte) in self.close.iter_mut().skip(usize::from(self.close_len)).zip(bytes) {
                *place = byte;
                self.close_len += 1;
            }
        }
        if self.opcode < CONTROL {
            self.payload_bytes = self.payload_bytes.saturating_add(len);
        }
        self.left = self.left.saturating_sub(len);
    }

    /// A frame ended; the status code if it was a Close frame that has one.
    fn end(&mut self) -> Option<u16> {
        let size = usize::from(self.header_size());
        self.header_len = 0;
        if self.opcode < CONTROL && self.fin {
            self.messages = self.messages.saturating_add(1);
            self.text_messages = self.text_messages.saturating_add(u64::from(self.is_text));
        }
        if self.opcode != CLOSE || self.close_len != 2 {
            return None;
        }
        let [_, second, ..] = self.header;
        let mut code = self.close;
        if second & MASK != 0 {
            let mask = self.header.get(size.saturating_sub(4)..size).unwrap_or_default();
            code.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        Some(u16::from_be_bytes(code))
    }
}

/// A frame ended, with this status code: the first counts.
fn note_code(code: Option<u16>, close_code: &mut Option<u16>, anomalies: &mut Anomalies) {
    if code.is_some_and(|code| !is_close_code(code)) {
        anomalies.insert(Anomaly::BadWebSocketFrame);
    }
    *close_code = close_code.or(code);
}

/// May this code stand in a Close frame (RFC 6455 §7.4)? 1005, 1006 and 1015 are for local use only.
fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests;
