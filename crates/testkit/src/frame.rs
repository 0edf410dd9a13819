//! One frame: Ethernet, VLAN tags, IPv4 or IPv6, TCP, payload.

use std::net::{IpAddr, SocketAddr};

use umbra_wire::TcpFlags;

/// Builds one TCP packet with right lengths and checksums.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    src: SocketAddr,
    dst: SocketAddr,
    src_mac: [u8; 6],
    dst_mac: [u8; 6],
    tags: Vec<(u16, u16)>,
    ttl: u8,
    ip_id: u16,
    ip_options: Vec<u8>,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    urgent: u16,
    tcp_options: Vec<u8>,
    payload: Vec<u8>,
}

impl PacketBuilder {
    /// A segment from `src` to `dst`, both of one family, with only the ACK flag set and no payload.
    pub fn tcp(src: SocketAddr, dst: SocketAddr) -> PacketBuilder {
        assert_eq!(src.is_ipv4(), dst.is_ipv4(), "one address family per packet");
        PacketBuilder {
            src,
            dst,
            src_mac: [2, 0, 0, 0, 0, 1],
            dst_mac: [2, 0, 0, 0, 0, 2],
            tags: Vec::new(),
            ttl: 64,
            ip_id: 0,
            ip_options: Vec::new(),
            seq: 0,
            ack: 0,
            flags: TcpFlags::ACK,
            window: 65_000,
            urgent: 0,
            tcp_options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Source and destination MAC address.
    pub fn macs(mut self, src: [u8; 6], dst: [u8; 6]) -> Self {
        (self.src_mac, self.dst_mac) = (src, dst);
        self
    }

    /// Appends an 802.1Q tag (0x8100), outermost first.
    pub fn vlan(self, id: u16) -> Self {
        self.tag(0x8100, id)
    }

    /// Appends a VLAN tag with any ethertype (0x88a8, 0x9100), outermost first.
    pub fn tag(mut self, ethertype: u16, id: u16) -> Self {
        self.tags.push((ethertype, id));
        self
    }

    /// IPv4 time to live or IPv6 hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// IPv4 identification; also the id of the fragments of either family.
    pub fn ip_id(mut self, id: u16) -> Self {
        self.ip_id = id;
        self
    }

    /// IPv4 options, padded here to a multiple of four bytes; at most 40.
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_options = padded(options);
        self
    }

    /// Sequence number.
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    /// Acknowledgement number.
    pub fn ack(mut self, ack: u32) -> Self {
        self.ack = ack;
        self
    }

    /// Flag byte, from the constants of [`TcpFlags`].
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Window, unscaled.
    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// Urgent pointer.
    pub fn urgent(mut self, pointer: u16) -> Self {
        self.urgent = pointer;
        self
    }

    /// TCP options, padded here to a multiple of four bytes; at most 40.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp_options = padded(options);
        self
    }

    /// Payload.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// The TCP header and payload.
    pub fn build_tcp(&self) -> Vec<u8> {
        let header_words = 5 + self.tcp_options.len() / 4;
        assert!(header_words <= 15, "at most 40 bytes of TCP options");
        let mut out = Vec::with_capacity(header_words * 4 + self.payload.len());
        out.extend_from_slice(&self.src.port().to_be_bytes());
        out.extend_from_slice(&self.dst.port().to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[(header_words as u8) << 4, self.flags]);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.urgent.to_be_bytes());
        out.extend_from_slice(&self.tcp_options);
        out.extend_from_slice(&self.payload);
        let mut pseudo = Vec::new();
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                pseudo.extend_from_slice(&src.octets());
                pseudo.extend_from_slice(&dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                pseudo.extend_from_slice(&src.octets());
                pseudo.extend_from_slice(&dst.octets());
            }
            _ => unreachable!("checked in tcp()"),
        }
        pseudo.extend_from_slice(&(out.len() as u32).to_be_bytes());
        pseudo.extend_from_slice(&6u32.to_be_bytes());
        pseudo.extend_from_slice(&out);
        let checksum = internet_checksum(&pseudo);
        out[16..18].copy_from_slice(&checksum.to_be_bytes());
        out
    }

    /// The IP packet: what a raw IP link carries.
    pub fn build_ip(&self) -> Vec<u8> {
        let tcp = self.build_tcp();
        self.ip_packet(&tcp, None)
    }

    /// The whole Ethernet frame.
    pub fn build(&self) -> Vec<u8> {
        self.ethernet(&self.build_ip())
    }

    /// The Ethernet frames of the packet cut into IP fragments of `size` payload bytes (rounded down to a multiple of 8,
    /// at least 8). One whole frame where nothing has to be cut.
    pub fn build_fragments(&self, size: usize) -> Vec<Vec<u8>> {
        let tcp = self.build_tcp();
        let size = (size / 8 * 8).max(8);
        if tcp.len() <= size {
            return vec![self.build()];
        }
        let last = (tcp.len() - 1) / size;
        tcp.chunks(size)
            .enumerate()
            .map(|(n, chunk)| {
                let offset = u16::try_from(n * size).unwrap();
                self.ethernet(&self.ip_packet(chunk, Some((offset, n < last))))
            })
            .collect()
    }

    fn ethernet(&self, ip: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(14 + self.tags.len() * 4 + ip.len());
        out.extend_from_slice(&self.dst_mac);
        out.extend_from_slice(&self.src_mac);
        for (ethertype, id) in &self.tags {
            out.extend_from_slice(&ethertype.to_be_bytes());
            out.extend_from_slice(&id.to_be_bytes());
        }
        out.extend_from_slice(if self.src.is_ipv4() { &[0x08, 0x00] } else { &[0x86, 0xdd] });
        out.extend_from_slice(ip);
        out
    }

    /// An IP packet of TCP bytes; `fragment` is the offset in bytes and the more-fragments flag.
    fn ip_packet(&self, body: &[u8], fragment: Option<(u16, bool)>) -> Vec<u8> {
        let mut out = Vec::with_capacity(60 + body.len());
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header_words = 5 + self.ip_options.len() / 4;
                assert!(header_words <= 15, "at most 40 bytes of IPv4 options");
                let total =
                    u16::try_from(header_words * 4 + body.len()).expect("an IPv4 packet of at most 65,535 bytes");
                out.extend_from_slice(&[0x40 | header_words as u8, 0]);
                out.extend_from_slice(&total.to_be_bytes());
                out.extend_from_slice(&self.ip_id.to_be_bytes());
                let word = match fragment {
                    Some((offset, more)) => (offset / 8) | (u16::from(more) << 13),
                    None => 0x4000, // don't fragment
                };
                out.extend_from_slice(&word.to_be_bytes());
                out.extend_from_slice(&[self.ttl, 6, 0, 0]);
                out.extend_from_slice(&src.octets());
                out.extend_from_slice(&dst.octets());
                out.extend_from_slice(&self.ip_options);
                let checksum = internet_checksum(&out);
                out[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let extension = if fragment.is_some() { 8 } else { 0 };
                let length = u16::try_from(extension + body.len()).expect("an IPv6 payload of at most 65,535 bytes");
                out.extend_from_slice(&[0x60, 0, 0, 0]);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&[if fragment.is_some() { 44 } else { 6 }, self.ttl]);
                out.extend_from_slice(&src.octets());
                out.extend_from_slice(&dst.octets());
                if let Some((offset, more)) = fragment {
                    out.extend_from_slice(&[6, 0]);
                    out.extend_from_slice(&(offset | u16::from(more)).to_be_bytes());
                    out.extend_from_slice(&u32::from(self.ip_id).to_be_bytes());
                }
            }
            _ => unreachable!("checked in tcp()"),
        }
        out.extend_from_slice(body);
        out
    }
}

/// The Internet checksum (RFC 1071) of bytes whose checksum field is zero.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += (u32::from(pair[0]) << 8) | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn padded(options: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    fn builder(v6: bool) -> PacketBuilder {
        let (src, dst) =
            if v6 { ("[2001:db8::1]:40000", "[2001:db8::2]:80") } else { ("10.0.0.1:40000", "10.0.0.2:80") };
        PacketBuilder::tcp(src.parse().unwrap(), dst.parse().unwrap())
            .seq(7)
            .ack(9)
            .flags(TcpFlags::ACK | TcpFlags::PSH)
            .tcp_options(&[2, 4, 5, 0xb4, 3, 3, 7])
            .payload(b"hello")
            .ip_id(77)
    }

    #[test]
    fn a_strict_parser_agrees() {
        for v6 in [false, true] {
            let frame = builder(v6).tag(0x88a8, 3).vlan(12).build();
            let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
            assert_eq!(sliced.link_exts.len(), 2);
            let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("no TCP") };
            assert_eq!((tcp.source_port(), tcp.destination_port()), (40_000, 80));
            assert_eq!((tcp.sequence_number(), tcp.acknowledgment_number()), (7, 9));
            assert_eq!(tcp.payload(), b"hello");
            match sliced.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    assert_eq!(ip.header().identification(), 77);
                    assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
                    assert_eq!(
                        tcp.checksum(),
                        tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
                    );
                }
                NetSlice::Ipv6(ip) => {
                    let (src, dst) = (ip.header().source(), ip.header().destination());
                    assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv6(src, dst).unwrap());
                }
                NetSlice::Arp(_) => panic!("not IP"),
            }
        }
    }

    #[test]
    fn fragments_add_up() {
        for v6 in [false, true] {
            let packet = builder(v6).payload(&[b'x'; 100]);
            let frames = packet.build_fragments(40);
            assert_eq!(frames.len(), (28 + 100usize).div_ceil(40));
            let header = if v6 { 14 + 40 + 8 } else { 14 + 20 };
            let joined: Vec<u8> = frames.iter().flat_map(|frame| frame[header..].to_vec()).collect();
            assert_eq!(joined, packet.build_tcp());
        }
    }
}
