//! What became of every record: `taken = delivered + aside + lost + pending`, by class.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use umbra_store::{Class, Losses};

/// One class of the ledger. Counts are of this process, except `pending`, which includes what an earlier one left, and
/// `lost_spool`, which is since the spool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassLedger {
    /// Records given to the delivery.
    pub taken: u64,
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Set aside: the broker would never take them.
    pub aside: u64,
    /// Not taken: the queue in front of the spool was full.
    pub lost_queue: u64,
    /// Not taken: longer than a record may be.
    pub lost_too_long: u64,
    /// Dropped in the spool or by the disk, with reasons in [`Ledger::losses`].
    pub lost_spool: u64,
    /// In the spool, not acknowledged.
    pub pending: u64,
}

/// The ledger of a delivery, read while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By [`Class`].
    pub classes: [ClassLedger; 4],
    /// Losses of the spool since it was made, by class and reason.
    pub losses: Losses,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// The disk does not take what it should.
    pub spool_failing: bool,
    /// Records that the broker or the client refused and that were sent again.
    pub retries: u64,
    /// Clients made anew after a fatal error.
    pub rebuilds: u64,
    /// The last error, without secrets.
    pub error: Option<String>,
    /// The last send of any class was acknowledged.
    pub connected: bool,
}

impl Ledger {
    /// The figures of a class.
    pub fn class(&self, class: Class) -> &ClassLedger {
        let [event, health, endpoint, finding] = &self.classes;
        match class {
            Class::Event => event,
            Class::Health => health,
            Class::Endpoint => endpoint,
            Class::Finding => finding,
        }
    }

    /// Records of all classes that wait for the broker.
    pub fn pending(&self) -> u64 {
        self.classes.iter().map(|class| class.pending).sum()
    }

    /// Records of all classes that the broker has.
    pub fn delivered(&self) -> u64 {
        self.classes.iter().map(|class| class.delivered).sum()
    }

    /// Records of all classes that are lost, by this process or in this spool.
    pub fn lost(&self) -> u64 {
        self.classes.iter().map(|class| class.lost_queue + class.lost_too_long + class.lost_spool).sum()
    }
}

/// What the threads share of it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) lost_queue: [AtomicU64; 4],
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub(super) fn read(&self) -> Ledger {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (class, lost) in ledger.classes.iter_mut().zip(&self.lost_queue) {
            class.lost_queue = lost.load(Ordering::Relaxed);
            class.taken = class.taken.saturating_add(class.lost_queue);
        }
        ledger
    }

    pub(super) fn publish(&self, ledger: &Ledger) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone_from(ledger);
    }
}
