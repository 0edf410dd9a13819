//! The way nearly every packet goes, in one piece: Ethernet, at most one VLAN tag, IPv4 without options or IPv6 without
//! extension headers, TCP, all of it captured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ip;
use crate::packet::{LinkType, Packet};
use crate::segment::{Checksum, SegmentHeader, TcpFlags, VlanIds};
use crate::tcp;

/// Layers of such a packet: what [`Config::max_layers`](crate::Config::max_layers) must allow.
pub(crate) const LAYERS: u8 = 4;

/// The payload of the segment of an ordinary packet, and its header in `header`, exactly as the walk from layer to layer
/// gives them (the tests compare the two). `None` for any other packet, whatever is the matter with it: the walk finds out;
/// `header` may have been begun then.
///
/// Checksums are not looked at: not for those who want them verified.
#[inline]
pub(crate) fn segment<'a>(packet: &Packet<'a>, header: &mut SegmentHeader) -> Option<&'a [u8]> {
    if packet.link != LinkType::ETHERNET {
        return None;
    }
    let (ethernet, mut rest) = packet.data.split_first_chunk::<14>()?;
    let mut ethertype = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    let mut vlan = VlanIds::default();
    if ethertype == 0x8100 {
        let ([high, low, type_high, type_low], after) = rest.split_first_chunk::<4>()?;
        vlan.push(u16::from_be_bytes([*high, *low]));
        ethertype = u16::from_be_bytes([*type_high, *type_low]);
        rest = after;
    }
    // Addresses go straight to their place: chosen between the two families on the way, they would be copied in pieces that are not
    // those they were written in, which stalls.
    let tcp = match ethertype {
        0x0800 => {
            let h = rest.first_chunk::<20>()?;
            let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
            // Version 4 and five words; neither a fragment nor more to come; TCP.
            if h[0] != 0x45 || (h[6] & 0x3f) | h[7] != 0 || h[9] != ip::TCP {
                return None;
            }
            header.src = IpAddr::V4(Ipv4Addr::new(h[12], h[13], h[14], h[15]));
            header.dst = IpAddr::V4(Ipv4Addr::new(h[16], h[17], h[18], h[19]));
            header.ip_id = u16::from_be_bytes([h[4], h[5]]);
            rest.get(20..total)?
        }
        0x86dd => {
            let (h, rest) = rest.split_first_chunk::<40>()?;
            let payload_len = usize::from(u16::from_be_bytes([h[4], h[5]]));
            if h[0] >> 4 != 6 || h[6] != ip::TCP {
                return None;
            }
            let (_, addresses) = h.split_at(8);
            let (src, dst) = addresses.split_first_chunk::<16>()?;
            let dst = dst.first_chunk::<16>()?;
            header.src = IpAddr::V6(Ipv6Addr::from(*src));
            header.dst = IpAddr::V6(Ipv6Addr::from(*dst));
            header.ip_id = 0;
            rest.get(..payload_len)?
        }
        _ => return None,
    };
    let h = tcp.first_chunk::<20>()?;
    let header_len = usize::from(h[12] >> 4) * 4;
    // `None` where the header is shorter than 20 bytes or longer than the packet.
    let options = tcp.get(20..header_len)?;
    let payload = tcp.get(header_len..)?;
    header.time = packet.time;
    header.interface = packet.interface;
    header.vlan = vlan;
    header.tunnel = 0;
    header.src_port = u16::from_be_bytes([h[0], h[1]]);
    header.dst_port = u16::from_be_bytes([h[2], h[3]]);
    header.seq = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    header.ack = u32::from_be_bytes([h[8], h[9], h[10], h[11]]);
    header.flags = TcpFlags(h[13]);
    header.window = u16::from_be_bytes([h[14], h[15]]);
    header.urgent = u16::from_be_bytes([h[18], h[19]]);
    header.options = tcp::options(options);
    header.checksum = Checksum::Unknown;
    header.missing = 0;
    Some(payload)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Config, Decoder, Timestamp};

    const TCP: [u8; 34] = *b"\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x09\x80\x18\xff\xff\x00\x00\x00\x07\
        \x01\x01\x08\x0a\x00\x00\x00\x05\x00\x00\x00\x06hi";

    fn frames() -> Vec<Vec<u8>> {
        let v4 = [0x45, 0, 0, 54, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let mut v6 = [0u8; 40];
        v6[0] = 0x60;
        v6[5] = 34;
        v6[6] = 6;
        v6[23] = 1;
        v6[39] = 2;
        let mut frames = Vec::new();
        for (ethertype, ip) in [(0x0800u16, &v4[..]), (0x86dd, &v6[..])] {
            for tag in [&[][..], &[0x81, 0, 0x20, 7]] {
                let mut frame = vec![2; 12];
                frame.extend(tag);
                frame.extend(ethertype.to_be_bytes());
                frame.extend(ip);
                frame.extend(TCP);
                // Two bytes of padding.
                frame.extend([0, 0]);
                frames.push(frame);
            }
        }
        frames
    }

    /// Both ways give the same, and count the same.
    fn compare(short: &mut Decoder, long: &mut Decoder, data: &[u8], wire_len: usize) -> bool {
        let packet =
            Packet { time: Timestamp(77), link: LinkType::ETHERNET, interface: 3, wire_len: wire_len as u32, data };
        let went_short = segment(&packet, &mut SegmentHeader::new(Timestamp(0), 0)).is_some();
        let one = format!("{:?}", short.decode(&packet));
        let other = format!("{:?}", long.decode(&packet));
        assert_eq!(one, other, "{data:x?} of {wire_len}");
        assert_eq!(format!("{:?}", short.counters()), format!("{:?}", long.counters()));
        went_short
    }

    #[test]
    fn the_short_way_gives_what_the_walk_gives() {
        for frame in frames() {
            let mut short = Decoder::new(Config::default());
            let mut long = Decoder::new(Config::default());
            long.forbid_short_way();
            assert!(compare(&mut short, &mut long, &frame, frame.len()), "{frame:x?}");
            assert!(compare(&mut short, &mut long, &frame, 1500), "padding that was not captured: {frame:x?}");
            for end in 0..frame.len() {
                compare(&mut short, &mut long, &frame[..end], frame.len());
                compare(&mut short, &mut long, &frame[..end], end);
            }
            for at in 12..frame.len() - 4 {
                for value in 0..=255 {
                    let mut changed = frame.clone();
                    changed[at] = value;
                    compare(&mut short, &mut long, &changed, frame.len());
                }
            }
        }
    }
}
