//! IP addresses as text without `fmt` (which costs more than the rest of the event's numbers together).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends an address: dotted decimal, or RFC 5952 for IPv6.
pub fn write_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => write_v4(v4, out),
        IpAddr::V6(v6) => write_v6(v6, out),
    }
}

fn write_v4(address: Ipv4Addr, out: &mut Vec<u8>) {
    let mut text = [0u8; 15];
    let mut at = 0;
    let mut put = |byte: u8| {
        if let Some(slot) = text.get_mut(at) {
            *slot = byte;
            at += 1;
        }
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    out.extend_from_slice(text.get(..at).unwrap_or_default());
}

fn write_v6(address: Ipv6Addr, out: &mut Vec<u8>) {
    if let Some(v4) = address.to_ipv4_mapped() {
        // RFC 5952 §5: the well-known prefix is shown with the dotted form.
        out.extend_from_slice(b"::ffff:");
        return write_v4(v4, out);
    }
    let segments = address.segments();
    // RFC 5952 §4.2: the longest run of two or more zeros, the first of equals.
    let (mut best_start, mut best_len) = (8, 1);
    let mut index = 0;
    while index < 8 {
        let run = segments.iter().skip(index).take_while(|segment| **segment == 0).count();
        if run > best_len {
            (best_start, best_len) = (index, run);
        }
        index += run.max(1);
    }
    let mut index = 0;
    for (position, segment) in segments.into_iter().enumerate() {
        if position < index {
            continue;
        }
        if position == best_start {
            out.extend_from_slice(b"::");
            index = best_start + best_len;
            continue;
        }
        if position > 0 && position != best_start + best_len {
            out.push(b':');
        }
        write_hex16(segment, out);
    }
}

fn write_hex16(value: u16, out: &mut Vec<u8>) {
    let nibbles = value.to_be_bytes().map(|byte| [byte >> 4, byte & 15]);
    let digits = nibbles.as_flattened();
    let skip = digits.iter().take_while(|digit| **digit == 0).count().min(3);
    for digit in digits.iter().skip(skip) {
        out.push(HEX[usize::from(*digit & 15)]);
    }
}

/// 16 bytes as 32 lower-case hex digits.
pub(crate) fn hex128(bytes: [u8; 16]) -> [u8; 32] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let mut text = [0u8; 32];
    for (eight, four) in text.as_chunks_mut::<8>().0.iter_mut().zip(bytes.as_chunks::<4>().0) {
        // Eight digits at once: first a byte for each half byte, then letters are shifted behind the digits.
        let packed = u64::from(u32::from_be_bytes(*four));
        let pairs = (packed << 16 | packed) & 0x0000_ffff_0000_ffff;
        let bytes = (pairs << 8 | pairs) & 0x00ff_00ff_00ff_00ff;
        let digits = (bytes << 4 | bytes) & (ONES * 0x0f);
        let letters = (digits + ONES * 6) >> 4 & ONES;
        *eight = (digits + ONES * b'0' as u64 + letters * (b'a' - b'9' - 1) as u64).to_be_bytes();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: &str) -> String {
        let mut out = Vec::new();
        write_ip(address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn rfc5952_forms() {
        for address in [
            "0.0.0.0",
            "255.255.255.255",
            "10.0.9.100",
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8:0:1:1:1:1:1",
            "2001:0:0:1::1",
            "2001:db8::1:0:0:1",
            "fe80::a00:27ff:fe4e:66a1",
            "::ffff:192.0.2.1",
            "1:2:3:4:5:6:7:8",
            "0:1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:0",
            "1:2:3:4:5:6::",
            "::3:4:5:6:7:8",
        ] {
            assert_eq!(text(address), address);
        }
    }

    /// Every pattern of zero and non-zero segments against the standard library.
    #[test]
    fn every_zero_pattern_as_std() {
        for pattern in 0..256u16 {
            let mut segments = [0u16; 8];
            for (bit, segment) in segments.iter_mut().enumerate() {
                *segment = if pattern >> bit & 1 == 1 { 0xa0 + bit as u16 } else { 0 };
            }
            let address = Ipv6Addr::from(segments);
            if address.octets().starts_with(&[0; 12]) {
                continue; // std shows ::a.b.c.d for the deprecated v4-compatible range; RFC 5952 does not
            }
            let mut out = Vec::new();
            write_v6(address, &mut out);
            assert_eq!(String::from_utf8(out).unwrap_or_default(), address.to_string());
        }
    }
}
