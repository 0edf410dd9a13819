//! The topics: what they should be, making them, and checking what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use umbra_event::kafka::Topic as Kind;

use super::settings::{Settings, SettingsError};

/// How long a broker may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Partitions; check takes more for right, too.
    pub partitions: u32,
    /// Copies of each partition. `None`: what the cluster makes by default.
    pub replication: Option<u32>,
    /// What differs from the cluster's own settings.
    pub config: BTreeMap<&'static str, String>,
}

/// All topics of Umbra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// In the order of `Class::ALL` (events, sensors, endpoints of sensors, findings), then the inventory.
    pub topics: Vec<Topic>,
}

impl TopicPlan {
    /// The plan for names that begin with `prefix`.
    pub fn new(prefix: &str, partitions: u32, replication: Option<u32>) -> TopicPlan {
        // An hour at most until a row that was replaced is gone; a day in which a slow consumer still sees a tombstone.
        let compact: &[(&'static str, &str)] =
            &[("cleanup.policy", "compact"), ("max.compaction.lag.ms", "3600000"), ("delete.retention.ms", "86400000")];
        // By the broker's clock: events of an old capture would be deleted as they come.
        let events: &[(&'static str, &str)] =
            &[("cleanup.policy", "delete"), ("retention.ms", "259200000"), ("message.timestamp.type", "LogAppendTime")];
        let topic = |kind: Kind| Topic {
            name: kind.name(prefix),
            partitions,
            replication,
            config: (if kind.is_compacted() { compact } else { events })
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        };
        let order = [Kind::Events, Kind::Sensors, Kind::SensorEndpoints, Kind::Findings, Kind::Endpoints];
        TopicPlan { topics: order.map(topic).into() }
    }

    /// Topics of the classes, in the order of `Class::ALL`.
    pub fn by_class(&self) -> [String; 4] {
        std::array::from_fn(|index| self.topics.get(index).map_or_else(String::new, |topic| topic.name.clone()))
    }

    /// What a sensor's user must be allowed, as arguments of `kafka-acls`.
    pub fn acls(&self, principal: &str) -> Vec<String> {
        let topic = |topic: &Topic| {
            format!("--add --allow-principal {principal} --operation Write --operation Describe --topic {}", topic.name)
        };
        let mut list: Vec<String> = self.topics.iter().take(4).map(topic).collect();
        list.push(format!("--add --allow-principal {principal} --operation IdempotentWrite --cluster"));
        list
    }

    /// What the user of a roll-up must be allowed, that of `umbra inventory --from kafka` with it.
    pub fn rollup_acls(&self, principal: &str, group: &str) -> Vec<String> {
        let allow = format!("--add --allow-principal {principal}");
        let read = format!("{allow} --operation Read --operation Describe");
        let write = format!("{allow} --operation Write --operation Describe");
        let rows = self.topics.get(2).map(|topic| format!("{read} --topic {}", topic.name));
        let inventory = self.topics.last().map(|topic| {
            format!("{allow} --operation Read --operation Write --operation Describe --topic {}", topic.name)
        });
        let mut list: Vec<String> = rows.into_iter().chain(inventory).collect();
        list.push(format!("{read} --group {group}"));
        list.push(format!("{write} --transactional-id {group}- --resource-pattern-type prefixed"));
        list
    }
}

/// What is not as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Name of the topic.
    pub topic: String,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.topic, self.what)
    }
}

/// The cluster did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// The settings do not do.
    Settings(SettingsError),
    /// No answer, or no broker.
    Unreachable(String),
    /// An answer that is a refusal.
    Refused(String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::Settings(error) => error.fmt(f),
            AdminError::Unreachable(why) => write!(f, "no broker answers: {why}"),
            AdminError::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

impl std::error::Error for AdminError {}

/// Keeps the library's log from stderr.
#[derive(Default)]
struct Silent {
    error: std::sync::Mutex<Option<String>>,
}

impl ClientContext for Silent {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, reason: &str) {
        if let Ok(mut error) = self.error.lock() {
            *error = Some(reason.to_owned());
        }
    }
}

/// Asks the cluster.
pub struct Admin {
    client: AdminClient<Silent>,
}

impl Admin {
    /// Makes a client; connects to nothing yet.
    ///
    /// # Errors
    /// [`AdminError::Settings`].
    pub fn new(settings: &Settings) -> Result<Admin, AdminError> {
        let refused = |_| AdminError::Settings(SettingsError::Refused { property: "the settings together".to_owned() });
        let config = settings.client().map_err(AdminError::Settings)?;
        let client = config.create_with_context(Silent::default()).map_err(refused)?;
        Ok(Admin { client })
    }

    /// Name, `host:port` of each broker of the cluster.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    pub fn brokers(&self) -> Result<Vec<(i32, String)>, AdminError> {
        let metadata = self.client.inner().fetch_metadata(None, ANSWER).map_err(|error| self.unreachable(&error))?;
        Ok(metadata
            .brokers()
            .iter()
            .map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())))
            .collect())
    }

    /// Makes the topics that are not there, and waits until they can be used. Gives the names of those that it made.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn create(&self, plan: &TopicPlan) -> Result<Vec<String>, AdminError> {
        let topics: Vec<NewTopic<'_>> = plan.topics.iter().map(new_topic).collect();
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let results =
            block_on(self.client.create_topics(&topics, &options)).map_err(|error| self.unreachable(&error))?;
        let mut made = Vec::new();
        for result in results {
            match result {
                Ok(name) => made.push(name),
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(AdminError::Refused(format!("{name}: {code}"))),
            }
        }
        self.wait_for(plan, Instant::now() + ANSWER)?;
        Ok(made)
    }

    /// Waits until all topics have leaders: a controller answers before all brokers know.
    fn wait_for(&self, plan: &TopicPlan, deadline: Instant) -> Result<(), AdminError> {
        const PAUSE: Duration = Duration::from_millis(50);
        loop {
            let metadata =
                self.client.inner().fetch_metadata(None, ANSWER).map_err(|error| self.unreachable(&error))?;
            let ready = |topic: &Topic| {
                let found = metadata.topics().iter().find(|found| found.name() == topic.name);
                found.is_some_and(|found| {
                    !found.partitions().is_empty() && found.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            };
            let Some(missing) = plan.topics.iter().find(|topic| !ready(topic)) else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(AdminError::Unreachable(format!("{} was made and has no leader yet", missing.name)));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn delete(&self, topic: &str) -> Result<(), AdminError> {
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let results =
            block_on(self.client.delete_topics(&[topic], &options)).map_err(|error| self.unreachable(&error))?;
        match results.into_iter().find_map(Result::err) {
            Some((name, code)) => Err(AdminError::Refused(format!("{name}: {code}"))),
            None => Ok(()),
        }
    }

    /// Compares what is there with the plan.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn check(&self, plan: &TopicPlan) -> Result<Vec<Deviation>, AdminError> {
        let metadata = self.client.inner().fetch_metadata(None, ANSWER).map_err(|error| self.unreachable(&error))?;
        let mut wrong = Vec::new();
        for topic in &plan.topics {
            let mut say = |what: String| wrong.push(Deviation { topic: topic.name.clone(), what });
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.name) else {
                say("is not there".to_owned());
                continue;
            };
            let partitions = found.partitions();
            if partitions.len() < topic.partitions as usize {
                say(format!("{} partitions, {} wanted", partitions.len(), topic.partitions));
            }
            let copies = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
            if topic.replication.is_some_and(|wanted| copies < wanted as usize) {
                say(format!("{copies} copies, {} wanted", topic.replication.unwrap_or_default()));
            }
            for (name, wanted, is) in self.differences(topic)? {
                say(format!("{name} is {is}, {wanted} wanted"));
            }
        }
        Ok(wrong)
    }

    fn differences(&self, topic: &Topic) -> Result<Vec<(String, String, String)>, AdminError> {
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let resource = [ResourceSpecifier::Topic(&topic.name)];
        let results =
            block_on(self.client.describe_configs(&resource, &options)).map_err(|error| self.unreachable(&error))?;
        let mut list = Vec::new();
        for result in results {
            let resource = result.map_err(|code| AdminError::Refused(format!("{}: {code}", topic.name)))?;
            for (name, wanted) in &topic.config {
                let is = resource.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
                if is != *wanted {
                    list.push(((*name).to_owned(), wanted.clone(), is));
                }
            }
        }
        Ok(list)
    }

    fn unreachable(&self, error: &KafkaError) -> AdminError {
        let reason = self.client.inner().context().error.lock().ok().and_then(|mut error| error.take());
        AdminError::Unreachable(reason.unwrap_or_else(|| error.to_string()))
    }
}

fn new_topic(topic: &Topic) -> NewTopic<'_> {
    let copies = topic.replication.and_then(|copies| i32::try_from(copies).ok()).unwrap_or(-1);
    let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
    let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(copies));
    topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
}

/// Waits in this thread for an answer of the library, whose own threads wake it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
