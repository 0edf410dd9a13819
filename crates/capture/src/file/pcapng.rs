//! The block format pcapng (draft-ietf-opsawg-pcapng).
//!
//! ```text
//! block:   type u32 | length u32 (whole block, multiple of 4) | body | length u32 again
//! EPB (6): interface u32 | time high u32 | time low u32 | captured u32 | on the wire u32 | bytes, padded | options
//! SPB (3): on the wire u32 | bytes, padded
//! PB  (2): interface u16 | drops u16 | then as an EPB
//! IDB (1): link type u16 | reserved u16 | snap length u32 | options
//! DSB (a): kind u32 | length u32 | bytes, padded | options
//! ```
//!
//! Blocks are read here and not by `pcap-parser` 0.17: it collects the options of every packet in a `Vec`, refuses
//! timestamp resolutions that are powers of two, and reads `if_tsoffset` of big-endian files as little-endian. It serves
//! as the oracle of the tests.

use umbra_wire::{LinkType, Timestamp};

use super::batch::PacketMeta;
use super::bytes::{Order, Stop, place};
use super::{MAX_BLOCK_BYTES, MAX_INTERFACES, MAX_PACKET_BYTES, Secret, Shared};
use crate::Corruption;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;
const CUSTOM: u32 = 0x0bad;
const CUSTOM_NO_COPY: u32 = 0x4000_0bad;

/// Options of a packet block come on top of [`MAX_PACKET_BYTES`].
const MAX_PACKET_BLOCK: u32 = MAX_PACKET_BYTES + 0x1_0000;

/// From the ticks of an interface to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticks {
    /// Each is so many nanoseconds.
    Multiply(u64),
    /// So many to a nanosecond.
    Divide(u64),
    /// 2 to this power to a second.
    Binary(u32),
}

impl Ticks {
    /// `if_tsresol`: a negative power of 10, or of 2 with the top bit.
    fn from_option(value: u8) -> Ticks {
        let power = u32::from(value & 0x7f);
        match (value & 0x80 != 0, power) {
            (true, _) => Ticks::Binary(power),
            (false, 0..=9) => Ticks::Multiply(10_u64.pow(9 - power)),
            // From 10^29 on all 64 bits of ticks are less than a nanosecond.
            (false, _) => 10_u64.checked_pow(power - 9).map_or(Ticks::Multiply(0), Ticks::Divide),
        }
    }

    fn nanos(self, ticks: u64) -> u64 {
        match self {
            Ticks::Multiply(by) => ticks.saturating_mul(by),
            Ticks::Divide(by) => ticks / by,
            Ticks::Binary(power) => {
                let nanos = (u128::from(ticks) * 1_000_000_000) >> power.min(127);
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}

/// An interface of the current section.
#[derive(Debug)]
struct Interface {
    /// Index into the names of the whole set.
    name: u16,
    link: LinkType,
    snaplen: u32,
    ticks: Ticks,
    /// `if_tsoffset`, in seconds.
    offset: i64,
}

impl Interface {
    #[inline]
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let nanos = self.ticks.nanos(u64::from(high) << 32 | u64::from(low));
        if self.offset == 0 {
            return Timestamp(nanos);
        }
        let offset = self.offset.saturating_mul(1_000_000_000);
        Timestamp(nanos.saturating_add_signed(offset))
    }
}

/// A pcapng stream being read.
#[derive(Debug)]
pub(super) struct Sections {
    name: String,
    order: Order,
    interfaces: Vec<Interface>,
    /// Bytes left of a block that is passed over, before its trailer.
    skip: u64,
    /// What the trailer of that block must say.
    trailer: Option<u32>,
    /// A Simple Packet Block has no time: it gets that of the packet before.
    last_time: Timestamp,
}

impl Sections {
    pub(super) const MAGIC: [u8; 4] = SECTION.to_be_bytes();

    pub(super) fn new(name: &str) -> Sections {
        Sections {
            name: name.to_owned(),
            order: Order::Little,
            interfaces: Vec::new(),
            skip: 0,
            trailer: None,
            last_time: Timestamp::default(),
        }
    }

    /// Bytes that must still come before a block boundary is reached.
    pub(super) fn unfinished(&self) -> u64 {
        self.skip + if self.trailer.is_some() { 4 } else { 0 }
    }

    /// Blocks from `at` on, as far as they are whole. Gives where it stopped, and why.
    pub(super) fn blocks(
        &mut self,
        buffer: &mut [u8],
        mut at: usize,
        packets: &mut Vec<PacketMeta>,
        shared: &mut Shared,
    ) -> (usize, Stop) {
        loop {
            if self.skip > 0 {
                let now = self.skip.min(buffer.len().saturating_sub(at) as u64);
                self.skip -= now;
                at += now as usize;
            }
            if let Some(head) = self.trailer {
                let Some(tail) = buffer.get(at..).and_then(|rest| rest.get(..4)) else {
                    return (at, Stop::Need(4));
                };
                let tail = self.order.u32_at(tail, 0);
                if tail != head {
                    return (at, Stop::Corrupt(Corruption::BlockTrailer { head, tail }));
                }
                at += 4;
                self.trailer = None;
            }
            match self.block(buffer, at, packets, shared) {
                Ok(length) => at += length,
                Err(stop) => return (at, stop),
            }
        }
    }

    /// The block at `at`; gives its length.
    #[inline]
    fn block(
        &mut self,
        buffer: &mut [u8],
        at: usize,
        packets: &mut Vec<PacketMeta>,
        shared: &mut Shared,
    ) -> Result<usize, Stop> {
        let rest = buffer.get_mut(at..).ok_or(Stop::Need(12))?;
        // Type, length and, for a section, the byte order; also the shortest block there is.
        if rest.len() < 12 {
            return Err(Stop::Need(12));
        }
        let kind = self.order.u32_at(rest, 0);
        if kind == SECTION {
            self.order = match Order::Little.u32_at(rest, 8) {
                0x1a2b_3c4d => Order::Little,
                0x4d3c_2b1a => Order::Big,
                other => return Err(Stop::Corrupt(Corruption::ByteOrder(other))),
            };
        }
        let length = self.order.u32_at(rest, 4);
        let (least, most) = match kind {
            SECTION => (28, MAX_BLOCK_BYTES),
            INTERFACE => (20, MAX_PACKET_BLOCK),
            PACKET | OLD_PACKET => (32, MAX_PACKET_BLOCK),
            SIMPLE_PACKET => (16, MAX_PACKET_BLOCK),
            SECRETS => (20, MAX_BLOCK_BYTES),
            _ => (12, MAX_BLOCK_BYTES),
        };
        if !length.is_multiple_of(4) || length < least || length > most {
            return Err(Stop::Corrupt(Corruption::BlockLength { kind, length }));
        }
        let whole = length as usize;
        if !matches!(kind, SECTION | INTERFACE | OLD_PACKET | SIMPLE_PACKET | PACKET | SECRETS) {
            match kind {
                NAMES => shared.counters.name_blocks += 1,
                STATISTICS => shared.counters.statistics_blocks += 1,
                CUSTOM | CUSTOM_NO_COPY => shared.counters.custom_blocks += 1,
                _ => shared.counters.other_blocks += 1,
            }
            // Passed over without being held: nothing in it is of use, and it may be large.
            (self.skip, self.trailer) = (u64::from(length) - 12, Some(length));
            return Ok(8);
        }
        let Some(block) = rest.get_mut(..whole) else {
            return Err(Stop::Need(whole));
        };
        let tail = self.order.u32_at(block, whole - 4);
        if tail != length {
            return Err(Stop::Corrupt(Corruption::BlockTrailer { head: length, tail }));
        }
        match kind {
            PACKET => {
                let packet = self.packet(block, at, self.order.u32_at(block, 8), shared)?;
                packets.push(packet);
            }
            OLD_PACKET => {
                let packet = self.packet(block, at, u32::from(self.order.u16_at(block, 8)), shared)?;
                packets.push(packet);
            }
            SIMPLE_PACKET => packets.push(self.simple_packet(block, at)?),
            SECTION => self.section(block)?,
            INTERFACE => self.interface(block, shared)?,
            SECRETS => self.secrets(block, shared)?,
            _ => {}
        }
        Ok(whole)
    }

    fn section(&mut self, block: &[u8]) -> Result<(), Stop> {
        let (major, minor) = (self.order.u16_at(block, 12), self.order.u16_at(block, 14));
        // 1.2 is what some writers put for 1.0.
        if major != 1 {
            return Err(Stop::Corrupt(Corruption::Version { major, minor }));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, block: &[u8], shared: &mut Shared) -> Result<(), Stop> {
        let known = self.interfaces.len();
        if known >= MAX_INTERFACES {
            return Err(Stop::Corrupt(Corruption::Interface { id: known as u32, known: known as u32 }));
        }
        let mut interface = Interface {
            name: 0,
            link: LinkType(self.order.u16_at(block, 8)),
            snaplen: self.order.u32_at(block, 12),
            ticks: Ticks::Multiply(1000),
            offset: 0,
        };
        let mut name = None;
        let mut options = block.get(16..block.len().saturating_sub(4)).unwrap_or(&[]);
        while let Some((head, rest)) = options.split_at_checked(4) {
            let (code, length) = (self.order.u16_at(head, 0), usize::from(self.order.u16_at(head, 2)));
            let Some(value) = rest.get(..length) else { break };
            match (code, length) {
                (0, _) => break,
                (2, _) => name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()),
                (9, 1..) => interface.ticks = Ticks::from_option(value.first().copied().unwrap_or(6)),
                (14, 8..) => {
                    let eight = value.first_chunk::<8>().copied().unwrap_or_default();
                    interface.offset = match self.order {
                        Order::Little => i64::from_le_bytes(eight),
                        Order::Big => i64::from_be_bytes(eight),
                    };
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{}:{known}", self.name));
        interface.name = shared.interface(&name);
        self.interfaces.push(interface);
        Ok(())
    }

    /// An Enhanced Packet Block, or an old one: they differ in the interface only.
    #[inline]
    fn packet(&mut self, block: &[u8], at: usize, id: u32, shared: &mut Shared) -> Result<PacketMeta, Stop> {
        let Some(interface) = self.interfaces.get(id as usize) else {
            return Err(Stop::Corrupt(Corruption::Interface { id, known: self.interfaces.len() as u32 }));
        };
        let captured = self.order.u32_at(block, 20);
        if captured > MAX_PACKET_BYTES {
            return Err(Stop::Corrupt(Corruption::PacketLength(captured)));
        }
        if 32 + captured as usize > block.len() {
            let (kind, length) = (self.order.u32_at(block, 0), block.len() as u32);
            return Err(Stop::Corrupt(Corruption::BlockLength { kind, length }));
        }
        shared.counters.over_snaplen += u64::from(interface.snaplen != 0 && captured > interface.snaplen);
        let time = interface.time(self.order.u32_at(block, 12), self.order.u32_at(block, 16));
        self.last_time = time;
        Ok(PacketMeta {
            time,
            offset: place(at + 28),
            len: captured,
            wire_len: self.order.u32_at(block, 24).max(captured),
            interface: interface.name,
            link: interface.link,
        })
    }

    fn simple_packet(&mut self, block: &[u8], at: usize) -> Result<PacketMeta, Stop> {
        let Some(interface) = self.interfaces.first() else {
            return Err(Stop::Corrupt(Corruption::Interface { id: 0, known: 0 }));
        };
        let wire_len = self.order.u32_at(block, 8);
        let limit = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        // There is no captured length: it is the wire length, cut by the snap length; the rest of the block is padding.
        let captured = wire_len.min(limit).min(block.len() as u32 - 16);
        if captured > MAX_PACKET_BYTES {
            return Err(Stop::Corrupt(Corruption::PacketLength(captured)));
        }
        Ok(PacketMeta {
            time: self.last_time,
            offset: place(at + 12),
            len: captured,
            wire_len,
            interface: interface.name,
            link: interface.link,
        })
    }

    fn secrets(&mut self, block: &mut [u8], shared: &mut Shared) -> Result<(), Stop> {
        let (kind, length) = (self.order.u32_at(block, 8), self.order.u32_at(block, 12));
        let body = block.len() - 4;
        let Some(data) = block.get_mut(16..body).and_then(|rest| rest.get_mut(..length as usize)) else {
            return Err(Stop::Corrupt(Corruption::BlockLength { kind: SECRETS, length: body as u32 + 4 }));
        };
        shared.secret(Secret::new(kind, data.to_vec()));
        // The buffer is handed out and used again: leave no key in it.
        data.fill(0);
        Ok(())
    }
}
