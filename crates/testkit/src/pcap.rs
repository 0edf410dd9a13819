//! Classic pcap files in memory.

use umbra_wire::{LinkType, Timestamp};

/// A classic little-endian pcap file with nanosecond times, snap length 262,144.
///
/// Each packet is (time, wire length, captured bytes); a time past the year 2106 is cut to 32 bits of seconds.
pub fn pcap_file<'a>(link: LinkType, packets: impl IntoIterator<Item = (Timestamp, u32, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&4u16.to_le_bytes());
    out.extend_from_slice(&[0; 8]); // time zone, accuracy
    out.extend_from_slice(&262_144u32.to_le_bytes());
    out.extend_from_slice(&u32::from(link.0).to_le_bytes());
    for (time, wire_len, data) in packets {
        let seconds = (time.nanos() / 1_000_000_000) as u32;
        let nanoseconds = (time.nanos() % 1_000_000_000) as u32;
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanoseconds.to_le_bytes());
        out.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&wire_len.to_le_bytes());
        out.extend_from_slice(data);
    }
    out
}
