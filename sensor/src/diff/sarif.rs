//! Findings as SARIF 2.1.0 (OASIS), for code scanning.

use serde_json::{Value, json};

use super::{Finding, Findings, KINDS};

pub(super) fn write(findings: &Findings<'_>) -> String {
    let rules: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            let (text, level) = rule(kind);
            json!({
                "id": kind,
                "shortDescription": {"text": text},
                "defaultConfiguration": {"level": level},
            })
        })
        .collect();
    let results: Vec<Value> = findings.list.iter().map(|finding| result(findings, finding)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "umbra", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn rule(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "shadow" => ("An endpoint that is called but not documented", "error"),
        "zombie" => ("A deprecated or removed endpoint that is still called", "error"),
        "drift" => ("An endpoint that differs from what is documented", "warning"),
        "unmanaged" => ("An endpoint that no specification covers", "warning"),
        _ => ("A documented operation that was not seen", "note"),
    }
}

fn result(findings: &Findings<'_>, finding: &Finding) -> Value {
    let (_, level) = rule(finding.kind);
    let endpoint = format!("{} {}{}", finding.method, finding.host, finding.route);
    let mut text = format!("{endpoint}: {}", finding.reason);
    for drift in &finding.drift {
        let documented = if drift.documented.is_empty() { "nothing" } else { &drift.documented };
        text +=
            &format!("\n{} at {}: {documented} documented, {} seen", drift.kind.name(), drift.place, drift.observed);
    }
    // Viewers want a file: of what no specification documents, the first that was compared.
    let first = || findings.set.specs().next().map(|spec| spec.name.as_str());
    let file = findings.spec_name(finding).or_else(first).unwrap_or_default();
    json!({
        "ruleId": finding.kind,
        "level": level,
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(file)}},
            "logicalLocations": [{"fullyQualifiedName": endpoint, "kind": "resource"}],
        }],
        // The same finding has the same print in every run.
        "partialFingerprints": {"endpoint/v1": format!("{} {endpoint}", finding.kind)},
    })
}

/// A file name as a relative reference (RFC 3986 §4.2).
fn uri(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
