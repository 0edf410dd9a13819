//! IPv4, IPv6, extension headers.
//!
//! Read field by field rather than through a slice type of a crate: each length here may lie or be cut, and a cut header
//! must be told from a malformed one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Config;
use crate::counters::{Counters, LayerKind, ProtocolKind, Reason};
use crate::cursor::Cursor;
use crate::decoder::{Context, FragmentHeader, Layer};
use crate::link::Step;
use crate::tcp::sum_words;

/// IP protocol numbers.
pub(crate) const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// The shortest Ethernet payload: what is not longer may be padding only.
const ETHERNET_MINIMUM: usize = 46;

/// By the version in the first four bits.
#[inline]
pub(crate) fn by_version(cursor: &Cursor<'_>) -> Step {
    let [first] = *cursor.peek::<1>(LayerKind::Link)?;
    match first >> 4 {
        4 => Ok(Layer::Ipv4),
        6 => Ok(Layer::Ipv6),
        _ => Err(Reason::Malformed(LayerKind::Link)),
    }
}

/// RFC 791 §3.1: `version, words(1) service(1) length(2) id(2) flags, offset(2) TTL(1) protocol(1) checksum(2)
/// source(4) destination(4) options`.
#[inline]
pub(crate) fn ipv4(cursor: &mut Cursor<'_>, context: &mut Context, config: &Config, counters: &mut Counters) -> Step {
    let header = cursor.peek::<20>(LayerKind::Ipv4)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_len < 20 || (total < header_len && total != 0) {
        return Err(Reason::Malformed(LayerKind::Ipv4));
    }
    if total == 0 {
        // Captured before the network card cut it into packets: the length is that of the frame.
        if cursor.wire <= ETHERNET_MINIMUM {
            return Err(Reason::Malformed(LayerKind::Ipv4));
        }
        context.offloaded = true;
        counters.zero_lengths = counters.zero_lengths.wrapping_add(1);
    } else {
        if total > cursor.wire {
            counters.lengths_beyond_frame = counters.lengths_beyond_frame.wrapping_add(1);
        }
        cursor.claim(total);
    }
    let checksummed = cursor.data.get(..header_len);
    cursor.skip(header_len, LayerKind::Ipv4)?;
    if config.checksums && checksummed.is_some_and(|header| sum_words(0, header) != 0xffff) {
        context.bad_checksum = true;
    }
    context.header.src = IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15]));
    context.header.dst = IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19]));
    context.header.ip_id = u16::from_be_bytes([header[4], header[5]]);
    let protocol = header[9];
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x3fff != 0 {
        return Ok(Layer::Fragment(FragmentHeader {
            id: u32::from(context.header.ip_id),
            start: u32::from(fragment & 0x1fff) * 8,
            more: fragment & 0x2000 != 0,
            protocol,
            header_len: header_len as u32,
        }));
    }
    Ok(Layer::Transport(protocol))
}

/// RFC 8200 §3: `version, class, label(4) payload length(2) next header(1) hop limit(1) source(16) destination(16)`.
#[inline]
pub(crate) fn ipv6(cursor: &mut Cursor<'_>, context: &mut Context, counters: &mut Counters) -> Step {
    let header = cursor.take::<40>(LayerKind::Ipv6)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::Malformed(LayerKind::Ipv6));
    }
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if payload_len == 0 {
        // A jumbogram (its hop-by-hop option is read below), an offloaded packet, or nothing at all.
        context.offloaded = true;
        counters.zero_lengths = counters.zero_lengths.wrapping_add(1);
    } else {
        if payload_len > cursor.wire {
            counters.lengths_beyond_frame = counters.lengths_beyond_frame.wrapping_add(1);
        }
        cursor.claim(payload_len);
    }
    let (_, addresses) = header.split_at(8);
    if let Some((src, rest)) = addresses.split_first_chunk::<16>() {
        context.header.src = IpAddr::V6(Ipv6Addr::from(*src));
        if let Some(dst) = rest.first_chunk::<16>() {
            context.header.dst = IpAddr::V6(Ipv6Addr::from(*dst));
        }
    }
    context.header.ip_id = 0;
    Ok(Layer::Transport(header[6]))
}

/// A protocol other than TCP: an extension header, a fragment header, or the end of the way. Tunnels will go on from here:
/// UDP by port and content, GRE, IP in IP and the others by their number.
#[cold]
pub(crate) fn other_protocol(protocol: u8, cursor: &mut Cursor<'_>, context: &mut Context, config: &Config) -> Step {
    let v6 = context.header.src.is_ipv6();
    match protocol {
        HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 if v6 => {
            context.extension(config)?;
            let [next, words] = *cursor.peek::<2>(LayerKind::Extension)?;
            if protocol == HOP_BY_HOP && context.offloaded {
                jumbo(cursor, usize::from(words) * 8 + 8);
            }
            cursor.skip(usize::from(words) * 8 + 8, LayerKind::Extension)?;
            Ok(Layer::Transport(next))
        }
        FRAGMENT if v6 => {
            context.extension(config)?;
            let header = cursor.take::<8>(LayerKind::Extension)?;
            let word = u16::from_be_bytes([header[2], header[3]]);
            let (start, more) = (u32::from(word & 0xfff8), word & 1 != 0);
            // RFC 6946: an atomic fragment is a whole datagram whatever else is in flight.
            if start == 0 && !more {
                return Ok(Layer::Transport(header[0]));
            }
            Ok(Layer::Fragment(FragmentHeader {
                id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                start,
                more,
                protocol: header[0],
                header_len: 0,
            }))
        }
        AUTHENTICATION => {
            // RFC 4302 §2.2: the length is in words, less two; so 0 is eight bytes, which is too short to be right but goes on.
            context.extension(config)?;
            let [next, words] = *cursor.peek::<2>(LayerKind::Extension)?;
            cursor.skip(usize::from(words) * 4 + 8, LayerKind::Extension)?;
            Ok(Layer::Transport(next))
        }
        _ => Err(not_followed(protocol)),
    }
}

/// The kind of a protocol that is not followed.
#[cold]
pub(crate) fn not_followed(protocol: u8) -> Reason {
    Reason::Protocol(match protocol {
        UDP => ProtocolKind::Udp,
        1 => ProtocolKind::Icmp,
        58 => ProtocolKind::Icmpv6,
        2 => ProtocolKind::Igmp,
        132 => ProtocolKind::Sctp,
        47 => ProtocolKind::Gre,
        4 => ProtocolKind::Ipip,
        41 => ProtocolKind::Ip6ip,
        97 => ProtocolKind::EtherIp,
        115 => ProtocolKind::L2tp,
        137 => ProtocolKind::MplsIp,
        50 => ProtocolKind::Esp,
        88 | 89 | 103 | 112 => ProtocolKind::Routing,
        NO_NEXT => ProtocolKind::None,
        _ => ProtocolKind::Other,
    })
}

/// Whether fragments of this protocol are worth keeping: TCP, and the headers that may stand before it. Tunnels add theirs.
pub(crate) fn worth_reassembling(protocol: u8, v6: bool) -> bool {
    match protocol {
        TCP | AUTHENTICATION => true,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY | HIP | SHIM6 => v6,
        _ => false,
    }
}

/// RFC 2675 §2: the jumbo payload option (0xc2, 4 bytes) holds the length of all that follows the IPv6 header.
fn jumbo(cursor: &mut Cursor<'_>, header_len: usize) {
    let mut options = cursor.data.get(2..header_len).unwrap_or_default();
    while let Some((&kind, rest)) = options.split_first() {
        if kind == 0 {
            options = rest; // Pad1
            continue;
        }
        let Some((&length, rest)) = rest.split_first() else { return };
        let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else { return };
        if let (0xc2, &[a, b, c, d]) = (kind, value) {
            // Not believed beyond the frame: 4 GiB of missing bytes would be made of one packet.
            let claimed = u32::from_be_bytes([a, b, c, d]) as usize;
            if claimed >= header_len {
                cursor.claim(claimed.min(cursor.wire));
            }
            return;
        }
        options = rest;
    }
}
