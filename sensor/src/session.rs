//! What `replay` and `run` share: settings of the workers, the sink, the report at the end.

use std::io;
use std::sync::{Mutex, PoisonError};

use umbra_event::Source;
use umbra_pipeline::{Inventory, Worker};
use umbra_wire::{EtherKind, FragmentKind, LayerKind, ProtocolKind};

use crate::catalogue::Catalogue;
use crate::cli::Format;
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::key;
use crate::output::Output;
use crate::report;
#[cfg(feature = "kafka")]
use crate::rows::Rows;
use crate::state::State;

/// One run.
pub(crate) struct Session {
    pub(crate) pipeline: umbra_pipeline::Config,
    pub(crate) output: Output,
    format: Format,
    /// Only the main thread asks for it.
    catalogue: Mutex<Catalogue>,
    events_on_stdout: bool,
}

impl Session {
    /// Opens the sink; `rotate` its file by size.
    pub(crate) fn open(config: &Config, key: [u8; 32], source: Source, rotate: bool) -> Result<Session, Failure> {
        let pipeline = config.pipeline(source, &key, key::hash_seed()?);
        if !config.redaction.reveal.is_empty() {
            let what: Vec<String> =
                config.redaction.reveal.iter().map(|what| format!("{what:?}").to_lowercase()).collect();
            tell!("umbra: warning: {} written as captured; keep the output private", what.join(", "));
        }
        // What is not printed needs no specifications.
        let mut printed = config.clone();
        if config.output.format == Format::None {
            printed.spec.clear();
        }
        Ok(Session {
            pipeline,
            output: Output::open(config, rotate)?,
            format: config.output.format,
            catalogue: Mutex::new(Catalogue::new(&printed)?),
            events_on_stdout: config.output.events.as_deref() == Some("-".as_ref()),
        })
    }

    /// A worker of this run.
    pub(crate) fn worker(&self) -> Worker {
        Worker::new(self.pipeline.clone(), self.output.encoder())
    }

    /// An inventory with room for a number of workers, and in it what earlier runs found.
    pub(crate) fn inventory(&self, workers: usize, state: Option<&State>) -> Result<Inventory, Failure> {
        let mut inventory = Inventory::new(self.pipeline.discovery.clone(), workers.saturating_add(1));
        if let Some(state) = state {
            let umbra_pipeline::Config { discovery, routes, .. } = &self.pipeline;
            let (key, hash_seed) = (discovery.value_key, discovery.hash_seed);
            state.restore(&mut inventory, umbra_discovery::routes::Config { key, hash_seed, ..*routes })?;
        }
        Ok(inventory)
    }

    /// Tells the roll-up what is learnt; `None` without Kafka. It has to be gone before the sink can end.
    #[cfg(feature = "kafka")]
    pub(crate) fn rows(&self, config: &Config) -> Result<Option<Rows>, Failure> {
        let rows = |channel| Rows::new(channel, &config.sensor.id, &self.pipeline.event.redaction);
        self.output.channel().map(rows).transpose()
    }

    /// Writes what a worker has ready.
    pub(crate) fn write(&self, ready: &mut umbra_pipeline::Output) {
        self.output.write(&ready.bytes, ready.count);
        ready.clear();
    }

    /// Reads the specifications again that have changed.
    #[cfg(feature = "live")]
    pub(crate) fn reread_specifications(&self) {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner).reread();
    }

    /// From now on other rules and specifications are in effect.
    #[cfg(feature = "live")]
    pub(crate) fn replace_catalogue(&self, new: Catalogue) {
        *self.catalogue.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Prints the inventory: on stdout, or on stderr when events take stdout.
    pub(crate) fn print_inventory(&self, inventory: &Inventory) -> Result<(), Failure> {
        let catalogue = self.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        let write =
            |width, out: &mut dyn io::Write| report::write_inventory(inventory, &catalogue, self.format, width, out);
        let written = match self.events_on_stdout {
            true => write(report::terminal_width(io::stderr()), &mut io::stderr().lock()),
            false => write(report::terminal_width(io::stdout()), &mut io::stdout().lock()),
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::new(exit::IO, format!("cannot write the inventory: {error}")));
            }
            _ => {}
        }
        match self.output.harm() {
            Some(error) => {
                let lost = self.output.lost();
                Err(Failure::new(exit::IO, format!("cannot write events: {error}; {lost} events are lost")))
            }
            None => Ok(()),
        }
    }
}

/// The exit code of a capture error.
pub(crate) fn capture_failure(error: &umbra_capture::Error) -> Failure {
    use umbra_capture::Error;
    let code = match error {
        Error::Corrupt { .. } => exit::BAD_DATA,
        Error::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        Error::Open { .. } | Error::NoInput => exit::NO_INPUT,
        Error::Read { .. } => exit::IO,
        Error::Filter { .. } | Error::FilterLink { .. } | Error::NoBpf => exit::USAGE,
        Error::Live { permission: true, .. } | Error::Privileges { .. } => exit::NO_PERMISSION,
        Error::Live { .. } => exit::NO_INPUT,
        _ => exit::IO,
    };
    Failure::new(code, error)
}

/// One paragraph on stderr: what came in, what came out, what lacks.
pub(crate) fn summary(counters: &umbra_pipeline::Counters, output: &Output) {
    let http = &counters.http;
    tell!(
        "{} packets, {} flows, {} HTTP transactions ({} requests, {} responses), {} events written",
        counters.wire.packets,
        counters.flow.flows,
        http.transactions,
        http.requests,
        http.responses,
        output.written(),
    );
    let mut parts = Vec::new();
    let mut part = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    part(http.tls_flows, "TLS flows (no key)");
    part(http.unknown_flows, "flows of other protocols");
    part(counters.flow.gap_bytes, "bytes missed by the capture");
    part(counters.flow.truncated_bytes, "bytes cut by the snap length");
    part(http.resyncs, "times the next message had to be searched");
    part(counters.flow.flows_evicted, "flows evicted");
    part(counters.shed_segments, "segments shed");
    part(counters.worker_panics, "flows ended by an internal error");
    part(output.lost(), "events lost");
    if !parts.is_empty() {
        tell!("  {}", parts.join(", "));
    }
    if let Some(line) = output.kafka() {
        tell!("  {line}");
    }
    let list: Vec<String> =
        not_tcp(&counters.wire).into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !list.is_empty() {
        tell!("  packets without TCP: {}", list.join(", "));
    }
}

/// The same while an interface is watched.
#[cfg(feature = "live")]
pub(crate) fn live_summary(
    counters: &umbra_pipeline::Counters,
    stats: &umbra_capture::live::LiveStats,
    output: &Output,
) {
    tell!(
        "{} packets received by the kernel, {} dropped by it, {} dropped by the interface",
        stats.received,
        stats.dropped,
        stats.interface_dropped
    );
    summary(counters, output);
}

/// Packets that gave no TCP segment, by reason; none of zero.
pub(crate) fn not_tcp(wire: &umbra_wire::Counters) -> Vec<(String, u64)> {
    let links = wire.unknown_links.by_number().iter().map(|(link, count)| (format!("link type {link}"), *count));
    let ether = EtherKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), wire.ethertype(kind)));
    let protocols = ProtocolKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), wire.protocol(kind)));
    let layers = LayerKind::ALL.into_iter().flat_map(|kind| {
        [
            (format!("cut in {}", kind.name()), wire.truncated_at(kind)),
            (format!("malformed {}", kind.name()), wire.malformed_at(kind)),
        ]
    });
    let fragments =
        FragmentKind::ALL.into_iter().map(|kind| (format!("fragments {}", kind.name()), wire.fragment(kind)));
    let depth = std::iter::once(("past the layer limit".to_owned(), wire.depth_limit));
    let all = links.chain(ether).chain(protocols).chain(layers).chain(fragments).chain(depth);
    all.filter(|(_, count)| *count > 0).collect()
}
