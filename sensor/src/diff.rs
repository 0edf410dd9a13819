//! `umbra diff`: endpoints of captures against API specifications.

mod claims;
mod document;
mod observed;
mod sarif;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;

use umbra_discovery::Endpoint;
use umbra_openapi::{
    Conformance, Coverage, Drift, Found, HostWindow, Observable, Observed, OperationRef, Report, Schemas, SpecSet,
};
use umbra_pipeline::Inventory;

use crate::cli::{Common, Diff, DiffFormat, FailOn};
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::library::Library;
use crate::replay::{self, Gathered};
use crate::{specs, state};

pub(crate) use claims::Undocumented;

/// Only the comparison is printed: no events and no state are written, whatever the configuration says.
pub(crate) fn quiet(config: &mut Config) {
    config.output.events = None;
    config.output.har = None;
    config.state.directory = None;
}

/// Reads specifications and captures, compares, prints.
pub(crate) fn diff(args: &Diff, common: &Common, config: &Config) -> Result<(), Failure> {
    // Before the captures, which may take long.
    let read = match args.specs.is_empty() {
        false => specs::read(&args.specs)?,
        true if config.spec.is_empty() => {
            return Err(Failure::new(
                exit::USAGE,
                "no specification: give --spec FILE, or [[spec]] in the configuration",
            ));
        }
        true => {
            let library = Library::open(config)?;
            specs::Specs { specs: library.bound(), unreadable: library.unreadable }
        }
    };
    if read.specs.is_empty() {
        return Err(Failure::reported(exit::BAD_DATA));
    }
    let set = SpecSet::new(read.specs);
    for spec in set.unbound() {
        let name = specs::shown(&spec.name);
        tell!("umbra: warning: {name} names no host and is not compared; bind it with --spec {name}=HOST");
    }
    let mut undocumented = Undocumented::new();
    let (inventory, failure) = if args.state.is_empty() {
        let mut config = config.clone();
        config.pin.extend(claims::pins(&set));
        let Gathered { inventory, failure, .. } =
            replay::gather(&args.files, common, &config, |inventory| undocumented = claims::settle(&set, inventory))?;
        (inventory, failure)
    } else {
        let mut inventory = state::read_inventory(&args.state, config)?;
        undocumented = claims::settle(&set, &mut inventory);
        (inventory, None)
    };
    let findings = Findings::new(&set, &inventory, &undocumented);
    let text = match args.format {
        DiffFormat::Table => table::write(&findings),
        DiffFormat::Json => document::write(&findings),
        DiffFormat::Sarif => sarif::write(&findings),
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::new(exit::IO, format!("cannot write to stdout: {error}")));
        }
        _ => {}
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    // Half of the specifications would pass what the other half forbids.
    if read.unreadable > 0 {
        return Err(Failure::reported(exit::BAD_DATA));
    }
    match findings.fails(&args.fail_on) {
        true => Err(Failure::reported(exit::FOUND)),
        false => Ok(()),
    }
}

/// One finding: an endpoint that is not as documented, or an operation that was not seen.
pub(crate) struct Finding {
    /// `shadow`, `unmanaged`, `zombie`, `orphan`, `drift`.
    pub(crate) kind: &'static str,
    pub(crate) host: String,
    pub(crate) method: String,
    /// Route of the inventory; of an orphan, the documented template.
    pub(crate) route: String,
    /// Why, in a few words.
    pub(crate) reason: String,
    pub(crate) requests: u64,
    /// The operation that documents it.
    pub(crate) operation: Option<OperationRef>,
    pub(crate) drift: Vec<Drift>,
    pub(crate) more_drift: usize,
    /// Of an orphan: whether it could have been seen.
    pub(crate) observable: Option<Observable>,
}

/// All findings, in the order of host, route and method, by kind.
pub(crate) struct Findings<'a> {
    pub(crate) set: &'a SpecSet,
    pub(crate) list: Vec<Finding>,
    /// Endpoints compared.
    pub(crate) endpoints: usize,
    /// Pages and files of web sites, which are not.
    pub(crate) set_aside: usize,
    pub(crate) documented: usize,
}

/// Kinds of findings in the order in which they are told.
pub(crate) const KINDS: [&str; 5] = ["shadow", "zombie", "drift", "unmanaged", "orphan"];

/// Compares endpoints with specifications; verdicts are in the order of the endpoints.
pub(crate) fn compare(set: &SpecSet, endpoints: &[&Endpoint], undocumented: &Undocumented) -> Report {
    let mut schemas = Schemas::default();
    let observe = |endpoint: &&Endpoint| {
        let mut observed = observed::observed(endpoint, &mut schemas);
        if undocumented.contains(&(endpoint.host().to_owned(), endpoint.route().to_owned()))
            && let Some(evidence) = &mut observed.operation.evidence
        {
            evidence.confidence = 1.0;
        }
        observed
    };
    let observed: Vec<Observed> = endpoints.iter().map(observe).collect();
    set.compare(&observed, &schemas, &windows(endpoints))
}

impl<'a> Findings<'a> {
    fn new(set: &'a SpecSet, inventory: &Inventory, undocumented: &Undocumented) -> Findings<'a> {
        let (apis, web): (Vec<&Endpoint>, Vec<&Endpoint>) =
            inventory.endpoints().into_iter().partition(|endpoint| endpoint.style.is_api());
        // What was documented and asked for is called, whatever the server said; what is not documented exists only if some
        // server answered with success.
        let is_documented = |endpoint: &Endpoint| {
            let found = set.observed(endpoint.host(), endpoint.method(), endpoint.route());
            matches!(found, Found::Operations(_))
        };
        let endpoints: Vec<&Endpoint> =
            apis.into_iter().filter(|endpoint| endpoint.confirmed || is_documented(endpoint)).collect();
        let report = compare(set, &endpoints, undocumented);
        let confirmed = |endpoint: &&&Endpoint| endpoint.confirmed;
        let mut findings = Findings {
            set,
            list: Vec::new(),
            endpoints: endpoints.iter().filter(confirmed).count(),
            set_aside: web.iter().filter(confirmed).count(),
            documented: 0,
        };
        for (endpoint, verdict) in endpoints.iter().zip(report.verdicts) {
            let conformance = verdict.conformance;
            if !endpoint.confirmed && !matches!(conformance, Conformance::Zombie(_)) {
                continue;
            }
            let finding = |kind, reason: &str, drift, more_drift| Finding {
                kind,
                host: endpoint.host().to_string(),
                method: endpoint.method().to_string(),
                route: endpoint.route().to_string(),
                reason: reason.to_string(),
                requests: endpoint.requests,
                operation: verdict.operation,
                drift,
                more_drift,
                observable: None,
            };
            match conformance {
                Conformance::Documented => findings.documented += 1,
                _ => findings.list.push(finding(conformance.name(), conformance.reason(), Vec::new(), 0)),
            }
            if endpoint.confirmed && !verdict.drift.is_empty() {
                let reason = "differs from what is documented";
                findings.list.push(finding("drift", reason, verdict.drift, verdict.more_drift));
            }
        }
        findings.list.extend(report.orphans.into_iter().map(|orphan| {
            Finding {
                kind: "orphan",
                host: orphan.host,
                method: orphan.method,
                route: orphan.template,
                reason: match (orphan.observable, orphan.deprecated) {
                    (Observable::No, _) => "documented, nothing of this host was seen",
                    (Observable::Partly, _) => "documented, not in what could be read of this host",
                    (Observable::Yes, true) => "documented as deprecated, not seen any more",
                    (Observable::Yes, false) => "documented, not seen",
                }
                .to_string(),
                requests: 0,
                operation: Some(orphan.operation),
                drift: Vec::new(),
                more_drift: 0,
                observable: Some(orphan.observable),
            }
        }));
        let place = |kind: &str| KINDS.iter().position(|known| *known == kind);
        findings.list.sort_by(|a, b| {
            (place(a.kind), &a.host, &a.route, &a.method).cmp(&(place(b.kind), &b.host, &b.route, &b.method))
        });
        findings
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.list.iter().filter(|finding| finding.kind == kind).count()
    }

    /// Whether there is anything that the operator wants to fail on. What nobody could have seen is not missing.
    fn fails(&self, on: &[FailOn]) -> bool {
        self.list.iter().any(|finding| {
            finding.observable != Some(Observable::No)
                && on.iter().any(|kind| match kind {
                    FailOn::Any => true,
                    FailOn::Shadow => finding.kind == "shadow",
                    FailOn::Unmanaged => finding.kind == "unmanaged",
                    FailOn::Zombie => finding.kind == "zombie",
                    FailOn::Orphan => finding.kind == "orphan",
                    FailOn::Drift => finding.kind == "drift",
                })
        })
    }

    /// Name of the specification that documents a finding's operation.
    pub(crate) fn spec_name(&self, finding: &Finding) -> Option<&str> {
        finding.operation.and_then(|at| self.set.spec(at)).map(|spec| spec.name.as_str())
    }
}

/// Of each host with traffic, whether it was seen whole: up to one transaction in a hundred may lack something.
fn windows(endpoints: &[&Endpoint]) -> Vec<HostWindow> {
    let mut hosts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for endpoint in endpoints {
        let (requests, incomplete) = hosts.entry(endpoint.host()).or_default();
        *requests = requests.saturating_add(endpoint.requests);
        *incomplete = incomplete.saturating_add(endpoint.coverage.incomplete);
    }
    let coverage = |(requests, incomplete): (u64, u64)| {
        if incomplete.saturating_mul(100) <= requests { Coverage::Whole } else { Coverage::Partly }
    };
    hosts.into_iter().map(|(host, counts)| HostWindow { host: host.to_string(), coverage: coverage(counts) }).collect()
}
