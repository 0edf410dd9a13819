//! Any order, overlap, repeat and loss of segments against a naive model.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;
use proptest::prelude::*;
use support::hostile;
use support::plan::{Draw, Mishaps, Plan};
use support::*;
use umbra_flow::Config;
use umbra_wire::Timestamp;

const ALL: Mishaps = Mishaps { loss: true, overlap: true, reorder: true, repeat: true };
const NO_LOSS: Mishaps = Mishaps { loss: false, ..ALL };

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..600)
}

/// `PROPTEST_CASES` overrides the number of cases.
fn proptest_config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn without_loss_the_conversation_comes_out_word_by_word(bytes in choices()) {
        let plan = Plan::draw(&bytes, NO_LOSS);
        plan.check_complete(&run(Config::default(), &plan.segments));
    }

    #[test]
    fn with_loss_every_captured_byte_comes_out_at_its_place(bytes in choices()) {
        let plan = Plan::draw(&bytes, ALL);
        plan.check_lossy(&run(Config::default(), &plan.segments));
    }

    #[test]
    fn f021_every_shift_of_the_sequence_numbers_gives_the_same(bytes in choices(), shift: [u32; 2]) {
        let plan = Plan::draw(&bytes, ALL);
        let mut shifted = plan.segments.clone();
        for segment in &mut shifted {
            let (own, peer) = if segment.header.src_port == 80 { (1, 0) } else { (0, 1) };
            segment.header.seq = segment.header.seq.wrapping_add(shift[own]);
            if segment.header.flags.ack() {
                segment.header.ack = segment.header.ack.wrapping_add(shift[peer]);
            }
        }
        prop_assert_eq!(run(Config::default(), &plan.segments), run(Config::default(), &shifted));
    }

    #[test]
    fn f006_every_packet_doubled_gives_the_same(bytes in choices()) {
        let plan = Plan::draw(&bytes, ALL);
        let doubled: Vec<Owned> = plan.segments.iter().flat_map(|segment| [segment.clone(), segment.clone()]).collect();
        prop_assert_eq!(run(Config::default(), &plan.segments), run(Config::default(), &doubled));
    }

    /// Sweeps come when they come: more often, less often, never.
    #[test]
    fn sweeps_change_nothing(bytes in choices(), pauses in proptest::collection::vec(0..40_u64, 64), often in 1..9_usize) {
        let mut plan = Plan::draw(&bytes, ALL);
        let mut time = 100 * SEC;
        for (segment, pause) in plan.segments.iter_mut().zip(pauses.into_iter().cycle()) {
            // From nothing to beyond every timeout.
            time += if pause < 30 { pause * 4 * MS } else { 1 << (2 * (pause - 12)).min(39) };
            segment.header.time = Timestamp(time);
        }
        let log = |sweeps: bool| {
            let mut world = World::new(Config::default());
            for (n, segment) in plan.segments.iter().enumerate() {
                if sweeps && n % often == 0 {
                    for part in 0..=8 {
                        let (from, to) = (world.time, segment.header.time.nanos().max(world.time));
                        world.sweep(from + (to - from) / 8 * part);
                    }
                }
                world.feed(segment);
            }
            world.finish();
            world.log.into_iter().map(|(_, time, event)| (time, event)).collect::<Vec<_>>()
        };
        let (without, with) = (log(false), log(true));
        let same = without.iter().zip(&with).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(without.get(same), with.get(same), "after {} events", same);
    }

    #[test]
    fn whatever_comes_each_direction_is_contiguous_and_ends_once(bytes in choices()) {
        let mut draw = Draw(&bytes);
        let config = hostile::tight(&mut draw);
        hostile::check(&config, &hostile::ops(&mut draw, false));
    }

    #[test]
    fn whatever_comes_sweeps_change_nothing(bytes in choices()) {
        hostile::check_sweeps(&hostile::ops(&mut Draw(&bytes), true));
    }
}
