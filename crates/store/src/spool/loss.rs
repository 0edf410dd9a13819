//! What was lost, by class and by reason: nothing goes missing without being in here.

/// Records lost of one class since the spool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Dropped, or not taken, because the spool was full.
    pub over_cap: u64,
    /// Not taken because the disk did not take what came before.
    pub disk: u64,
    /// In the spool once, and not readable any more: flipped bits, cut or missing files, dead blocks.
    pub damaged: u64,
}

impl Loss {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.over_cap.saturating_add(self.disk).saturating_add(self.damaged)
    }
}

/// Records lost, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Event samples.
    pub event: Loss,
    /// Health rows.
    pub health: Loss,
    /// Inventory rows. If any was dropped, whoever writes them sends the whole state again once there is room.
    pub endpoint: Loss,
    /// Findings.
    pub finding: Loss,
    /// Records that were set aside, and those were dropped or damaged.
    pub aside: Loss,
}

impl Losses {
    /// Records lost of all classes.
    pub fn total(&self) -> u64 {
        [self.event, self.health, self.endpoint, self.finding, self.aside]
            .iter()
            .fold(0, |sum, loss| sum.saturating_add(loss.total()))
    }
}

/// Records of one class that were dropped or refused one after the other, for the event that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many. Some of them may have been on their way, and get through all the same.
    pub records: u64,
    /// Time of the oldest: nanoseconds since 1970.
    pub first_ns: u64,
    /// Time of the newest, or of the first one behind them.
    pub last_ns: u64,
}

impl Gap {
    /// Joins what was dropped later.
    pub(super) fn join(gap: &mut Option<Gap>, later: Gap) {
        match gap {
            Some(gap) => {
                gap.records = gap.records.saturating_add(later.records);
                gap.first_ns = gap.first_ns.min(later.first_ns);
                gap.last_ns = gap.last_ns.max(later.last_ns);
            }
            None => *gap = Some(later),
        }
    }
}
