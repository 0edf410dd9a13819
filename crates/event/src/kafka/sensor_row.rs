//! What one sensor has learnt, as the roll-up reads it.
#![allow(missing_docs)] // named as in the schemas, which describe each

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endpoint::CoverageRecord;

/// Cumulative state of one endpoint at one sensor since its start: the value of `umbra.endpoints.sensor`. The newest one of a
/// sensor and incarnation has all in it that those before had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorRow {
    pub schema_version: u32,
    pub endpoint_id: String,
    pub sensor_id: String,
    pub incarnation: String,
    pub seq: u64,
    pub style: String,
    pub host: String,
    pub method: String,
    pub route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    pub confirmed: bool,
    pub requests: u64,
    pub unanswered: u64,
    pub statuses: BTreeMap<String, u64>,
    pub other_statuses: u64,
    pub first_seen: String,
    pub last_seen: String,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub coverage: CoverageRecord,
    pub clients: Sketch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyState>,
    /// All else that merges: for the roll-up, which has the same program behind it.
    pub rest: String,
}

/// Distinct clients: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sketch {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registers: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyState {
    pub sum_ns: u64,
    pub min_ns: u64,
    pub max_ns: u64,
    pub buckets: Vec<(u16, u64)>,
}

/// A part of what one sensor has learnt of the routes of one service; in `umbra.endpoints.sensor` too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEvidenceRecord {
    pub schema_version: u32,
    pub host: String,
    pub sensor_id: String,
    pub incarnation: String,
    pub seq: u64,
    pub part: u32,
    pub parts: u32,
    pub evidence: String,
}
