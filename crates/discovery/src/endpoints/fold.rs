//! What becomes of a service that has reached its bound of endpoints: what was kept word by word goes under the templates that
//! were decided of it, so that there is room again. Only where that gives none are further routes made coarse ([`coarse`]).
//!
//! [`coarse`]: crate::coarse

use std::sync::Arc;
use std::time::Duration;

use super::{Endpoints, Observation};
use crate::endpoint_key::Settled;
use crate::routes::{Pin, Templates};
use crate::style::Style;

/// Templates are decided at most once in so much packet time: whoever makes a server answer any path must not make that the most
/// of the work (a second, for a service of 60,000 places).
const EVERY: Duration = Duration::from_secs(10);

impl Endpoints {
    /// The service of a transaction has reached its bound.
    #[cold]
    pub(super) fn crowd(&mut self, observation: &Observation<'_>) {
        let hash = self.hasher.hash_one(observation.host);
        if observation.time >= self.next_fold && !self.unfoldable.contains(&hash) {
            self.next_fold = observation.time.after(EVERY);
            self.crowded = Some(String::from_utf8_lossy(observation.host).into_owned());
        }
    }

    /// A service that has reached [`Config::endpoints_per_service`](super::Config) since this was last asked, and may have room
    /// under its templates.
    pub fn crowded(&mut self) -> Option<String> {
        self.crowded.take()
    }

    /// Templates that operators have pinned.
    pub fn pins(&self) -> &[Pin] {
        self.config.pins.list()
    }

    /// Files the endpoints of a service under `templates`; what comes together is merged. Where that frees less than a quarter of
    /// what a service may have, it is not tried again.
    pub fn fold(&mut self, host: &str, templates: &Templates) {
        let pins = Arc::clone(&self.config.pins);
        let mut settled = Settled::new(templates, &pins);
        let places = 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        for slot in places {
            let Some(Some(endpoint)) = self.slots.get(slot as usize) else { continue };
            if endpoint.host() != host || endpoint.style == Style::Grpc {
                continue;
            }
            settled.write_key(endpoint.endpoint_key(), &mut self.key);
            if self.key == endpoint.key() {
                continue;
            }
            let (host_len, method_len) = (endpoint.endpoint_key().host_len, endpoint.endpoint_key().method_len);
            if let Some(endpoint) = self.take(slot) {
                self.merge_key(&endpoint, host_len, method_len);
            }
        }
        let confirmed = self.iter().filter(|endpoint| endpoint.confirmed && endpoint.host() == host).count();
        let hash = self.hasher.hash_one(host.as_bytes());
        self.confirmed.insert(hash, confirmed);
        let bound = self.config.endpoints_per_service;
        if confirmed > bound - bound / 4 {
            self.unfoldable.insert(hash);
        }
        self.counters.folds += 1;
    }
}
