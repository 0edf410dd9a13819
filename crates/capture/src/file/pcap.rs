//! The classic format: a header of 24 bytes, then records (draft-ietf-opsawg-pcap).
//!
//! ```text
//! record:  seconds u32 | micro- or nanoseconds u32 | captured length u32 | length on the wire u32 | bytes
//! modified (Kuznetzov):  … | interface index u32 | protocol u16 | packet type u8 | padding u8 | bytes
//! ```
//!
//! Records are read here and not by `pcap-parser`: its slice parser costs a `nom` result of 100 bytes per record and
//! its streaming reader owns the buffer, so that every packet would have to be copied out of it to be shared.

use umbra_wire::{LinkType, Timestamp};

use super::batch::PacketMeta;
use super::bytes::{Order, Stop, place};
use super::{MAX_PACKET_BYTES, Shared};
use crate::Corruption;

/// What the header of a classic file says.
#[derive(Debug)]
pub(super) struct Classic {
    order: Order,
    nanoseconds: bool,
    record_header: usize,
    link: LinkType,
    snaplen: u32,
    interface: u16,
}

impl Classic {
    pub(super) const HEADER: usize = 24;

    /// Byte order, nanoseconds, modified: of the first four bytes, if they are a magic of this format.
    pub(super) fn magic(head: [u8; 4]) -> Option<(Order, bool, bool)> {
        for order in [Order::Little, Order::Big] {
            match order.u32(head) {
                0xa1b2_c3d4 => return Some((order, false, false)),
                0xa1b2_3c4d => return Some((order, true, false)),
                0xa1b2_cd34 => return Some((order, false, true)),
                _ => {}
            }
        }
        None
    }

    /// Reads the header at the front of `head`.
    pub(super) fn open(head: &[u8], name: &str, shared: &mut Shared) -> Result<Classic, Stop> {
        let magic = head.first_chunk().copied().ok_or(Stop::Need(4))?;
        let Some((order, nanoseconds, modified)) = Self::magic(magic) else {
            return Err(Stop::Corrupt(Corruption::Magic(magic)));
        };
        let header = head.get(..Self::HEADER).ok_or(Stop::Need(Self::HEADER))?;
        let (major, minor) = (order.u16_at(header, 4), order.u16_at(header, 6));
        if major != 2 {
            return Err(Stop::Corrupt(Corruption::Version { major, minor }));
        }
        Ok(Classic {
            order,
            nanoseconds,
            record_header: if modified { 24 } else { 16 },
            // The upper bits say whether frames end with a checksum; the decoder goes by the lengths of the packets.
            link: LinkType((order.u32_at(header, 20) & 0xffff) as u16),
            snaplen: order.u32_at(header, 16),
            interface: shared.interface(name),
        })
    }

    /// Records from `at` on, as far as they are whole. Gives where it stopped, and why.
    pub(super) fn records(
        &self,
        buffer: &[u8],
        mut at: usize,
        packets: &mut Vec<PacketMeta>,
        shared: &mut Shared,
    ) -> (usize, Stop) {
        let scale = if self.nanoseconds { 1 } else { 1000 };
        loop {
            let rest = buffer.get(at..).unwrap_or(&[]);
            let Some((header, body)) = rest.split_at_checked(self.record_header) else {
                return (at, Stop::Need(self.record_header));
            };
            // Never `None`: the header has 16 or 24 bytes.
            let Some(fields) = header.first_chunk::<16>() else { return (at, Stop::Need(self.record_header)) };
            let (fields, _) = fields.as_chunks::<4>();
            let &[seconds, fraction, captured, on_wire] = fields else {
                return (at, Stop::Need(self.record_header));
            };
            let captured = self.order.u32(captured);
            if captured > MAX_PACKET_BYTES {
                return (at, Stop::Corrupt(Corruption::PacketLength(captured)));
            }
            let whole = self.record_header + captured as usize;
            if body.len() < captured as usize {
                return (at, Stop::Need(whole));
            }
            // A snap length that lies is common (0, or from before it was changed) and harms nothing.
            shared.counters.over_snaplen += u64::from(captured > self.snaplen);
            // Not `from_parts`: a damaged fraction may be more than a second, and is kept as the file has it. Neither can
            // overflow: 2^32 seconds and 2^32 microseconds are less than 2^63 nanoseconds.
            let seconds = u64::from(self.order.u32(seconds)).wrapping_mul(1_000_000_000);
            let fraction = u64::from(self.order.u32(fraction)).wrapping_mul(scale);
            packets.push(PacketMeta {
                time: Timestamp(seconds.wrapping_add(fraction)),
                offset: place(at + self.record_header),
                len: captured,
                wire_len: self.order.u32(on_wire).max(captured),
                interface: self.interface,
                link: self.link,
            });
            at += whole;
        }
    }
}
