//! A small world for the tests: segments by stream offset, and everything the table said, owned.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::net::IpAddr;

use umbra_flow::{Config, Direction, EndReason, FlowEvent, FlowFacts, FlowId, FlowTable, GapCause, Step};
use umbra_wire::{Checksum, Segment, SegmentHeader, TcpFlags, TcpOptions, Timestamp, VlanIds};

pub mod hostile;
pub mod plan;

pub use Direction::{ToClient, ToServer};

pub const MS: u64 = 1_000_000;
pub const SEC: u64 = 1_000_000_000;
pub const SYN: u8 = TcpFlags::SYN;
pub const ACK: u8 = TcpFlags::ACK;
pub const FIN: u8 = TcpFlags::FIN;
pub const RST: u8 = TcpFlags::RST;
pub const URG: u8 = TcpFlags::URG;

/// A segment that owns its payload.
#[derive(Clone, Debug)]
pub struct Owned {
    pub header: SegmentHeader,
    pub payload: Vec<u8>,
}

impl Owned {
    pub fn at(mut self, nanos: u64) -> Self {
        self.header.time = Timestamp(nanos);
        self
    }
    pub fn with(mut self, change: impl FnOnce(&mut SegmentHeader)) -> Self {
        change(&mut self.header);
        self
    }
}

/// One connection: makes segments from stream offsets.
#[derive(Clone, Copy, Debug)]
pub struct Conn {
    pub client: (IpAddr, u16),
    pub server: (IpAddr, u16),
    pub isn: [u32; 2],
}

impl Default for Conn {
    fn default() -> Self {
        Conn { client: ([10, 0, 0, 1].into(), 40_000), server: ([10, 0, 0, 2].into(), 80), isn: [1000, 5000] }
    }
}

impl Conn {
    pub fn number(n: u32) -> Self {
        let [_, a, b, c] = n.to_be_bytes();
        Conn { client: ([10, a, b, c].into(), 40_000), ..Conn::default() }
    }

    /// A segment of `direction` whose payload starts at stream offset `offset` and that acknowledges the other side up to
    /// `acked`.
    pub fn seg(&self, direction: Direction, offset: u64, acked: u64, flags: u8, payload: &[u8]) -> Owned {
        let (own, peer) = match direction {
            ToServer => (self.isn[0], self.isn[1]),
            ToClient => (self.isn[1], self.isn[0]),
        };
        let (src, dst) = match direction {
            ToServer => (self.client, self.server),
            ToClient => (self.server, self.client),
        };
        let header = SegmentHeader {
            time: Timestamp(0),
            interface: 0,
            vlan: VlanIds::default(),
            tunnel: 0,
            src: src.0,
            dst: dst.0,
            src_port: src.1,
            dst_port: dst.1,
            ip_id: 0,
            seq: own.wrapping_add(1).wrapping_add(offset as u32),
            ack: peer.wrapping_add(1).wrapping_add(acked as u32),
            flags: TcpFlags(flags),
            window: 60_000,
            urgent: 0,
            options: TcpOptions::default(),
            checksum: Checksum::Good,
            missing: 0,
        };
        Owned { header, payload: payload.to_vec() }
    }

    pub fn c(&self, offset: u64, acked: u64, payload: &[u8]) -> Owned {
        self.seg(ToServer, offset, acked, ACK, payload)
    }
    pub fn s(&self, offset: u64, acked: u64, payload: &[u8]) -> Owned {
        self.seg(ToClient, offset, acked, ACK, payload)
    }
    pub fn syn(&self) -> Owned {
        self.seg(ToServer, 0, 0, SYN, b"").with(|h| h.seq = h.seq.wrapping_sub(1))
    }
    pub fn syn_ack(&self) -> Owned {
        self.seg(ToClient, 0, 0, SYN | ACK, b"").with(|h| h.seq = h.seq.wrapping_sub(1))
    }
    pub fn open(&self) -> Vec<Owned> {
        vec![self.syn(), self.syn_ack(), self.c(0, 0, b"")]
    }
    pub fn fin(&self, direction: Direction, offset: u64, acked: u64) -> Owned {
        self.seg(direction, offset, acked, FIN | ACK, b"")
    }
    pub fn rst(&self, direction: Direction, offset: u64) -> Owned {
        self.seg(direction, offset, 0, RST, b"")
    }
}

/// An owned event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ev {
    Data(Direction, Vec<u8>),
    Gap(Direction, u64, GapCause),
    Conflict(Direction),
    End(Direction, EndReason),
}

pub struct World {
    pub table: FlowTable<u32>,
    pub log: Vec<(FlowId, Timestamp, Ev)>,
    /// Facts at the last step.
    pub facts: Option<FlowFacts>,
    pub time: u64,
    pub apps: u32,
}

pub fn own(event: &FlowEvent<'_>) -> (Timestamp, Ev) {
    match *event {
        FlowEvent::Data { direction, time, bytes } => (time, Ev::Data(direction, bytes.to_vec())),
        FlowEvent::Gap { direction, time, len, cause } => (time, Ev::Gap(direction, len, cause)),
        FlowEvent::Conflict { direction } => (Timestamp(0), Ev::Conflict(direction)),
        FlowEvent::End { direction, time, reason } => (time, Ev::End(direction, reason)),
    }
}

impl World {
    pub fn new(config: Config) -> Self {
        World { table: FlowTable::new(config), log: Vec::new(), facts: None, time: 100 * SEC, apps: 0 }
    }

    fn note(log: &mut Vec<(FlowId, Timestamp, Ev)>, facts: &mut Option<FlowFacts>, step: Step<'_, u32>) {
        let (time, event) = own(&step.event);
        *facts = Some(*step.facts);
        log.push((step.id, time, event));
    }

    /// Feeds a segment; its time is 1 ms after the last one unless it has one.
    pub fn feed(&mut self, segment: &Owned) -> &mut Self {
        let mut header = segment.header;
        if header.time.nanos() == 0 {
            self.time += MS;
            header.time = Timestamp(self.time);
        } else {
            self.time = self.time.max(header.time.nanos());
        }
        self.feed_exactly(&Owned { header, payload: segment.payload.clone() })
    }

    pub fn feed_exactly(&mut self, segment: &Owned) -> &mut Self {
        let segment = Segment { header: &segment.header, payload: &segment.payload };
        let apps = &mut self.apps;
        let mut next = self.table.advance(&segment, |_| {
            *apps += 1;
            *apps
        });
        while let Some(step) = next {
            World::note(&mut self.log, &mut self.facts, step);
            next = self.table.poll(&segment);
        }
        self
    }

    pub fn feed_all<'a>(&mut self, segments: impl IntoIterator<Item = &'a Owned>) -> &mut Self {
        for segment in segments {
            self.feed(segment);
        }
        self
    }

    pub fn sweep(&mut self, now: u64) -> &mut Self {
        self.table.handle_timeout(Timestamp(now));
        self.poll_timeout();
        self
    }

    pub fn finish(&mut self) -> &mut Self {
        self.table.finish(Timestamp(self.time));
        self.poll_timeout();
        assert!(self.table.is_empty());
        self
    }

    fn poll_timeout(&mut self) {
        while let Some(step) = self.table.poll_timeout() {
            World::note(&mut self.log, &mut self.facts, step);
        }
    }

    /// The events so far, neighbouring data of a direction joined; and forgets them.
    pub fn take(&mut self) -> Vec<Ev> {
        let mut out: Vec<Ev> = Vec::new();
        for (_, _, event) in self.log.drain(..) {
            match (out.last_mut(), event) {
                (Some(Ev::Data(d, bytes)), Ev::Data(direction, more)) if *d == direction => bytes.extend(more),
                (_, event) => out.push(event),
            }
        }
        out
    }

    pub fn facts(&self) -> &FlowFacts {
        self.facts.as_ref().unwrap()
    }
}

pub fn data(direction: Direction, bytes: &[u8]) -> Ev {
    Ev::Data(direction, bytes.to_vec())
}

/// The events of one direction.
pub fn only(events: &[Ev], direction: Direction) -> Vec<Ev> {
    let of = |event: &Ev| match event {
        Ev::Data(d, _) | Ev::Gap(d, ..) | Ev::Conflict(d) | Ev::End(d, _) => *d,
    };
    events.iter().filter(|event| of(event) == direction).cloned().collect()
}

/// All data of a direction, gaps left out.
pub fn bytes(events: &[Ev], direction: Direction) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        if let Ev::Data(d, bytes) = event
            && *d == direction
        {
            out.extend(bytes);
        }
    }
    out
}

/// Runs segments through a fresh table to the end of input.
pub fn run<'a>(config: Config, segments: impl IntoIterator<Item = &'a Owned>) -> Vec<Ev> {
    let mut world = World::new(config);
    world.feed_all(segments).finish();
    world.take()
}
