//! What a sensor has learnt, to records and back.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use umbra_discovery::routes::Routes;
use umbra_discovery::{Coverage, Endpoint, EndpointState, Latency};
use umbra_event::kafka::{CoverageRecord, LatencyState, RECORD_VERSION, RouteEvidenceRecord, SensorRow, Sketch};
use umbra_event::{read_rfc3339, rfc3339};

/// Base64 digits of one part of the evidence: with the rest of its record far below the megabyte that brokers take by default.
pub const PART_BYTES: usize = 512 * 1024;

/// Evidence grows to this at most when it is unpacked: a service at all its bounds stays below.
pub(crate) const EVIDENCE_BYTES: u64 = 256 << 20;

/// And what is learnt of an endpoint to this.
const ENDPOINT_BYTES: u64 = 16 << 20;

/// Who says something, and which of its words this is.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Configured name of the sensor.
    pub sensor_id: &'a str,
    /// Which start of it.
    pub incarnation: &'a str,
    /// Grows from word to word.
    pub seq: u64,
}

/// The row of an endpoint.
pub fn sensor_row(endpoint: &Endpoint, stamp: &Stamp<'_>) -> SensorRow {
    let mut state = EndpointState::from(endpoint);
    let (min_ns, max_ns) = state.latency.range_ns();
    let latency = (state.latency.count() > 0).then(|| LatencyState {
        sum_ns: state.latency.sum_ns(),
        min_ns,
        max_ns,
        buckets: state.latency.buckets().to_vec(),
    });
    let hashes = std::mem::take(&mut state.clients);
    let row = SensorRow {
        schema_version: RECORD_VERSION,
        endpoint_id: endpoint.id_hex(),
        sensor_id: stamp.sensor_id.to_owned(),
        incarnation: stamp.incarnation.to_owned(),
        seq: stamp.seq,
        style: state.style.clone(),
        host: state.host.clone(),
        method: state.method.clone(),
        route: state.route.clone(),
        operation: state.operation.clone(),
        confirmed: state.confirmed,
        requests: state.requests,
        unanswered: state.unanswered,
        statuses: state.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        other_statuses: state.other_statuses,
        first_seen: rfc3339(state.first_seen),
        last_seen: rfc3339(state.last_seen),
        request_bytes: state.request_bytes,
        response_bytes: state.response_bytes,
        coverage: coverage_record(&state.coverage),
        clients: Sketch {
            hashes: hashes.iter().map(|hash| format!("{hash:016x}")).collect(),
            registers: state.client_registers.take(),
        },
        latency,
        rest: String::new(),
    };
    // What stands in the row itself is not repeated; the parts that no consumer could make sense of are left.
    state.latency = Latency::default();
    SensorRow { rest: pack(&state), ..row }
}

/// The endpoint of a row; `None` if no sensor has written it.
pub(crate) fn endpoint(row: SensorRow) -> Option<Endpoint> {
    if row.schema_version != RECORD_VERSION {
        return None;
    }
    let hash = |text: &String| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    let clients: Vec<u64> = row.clients.hashes.iter().map(hash).collect::<Option<_>>()?;
    let latency = match row.latency {
        Some(state) => Latency::restored(state.sum_ns, (state.min_ns, state.max_ns), state.buckets)?,
        None => Latency::default(),
    };
    let statuses: BTreeMap<u16, u64> = row
        .statuses
        .iter()
        .map(|(status, count)| status.parse().ok().map(|status| (status, *count)))
        .collect::<Option<_>>()?;
    let rest: EndpointState = unpack(&row.rest, ENDPOINT_BYTES)?;
    EndpointState {
        style: row.style,
        host: row.host,
        method: row.method,
        route: row.route,
        operation: row.operation,
        confirmed: row.confirmed,
        requests: row.requests,
        unanswered: row.unanswered,
        statuses: statuses.into_iter().collect(),
        other_statuses: row.other_statuses,
        first_seen: read_rfc3339(&row.first_seen)?,
        last_seen: read_rfc3339(&row.last_seen)?,
        clients,
        client_registers: row.clients.registers,
        latency,
        request_bytes: row.request_bytes,
        response_bytes: row.response_bytes,
        coverage: coverage(&row.coverage),
        ..rest
    }
    .endpoint()
}

pub(crate) fn coverage_record(facts: &Coverage) -> CoverageRecord {
    CoverageRecord {
        incomplete: facts.incomplete,
        with_gaps: facts.with_gaps,
        gap_bytes: facts.gap_bytes,
        truncated: facts.truncated,
        mid_stream: facts.mid_stream,
        one_sided: facts.one_sided,
        tainted: facts.tainted,
    }
}

fn coverage(record: &CoverageRecord) -> Coverage {
    Coverage {
        incomplete: record.incomplete,
        with_gaps: record.with_gaps,
        gap_bytes: record.gap_bytes,
        truncated: record.truncated,
        mid_stream: record.mid_stream,
        one_sided: record.one_sided,
        tainted: record.tainted,
    }
}

/// What a sensor has learnt of the routes of all services, in parts. `shows` says which words may be read as they are: those that
/// redaction leaves alone.
pub fn evidence_records(routes: &Routes, shows: impl Fn(&str) -> bool, stamp: &Stamp<'_>) -> Vec<RouteEvidenceRecord> {
    let mut records = Vec::new();
    for (host, snapshot) in routes.evidence(shows) {
        let packed = pack(&snapshot);
        let parts: Vec<&[u8]> = packed.as_bytes().chunks(PART_BYTES).collect();
        for (part, text) in parts.iter().enumerate() {
            records.push(RouteEvidenceRecord {
                schema_version: RECORD_VERSION,
                host: host.clone(),
                sensor_id: stamp.sensor_id.to_owned(),
                incarnation: stamp.incarnation.to_owned(),
                seq: stamp.seq,
                part: part as u32,
                parts: parts.len() as u32,
                // Base64 is ASCII.
                evidence: String::from_utf8_lossy(text).into_owned(),
            });
        }
    }
    records
}

/// As Base64 of deflated JSON.
fn pack(value: &impl Serialize) -> String {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    // To memory, and no map has keys other than text: cannot fail.
    if let Ok(json) = serde_json::to_vec(value) {
        let _ = packer.write_all(&json);
    }
    STANDARD.encode(packer.finish().unwrap_or_default())
}

/// What was packed, if no sensor but one of this version has packed it, and it is not more than `most` bytes.
pub(crate) fn unpack<T: DeserializeOwned>(packed: &str, most: u64) -> Option<T> {
    let bytes = STANDARD.decode(packed).ok()?;
    let mut json = Vec::new();
    DeflateDecoder::new(bytes.as_slice()).take(most).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
