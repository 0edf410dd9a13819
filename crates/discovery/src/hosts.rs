//! Which hosts are services (F072).
//!
//! A `Host` value is what a client wrote, and many servers answer whatever it is. A host is a service if a client has used it with
//! success that does not guess: one that has got answers from this server under few names only, or under names that others use
//! too. The evidence is the clients and servers that endpoints remember, so any order of traffic, any number of workers and any
//! split into runs come to the same. While traffic is seen, a client that guesses only fills the ring of unconfirmed endpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ahash::RandomState;

use crate::endpoint::Endpoint;

/// A name that so many clients use was not guessed by any of them.
const CLIENTS: usize = 4;

/// Hosts remembered while traffic is seen; past it all are forgotten and clients may try again.
const REMEMBERED: usize = 65_536;

/// What is remembered of hosts while traffic is seen.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Names at one server that a client may be the first to use.
    limit: usize,
    hasher: RandomState,
    /// By hash of the host: hash of the client that was first to use it; `None` once it was not the only one.
    first: HashMap<u64, Option<u64>, RandomState>,
    /// By hash of server and client: names it was first to use.
    names: HashMap<u64, usize, RandomState>,
}

impl Hosts {
    pub(crate) fn new(limit: usize, hasher: RandomState) -> Hosts {
        let (first, names) = (HashMap::with_hasher(hasher.clone()), HashMap::with_hasher(hasher.clone()));
        Hosts { limit, hasher, first, names }
    }

    /// A server has answered this client with success under this name: does that make a service? Asked until it does.
    pub(crate) fn takes(&mut self, host: &[u8], server: (IpAddr, u16), client: u64) -> bool {
        if self.first.len() >= REMEMBERED {
            self.first.clear();
            self.names.clear();
        }
        let name = self.hasher.hash_one(host);
        if let Some(first) = self.first.get_mut(&name) {
            if *first != Some(client) {
                *first = None;
            }
            return true;
        }
        let names = self.names.entry(self.hasher.hash_one((server, client))).or_default();
        if *names >= self.limit {
            return false;
        }
        *names += 1;
        self.first.insert(name, Some(client));
        true
    }
}

/// Of all endpoints that a server answered with success: the hosts that only clients have used that guess names.
pub(crate) fn guessed<'a>(endpoints: impl Iterator<Item = &'a Endpoint>, limit: usize) -> BTreeSet<Box<str>> {
    /// Clients, up to [`CLIENTS`] of them, and servers.
    type Users = (BTreeSet<u64>, BTreeSet<(IpAddr, u16)>);
    let mut hosts: BTreeMap<&str, Users> = BTreeMap::new();
    let mut many: BTreeSet<&str> = BTreeSet::new();
    for endpoint in endpoints.filter(|endpoint| endpoint.answered) {
        let hashes = endpoint.clients.hashes();
        // A sketch that has gone over to registers has no hashes any more.
        if hashes.is_empty() || hashes.len() >= CLIENTS || endpoint.origin.servers().is_empty() {
            many.insert(endpoint.host());
            continue;
        }
        let (clients, servers) = hosts.entry(endpoint.host()).or_default();
        clients.extend(hashes);
        servers.extend(endpoint.origin.servers());
    }
    hosts.retain(|host, (clients, _)| clients.len() < CLIENTS && !many.contains(host));
    let mut names: BTreeMap<((IpAddr, u16), u64), usize> = BTreeMap::new();
    for (clients, servers) in hosts.values() {
        for server in servers {
            clients.iter().for_each(|client| *names.entry((*server, *client)).or_default() += 1);
        }
    }
    let guesses = |server: &(IpAddr, u16), client: &u64| names.get(&(*server, *client)).is_some_and(|n| *n >= limit);
    hosts
        .into_iter()
        .filter(|(_, (clients, servers))| {
            servers.iter().all(|server| clients.iter().all(|client| guesses(server, client)))
        })
        .map(|(host, _)| host.into())
        .collect()
}
