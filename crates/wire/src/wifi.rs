//! IEEE 802.11 data frames, with or without a radiotap header.

use crate::counters::{EtherKind, LayerKind, Reason};
use crate::cursor::Cursor;
use crate::decoder::Layer;
use crate::link::Step;

/// `version(1) pad(1) length(2, little endian) present(4)...`: only the flags field is of use.
pub(crate) fn radiotap(cursor: &mut Cursor<'_>) -> Step {
    let header = *cursor.peek::<8>(LayerKind::Wifi)?;
    let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
    if header[0] != 0 || length < 8 {
        return Err(Reason::Malformed(LayerKind::Wifi));
    }
    let flags = flags(cursor.data.get(..length).unwrap_or(cursor.data));
    cursor.skip(length, LayerKind::Wifi)?;
    // 0x10: a frame check sequence ends the frame; 0x20: the header is padded to four bytes.
    Ok(Layer::Wifi { end_bytes: if flags & 0x10 != 0 { 4 } else { 0 }, padded: flags & 0x20 != 0 })
}

/// The radiotap flags field: after the present words and, if present, the 8-byte aligned TSFT.
fn flags(header: &[u8]) -> u8 {
    let Some((fixed, words)) = header.split_first_chunk::<4>() else { return 0 };
    let mut offset = fixed.len();
    let mut present = 0;
    for (n, word) in words.chunks_exact(4).enumerate() {
        offset += 4;
        if n == 0 {
            present = word.first().copied().unwrap_or_default();
        }
        // Bit 31: another present word follows.
        if word.last().is_none_or(|high| high & 0x80 == 0) {
            break;
        }
    }
    if present & 0x02 == 0 {
        return 0;
    }
    if present & 0x01 != 0 {
        offset = offset.next_multiple_of(8) + 8;
    }
    header.get(offset).copied().unwrap_or_default()
}

/// `control(2) duration(2) addresses(18) sequence(2) [address(6)] [QoS(2)] [HT(4)]`, then LLC.
pub(crate) fn wifi(cursor: &mut Cursor<'_>, end_bytes: usize, padded: bool) -> Step {
    let header = *cursor.peek::<24>(LayerKind::Wifi)?;
    let (control, flags) = (header[0], header[1]);
    // Version 0, type 2 (data); 0x40 in the subtype: no data.
    if control & 0x0f != 0x08 || control & 0x40 != 0 {
        return Err(Reason::Ether(EtherKind::WifiControl));
    }
    if flags & 0x40 != 0 {
        return Err(Reason::Ether(EtherKind::WifiProtected));
    }
    let qos = control & 0x80 != 0;
    let mut length = 24;
    if flags & 0x03 == 0x03 {
        length += 6; // a bridged frame has a fourth address
    }
    let qos_at = length;
    if qos {
        length += if flags & 0x80 != 0 { 6 } else { 2 };
    }
    // A part of an 802.11 fragment (more to come, or not the first) or of an aggregate: rare enough to be counted only.
    let fragment = flags & 0x04 != 0 || header[22] & 0x0f != 0;
    let aggregate = qos && cursor.data.get(qos_at).is_some_and(|byte| byte & 0x80 != 0);
    if fragment || aggregate {
        return Err(Reason::Ether(EtherKind::Other));
    }
    if padded {
        length = usize::next_multiple_of(length, 4);
    }
    let claimed = cursor.wire.saturating_sub(end_bytes);
    cursor.claim(claimed);
    cursor.skip(length, LayerKind::Wifi)?;
    Ok(Layer::Llc)
}
