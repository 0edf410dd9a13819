//! How well a sensor sees and delivers.
#![allow(missing_docs)] // named as in `schemas/health.v1.schema.json`, which describes each

use serde::{Deserialize, Serialize};

/// Health of one sensor: the value of `umbra.sensors`. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRecord {
    pub schema_version: u32,
    pub sensor_id: String,
    pub version: String,
    pub incarnation: String,
    pub seq: u64,
    pub time: String,
    pub status: HealthStatus,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    pub packets: u64,
    pub bytes: u64,
    pub drops: DropRecord,
    pub gaps: u64,
    pub gap_bytes: u64,
    pub flows: u64,
    pub live_flows: u64,
    pub transactions: u64,
    pub requests: u64,
    pub responses: u64,
    pub unpaired: UnpairedRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecodable: Vec<ReasonCount>,
    pub memory: MemoryRecord,
    pub events_produced: u64,
    pub events_delivered: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LossRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaRecord>,
}

/// What a sensor is worth right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It sees all that its interface brings, and delivers it.
    #[default]
    Ok,
    /// Something is lost or not decoded; the reasons say what.
    Degraded,
    /// It sees nothing of APIs; the reasons say why.
    Blind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropRecord {
    pub kernel: u64,
    pub interface: u64,
    pub shed_segments: u64,
    pub flows_evicted: u64,
    pub flows_failed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnpairedRecord {
    pub requests: u64,
    pub responses: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonCount {
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRecord {
    pub held_bytes: u64,
    pub cap_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossRecord {
    pub stage: String,
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolRecord {
    pub bytes: u64,
    pub cap_bytes: u64,
    pub pending: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaRecord {
    pub state: KafkaState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaState {
    Connected,
    Disconnected,
    Failed,
}
