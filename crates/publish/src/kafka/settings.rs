//! How to reach the brokers, and what of librdkafka may be set by hand.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

/// TLS towards the brokers. All files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates to trust; without it those of the system.
    pub ca_file: Option<String>,
    /// Our certificate and its key.
    pub certificate_file: Option<String>,
    /// See `certificate_file`.
    pub key_file: Option<String>,
}

/// How we say who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.
    pub mechanism: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A connection to Kafka.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// TLS; `None` is plaintext.
    pub tls: Option<Tls>,
    /// SASL; `None` is no log-in.
    pub sasl: Option<Sasl>,
    /// Properties of librdkafka, as they are.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A property may be a secret: names only.
        let properties: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("tls", &self.tls)
            .field("sasl", &self.sasl)
            .field("properties", &properties)
            .finish()
    }
}

/// Settings that contradict each other or that the library refuses. No value is repeated in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// No broker is named.
    NoBroker,
    /// A property that is also a setting of its own: given both ways.
    Twice {
        /// Its name.
        property: String,
    },
    /// A property on which delivery without loss rests.
    Ours {
        /// Its name.
        property: String,
    },
    /// librdkafka does not know it, or not with that value.
    Refused {
        /// Its name.
        property: String,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NoBroker => f.write_str("no broker is named"),
            SettingsError::Twice { property } => {
                write!(f, "{property} is set in properties and by a setting of its own")
            }
            SettingsError::Ours { property } => {
                write!(f, "{property} cannot be set: delivery without loss rests on it")
            }
            SettingsError::Refused { property } => write!(f, "the Kafka library refuses {property} or its value"),
        }
    }
}

impl std::error::Error for SettingsError {}

/// What must be as it is: acknowledgements, order, no end of trying, and which key lies where.
const OURS: &[&str] = &[
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "partitioner",
    "sticky.partitioning.linger.ms",
    "transactional.id",
    "enable.gapless.guarantee",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "dr_cb",
    "dr_msg_cb",
    "delivery.report.only.error",
];
/// Other names of one property.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("compression.type", "compression.codec"),
    ("queue.buffering.max.ms", "linger.ms"),
];

impl Settings {
    /// What every client is told.
    ///
    /// # Errors
    /// [`SettingsError`], without any value.
    pub(crate) fn client(&self) -> Result<ClientConfig, SettingsError> {
        let mut config = ClientConfig::new();
        if self.brokers.is_empty() && !self.given("bootstrap.servers") {
            return Err(SettingsError::NoBroker);
        }
        let mut ours: Vec<(&str, &str)> = Vec::new();
        let brokers = self.brokers.join(",");
        if !self.brokers.is_empty() {
            ours.push(("bootstrap.servers", &brokers));
        }
        match (&self.tls, &self.sasl) {
            (Some(_), Some(_)) => ours.push(("security.protocol", "sasl_ssl")),
            (Some(_), None) => ours.push(("security.protocol", "ssl")),
            (None, Some(_)) => ours.push(("security.protocol", "sasl_plaintext")),
            (None, None) => {}
        }
        if let Some(tls) = &self.tls {
            let files = [
                ("ssl.ca.location", &tls.ca_file),
                ("ssl.certificate.location", &tls.certificate_file),
                ("ssl.key.location", &tls.key_file),
            ];
            ours.extend(files.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?))));
        }
        if let Some(sasl) = &self.sasl {
            ours.extend([
                ("sasl.mechanisms", sasl.mechanism.as_str()),
                ("sasl.username", &sasl.username),
                ("sasl.password", &sasl.password),
            ]);
        }
        for (name, value) in ours {
            if self.given(name) {
                return Err(SettingsError::Twice { property: name.to_owned() });
            }
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            if OURS.contains(&canonical(name)) {
                return Err(SettingsError::Ours { property: name.clone() });
            }
            config.set(name, value);
        }
        if !self.given("client.id") {
            config.set("client.id", "umbra");
        }
        match config.create_native_config() {
            Ok(_) => Ok(config),
            Err(rdkafka::error::KafkaError::ClientConfig(_, _, property, _)) => {
                Err(SettingsError::Refused { property })
            }
            Err(_) => Err(SettingsError::Refused { property: "a property".to_owned() }),
        }
    }

    /// A producer that loses nothing by itself: it tries without end and the spool holds what it has not sent.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub(super) fn producer(&self) -> Result<ClientConfig, SettingsError> {
        let mut config = self.client()?;
        config.set("enable.idempotence", "true").set("acks", "all").set("message.timeout.ms", "0");
        config.set("sticky.partitioning.linger.ms", "0");
        // The window of the delivery is smaller: the library's queue never fills.
        config.set("queue.buffering.max.messages", "1000000").set("queue.buffering.max.kbytes", "1048576");
        for (name, value) in [
            ("compression.codec", "zstd"),
            ("linger.ms", "20"),
            ("batch.size", "1000000"),
            ("topic.metadata.propagation.max.ms", "10000"),
            ("reconnect.backoff.max.ms", "2000"),
        ] {
            if !self.given(name) {
                config.set(name, value);
            }
        }
        Ok(config)
    }

    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// [`SettingsError`], without any value.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.producer().map(drop)
    }

    fn given(&self, name: &str) -> bool {
        self.properties.keys().any(|given| canonical(given) == canonical(name))
    }
}

fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[(&str, &str)]) -> Settings {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { brokers: vec!["127.0.0.1:9".into()], properties, ..Settings::default() }
    }

    #[test]
    fn a_setting_given_both_ways_is_an_error() {
        assert_eq!(with(&[]).check(), Ok(()));
        assert_eq!(with(&[("linger.ms", "5"), ("compression.type", "lz4")]).check(), Ok(()));
        let twice = SettingsError::Twice { property: "bootstrap.servers".into() };
        assert_eq!(with(&[("metadata.broker.list", "other:1")]).check(), Err(twice));
        let sasl = Sasl { mechanism: "PLAIN".into(), username: "u".into(), password: "hush".into() };
        let settings = Settings { sasl: Some(sasl), ..with(&[("sasl.password", "hush")]) };
        assert_eq!(settings.check(), Err(SettingsError::Twice { property: "sasl.password".into() }));
    }

    #[test]
    fn what_delivery_rests_on_cannot_be_set() {
        for name in ["acks", "enable.idempotence", "message.timeout.ms", "partitioner"] {
            assert_eq!(with(&[(name, "1")]).check(), Err(SettingsError::Ours { property: name.into() }));
        }
        let refused = with(&[("no.such.property", "x")]).check();
        assert_eq!(refused, Err(SettingsError::Refused { property: "no.such.property".into() }));
        assert_eq!(Settings::default().check(), Err(SettingsError::NoBroker));
    }

    #[test]
    fn secrets_are_in_no_text() {
        let sasl = Sasl { mechanism: "PLAIN".into(), username: "u".into(), password: "canary".into() };
        let settings = Settings { sasl: Some(sasl), ..with(&[("ssl.key.password", "canary"), ("bad", "canary")]) };
        assert!(!format!("{settings:?} {:?}", settings.check()).contains("canary"));
    }
}
