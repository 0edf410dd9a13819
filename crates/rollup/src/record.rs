//! An endpoint as people consume it.

use std::collections::BTreeSet;

use umbra_discovery::routes::{self, Parameter, ParameterType, Templates};
use umbra_discovery::{Endpoint, Latency, MergedFrom};
use umbra_event::kafka::{EndpointRecord, LatencyRecord, RECORD_VERSION, TemplateParameter, TemplateRecord};
use umbra_event::rfc3339;

use crate::{learnt, rows};

/// The record of an endpoint, without the sensors, which only a roll-up knows.
pub fn endpoint_record(endpoint: &Endpoint) -> EndpointRecord {
    let mut record = EndpointRecord {
        schema_version: RECORD_VERSION,
        endpoint_id: endpoint.id_hex(),
        style: endpoint.style.name().to_owned(),
        host: endpoint.host().to_owned(),
        method: endpoint.method().to_owned(),
        route: endpoint.route().to_owned(),
        operation: endpoint.operation().map(str::to_owned),
        confirmed: endpoint.confirmed,
        requests: endpoint.requests,
        unanswered: endpoint.unanswered,
        statuses: endpoint.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        other_statuses: endpoint.other_statuses,
        first_seen: rfc3339(endpoint.first_seen.nanos()),
        last_seen: rfc3339(endpoint.last_seen.nanos()),
        clients: endpoint.clients.count(),
        request_bytes: endpoint.request_bytes,
        response_bytes: endpoint.response_bytes,
        latency: latency(&endpoint.latency),
        coverage: rows::coverage_record(&endpoint.coverage),
        template: endpoint.template.as_deref().map(template_record),
        parameters: Vec::new(),
        auth: None,
        bodies: Vec::new(),
        calls: None,
        sockets: None,
        service: None,
        labels: None,
        versions: Vec::new(),
        lifecycle: None,
        specification: None,
        publishes: None,
        data_types: Vec::new(),
        exposure: Vec::new(),
        sensors: Vec::new(),
        merged_from: endpoint.merged_from.iter().map(|id| format!("{:032x}", u128::from_be_bytes(*id))).collect(),
    };
    if let Some(learnt) = &endpoint.learnt {
        learnt::add(learnt, &mut record);
    }
    record
}

/// The same, with what the roll-up knows.
pub(crate) fn rolled_up(
    endpoint: &Endpoint,
    templates: &Templates,
    sensors: &BTreeSet<&str>,
    parts: &BTreeSet<&str>,
) -> EndpointRecord {
    let mut record = endpoint_record(endpoint);
    let found = templates.find(endpoint.host(), endpoint.method().as_bytes(), endpoint.route().as_bytes());
    record.template = found.filter(|found| found.template == endpoint.route()).map(template_record);
    record.sensors = sensors.iter().map(|sensor| (*sensor).to_owned()).collect();
    let others = parts.iter().filter(|part| **part != record.endpoint_id);
    record.merged_from = others.take(MergedFrom::MOST).map(|part| (*part).to_owned()).collect();
    record
}

fn template_record(template: &routes::Endpoint) -> TemplateRecord {
    let parameter = |parameter: &Parameter| TemplateParameter {
        name: parameter.name.clone(),
        r#type: match parameter.kind {
            ParameterType::String => "string",
            ParameterType::Integer => "integer",
        }
        .to_owned(),
        format: parameter.format.map(str::to_owned),
        confidence: rounded(parameter.confidence),
        reasons: parameter.reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        distinct: parameter.distinct,
    };
    TemplateRecord {
        confidence: rounded(template.confidence),
        pinned: template.pinned,
        parameters: template.parameters.iter().map(parameter).collect(),
    }
}

/// Two digits: more would change with every request.
fn rounded(confidence: f64) -> f64 {
    (confidence * 100.0).round() / 100.0
}

fn latency(latency: &Latency) -> Option<LatencyRecord> {
    let (min_ns, max_ns) = latency.range_ns();
    Some(LatencyRecord {
        count: latency.count(),
        sum_ns: latency.sum_ns(),
        min_ns,
        max_ns,
        p50_ns: latency.percentile(50)?,
        p95_ns: latency.percentile(95)?,
        p99_ns: latency.percentile(99)?,
        buckets: latency.buckets().to_vec(),
    })
}
