//! `[specs]` and `[[spec]]`: which specifications the inventory is compared with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::pins::HostName;
use super::rules::Checked;

/// What goes for all specifications.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Specs {
    /// `run` looks this often whether files have changed, seconds.
    pub(crate) reread_seconds: u64,
    /// Keep small OpenAPI documents that services publish, without examples, defaults and values, and compare with them.
    pub(crate) keep_from_wire: bool,
}

impl Default for Specs {
    fn default() -> Self {
        Specs { reread_seconds: 30, keep_from_wire: false }
    }
}

/// Specifications, in a file or all of a directory.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpecConfig {
    /// OpenAPI 3.1, 3.0 or Swagger 2.0, JSON or YAML; or a directory of them.
    pub(crate) path: PathBuf,
    /// Hosts that it holds for, as the inventory shows them. None: those that its servers name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<Checked<HostName>>,
}

impl SpecConfig {
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.0.0.clone()).collect()
    }
}
