//! The inventory for spreadsheets.

use std::fmt::Write as _;

use super::{shown, time};
use crate::catalogue::Row;

/// One line for each endpoint, confirmed or not, after a header line (RFC 4180).
pub(super) fn csv(endpoints: &[Row<'_>]) -> String {
    let mut text = String::from(
        "endpoint_id,host,method,route,style,confirmed,requests,unanswered,status_1xx,status_2xx,status_3xx,status_4xx,\
         status_5xx,clients,request_bytes,response_bytes,first_seen,last_seen,incomplete,operation,place,team,product,environment,\
         criticality,owner,tags,version,newest_version,specification,publishes\r\n",
    );
    for endpoint in endpoints {
        let names = [endpoint.host(), endpoint.method(), endpoint.route()].map(cell);
        let classes: Vec<String> = (1..=5).map(|class| endpoint.status_class(class).to_string()).collect();
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            endpoint.id_hex(),
            names.join(","),
            endpoint.style.name(),
            endpoint.confirmed,
            endpoint.requests,
            endpoint.unanswered,
            classes.join(","),
            endpoint.clients.count(),
            endpoint.request_bytes,
            endpoint.response_bytes,
            time(endpoint.first_seen.nanos()),
            time(endpoint.last_seen.nanos()),
            endpoint.coverage.incomplete,
            cell(endpoint.operation().unwrap_or_default()),
            said(endpoint).join(","),
        );
    }
    text
}

/// Cells with what the configuration says, and the version.
fn said(row: &Row<'_>) -> Vec<String> {
    let place = row.place.map_or("", |place| place.name());
    let tags = row.labels.tags.iter().map(|tag| &**tag).collect::<Vec<_>>().join(" ");
    let version = row.older().or(row.versions.first());
    let named = row.labels.named().map(|(_, value)| value.unwrap_or_default());
    let mut cells = vec![place];
    cells.extend(named);
    cells.push(&tags);
    cells.push(version.map_or("", |version| &version.version));
    cells.push(version.and_then(|version| version.newest.as_deref()).unwrap_or_default());
    cells.push(row.documented.as_ref().map_or("", |documented| documented.conformance.name()));
    cells.push(row.published.map_or("", |published| published.name()));
    cells.into_iter().map(cell).collect()
}

/// A captured name for a spreadsheet, which must not take it for a formula (F078).
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{}", if formula { "'" } else { "" }, shown(text));
    match text.contains(['"', ',']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}
