//! A whole TCP connection as packets.

use std::net::SocketAddr;
use std::time::Duration;

use umbra_wire::{TcpFlags, Timestamp};

use crate::frame::PacketBuilder;
use crate::trace::Trace;

/// Builds both directions of one TCP connection: handshake, payloads cut into segments, acknowledgements, close.
///
/// Call order is wire order: options first, then [`request`](Self::request) and [`response`](Self::response) as often as
/// wanted, then [`build`](Self::build).
#[derive(Clone, Debug)]
pub struct Conversation {
    client: SocketAddr,
    server: SocketAddr,
    isn: [u32; 2],
    mss: usize,
    start: Timestamp,
    step: Duration,
    tags: Vec<(u16, u16)>,
    handshake: bool,
    acks: bool,
    end: End,
    sends: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Reset,
    Open,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Default for Conversation {
    fn default() -> Self {
        Conversation {
            client: SocketAddr::from(([10, 0, 0, 1], 40_000)),
            server: SocketAddr::from(([10, 0, 0, 2], 80)),
            isn: [1_000, 5_000_000],
            mss: 1_460,
            start: Timestamp::from_parts(1_700_000_000, 0),
            step: Duration::from_micros(100),
            tags: Vec::new(),
            handshake: true,
            acks: true,
            end: End::Fin,
            sends: Vec::new(),
        }
    }
}

impl Conversation {
    /// 10.0.0.1:40000 → 10.0.0.2:80 from 2023-11-14 22:13:20 UTC, a packet each 100 µs, segments of 1,460 bytes.
    pub fn new() -> Self {
        Conversation::default()
    }

    /// Client address.
    pub fn client(mut self, client: SocketAddr) -> Self {
        self.client = client;
        self
    }

    /// Server address.
    pub fn server(mut self, server: SocketAddr) -> Self {
        self.server = server;
        self
    }

    /// The same ports, over IPv6 (2001:db8::1 → 2001:db8::2).
    pub fn ipv6(mut self) -> Self {
        self.client = SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), self.client.port());
        self.server = SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into(), self.server.port());
        self
    }

    /// Initial sequence numbers of client and server.
    pub fn isn(mut self, client: u32, server: u32) -> Self {
        self.isn = [client, server];
        self
    }

    /// Largest payload of a segment in bytes.
    pub fn mss(mut self, mss: usize) -> Self {
        assert!(mss > 0);
        self.mss = mss;
        self
    }

    /// Time of the first packet.
    pub fn start(mut self, start: Timestamp) -> Self {
        self.start = start;
        self
    }

    /// Time from packet to packet.
    pub fn step(mut self, step: Duration) -> Self {
        self.step = step;
        self
    }

    /// Appends an 802.1Q tag to every frame, outermost first.
    pub fn vlan(mut self, id: u16) -> Self {
        self.tags.push((0x8100, id));
        self
    }

    /// Starts in the middle: no handshake packets; sequence numbers as if there had been one.
    pub fn without_handshake(mut self) -> Self {
        self.handshake = false;
        self
    }

    /// No packets that only acknowledge (data still carries the ACK number).
    pub fn without_acks(mut self) -> Self {
        self.acks = false;
        self
    }

    /// The connection stays open at the end.
    pub fn without_close(mut self) -> Self {
        self.end = End::Open;
        self
    }

    /// The client ends the connection with RST instead of FIN.
    pub fn with_reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// The client sends bytes.
    pub fn request(mut self, bytes: &[u8]) -> Self {
        self.sends.push((CLIENT, bytes.to_vec()));
        self
    }

    /// The server sends bytes.
    pub fn response(mut self, bytes: &[u8]) -> Self {
        self.sends.push((SERVER, bytes.to_vec()));
        self
    }

    /// The packets as Ethernet frames.
    pub fn build(&self) -> Trace {
        let mut out = Sender { conversation: self, next: self.isn, ip_id: [0x1000, 0x8000], frames: Vec::new() };
        if self.handshake {
            // MSS 1460, window scale 7: what a Linux host offers, less SACK and timestamps.
            let options = [2, 4, 5, 0xb4, 1, 3, 3, 7];
            out.send(CLIENT, TcpFlags::SYN, &options, &[]);
            out.send(SERVER, TcpFlags::SYN | TcpFlags::ACK, &options, &[]);
            out.send(CLIENT, TcpFlags::ACK, &[], &[]);
        } else {
            out.next = self.isn.map(|isn| isn.wrapping_add(1));
        }
        for (from, bytes) in &self.sends {
            let count = bytes.len().div_ceil(self.mss);
            for (n, part) in bytes.chunks(self.mss).enumerate() {
                let push = if n + 1 == count { TcpFlags::PSH } else { 0 };
                out.send(*from, TcpFlags::ACK | push, &[], part);
                // RFC 9293 §3.8.6.3: an ACK for at least every second full segment, and for the last.
                if self.acks && (n % 2 == 1 || n + 1 == count) {
                    out.send(1 - *from, TcpFlags::ACK, &[], &[]);
                }
            }
        }
        match self.end {
            End::Fin => {
                out.send(CLIENT, TcpFlags::FIN | TcpFlags::ACK, &[], &[]);
                out.send(SERVER, TcpFlags::FIN | TcpFlags::ACK, &[], &[]);
                out.send(CLIENT, TcpFlags::ACK, &[], &[]);
            }
            End::Reset => out.send(CLIENT, TcpFlags::RST | TcpFlags::ACK, &[], &[]),
            End::Open => {}
        }
        Trace::ethernet(out.frames)
    }
}

struct Sender<'a> {
    conversation: &'a Conversation,
    next: [u32; 2],
    ip_id: [u16; 2],
    frames: Vec<(Timestamp, Vec<u8>)>,
}

impl Sender<'_> {
    fn send(&mut self, from: usize, flags: u8, options: &[u8], payload: &[u8]) {
        let conversation = self.conversation;
        let ends = [conversation.client, conversation.server];
        let mut packet = PacketBuilder::tcp(ends[from], ends[1 - from])
            .seq(self.next[from])
            .flags(flags)
            .ip_id(self.ip_id[from])
            .tcp_options(options)
            .payload(payload);
        if flags & TcpFlags::ACK != 0 {
            packet = packet.ack(self.next[1 - from]);
        }
        for (ethertype, id) in &conversation.tags {
            packet = packet.tag(*ethertype, *id);
        }
        let steps = u32::try_from(self.frames.len()).unwrap();
        self.frames.push((conversation.start.after(conversation.step * steps), packet.build()));
        self.ip_id[from] = self.ip_id[from].wrapping_add(1);
        let used = payload.len() + usize::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0);
        self.next[from] = self.next[from].wrapping_add(u32::try_from(used).unwrap());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{SlicedPacket, TransportSlice};

    #[test]
    fn payloads_sequence_and_acks_add_up_over_the_wrap() {
        let request = vec![b'q'; 4_000];
        let response = vec![b'r'; 3_001];
        let conversation =
            Conversation::new().ipv6().vlan(9).isn(u32::MAX - 1_000, 0).request(&request).response(&response);
        let trace = conversation.build();
        let mut bytes = [Vec::new(), Vec::new()];
        let mut next = [None, None];
        for packet in trace.packets() {
            let sliced = SlicedPacket::from_ethernet(packet.data).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
            let from = usize::from(tcp.source_port() == 80);
            let expected = next[from].unwrap_or(tcp.sequence_number());
            assert_eq!(tcp.sequence_number(), expected);
            if tcp.ack() {
                assert_eq!(Some(tcp.acknowledgment_number()), next[1 - from]);
            }
            let used = tcp.payload().len() + usize::from(tcp.syn() || tcp.fin());
            next[from] = Some(expected.wrapping_add(used as u32));
            bytes[from].extend_from_slice(tcp.payload());
        }
        assert_eq!(bytes, [request, response]);
        // 3 handshake, 3 + 2 request, 3 + 2 response, 3 close.
        assert_eq!(trace.len(), 16);
    }

    #[test]
    fn starts_and_ends_as_told() {
        let open = Conversation::new().without_handshake().without_acks().without_close().request(b"x");
        assert_eq!(open.build().len(), 1);
        assert_eq!(open.with_reset().build().len(), 2);
    }
}
