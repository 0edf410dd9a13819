//! Where an endpoint was reached, and from where.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Servers kept of one endpoint, the first in order; a service has a handful of instances, a forward proxy one.
pub(crate) const SERVERS: usize = 8;

/// Where an endpoint was reached, and from where. Merging is union.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Ascending, no repeats, at most `SERVERS`.
    servers: Vec<(IpAddr, u16)>,
    /// There were more servers than are kept.
    pub more_servers: bool,
    /// Clients inside the operator's ranges have called.
    pub inside: bool,
    /// Clients outside of them have.
    pub outside: bool,
}

impl Origin {
    /// Addresses and ports of servers, in order.
    pub fn servers(&self) -> &[(IpAddr, u16)] {
        &self.servers
    }

    /// Is nothing known?
    pub(crate) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Adds what a transaction shows.
    #[inline]
    pub(crate) fn add(&mut self, server: (IpAddr, u16), client_inside: bool) {
        self.inside |= client_inside;
        self.outside |= !client_inside;
        if self.servers.first() != Some(&server) {
            self.add_server(server);
        }
    }

    fn add_server(&mut self, server: (IpAddr, u16)) {
        let Err(place) = self.servers.binary_search(&server) else { return };
        if place >= SERVERS {
            self.more_servers = true;
            return;
        }
        if self.servers.len() == SERVERS {
            self.servers.pop();
            self.more_servers = true;
        }
        self.servers.reserve_exact(1);
        self.servers.insert(place, server);
    }

    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: &Origin) {
        other.servers.iter().for_each(|server| self.add_server(*server));
        self.more_servers |= other.more_servers;
        self.inside |= other.inside;
        self.outside |= other.outside;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_keeps_the_same_servers() {
        let servers: Vec<(IpAddr, u16)> = (0..40u8).map(|n| ([10, 0, 0, n].into(), 80)).collect();
        let (mut one, mut other) = (Origin::default(), Origin::default());
        servers.iter().for_each(|server| one.add(*server, true));
        servers.iter().rev().for_each(|server| other.add(*server, true));
        assert_eq!(one, other);
        assert_eq!(one.servers(), &servers[..SERVERS]);
        assert!(one.more_servers && one.inside && !one.outside);
        let mut halves = Origin::default();
        servers.iter().skip(20).for_each(|server| halves.add(*server, true));
        let mut low = Origin::default();
        servers.iter().take(20).for_each(|server| low.add(*server, true));
        halves.merge(&low);
        assert_eq!(halves, one);
    }
}
