//! What was observed against what is documented.

mod auth;
mod bodies;
mod drift;
mod literals;
mod observed;
mod versions;
mod view;

use std::collections::{HashMap, HashSet};

use crate::matching::{ELSEWHERE, Found, OperationRef, SpecSet};
use crate::schema::Schemas;
use crate::template::{Segment, segments};
pub use drift::{Drift, DriftKind};
use literals::Literals;
pub use observed::{Coverage, HostWindow, Observed};
use versions::Versions;

/// What specifications say of an observed endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conformance {
    /// It is documented, and current.
    Documented,
    /// Host and base path are documented, the operation is not.
    Shadow(Shadow),
    /// No specification covers it.
    Unmanaged(Unmanaged),
    /// It should be gone, but is called.
    Zombie(Zombie),
}

impl Conformance {
    /// The word for it in records and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Conformance::Documented => "documented",
            Conformance::Shadow(_) => "shadow",
            Conformance::Unmanaged(_) => "unmanaged",
            Conformance::Zombie(_) => "zombie",
        }
    }

    /// Why, in a few words.
    pub const fn reason(self) -> &'static str {
        match self {
            Conformance::Documented => "a current specification has it",
            Conformance::Shadow(Shadow::Path) => "no specification of this host has the path",
            Conformance::Shadow(Shadow::Method) => "the path is documented, the method is not",
            Conformance::Unmanaged(Unmanaged::Host) => "no specification is bound to this host",
            Conformance::Unmanaged(Unmanaged::BasePath) => "outside the base paths of the host's specifications",
            Conformance::Zombie(Zombie::Deprecated) => "deprecated, still called",
            Conformance::Zombie(Zombie::OlderVersion) => "only an older version of the API has it, still called",
        }
    }
}

/// What of a shadow endpoint is undocumented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shadow {
    /// The path.
    Path,
    /// Only the method.
    Method,
}

/// Why nobody manages an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unmanaged {
    /// There is no specification for the host.
    Host,
    /// The host's specifications are about other base paths.
    BasePath,
}

/// Why an endpoint should be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Zombie {
    /// It is marked as deprecated.
    Deprecated,
    /// A newer version of the API's specification does not have it any more.
    OlderVersion,
}

/// What was found of one observed endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Documented or not.
    pub conformance: Conformance,
    /// The operation that documents it, of the newest version.
    pub operation: Option<OperationRef>,
    /// Differences from what is documented.
    pub drift: Vec<Drift>,
    /// Differences past the limit, not listed.
    pub more_drift: usize,
}

/// Whether an operation could have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Observable {
    /// Traffic of the host was seen whole: had it been called, it would be there.
    Yes,
    /// Only a part of the host's traffic could be read.
    Partly,
    /// Nothing of the host was seen: nothing can be said.
    No,
}

impl Observable {
    /// The word for it in records.
    pub const fn name(self) -> &'static str {
        match self {
            Observable::Yes => "yes",
            Observable::Partly => "partly",
            Observable::No => "no",
        }
    }
}

/// A documented operation that was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Host; of several the one that was observed best.
    pub host: String,
    /// Method.
    pub method: String,
    /// Template with its base path.
    pub template: String,
    /// Operation.
    pub operation: OperationRef,
    /// Marked as deprecated: that it is not seen is as it should be.
    pub deprecated: bool,
    /// Whether it could have been seen.
    pub observable: Observable,
}

/// The difference between an inventory and the specifications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// For each observed endpoint, in the order given.
    pub verdicts: Vec<Verdict>,
    /// Documented, not seen: in the order of specifications and documents.
    pub orphans: Vec<Orphan>,
}

/// What the inventory has of the specifications.
#[derive(Default)]
struct Seen {
    /// Specification and operation.
    operations: HashSet<(u32, u32)>,
    /// Specifications in `elsewhere`.
    moved: HashSet<u32>,
    /// Specification and server list of operations seen at their own servers.
    at_home: HashSet<(u32, u32)>,
    /// The same of operations that have servers of their own and were seen at the specification's.
    elsewhere: HashSet<(u32, u32)>,
}

impl Seen {
    /// Whether operations of a server list are to be expected at the specification's own servers: some of them were seen
    /// there and none where they should be; or some of another list were, and nothing is known of this list's hosts.
    fn moved(&self, spec: u32, list: u32, observed: bool) -> bool {
        !self.at_home.contains(&(spec, list))
            && (self.elsewhere.contains(&(spec, list)) || !observed && self.moved.contains(&spec))
    }
}

impl SpecSet {
    /// Compares an inventory with the specifications. `schemas` holds the shapes that `observed` refers to; `hosts` says of
    /// which hosts how much was seen.
    pub fn compare(&self, observed: &[Observed], schemas: &Schemas, hosts: &[HostWindow]) -> Report {
        let versions = Versions::new(self);
        let literals = Literals::of(observed);
        let mut seen = Seen::default();
        let mut verdicts = Vec::with_capacity(observed.len());
        for endpoint in observed {
            let operation = &endpoint.operation;
            let mut found = self.observed(&endpoint.host, &operation.method, &operation.template);
            if !matches!(found, Found::Operations(_)) && !endpoint.matched.is_empty() && endpoint.unmatched == 0 {
                found = Found::Operations(endpoint.matched.clone());
            }
            // What hides behind a variable of the inventory was seen too.
            let behind = endpoint.matched.iter().filter(|at| literals::covers(self, **at, endpoint));
            seen.operations.extend(behind.map(|at| (at.spec, at.operation)));
            if let Found::Operations(refs) = &mut found {
                refs.retain(|at| !literals.speak_against(self, *at, endpoint));
                seen.operations.extend(refs.iter().map(|at| (at.spec, at.operation)));
                for at in refs.iter() {
                    let Some(operation) = self.operation(*at) else { continue };
                    let elsewhere = self.mount(at.mount).is_some_and(|mount| mount.list == ELSEWHERE);
                    if elsewhere {
                        seen.moved.insert(at.spec);
                    }
                    let lists = if elsewhere { &mut seen.elsewhere } else { &mut seen.at_home };
                    lists.insert((at.spec, operation.servers));
                }
                if refs.is_empty() {
                    found = Found::NoPath;
                }
            }
            verdicts.push(self.verdict(endpoint, found, schemas, &versions));
        }
        Report { verdicts, orphans: self.orphans(&seen, hosts, &versions) }
    }

    fn verdict(&self, endpoint: &Observed, found: Found, schemas: &Schemas, versions: &Versions) -> Verdict {
        let verdict = |conformance| Verdict { conformance, operation: None, drift: Vec::new(), more_drift: 0 };
        let refs = match found {
            Found::NoHost => return verdict(Conformance::Unmanaged(Unmanaged::Host)),
            Found::NoBase => return verdict(Conformance::Unmanaged(Unmanaged::BasePath)),
            Found::NoPath => return verdict(Conformance::Shadow(Shadow::Path)),
            Found::NoMethod => return self.other_method(endpoint),
            Found::Operations(refs) => versions.newest(&refs),
        };
        let current: Vec<OperationRef> = refs.iter().copied().filter(|at| !versions.is_gone(*at)).collect();
        let deprecated = |at: &OperationRef| self.operation(*at).is_some_and(|operation| operation.deprecated);
        // Where the path has an operation of its own, that one is meant.
        let is_variant = |at: &&OperationRef| self.operation(**at).is_some_and(|operation| operation.variant);
        let plain = || current.iter().filter(|at| !is_variant(at));
        let meant_deprecated =
            if plain().next().is_some() { plain().all(deprecated) } else { current.iter().all(deprecated) };
        let (conformance, refs) = match current.as_slice() {
            [] => (Conformance::Zombie(Zombie::OlderVersion), refs),
            _ if meant_deprecated => (Conformance::Zombie(Zombie::Deprecated), current),
            _ => (Conformance::Documented, current),
        };
        let (drift, more_drift) = drift::of(self, &refs, endpoint, schemas);
        Verdict { conformance, operation: refs.first().copied(), drift, more_drift }
    }

    /// A method that is not documented on a documented path. Servers answer HEAD where there is GET (RFC 9110 §9.3.2) and
    /// OPTIONS anywhere (CORS preflight), documented or not: both say nothing new, but HEAD does where the specification has it
    /// at other paths.
    fn other_method(&self, endpoint: &Observed) -> Verdict {
        let operation = &endpoint.operation;
        let implied = match operation.method.as_str() {
            "OPTIONS" => true,
            "HEAD" => match self.observed(&endpoint.host, "GET", &operation.template) {
                Found::Operations(refs) => !refs.iter().any(|at| self.documents_head(*at)),
                _ => false,
            },
            _ => false,
        };
        let conformance = if implied { Conformance::Documented } else { Conformance::Shadow(Shadow::Method) };
        Verdict { conformance, operation: None, drift: Vec::new(), more_drift: 0 }
    }

    /// Whether the specification of an operation has HEAD anywhere: then its authors mean what they leave out.
    fn documents_head(&self, at: OperationRef) -> bool {
        self.spec(at).is_some_and(|spec| spec.operations.iter().any(|operation| operation.method == "HEAD"))
    }

    fn orphans(&self, seen: &Seen, hosts: &[HostWindow], versions: &Versions) -> Vec<Orphan> {
        let windows: HashMap<&str, &HostWindow> = hosts.iter().map(|window| (window.host.as_str(), window)).collect();
        let mut orphans = Vec::new();
        let mut told: HashSet<(String, String)> = HashSet::new();
        // What one specification documents and another one too was seen if either was.
        let mut seen_shapes: HashSet<(String, String)> = HashSet::new();
        for pass in [true, false] {
            for (spec, places) in self.places.iter().enumerate() {
                let number = u32::try_from(spec).unwrap_or(u32::MAX);
                for (operation_number, operation) in
                    self.bound.get(spec).map_or(&[][..], |bound| &bound.spec.operations).iter().enumerate()
                {
                    let operation_number = u32::try_from(operation_number).unwrap_or(u32::MAX);
                    let was_seen = seen.operations.contains(&(number, operation_number));
                    if was_seen != pass || operation.method == "*" {
                        continue;
                    }
                    let mut place = self.best_place(number, operation_number, operation.servers, places, &windows);
                    // Where others like it were seen at the specification's own servers, so would be this one.
                    let observed = place.as_ref().is_some_and(|(host, _)| windows.contains_key(host.as_str()));
                    if operation.servers != 0 && seen.moved(number, operation.servers, observed) {
                        let other = self.best_place(number, operation_number, ELSEWHERE, places, &windows);
                        place = other.or(place);
                    }
                    let Some((host, at)) = place else { continue };
                    let template = self.template(at).unwrap_or_default();
                    let key = (host.clone(), format!("{} {}", operation.method, shape(&template)));
                    if pass {
                        seen_shapes.insert(key);
                        continue;
                    }
                    if seen_shapes.contains(&key) || versions.is_gone(at) || !told.insert(key) {
                        continue;
                    }
                    orphans.push(Orphan {
                        observable: observable(windows.get(host.as_str()).copied()),
                        host,
                        method: operation.method.clone(),
                        template,
                        operation: at,
                        deprecated: operation.deprecated,
                    });
                }
            }
        }
        orphans
    }

    /// Of the places where an operation may be called, the one that was observed best.
    fn best_place(
        &self,
        spec: u32,
        operation: u32,
        list: u32,
        places: &[(String, u32)],
        windows: &HashMap<&str, &HostWindow>,
    ) -> Option<(String, OperationRef)> {
        // Places are in the order of their lists.
        let list_of = |place: &(String, u32)| self.mount(place.1).map_or(u32::MAX, |mount| mount.list);
        let start = places.partition_point(|place| list_of(place) < list);
        let mine = places.get(start..).unwrap_or_default().iter().take_while(|place| list_of(place) == list);
        let best = mine.min_by_key(|(host, _)| observable(windows.get(host.as_str()).copied()))?;
        Some((best.0.clone(), OperationRef { spec, operation, mount: best.1 }))
    }
}

fn observable(window: Option<&HostWindow>) -> Observable {
    match window.map(|window| window.coverage) {
        Some(Coverage::Whole) => Observable::Yes,
        Some(Coverage::Partly) => Observable::Partly,
        None => Observable::No,
    }
}

/// A template with its variables unnamed: what makes two templates the same.
pub(crate) fn shape(template: &str) -> String {
    let mut out = String::new();
    for segment in segments(template) {
        out.push('/');
        match segment {
            Segment::Literal(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
            Segment::Variable => out.push_str("{}"),
            Segment::Pattern(pattern) => out.push_str(&pattern.text()),
            Segment::Rest(end) => {
                out.push_str("{+}");
                out.push_str(&String::from_utf8_lossy(&end));
            }
        }
    }
    out
}
