//! Rules: which endpoints belong to which team, product and environment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::network::Network;
use super::pattern::Pattern;

/// What is said of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Team.
    pub team: Option<Box<str>>,
    /// Product.
    pub product: Option<Box<str>>,
    /// Environment: `production`, `test`.
    pub environment: Option<Box<str>>,
    /// Criticality.
    pub criticality: Option<Box<str>>,
    /// Owner: whom to ask.
    pub owner: Option<Box<str>>,
    /// Tags.
    pub tags: BTreeSet<Box<str>>,
}

impl Labels {
    /// All but tags, by name.
    pub fn named(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("team", self.team.as_deref()),
            ("product", self.product.as_deref()),
            ("environment", self.environment.as_deref()),
            ("criticality", self.criticality.as_deref()),
            ("owner", self.owner.as_deref()),
        ]
    }

    /// Is nothing said?
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.named().iter().all(|(_, value)| value.is_none())
    }

    /// Takes from another what is not said yet, and all tags.
    pub fn add(&mut self, other: &Labels) {
        for (ours, theirs) in [
            (&mut self.team, &other.team),
            (&mut self.product, &other.product),
            (&mut self.environment, &other.environment),
            (&mut self.criticality, &other.criticality),
            (&mut self.owner, &other.owner),
        ] {
            if ours.is_none() {
                ours.clone_from(theirs);
            }
        }
        self.tags.extend(other.tags.iter().cloned());
    }
}

/// What an endpoint must be for a rule: of each list that is not empty, one pattern has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Canonical host, with its port unless that is the default; in any case. A pattern without a port fits any.
    pub host: Vec<Pattern>,
    /// Route or path.
    pub path: Vec<Pattern>,
    /// Names of request fields, small letters.
    pub header: Vec<Pattern>,
    /// Server names of TLS, where they are known.
    pub sni: Vec<Pattern>,
    /// Addresses of servers.
    pub address: Vec<Network>,
    /// API styles.
    pub style: Vec<Pattern>,
    /// Names of language models.
    pub model: Vec<Pattern>,
}

/// What rules are asked about. What is not known fits no pattern.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// Canonical host.
    pub host: &'a str,
    /// Route or path.
    pub path: &'a str,
    /// Names of request fields, small letters.
    pub headers: Vec<&'a str>,
    /// Server names of TLS.
    pub sni: Vec<&'a str>,
    /// Addresses of servers.
    pub addresses: Vec<IpAddr>,
    /// API style.
    pub style: &'a str,
    /// Language models.
    pub models: Vec<&'a str>,
}

impl Match {
    /// Asks nothing, and so would fit everything?
    pub fn is_empty(&self) -> bool {
        let patterns = [&self.host, &self.path, &self.header, &self.sni, &self.style, &self.model];
        self.address.is_empty() && patterns.iter().all(|list| list.is_empty())
    }

    /// Does the subject fit?
    pub fn fits(&self, subject: &Subject<'_>) -> bool {
        let any = |patterns: &[Pattern], texts: &[&str]| {
            patterns.is_empty() || patterns.iter().any(|pattern| texts.iter().any(|text| pattern.matches(text)))
        };
        let host = subject.host.to_ascii_lowercase();
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let hosts = [host.as_str(), name.map_or(host.as_str(), |(name, _)| name)];
        any(&self.host, &hosts)
            && any(&self.path, &[subject.path])
            && any(&self.header, &subject.headers)
            && any(&self.sni, &subject.sni)
            && any(&self.style, &[subject.style])
            && any(&self.model, &subject.models)
            && (self.address.is_empty()
                || self.address.iter().any(|range| subject.addresses.iter().any(|address| range.contains(*address))))
    }
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Name, for people.
    pub name: Box<str>,
    /// For which endpoints.
    pub when: Match,
    /// What it says goes for all endpoints of the host as soon as one of them fits.
    pub whole_service: bool,
    /// What it says of them.
    pub labels: Labels,
    /// Not the operator's: one that came with the program.
    pub built_in: bool,
}

/// Rules in the order in which they win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Rules, those that win first.
    pub fn new(rules: Vec<Rule>) -> Rules {
        Rules(rules)
    }

    /// The rules that fit a subject.
    pub fn fitting<'a>(&'a self, subject: &Subject<'_>) -> impl Iterator<Item = &'a Rule> {
        self.0.iter().filter(|rule| rule.when.fits(subject))
    }

    /// Places of the rules that fit a subject.
    pub fn places(&self, subject: &Subject<'_>) -> Vec<usize> {
        (0..self.0.len()).filter(|&at| self.0.get(at).is_some_and(|rule| rule.when.fits(subject))).collect()
    }

    /// What the rules at these places say together: the first to say a thing wins, tags add up.
    pub fn labels(&self, places: impl IntoIterator<Item = usize>) -> Labels {
        let mut labels = Labels::default();
        for rule in places.into_iter().filter_map(|at| self.0.get(at)) {
            labels.add(&rule.labels);
        }
        labels
    }

    /// Does the rule at this place speak for the whole service?
    pub fn is_of_service(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|rule| rule.whole_service)
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
    fn all_kinds_must_fit_and_of_each_one_pattern() {
        let when = Match {
            host: patterns(&["*.pay.test", "pay.test"]),
            path: patterns(&["/v1/*"]),
            header: patterns(&["x-tenant*"]),
            address: vec!["10.1.0.0/16".parse().unwrap()],
            ..Match::default()
        };
        let subject = Subject {
            host: "Pay.test:8443",
            path: "/v1/cards/{id}",
            headers: vec!["accept", "x-tenant-id"],
            addresses: vec!["10.1.2.3".parse().unwrap()],
            ..Subject::default()
        };
        assert!(when.fits(&subject));
        assert!(!when.fits(&Subject { path: "/v2/cards", ..subject.clone() }));
        assert!(!when.fits(&Subject { headers: vec!["accept"], ..subject.clone() }));
        assert!(!when.fits(&Subject { addresses: vec![], ..subject.clone() }));
        assert!(!when.fits(&Subject { host: "xpay.test", ..subject }));
        assert!(Match::default().is_empty() && !when.is_empty());
    }

    #[test]
    fn the_first_to_say_a_thing_wins_and_tags_add_up() {
        let rule = |team: Option<&str>, owner: Option<&str>, tag: &str| Rule {
            labels: Labels {
                team: team.map(Into::into),
                owner: owner.map(Into::into),
                tags: [tag.into()].into(),
                ..Labels::default()
            },
            ..Rule::default()
        };
        let rules = Rules::new(vec![rule(Some("a"), None, "x"), rule(Some("b"), Some("o"), "y")]);
        let labels = rules.labels(rules.places(&Subject::default()));
        assert_eq!((labels.team.as_deref(), labels.owner.as_deref()), (Some("a"), Some("o")));
        assert_eq!(labels.tags.len(), 2);
    }
}
