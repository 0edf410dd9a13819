//! What all workers have learnt, together.

use std::sync::Arc;

use umbra_discovery::definition::{Definition, Definitions};
use umbra_discovery::routes::{Known, Pins, Routes, Templates};
use umbra_discovery::{Endpoint, Endpoints, Settled};

use crate::counters::Counters;
use crate::worker::Worker;

/// The merged state of any number of workers.
#[derive(Clone, Debug)]
pub struct Inventory {
    endpoints: Endpoints,
    routes: Option<Routes>,
    pins: Arc<Pins>,
    templates: Templates,
    counters: Counters,
}

impl Inventory {
    /// Nothing learnt yet. The bounds are those of one worker times the number of workers, so that merging drops
    /// nothing that a worker kept.
    pub fn new(mut config: umbra_discovery::Config, workers: usize) -> Self {
        config.endpoints = config.endpoints.saturating_mul(workers.max(1));
        config.unconfirmed = config.unconfirmed.saturating_mul(workers.max(1));
        config.endpoints_per_service = config.endpoints_per_service.saturating_mul(workers.max(1));
        Inventory {
            pins: Arc::clone(&config.pins),
            endpoints: Endpoints::new(config),
            routes: None,
            templates: Templates::default(),
            counters: Counters::default(),
        }
    }

    /// Adds what a worker has learnt.
    pub fn add(&mut self, worker: &Worker) {
        self.endpoints.merge(worker.endpoints());
        match &mut self.routes {
            Some(routes) => routes.merge(worker.routes()),
            None => self.routes = Some(worker.routes().clone()),
        }
        self.counters.merge(&worker.counters());
    }

    /// Adds an endpoint of an earlier run.
    pub fn restore(&mut self, endpoint: &Endpoint) {
        self.endpoints.merge_endpoint(endpoint);
    }

    /// Adds what an earlier run has learnt of routes.
    pub fn restore_routes(&mut self, theirs: Routes) {
        match &mut self.routes {
            Some(routes) => routes.merge(&theirs),
            None => self.routes = Some(theirs),
        }
    }

    /// Templates that operators have pinned.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Documents that services publish, where they are to be kept.
    pub fn definitions(&self) -> &Definitions {
        self.endpoints.definitions()
    }

    /// Adds a document of an earlier run.
    pub fn restore_definition(&mut self, host: &str, path: &str, definition: Definition) {
        self.endpoints.restore_definition(host, path, definition);
    }

    /// Adds what an earlier run left out.
    pub fn restore_left_out(&mut self, counters: &umbra_discovery::Counters) {
        self.endpoints.merge_counters(counters);
    }

    /// Decides the route templates on all that was learnt, lists the endpoints under them, and decides which hosts are services.
    /// Once, after everything was added:
    /// what is added later stands under the templates that a worker knows.
    pub fn settle(&mut self) {
        if let Some(routes) = &self.routes {
            self.templates = routes.templates(self.pins.list());
        }
        self.endpoints = self.endpoints.regrouped(&self.templates);
        self.endpoints.settle();
    }

    /// The same, where something else knows routes too: `route` is given an endpoint as it was filed so far, with its literal
    /// segments as they were asked for, and the templates that were decided beside what is `known`.
    pub fn settle_as(&mut self, known: &Known, route: impl Fn(&Endpoint, &Templates) -> Option<String>) {
        let beside = |routes: &Routes| routes.templates_beside(known, self.pins.list());
        let templates = self.routes.as_ref().map(beside).unwrap_or_default();
        self.endpoints = self.endpoints.filed(|endpoint| route(endpoint, &templates));
        self.endpoints.settle();
    }

    /// What was learnt of the routes; `None` before a worker was added.
    pub fn routes(&self) -> Option<&Routes> {
        self.routes.as_ref()
    }

    /// Where endpoints stand since [`settle`](Self::settle).
    pub fn settled(&self) -> Settled<'_> {
        Settled::new(&self.templates, &self.pins)
    }

    /// Counters of all workers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was left out, and why.
    pub fn endpoint_counters(&self) -> &umbra_discovery::Counters {
        self.endpoints.counters()
    }

    /// Endpoints by host, route and method: the same order for the same endpoints.
    pub fn endpoints(&self) -> Vec<&Endpoint> {
        let mut all: Vec<&Endpoint> = self.endpoints.iter().collect();
        all.sort_by_key(|endpoint| {
            (endpoint.host(), endpoint.route(), endpoint.method(), endpoint.style, endpoint.operation())
        });
        all
    }
}
