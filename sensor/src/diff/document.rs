//! Findings as one JSON document.

use serde_json::{Map, Value, json};

use super::{Finding, Findings, KINDS};

pub(super) fn write(findings: &Findings<'_>) -> String {
    let specs: Vec<Value> = findings
        .set
        .specs()
        .map(|spec| {
            json!({
                "name": spec.name,
                "title": spec.title,
                "version": spec.version,
                "operations": spec.operations.len(),
                "issues": spec.issues.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    let list: Vec<Value> = findings.list.iter().map(|finding| one(findings, finding)).collect();
    let counts: Map<String, Value> =
        KINDS.iter().map(|kind| ((*kind).to_string(), json!(findings.count(kind)))).collect();
    let document = json!({
        "schema_version": 1,
        "endpoints": findings.endpoints,
        "documented": findings.documented,
        "set_aside": findings.set_aside,
        "counts": counts,
        "findings": list,
        "specifications": specs,
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn one(findings: &Findings<'_>, finding: &Finding) -> Value {
    let drift: Vec<Value> = finding
        .drift
        .iter()
        .map(|drift| {
            json!({
                "kind": drift.kind.name(),
                "place": drift.place,
                "documented": drift.documented,
                "observed": drift.observed,
            })
        })
        .collect();
    let operation = finding.operation.and_then(|at| {
        let operation = findings.set.operation(at)?;
        Some(json!({
            "specification": findings.spec_name(finding),
            "template": findings.set.template(at),
            "operation_id": operation.operation_id,
            "deprecated": operation.deprecated,
        }))
    });
    json!({
        "kind": finding.kind,
        "host": finding.host,
        "method": finding.method,
        "template": finding.route,
        "reason": finding.reason,
        "requests": finding.requests,
        "observable": finding.observable.map(|observable| observable.name()),
        "operation": operation,
        "drift": drift,
        "more_drift": finding.more_drift,
    })
}
