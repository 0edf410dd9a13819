//! Definitions that services publish: found in traffic, told, and kept only where the operator allows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use umbra_openapi::{Limits, Spec, read, write};

use crate::endpoint::Endpoint;
use crate::schema::Sample;
use crate::schema::describe::{Description, describe, describe_object};
use crate::schema::schemas::Place;
use crate::style::{Facts, Style};

/// Documents kept; the first in the order of host and path.
pub const DEFINITIONS: usize = 256;

/// What a service publishes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Published {
    /// An OpenAPI or Swagger document.
    OpenApi,
    /// A GraphQL schema, by introspection.
    GraphQl,
    /// Descriptors of gRPC services, by reflection.
    GrpcReflection,
    /// A WSDL document.
    Wsdl,
    /// The tools of an MCP server.
    McpTools,
}

impl Published {
    /// The word for it in records.
    pub const fn name(self) -> &'static str {
        match self {
            Published::OpenApi => "openapi",
            Published::GraphQl => "graphql",
            Published::GrpcReflection => "grpc_reflection",
            Published::Wsdl => "wsdl",
            Published::McpTools => "mcp_tools",
        }
    }

    /// What an endpoint publishes, as far as what was learnt of it tells. Only what a server answered with success counts.
    pub fn of(endpoint: &Endpoint) -> Option<Published> {
        if !endpoint.confirmed {
            return None;
        }
        let learnt = endpoint.learnt.as_ref();
        let calls = learnt.and_then(|learnt| learnt.calls.as_ref());
        match endpoint.style {
            Style::Grpc => endpoint.route().starts_with("/grpc.reflection.v1").then_some(Published::GrpcReflection),
            Style::GraphQl => calls.is_some_and(|calls| calls.introspections > 0).then_some(Published::GraphQl),
            Style::Mcp => calls.is_some_and(|calls| !calls.tools_listed.is_empty()).then_some(Published::McpTools),
            Style::Rest | Style::Soap => {
                let route = endpoint.route();
                // Bodies of YAML are not looked at; whoever answers everything with a page is set aside as a web site.
                if has_known_name(route.as_bytes()) && (route.ends_with(".yaml") || route.ends_with(".yml")) {
                    return Some(Published::OpenApi);
                }
                let schemas = learnt?.schemas();
                let mut query = Description::default();
                describe_object(&schemas.query, &mut query);
                let asks = query.properties.iter().any(|property| property.name.eq_ignore_ascii_case("wsdl"));
                let is_wsdl = asks || route.ends_with(".wsdl");
                let mut bodies = schemas.bodies().iter().filter(|bodies| bodies.place == Place::Response(2));
                bodies.find_map(|bodies| match &*bodies.media_type {
                    kind if is_wsdl && kind.ends_with("xml") => Some(Published::Wsdl),
                    _ => {
                        let shape = describe(&bodies.schema.shape);
                        let has = |name: &str| shape.properties.iter().any(|property| &*property.name == name);
                        ((has("openapi") || has("swagger")) && has("paths")).then_some(Published::OpenApi)
                    }
                })
            }
            _ => None,
        }
    }
}

/// Is the last segment of a path one under which specifications are published?
fn has_known_name(path: &[u8]) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name = last.split(|&byte| byte == b'.').next().unwrap_or_default();
    [&b"openapi"[..], b"swagger", b"api-docs", b"api_docs", b"apispec"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// A document that a service publishes, with nothing in it but its structure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// Time at which it was seen, nanoseconds since 1970.
    pub seen: u64,
    /// OpenAPI 3.1 as JSON.
    pub text: Box<str>,
}

impl Definition {
    /// The specification again; `None` if it never was one.
    pub fn spec(&self, host: &str, path: &str) -> Option<Spec> {
        read(&format!("{host}{path}"), self.text.as_bytes(), &limits(), &mut |_| None).ok()
    }
}

/// Documents by host and path. Of each the newest; merging is by maximum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    kept: BTreeMap<(Box<str>, Box<str>), Definition>,
    /// Of the document that was read last.
    last: Option<u64>,
    revision: u64,
}

/// Answers with documents that are not kept, and why. The same document is counted as often as it is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Longer than the sample of a body.
    pub too_long: u64,
    /// Not seen to its end.
    pub cut: u64,
    /// No specification, or one that cannot be read.
    pub unreadable: u64,
    /// Past [`DEFINITIONS`].
    pub overflow: u64,
}

impl LeftOut {
    /// Adds those of another worker or another run.
    pub fn merge(&mut self, other: &LeftOut) {
        self.too_long = self.too_long.saturating_add(other.too_long);
        self.cut = self.cut.saturating_add(other.cut);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        self.overflow = self.overflow.saturating_add(other.overflow);
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.too_long.saturating_add(self.cut).saturating_add(self.unreadable).saturating_add(self.overflow)
    }
}

impl Definitions {
    /// In order of host and path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Definition)> {
        self.kept.iter().map(|((host, path), definition)| (&**host, &**path, definition))
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Another one whenever a document was added or is another: for who writes them while they change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds a document; the newest of a path stays. False if there was no room, or it made another go.
    pub fn insert(&mut self, host: &str, path: &str, definition: Definition) -> bool {
        let key = (Box::from(host), Box::from(path));
        if let Some(known) = self.kept.get_mut(&key) {
            if definition > *known {
                self.revision += u64::from(definition.text != known.text);
                *known = definition;
            }
            return true;
        }
        self.revision += 1;
        self.kept.insert(key, definition);
        self.kept.len() <= DEFINITIONS || self.kept.pop_last().is_none()
    }

    /// Adds all of another; says of how many there was no room.
    pub fn merge(&mut self, other: &Definitions) -> u64 {
        let mut overflow = 0;
        for (host, path, definition) in other.iter() {
            overflow += u64::from(!self.insert(host, path, definition.clone()));
        }
        overflow
    }

    /// Looks at an answer that a server gave with success; `seen` is its time. `too_long`: the sample has not all of it.
    pub(crate) fn observe(
        &mut self,
        (host, path): (&str, &str),
        facts: &Facts<'_>,
        too_long: bool,
        seen: u64,
        left_out: &mut LeftOut,
    ) {
        let Some(Sample { bytes, cut }) = facts.response_body.filter(|_| facts.method == b"GET" && facts.status == 200)
        else {
            return;
        };
        // In JSON the word stands at the top, mostly first.
        let start = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
        let says = |word: &[u8]| memchr::memmem::find(start, word).is_some();
        if !has_known_name(facts.path) && !says(b"\"openapi\"") && !says(b"\"swagger\"") {
            return;
        }
        if cut {
            let count = if too_long { &mut left_out.too_long } else { &mut left_out.cut };
            *count = count.saturating_add(1);
            return;
        }
        // The same document comes again and again.
        let hash = hash(host, path, bytes);
        if self.last == Some(hash) {
            if let Some(known) = self.kept.get_mut(&(Box::from(host), Box::from(path))) {
                known.seen = known.seen.max(seen);
            }
            return;
        }
        self.last = Some(hash);
        match read("", bytes, &limits(), &mut |_| None) {
            Ok(spec) => {
                let text = write(&spec.without_values()).into_boxed_str();
                let is_kept = self.insert(host, path, Definition { seen, text });
                left_out.overflow += u64::from(!is_kept);
            }
            Err(_) => left_out.unreadable += 1,
        }
    }
}

/// A document is as long as a sample at most, and refers to no other.
fn limits() -> Limits {
    Limits {
        bytes: 1 << 20,
        nodes: 100_000,
        depth: 64,
        files: 1,
        total_bytes: 1 << 20,
        shared_parts: 20_000,
        operations: 2_000,
        ..Limits::default()
    }
}

fn hash(host: &str, path: &str, bytes: &[u8]) -> u64 {
    // Only to find what comes again: nobody gains by two that collide.
    ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((host, path, bytes))
}
