//! The inventory and the counters as people and programs read them.

use std::fmt::Write as _;
use std::io;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use umbra_discovery::Counters;
use umbra_event::kafka::EndpointRecord;
use umbra_event::write_rfc3339;
use umbra_openapi::Conformance;
use umbra_pipeline::Inventory;
use umbra_rollup::endpoint_record;

use crate::catalogue::{self, Catalogue, Row};
use crate::cli::Format;

/// Writes the inventory.
pub(crate) fn write_inventory(
    inventory: &Inventory,
    catalogue: &Catalogue,
    format: Format,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if format == Format::None {
        return Ok(());
    }
    write_endpoints(&catalogue.rows(inventory), inventory.endpoint_counters(), format, out)
}

/// Writes endpoints, and what did not become one.
pub(crate) fn write_endpoints(
    endpoints: &[Row<'_>],
    left_out: &Counters,
    format: Format,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::Table => out.write_all(table(endpoints, left_out).as_bytes()),
        Format::Json => {
            let mut out = io::BufWriter::new(out);
            serde_json::to_writer_pretty(&mut out, &document(endpoints, left_out))?;
            io::Write::write_all(&mut out, b"\n")?;
            io::Write::flush(&mut out)
        }
        Format::Csv => out.write_all(csv(endpoints).as_bytes()),
        Format::None => Ok(()),
    }
}

/// Rows of the table: confirmed endpoints, grouped by host; pages and files of web sites are only counted.
fn table(endpoints: &[Row<'_>], left_out: &Counters) -> String {
    let (endpoints, web): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        endpoints.iter().partition(|endpoint| endpoint.style.is_api());
    let (confirmed, unconfirmed): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        endpoints.into_iter().partition(|endpoint| endpoint.confirmed);
    let mut text = String::new();
    let method_width = confirmed.iter().map(|endpoint| endpoint.method().len()).max().unwrap_or(0).max(6);
    let route_width = confirmed.iter().map(|endpoint| label(endpoint).chars().count()).max().unwrap_or(0).max(5);
    let mut host = None;
    for endpoint in &confirmed {
        if host != Some(endpoint.host()) {
            let gap = if host.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}{}", shown(endpoint.host()), remark(endpoint));
            let _ = writeln!(
                text,
                "  {:method_width$}  {:route_width$}  {:>9}  {:>9}  {:>7}  {:>7}  {:>7}  {:<9}  {:<19}  NOTES",
                "METHOD", "ROUTE", "REQUESTS", "2xx/3xx", "4xx", "5xx", "CLIENTS", "STYLE", "LAST SEEN"
            );
            host = Some(endpoint.host());
        }
        let _ = writeln!(
            text,
            "  {:method_width$}  {:route_width$}  {:>9}  {:>9}  {:>7}  {:>7}  {:>7}  {:<9}  {:<19}  {}",
            endpoint.method(),
            label(endpoint),
            endpoint.requests,
            endpoint.status_class(1) + endpoint.status_class(2) + endpoint.status_class(3),
            endpoint.status_class(4),
            endpoint.status_class(5),
            endpoint.clients.count(),
            endpoint.style.name(),
            time(endpoint.last_seen.nanos()).get(..19).unwrap_or_default(),
            notes(endpoint)
        );
    }
    let requests: u64 = unconfirmed.iter().map(|endpoint| endpoint.requests).sum();
    if !confirmed.is_empty() {
        text.push('\n');
    }
    let hosts = confirmed.chunk_by(|a, b| a.host() == b.host()).count();
    let _ = writeln!(
        text,
        "{} endpoints of {hosts} services; {requests} requests to {} paths that no server answered with success",
        confirmed.len(),
        unconfirmed.len()
    );
    let confirmed = web.iter().filter(|endpoint| endpoint.confirmed);
    let (pages, requests) = confirmed.fold((0, 0), |(pages, requests), page| (pages + 1, requests + page.requests));
    if pages > 0 {
        let _ = writeln!(text, "set aside: {pages} pages and files of web sites, {requests} requests");
    }
    if left_out.overflow > 0 {
        let _ = writeln!(text, "{} requests left out: more endpoints than [inventory] allows", left_out.overflow);
    }
    if left_out.coarse > 0 {
        let requests = left_out.coarse;
        let _ =
            writeln!(text, "{requests} requests under coarse routes: more endpoints than [inventory] allows a service");
    }
    if left_out.guessed_hosts > 0 {
        let hosts = left_out.guessed_hosts;
        let _ = writeln!(text, "{hosts} hosts are no services: only clients that guess names have used them");
    }
    if left_out.unconfirmed_requests_dropped > 0 {
        let (paths, requests) = (left_out.unconfirmed_dropped, left_out.unconfirmed_requests_dropped);
        let _ = writeln!(text, "{requests} requests to {paths} more paths without success left out");
    }
    text
}

/// Route and operation of a row.
fn label(endpoint: &Row<'_>) -> String {
    match endpoint.operation() {
        Some(operation) => format!("{} {}", short(endpoint.route()), short(operation)),
        None => short(endpoint.route()),
    }
}

/// Characters of a table cell: one long name must not make every row long.
const CELL: usize = 100;

/// A captured name that fits a cell.
fn short(text: &str) -> String {
    let text = shown(text);
    match text.char_indices().nth(CELL) {
        None => text,
        Some(_) => text.chars().take(CELL - 1).chain(['…']).collect(),
    }
}

/// One line for each endpoint, confirmed or not, after a header line (RFC 4180).
fn csv(endpoints: &[Row<'_>]) -> String {
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

/// What the reader of a row should know: nothing is silently less than it seems.
fn notes(endpoint: &Row<'_>) -> String {
    let facts = &endpoint.coverage;
    let named = [
        (endpoint.unanswered, "unanswered"),
        (facts.with_gaps, "with gaps"),
        (facts.truncated, "truncated"),
        (facts.mid_stream, "joined late"),
        (facts.one_sided, "one-sided"),
        (facts.tainted, "untrusted"),
    ];
    let mut parts: Vec<String> =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if let Some(version) = endpoint.older() {
        let newest = version.newest.as_deref().unwrap_or_default();
        parts.push(format!("version {}, newest is {newest}", version.version));
    }
    if let Some(published) = endpoint.published {
        parts.push(format!("publishes {}", published.name().replace('_', " ")));
    }
    if let Some(documented) = &endpoint.documented {
        if documented.conformance != Conformance::Documented {
            parts.push(documented.conformance.name().to_owned());
        }
        if !documented.drift.is_empty() {
            parts.push("drift".to_owned());
        }
    }
    parts.join(", ")
}

/// What the configuration says of a service, behind its name: that of its first endpoint.
fn remark(row: &Row<'_>) -> String {
    let place = row.place.map(|place| place.name().replace('_', " "));
    let named = row.labels.named().into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    let parts: Vec<String> =
        place.into_iter().chain(named).chain(row.labels.tags.iter().map(ToString::to_string)).collect();
    if parts.is_empty() { String::new() } else { format!("  ({})", parts.join(", ")) }
}

/// A captured name for a terminal: control and other unprintable characters cannot act on it (F078).
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn time(nanos: u64) -> String {
    let mut out = Vec::new();
    write_rfc3339(nanos, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The document, its rows made one at a time: as values all of them would take ten times the memory of their text.
#[derive(Serialize)]
struct Document<'a> {
    endpoints: Rows<'a>,
    left_out: Value,
    schema_version: u32,
}

struct Rows<'a>(&'a [Row<'a>]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(endpoint))
    }
}

fn document<'a>(endpoints: &'a [Row<'a>], left_out: &Counters) -> Document<'a> {
    Document {
        endpoints: Rows(endpoints),
        left_out: json!({
            "orphan_responses": left_out.orphan_responses,
            "unknown_path": left_out.unknown_path,
            "overflow": left_out.overflow,
            "unconfirmed_dropped": left_out.unconfirmed_dropped,
            "unconfirmed_requests_dropped": left_out.unconfirmed_requests_dropped,
            "operations_overflow": left_out.operations_overflow,
            "coarse": left_out.coarse,
            "guessed_hosts": left_out.guessed_hosts,
        }),
        schema_version: 1,
    }
}

fn endpoint(row: &Row<'_>) -> EndpointRecord {
    let mut record = endpoint_record(row.endpoint());
    catalogue::add(row, &mut record);
    record
}
