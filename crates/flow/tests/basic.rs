//! Plain connections, from SYN to close.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;
use support::*;
use umbra_flow::{Config, EndReason, GapCause};

fn exchange(c: &Conn) -> Vec<Owned> {
    let mut all = c.open();
    all.extend([
        c.c(0, 0, b"request"),
        c.s(0, 7, b"response"),
        c.c(7, 8, b""),
        c.fin(ToServer, 7, 8),
        c.fin(ToClient, 8, 8),
        c.c(8, 9, b""),
    ]);
    all
}

fn expected() -> Vec<Ev> {
    vec![
        data(ToServer, b"request"),
        data(ToClient, b"response"),
        Ev::End(ToServer, EndReason::Fin),
        Ev::End(ToClient, EndReason::Fin),
    ]
}

#[test]
fn a_whole_connection() {
    let mut world = World::new(Config::default());
    world.feed_all(&exchange(&Conn::default()));
    assert_eq!(world.take(), expected());
    assert!(world.table.is_empty());
    let facts = world.facts();
    assert_eq!(facts.client(), Conn::default().client);
    assert_eq!(facts.acked(ToServer), Some(7));
    assert_eq!(facts.acked(ToClient), Some(8));
    assert_eq!((facts.direction(ToServer).packets, facts.direction(ToClient).packets), (5, 3));
    assert!(facts.roles_certain && !facts.mid_stream && !facts.one_sided());
    assert_eq!(world.table.counters().after_close, 1);
}

#[test]
fn bytes_out_of_order_wait_for_their_turn() {
    let c = Conn::default();
    let mut all = c.open();
    all.extend([c.c(3, 0, b"def"), c.c(6, 0, b"ghi"), c.c(0, 0, b"abc"), c.s(0, 9, b"ok")]);
    let mut world = World::new(Config::default());
    world.feed_all(&all);
    assert_eq!(world.take(), [data(ToServer, b"abcdefghi"), data(ToClient, b"ok")]);
}

#[test]
fn an_answer_captured_before_its_question_waits_for_it() {
    let c = Conn::default();
    let mut all = c.open();
    all.extend([c.s(0, 8, b"answer"), c.s(6, 8, b"more"), c.c(4, 0, b"tion"), c.c(0, 0, b"ques")]);
    let mut world = World::new(Config::default());
    world.feed_all(&all);
    assert_eq!(world.take(), [data(ToServer, b"question"), data(ToClient, b"answermore")]);
    assert_eq!(world.table.counters().gaps, 0);
}

#[test]
fn a_lost_question_is_a_gap_before_its_answer() {
    let c = Conn::default();
    let mut all = c.open();
    all.extend([c.s(0, 8, b"answer"), c.c(8, 6, b"")]);
    let mut world = World::new(Config::default());
    world.feed_all(&all);
    assert_eq!(world.take(), []);
    // The next question shows the hole; the grace has passed by then.
    world.feed(&c.c(8, 6, b"next").at(world.time + 60 * MS));
    assert_eq!(
        world.take(),
        [Ev::Gap(ToServer, 8, GapCause::Lost), data(ToClient, b"answer"), data(ToServer, b"next")]
    );
}

#[test]
fn a_fin_the_capture_missed_is_no_gap() {
    let c = Conn::default();
    let mut all = c.open();
    all.extend([c.c(0, 0, b"q"), c.s(0, 1, b"a"), c.fin(ToServer, 1, 1)]);
    // The server acknowledges the FIN; its own FIN is lost, and the client acknowledges that one.
    all.extend([c.s(1, 2, b""), c.c(2, 2, b"")]);
    let events = run(Config::default(), &all);
    assert_eq!(
        events,
        [
            data(ToServer, b"q"),
            data(ToClient, b"a"),
            Ev::End(ToServer, EndReason::Fin),
            Ev::End(ToClient, EndReason::Finished)
        ]
    );
}

#[test]
fn cut_segments_give_a_truncated_gap() {
    let c = Conn::default();
    let mut all = c.open();
    let cut = |s: Owned, missing| s.with(|h| h.missing = missing);
    all.extend([
        cut(c.c(0, 0, b"abc"), 7),
        cut(c.s(10, 10, b"xyz"), 2),
        cut(c.s(0, 10, b"0123"), 6),
        c.c(10, 15, b"d"),
    ]);
    let events = run(Config::default(), &all);
    let truncated = |d, n| Ev::Gap(d, n, GapCause::Truncated);
    assert_eq!(
        events[..8],
        [
            data(ToServer, b"abc"),
            truncated(ToServer, 7),
            data(ToClient, b"0123"),
            truncated(ToClient, 6),
            data(ToClient, b"xyz"),
            truncated(ToClient, 2),
            data(ToServer, b"d"),
            Ev::End(ToServer, EndReason::Finished),
        ]
    );
}

#[test]
fn an_ignored_flow_gives_only_its_ends() {
    let c = Conn::default();
    let mut world = World::new(Config::default());
    world.feed_all(&c.open()).feed(&c.c(0, 0, b"hello"));
    let id = world.log[0].0;
    world.table.ignore(id);
    world.feed_all(&[c.c(9, 0, b"hole"), c.s(0, 20, b"x"), c.c(5, 1, b"late"), c.fin(ToServer, 20, 1)]);
    world.feed_all(&[c.fin(ToClient, 1, 21), c.c(21, 2, b"")]);
    assert_eq!(
        world.take(),
        [data(ToServer, b"hello"), Ev::End(ToServer, EndReason::Fin), Ev::End(ToClient, EndReason::Fin)]
    );
    assert_eq!(world.table.counters().buffered_segments, 0);
}

#[test]
fn every_flow_ends_both_ways_once() {
    for cut in 0..exchange(&Conn::default()).len() {
        let all = exchange(&Conn::default());
        let events = run(Config::default(), &all[..cut]);
        let ends = events.iter().filter(|event| matches!(event, Ev::End(..))).count();
        assert_eq!(ends, if cut < 3 { 0 } else { 2 }, "{cut}");
    }
}
