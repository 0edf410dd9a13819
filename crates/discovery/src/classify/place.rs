//! Whose servers answer: inside, exposed to the outside, or somebody else's.

use std::net::IpAddr;

use super::network::{Network, PRIVATE};
use super::pattern::Pattern;

/// Where a service stands, seen from the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The operator's own, for use inside.
    Internal,
    /// The operator's own, reached from outside.
    External,
    /// Somebody else's, which the operator's clients use (egress).
    ThirdParty,
}

impl Place {
    /// The word for it in records and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Internal => "internal",
            Place::External => "external",
            Place::ThirdParty => "third_party",
        }
    }
}

/// What is the operator's, by domains and address ranges.
#[derive(Clone, Debug)]
pub struct Territory {
    /// Hosts for use inside.
    pub internal: Vec<Pattern>,
    /// Own hosts that are meant to be reached from outside.
    pub external: Vec<Pattern>,
    /// Hosts that are not the operator's, whatever their address: those behind a proxy of one's own.
    pub third_party: Vec<Pattern>,
    /// Addresses inside.
    pub internal_ranges: Vec<Network>,
    /// Own addresses that are meant to be reached from outside.
    pub external_ranges: Vec<Network>,
}

impl Default for Territory {
    fn default() -> Self {
        Territory {
            internal: Vec::new(),
            external: Vec::new(),
            third_party: Vec::new(),
            internal_ranges: PRIVATE.to_vec(),
            external_ranges: Vec::new(),
        }
    }
}

impl Territory {
    /// Is the address inside?
    pub fn is_inside(&self, address: IpAddr) -> bool {
        self.internal_ranges.iter().any(|range| range.contains(address))
    }

    /// The hosts that the operator has named.
    pub fn named(&self) -> impl Iterator<Item = &Pattern> {
        self.internal.iter().chain(&self.external).chain(&self.third_party)
    }

    /// Where a service stands. What is configured by name wins over addresses. An address outside that nobody has named is a third
    /// party's if clients inside use it, and the operator's own if clients outside do: a sensor on a mirror port sees no traffic
    /// between strangers. `None` if nothing tells.
    pub fn place(&self, host: &str, servers: &[IpAddr], clients_outside: bool, clients_inside: bool) -> Option<Place> {
        let name = without_port(host);
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if named(&self.third_party) {
            return Some(Place::ThirdParty);
        }
        if named(&self.external) {
            return Some(Place::External);
        }
        if named(&self.internal) {
            return Some(Place::Internal);
        }
        let addresses = || servers.iter().copied().chain(literal.filter(|_| servers.is_empty()));
        if addresses().any(|address| self.external_ranges.iter().any(|range| range.contains(address))) {
            return Some(Place::External);
        }
        let inside = addresses().any(|address| self.is_inside(address));
        match (inside, clients_outside, clients_inside) {
            // Reached through an address inside, by somebody outside: exposed.
            (true, true, _) => Some(Place::External),
            (true, false, _) => Some(Place::Internal),
            (false, _, true) if addresses().next().is_some() => Some(Place::ThirdParty),
            (false, true, false) if addresses().next().is_some() => Some(Place::External),
            _ => None,
        }
    }
}

/// A canonical host without its port; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
    }

    #[test]
    fn names_win_over_addresses_and_addresses_over_clients() {
        let territory = Territory {
            internal: patterns(&["*.corp.test"]),
            external: patterns(&["api.example.test"]),
            third_party: patterns(&["*.partner.test"]),
            external_ranges: vec!["203.0.113.0/24".parse().unwrap()],
            ..Territory::default()
        };
        let place = |host: &str, server: &str, outside, inside| {
            territory.place(host, &[server.parse().unwrap()], outside, inside).map(Place::name)
        };
        assert_eq!(place("a.corp.test:8080", "8.8.8.8", true, true), Some("internal"));
        assert_eq!(place("api.example.test", "10.0.0.1", false, true), Some("external"));
        assert_eq!(place("pay.partner.test", "10.0.0.1", false, true), Some("third_party"));
        assert_eq!(place("x.test", "203.0.113.9", false, true), Some("external"));
        assert_eq!(place("x.test", "10.0.0.1", false, true), Some("internal"));
        assert_eq!(place("x.test", "10.0.0.1", true, true), Some("external"));
        assert_eq!(place("api.openai.com", "104.18.7.192", false, true), Some("third_party"));
        assert_eq!(place("x.test", "104.18.7.192", true, false), Some("external"));
        assert_eq!(territory.place("[fd00::1]:8080", &[], false, false), Some(Place::Internal));
        assert_eq!(territory.place("x.test", &[], true, true), None);
        assert_eq!(territory.named().count(), 3);
    }
}
