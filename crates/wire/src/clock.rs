//! A clock for timeouts made of packet times.

use std::time::Duration;

use crate::packet::Timestamp;

/// How many packet times are remembered while the clock is in doubt.
const MEMORY: usize = 8;

/// Turns packet times into a clock that never goes back and that a few odd packets cannot move (F010).
///
/// It is meant for timeouts; records carry the packet's own time. With `now` the value last returned and `jump` and
/// `confirm` as configured, a packet time is one of
///
/// - *near* (at most `jump` away from `now`): the clock moves to it, or stands still where it is earlier;
/// - *ahead* by more: the clock stands still until `confirm` packets in a row were ahead, then it moves to the median of
///   the last of them and follows. A quiet link is told from an odd time by the packets that follow it;
/// - *behind* by more: the clock stands still until `confirm` packets in a row were behind, then it goes on from `now` at
///   the pace of the new times (`now` is then later than the packet times by a constant).
///
/// So the first packet after a silence is still measured with the old time: what times out does so `confirm` packets
/// later.
#[derive(Clone, Debug)]
pub struct PacketClock {
    now: u64,
    /// Added to packet times, after the source's clock was set back.
    offset: u64,
    jump: u64,
    confirm: u8,
    run: Run,
    run_len: u8,
    odd_times: u64,
    recent: [u64; MEMORY],
    recent_at: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Ahead,
    Behind,
}

impl Default for PacketClock {
    /// 60 s and 8 packets.
    fn default() -> Self {
        PacketClock::new(Duration::from_secs(60), 8)
    }
}

impl PacketClock {
    /// A clock for which times more than `jump` away need `confirm` packets in a row (1 to 8, others are clamped).
    pub fn new(jump: Duration, confirm: u8) -> PacketClock {
        PacketClock {
            now: 0,
            offset: 0,
            jump: u64::try_from(jump.as_nanos()).unwrap_or(u64::MAX),
            confirm: confirm.clamp(1, MEMORY as u8),
            run: Run::Ahead,
            run_len: 0,
            odd_times: 0,
            recent: [0; MEMORY],
            recent_at: 0,
        }
    }

    /// Takes the time of the next packet, in capture order, and gives the clock's time: never less than before.
    #[inline]
    pub fn observe(&mut self, time: Timestamp) -> Timestamp {
        // Half of the range (the year 2262) leaves room for the offset, so that no time can pin the clock to its end.
        let time = time.nanos().min(u64::MAX / 2).saturating_add(self.offset);
        if time.abs_diff(self.now) <= self.jump {
            self.now = self.now.max(time);
            self.run_len = 0;
        } else {
            self.doubt(time);
        }
        Timestamp(self.now)
    }

    /// The clock's time; zero before the first packet.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Packet times that were too far away to be believed at once.
    pub fn odd_times(&self) -> u64 {
        self.odd_times
    }

    #[cold]
    fn doubt(&mut self, time: u64) {
        if self.now == 0 {
            // Nothing can expire yet, so the first time is taken as it is; if it was odd the next ones correct it.
            self.now = time;
            return;
        }
        self.odd_times = self.odd_times.saturating_add(1);
        let run = if time > self.now { Run::Ahead } else { Run::Behind };
        if run != self.run {
            (self.run, self.run_len) = (run, 0);
        }
        if let Some(slot) = self.recent.get_mut(usize::from(self.recent_at)) {
            *slot = time;
        }
        self.recent_at = (self.recent_at + 1) % MEMORY as u8;
        self.run_len = self.run_len.saturating_add(1);
        if self.run_len < self.confirm {
            return;
        }
        let middle = self.median_of_last(usize::from(self.confirm));
        match run {
            // The run goes on: where packets are more than `jump` apart the clock follows a few packets behind.
            Run::Ahead => self.now = self.now.max(middle),
            Run::Behind => {
                self.offset = self.offset.saturating_add(self.now.saturating_sub(middle));
                self.run_len = 0;
            }
        }
    }

    fn median_of_last(&self, count: usize) -> u64 {
        let mut last = [0; MEMORY];
        let newest_first = (1..=count).map(|back| (usize::from(self.recent_at) + MEMORY - back) % MEMORY);
        for (slot, at) in last.iter_mut().zip(newest_first) {
            *slot = self.recent.get(at).copied().unwrap_or_default();
        }
        let last = last.get_mut(..count).unwrap_or_default();
        last.sort_unstable();
        last.get(last.len().saturating_sub(1) / 2).copied().unwrap_or(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_700_000_000 * SECOND;

    fn started() -> PacketClock {
        let mut clock = PacketClock::default();
        for n in 0..10 {
            clock.observe(Timestamp(START + n * SECOND));
        }
        clock
    }

    #[test]
    fn f010_single_odd_times_do_not_move_the_clock() {
        let now = START + 9 * SECOND;
        for odd in [0, now - SECOND, now - 86_400 * SECOND, now + 86_400 * SECOND, (1 << 32) * SECOND, u64::MAX] {
            let mut clock = started();
            assert_eq!(clock.observe(Timestamp(odd)), Timestamp(now), "{odd}");
            assert_eq!(clock.observe(Timestamp(now + SECOND)), Timestamp(now + SECOND), "{odd}");
            // As the first packet of all, it is got over within nine packets.
            let mut clock = PacketClock::default();
            let mut last = clock.observe(Timestamp(odd));
            for n in 1..=9 {
                let next = clock.observe(Timestamp(now + n * SECOND));
                assert!(next >= last);
                last = next;
            }
            let later = clock.observe(Timestamp(now + 20 * SECOND));
            assert!(later.since(last) >= Duration::from_secs(10), "{odd}");
        }
    }

    #[test]
    fn f010_a_silence_is_believed_after_eight_packets() {
        let mut clock = started();
        let now = clock.now();
        let resumed = START + 3_600 * SECOND;
        for n in 0..7 {
            assert_eq!(clock.observe(Timestamp(resumed + n)), now);
        }
        assert!(clock.observe(Timestamp(resumed + 7)).nanos() >= resumed);
        assert_eq!(clock.observe(Timestamp(resumed + SECOND)), Timestamp(resumed + SECOND));
    }

    #[test]
    fn f010_sparse_packets_still_move_the_clock() {
        let mut clock = started();
        for n in 1..100 {
            clock.observe(Timestamp(START + n * 100 * SECOND));
        }
        assert!(clock.now().nanos() >= START + 94 * 100 * SECOND);
    }

    #[test]
    fn f010_a_clock_set_back_goes_on_from_where_it_was() {
        let mut clock = started();
        let now = clock.now();
        for n in 0..8 {
            assert_eq!(clock.observe(Timestamp(START - 86_400 * SECOND + n * SECOND)), now);
        }
        let later = clock.observe(Timestamp(START - 86_400 * SECOND + 38 * SECOND));
        assert!((30..40).contains(&later.since(now).as_secs()));
    }

    #[test]
    fn f010_a_start_near_1970_is_no_special_case() {
        let mut clock = PacketClock::default();
        for seconds in [0, 50, 100, 150] {
            assert_eq!(clock.observe(Timestamp(seconds * SECOND)), Timestamp(seconds * SECOND));
        }
        assert_eq!(clock.observe(Timestamp(0)), Timestamp(150 * SECOND));
    }

    #[test]
    fn f010_the_clock_never_goes_back() {
        let mut state = 1u64;
        let mut clock = started();
        let mut last = clock.now();
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let time = match state >> 61 {
                0 => state,
                1 => 0,
                2 => START - (state >> 20),
                _ => START + (state >> 24),
            };
            let now = clock.observe(Timestamp(time));
            assert!(now >= last);
            last = now;
        }
    }
}
