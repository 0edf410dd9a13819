//! The inventory and the counters as people and programs read them.

mod csv;
mod grid;
mod json;
mod table;
mod tree;

use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;

use umbra_discovery::Counters;
use umbra_discovery::definition::LeftOut;
use umbra_event::write_rfc3339;
use umbra_openapi::{Conformance, Shadow, Unmanaged, Zombie};
use umbra_pipeline::Inventory;

use crate::catalogue::{Catalogue, Row};
use crate::cli::Format;

/// Writes the inventory. `width`: characters of the terminal it goes to, if it goes to one.
pub(crate) fn write_inventory(
    inventory: &Inventory,
    catalogue: &Catalogue,
    format: Format,
    width: Option<usize>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if format == Format::None {
        return Ok(());
    }
    write_endpoints(&catalogue.rows(inventory), inventory.endpoint_counters(), format, width, out)
}

/// Writes endpoints, and what did not become one.
pub(crate) fn write_endpoints(
    endpoints: &[Row<'_>],
    left_out: &Counters,
    format: Format,
    width: Option<usize>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let for_people = |text: String| {
        let gap = if text.is_empty() { "" } else { "\n" };
        format!("{text}{gap}{}", summary(endpoints, left_out))
    };
    match format {
        Format::Table => out.write_all(for_people(table::table(endpoints, width)).as_bytes()),
        Format::Tree => out.write_all(for_people(tree::tree(endpoints, width)).as_bytes()),
        Format::Json => {
            let mut out = io::BufWriter::new(out);
            serde_json::to_writer_pretty(&mut out, &json::document(endpoints, left_out))?;
            io::Write::write_all(&mut out, b"\n")?;
            io::Write::flush(&mut out)
        }
        Format::Csv => out.write_all(csv::csv(endpoints).as_bytes()),
        Format::None => Ok(()),
    }
}

/// Characters of a line, if that is a terminal.
pub(crate) fn terminal_width(stream: impl AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0))
}

/// The endpoints that people are shown; pages and files of web sites are only counted.
fn confirmed_apis<'a>(endpoints: &'a [Row<'a>]) -> impl Iterator<Item = &'a Row<'a>> {
    endpoints.iter().filter(|endpoint| endpoint.confirmed && endpoint.style.is_api())
}

/// How many there are, and what is not among them.
fn summary(endpoints: &[Row<'_>], left_out: &Counters) -> String {
    let mut text = String::new();
    let confirmed: Vec<&Row<'_>> = confirmed_apis(endpoints).collect();
    let unconfirmed = endpoints.iter().filter(|endpoint| !endpoint.confirmed && endpoint.style.is_api());
    let (paths, requests) = unconfirmed.fold((0, 0), |(paths, sum), endpoint| (paths + 1, sum + endpoint.requests));
    let hosts = confirmed.chunk_by(|a, b| a.host() == b.host()).count() as u64;
    let _ = writeln!(
        text,
        "{} of {}; {} to {} that no server answered with success",
        counted(confirmed.len() as u64, "endpoint"),
        counted(hosts, "service"),
        counted(requests, "request"),
        counted(paths, "path"),
    );
    let web = endpoints.iter().filter(|endpoint| endpoint.confirmed && !endpoint.style.is_api());
    let (pages, requests) = web.fold((0, 0), |(pages, sum), page| (pages + 1, sum + page.requests));
    let mut tell = |count: u64, line: String| {
        if count > 0 {
            text.push_str(&line);
            text.push('\n');
        }
    };
    tell(pages, format!("set aside: {} of web sites, {}", counted(pages, "page"), counted(requests, "request")));
    let Counters { overflow, coarse, guessed_hosts, unconfirmed_requests_dropped, .. } = *left_out;
    let more = "more endpoints than [inventory] allows";
    tell(overflow, format!("{} left out: {more}", counted(overflow, "request")));
    tell(coarse, format!("{} under coarse routes: {more} a service", counted(coarse, "request")));
    let guessed = counted(guessed_hosts, "host name");
    tell(guessed_hosts, format!("{guessed} no service: only clients that guess names have used such names"));
    tell(
        unconfirmed_requests_dropped,
        format!(
            "{} to {} without success left out",
            counted(unconfirmed_requests_dropped, "request"),
            counted(left_out.unconfirmed_dropped, "more path"),
        ),
    );
    let LeftOut { too_long, cut, unreadable, overflow } = left_out.definitions;
    let why = [(too_long, "too long"), (cut, "cut"), (unreadable, "unreadable"), (overflow, "over the bound")];
    let why: Vec<String> =
        why.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    let sum = left_out.definitions.sum();
    tell(sum, format!("{} with definitions not kept: {}", counted(sum, "answer"), why.join(", ")));
    text
}

/// `1 request`, `2 requests`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
    grid::cut(&shown(text), CELL)
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
        match documented.conformance {
            Conformance::Shadow(Shadow::Method) => parts.push("method not documented".to_owned()),
            Conformance::Unmanaged(Unmanaged::BasePath) => parts.push("outside all base paths".to_owned()),
            Conformance::Zombie(Zombie::Deprecated) => parts.push("deprecated".to_owned()),
            Conformance::Zombie(Zombie::OlderVersion) => parts.push("only in an older specification".to_owned()),
            _ => {}
        }
        parts.extend(documented.drift.iter().map(|kind| kind.replace('_', " ")));
    }
    parts.join(", ")
}

/// What specifications say of a row: its status, and what differs if it is documented.
fn specification(row: &Row<'_>) -> Option<&'static str> {
    let documented = row.documented.as_ref()?;
    match documented.conformance {
        Conformance::Documented if !documented.drift.is_empty() => Some("drift"),
        conformance => Some(conformance.name()),
    }
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
