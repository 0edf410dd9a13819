//! `[[rule]]` and `[services]`: whose endpoints are, and where they stand.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use umbra_discovery::classify::{Labels, Match, Network, PRIVATE, Pattern, Rule, Rules, Territory};

/// The built-in rules, in the form of a configuration.
const BUILT_IN: &str = include_str!("builtin.toml");

/// Longest label, bytes.
const LABEL_BYTES: usize = 128;

/// A value that is written as text and checked while it is read, so that a wrong one is told with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked<T>(pub(crate) T);

impl<'de, T: FromText> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::from_text(&text).map(Checked).map_err(D::Error::custom)
    }
}

impl<T: FromText> Serialize for Checked<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_text())
    }
}

/// What has a written form.
pub(crate) trait FromText: Sized {
    /// The value; the error says how to mend the text.
    fn from_text(text: &str) -> Result<Self, String>;
    fn to_text(&self) -> String;
}

impl FromText for Pattern {
    fn from_text(text: &str) -> Result<Self, String> {
        Pattern::new(text).map_err(|error| error.to_string())
    }

    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl FromText for Network {
    fn from_text(text: &str) -> Result<Self, String> {
        Network::from_str(text).map_err(|error| error.to_string())
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// Text of a label: one line that no terminal acts on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(Box<str>);

impl FromText for Label {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LABEL_BYTES || text.chars().any(char::is_control) {
            return Err(format!("a label is a text of 1 to {LABEL_BYTES} bytes without control characters"));
        }
        Ok(Label(text.into()))
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

type Patterns = Vec<Checked<Pattern>>;
type Text = Option<Checked<Label>>;

/// One rule: of each list that is given one pattern must fit; what it says then goes for the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuleConfig {
    /// Name, for `umbra check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Text,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    host: Patterns,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Patterns,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header: Patterns,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sni: Patterns,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    address: Vec<Checked<Network>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    style: Patterns,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model: Patterns,
    /// Goes for all endpoints of a host as soon as one of them fits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole_service: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    criticality: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Text,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Checked<Label>>,
}

impl RuleConfig {
    fn rule(&self, number: usize, built_in: bool) -> Rule {
        let plain = |patterns: &Patterns| patterns.iter().map(|pattern| pattern.0.clone()).collect();
        let lower = |patterns: &Patterns| patterns.iter().map(|pattern| pattern.0.lower()).collect();
        let text = |text: &Text| text.as_ref().map(|label| label.0.0.clone());
        Rule {
            name: text(&self.name).unwrap_or_else(|| format!("rule {number}").into()),
            when: Match {
                host: lower(&self.host),
                path: plain(&self.path),
                header: lower(&self.header),
                sni: lower(&self.sni),
                address: self.address.iter().map(|range| range.0).collect(),
                style: lower(&self.style),
                model: plain(&self.model),
            },
            whole_service: self.whole_service,
            labels: Labels {
                team: text(&self.team),
                product: text(&self.product),
                environment: text(&self.environment),
                criticality: text(&self.criticality),
                owner: text(&self.owner),
                tags: self.tags.iter().map(|tag| tag.0.0.clone()).collect(),
            },
            built_in,
        }
    }

    /// What is wrong with it as a whole, and how to mend it.
    fn fault(&self) -> Option<&'static str> {
        let rule = self.rule(0, false);
        if rule.when.is_empty() {
            return Some(
                "says for no endpoint: give host, path, header, sni, address, style or model (host = [\"*\"] for all)",
            );
        }
        rule.labels.is_empty().then_some("says nothing: give team, product, environment, criticality, owner or tags")
    }
}

/// Whose servers are whose.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Services {
    /// Hosts for use inside, `*` for any text.
    internal: Patterns,
    /// Own hosts that are meant to be reached from outside.
    external: Patterns,
    /// Hosts that are somebody else's, whatever their address.
    third_party: Patterns,
    /// Addresses inside.
    internal_ranges: Vec<Checked<Network>>,
    /// Own addresses that are meant to be reached from outside.
    external_ranges: Vec<Checked<Network>>,
    /// The built-in rules are used, after those of the file.
    built_in_rules: bool,
}

impl Default for Services {
    fn default() -> Self {
        Services {
            internal: Vec::new(),
            external: Vec::new(),
            third_party: Vec::new(),
            internal_ranges: PRIVATE.map(Checked).to_vec(),
            external_ranges: Vec::new(),
            built_in_rules: true,
        }
    }
}

impl Services {
    pub(crate) fn territory(&self) -> Territory {
        let lower = |patterns: &Patterns| patterns.iter().map(|pattern| pattern.0.lower()).collect();
        let plain = |ranges: &[Checked<Network>]| ranges.iter().map(|range| range.0).collect();
        Territory {
            internal: lower(&self.internal),
            external: lower(&self.external),
            third_party: lower(&self.third_party),
            internal_ranges: plain(&self.internal_ranges),
            external_ranges: plain(&self.external_ranges),
        }
    }
}

/// The first rule that cannot be meant, as `KEY: what is wrong`.
pub(crate) fn check(rules: &[RuleConfig]) -> Result<(), String> {
    for (number, rule) in rules.iter().enumerate() {
        if let Some(fault) = rule.fault() {
            let name = rule.name.as_ref().map(|name| format!(" ({})", name.0.0)).unwrap_or_default();
            return Err(format!(" [[rule]] {}{name}: {fault}", number + 1));
        }
    }
    Ok(())
}

/// The rules of the file, and the built-in ones after them.
pub(crate) fn rules(rules: &[RuleConfig], services: &Services) -> Rules {
    let own = rules.iter().enumerate().map(|(at, rule)| rule.rule(at + 1, false));
    let built_in = if services.built_in_rules { built_in() } else { Vec::new() };
    Rules::new(own.chain(built_in.iter().enumerate().map(|(at, rule)| rule.rule(at + 1, true))).collect())
}

fn built_in() -> Vec<RuleConfig> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        rule: Vec<RuleConfig>,
    }
    // A test reads it.
    toml::from_str::<File>(BUILT_IN).map(|file| file.rule).unwrap_or_default()
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use umbra_discovery::classify::Subject;

    fn tags(subject: &Subject<'_>) -> Vec<String> {
        let rules = rules(&[], &Services::default());
        rules.labels(rules.places(subject)).tags.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_built_in_rules_can_be_read_and_say_something() {
        let built_in = built_in();
        assert!(built_in.len() >= 8, "{}", built_in.len());
        check(&built_in).expect("each is meant");
    }

    #[test]
    fn hosts_that_run_ai_applications_are_found() {
        let ai = |subject: &Subject<'_>| tags(subject).iter().any(|tag| tag == "ai");
        for (host, path, style) in [
            ("api.openai.com", "/v1/chat/completions", "llm"),
            ("team.openai.azure.com", "/", "rest"),
            ("bedrock-runtime.eu-central-1.amazonaws.com", "/x", "rest"),
            ("10.0.0.9:11434", "/api/tags", "rest"),
            ("models.corp.test", "/v1/embeddings", "rest"),
            ("tools.corp.test", "/mcp", "mcp"),
            ("vectors.corp.test", "/collections/{collection_id}/points/search", "rest"),
            ("triton.corp.test", "/v2/models/{model_name}/infer", "rest"),
        ] {
            assert!(ai(&Subject { host, path, style, ..Subject::default() }), "{host}{path}");
        }
        for (host, path) in [
            ("api.example.test", "/v1/users/{user_id}"),
            ("openai.com.evil.test", "/"),
            ("shop.test", "/collections/{id}"),
        ] {
            assert!(!ai(&Subject { host, path, style: "rest", ..Subject::default() }), "{host}{path}");
        }
    }
}
