//! The TCP header.

use std::net::IpAddr;

use crate::config::Config;
use crate::counters::{Counters, LayerKind, Reason};
use crate::cursor::Cursor;
use crate::decoder::Context;
use crate::segment::{Checksum, TcpFlags, TcpOptions};

/// RFC 9293 §3.1: `ports(4) sequence(4) acknowledgement(4) words(4 bits) flags window(2) checksum(2) urgent(2) options`.
#[inline]
pub(crate) fn tcp(
    cursor: &mut Cursor<'_>,
    context: &mut Context,
    config: &Config,
    counters: &mut Counters,
) -> Result<(), Reason> {
    let header = cursor.peek::<20>(LayerKind::Tcp)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < 20 || header_len > cursor.wire {
        return Err(Reason::Malformed(LayerKind::Tcp));
    }
    let checksum = if config.checksums { verify(cursor, context, counters) } else { Checksum::Unknown };
    // Cut inside the options, the segment is still good for its numbers.
    let options_end = header_len.min(cursor.data.len());
    let options = options(cursor.data.get(20..options_end).unwrap_or_default());
    cursor.skip(options_end, LayerKind::Tcp)?;
    let missing = cursor.missing().saturating_sub(header_len - options_end);
    if missing > 0 || options_end < header_len {
        counters.cut_segments = counters.cut_segments.wrapping_add(1);
    }
    let out = &mut context.header;
    out.src_port = u16::from_be_bytes([header[0], header[1]]);
    out.dst_port = u16::from_be_bytes([header[2], header[3]]);
    out.seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    out.ack = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    out.flags = TcpFlags(header[13]);
    out.window = u16::from_be_bytes([header[14], header[15]]);
    out.urgent = u16::from_be_bytes([header[18], header[19]]);
    out.options = options;
    out.checksum = checksum;
    out.missing = u32::try_from(missing).unwrap_or(u32::MAX);
    Ok(())
}

/// `kind(1) [length(1) value]` each; kinds 0 and 1 are single bytes.
#[inline]
pub(crate) fn options(bytes: &[u8]) -> TcpOptions {
    match bytes {
        [] => TcpOptions::default(),
        // What nearly every segment between two Linux hosts carries: two no-operations, then timestamps.
        &[1, 1, 8, 10, a, b, c, d, e, f, g, h] => TcpOptions {
            window_scale: None,
            timestamps: Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))),
        },
        _ => any_options(bytes),
    }
}

#[inline(never)]
fn any_options(bytes: &[u8]) -> TcpOptions {
    let mut found = TcpOptions::default();
    let mut rest = bytes;
    loop {
        match rest {
            [] | [0, ..] => return found,
            [1, after @ ..] => rest = after,
            [kind, length, ..] => {
                let length = usize::from(*length);
                let (Some(value), Some(after)) = (rest.get(2..length), rest.get(length..)) else { return found };
                match (kind, value) {
                    // RFC 7323 §2.3: a larger shift is to be read as 14.
                    (3, &[shift]) => found.window_scale = Some(shift.min(14)),
                    (8, &[a, b, c, d, e, f, g, h]) => {
                        found.timestamps = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
                    }
                    _ => {}
                }
                rest = after;
            }
            [_] => return found,
        }
    }
}

/// Sums the segment with its pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).
fn verify(cursor: &Cursor<'_>, context: &Context, counters: &mut Counters) -> Checksum {
    let checksum = if context.bad_checksum {
        Checksum::Bad
    } else if cursor.missing() > 0 || context.offloaded {
        // The card fills in the checksum of an offloaded packet later.
        Checksum::Unknown
    } else {
        let length = cursor.data.len() as u64;
        let mut sum = u64::from(super::ip::TCP) + (length & 0xffff) + (length >> 16);
        for address in [context.header.src, context.header.dst] {
            sum = match address {
                IpAddr::V4(address) => sum_words(sum, &address.octets()),
                IpAddr::V6(address) => sum_words(sum, &address.octets()),
            };
        }
        if sum_words(sum, cursor.data) == 0xffff { Checksum::Good } else { Checksum::Bad }
    };
    if checksum == Checksum::Bad {
        counters.bad_checksums = counters.bad_checksums.wrapping_add(1);
    }
    checksum
}

/// Adds big-endian 16-bit words to `sum` and folds to 16 bits (RFC 1071); 0xffff where the checksum within is right.
pub(crate) fn sum_words(mut sum: u64, bytes: &[u8]) -> u64 {
    let (words, last) = bytes.as_chunks::<4>();
    for word in words {
        sum = sum.wrapping_add(u64::from(u32::from_be_bytes(*word)));
    }
    let mut tail = [0; 4];
    for (slot, byte) in tail.iter_mut().zip(last) {
        *slot = *byte;
    }
    sum = sum.wrapping_add(u64::from(u32::from_be_bytes(tail)));
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stop_at_the_first_malformed_one() {
        let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let mut list = vec![2, 4, 5, 0xb4, 1, 3, 3, 255];
        list.extend(timestamps);
        assert_eq!(options(&list), TcpOptions { window_scale: Some(14), timestamps: Some((1, 2)) });
        // Every cut of the list gives what came before the cut.
        for end in 0..list.len() {
            let cut = options(&list[..end]);
            assert_eq!(cut.window_scale, (end >= 8).then_some(14), "{end}");
            assert_eq!(cut.timestamps, None);
        }
        assert_eq!(options(&[3, 0, 3, 3, 7]), TcpOptions::default(), "length 0 does not loop");
        assert_eq!(options(&[3, 1, 3, 3, 7]), TcpOptions::default());
        assert_eq!(options(&[3, 4, 7, 7, 0]), TcpOptions::default(), "wrong length of a known kind");
        assert_eq!(options(&[27, 8, 0, 0, 0, 0, 0, 0, 3, 3, 7, 0]).window_scale, Some(7));
        assert_eq!(options(&[0, 3, 3, 7]), TcpOptions::default());
        assert_eq!(options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).timestamps, Some((1, 2)));
    }

    #[test]
    fn sums_like_rfc_1071() {
        assert_eq!(sum_words(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        assert_eq!(sum_words(0, &[0xff]), 0xff00);
        assert_eq!(sum_words(0, &[0xff; 65_535]), 0xff00);
    }
}
