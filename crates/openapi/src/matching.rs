//! Which operation a request belongs to: the union of all specifications bound to its host.
//!
//! Segment by segment, a literal wins over a segment that is partly a variable, that over a whole variable, and that over a
//! variable that takes the rest of the path. Among partly variable segments more literal bytes win, then fewer variables.
//! Where a longer path fails, the next choice is tried: `DELETE /users/me` is `/users/{id}` if only that has `DELETE`.
//! Specifications with equally good templates all match, in the order in which they were given.
//!
//! An operation with servers of its own is looked for there and at the servers of its specification: behind a gateway, or
//! on a mirror port, all operations of an API are often seen at one host. Of equally good templates that at its own servers
//! wins.

mod trie;

use std::collections::HashMap;

use crate::base::{canonical, matches_pattern};
use crate::model::{Base, Operation, Spec};
use crate::template::{Segment, path_segments, segments};
use trie::{Part, Trie};

/// Places of one host that specifications may be mounted at.
const MOUNTS: usize = 256;
/// Hosts with variables.
const PATTERNS: usize = 1024;

/// A specification and where it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// Specification.
    pub spec: Spec,
    /// Hosts that the operator says it holds for, as they are in requests. Empty: those that its servers name.
    pub hosts: Vec<String>,
}

/// An operation of a [`SpecSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationRef {
    /// Place of the specification in the set.
    pub spec: u32,
    /// Place of the operation in [`Spec::operations`].
    pub operation: u32,
    /// Place of the base address in the set.
    pub(crate) mount: u32,
}

/// What specifications say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// No specification is bound to the host.
    #[default]
    NoHost,
    /// No base path of the host's specifications is a prefix of the path.
    NoBase,
    /// The path is below a base path, but no template matches.
    NoPath,
    /// A template matches, but not with this method.
    NoMethod,
    /// These match, the best templates only; never empty.
    Operations(Vec<OperationRef>),
}

impl Found {
    /// How much is known: the more the greater.
    fn rank(&self) -> u8 {
        match self {
            Found::NoHost => 0,
            Found::NoBase => 1,
            Found::NoPath => 2,
            Found::NoMethod => 3,
            Found::Operations(_) => 4,
        }
    }
}

/// See [`Mount::list`].
pub(crate) const ELSEWHERE: u32 = u32::MAX;

/// A trie at a base path of a host.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) spec: u32,
    /// Place of the server list in the specification; [`ELSEWHERE`] for operations that have servers of their own, at
    /// those of the specification.
    pub(crate) list: u32,
    trie: u32,
    base: Vec<Segment>,
    /// Base path as it is shown before a template.
    pub(crate) path: String,
}

/// All specifications that traffic is compared with.
#[derive(Clone, Debug, Default)]
pub struct SpecSet {
    pub(crate) bound: Vec<Bound>,
    tries: Vec<Trie>,
    mounts: Vec<Mount>,
    hosts: HashMap<String, Vec<u32>>,
    patterns: Vec<(String, u32)>,
    /// By specification: its mounts, each with its host (or host pattern).
    pub(crate) places: Vec<Vec<(String, u32)>>,
    /// Bases that went over a limit and are not used.
    pub left_out: usize,
}

impl SpecSet {
    /// Prepares specifications for matching.
    pub fn new(bound: Vec<Bound>) -> SpecSet {
        let mut set = SpecSet { bound, ..SpecSet::default() };
        for spec in 0..set.bound.len() {
            set.mount_spec(spec);
        }
        set
    }

    /// The specifications, in the order in which they were given.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.bound.iter().map(|bound| &bound.spec)
    }

    /// Specifications that name no host and that the operator did not bind to one: nothing is compared with them.
    pub fn unbound(&self) -> impl Iterator<Item = &Spec> {
        self.places.iter().zip(&self.bound).filter(|(places, _)| places.is_empty()).map(|(_, bound)| &bound.spec)
    }

    /// The operation that a reference stands for.
    pub fn operation(&self, at: OperationRef) -> Option<&Operation> {
        self.bound.get(at.spec as usize)?.spec.operations.get(at.operation as usize)
    }

    /// The specification that a reference leads into.
    pub fn spec(&self, at: OperationRef) -> Option<&Spec> {
        self.bound.get(at.spec as usize).map(|bound| &bound.spec)
    }

    /// The whole template of an operation, with the base path it was found under.
    pub fn template(&self, at: OperationRef) -> Option<String> {
        let operation = self.operation(at)?;
        let mount = self.mounts.get(at.mount as usize)?;
        Some(format!("{}{}", mount.path, operation.template))
    }

    /// Every documented template with the hosts (or host patterns) where it may be called.
    pub fn documented(&self) -> impl Iterator<Item = (&str, String)> {
        self.operations().map(|(host, _, template)| (host, template))
    }

    /// Every documented operation: a host (or host pattern) where it may be called, its method and its whole template there.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.places.iter().zip(&self.bound).flat_map(move |(places, bound)| {
            places.iter().filter_map(|(host, mount)| Some((host.as_str(), self.mount(*mount)?))).flat_map(
                |(host, mount)| {
                    let is_there = |operation: &&Operation| match mount.list {
                        ELSEWHERE => operation.servers != 0,
                        list => operation.servers == list,
                    };
                    let there = bound.spec.operations.iter().filter(is_there);
                    there.map(move |operation| {
                        (host, operation.method.as_str(), format!("{}{}", mount.path, operation.template))
                    })
                },
            )
        })
    }

    /// Finds the operations of a request. `path` may have a query.
    pub fn request(&self, host: &str, method: &str, path: &[u8]) -> Found {
        let path = path_segments(path);
        let parts: Vec<Part<'_>> = path.iter().map(|segment| Part::Bytes(segment)).collect();
        self.find(host, method, &parts)
    }

    /// Finds the operations of an observed template: its variables match variables, its literals whatever a request with
    /// them would match.
    pub fn observed(&self, host: &str, method: &str, template: &str) -> Found {
        let template = segments(template);
        let parts: Vec<Part<'_>> = template
            .iter()
            .map(|segment| match segment {
                Segment::Literal(bytes) => Part::Bytes(bytes),
                Segment::Variable | Segment::Rest(_) => Part::Variable,
                Segment::Pattern(pattern) => Part::Pattern(pattern),
            })
            .collect();
        self.find(host, method, &parts)
    }

    /// Mounts that hold for a host. A host with a port that no specification names is looked up without it.
    pub(crate) fn mounts_of(&self, host: &str) -> Vec<u32> {
        let exact = |host: &str| {
            let mut mounts = self.hosts.get(host).cloned().unwrap_or_default();
            let fitting = self.patterns.iter().filter(|(pattern, _)| matches_pattern(pattern, host));
            mounts.extend(fitting.map(|(_, mount)| *mount).take(MOUNTS));
            mounts
        };
        let host = host.to_ascii_lowercase();
        let mounts = exact(&host);
        match host.rsplit_once(':') {
            Some((name, port)) if mounts.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => exact(name),
            _ => mounts,
        }
    }

    fn find(&self, host: &str, method: &str, parts: &[Part<'_>]) -> Found {
        let mounts = self.mounts_of(host);
        // `/users/` and `/users` are two paths, but where only one is documented most servers take both.
        let other: Vec<Part<'_>> = match parts {
            [before @ .., Part::Bytes(b"")] if !before.is_empty() => before.to_vec(),
            _ => parts.iter().cloned().chain([Part::Bytes(b"")]).collect(),
        };
        let found = self.search(&mounts, method, parts);
        if found.rank() == 4 {
            return found;
        }
        let again = self.search(&mounts, method, &other);
        if again.rank() > found.rank() { again } else { found }
    }

    fn search(&self, mounts: &[u32], method: &str, parts: &[Part<'_>]) -> Found {
        let mut found = if mounts.is_empty() { Found::NoHost } else { Found::NoBase };
        let mut best: Vec<u8> = Vec::new();
        let mut operations: Vec<OperationRef> = Vec::new();
        for &number in mounts {
            let Some(mount) = self.mounts.get(number as usize) else { continue };
            let Some((mut rank, rest)) = below(&mount.base, parts) else { continue };
            let Some(trie) = self.tries.get(mount.trie as usize) else { continue };
            let outcome = trie.search(method, rest);
            let here = match outcome {
                trie::Outcome::NoPath => Found::NoPath,
                trie::Outcome::NoMethod => Found::NoMethod,
                trie::Outcome::Found { operations: here, rank: deeper } => {
                    rank.extend(deeper);
                    rank.push(u8::from(mount.list == ELSEWHERE));
                    let refs =
                        here.iter().map(|&operation| OperationRef { spec: mount.spec, operation, mount: number });
                    match rank.cmp(&best) {
                        _ if operations.is_empty() => {
                            best = rank;
                            operations = refs.collect();
                        }
                        std::cmp::Ordering::Less => {
                            best = rank;
                            operations = refs.collect();
                        }
                        std::cmp::Ordering::Equal => operations.extend(refs),
                        std::cmp::Ordering::Greater => {}
                    }
                    continue;
                }
            };
            if here.rank() > found.rank() {
                found = here;
            }
        }
        if operations.is_empty() { found } else { Found::Operations(operations) }
    }

    fn mount_spec(&mut self, number: usize) {
        let Some(bound) = self.bound.get(number) else { return };
        let mut by_list: HashMap<u32, Vec<(u32, &Operation)>> = HashMap::new();
        for (place, operation) in bound.spec.operations.iter().enumerate() {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            by_list.entry(operation.servers).or_default().push((place, operation));
            if operation.servers != 0 {
                by_list.entry(ELSEWHERE).or_default().push((place, operation));
            }
        }
        let mut lists: Vec<_> = by_list.into_iter().collect();
        lists.sort_by_key(|(list, _)| *list);
        let mut places: Vec<(String, u32)> = Vec::new();
        for (list, operations) in lists {
            let trie = u32::try_from(self.tries.len()).unwrap_or(u32::MAX);
            self.tries.push(Trie::new(&operations));
            let bases_of = |list: u32| {
                let servers = bound.spec.server_lists.get(list as usize).map_or(&[][..], Vec::as_slice);
                servers.iter().flat_map(|server| &server.bases)
            };
            let servers = if list == ELSEWHERE { 0 } else { list };
            let mut known: Vec<(String, &str)> = Vec::new();
            for base in bases_of(servers) {
                let mut hosts = hosts_of(base, &bound.hosts);
                // Relative to where the specification is served: most likely one of its own hosts.
                if hosts.is_empty() {
                    hosts.extend(bases_of(0).flat_map(|base| hosts_of(base, &[])));
                }
                for (host, is_pattern) in hosts {
                    if known.iter().any(|(other, path)| *other == host && *path == base.path_pattern) {
                        continue;
                    }
                    known.push((host.clone(), &base.path_pattern));
                    let mount = u32::try_from(self.mounts.len()).unwrap_or(u32::MAX);
                    let mounts = if is_pattern { None } else { Some(self.hosts.entry(host.clone()).or_default()) };
                    match mounts {
                        Some(mounts) if mounts.len() < MOUNTS => mounts.push(mount),
                        None if self.patterns.len() < PATTERNS => self.patterns.push((host.clone(), mount)),
                        _ => {
                            self.left_out += 1;
                            continue;
                        }
                    }
                    places.push((host, mount));
                    self.mounts.push(Mount {
                        spec: u32::try_from(number).unwrap_or(u32::MAX),
                        list,
                        trie,
                        base: base_segments(&base.path_pattern),
                        path: base.path_pattern.clone(),
                    });
                }
            }
        }
        self.places.push(places);
    }

    pub(crate) fn mount(&self, number: u32) -> Option<&Mount> {
        self.mounts.get(number as usize)
    }
}

/// Hosts of a base, and whether each is a pattern.
fn hosts_of(base: &Base, bound: &[String]) -> Vec<(String, bool)> {
    if !bound.is_empty() {
        return bound.iter().map(|host| (canonical(host, None), false)).collect();
    }
    let own = base.host.iter().map(|host| (canonical(host, base.scheme.as_deref()), false));
    own.chain(base.host_pattern.iter().map(|host| (host.clone(), true))).collect()
}

fn base_segments(path: &str) -> Vec<Segment> {
    if path.is_empty() { Vec::new() } else { segments(path) }
}

/// What of a path is below a base, and how the base's segments rank.
fn below<'p, 'a>(base: &[Segment], parts: &'p [Part<'a>]) -> Option<(Vec<u8>, &'p [Part<'a>])> {
    let head = parts.get(..base.len())?;
    let mut rank = Vec::new();
    for (segment, part) in base.iter().zip(head) {
        rank.push(trie::fits(segment, part)?);
    }
    let rest = parts.get(base.len()..)?;
    // The base itself is its root: `/v1` is `/` below `/v1`.
    Some((rank, if rest.is_empty() { ROOT } else { rest }))
}

const ROOT: &[Part<'static>] = &[Part::Bytes(b"")];
