//! The records of the compacted topics: the inventory, what each sensor has learnt for it, findings and health; and how they
//! are keyed and placed.
//!
//! Plain owned values: they are written once a minute or so, never on the packet path. Closed, as their schemas are: what one
//! version does not know it refuses, so that nothing is silently dropped on the way through.

mod endpoint;
mod finding;
mod health;
mod sensor_row;
mod topic;

pub use endpoint::{
    CoverageRecord, EndpointRecord, LatencyRecord, SocketMessages, SocketsRecord, TemplateParameter, TemplateRecord,
};
pub use finding::{FindingKind, FindingRecord, FindingStatus, Severity};
pub use health::{
    DropRecord, HealthRecord, HealthStatus, KafkaRecord, KafkaState, LossRecord, MemoryRecord, ReasonCount,
    SpoolRecord, UnpairedRecord,
};
pub use sensor_row::{LatencyState, RouteEvidenceRecord, SensorRow, Sketch};
pub use topic::{Topic, endpoint_key, evidence_key, place_of, sensor_row_key};

/// JSON Schema 2020-12 of [`EndpointRecord`].
pub const ENDPOINT_SCHEMA: &str = include_str!("../../../../schemas/endpoint.v1.schema.json");
/// JSON Schema 2020-12 of [`SensorRow`].
pub const SENSOR_ROW_SCHEMA: &str = include_str!("../../../../schemas/sensor_row.v1.schema.json");
/// JSON Schema 2020-12 of [`RouteEvidenceRecord`].
pub const ROUTE_EVIDENCE_SCHEMA: &str = include_str!("../../../../schemas/route_evidence.v1.schema.json");
/// JSON Schema 2020-12 of [`FindingRecord`].
pub const FINDING_SCHEMA: &str = include_str!("../../../../schemas/finding.v1.schema.json");
/// JSON Schema 2020-12 of [`HealthRecord`].
pub const HEALTH_SCHEMA: &str = include_str!("../../../../schemas/health.v1.schema.json");

/// Version of the records of this module.
pub const RECORD_VERSION: u32 = 1;
