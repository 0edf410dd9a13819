//! The rows of an inventory: endpoints, and what the configuration says of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;

use serde_json::{Map, Value};
use umbra_discovery::classify::{Labels, Place, Rules, Subject, Territory};
use umbra_discovery::definition::{Definitions, Published};
use umbra_discovery::schema::describe::{Description, describe_object};
use umbra_discovery::version::{self, VersionPlace};
use umbra_discovery::{Endpoint, schema};
use umbra_event::kafka::EndpointRecord;
use umbra_event::write_rfc3339;
use umbra_openapi::{Bound, Conformance, SpecSet, Verdict};
use umbra_pipeline::Inventory;

use crate::config::Config;
use crate::diff;
use crate::exit::Failure;
use crate::library::{self, Library};

/// An endpoint, and what is said of it.
pub(crate) struct Row<'a> {
    endpoint: &'a Endpoint,
    pub(crate) labels: Labels,
    pub(crate) place: Option<Place>,
    pub(crate) versions: Vec<Version>,
    /// What it publishes of its service.
    pub(crate) published: Option<Published>,
    /// What specifications say, if there are any.
    pub(crate) documented: Option<Documented>,
}

/// What specifications say of an endpoint.
pub(crate) struct Documented {
    pub(crate) conformance: Conformance,
    /// Name of the specification that has it.
    specification: Option<String>,
    operation_id: Option<String>,
    /// Kinds of differences from what is documented.
    pub(crate) drift: BTreeSet<&'static str>,
}

impl<'a> Deref for Row<'a> {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        self.endpoint
    }
}

impl<'a> Row<'a> {
    pub(crate) fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// Requests still go to a version although a newer one is there.
    pub(crate) fn older(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.newest.is_some())
    }
}

/// A version of the API that an endpoint belongs to, or that its requests ask for.
pub(crate) struct Version {
    pub(crate) place: VersionPlace,
    pub(crate) version: String,
    /// Requests for it, where they are counted apart.
    requests: u64,
    /// Nanoseconds since 1970.
    last_seen: u64,
    /// The newest one beside it, if it is older.
    pub(crate) newest: Option<String>,
}

/// What a configuration says of endpoints.
pub(crate) struct Catalogue {
    rules: Rules,
    territory: Territory,
    library: Library,
    specs: SpecSet,
    /// Compare with what services publish, too.
    keep_from_wire: bool,
}

impl Catalogue {
    /// Reads the specifications that are configured.
    ///
    /// # Errors
    /// If one is not there.
    pub(crate) fn new(config: &Config) -> Result<Catalogue, Failure> {
        let library = Library::open(config)?;
        let specs = SpecSet::new(library.bound());
        for spec in specs.unbound() {
            let name = crate::specs::shown(&spec.name);
            tell!("umbra: warning: {name} names no host and is not compared; give hosts in its [[spec]]");
        }
        Ok(Catalogue {
            keep_from_wire: config.specs.keep_from_wire,
            rules: config.rules(),
            territory: config.services.territory(),
            library,
            specs,
        })
    }

    /// Reads the specifications again that have changed, and says so.
    #[cfg(feature = "live")]
    pub(crate) fn reread(&mut self) {
        if self.library.reread() {
            self.specs = SpecSet::new(self.library.bound());
            tell!("umbra: specifications have changed: {}", library::told(&self.specs));
        }
    }

    /// For `umbra check`: specifications that cannot be read, and what the others hold.
    pub(crate) fn specifications(&self) -> (usize, String) {
        (self.library.unreadable, library::told(&self.specs))
    }

    /// Verdicts on endpoints that were confirmed, by their place in the list.
    fn documented(&self, endpoints: &[&Endpoint], published: &Definitions) -> BTreeMap<usize, Documented> {
        let published: Vec<Bound> = published
            .iter()
            .filter(|_| self.keep_from_wire)
            .filter_map(|(host, path, it)| Some(Bound { spec: it.spec(host, path)?, hosts: vec![host.to_owned()] }))
            .collect();
        if self.library.is_empty() && published.is_empty() {
            return BTreeMap::new();
        }
        let mut all = published;
        let set = match all.is_empty() {
            true => &self.specs,
            false => {
                // What operators give comes first.
                let own = self.library.bound().into_iter();
                &SpecSet::new(own.chain(all.drain(..)).collect())
            }
        };
        let confirmed = endpoints.iter().enumerate().filter(|(_, it)| it.confirmed && it.style.is_api());
        let (places, list): (Vec<usize>, Vec<&Endpoint>) = confirmed.unzip();
        let report = diff::compare(set, &list, &diff::Undocumented::default());
        let of = |verdict: &Verdict| Documented {
            conformance: verdict.conformance,
            specification: verdict.operation.and_then(|at| Some(set.spec(at)?.name.clone())),
            operation_id: verdict.operation.and_then(|at| set.operation(at)?.operation_id.clone()),
            drift: verdict.drift.iter().map(|drift| drift.kind.name()).collect(),
        };
        places.into_iter().zip(report.verdicts.iter().map(of)).collect()
    }

    /// Rows, in the order of the endpoints.
    pub(crate) fn rows<'a>(&self, inventory: &'a Inventory) -> Vec<Row<'a>> {
        self.rows_of(&inventory.endpoints(), inventory.definitions())
    }

    /// Rows of endpoints: all of a service at once, as some of what is said goes by the others.
    pub(crate) fn rows_of<'a>(&self, endpoints: &[&'a Endpoint], published: &Definitions) -> Vec<Row<'a>> {
        let places: Vec<BTreeSet<usize>> = endpoints.iter().map(|endpoint| self.places(endpoint)).collect();
        let hosts = self.hosts(endpoints, &places);
        let newest = newest(endpoints);
        let mut documented = self.documented(endpoints, published);
        endpoints
            .iter()
            .zip(places)
            .enumerate()
            .map(|(at, (&endpoint, mut places))| {
                let host = hosts.get(endpoint.host());
                places.extend(host.iter().flat_map(|host| &host.rules));
                Row {
                    endpoint,
                    labels: self.rules.labels(places),
                    place: host.and_then(|host| {
                        let servers: Vec<IpAddr> = host.servers.iter().copied().collect();
                        self.territory.place(endpoint.host(), &servers, host.outside, host.inside)
                    }),
                    versions: versions(endpoint, &newest),
                    published: Published::of(endpoint),
                    documented: documented.remove(&at),
                }
            })
            .collect()
    }

    /// What goes for whole services: by any endpoint that a server answered with success.
    fn hosts<'a>(&self, endpoints: &[&'a Endpoint], places: &[BTreeSet<usize>]) -> BTreeMap<&'a str, Host> {
        let mut hosts: BTreeMap<&str, Host> = BTreeMap::new();
        for (endpoint, places) in endpoints.iter().zip(places) {
            let host = hosts.entry(endpoint.host()).or_default();
            host.servers.extend(endpoint.origin.servers().iter().map(|(address, _)| *address));
            if endpoint.confirmed {
                host.inside |= endpoint.origin.inside;
                host.outside |= endpoint.origin.outside;
                host.rules.extend(places.iter().filter(|place| self.rules.is_of_service(**place)));
            }
        }
        hosts
    }

    /// The rules that an endpoint fits by itself.
    fn places(&self, endpoint: &Endpoint) -> BTreeSet<usize> {
        let learnt = endpoint.learnt.as_ref();
        let schemas = learnt.map(|learnt| learnt.schemas()).unwrap_or_default();
        let mut headers = Description::default();
        describe_object(&schemas.headers, &mut headers);
        let credentials = schemas.auth.kinds().filter_map(|(kind, _)| match kind {
            schema::Credential::Header(name) => Some(&**name),
            schema::Credential::Jwt | schema::Credential::Http(_) | schema::Credential::Bare => Some("authorization"),
            _ => None,
        });
        let models = learnt.and_then(|learnt| learnt.calls.as_ref());
        let subject = Subject {
            host: endpoint.host(),
            path: endpoint.route(),
            headers: headers.properties.iter().map(|property| &*property.name).chain(credentials).collect(),
            sni: Vec::new(),
            addresses: endpoint.origin.servers().iter().map(|(address, _)| *address).collect(),
            style: endpoint.style.name(),
            models: models.iter().flat_map(|calls| calls.models.iter().chain(calls.response_models.iter())).collect(),
        };
        self.rules.places(&subject).into_iter().collect()
    }
}

#[derive(Default)]
struct Host {
    servers: BTreeSet<IpAddr>,
    inside: bool,
    outside: bool,
    /// Rules that speak for the whole service.
    rules: BTreeSet<usize>,
}

/// Where versions are compared: of paths, host and what stands before the version; else the host and the way of asking.
type Group<'a> = (&'a str, VersionPlace, &'a str);

/// The newest version of each group.
fn newest<'a>(endpoints: &[&'a Endpoint]) -> BTreeMap<Group<'a>, &'a str> {
    let mut newest: BTreeMap<Group<'_>, &str> = BTreeMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.confirmed) {
        let path = version::in_route(endpoint.route()).map(|(version, before)| (VersionPlace::Path, before, version));
        let asked = endpoint.versions.iter().map(|asked| (asked.place, "", &*asked.version));
        for (place, before, version) in path.into_iter().chain(asked) {
            let known = newest.entry((endpoint.host(), place, before)).or_insert(version);
            if version::compare(version, known) == Ordering::Greater {
                *known = version;
            }
        }
    }
    newest
}

fn versions(endpoint: &Endpoint, newest: &BTreeMap<Group<'_>, &str>) -> Vec<Version> {
    let newer = |place, before, version: &str| {
        let newest = newest.get(&(endpoint.host(), place, before))?;
        (version::compare(version, newest) == Ordering::Less).then(|| (*newest).to_owned())
    };
    let mut list = Vec::new();
    if let Some((version, before)) = version::in_route(endpoint.route()) {
        list.push(Version {
            place: VersionPlace::Path,
            version: version.to_owned(),
            requests: endpoint.requests,
            last_seen: endpoint.last_seen.nanos(),
            newest: newer(VersionPlace::Path, before, version),
        });
    }
    list.extend(endpoint.versions.iter().map(|asked| Version {
        place: asked.place,
        version: asked.version.to_string(),
        requests: asked.requests,
        last_seen: asked.last_seen,
        newest: newer(asked.place, "", &asked.version),
    }));
    list
}

/// Adds what is said of a row to its record.
pub(crate) fn add(row: &Row<'_>, record: &mut EndpointRecord) {
    let mut service = Map::new();
    if let Some(place) = row.place {
        service.insert("place".into(), place.name().into());
    }
    let servers =
        row.origin.servers().iter().map(|(address, port)| std::net::SocketAddr::new(*address, *port).to_string());
    let servers: Vec<Value> = servers.map(Value::from).collect();
    if !servers.is_empty() {
        service.insert("servers".into(), servers.into());
        service.insert("more_servers".into(), row.origin.more_servers.into());
        service.insert("clients_inside".into(), row.origin.inside.into());
        service.insert("clients_outside".into(), row.origin.outside.into());
    }
    record.publishes = row.published.map(|published| published.name().to_owned());
    record.service = (!service.is_empty()).then_some(service);
    record.specification = row.documented.as_ref().map(|documented| {
        let mut out = Map::new();
        out.insert("status".into(), documented.conformance.name().into());
        out.insert("reason".into(), documented.conformance.reason().into());
        out.insert("drift".into(), documented.drift.iter().map(|kind| Value::from(*kind)).collect());
        for (name, text) in [("name", &documented.specification), ("operation_id", &documented.operation_id)] {
            if let Some(text) = text {
                out.insert(name.into(), text.as_str().into());
            }
        }
        out
    });
    let labels = labels(&row.labels);
    record.labels = (!labels.is_empty()).then_some(labels);
    record.versions = row
        .versions
        .iter()
        .map(|version| {
            let mut out = Map::new();
            out.insert("version".into(), version.version.as_str().into());
            out.insert("in".into(), version.place.name().into());
            out.insert("requests".into(), version.requests.into());
            out.insert("last_seen".into(), time(version.last_seen).into());
            if let Some(newest) = &version.newest {
                out.insert("newest".into(), newest.as_str().into());
            }
            out
        })
        .collect();
}

/// Labels that are given, by name.
pub(crate) fn labels(labels: &Labels) -> Map<String, Value> {
    let named = labels.named().into_iter();
    let mut out: Map<String, Value> =
        named.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    if !labels.tags.is_empty() {
        out.insert("tags".into(), labels.tags.iter().map(|tag| Value::from(&**tag)).collect::<Vec<_>>().into());
    }
    out
}

fn time(nanos: u64) -> String {
    let mut out = Vec::new();
    write_rfc3339(nanos, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
