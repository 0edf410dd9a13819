//! Everything below IP: link types, VLAN, MPLS, PPPoE, LLC.

use crate::counters::{EtherKind, LayerKind, Reason};
use crate::cursor::Cursor;
use crate::decoder::{Context, Layer};
use crate::packet::LinkType;

/// A step of the walk: the next layer, or why there is none.
pub(crate) type Step = Result<Layer, Reason>;

/// The first layer of a packet of this link type.
#[inline]
pub(crate) fn first(link: LinkType) -> Step {
    Ok(match link {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::NULL | LinkType::LOOP => Layer::Loopback,
        LinkType::LINUX_SLL => Layer::Cooked,
        LinkType::LINUX_SLL2 => Layer::Cooked2,
        // 14: DLT_RAW of OpenBSD.
        LinkType::RAW | LinkType::DLT_RAW | LinkType(14) | LinkType::IPV4 | LinkType::IPV6 => Layer::Ip,
        LinkType::NFLOG => Layer::Nflog,
        LinkType::C_HDLC | LinkType(50) => Layer::Hdlc,
        LinkType(9) => Layer::Ppp,
        LinkType(105) => Layer::Wifi { end_bytes: 0, padded: false },
        LinkType(127) => Layer::Radiotap,
        LinkType(number) => return Err(Reason::LinkType(number)),
    })
}

/// The layer an ethertype announces; `Err` for what is not followed. Values below 0x600 are no ethertypes.
#[inline]
pub(crate) fn of_ethertype(ethertype: u16) -> Step {
    Ok(match ethertype {
        0x0800 => Layer::Ipv4,
        0x86dd => Layer::Ipv6,
        // 802.1Q, 802.1ad, and what switches used for QinQ before it.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => Layer::Vlan,
        _ => return of_rare_ethertype(ethertype),
    })
}

#[cold]
fn of_rare_ethertype(ethertype: u16) -> Step {
    Err(Reason::Ether(match ethertype {
        0x8847 | 0x8848 => return Ok(Layer::Mpls),
        0x8864 => return Ok(Layer::Pppoe),
        0x88e7 => return Ok(Layer::Pbb),
        0x8926 => return Ok(Layer::VnTag),
        0x0806 | 0x8035 => EtherKind::Arp,
        0x88cc => EtherKind::Lldp,
        0x8809 => EtherKind::Slow,
        0x888e => EtherKind::Eapol,
        0x8863 => EtherKind::PppoeDiscovery,
        0x88e5 => EtherKind::Macsec,
        0x894f => EtherKind::Nsh,
        _ => EtherKind::Other,
    }))
}

/// `dst(6) src(6) type(2)`; a type below 0x600 is the length of an 802.3 frame with LLC.
#[inline]
pub(crate) fn ethernet(cursor: &mut Cursor<'_>) -> Step {
    let header = cursor.take::<14>(LayerKind::Ethernet)?;
    type_or_length(u16::from_be_bytes([header[12], header[13]]), cursor)
}

/// What follows a field that is an ethertype or, below 0x600, a length.
#[inline]
fn type_or_length(value: u16, cursor: &mut Cursor<'_>) -> Step {
    if value >= 0x0600 {
        return of_ethertype(value);
    }
    cursor.claim(usize::from(value));
    Ok(Layer::Llc)
}

/// `DSAP(1) SSAP(1) control(1)`, for SNAP followed by `OUI(3) type(2)` (RFC 1042).
pub(crate) fn llc(cursor: &mut Cursor<'_>) -> Step {
    let [dsap, ssap, control] = *cursor.take::<3>(LayerKind::Ethernet)?;
    match (dsap, ssap, control) {
        (0xaa, 0xaa, 0x03) => {
            let snap = cursor.take::<5>(LayerKind::Ethernet)?;
            match snap {
                // 00-00-00: RFC 1042; 00-00-f8: 802.1H bridge tunnel; both carry an ethertype.
                [0, 0, 0 | 0xf8, high, low] => of_ethertype(u16::from_be_bytes([*high, *low])),
                _ => Err(Reason::Ether(EtherKind::Llc)),
            }
        }
        (0x06, 0x06, 0x03) => Ok(Layer::Ip),
        _ => Err(Reason::Ether(EtherKind::Llc)),
    }
}

/// `priority(3 bits) DEI(1) id(12) type(2 bytes)`.
#[inline]
pub(crate) fn vlan(cursor: &mut Cursor<'_>, context: &mut Context) -> Step {
    let [high, low, type_high, type_low] = *cursor.take::<4>(LayerKind::Vlan)?;
    context.header.vlan.push(u16::from_be_bytes([high, low]));
    type_or_length(u16::from_be_bytes([type_high, type_low]), cursor)
}

/// 802.1ah I-TAG: `flags(1) I-SID(3)`, then the customer's frame.
pub(crate) fn pbb(cursor: &mut Cursor<'_>) -> Step {
    cursor.take::<4>(LayerKind::Vlan)?;
    Ok(Layer::Ethernet)
}

/// Cisco VN-Tag (802.1BR): `tag(4) type(2)`.
pub(crate) fn vn_tag(cursor: &mut Cursor<'_>) -> Step {
    let tag = cursor.take::<6>(LayerKind::Vlan)?;
    type_or_length(u16::from_be_bytes([tag[4], tag[5]]), cursor)
}

/// One label: `label(20 bits) class(3) bottom(1) TTL(8)` (RFC 3032 §2.1). What follows the last one is not announced.
pub(crate) fn mpls(cursor: &mut Cursor<'_>) -> Step {
    let [.., low, _] = *cursor.take::<4>(LayerKind::Mpls)?;
    if low & 1 == 0 {
        return Ok(Layer::Mpls);
    }
    let [first] = *cursor.peek::<1>(LayerKind::Mpls)?;
    match first >> 4 {
        4 => Ok(Layer::Ipv4),
        6 => Ok(Layer::Ipv6),
        0 => {
            if control_word(cursor)? {
                cursor.take::<4>(LayerKind::Mpls)?;
            }
            Ok(Layer::Ethernet)
        }
        // RFC 4385 §5: 0001 is an associated channel: operation and maintenance.
        1 => Err(Reason::Ether(EtherKind::Mpls)),
        _ => Ok(Layer::Ethernet),
    }
}

/// Whether a pseudowire starts with a control word (RFC 4385 §3) or, its first bits being 0 too, with the MAC address of a
/// frame: then an ethertype that is followed stands where a frame has it.
fn control_word(cursor: &Cursor<'_>) -> Result<bool, Reason> {
    let start = cursor.peek::<14>(LayerKind::Mpls)?;
    if start.starts_with(&[0; 4]) {
        return Ok(true);
    }
    Ok(of_ethertype(u16::from_be_bytes([start[12], start[13]])).is_err())
}

/// `version and type(1) code(1) session(2) length(2)` (RFC 2516 §4); code 0 is data.
pub(crate) fn pppoe(cursor: &mut Cursor<'_>) -> Step {
    let header = cursor.take::<6>(LayerKind::Ppp)?;
    if header[0] != 0x11 || header[1] != 0 {
        return Err(Reason::Malformed(LayerKind::Ppp));
    }
    cursor.claim(usize::from(u16::from_be_bytes([header[4], header[5]])));
    Ok(Layer::Ppp)
}

/// `[address(ff) control(03)] protocol(1 or 2)` (RFC 1661 §2, §6.5).
pub(crate) fn ppp(cursor: &mut Cursor<'_>) -> Step {
    // ff is no protocol number (RFC 1661 §2), not even a compressed one.
    if cursor.data.first() == Some(&0xff) {
        cursor.take::<2>(LayerKind::Ppp)?;
    }
    let [high] = *cursor.take::<1>(LayerKind::Ppp)?;
    // An odd first byte is a protocol number compressed to one byte.
    let protocol = if high & 1 == 1 {
        u16::from(high)
    } else {
        let [low] = *cursor.take::<1>(LayerKind::Ppp)?;
        u16::from_be_bytes([high, low])
    };
    match protocol {
        0x0021 => Ok(Layer::Ipv4),
        0x0057 => Ok(Layer::Ipv6),
        0x0281 | 0x0283 => Ok(Layer::Mpls),
        _ => Err(Reason::Ether(EtherKind::Ppp)),
    }
}

/// Cisco HDLC `address(0f or 8f) control(00) type(2)`, or PPP in HDLC framing (address ff).
pub(crate) fn hdlc(cursor: &mut Cursor<'_>) -> Step {
    let [address] = *cursor.peek::<1>(LayerKind::Link)?;
    if address == 0xff {
        return Ok(Layer::Ppp);
    }
    let [_, _, high, low] = *cursor.take::<4>(LayerKind::Link)?;
    of_ethertype(u16::from_be_bytes([high, low]))
}

/// Linux cooked capture: `direction(2) hardware(2) length(2) address(8) protocol(2)`.
pub(crate) fn cooked(cursor: &mut Cursor<'_>) -> Step {
    let header = cursor.take::<16>(LayerKind::Link)?;
    of_cooked(u16::from_be_bytes([header[14], header[15]]))
}

/// Linux cooked capture v2: `protocol(2) reserved(2) interface(4) hardware(2) direction(1) length(1) address(8)`.
pub(crate) fn cooked2(cursor: &mut Cursor<'_>) -> Step {
    let header = cursor.take::<20>(LayerKind::Link)?;
    of_cooked(u16::from_be_bytes([header[0], header[1]]))
}

fn of_cooked(protocol: u16) -> Step {
    match protocol {
        0x0004 => Ok(Layer::Llc), // LINUX_SLL_P_802_2
        0..0x0600 => Err(Reason::Ether(EtherKind::Other)),
        _ => of_ethertype(protocol),
    }
}

/// `address family(4)`, in the byte order of the machine that captured (NULL) or of the network (LOOP).
pub(crate) fn loopback(cursor: &mut Cursor<'_>) -> Step {
    let bytes = cursor.take::<4>(LayerKind::Link)?;
    let family = u32::from_be_bytes(*bytes).min(u32::from_le_bytes(*bytes));
    match family {
        2 => Ok(Layer::Ipv4),
        // AF_INET6: 24 NetBSD, OpenBSD, BSD/OS; 28 FreeBSD; 30 macOS; 10 Linux; 23 Windows.
        10 | 23 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        _ => Err(Reason::Ether(EtherKind::Family)),
    }
}

/// `family(1) version(1) resource(2)`, then attributes `length(2) type(2) value`, padded to four bytes; the packet is
/// attribute 9. Lengths and types are in the byte order of the machine that captured.
pub(crate) fn nflog(cursor: &mut Cursor<'_>) -> Step {
    const ATTRIBUTES: usize = 64; // twice what the kernel has
    const PAYLOAD: u16 = 9;
    cursor.take::<4>(LayerKind::Link)?;
    for _ in 0..ATTRIBUTES {
        let [a, b, c, d] = *cursor.peek::<4>(LayerKind::Link)?;
        let little = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let big = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        // The high bits of the type are flags that are not used here, so a type is small in the right order only.
        let (length, kind) = if little.1 <= 0xff { little } else { big };
        let length = usize::from(length);
        if length < 4 || kind > 0xff {
            return Err(Reason::Malformed(LayerKind::Link));
        }
        if kind == PAYLOAD {
            cursor.skip(4, LayerKind::Link)?;
            cursor.claim(length - 4);
            return Ok(Layer::Ip);
        }
        cursor.skip(length.next_multiple_of(4), LayerKind::Link)?;
    }
    Err(Reason::Malformed(LayerKind::Link))
}
