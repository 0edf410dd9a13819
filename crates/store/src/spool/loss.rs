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
