//! When to look at a flow again.

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
}
