//! A conversation and what a capture made of it, drawn from any bytes; and the naive model of what must come out.
//! Shared by the property tests and the fuzz target, so that it uses nothing but the crate's surface.

use super::*;

/// Draws choices from bytes; zeros at their end, so that every input is a plan.
pub struct Draw<'a>(pub &'a [u8]);

impl Draw<'_> {
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }
    pub fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }
}

/// What may happen to segments on the way into the capture.
#[derive(Clone, Copy, Debug)]
pub struct Mishaps {
    pub loss: bool,
    pub overlap: bool,
    pub reorder: bool,
    pub repeat: bool,
}

/// The capture, and the truth behind it.
#[derive(Debug)]
pub struct Plan {
    pub conn: Conn,
    pub segments: Vec<Owned>,
    /// Direction and bytes of each message in turn; each acknowledges all before it.
    pub messages: Vec<(Direction, Vec<u8>)>,
    /// By direction: which bytes are in a captured segment.
    pub captured: [Vec<bool>; 2],
    /// By direction: end of what is known to have been sent, by a captured segment of either side.
    pub known_end: [usize; 2],
    pub closed: bool,
}

/// Byte of the stream at an offset: different for neighbours and directions.
pub fn byte_at(direction: Direction, offset: usize) -> u8 {
    let n = (offset as u32).wrapping_mul(0x9e37_79b1) ^ if direction == ToServer { 0 } else { 0x5555_5555 };
    (n >> 24) as u8 ^ n as u8
}

pub fn stream(direction: Direction, from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|offset| byte_at(direction, offset)).collect()
}

impl Plan {
    pub fn draw(bytes: &[u8], may: Mishaps) -> Plan {
        let mut draw = Draw(bytes);
        let conn = Conn { isn: [draw.u32(), draw.u32()], ..Conn::default() };
        let with_syn = draw.below(4) != 0;
        let mut planned: Vec<(u32, Owned)> = Vec::new();
        let mut messages = Vec::new();
        let mut sent = [0_usize; 2];
        let mut captured = [Vec::new(), Vec::new()];
        let mut known_end = [0_usize; 2];
        let mut place = 0;
        let count = 1 + draw.below(8);
        let mut direction = ToServer;
        for number in 0..count {
            let (i, o) = (direction.index(), direction.opposite().index());
            let len = 1 + usize::from(draw.byte());
            let (start, end) = (sent[i], sent[i] + len);
            messages.push((direction, stream(direction, start, end)));
            captured[i].resize(end, false);
            // Without a SYN the first message shows where the streams start.
            let calm = !with_syn && number < 2;
            let mut at = start;
            while at < end {
                let size = (1 + usize::from(draw.below(64))).min(end - at);
                let back = if may.overlap && !calm { usize::from(draw.below(16)).min(at) } else { 0 };
                let fate = draw.byte();
                place += 16;
                let shift = if may.reorder && !calm { u32::from(draw.below(8)) * 16 } else { 0 };
                let segment = conn.seg(
                    direction,
                    (at - back) as u64,
                    sent[o] as u64,
                    ACK,
                    &stream(direction, at - back, at + size),
                );
                let lost = may.loss && !calm && fate % 8 == 0;
                if !lost {
                    captured[i][at - back..at + size].fill(true);
                    known_end[i] = known_end[i].max(at + size);
                    known_end[o] = known_end[o].max(sent[o]);
                    planned.push((place + shift, segment.clone()));
                    if may.repeat && fate % 5 == 0 {
                        planned.push((place + shift + u32::from(draw.below(128)), segment));
                    }
                }
                at += size;
            }
            sent[i] = end;
            if draw.below(2) == 0 {
                // A bare ACK of the whole message.
                place += 16;
                let ack = conn.seg(direction.opposite(), sent[o] as u64, end as u64, ACK, b"");
                if !(may.loss && !calm && draw.below(8) == 0) {
                    known_end[i] = known_end[i].max(end);
                    known_end[o] = known_end[o].max(sent[o]);
                    let shift = if may.reorder && !calm { u32::from(draw.below(8)) * 16 } else { 0 };
                    planned.push((place + shift, ack));
                }
            }
            direction = direction.opposite();
        }
        let closed = draw.below(2) == 0;
        if closed {
            place += 1000;
            let [c, s] = [sent[0] as u64, sent[1] as u64];
            planned.push((place, conn.fin(ToServer, c, s)));
            planned.push((place + 1, conn.fin(ToClient, s, c + 1)));
            planned.push((place + 2, conn.c(c + 1, s + 1, b"")));
            known_end = sent;
        }
        planned.sort_by_key(|(place, _)| *place);
        let mut segments = if with_syn { conn.open() } else { Vec::new() };
        segments.extend(planned.into_iter().map(|(_, segment)| segment));
        for (n, segment) in segments.iter_mut().enumerate() {
            // The whole capture takes less than the reorder grace.
            segment.header.time = Timestamp(100 * SEC + n as u64 * 10_000);
        }
        Plan { conn, segments, messages, captured, known_end, closed }
    }

    /// Nothing was lost: the conversation must come out as it was held, word by word.
    pub fn check_complete(&self, events: &[Ev]) {
        let mut turn: Vec<Ev> = self.messages.iter().map(|(d, bytes)| Ev::Data(*d, bytes.clone())).collect();
        let reason = if self.closed { EndReason::Fin } else { EndReason::Finished };
        turn.extend([Ev::End(ToServer, reason), Ev::End(ToClient, reason)]);
        assert_eq!(events, turn);
    }

    /// Something may have been lost: what was captured must come out at its place, and nothing else.
    pub fn check_lossy(&self, events: &[Ev]) {
        for direction in [ToServer, ToClient] {
            let captured = &self.captured[direction.index()];
            let mut at = 0_usize;
            let mut ends = 0;
            for event in only(events, direction) {
                assert_eq!(ends, 0, "nothing after the end");
                match event {
                    Ev::Data(_, bytes) => {
                        assert_eq!(bytes, stream(direction, at, at + bytes.len()), "bytes at {at}");
                        at += bytes.len();
                    }
                    Ev::Gap(_, len, cause) => {
                        let end = at + len as usize;
                        assert_ne!(cause, GapCause::Limit);
                        assert!(
                            captured[at..end.min(captured.len())].iter().all(|seen| !seen),
                            "gap {at}..{end} was captured"
                        );
                        assert!(end <= captured.len());
                        at = end;
                    }
                    Ev::Conflict(_) => panic!("no two copies differ"),
                    Ev::End(..) => ends += 1,
                }
            }
            assert_eq!(ends, 1);
            let last = captured.iter().rposition(|seen| *seen).map_or(0, |last| last + 1);
            assert!(at >= last, "{direction:?}: ends at {at}, captured up to {last}");
            if self.closed {
                assert_eq!(at, captured.len(), "{direction:?}: all was acknowledged");
            }
        }
    }
}
