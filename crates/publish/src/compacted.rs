//! Reading a compacted topic from its beginning to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::{Settings, SettingsError};

/// Why a topic cannot be read, or a group cannot work.
#[derive(Debug)]
pub enum GroupError {
    /// The settings.
    Settings(SettingsError),
    /// A topic is not there.
    NoTopic(String),
    /// The brokers do not allow it.
    Refused(KafkaError),
    /// What the library says.
    Kafka(KafkaError),
}

impl From<SettingsError> for GroupError {
    fn from(error: SettingsError) -> Self {
        GroupError::Settings(error)
    }
}

impl From<KafkaError> for GroupError {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
                | RDKafkaErrorCode::SaslAuthenticationFailed,
            ) => GroupError::Refused(error),
            _ => GroupError::Kafka(error),
        }
    }
}

impl std::fmt::Display for GroupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GroupError::Settings(error) => error.fmt(f),
            GroupError::NoTopic(topic) => write!(f, "{topic} is not there: `umbra topics create` makes it"),
            GroupError::Refused(error) | GroupError::Kafka(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GroupError {}

/// How long one question to the brokers may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// How long nothing may come of a topic that has not been read to its end.
const SILENCE: Duration = Duration::from_secs(60);

/// Partitions of a topic.
pub(crate) fn partitions<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Result<Vec<i32>, GroupError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Err(GroupError::NoTopic(topic.to_owned()));
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None if !found.partitions().is_empty() => {
            Ok(found.partitions().iter().map(|partition| partition.id()).collect())
        }
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Err(GroupError::NoTopic(topic.to_owned())),
        Some(code) => Err(KafkaError::MetadataFetch(code).into()),
    }
}

/// Gives all records of a topic that were there when it was called, as of committed transactions: partition, key and value
/// (`None`: a tombstone). Those of one key come in their order; the last one counts.
///
/// # Errors
/// The settings are wrong, or the brokers cannot be reached, or refuse.
pub fn read_to_end(
    settings: &Settings,
    topic: &str,
    mut each: impl FnMut(i32, &[u8], Option<&[u8]>),
) -> Result<(), GroupError> {
    let mut config = settings.client()?;
    config.set("group.id", "umbra-reader").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let all: BaseConsumer = config.clone().set("isolation.level", "read_uncommitted").create()?;
    let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create()?;
    let mut waiting = BTreeSet::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic)? {
        let (_, end) = all.fetch_watermarks(topic, partition, ANSWER)?;
        // A transaction that began before may be committed yet; one whose process is gone ends with its timeout.
        while consumer.fetch_watermarks(topic, partition, ANSWER)?.1 < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        waiting.insert(partition);
    }
    consumer.assign(&assignment)?;
    while !waiting.is_empty() {
        match consumer.poll(SILENCE) {
            Some(Ok(message)) => each(message.partition(), message.key().unwrap_or_default(), message.payload()),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(waiting.remove(&partition)),
            // The client looks for the coordinator of a group that is none: nothing is committed.
            Some(Err(error)) if is_passing(&error) || of_group(&error) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut).into()),
        }
    }
    Ok(())
}

fn of_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// Is it one that librdkafka goes on trying after?
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}
