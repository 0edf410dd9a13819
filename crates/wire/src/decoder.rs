//! The walk from a packet to its segment.

use crate::clock::PacketClock;
use crate::config::Config;
use crate::counters::{Counters, FragmentKind, Reason};
use crate::cursor::Cursor;
use crate::defrag::{Defrag, Fragment, Key, Verdict};
use crate::packet::{Packet, Timestamp};
use crate::segment::{Segment, SegmentHeader};
use crate::{fast, ip, link, tcp, wifi};

/// Decodes packets of any link type into TCP segments; keeps unfinished IP datagrams.
///
/// One decoder per capture thread: fragments of a datagram must meet in one.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    counters: Counters,
    clock: PacketClock,
    defrag: Defrag,
    /// The datagram put together last; a segment may borrow it.
    datagram: Vec<u8>,
    /// The header of the segment given out last, which borrows it.
    header: SegmentHeader,
    /// Ordinary packets may go the short way.
    ordinary: bool,
}

/// What comes next in a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layer {
    Ethernet,
    Ipv4,
    Ipv6,
    /// What an IP header announces, by protocol number.
    Transport(u8),
    Vlan,
    Fragment(FragmentHeader),
    /// IP, by its version.
    Ip,
    Llc,
    Mpls,
    Pbb,
    VnTag,
    Pppoe,
    Ppp,
    Hdlc,
    Cooked,
    Cooked2,
    Loopback,
    Nflog,
    Radiotap,
    /// IEEE 802.11, less `end_bytes` at its end; `padded` to four bytes.
    Wifi {
        end_bytes: usize,
        padded: bool,
    },
}

/// The fields of a fragment, of either family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FragmentHeader {
    pub(crate) id: u32,
    /// First byte in the datagram.
    pub(crate) start: u32,
    pub(crate) more: bool,
    pub(crate) protocol: u8,
    /// Header bytes that count towards the largest datagram.
    pub(crate) header_len: u32,
}

/// What the layers passed so far have said.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The segment's header, filled in place: it is large, and copies of it would cost as much as the decoding.
    pub(crate) header: SegmentHeader,
    /// The IP length was 0.
    pub(crate) offloaded: bool,
    /// The IPv4 header checksum was wrong.
    pub(crate) bad_checksum: bool,
    layers: u8,
    extensions: u8,
}

impl Context {
    /// Counts an extension header.
    pub(crate) fn extension(&mut self, config: &Config) -> Result<(), Reason> {
        // The walk counts layers; extension headers have their own limit.
        self.layers = self.layers.saturating_sub(1);
        self.extensions = self.extensions.saturating_add(1);
        if self.extensions > config.max_extension_headers { Err(Reason::Depth) } else { Ok(()) }
    }
}

/// How a walk ends.
enum Outcome<'d> {
    /// With a segment: its header is in the context, its payload is this cursor.
    Segment(Cursor<'d>),
    Fragment(FragmentHeader, Cursor<'d>),
    Not(Reason),
}

impl Decoder {
    /// A decoder without unfinished datagrams.
    pub fn new(config: Config) -> Decoder {
        Decoder {
            clock: PacketClock::new(config.clock_jump, config.clock_confirm),
            defrag: Defrag::new(&config),
            counters: Counters::default(),
            datagram: Vec::new(),
            header: SegmentHeader::new(Timestamp(0), 0),
            ordinary: !config.checksums && config.max_layers >= fast::LAYERS,
            config,
        }
    }

    /// Decodes the next packet in capture order. `None`: it holds no TCP segment, or only a part of one that is kept; the
    /// reason is counted.
    ///
    /// The segment borrows the decoder and the packet.
    #[inline]
    pub fn decode<'a>(&'a mut self, packet: &Packet<'a>) -> Option<Segment<'a>> {
        self.clock.observe(packet.time);
        self.counters.packets = self.counters.packets.wrapping_add(1);
        self.counters.bytes = self.counters.bytes.wrapping_add(packet.data.len() as u64);
        if self.ordinary
            && let Some(payload) = fast::segment(packet, &mut self.header)
        {
            self.counters.segments = self.counters.segments.wrapping_add(1);
            return Some(Segment { header: &self.header, payload });
        }
        self.decode_any(packet)
    }

    /// The way from layer to layer, which any packet can go.
    #[inline(never)]
    fn decode_any<'a>(&'a mut self, packet: &Packet<'a>) -> Option<Segment<'a>> {
        let mut context = Context {
            header: SegmentHeader::new(packet.time, packet.interface),
            offloaded: false,
            bad_checksum: false,
            layers: 0,
            extensions: 0,
        };
        let wire_len = usize::try_from(packet.wire_len).unwrap_or(usize::MAX);
        let cursor = Cursor::new(packet.data, wire_len);
        let outcome = match link::first(packet.link) {
            Ok(layer) => walk(layer, cursor, &mut context, &self.config, &mut self.counters),
            Err(reason) => Outcome::Not(reason),
        };
        match outcome {
            Outcome::Segment(payload) => {
                self.counters.segments = self.counters.segments.wrapping_add(1);
                self.header = context.header;
                Some(Segment { header: &self.header, payload: payload.data })
            }
            Outcome::Fragment(header, cursor) => {
                if let Err(reason) = self.insert(header, cursor, &context) {
                    self.counters.count(reason);
                    return None;
                }
                self.decode_datagram(context)
            }
            Outcome::Not(reason) => {
                self.counters.count(reason);
                None
            }
        }
    }

    /// Makes every packet go the long way.
    #[cfg(test)]
    pub(crate) fn forbid_short_way(&mut self) {
        self.ordinary = false;
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The packet clock after the last packet: monotone, and deaf to odd times (see [`PacketClock`]).
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Bytes held by unfinished datagrams, bookkeeping included.
    pub fn fragment_bytes(&self) -> usize {
        self.defrag.bytes()
    }

    /// Datagrams held, unfinished or remembered to tell copies of their fragments.
    pub fn datagrams(&self) -> usize {
        self.defrag.len()
    }

    /// Gives a fragment to its datagram; `Ok` with the protocol where that is complete, in `defrag.complete`.
    #[cold]
    fn insert(&mut self, header: FragmentHeader, cursor: Cursor<'_>, context: &Context) -> Result<(), Reason> {
        insert(&mut self.defrag, &mut self.counters, self.clock.now(), header, cursor, context)
    }

    /// Goes on with the datagram just completed; it may be a fragment again (F014), which is no recursion but a loop that
    /// the layer limit ends.
    #[cold]
    fn decode_datagram(&mut self, mut context: Context) -> Option<Segment<'_>> {
        let result = loop {
            // The datagram is taken out of the table before it is read, so a fragment inside may go into it.
            let protocol = self.defrag.take_complete(&mut self.datagram);
            let cursor = Cursor::new(&self.datagram, self.datagram.len());
            let layer = Layer::Transport(protocol);
            match walk(layer, cursor, &mut context, &self.config, &mut self.counters) {
                Outcome::Segment(payload) => {
                    self.counters.segments = self.counters.segments.wrapping_add(1);
                    // As a place: a borrow that is returned could not be given up in the next round of the loop.
                    break Ok(payload.start..payload.start.saturating_add(payload.data.len()));
                }
                Outcome::Fragment(header, cursor) => {
                    let now = self.clock.now();
                    let inserted = insert(&mut self.defrag, &mut self.counters, now, header, cursor, &context);
                    if let Err(reason) = inserted {
                        break Err(reason);
                    }
                }
                Outcome::Not(reason) => break Err(reason),
            }
        };
        match result {
            // Always within the datagram: the cursor only ever gets smaller.
            Ok(payload) => {
                self.header = context.header;
                Some(Segment { header: &self.header, payload: self.datagram.get(payload).unwrap_or_default() })
            }
            Err(reason) => {
                self.counters.count(reason);
                None
            }
        }
    }
}

/// Takes layer after layer off the packet.
#[inline]
fn walk<'d>(
    mut layer: Layer,
    mut cursor: Cursor<'d>,
    context: &mut Context,
    config: &Config,
    counters: &mut Counters,
) -> Outcome<'d> {
    loop {
        if context.layers >= config.max_layers {
            return Outcome::Not(Reason::Depth);
        }
        context.layers = context.layers.wrapping_add(1);
        let step = match layer {
            Layer::Ethernet => link::ethernet(&mut cursor),
            Layer::Vlan => link::vlan(&mut cursor, context),
            Layer::Ipv4 => ip::ipv4(&mut cursor, context, config, counters),
            Layer::Ipv6 => ip::ipv6(&mut cursor, context, counters),
            Layer::Transport(ip::TCP) => {
                return match tcp::tcp(&mut cursor, context, config, counters) {
                    Ok(()) => Outcome::Segment(cursor),
                    Err(reason) => Outcome::Not(reason),
                };
            }
            Layer::Fragment(header) => return Outcome::Fragment(header, cursor),
            Layer::Transport(protocol) => ip::other_protocol(protocol, &mut cursor, context, config),
            rare => step_rare(rare, &mut cursor),
        };
        match step {
            Ok(next) => layer = next,
            Err(reason) => return Outcome::Not(reason),
        }
    }
}

fn step_rare(layer: Layer, cursor: &mut Cursor<'_>) -> link::Step {
    match layer {
        Layer::Ip => ip::by_version(cursor),
        Layer::Llc => link::llc(cursor),
        Layer::Mpls => link::mpls(cursor),
        Layer::Pbb => link::pbb(cursor),
        Layer::VnTag => link::vn_tag(cursor),
        Layer::Pppoe => link::pppoe(cursor),
        Layer::Ppp => link::ppp(cursor),
        Layer::Hdlc => link::hdlc(cursor),
        Layer::Cooked => link::cooked(cursor),
        Layer::Cooked2 => link::cooked2(cursor),
        Layer::Loopback => link::loopback(cursor),
        Layer::Nflog => link::nflog(cursor),
        Layer::Radiotap => wifi::radiotap(cursor),
        Layer::Wifi { end_bytes, padded } => wifi::wifi(cursor, end_bytes, padded),
        // Dealt with in `walk`.
        Layer::Ethernet | Layer::Vlan | Layer::Ipv4 | Layer::Ipv6 | Layer::Transport(_) | Layer::Fragment(_) => {
            Ok(layer)
        }
    }
}

fn insert(
    defrag: &mut Defrag,
    counters: &mut Counters,
    now: Timestamp,
    header: FragmentHeader,
    cursor: Cursor<'_>,
    context: &Context,
) -> Result<(), Reason> {
    let ends = &context.header;
    let v6 = ends.src.is_ipv6();
    if !ip::worth_reassembling(header.protocol, v6) {
        return Err(ip::not_followed(header.protocol));
    }
    if cursor.missing() > 0 {
        return Err(Reason::Fragment(FragmentKind::Cut));
    }
    let key = Key {
        src: ends.src,
        dst: ends.dst,
        id: header.id,
        // RFC 8200 §4.5: the next header of the first fragment decides, and others may differ.
        protocol: if v6 { 0 } else { header.protocol },
        vlan: ends.vlan,
        tunnel: ends.tunnel,
    };
    let fragment = Fragment {
        start: header.start,
        more: header.more,
        protocol: header.protocol,
        header_len: header.header_len,
        data: cursor.data,
    };
    match defrag.insert(now, key, fragment, counters) {
        Verdict::Complete => Ok(()),
        Verdict::Not(kind) => Err(Reason::Fragment(kind)),
    }
}
