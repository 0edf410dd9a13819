//! What the main thread of `run` does beside waiting for signals: it keeps and tells what workers have learnt, and says how the
//! sensor does.

use std::time::{Duration, Instant};

use umbra_event::kafka::{HealthRecord, HealthStatus};
use umbra_pipeline::Inventory;
#[cfg(feature = "kafka")]
use umbra_pipeline::Worker;

use crate::config::Config;
use crate::exit::Failure;
use crate::health;
#[cfg(feature = "kafka")]
use crate::rows::Rows;
use crate::run::Together;
use crate::session::Session;
use crate::state::{State, Word, Words};

/// Between two lines about how the sensor does: a status that comes and goes does not fill the log.
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// How long the last rows may wait for room in the queue before the spool.
#[cfg(feature = "kafka")]
const LAST_ROWS: Duration = Duration::from_secs(2);
/// How long others may: what has no room is told again the next time.
#[cfg(feature = "kafka")]
const ROWS: Duration = Duration::from_millis(200);

/// Keeps, tells and judges.
pub(crate) struct Watch {
    /// `None`: nobody wants to know.
    words: Option<Words>,
    /// How often workers give their word.
    words_every: Duration,
    /// That the state cannot be written was said.
    told_state: bool,
    #[cfg(feature = "kafka")]
    rows: Option<Rows>,
    quiet: bool,
    health_every: Duration,
    next_health: Instant,
    before: Option<HealthRecord>,
    /// The status that was said last, and when.
    told: (HealthStatus, Option<Instant>),
}

impl Watch {
    /// For a run with so many workers; `inventory` is what earlier runs found.
    pub(crate) fn new(
        config: &Config,
        session: &Session,
        inventory: &Inventory,
        workers: usize,
        quiet: bool,
    ) -> Result<Watch, Failure> {
        #[cfg(feature = "kafka")]
        let rows = session.rows(config)?;
        #[cfg(feature = "kafka")]
        let tells = rows.as_ref().map(|_| config.kafka.rows_seconds);
        #[cfg(not(feature = "kafka"))]
        let (tells, _) = (None, session);
        let keeps = config.state.directory.as_ref().map(|_| config.state.save_seconds);
        let every = [tells, keeps].into_iter().flatten().min();
        let health_every = Duration::from_secs(config.sensor.health_seconds);
        Ok(Watch {
            words: every.map(|_| Words::new(inventory, workers)),
            words_every: Duration::from_secs(every.unwrap_or(u64::MAX)),
            told_state: false,
            #[cfg(feature = "kafka")]
            rows,
            quiet,
            health_every,
            next_health: Instant::now() + health_every,
            before: None,
            told: (HealthStatus::Ok, None),
        })
    }

    /// How often workers are to give their word, if they are, and whether that is to have what they know of routes.
    pub(crate) fn wants_words(&self) -> Option<(Duration, bool)> {
        #[cfg(feature = "kafka")]
        let routes = self.rows.is_some();
        #[cfg(not(feature = "kafka"))]
        let routes = false;
        self.words.as_ref().map(|_| (self.words_every, routes))
    }

    /// Takes the words of workers. A disk that fails is told once, and tried again with the next word.
    pub(crate) fn take(&mut self, heard: impl Iterator<Item = Word>, state: &mut Option<State>) {
        let Some(words) = &mut self.words else { return };
        let mut any = false;
        for word in heard {
            words.take(word);
            any = true;
        }
        if !any {
            return;
        }
        if let Some(state) = state {
            match words.save(state) {
                Ok(()) => self.told_state = false,
                Err(failure) if !std::mem::replace(&mut self.told_state, true) => {
                    tell!("umbra: {failure}; capturing on, and trying again");
                }
                Err(_) => {}
            }
        }
        #[cfg(feature = "kafka")]
        if let Some(rows) = &mut self.rows {
            words.tell(rows, ROWS);
        }
    }

    /// Says how the sensor does, when it is time.
    pub(crate) fn look(&mut self, config: &Config, now: impl FnOnce() -> Together, session: &Session) {
        if Instant::now() >= self.next_health {
            self.next_health = Instant::now() + self.health_every;
            self.judge(config, &now(), session);
        }
    }

    fn judge(&mut self, config: &Config, now: &Together, session: &Session) {
        let dropped = (now.stats.dropped, now.stats.interface_dropped);
        let inputs = config.capture.interfaces.clone();
        let mut record = health::record(config, inputs, now.time, &now.counters, dropped, &session.output);
        record.judge(self.before.as_ref());
        #[cfg(feature = "kafka")]
        if let Some(rows) = &mut self.rows {
            rows.tell_health(&mut record, self.before.as_ref());
        }
        let (status, at) = self.told;
        if !self.quiet && record.status != status && at.is_none_or(|at| at.elapsed() > BETWEEN_LINES) {
            self.told = (record.status, Some(Instant::now()));
            match record.status {
                HealthStatus::Ok => tell!("umbra: ok again"),
                HealthStatus::Degraded => tell!("umbra: degraded: {}", record.reasons.join(", ")),
                HealthStatus::Blind => tell!("umbra: blind: {}", record.reasons.join(", ")),
            }
        }
        self.before = Some(record);
    }

    /// The last rows and the last word on health, when all events are on their way.
    #[cfg(feature = "kafka")]
    pub(crate) fn finish(
        mut self,
        config: &Config,
        now: &Together,
        session: &Session,
        workers: &[Worker],
    ) -> Result<(), Failure> {
        if let Some(rows) = &mut self.rows {
            let mut seen = session.inventory(workers.len(), None)?;
            workers.iter().for_each(|worker| seen.add(worker));
            rows.have_gaps();
            rows.tell(&seen.endpoints(), seen.routes(), Some(LAST_ROWS));
            self.judge(config, now, session);
        }
        Ok(())
    }
}
