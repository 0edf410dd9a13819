//! Segments nobody sane would send, and what must hold whatever comes. Shared with the fuzz target.

use std::collections::BTreeMap;

use super::plan::Draw;
use super::*;
use umbra_flow::{ChecksumPolicy, UrgentPolicy};

/// One thing done to the table.
#[derive(Clone, Debug)]
pub enum Op {
    Segment(Owned),
    /// Sweep at a clock.
    Sweep(u64),
    /// Ignore the flow of the n-th event so far.
    Ignore(usize),
}

/// Small bounds, so that they are reached.
pub fn tight(draw: &mut Draw<'_>) -> Config {
    let bits = draw.byte();
    let bit = |n: u8| bits >> n & 1 == 1;
    Config {
        urgent: if bit(0) { UrgentPolicy::InBand } else { UrgentPolicy::OutOfBand },
        checksum: if bit(1) { ChecksumPolicy::Auto } else { ChecksumPolicy::Off },
        max_flows: if bit(2) { 2 } else { 100 },
        max_half_open: if bit(3) { 2 } else { 100 },
        max_closed: if bit(4) { 1 } else { 100 },
        max_direction_bytes: if bit(5) { 64 } else { 1 << 20 },
        max_direction_segments: if bit(5) { 4 } else { 4096 },
        max_total_bytes: if bit(6) { 300 } else { 1 << 20 },
        max_history_bytes: if bit(7) { 8192 } else { 1 << 20 },
        vlan_in_key: bit(6),
        ..Config::default()
    }
}

/// Operations on a few 5-tuples. With `orderly` time never goes back and no operation depends on earlier events.
pub fn ops(draw: &mut Draw<'_>, orderly: bool) -> Vec<Op> {
    let mut time = 100 * SEC;
    let mut at = [[0_u64; 2]; 4];
    let mut out = Vec::new();
    while !draw.0.is_empty() && out.len() < 400 {
        let kind = draw.byte();
        // From nothing to minutes; mostly little.
        let step = draw.byte();
        time += if step < 200 { u64::from(step) * 100_000 } else { 1 << (step - 200).min(39) };
        if kind >= 250 {
            out.push(if kind == 250 && !orderly { Op::Ignore(usize::from(draw.byte())) } else { Op::Sweep(time) });
            continue;
        }
        let which = usize::from(kind & 3);
        let conn = Conn { isn: [u32::MAX - 20, 1 << 31], ..Conn::number(which as u32 / 2) };
        let direction = if kind & 4 == 0 { ToServer } else { ToClient };
        let (own, peer) = (at[which][direction.index()], at[which][direction.opposite().index()]);
        let flags = match draw.byte() {
            0..160 => ACK,
            160..180 => 0,
            180..195 => SYN,
            195..210 => SYN | ACK,
            210..225 => FIN | ACK,
            225..232 => RST,
            232..240 => RST | ACK,
            240..250 => ACK | URG,
            other => other,
        };
        let len = u64::from(draw.byte()) % 48;
        let shift = |draw: &mut Draw<'_>, from: u64| match draw.byte() {
            0..150 => from,
            n @ 150..200 => from.wrapping_sub(u64::from(n - 150)),
            n @ 200..250 => from + u64::from(n - 200),
            250..254 => u64::from(draw.u32()),
            _ => from + (1 << 20),
        };
        let offset = shift(draw, own);
        let acked = shift(draw, peer);
        let payload: Vec<u8> = (0..len).map(|n| plan::byte_at(direction, offset.wrapping_add(n) as usize)).collect();
        let mut segment = conn.seg(direction, offset, acked, flags, &payload).at(time);
        let h = &mut segment.header;
        if flags & SYN != 0 {
            h.seq = h.seq.wrapping_sub(1);
        }
        let more = draw.byte();
        match more {
            200..210 => h.missing = u32::from(more),
            210..220 => h.urgent = u16::from(more) - 209,
            220..225 => h.checksum = Checksum::Bad,
            225..230 => h.window = 0,
            230..240 => h.options.window_scale = Some(more),
            240..250 => h.options.timestamps = Some((u32::from(more) << 20, 0)),
            250.. if !orderly => h.time = Timestamp(draw.u32().into()),
            _ => {}
        }
        if let Some(first) = segment.payload.first_mut()
            && more % 32 == 1
        {
            *first ^= 1;
        }
        at[which][direction.index()] = own.max(offset.wrapping_add(len).min(own + 100));
        out.push(Op::Segment(segment));
    }
    out
}

/// Does the operations and checks what must hold for every flow.
pub fn check(config: &Config, ops: &[Op]) {
    let mut world = World::new(config.clone());
    let mut ignored = Vec::new();
    let mut last_facts: BTreeMap<FlowId, FlowFacts> = BTreeMap::new();
    for op in ops {
        let before = world.log.len();
        match op {
            Op::Segment(segment) => {
                world.feed_exactly(segment);
            }
            Op::Sweep(now) => {
                world.sweep(*now);
            }
            Op::Ignore(n) => {
                if let Some((id, ..)) = world.log.get(*n) {
                    ignored.push(*id);
                    world.table.ignore(*id);
                }
            }
        }
        if world.log.len() > before {
            last_facts.insert(world.log.last().unwrap().0, *world.facts());
        }
        assert!(world.table.len() <= config.max_flows);
        assert!(world.table.half_open_len() <= config.max_half_open);
    }
    world.finish();
    let mut ends: BTreeMap<FlowId, [u32; 2]> = BTreeMap::new();
    let mut handed: BTreeMap<FlowId, [u64; 2]> = BTreeMap::new();
    for (id, _, event) in &world.log {
        let ends = ends.entry(*id).or_default();
        let handed = handed.entry(*id).or_default();
        match event {
            Ev::Data(d, bytes) => {
                assert!(!bytes.is_empty());
                assert_eq!(ends[d.index()], 0, "after the end of {id} {d:?}: {:?}", world.log);
                handed[d.index()] += bytes.len() as u64;
            }
            Ev::Gap(d, len, _) => {
                assert!(*len > 0);
                assert_eq!(ends[d.index()], 0, "after the end of {id} {d:?}: {:?}", world.log);
                handed[d.index()] += len;
            }
            Ev::Conflict(_) => {}
            Ev::End(d, _) => ends[d.index()] += 1,
        }
    }
    assert!(ends.values().all(|ends| *ends == [1, 1]), "each direction ends once");
    if config.urgent == UrgentPolicy::InBand {
        for (id, facts) in &last_facts {
            for d in [ToServer, ToClient] {
                // Only flows whose last step this is: later segments without a step change no offset.
                if !ignored.contains(id) {
                    assert!(facts.direction(d).offset <= handed[id][d.index()]);
                }
            }
        }
    }
    // Every buffer was given back.
    let empty = FlowTable::<u32>::new(config.clone()).memory_bytes();
    assert!(world.table.memory_bytes() < empty + (2 << 20));
}

/// The same with sweeps and without: nothing but the time of freeing memory may differ.
pub fn check_sweeps(ops: &[Op]) {
    let log = |sweeps: bool| {
        let mut world = World::new(Config::default());
        for op in ops {
            match op {
                Op::Segment(segment) => {
                    world.feed(segment);
                }
                Op::Sweep(now) => {
                    if sweeps {
                        world.sweep(*now);
                    }
                    world.time = world.time.max(*now);
                }
                Op::Ignore(_) => {}
            }
        }
        world.finish();
        // Sweeps may change the order between flows, and so the ids, but not what happens in one.
        let mut by_time: Vec<String> = world.log.iter().map(|(_, time, event)| format!("{time:?} {event:?}")).collect();
        by_time.sort();
        by_time
    };
    assert_eq!(log(false), log(true));
}
