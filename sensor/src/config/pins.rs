//! `[[pin]]`: route templates that an operator has decided on.

use serde::{Deserialize, Serialize};
use umbra_discovery::routes::{Pin, Pins};

use super::rules::{Checked, FromText};

/// Pinned templates at most: each request is matched with those of its host that have its number of segments.
const PINS: usize = 10_000;

/// One template, of a host or of all. Wins over what is inferred, for good: merges what it matches, names its parameters; a more
/// literal one splits off.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Checked<HostName>>,
    template: Checked<Template>,
}

#[derive(Clone, Debug, PartialEq)]
struct Template(String);

impl FromText for Template {
    fn from_text(text: &str) -> Result<Self, String> {
        Pin::new(None, text).map(|pin| Template(pin.template().to_owned())).map_err(|error| error.to_string())
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// A host as the inventory shows it, small letters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostName(pub(super) String);

impl FromText for HostName {
    fn from_text(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if text.is_empty() || !text.chars().all(plain) {
            return Err("a host is written as the inventory shows it: api.example.com, api.example.com:8080".into());
        }
        Ok(HostName(text.to_ascii_lowercase()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

impl PinConfig {
    /// Pins a template of a host; `None` if it is none that can be pinned.
    pub(crate) fn new(host: &str, template: &str) -> Option<PinConfig> {
        let host = HostName::from_text(host).ok()?;
        Some(PinConfig { host: Some(Checked(host)), template: Checked(Template::from_text(template).ok()?) })
    }

    fn pin(&self) -> Option<Pin> {
        // It was read before.
        Pin::new(self.host.as_ref().map(|host| host.0.0.as_str()), &self.template.0.0).ok()
    }
}

/// Two pins that cannot both be meant, as `KEY: what is wrong`.
pub(crate) fn check(pins: &[PinConfig]) -> Result<(), String> {
    if pins.len() > PINS {
        return Err(format!(" [[pin]]: {} are too many: give at most {PINS}", pins.len()));
    }
    let list: Vec<Pin> = pins.iter().filter_map(PinConfig::pin).collect();
    let mut shapes = std::collections::HashMap::new();
    for (at, pin) in list.iter().enumerate() {
        // Rivals have the same shape, and few others do.
        let alike: &mut Vec<usize> = shapes.entry((pin.service(), shape(pin.template()))).or_default();
        if let Some(other) = alike.iter().find(|other| list.get(**other).is_some_and(|other| pin.is_rival(other))) {
            let place = at + 1;
            return Err(format!(" [[pin]] {place}: claims the same requests as [[pin]] {}: take one out", other + 1));
        }
        alike.push(at);
    }
    Ok(())
}

/// A template without the names of its parameters.
fn shape(template: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in template.chars() {
        inside = (inside || c == '{') && c != '}';
        if !inside {
            out.push(c);
        }
    }
    out
}

pub(crate) fn pins(pins: &[PinConfig]) -> Pins {
    Pins::new(pins.iter().filter_map(PinConfig::pin).collect())
}
