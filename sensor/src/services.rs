//! `umbra inventory --format openapi`: what was observed of each service as an OpenAPI 3.1 document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use umbra_discovery::schema::Credential;
use umbra_discovery::{Style, contract};
use umbra_event::write_rfc3339;
use umbra_openapi::{Evidence, Location, Operation, SecurityKind, SecurityScheme, Server, Spec, write};

use crate::catalogue::Row;
use crate::exit::{self, Failure};

/// Longest file name of a service, bytes, its ending apart.
const NAME_BYTES: usize = 200;
/// Hosts named where one has to be chosen.
const HOSTS_TOLD: usize = 10;

/// The observed API of one service.
pub(crate) struct Service {
    pub(crate) host: String,
    /// OpenAPI 3.1 as JSON.
    pub(crate) text: String,
}

/// The documents of all services among these endpoints, by host. Only what a server answered with success is in them, and only
/// what OpenAPI can say: requests for a resource by method and path.
pub(crate) fn services(endpoints: &[Row<'_>]) -> Vec<Service> {
    let mut hosts: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    for endpoint in endpoints {
        if endpoint.confirmed && matches!(endpoint.style, Style::Rest | Style::ServerSentEvents) {
            hosts.entry(endpoint.host()).or_default().push(endpoint);
        }
    }
    hosts
        .into_iter()
        .map(|(host, endpoints)| Service { host: host.to_owned(), text: write(&spec(host, &endpoints)) })
        .collect()
}

fn spec(host: &str, endpoints: &[&Row<'_>]) -> Spec {
    let mut spec = Spec { title: host.to_owned(), version: newest_day(endpoints), ..Spec::default() };
    // Who watches behind the TLS of a gateway sees plain HTTP: the scheme that clients use is not known.
    spec.server_lists.push(vec![Server::at(&format!("//{host}"))]);
    let kinds = endpoints.iter().filter_map(|endpoint| endpoint.learnt.as_ref()).flat_map(|learnt| {
        let kinds = learnt.schemas();
        kinds.auth.kinds().map(|(kind, _)| kind.clone()).collect::<Vec<_>>()
    });
    let kinds: Vec<Credential> = kinds.collect::<BTreeSet<_>>().into_iter().collect();
    spec.security_schemes =
        kinds.iter().map(|kind| SecurityScheme { name: scheme_name(kind), kind: contract::security(kind) }).collect();
    for endpoint in endpoints {
        let mut operation = contract::operation(endpoint, &mut spec.schemas);
        operation.evidence = Some(Evidence { remarks: remarks(endpoint), ..contract::evidence(endpoint) });
        secure(endpoint, &kinds, &mut operation);
        // Of other styles on the same route the first, which is that of plain requests, stands.
        spec.operations.push(operation);
    }
    spec
}

/// What the configuration says of an endpoint.
fn remarks(row: &Row<'_>) -> Vec<(&'static str, String)> {
    let place = row.place.map(|place| ("place", place.name().to_owned()));
    let named = row.labels.named().into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
    let tags = row.labels.tags.iter().map(|tag| ("tags", tag.to_string()));
    let older = row.older().and_then(|version| Some(("newest_version", version.newest.clone()?)));
    let documented = row.documented.as_ref();
    let documented = documented.map(|documented| ("specification", documented.conformance.name().to_owned()));
    place.into_iter().chain(named).chain(older).chain(documented).chain(tags).collect()
}

/// Says which credentials the requests had; what is one is no parameter any more.
fn secure(endpoint: &Row<'_>, kinds: &[Credential], operation: &mut Operation) {
    let Some(learnt) = &endpoint.learnt else { return };
    let auth = learnt.schemas().auth;
    if auth.is_empty() {
        return;
    }
    let place = |kind: &Credential| kinds.binary_search(kind).ok().and_then(|place| u32::try_from(place).ok());
    let mut alternatives: Vec<Vec<u32>> = auth.kinds().filter_map(|(kind, _)| Some(vec![place(kind)?])).collect();
    if auth.anonymous > 0 && !alternatives.is_empty() {
        alternatives.push(Vec::new());
    }
    operation.security = Some(alternatives);
    for (kind, _) in auth.kinds() {
        let SecurityKind::ApiKey { location, name } = contract::security(kind) else { continue };
        operation.parameters.retain(|parameter| {
            parameter.location != location
                || match location {
                    Location::Header => !parameter.name.eq_ignore_ascii_case(&name),
                    _ => parameter.name != name,
                }
        });
    }
}

fn scheme_name(kind: &Credential) -> String {
    match kind {
        Credential::Jwt => "jwt".into(),
        Credential::Http(scheme) => scheme.to_string(),
        Credential::Bare => "authorization".into(),
        Credential::Header(name) => format!("header-{name}"),
        Credential::Query(name) => format!("query-{name}"),
        Credential::Cookie(name) => format!("cookie-{name}"),
    }
}

/// The day of the last request, as the version of the document.
fn newest_day(endpoints: &[&Row<'_>]) -> String {
    let newest = endpoints.iter().map(|endpoint| endpoint.last_seen.nanos()).max().unwrap_or(0);
    let mut time = Vec::new();
    write_rfc3339(newest, &mut time);
    time.truncate(10);
    String::from_utf8(time).unwrap_or_default()
}

/// The one document that goes to stdout.
pub(crate) fn only(mut services: Vec<Service>) -> Result<String, Failure> {
    match (services.pop(), services.len()) {
        (None, _) => Err(Failure::new(exit::NO_INPUT, "the inventory has no service with REST endpoints")),
        (Some(service), 0) => Ok(service.text),
        (Some(last), _) => {
            services.push(last);
            let mut hosts: Vec<&str> = services.iter().map(|service| service.host.as_str()).take(HOSTS_TOLD).collect();
            if services.len() > HOSTS_TOLD {
                hosts.push("…");
            }
            let hosts = hosts.join(", ");
            let text = format!("{} services: give --output DIR, or --host with one of {hosts}", services.len());
            Err(Failure::new(exit::USAGE, text))
        }
    }
}

/// Writes a file for each service. What they hold is for their owner only, like the inventory itself.
pub(crate) fn write_files(services: &[Service], directory: &Path) -> Result<(), Failure> {
    let failure = |path: &Path, error: &io::Error| {
        let code = if error.kind() == io::ErrorKind::PermissionDenied { exit::NO_PERMISSION } else { exit::IO };
        Failure::new(code, format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| failure(directory, &error))?;
    let mut names = BTreeSet::new();
    for service in services {
        let mut name = file_name(&service.host);
        let mut number = 2_u32;
        while !names.insert(name.clone()) {
            name = format!("{}-{number}", file_name(&service.host));
            number = number.saturating_add(1);
        }
        let path = directory.join(format!("{name}.json"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(service.text.as_bytes())).map_err(|error| failure(&path, &error))?;
    }
    let documents = if services.len() == 1 { "document" } else { "documents" };
    tell!("{} {documents} in {}", services.len(), directory.display());
    Ok(())
}

/// A host is what clients wrote: nothing in it may lead out of the directory.
fn file_name(host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let name: String = host.chars().map(plain).take(NAME_BYTES).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_in_its_directory() {
        assert_eq!(file_name("api.example.test:8443"), "api.example.test_8443");
        assert_eq!(file_name("../../etc/passwd"), "_._.._etc_passwd");
        assert_eq!(file_name("[2001:db8::1]"), "_2001_db8__1_");
        assert_eq!(file_name(&"h".repeat(500)).len(), NAME_BYTES);
    }
}
