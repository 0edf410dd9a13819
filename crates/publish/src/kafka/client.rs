//! The producer, with what it reports back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use umbra_store::{Class, Sequence};

use super::partition::ByKey;
use super::settings::{Settings, SettingsError};

/// What travels with a record through the library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) class: Class,
    pub(super) sequence: Sequence,
    pub(super) bytes: usize,
}

/// What became of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) ticket: Ticket,
    pub(super) outcome: Result<(), RDKafkaErrorCode>,
}

pub(super) struct Context {
    reports: Mutex<Vec<Report>>,
    error: Mutex<Option<String>>,
    partitioner: ByKey,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error}: {reason}"));
    }

    // The library's own log would be unbounded and may quote what it was sent.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext<ByKey> for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = result.as_ref().map(drop).map_err(|(error, _)| code_of(error));
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(Report { ticket: *ticket, outcome });
    }

    fn get_custom_partitioner(&self) -> Option<&ByKey> {
        Some(&self.partitioner)
    }
}

pub(super) struct Client {
    producer: BaseProducer<Context, ByKey>,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Client, SettingsError> {
        let context = Context { reports: Mutex::default(), error: Mutex::default(), partitioner: ByKey::default() };
        let refused = |_| SettingsError::Refused { property: "the settings together".to_owned() };
        settings.producer()?.create_with_context(context).map(|producer| Client { producer }).map_err(refused)
    }

    /// Gives a record to the library, which copies it.
    pub(super) fn send(
        &self,
        topic: &str,
        key: &[u8],
        value: &[u8],
        headers: OwnedHeaders,
        ticket: Ticket,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(ticket)).headers(headers);
        if !key.is_empty() {
            record = record.key(key);
        }
        // No value at all is a tombstone.
        if !value.is_empty() {
            record = record.payload(value);
        }
        self.producer.send(record).map_err(|(error, _)| code_of(&error))
    }

    /// Serves the library, for at most `wait`, and takes what it reports.
    pub(super) fn poll(&self, wait: Duration, reports: &mut Vec<Report>) {
        self.producer.poll(wait);
        let mut waiting = self.producer.context().reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.append(&mut waiting);
    }

    /// The newest error of the connection since this was asked last.
    pub(super) fn take_error(&self) -> Option<String> {
        self.producer.context().error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// An error after which this client sends nothing any more.
    pub(super) fn fatal(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(code, text)| format!("{code}: {text}"))
    }

    /// Gives up what is under way, so that the end does not wait for it.
    pub(super) fn abandon(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}
