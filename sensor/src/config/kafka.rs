//! `[kafka]`: where records go, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The cluster, our log-in there, the topics and the spool in front of it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kafka {
    /// `host:port` of some brokers. None: no Kafka.
    pub(crate) brokers: Vec<String>,
    /// Names of topics begin with it and a dot.
    pub(crate) prefix: String,
    /// Partitions of topics that `umbra topics create` makes.
    pub(crate) partitions: u32,
    /// Copies of each partition; without it, as many as the cluster makes by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replication: Option<u32>,
    /// Speak TLS.
    pub(crate) tls: bool,
    /// PEM file with the certificates to trust, instead of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<String>,
    /// PEM file with our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_file: Option<String>,
    /// PEM file with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<String>,
    /// How to log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sasl: Option<Mechanism>,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Environment variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_env: Option<String>,
    /// File that holds the password, without a line feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// Folder of the spool. Without it, `spool` in the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spool: Option<PathBuf>,
    /// Bytes of the spool, MiB. When it is full, the oldest events are dropped first, counted.
    pub(crate) spool_mib: u64,
    /// What is written is on disk after this, milliseconds: what a power cut may cost.
    pub(crate) sync_ms: u64,
    /// How often `run` tells what it has learnt of endpoints and routes, seconds.
    pub(crate) rows_seconds: u64,
    /// Properties of librdkafka, as they are. One that is also a setting above is an error. Secrets do not belong here: this is
    /// printed by --print-config, with values hidden.
    #[serde(serialize_with = "hidden", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) properties: BTreeMap<String, String>,
    /// This command sends to Kafka.
    #[serde(skip)]
    pub(crate) active: bool,
}

/// How to log in. OAUTHBEARER takes its settings from `properties`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Mechanism {
    /// The password in the clear, inside TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof that we know the password.
    #[serde(rename = "SCRAM-SHA-256")]
    Scram256,
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    Scram512,
}

impl Mechanism {
    /// As librdkafka calls it.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            brokers: Vec::new(),
            prefix: "umbra".into(),
            partitions: 12,
            replication: None,
            tls: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            sasl: None,
            username: None,
            password_env: None,
            password_file: None,
            spool: None,
            spool_mib: 1024,
            sync_ms: 200,
            rows_seconds: 60,
            properties: BTreeMap::new(),
            active: false,
        }
    }
}

impl Kafka {
    /// Whether a cluster is named at all.
    #[cfg_attr(not(any(feature = "kafka", feature = "live")), allow(dead_code))]
    pub(crate) fn is_set(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// Settings that go together.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.tls && [&self.ca_file, &self.certificate_file, &self.key_file].into_iter().any(Option::is_some) {
            return Err(" kafka: ca_file, certificate_file and key_file need tls = true".into());
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return Err(" kafka: certificate_file and key_file go together".into());
        }
        if self.password_env.is_some() && self.password_file.is_some() {
            return Err(" kafka: give either password_env or password_file".into());
        }
        let password = self.password_env.is_some() || self.password_file.is_some();
        if self.sasl.is_some() != (self.username.is_some() && password) {
            return Err(" kafka: sasl, username and password_env (or password_file) go together".into());
        }
        if self.partitions == 0 || self.spool_mib < 4 || self.spool_mib > 1 << 24 || self.sync_ms == 0 {
            return Err(" kafka: partitions and sync_ms must be at least 1, spool_mib at least 4".into());
        }
        if !(1..=86_400).contains(&self.rows_seconds) {
            return Err(" kafka.rows_seconds: 1 to 86400".into());
        }
        let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.prefix.is_empty() || self.prefix.len() > 200 || !self.prefix.chars().all(name) {
            return Err(" kafka.prefix: letters, digits, dots, dashes and underscores".into());
        }
        Ok(())
    }
}

/// A property may hold a secret.
fn hidden<S: serde::Serializer>(properties: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(properties.keys().map(|name| (name, "***")))
}
