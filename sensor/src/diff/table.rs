//! Findings as people read them.

use std::fmt::Write as _;

use super::{Findings, KINDS};
use crate::report::shown;

/// Differences shown of one endpoint; JSON has them all.
const DRIFTS: usize = 8;

pub(super) fn write(findings: &Findings<'_>) -> String {
    let mut text = String::new();
    let width =
        |of: fn(&super::Finding) -> &str| findings.list.iter().map(|finding| shown(of(finding)).chars().count()).max();
    let method = width(|finding| &finding.method).unwrap_or(0).max(6);
    let host = width(|finding| &finding.host).unwrap_or(0).max(4);
    let route = width(|finding| &finding.route).unwrap_or(0).clamp(5, 60);
    if !findings.list.is_empty() {
        let _ = writeln!(
            text,
            "{:<9}  {:method$}  {:host$}  {:route$}  {:>9}  WHY",
            "FINDING", "METHOD", "HOST", "ROUTE", "REQUESTS"
        );
    }
    for finding in &findings.list {
        let _ = writeln!(
            text,
            "{:<9}  {:method$}  {:host$}  {:route$}  {:>9}  {}",
            finding.kind,
            shown(&finding.method),
            shown(&finding.host),
            shown(&finding.route),
            finding.requests,
            finding.reason
        );
        for drift in finding.drift.iter().take(DRIFTS) {
            let documented = if drift.documented.is_empty() { "nothing" } else { &drift.documented };
            let _ = writeln!(
                text,
                "           {} at {}: {} documented, {} seen",
                drift.kind.name().replace('_', " "),
                shown(&drift.place),
                shown(documented),
                shown(&drift.observed)
            );
        }
        let more = finding.drift.len().saturating_sub(DRIFTS) + finding.more_drift;
        if more > 0 {
            let _ = writeln!(text, "           and {more} more");
        }
    }
    if !findings.list.is_empty() {
        text.push('\n');
    }
    let counts: Vec<String> = KINDS.iter().map(|kind| format!("{} {kind}", findings.count(kind))).collect();
    let specs = findings.set.specs().count();
    let _ = writeln!(
        text,
        "{} endpoints against {specs} specification{}: {} documented, {}",
        findings.endpoints,
        if specs == 1 { "" } else { "s" },
        findings.documented,
        counts.join(", ")
    );
    text
}
