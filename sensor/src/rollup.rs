//! `umbra rollup`: one inventory of what all sensors have told Kafka; and that inventory read back.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use umbra_discovery::definition::Definitions;
use umbra_discovery::{Endpoint, routes};
use umbra_event::kafka::{EndpointRecord, Topic};
use umbra_pipeline::Inventory;
use umbra_publish::{GroupError, read_to_end, rollup};
use umbra_rollup::Rollup;

use crate::catalogue::{self, Catalogue};
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::{cli, kafka, key, signals};

/// Rolls up until stopped, or until all is written with `--once`.
pub(crate) fn rollup(args: &cli::Rollup) -> Result<(), Failure> {
    let mut config = Config::read(args.config.as_deref())?;
    if !args.brokers.is_empty() {
        config.kafka.brokers.clone_from(&args.brokers);
    }
    need_brokers(&config)?;
    let settings = kafka::settings(&config.kafka)?;
    settings.check().map_err(|error| Failure::new(exit::CONFIG, format!("kafka: {error}")))?;
    // Pinned templates are compared with words that sensors have hashed.
    let key = key::fleet_key(config.redaction.key_file.as_deref())?;
    let catalogue = Catalogue::new(&config)?;
    let describe = move |endpoints: &[&Endpoint], records: &mut [EndpointRecord]| {
        let rows = catalogue.rows_of(endpoints, &Definitions::default());
        rows.iter().zip(records).for_each(|(row, record)| catalogue::add(row, record));
    };
    let pipeline = config.pipeline(umbra_event::Source::Live, &key, key::hash_seed()?);
    let discovery = &pipeline.discovery;
    let routes = routes::Config { key: discovery.value_key, hash_seed: discovery.hash_seed, ..pipeline.routes };
    let options = rollup::Options {
        settings,
        prefix: config.kafka.prefix.clone(),
        group: args.group.clone(),
        rollup: umbra_rollup::Config {
            routes,
            pins: config.pins(),
            expire_after_ns: u64::from(args.expire_days).saturating_mul(86_400_000_000_000),
            unconfirmed: args.unconfirmed,
            describe: Some(Arc::new(describe)),
        },
        commit_every: Duration::from_secs(1),
        once: args.once,
        before_commit: None,
    };
    signals::install()?;
    let never = AtomicBool::new(false);
    let stop = signals::stop_flag();
    let last = RefCell::new(String::new());
    let tell = |error: &GroupError| {
        let error = error.to_string();
        if *last.borrow() != error {
            tell!("umbra: {error}; trying again");
            last.replace(error);
        }
    };
    let report = rollup::run(&options, stop.as_deref().unwrap_or(&never), &tell);
    let report = report.map_err(failure)?;
    if !args.quiet {
        tell!("{} records written in {} transactions", report.written, report.transactions);
        if report.unreadable > 0 {
            tell!("  {} rows cannot be read and were left out: are sensors newer than this?", report.unreadable);
        }
        if report.restarts > 0 {
            tell!("  begun anew {} times after an error", report.restarts);
        }
    }
    Ok(())
}

/// `umbra inventory --from kafka`: what all sensors have told, joined as kept inventories are.
pub(crate) fn read_inventory(config: &Config) -> Result<Inventory, Failure> {
    need_brokers(config)?;
    let routes = routes::Config { services: usize::MAX >> 1, ..routes::Config::default() };
    let mut all = Rollup::new(umbra_rollup::Config { routes, ..umbra_rollup::Config::default() });
    let topic = Topic::SensorEndpoints.name(&config.kafka.prefix);
    read_to_end(&kafka::settings(&config.kafka)?, &topic, |_, key, value| {
        all.handle(&String::from_utf8_lossy(key), value);
    })
    .map_err(failure)?;
    if all.counters().unreadable > 0 {
        tell!("umbra: warning: {} rows of {topic} cannot be read", all.counters().unreadable);
    }
    let mut inventory = crate::state::empty_inventory(config, config.pins());
    all.known().for_each(|endpoint| inventory.restore(endpoint));
    all.evidence().for_each(|routes| inventory.restore_routes(routes.clone()));
    inventory.settle();
    Ok(inventory)
}

fn need_brokers(config: &Config) -> Result<(), Failure> {
    match config.kafka.is_set() {
        true => Ok(()),
        false => Err(Failure::new(exit::CONFIG, "kafka: no brokers are configured: set brokers in [kafka]")),
    }
}

fn failure(error: GroupError) -> Failure {
    let code = match &error {
        GroupError::Settings(_) | GroupError::NoTopic(_) => exit::CONFIG,
        GroupError::Refused(_) => exit::NO_PERMISSION,
        GroupError::Kafka(_) => exit::UNREACHABLE,
    };
    Failure::new(code, format!("kafka: {error}"))
}
