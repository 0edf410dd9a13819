//! Rows F006, F010 and F017-F032 of the fault table, one test or more each.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;
use std::time::Duration;

use support::*;
use umbra_flow::{ChecksumPolicy, Config, EndReason, GapCause, UrgentPolicy};
use umbra_wire::{Checksum, Timestamp, VlanIds};

fn config() -> Config {
    Config::default()
}

fn opened(config: Config, c: &Conn) -> World {
    let mut world = World::new(config);
    world.feed_all(&c.open());
    world
}

fn whole(c: &Conn) -> Vec<Owned> {
    let mut all = c.open();
    all.extend([c.c(0, 0, b"request"), c.s(0, 7, b"response"), c.fin(ToServer, 7, 8)]);
    all.extend([c.fin(ToClient, 8, 8), c.c(8, 9, b"")]);
    all
}

#[test]
fn f006_copies_with_another_vlan_or_interface_are_retransmissions() {
    let mut vlan = VlanIds::default();
    vlan.push(7);
    let mut doubled = Vec::new();
    for segment in whole(&Conn::default()) {
        doubled.push(segment.clone());
        doubled.push(segment.with(|h| {
            h.vlan = vlan;
            h.interface = 1;
        }));
    }
    let mut world = World::new(config());
    world.feed_all(&doubled).finish();
    assert_eq!(world.take(), run(config(), &whole(&Conn::default())));
    assert_eq!(world.table.counters().flows, 1);
}

#[test]
fn f010_one_odd_time_expires_at_most_its_own_flow() {
    for odd in [1, 50 * SEC, 100 * SEC + 86_400 * SEC, (1 << 33) * SEC] {
        let (a, b) = (Conn::number(1), Conn::number(2));
        let mut world = World::new(config());
        world.feed_all(&a.open()).feed_all(&b.open());
        world.feed(&a.c(0, 0, b"a")).feed(&b.c(0, 0, b"b"));
        world.take();
        let time = world.time;
        world.feed_exactly(&a.c(1, 0, b"odd").at(odd));
        world.time = time;
        world.take();
        world.feed_all(&[b.s(0, 1, b"B"), b.c(1, 1, b"b")]);
        assert_eq!(world.take(), [data(ToClient, b"B"), data(ToServer, b"b")], "{odd}");
        // And the odd flow goes on, as one that was joined late if need be.
        world.feed(&a.c(4, 0, b"on")).finish();
        assert_eq!(bytes(&world.take(), ToServer), b"on");
        assert!(world.facts().last_time >= world.facts().first_time);
    }
}

#[test]
fn f017_a_flood_of_syns_stays_small_and_evicts_no_flow() {
    let kept = Conn { client: ([192, 168, 0, 1].into(), 40_000), ..Conn::default() };
    let config = Config { max_half_open: 1 << 14, ..config() };
    let mut world = opened(config.clone(), &kept);
    world.feed(&kept.c(0, 0, b"GET "));
    let before = world.table.memory_bytes();
    for n in 0..300_000_u32 {
        let c = Conn::number(n);
        world.feed_exactly(&c.syn().at(world.time + u64::from(n) * 1000));
        if n % 3 == 0 {
            world.feed_exactly(&c.syn_ack().at(world.time + u64::from(n) * 1000));
        }
    }
    assert!(world.table.half_open_len() <= config.max_half_open);
    let grown = world.table.memory_bytes() - before;
    // 64 MiB for the default of 2^19: 128 bytes each.
    assert!(grown <= config.max_half_open * 128, "{grown}");
    assert!(Config::default().max_half_open * 128 <= 64 << 20);
    assert!(world.table.counters().half_open_evicted > 0);
    world.feed(&kept.c(4, 0, b"/"));
    assert_eq!((world.take(), world.apps), (vec![data(ToServer, b"GET /")], 1));
}

#[test]
fn f017_syns_with_data_are_bounded_too() {
    let config = Config { max_opening: 100, ..config() };
    let mut world = World::new(config);
    for n in 0..1000 {
        let c = Conn::number(n);
        let mut syn = c.syn();
        syn.payload = b"early".to_vec();
        world.feed(&syn);
    }
    assert_eq!((world.table.len(), world.table.half_open_len()), (100, 900));
    assert_eq!(world.table.counters().syn_data_dropped, 900);
    // They leave with the half-open timeout, not the long one.
    world.sweep(world.time + 20 * SEC);
    assert_eq!((world.table.len(), world.table.half_open_len()), (0, 0));
}

#[test]
fn f017_half_open_connections_expire() {
    let c = Conn::default();
    let mut world = World::new(config());
    world.feed(&c.syn());
    world.sweep(world.time + 9 * SEC);
    assert_eq!(world.table.half_open_len(), 1);
    world.sweep(world.time + 13 * SEC);
    assert_eq!(world.table.half_open_len(), 0);
    assert_eq!(world.table.counters().half_open_expired, 1);
}

#[test]
fn f018_the_hash_depends_on_the_seed_alone_and_the_results_do_not() {
    let mut all = Vec::new();
    // Tuples that collide under many an unkeyed hash: sums and exclusive-ors of the fields are equal.
    let conns: Vec<Conn> = (0..500_u16)
        .map(|n| Conn {
            client: ([10, 0, (n >> 8) as u8, n as u8].into(), 40_000 - n),
            server: ([10, 1, 0, 0].into(), 80),
            isn: [1, 2],
        })
        .collect();
    for step in 0..8 {
        for c in &conns {
            all.extend(whole(c).get(step).cloned());
        }
    }
    let events = |seed| run(Config { hash_seed: seed, ..config() }, &all);
    assert_eq!(events([1, 2, 3, 4]), events([5, 6, 7, 8]));
}

#[test]
fn f019_tiny_reverse_overlapping_segments() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    let whole: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    // From the end to the start, each 1 byte further down and 32 long.
    for start in (1..4000).rev() {
        world.feed_exactly(&c.c(start as u64, 0, &whole[start..start + 32]).at(world.time + 1));
    }
    let counters = *world.table.counters();
    assert_eq!(counters.limit_direction, 0);
    // Each byte of each segment is stored or counted as a duplicate once: the work is linear in the bytes received.
    assert_eq!(counters.retransmitted_bytes, 3998 * 31);
    world.feed(&c.c(0, 0, &whole[..1]));
    assert_eq!(world.take(), [data(ToServer, &whole[..4031])]);
    assert_eq!(world.table.counters().conflicts, 0);
}

#[test]
fn f019_the_segment_cap_gives_the_hole_up() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    for n in 0..10_000_u64 {
        world.feed_exactly(&c.c(1 + n * 2, 0, b"x").at(world.time + 1));
    }
    assert!(world.table.counters().limit_direction > 0);
    let events = world.take();
    assert_eq!(events[0], Ev::Gap(ToServer, 1, GapCause::Limit));
    assert!(world.facts().direction(ToServer).offset >= 2 * (10_000 - 4096) - 2);
}

#[test]
fn f019_the_byte_caps_hold() {
    let c = Conn::default();
    let piece = vec![b'x'; 10_000];
    for (config, counter) in [
        (Config { max_direction_bytes: 100_000, ..config() }, 0),
        (Config { max_flow_bytes: 100_000, ..config() }, 1),
        (Config { max_total_bytes: 100_000, ..config() }, 2),
    ] {
        let mut world = opened(config, &c);
        let before = world.table.memory_bytes();
        for n in 0..50 {
            world.feed(&c.c(1 + n * 10_000, 0, &piece));
            // The 10,000 are the history of bytes handed over.
            assert!(world.table.memory_bytes() <= before + 110_000 + 10_000);
        }
        let c = world.table.counters();
        assert!([c.limit_direction, c.limit_flow, c.limit_global][counter] > 0);
        assert_eq!(world.take()[0], Ev::Gap(ToServer, 1, GapCause::Limit));
        // Nothing but the one byte is lost.
        world.finish();
        assert_eq!(world.facts().direction(ToServer).offset, 500_001);
    }
}

#[test]
fn f020_first_bytes_win_and_the_conflict_is_told() {
    let c = Conn::default();
    // Against bytes that wait, before and after the hole is filled, and against bytes handed over.
    for order in [[0, 1, 2, 3], [1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3], [3, 1, 0, 2]] {
        let segments = [c.c(0, 0, b"GET /"), c.c(5, 0, b"one HTTP"), c.c(5, 0, b"two HTTP"), c.c(13, 0, b"/1.1")];
        let mut world = opened(config(), &c);
        for n in order {
            world.feed(&segments[n]);
        }
        let events = world.take();
        let first_is_one = order.iter().position(|n| *n == 1) < order.iter().position(|n| *n == 2);
        let word = if first_is_one { "one" } else { "two" };
        assert_eq!(bytes(&events, ToServer), format!("GET /{word} HTTP/1.1").as_bytes(), "{order:?}");
        assert_eq!(events.iter().filter(|event| **event == Ev::Conflict(ToServer)).count(), 1, "{order:?}");
        assert_eq!(world.table.counters().conflicts, 1);
    }
}

#[test]
fn f020_acknowledged_bytes_cannot_be_replaced_and_need_no_memory() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"real"), c.s(0, 4, b""), c.c(0, 0, b"fake")]);
    assert_eq!(world.take(), [data(ToServer, b"real")]);
    // Server to client is looked at as well.
    world.feed_all(&[c.s(0, 4, b"200 OK"), c.s(0, 4, b"500 NO"), c.s(4, 4, b"OK")]);
    assert_eq!(world.take(), [data(ToClient, b"200 OK"), Ev::Conflict(ToClient)]);
    assert_eq!(world.facts().direction(ToClient).conflicts, 1);
}

#[test]
fn f020_histories_are_bounded() {
    let config = Config { max_history_bytes: 4 * 8192, ..config() };
    let mut world = World::new(config.clone());
    let before = world.table.memory_bytes();
    for n in 0..300 {
        world.feed_all(&Conn::number(n).open()).feed(&Conn::number(n).c(0, 0, b"x"));
    }
    assert_eq!(world.table.counters().limit_history, 296);
    assert!(world.table.memory_bytes() - before < 300 * 1024 + 4 * 8192 + (1 << 20));
}

#[test]
fn f021_a_request_across_the_wrap_of_the_sequence_numbers() {
    let plain = run(config(), &whole(&Conn::default()));
    for isn in [0xffff_ffff, 0xffff_fffe, 0xffff_fffa, 0x7fff_ffff, 0x8000_0000, 0] {
        let c = Conn { isn: [isn, isn.wrapping_sub(3)], ..Conn::default() };
        assert_eq!(run(config(), &whole(&c)), plain, "{isn:#x}");
        // Without a SYN, and in pieces, last first.
        let mut world = World::new(config());
        world.feed_all(&[c.c(0, 0, b"a"), c.c(4, 0, b"efg"), c.c(1, 0, b"bcd")]);
        assert_eq!(world.take(), [data(ToServer, b"abcdefg")]);
    }
}

#[test]
fn f022_lost_requests_are_gaps_of_exact_length() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    let mut at = 0;
    for n in 0..100 {
        if n % 3 != 0 {
            world.feed(&c.c(at, at, b"question"));
        }
        world.feed(&c.s(at, at + 8, b"response"));
        at += 8;
        // A pause longer than the grace, as between most requests of one connection.
        world.time += 60 * MS;
    }
    world.feed(&c.c(at, at, b"")).finish();
    let events = world.take();
    let mut questions = 0;
    let mut turn = Vec::new();
    for event in &events {
        match event {
            Ev::Data(ToServer, bytes) => questions += bytes.len(),
            Ev::Gap(ToServer, len, cause) => {
                assert_eq!((*len, *cause), (8, GapCause::Lost));
                questions += 8;
            }
            Ev::Data(ToClient, bytes) => turn.push((questions, bytes.len())),
            _ => {}
        }
    }
    // Every answer came out after its own question, or the gap in its place.
    assert_eq!(turn, (1..=100).map(|n| (n * 8, 8)).collect::<Vec<_>>());
    assert_eq!(world.facts().direction(ToServer).gap_bytes, 34 * 8);
}

/// Turns follow each other faster than holes are given up, and pieces of them are lost: still what one side says comes out
/// after what it had received, and before what it had not.
#[test]
fn f022_loss_does_not_change_who_spoke_first() {
    const ANSWER: u64 = 24;
    let c = Conn::default();
    for lost_of_16 in [1, 2] {
        for seed in 0..200_u64 {
            let mut state = (seed * 3 + lost_of_16 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut world = opened(config(), &c);
            let mut feed = |world: &mut World, segment: &Owned| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state >> 20 & 15 >= lost_of_16 {
                    world.feed(segment);
                }
            };
            for n in 0..80 {
                feed(&mut world, &c.c(n * 8, n * ANSWER, b"question"));
                for piece in 0..3 {
                    let at = n * ANSWER + piece * 8;
                    feed(&mut world, &c.s(at, n * 8 + 8, b"response"));
                    feed(&mut world, &c.c(n * 8 + 8, at + 8, b""));
                }
            }
            world.feed(&c.c(640, 80 * ANSWER, b"")).feed(&c.s(80 * ANSWER, 640, b"")).finish();
            let (mut asked, mut answered) = (0, 0);
            for event in world.take() {
                match event {
                    Ev::Data(ToServer, bytes) => {
                        assert_eq!(answered, asked / 8 * ANSWER, "{lost_of_16}, {seed}: question at {asked}");
                        asked += bytes.len() as u64;
                    }
                    Ev::Data(ToClient, bytes) => {
                        assert!(asked >= (answered / ANSWER + 1) * 8, "{lost_of_16}, {seed}: answer at {answered}");
                        answered += bytes.len() as u64;
                    }
                    Ev::Gap(ToServer, len, _) => asked += len,
                    Ev::Gap(ToClient, len, _) => answered += len,
                    _ => {}
                }
            }
            assert_eq!((asked, answered), (640, 80 * ANSWER));
        }
    }
}

#[test]
fn f022_an_acknowledged_hole_waits_for_the_grace_and_not_longer() {
    let c = Conn::default();
    for (pause, late) in [(40 * MS, false), (60 * MS, true)] {
        let mut world = opened(config(), &c);
        world.feed_all(&[c.c(4, 0, b"tail"), c.s(0, 8, b"answer")]);
        let time = world.time + pause;
        world.feed(&c.c(0, 0, b"head").at(time));
        let events = world.take();
        if late {
            let gap = Ev::Gap(ToServer, 4, GapCause::Lost);
            assert_eq!(events, [gap, data(ToServer, b"tail"), data(ToClient, b"answer")]);
            assert_eq!(world.table.counters().late_bytes, 4);
        } else {
            assert_eq!(events, [data(ToServer, b"headtail"), data(ToClient, b"answer")]);
        }
    }
}

#[test]
fn f022_a_hole_nobody_acknowledges_is_given_up_by_time() {
    let c = Conn::default();
    // One-sided: the server is never seen.
    let mut world = World::new(config());
    world.feed_all(&[c.c(0, 0, b"a"), c.c(5, 0, b"b")]);
    world.feed(&c.c(6, 0, b"c").at(world.time + 4 * SEC));
    assert_eq!(world.take(), [data(ToServer, b"a")]);
    world.feed(&c.c(7, 0, b"d").at(world.time + 2 * SEC));
    assert_eq!(world.take(), [Ev::Gap(ToServer, 4, GapCause::Timeout), data(ToServer, b"bcd")]);
    assert!(world.facts().one_sided());
    assert_eq!(world.facts().acked(ToServer), None);
    // And the sweep finds it when no packet comes.
    world.feed(&c.c(20, 0, b"e"));
    world.sweep(world.time + 8 * SEC);
    assert_eq!(world.take(), [Ev::Gap(ToServer, 12, GapCause::Timeout), data(ToServer, b"e")]);
}

#[test]
fn f022_after_a_long_loss_the_flow_goes_on() {
    for jump in [5 << 20, 3 << 30_u64, (1 << 32) - 5000] {
        let c = Conn::default();
        let mut world = opened(Config { reorder_grace: Duration::ZERO, ..config() }, &c);
        world.feed_all(&[c.c(0, 0, b"x"), c.s(0, 1, b"y")]);
        for n in 0..10 {
            world.feed(&c.s(jump + n * 5, 1, b"12345"));
        }
        let events = world.take();
        assert_eq!(events[2], Ev::Gap(ToClient, jump - 1 + 15, GapCause::Lost), "{jump}");
        assert_eq!(events[3], data(ToClient, b"12345".repeat(7).as_slice()));
        world.feed_all(&[c.c(1, jump + 50, b"next"), c.s(jump + 50, 5, b"ok")]);
        assert_eq!(world.take(), [data(ToServer, b"next"), data(ToClient, b"ok")]);
    }
}

#[test]
fn f023_bytes_outside_the_window_and_impossible_acks_are_not_delivered() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"a"), c.s(0, 1, b"b")]);
    world.take();
    world.feed(&c.c(3 << 20, 1, b"far"));
    world.feed(&c.s(1, 5 << 20, b"bad ack"));
    assert_eq!(world.take(), []);
    assert_eq!((world.table.counters().out_of_window, world.table.counters().bad_ack), (1, 1));
    world.feed_all(&[c.c(1, 1, b"c"), c.s(1, 2, b"d")]);
    assert_eq!(world.take(), [data(ToServer, b"c"), data(ToClient, b"d")]);
}

#[test]
fn f023_unacknowledged_bytes_are_known_as_such() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"seen"), c.s(0, 4, b"ok"), c.c(4, 2, b"low ttl")]);
    let facts = world.facts();
    assert_eq!((facts.acked(ToServer), facts.direction(ToServer).offset), (Some(4), 11));
    world.finish();
    assert_eq!(world.facts().acked(ToServer), Some(4));
}

#[test]
fn f023_a_forged_ack_does_not_make_real_bytes_late() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"a"), c.s(0, 1, b"b"), c.s(1, 500, b"")]);
    world.feed(&c.c(1, 1, b"the real request").at(world.time + SEC));
    assert_eq!(bytes(&world.take(), ToServer), b"athe real request");
    assert_eq!(world.table.counters().gaps, 0);
}

#[test]
fn f024_resets_and_fins_outside_the_window_are_ignored() {
    let c = Conn::default();
    for bad in [
        c.rst(ToServer, 3 << 20),
        c.rst(ToClient, 1 << 31),
        c.rst(ToServer, 3).with(|h| h.seq = h.seq.wrapping_sub(100)),
        c.fin(ToServer, 5 << 20, 0),
        c.fin(ToServer, 2, 0),
        c.rst(ToServer, 7).with(|h| h.checksum = Checksum::Bad),
    ] {
        let mut world = opened(Config { checksum: ChecksumPolicy::Strict, ..config() }, &c);
        world.feed_all(&[c.c(0, 0, b"request"), bad, c.s(0, 7, b"response"), c.c(7, 8, b"again")]);
        assert_eq!(world.take(), [data(ToServer, b"request"), data(ToClient, b"response"), data(ToServer, b"again")]);
    }
}

#[test]
fn f024_a_reset_inside_the_window_counts_only_when_silence_follows() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"a"), c.rst(ToServer, 500), c.c(1, 0, b"b")]);
    assert_eq!(world.take(), [data(ToServer, b"ab")]);
    world.feed(&c.rst(ToServer, 500));
    world.sweep(world.time + 15 * SEC);
    assert_eq!(world.take(), [Ev::End(ToServer, EndReason::Reset), Ev::End(ToClient, EndReason::Reset)]);
}

#[test]
fn f025_acknowledged_data_is_flushed_before_a_reset_or_fin() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    // A lost piece that was acknowledged, bytes behind it, and bytes nobody acknowledged.
    world.feed_all(&[c.c(3, 0, b"def"), c.s(0, 6, b""), c.c(10, 0, b"unseen"), c.rst(ToClient, 0)]);
    assert_eq!(
        world.take(),
        [
            Ev::Gap(ToServer, 3, GapCause::Lost),
            data(ToServer, b"def"),
            Ev::End(ToServer, EndReason::Reset),
            Ev::End(ToClient, EndReason::Reset)
        ]
    );
    assert!(world.table.is_empty());

    // A FIN before its data: the data first, then the end.
    let mut world = opened(config(), &c);
    world.feed_all(&[c.fin(ToServer, 6, 0), c.c(3, 0, b"def"), c.c(0, 0, b"abc")]);
    assert_eq!(world.take(), [data(ToServer, b"abcdef"), Ev::End(ToServer, EndReason::Fin)]);
}

#[test]
fn f025_fin_with_payload_and_half_close() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed(&c.seg(ToServer, 0, 0, FIN | ACK, b"last words"));
    world.feed_all(&[c.s(0, 11, b"long"), c.s(4, 11, b" answer")]);
    world.feed_all(&[c.fin(ToClient, 11, 11), c.c(11, 12, b"")]);
    assert_eq!(
        world.take(),
        [
            data(ToServer, b"last words"),
            Ev::End(ToServer, EndReason::Fin),
            data(ToClient, b"long answer"),
            Ev::End(ToClient, EndReason::Fin)
        ]
    );
}

#[test]
fn f025_simultaneous_close() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed_all(&[c.c(0, 0, b"q"), c.s(0, 1, b"a"), c.fin(ToServer, 1, 0), c.fin(ToClient, 1, 1)]);
    // The answer is not acknowledged yet: its end waits so that a reader can still learn that it will be.
    assert_eq!(world.take().len(), 3);
    world.feed_all(&[c.c(2, 2, b""), c.s(2, 2, b"")]);
    assert_eq!(world.take(), [Ev::End(ToClient, EndReason::Fin)]);
    assert_eq!(world.facts().acked(ToClient), Some(1));
    assert_eq!(world.table.counters().after_close, 1);
}

#[test]
fn f026_all_ways_to_open_a_connection() {
    let c = Conn::default();
    let other = Conn { isn: [77_000, c.isn[1]], ..c };
    let ack = c.c(0, 0, b"");
    let server_syn = c.syn_ack().with(|h| h.flags.0 = SYN);
    let client_syn_ack = c.syn().with(|h| {
        h.flags.0 = SYN | ACK;
        h.ack = c.isn[1].wrapping_add(1);
    });
    let server_ack = c.s(0, 0, b"");
    let cases: Vec<(&str, Vec<Owned>)> = vec![
        ("plain", c.open()),
        ("SYN resent", vec![c.syn(), c.syn(), c.syn_ack(), c.syn_ack(), ack.clone()]),
        ("SYN resent with another ISN", vec![other.syn(), c.syn(), c.syn_ack(), ack.clone()]),
        ("forged SYN after the real one", vec![c.syn(), other.syn(), c.syn_ack(), ack.clone()]),
        ("forged SYN after the SYN-ACK", vec![c.syn(), c.syn_ack(), other.syn(), ack.clone()]),
        ("forged SYN in the connection", vec![c.syn(), c.syn_ack(), ack.clone(), other.syn()]),
        ("SYN-ACK before SYN", vec![c.syn_ack(), c.syn(), ack.clone()]),
        ("SYN-ACK only", vec![c.syn_ack(), ack.clone()]),
        ("ACK before SYN-ACK", vec![c.syn(), ack.clone(), c.syn_ack()]),
        (
            "split, four segments",
            vec![c.syn(), server_ack.clone(), server_syn.clone(), client_syn_ack.clone(), server_ack.clone()],
        ),
        (
            "split, five segments",
            vec![c.syn(), server_ack.clone(), server_syn.clone(), client_syn_ack.clone(), c.syn_ack(), ack.clone()],
        ),
        ("simultaneous", vec![c.syn(), server_syn, client_syn_ack, c.syn_ack()]),
        ("no last ACK", vec![c.syn(), c.syn_ack()]),
        ("SYN only", vec![c.syn()]),
    ];
    for (name, mut all) in cases {
        let tail = whole(&c).split_off(3);
        all.extend(tail);
        let mut world = World::new(config());
        world.feed_all(&all).finish();
        let facts = *world.facts();
        assert_eq!(world.take(), run(config(), &whole(&c)), "{name}");
        assert_eq!((facts.client(), facts.server()), (c.client, c.server), "{name}");
        assert!(facts.roles_certain && !facts.mid_stream, "{name}");
        assert_eq!(world.table.counters().flows, 1, "{name}");
    }
}

#[test]
fn f026_data_in_the_syn() {
    let c = Conn::default();
    let mut syn = c.syn();
    syn.payload = b"GET / ".to_vec();
    let rest = [c.c(6, 2, b"HTTP"), c.s(2, 10, b"200")];
    // RFC 7413: taken at once, and the server may answer in its SYN-ACK.
    let mut answer = c.syn_ack().with(|h| h.ack = h.ack.wrapping_add(6));
    answer.payload = b"ok".to_vec();
    let mut all = vec![syn.clone(), answer.clone()];
    all.extend(rest.clone());
    let events = run(config(), &all);
    assert_eq!(bytes(&events, ToServer), b"GET / HTTP");
    assert_eq!(bytes(&events, ToClient), b"ok200");
    // The SYN-ACK captured first.
    let mut all = vec![answer, syn.clone()];
    all.extend(rest);
    let events = run(config(), &all);
    assert_eq!(bytes(&events, ToServer), b"GET / HTTP");
    // Refused: the client sends it again.
    let all = [syn, c.syn_ack(), c.c(0, 0, b"GET / HTTP"), c.s(0, 10, b"ok")];
    let events = run(config(), &all);
    assert_eq!(events[..2], [data(ToServer, b"GET / HTTP"), data(ToClient, b"ok")]);
}

#[test]
fn f027_joined_in_the_middle() {
    let c = Conn::default();
    // First packet from the client, from the server, and an ACK alone before either.
    for first in [c.c(100, 500, b"request"), c.s(500, 100, b"response"), c.s(500, 100, b"")] {
        let mut world = World::new(config());
        world.feed(&first).feed_all(&[c.c(100, 500, b"request"), c.s(500, 107, b"response")]);
        let facts = *world.facts();
        assert_eq!((facts.client(), facts.server()), (c.client, c.server));
        assert!(facts.mid_stream && !facts.roles_certain);
        let events = world.take();
        assert_eq!(bytes(&events, ToServer), b"request");
        assert!(bytes(&events, ToClient).ends_with(b"response"));
        assert_eq!(world.table.counters().gaps, 0);
    }
}

#[test]
fn f027_a_keep_alive_probe_is_no_first_request() {
    let c = Conn::default();
    let mut world = World::new(config());
    world.feed_all(&[c.s(500, 100, b"event"), c.c(99, 505, b"\0"), c.c(100, 505, b"GET")]);
    assert_eq!(world.take(), [data(ToClient, b"event"), data(ToServer, b"GET")]);
}

#[test]
fn f027_empty_segments_start_nothing() {
    let c = Conn::default();
    let mut world = World::new(config());
    world.feed_all(&[c.c(5, 5, b""), c.fin(ToServer, 5, 5), c.rst(ToClient, 5)]);
    assert_eq!((world.table.len(), world.table.half_open_len(), world.apps), (0, 0, 0));
    assert_eq!(world.table.counters().empty_without_flow, 3);
}

#[test]
fn f028_the_urgent_byte_follows_the_policy() {
    let c = Conn::default();
    for (policy, expect) in [(UrgentPolicy::OutOfBand, &b"GET /"[..]), (UrgentPolicy::InBand, b"GEXT /")] {
        let urgent = c.seg(ToServer, 0, 0, ACK | URG, b"GEXT").with(|h| h.urgent = 3);
        let mut world = opened(Config { urgent: policy, ..config() }, &c);
        world.feed_all(&[urgent.clone(), c.c(4, 0, b" /"), urgent.clone()]);
        assert_eq!(world.take(), [data(ToServer, expect)]);
        assert_eq!(world.facts().direction(ToServer).offset, 6);
        // Out of order too, and with a pointer that points nowhere.
        let mut world = opened(Config { urgent: policy, ..config() }, &c);
        world.feed_all(&[c.c(4, 0, b" /"), urgent]);
        world.feed(&c.seg(ToServer, 6, 0, ACK | URG, b"!").with(|h| h.urgent = 9));
        assert_eq!(world.take(), [data(ToServer, &[expect, b"!"].concat())]);
        assert_eq!(world.table.counters().urgent, 2);
    }
}

#[test]
fn f029_old_timestamps_are_rejected_when_both_negotiated() {
    let c = Conn::default();
    let stamp = |s: Owned, value| s.with(|h| h.options.timestamps = Some((value, 0)));
    for negotiated in [true, false] {
        let mut world = World::new(config());
        world.feed(&stamp(c.syn(), 100));
        world.feed(&if negotiated { stamp(c.syn_ack(), 5) } else { c.syn_ack() });
        world.feed_all(&[stamp(c.c(0, 0, b"a"), 110), stamp(c.c(1, 0, b"X"), 90), stamp(c.c(1, 0, b"b"), 111)]);
        let expect = if negotiated { b"ab" } else { b"aX" };
        assert_eq!(bytes(&world.take(), ToServer), expect);
        assert_eq!(world.table.counters().paws, u64::from(negotiated));
        // A copy of an old segment is a retransmission, whatever its stamp.
        world.feed(&stamp(c.c(0, 0, b"a"), 100));
        assert_eq!(world.table.counters().paws, u64::from(negotiated));
    }
}

#[test]
fn f029_window_scale_is_clamped_and_needs_both_sides() {
    let c = Conn::default();
    let scale = |s: Owned, shift| s.with(|h| h.options.window_scale = Some(shift));
    for (client, server, reach) in [(Some(255), Some(255), 60_000 << 14), (Some(14), None, 60_000)] {
        let mut world = World::new(config());
        world.feed(&client.map_or(c.syn(), |shift| scale(c.syn(), shift)));
        world.feed(&server.map_or(c.syn_ack(), |shift| scale(c.syn_ack(), shift)));
        world.feed_all(&[c.c(0, 0, b"q"), c.s(0, 1, b"a")]);
        let slack = 1 << 20;
        world.feed(&c.c(1 + reach + slack, 1, b"too far"));
        assert_eq!(world.table.counters().out_of_window, 1, "{client:?}");
        world.feed(&c.c(reach - 100, 1, b"far"));
        assert_eq!(world.table.counters().out_of_window, 1, "{client:?}");
    }
}

#[test]
fn f030_wrong_checksums() {
    let c = Conn::default();
    let bad = |s: Owned| s.with(|h| h.checksum = Checksum::Bad);
    let auto = || Config { checksum: ChecksumPolicy::Auto, ..config() };
    // A host that leaves its checksums to its card: all wrong one way, right the other way.
    let plain = run(config(), &whole(&c));
    for policy in [config(), auto()] {
        let wrong: Vec<Owned> =
            whole(&c).into_iter().map(|s| if s.header.src_port == 80 { bad(s) } else { s }).collect();
        assert_eq!(run(policy.clone(), &wrong), plain);
        let wrong: Vec<Owned> = whole(&c).into_iter().map(bad).collect();
        assert_eq!(run(policy, &wrong), plain);
    }
    // Garbage among segments that are usually right.
    let mut world = opened(auto(), &c);
    for n in 0..20 {
        if n < 4 {
            world.feed(&c.c(n, 0, b"a"));
            continue;
        }
        world.feed_all(&[c.c(n, 0, b"a"), bad(c.c(n + 1, 0, b"X"))]);
    }
    assert_eq!(bytes(&world.take(), ToServer), b"a".repeat(20));
    assert!(world.table.counters().bad_checksum == 16);
}

#[test]
fn f031_the_same_tuple_again() {
    let c = Conn::default();
    let again = Conn { isn: [900_000_000, 3_000_000_000], ..c };
    let first = [data(ToServer, b"request"), data(ToClient, b"response")];
    let fin = [Ev::End(ToServer, EndReason::Fin), Ev::End(ToClient, EndReason::Fin)];
    // After a proper close; right in its last steps; without any close.
    for cut in [8, 7, 5] {
        let mut world = World::new(config());
        world.feed_all(&whole(&c)[..cut]);
        world.feed_all(&whole(&again)).finish();
        let ids: Vec<_> = world.log.iter().map(|(id, ..)| *id).collect();
        let events = world.take();
        let ends = if cut == 5 {
            [Ev::End(ToServer, EndReason::Reused), Ev::End(ToClient, EndReason::Reused)]
        } else {
            fin.clone()
        };
        let expect = [&first[..], &ends, &first, &fin].concat();
        assert_eq!(events, expect, "{cut}");
        // One change of flow, and no way back.
        assert_eq!(ids.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1);
        assert_eq!(world.apps, 2);
    }
    // The new connection's SYN-ACK was missed: its first data confirms it.
    let mut world = World::new(config());
    world.feed_all(&whole(&c)[..5]).feed(&again.syn()).feed(&again.c(0, 0, b"second"));
    assert_eq!(world.take().last(), Some(&data(ToServer, b"second")));
}

#[test]
fn f031_late_segments_of_a_closed_connection_start_nothing() {
    let c = Conn::default();
    let mut world = World::new(config());
    world.feed_all(&whole(&c)).take();
    world.feed_all(&whole(&c)[1..]).feed(&c.syn()).feed(&c.rst(ToClient, 9));
    assert_eq!((world.take(), world.table.len(), world.table.half_open_len()), (vec![], 0, 0));
    // A new connection whose opening was missed is one, though.
    world.feed(&c.c(1 << 28, 1 << 28, b"new"));
    assert_eq!(world.take(), [data(ToServer, b"new")]);
    // And after a while everything is.
    let mut world = World::new(config());
    world.feed_all(&whole(&c)).take();
    world.feed(&c.c(0, 0, b"request").at(world.time + 11 * SEC));
    assert_eq!(world.take(), [data(ToServer, b"request")]);
}

#[test]
fn f031_probes_and_partial_retransmissions_give_no_byte_twice() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    world.feed(&c.c(0, 0, b"abcdef"));
    // Keep-alive with a garbage byte, empty keep-alive, zero-window probe answered, partial repeats.
    world.feed_all(&[c.c(5, 0, b"\0"), c.c(5, 0, b""), c.s(0, 6, b"").with(|h| h.window = 0)]);
    world.feed_all(&[c.c(6, 0, b"g"), c.s(0, 6, b"").with(|h| h.window = 0), c.c(6, 0, b"g"), c.s(0, 7, b"")]);
    world.feed_all(&[c.c(3, 0, b"defghi"), c.c(0, 0, b"abcdefghij")]);
    assert_eq!(world.take(), [data(ToServer, b"abcdefghij")]);
    let facts = world.facts().direction(ToServer);
    assert_eq!((facts.offset, facts.conflicts, facts.gap_bytes), (10, 0, 0));
    assert_eq!(world.table.counters().retransmitted_bytes, 1 + 1 + 4 + 9);
}

#[test]
fn f032_more_than_four_gigabytes() {
    let c = Conn::default();
    let mut world = opened(config(), &c);
    let payload = vec![0_u8; 64 << 10];
    let (mut at, mut delivered) = (0_u64, 0_u64);
    let mut memory = 0;
    while at < 9 << 30 {
        // The stream of a big download at a stride: most of each 16 MiB is cut by the snap length.
        let segment = c.s(at, 0, &payload).with(|h| h.missing = (1 << 20) - (64 << 10)).at(world.time + MS);
        world.feed(&segment);
        for (_, _, event) in world.log.drain(..) {
            delivered += match event {
                Ev::Data(_, bytes) => bytes.len() as u64,
                Ev::Gap(_, len, GapCause::Truncated) => len,
                other => panic!("{other:?}"),
            };
        }
        at += 1 << 20;
        world.feed(&c.c(0, at, b"").at(world.time + MS));
        if memory == 0 {
            memory = world.table.memory_bytes();
        }
    }
    assert_eq!(delivered, at);
    assert_eq!((world.facts().direction(ToClient).offset, world.table.memory_bytes()), (at, memory));
}

#[test]
fn f032_idle_flows_are_small() {
    let mut world = World::new(config());
    let n = 20_000;
    for n in 0..n {
        let c = Conn::number(n);
        world.feed_all(&c.open());
        world.feed_all(&[c.c(0, 0, &[b'q'; 800]), c.s(0, 800, &[b'a'; 1400]), c.c(800, 1400, b"")]);
        world.log.clear();
    }
    assert_eq!(world.table.len(), n as usize);
    let each = world.table.memory_bytes() / n as usize;
    assert!(each <= 4096, "{each} bytes for each idle flow");
    assert_eq!(world.table.counters().limit_history, 0);
}

#[test]
fn f032_the_flow_cap_evicts_the_one_silent_for_longest() {
    let mut world = World::new(Config { max_flows: 8, ..config() });
    for n in 0..8 {
        world.feed(&Conn::number(n).c(0, 0, b"x").at(world.time + SEC));
    }
    // The first one stays in use.
    world.feed(&Conn::number(0).c(1, 0, b"y"));
    world.take();
    world.feed(&Conn::number(99).c(0, 0, b"z").at(world.time + SEC));
    assert_eq!(world.log.len(), 3);
    assert_eq!(world.table.len(), 8);
    assert_eq!(
        world.take(),
        [Ev::End(ToServer, EndReason::Evicted), Ev::End(ToClient, EndReason::Evicted), data(ToServer, b"z")]
    );
    world.feed(&Conn::number(0).c(2, 0, b"!"));
    assert_eq!(world.take(), [data(ToServer, b"!")]);
    // The one evicted was the second.
    world.feed(&Conn::number(2).c(1, 0, b"?"));
    assert_eq!(world.take(), [data(ToServer, b"?")]);
}

#[test]
fn silence_ends_a_flow_by_packet_or_by_sweep() {
    let c = Conn::default();
    let idle = [Ev::End(ToServer, EndReason::Idle), Ev::End(ToClient, EndReason::Idle)];
    let mut world = opened(config(), &c);
    world.feed(&c.c(0, 0, b"a"));
    let last = world.time;
    world.sweep(last + 299 * SEC).feed(&c.c(1, 0, b"b").at(last + 299 * SEC));
    assert_eq!(world.take(), [data(ToServer, b"ab")]);
    let last = world.time;
    world.sweep(last + 310 * SEC);
    assert_eq!(world.log[0].1, Timestamp(last + 300 * SEC));
    assert_eq!(world.take(), idle);
    assert!(world.table.is_empty());
}
