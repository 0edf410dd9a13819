//! The configuration: defaults, then the file, then the command line; unknown keys are refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use umbra_event::FleetKey;
use umbra_event::redact::{Redaction, Reveal};

mod kafka;
mod pins;
mod rules;
mod specs;

pub(crate) use pins::PinConfig;
use umbra_discovery::classify::Rules;

pub(crate) use kafka::Kafka;

use crate::cli::{self, Common, Format};
use crate::exit::{self, Failure};

/// Worker threads at most.
pub(crate) const MAX_WORKERS: u64 = 256;

/// Everything that can be set. The file has one table for each member.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) sensor: Sensor,
    pub(crate) capture: Capture,
    pub(crate) flow: Flow,
    pub(crate) http: Http,
    pub(crate) inventory: Inventory,
    pub(crate) output: Output,
    pub(crate) kafka: Kafka,
    pub(crate) redaction: RedactionConfig,
    pub(crate) state: State,
    pub(crate) services: rules::Services,
    /// Classification, the rules that win first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rule: Vec<rules::RuleConfig>,
    pub(crate) specs: specs::Specs,
    /// Specifications that the inventory is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spec: Vec<specs::SpecConfig>,
    /// Route templates that were decided on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pin: Vec<pins::PinConfig>,
}

/// Who this sensor is.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sensor {
    /// Name in every record.
    pub(crate) id: String,
    /// Worker threads.
    pub(crate) workers: u16,
    /// Memory for flows and messages of all workers, MiB. At the bound the least recently active flows are dropped.
    pub(crate) memory_mib: u32,
    /// How often `run` judges how it does, seconds: what a record of health says has happened since the one before.
    pub(crate) health_seconds: u64,
}

impl Default for Sensor {
    fn default() -> Self {
        Sensor { id: "umbra".into(), workers: 1, memory_mib: 512, health_seconds: 10 }
    }
}

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Capture {
    /// Interfaces of `umbra run`.
    pub(crate) interfaces: Vec<String>,
    /// BPF filter.
    pub(crate) filter: Option<String>,
    /// Put the interfaces into promiscuous mode.
    pub(crate) promiscuous: bool,
    /// Kernel ring of each worker, MiB.
    pub(crate) buffer_mib: u32,
    /// Bytes captured of each packet.
    pub(crate) snap_length: u32,
    /// User to become once the interfaces are open.
    pub(crate) user: Option<String>,
    /// Keep CAP_NET_RAW, so that every worker can reopen an interface that was removed and made again.
    pub(crate) keep_net_raw: bool,
    /// Endpoints (`address:port`) whose traffic is the sensor's own and is not captured (F107).
    pub(crate) exclude: Vec<String>,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            interfaces: Vec::new(),
            filter: None,
            promiscuous: true,
            buffer_mib: 64,
            snap_length: 65_535,
            user: None,
            keep_net_raw: false,
            exclude: Vec::new(),
        }
    }
}

/// What to do with wrong TCP checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checksum {
    /// Not looked at.
    #[default]
    Off,
    /// Enforced on directions that usually verify.
    Auto,
    /// Enforced.
    Strict,
}

/// Reassembly.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Flow {
    /// The VLAN id tells flows apart. Off, because the directions of a flow may be tagged differently.
    pub(crate) vlan_in_key: bool,
    /// TCP checksums.
    pub(crate) checksum: Checksum,
    /// Flows of one worker.
    pub(crate) max_flows: usize,
    /// Silence after which an established flow ends, seconds.
    pub(crate) idle_seconds: u64,
}

impl Default for Flow {
    fn default() -> Self {
        let flow = umbra_flow::Config::default();
        Flow {
            vlan_in_key: flow.vlan_in_key,
            checksum: Checksum::Off,
            max_flows: flow.max_flows,
            idle_seconds: flow.established_timeout.as_secs(),
        }
    }
}

/// HTTP limits; see `umbra_http::Config`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Bytes of a message head kept.
    pub(crate) head_bytes: usize,
    /// Bytes of a request target kept.
    pub(crate) target_bytes: usize,
    /// Requests of a connection that wait for their answer.
    pub(crate) pending: usize,
    /// Live HTTP/2 streams of a connection.
    pub(crate) streams: usize,
}

impl Default for Http {
    fn default() -> Self {
        let http = umbra_http::Config::default();
        Http {
            head_bytes: http.head_bytes,
            target_bytes: http.target_bytes,
            pending: http.pending,
            streams: http.streams,
        }
    }
}

/// Bounds of the inventory.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Inventory {
    /// Whether there is one; without it there are only events, with neither style nor endpoint.
    pub(crate) enabled: bool,
    /// Confirmed endpoints kept.
    pub(crate) endpoints: usize,
    /// Confirmed endpoints kept of one service; further ones share coarse routes.
    pub(crate) endpoints_per_service: usize,
    /// Endpoints kept that no success has confirmed.
    pub(crate) unconfirmed: usize,
    /// Names at one server that a client may be the first to use before it is taken to guess them: such hosts are no services.
    pub(crate) hosts_per_client: usize,
    /// Operations of one route told apart.
    pub(crate) operations: usize,
    /// Services of which routes are learnt.
    pub(crate) services: usize,
    /// Places in the paths of one service that routes are learnt from.
    pub(crate) places: u32,
    /// Transactions of an endpoint whose parameters and bodies are looked at before they become fewer; 0: none are.
    pub(crate) look_first: u16,
    /// One of so many at least is always looked at; 1: every one.
    pub(crate) look_every: u16,
}

impl Default for Inventory {
    fn default() -> Self {
        let discovery = umbra_discovery::Config::default();
        let routes = umbra_discovery::routes::Config::default();
        Inventory {
            enabled: true,
            endpoints: discovery.endpoints,
            endpoints_per_service: discovery.endpoints_per_service,
            unconfirmed: discovery.unconfirmed,
            hosts_per_client: discovery.hosts_per_client,
            operations: discovery.operations,
            services: routes.services,
            places: routes.limits.nodes,
            look_first: discovery.sampling.first,
            look_every: discovery.sampling.every,
        }
    }
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Output {
    /// JSON events: a file, or `-` for stdout.
    pub(crate) events: Option<PathBuf>,
    /// Which routes the events of a replay carry; those of `run` have the ones known by then.
    pub(crate) routes: cli::Routes,
    /// `run` begins a new events file at this size, MiB; 0: never.
    pub(crate) rotate_mib: u64,
    /// Rotated files kept.
    pub(crate) rotate_files: u32,
    /// HAR file.
    pub(crate) har: Option<PathBuf>,
    /// Inventory at the end.
    pub(crate) format: Format,
}

impl Default for Output {
    fn default() -> Self {
        Output {
            events: None,
            routes: cli::Routes::Final,
            rotate_mib: 256,
            rotate_files: 8,
            har: None,
            format: Format::Table,
        }
    }
}

/// What outlives the process.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct State {
    /// Where the inventory is kept. Without it, it lives as long as the process.
    pub(crate) directory: Option<PathBuf>,
    /// `run` writes what has changed this often, seconds: what a kill may cost.
    pub(crate) save_seconds: u64,
}

impl Default for State {
    fn default() -> Self {
        State { directory: None, save_seconds: 30 }
    }
}

/// What is hidden.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedactionConfig {
    /// What to show nevertheless.
    pub(crate) reveal: Vec<cli::Reveal>,
    /// File with the fleet key. Without one a key is made for this run, or once for the state directory.
    pub(crate) key_file: Option<PathBuf>,
}

impl Config {
    /// Reads a file; without one, the defaults.
    ///
    /// # Errors
    /// A file that cannot be read or holds an unknown key or a wrong value: one line naming file, line and key.
    pub(crate) fn read(path: Option<&Path>) -> Result<Config, Failure> {
        let Some(path) = path else { return Ok(Config::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(exit::CONFIG, format!("{}: {error}", path.display())))?;
        Self::parse(&text).map_err(|message| Failure::new(exit::CONFIG, format!("{}:{message}", path.display())))
    }

    /// Parses TOML; the error is `LINE: KEY: what is wrong`, and quotes no value (it may be a secret).
    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            // The parser gives no key for a wrong value, but its place: behind `key =`.
            let key = before.rsplit('\n').next().and_then(|begun| begun.split_once('=')).map(|(key, _)| key.trim());
            let bare = |key: &&str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
            let key = key.filter(bare).map(|key| format!("{key}: ")).unwrap_or_default();
            format!("{line}: {key}{}", without_values(error.message()))
        })?;
        config.check()?;
        Ok(config)
    }

    /// Values within bounds, names that are ones, and settings that go together.
    fn check(&self) -> Result<(), String> {
        let positive: [(&str, u64); 17] = [
            ("sensor.workers", u64::from(self.sensor.workers)),
            ("sensor.memory_mib", u64::from(self.sensor.memory_mib)),
            ("capture.buffer_mib", u64::from(self.capture.buffer_mib)),
            ("capture.snap_length", u64::from(self.capture.snap_length)),
            ("flow.max_flows", self.flow.max_flows as u64),
            ("http.head_bytes", self.http.head_bytes as u64),
            ("http.pending", self.http.pending as u64),
            ("http.streams", self.http.streams as u64),
            ("inventory.endpoints", self.inventory.endpoints as u64),
            ("inventory.endpoints_per_service", self.inventory.endpoints_per_service as u64),
            ("inventory.unconfirmed", self.inventory.unconfirmed as u64),
            ("inventory.hosts_per_client", self.inventory.hosts_per_client as u64),
            ("inventory.operations", self.inventory.operations as u64),
            ("inventory.services", self.inventory.services as u64),
            ("inventory.places", u64::from(self.inventory.places)),
            ("state.save_seconds", self.state.save_seconds),
            ("specs.reread_seconds", self.specs.reread_seconds),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(format!(" {key} must be at least 1"));
            }
        }
        let most: [(&str, u64, u64); 3] = [
            // Each has a ring of its own in the kernel.
            ("sensor.workers", u64::from(self.sensor.workers), MAX_WORKERS),
            // libpcap takes a C int.
            ("capture.buffer_mib", u64::from(self.capture.buffer_mib), 2047),
            ("output.rotate_mib", self.output.rotate_mib, 1 << 30),
        ];
        for (key, value, limit) in most {
            if value > limit {
                return Err(format!(" {key} must be at most {limit}"));
            }
        }
        self.kafka.check()?;
        // Names are not looked up: no packet leaves for it.
        if self.capture.exclude.iter().any(|own| own.parse::<SocketAddr>().is_err()) {
            return Err(" capture.exclude: each must be written as address:port".into());
        }
        if self.output.events.is_some() && self.output.har.is_some() {
            return Err(" give either --events or --har, not both (events and har in [output])".into());
        }
        if self.sensor.id.is_empty() || self.sensor.id.chars().any(char::is_control) {
            return Err(" sensor.id must be a name without control characters".into());
        }
        pins::check(&self.pin)?;
        rules::check(&self.rule)
    }

    /// The classification rules, the built-in ones among them.
    pub(crate) fn rules(&self) -> Rules {
        rules::rules(&self.rule, &self.services)
    }

    /// Lets the command line win.
    pub(crate) fn apply(&mut self, common: &Common, bpf: &[String]) -> Result<(), Failure> {
        if let Some(workers) = common.workers {
            self.sensor.workers = workers;
        }
        if let Some(events) = &common.events {
            self.output.events = Some(events.clone());
        }
        if let Some(routes) = common.routes {
            self.output.routes = routes;
        }
        if let Some(har) = &common.har {
            self.output.har = Some(har.clone());
        }
        if let Some(format) = common.format {
            self.output.format = format;
        }
        if let Some(state) = &common.state {
            self.state.directory = Some(state.clone());
        }
        if let Some(key_file) = &common.key_file {
            self.redaction.key_file = Some(key_file.clone());
        }
        if !common.reveal.is_empty() {
            self.redaction.reveal = common.reveal.clone();
        }
        match (&common.filter, bpf.is_empty()) {
            (Some(_), false) => {
                return Err(Failure::new(exit::USAGE, "a BPF filter was given twice: by --filter and as words"));
            }
            (Some(filter), true) => self.capture.filter = Some(filter.clone()),
            (None, false) => self.capture.filter = Some(bpf.join(" ")),
            (None, true) => {}
        }
        self.check().map_err(|message| Failure::new(exit::USAGE, message.trim_start()))
    }

    /// The configuration as a file that would give it.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// What an inventory is bound by, and what operators have decided.
    pub(crate) fn inventory_settings(&self, config: &mut umbra_discovery::Config) {
        config.endpoints = self.inventory.endpoints;
        config.endpoints_per_service = self.inventory.endpoints_per_service;
        config.unconfirmed = self.inventory.unconfirmed;
        config.operations = self.inventory.operations;
        config.hosts_per_client = self.inventory.hosts_per_client;
        config.known_hosts = self.services.territory().named().cloned().collect();
        config.keep_definitions = self.specs.keep_from_wire;
        config.pins = self.pins();
    }

    /// Templates that operators have pinned.
    pub(crate) fn pins(&self) -> std::sync::Arc<umbra_discovery::routes::Pins> {
        std::sync::Arc::new(pins::pins(&self.pin))
    }

    /// Settings of one worker.
    pub(crate) fn pipeline(
        &self,
        source: umbra_event::Source,
        key: &[u8; 32],
        seed: [u64; 4],
    ) -> umbra_pipeline::Config {
        let workers = usize::from(self.sensor.workers);
        let memory = (self.sensor.memory_mib as usize) << 20;
        let mut config = umbra_pipeline::Config::new(key);
        config.wire.hash_seed = seed;
        config.wire.checksums = self.flow.checksum != Checksum::Off;
        config.flow.hash_seed = seed;
        config.flow.vlan_in_key = self.flow.vlan_in_key;
        config.flow.checksum = match self.flow.checksum {
            Checksum::Off => umbra_flow::ChecksumPolicy::Off,
            Checksum::Auto => umbra_flow::ChecksumPolicy::Auto,
            Checksum::Strict => umbra_flow::ChecksumPolicy::Strict,
        };
        config.flow.max_flows = self.flow.max_flows;
        config.flow.max_total_bytes = config.flow.max_total_bytes.min(memory / workers / 2);
        config.flow.established_timeout = std::time::Duration::from_secs(self.flow.idle_seconds);
        config.http.head_bytes = self.http.head_bytes;
        config.http.target_bytes = self.http.target_bytes;
        config.http.pending = self.http.pending;
        config.http.streams = self.http.streams;
        config.discovery.hash_seed = seed;
        config.discovers = self.inventory.enabled;
        self.inventory_settings(&mut config.discovery);
        config.routes.services = self.inventory.services;
        config.routes.limits.nodes = self.inventory.places;
        config.discovery.sampling =
            umbra_discovery::SamplingConfig { first: self.inventory.look_first, every: self.inventory.look_every };
        config.memory_bytes = memory / workers;
        config.event.inside = self.services.territory().internal_ranges.into();
        config.event.source = source;
        config.event.sensor_id = self.sensor.id.as_str().into();
        config.event.sensor_version = env!("CARGO_PKG_VERSION").into();
        let reveal = Reveal {
            path: self.redaction.reveal.contains(&cli::Reveal::Path),
            query: self.redaction.reveal.contains(&cli::Reveal::Query),
            headers: self.redaction.reveal.contains(&cli::Reveal::Headers),
        };
        config.event.redaction = Redaction::new(FleetKey::new(key), reveal);
        config
    }
}

/// A parser's message without the value it quotes, on one line.
fn without_values(message: &str) -> String {
    let message = message.replace('\n', " ");
    for kind in ["unknown variant", "invalid type", "invalid value", "invalid length"] {
        // A value may hold anything, these words too: what is expected stands at the end.
        if let (true, Some(expected)) = (message.starts_with(kind), message.rfind(", expected ")) {
            return format!("{kind}{}", message.get(expected..).unwrap_or_default());
        }
    }
    let parts = message.split('"').enumerate();
    parts.map(|(number, part)| if number % 2 == 0 { part } else { "\"…\"" }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn f105_a_wrong_key_or_value_is_named_with_its_line() {
        for (text, expected) in [
            ("[sensor]\nidd = \"x\"\n", "2: unknown field `idd`"),
            ("[sensr]\n", "1: unknown field `sensr`"),
            ("[flow]\nmax_flows = 0\n", " flow.max_flows must be at least 1"),
            ("[sensor]\n\nworkers = \"two\"\n", "3: workers: invalid type"),
            ("[output\n", "1: "),
            ("[sensor]\nworkers = 400\n", " sensor.workers must be at most 256"),
            ("[capture]\nbuffer_mib = 2048\n", " capture.buffer_mib must be at most 2047"),
            ("[capture]\nexclude = [\"kafka.example:9092\"]\n", " capture.exclude: "),
            ("[output]\nevents = \"e\"\nhar = \"h\"\n", " give either --events or --har, not both"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gives {error:?}");
            assert!(!error.contains('\n'), "one line: {error:?}");
        }
    }

    #[test]
    fn f105_a_value_is_not_echoed() {
        let error = Config::parse("[redaction]\nkey_file = [\"hunter2\"]\n").unwrap_err()
            + &Config::parse("[sensor]\nworkers = \"hunter2\"\n").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_sample_file_holds_the_defaults() {
        assert_eq!(Config::parse(include_str!("../../deploy/umbra.toml")).unwrap(), Config::default());
    }

    #[test]
    fn what_print_config_prints_reads_back() {
        let config = Config::default();
        assert_eq!(Config::parse(&config.to_toml()).unwrap(), config);
    }
}
