//! When to look at a flow again, and a clock that odd packets cannot move.

use std::time::Duration;

use umbra_wire::Timestamp;

/// Slots of one second.
const SLOTS: u64 = 512;

/// One flow to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) flow: u32,
    pub(crate) generation: u32,
    pub(crate) second: u64,
}

/// A timer wheel that is only touched when a flow is made, hurried or looked at: packets do not touch it. A flow whose
/// entry comes up is looked at and, when it is still alive, entered again.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<Due>>,
    /// All slots up to this second have been emptied; `None` before the first sweep.
    swept: Option<u64>,
    /// Seconds still to empty in this sweep.
    until: u64,
    /// Entries there is memory for.
    capacity: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Wheel { slots: (0..SLOTS).map(|_| Vec::new()).collect(), swept: None, until: 0, capacity: 0 }
    }

    /// Enters a flow to be looked at at `time`, or as soon as the wheel allows. The second it is entered under.
    pub(crate) fn enter(&mut self, flow: u32, generation: u32, time: Timestamp) -> u64 {
        let mut second = time.nanos() / 1_000_000_000 + 1;
        if let Some(swept) = self.swept {
            second = second.clamp(swept + 1, swept + SLOTS - 1);
        }
        if let Some(slot) = self.slots.get_mut((second % SLOTS) as usize) {
            let before = slot.capacity();
            slot.push(Due { flow, generation, second });
            self.capacity += slot.capacity() - before;
        }
        second
    }

    /// Starts a sweep up to `now`; then call [`Wheel::next`].
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let second = now.nanos() / 1_000_000_000;
        // A first sweep, or one after a long silence, goes once around.
        let from = second.saturating_sub(SLOTS);
        self.swept = Some(self.swept.map_or(from, |swept| swept.max(from)));
        self.until = self.until.max(second);
    }

    /// The next flow whose time has come.
    pub(crate) fn next(&mut self) -> Option<Due> {
        let mut swept = self.swept?;
        while swept < self.until {
            let slot = self.slots.get_mut(((swept + 1) % SLOTS) as usize)?;
            if let Some(due) = slot.pop() {
                return Some(due);
            }
            if slot.capacity() > 1024 {
                let before = slot.capacity();
                slot.shrink_to(1024);
                self.capacity -= before - slot.capacity();
            }
            swept += 1;
            self.swept = Some(swept);
        }
        None
    }

    /// Some entries that come up soonest, to choose a flow to evict from: at most `max`, taken out of the wheel.
    pub(crate) fn soonest(&mut self, max: usize, out: &mut Vec<Due>) {
        let from = self.swept.map_or(0, |swept| swept + 1);
        for second in from..from + SLOTS {
            let Some(slot) = self.slots.get_mut((second % SLOTS) as usize) else { return };
            while out.len() < max {
                match slot.pop() {
                    Some(due) => out.push(due),
                    None => break,
                }
            }
            if out.len() >= max {
                return;
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.capacity * size_of::<Due>()
    }
}

/// The table-wide clock made of packet times: it never goes back, and a few odd packets (a broken clock, a corrupt
/// record) do not move it. Feed it every packet's time and sweep with what it gives (F010).
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketClock {
    now: Timestamp,
    started: bool,
    /// A time far ahead that was not confirmed yet, and by how many packets so far.
    ahead: Option<(Timestamp, u32)>,
}

/// A step ahead up to this is believed at once.
const BELIEVED_STEP: Duration = Duration::from_secs(10);

/// Packets that must agree on a longer step.
const CONFIRMATIONS: u32 = 16;

impl PacketClock {
    /// A clock that has seen nothing.
    pub const fn new() -> Self {
        PacketClock { now: Timestamp(0), started: false, ahead: None }
    }

    /// Takes the time of a packet in and gives the time now.
    #[inline]
    pub fn observe(&mut self, time: Timestamp) -> Timestamp {
        if time <= self.now {
            // An ordinary packet: whatever was far ahead stays unconfirmed.
            if self.now.since(time) <= BELIEVED_STEP {
                self.ahead = None;
            }
        } else if self.started && time.since(self.now) <= BELIEVED_STEP {
            self.now = time;
            self.ahead = None;
        } else {
            self.step_ahead(time);
        }
        self.now
    }

    /// The time now.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    #[cold]
    fn step_ahead(&mut self, time: Timestamp) {
        let count = match self.ahead {
            Some((ahead, count)) if time.since(ahead).max(ahead.since(time)) <= BELIEVED_STEP => count + 1,
            _ => 1,
        };
        // The first packet may be the odd one: two that agree start the clock.
        if count >= if self.started { CONFIRMATIONS } else { 2 } {
            self.started = true;
            self.now = time;
            self.ahead = None;
        } else {
            self.ahead = Some((time, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn take(wheel: &mut Wheel, now: Timestamp) -> Vec<u32> {
        wheel.sweep(now);
        std::iter::from_fn(|| wheel.next()).map(|due| due.flow).collect()
    }

    #[test]
    fn flows_come_up_in_their_second() {
        let mut wheel = Wheel::new();
        assert!(take(&mut wheel, s(1000)).is_empty());
        wheel.enter(1, 0, s(1005));
        wheel.enter(2, 0, s(1003));
        // In the past, and farther than the wheel reaches.
        wheel.enter(3, 0, s(10));
        assert_eq!(wheel.enter(4, 0, s(90_000)), 1000 + SLOTS - 1);
        assert_eq!(take(&mut wheel, s(1001)), [3]);
        assert_eq!(take(&mut wheel, s(1006)), [2, 1]);
        assert_eq!(take(&mut wheel, s(50_000)), [4]);
    }

    #[test]
    fn entries_made_before_the_first_sweep_all_come_up_at_it() {
        let mut wheel = Wheel::new();
        wheel.enter(1, 0, s(0));
        wheel.enter(2, 0, s(u32::MAX.into()));
        let mut seen = take(&mut wheel, s(1_700_000_000));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn f010_odd_packets_do_not_move_the_clock() {
        let mut clock = PacketClock::new();
        assert_eq!(clock.observe(s(9_000_000)), s(0));
        clock.observe(s(1000));
        assert_eq!(clock.observe(s(1000)), s(1000));
        for odd in [0, 1000 + 86_400, u32::MAX.into(), 999] {
            assert_eq!(clock.observe(s(odd)), s(1000));
            assert_eq!(clock.observe(s(1000)), s(1000));
        }
        assert_eq!(clock.observe(s(1001)), s(1001));
        // A capture that really jumps is followed once enough packets say the same.
        for _ in 1..CONFIRMATIONS {
            assert_eq!(clock.observe(s(90_000)), s(1001));
        }
        assert_eq!(clock.observe(s(90_000)), s(90_000));
    }

    #[test]
    fn f010_an_odd_first_packet_is_outvoted() {
        let mut clock = PacketClock::new();
        clock.observe(s(0));
        clock.observe(s(1_700_000_000));
        clock.observe(s(1_700_000_000));
        assert_eq!(clock.now(), s(1_700_000_000));
    }
}
