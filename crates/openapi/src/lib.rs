//! OpenAPI 3.1, 3.0 and Swagger 2.0, JSON or YAML, as one model: read, matched with requests, compared with an inventory.
//!
//! Pure: bytes in, model out. Files that a specification refers to come from a callback; nothing is ever fetched.
//! A hostile document is bounded in depth, size, aliases and references ([`Limits`]); what cannot be read inside a
//! specification is told with its JSON pointer ([`Issue`]), and the rest is used.
//!
//! Left out: validation of specifications and of messages, webhooks and callbacks (counted), links, examples, XML names.
//!
//! ```
//! use umbra_openapi::{Bound, Found, Limits, Observed, Operation, Schemas, SpecSet, read};
//!
//! let yaml = b"
//! openapi: 3.1.0
//! info: {title: Shop, version: '1'}
//! servers: [{url: https://api.example.test/v1}]
//! paths:
//!   /orders/{id}:
//!     get: {responses: {'200': {description: ok}}}
//! ";
//! let spec = read("shop.yaml", yaml, &Limits::default(), &mut |_| None).unwrap();
//! let set = SpecSet::new(vec![Bound { spec, hosts: Vec::new() }]);
//!
//! // A request, for its route.
//! let Found::Operations(found) = set.request("api.example.test", "GET", b"/v1/orders/7?full=1") else { panic!() };
//! assert_eq!(set.template(found[0]).as_deref(), Some("/v1/orders/{id}"));
//!
//! // An observed endpoint, for what specifications say of it.
//! let operation = Operation { method: "DELETE".into(), template: "/v1/orders/{id}".into(), ..Operation::default() };
//! let observed = [Observed { host: "api.example.test".into(), operation, ..Observed::default() }];
//! let report = set.compare(&observed, &Schemas::default(), &[]);
//! assert_eq!(report.verdicts[0].conformance.name(), "shadow");
//! assert_eq!(report.orphans[0].template, "/v1/orders/{id}");
//! ```
#![forbid(unsafe_code)]

mod base;
mod compare;
mod document;
mod limits;
mod matching;
mod model;
mod pointer;
mod read;
mod schema;
mod strip;
mod template;
mod write;

pub use compare::{
    Conformance, Coverage, Drift, DriftKind, HostWindow, Observable, Observed, Orphan, Report, Shadow, Unmanaged,
    Verdict, Zombie,
};
pub use limits::Limits;
pub use matching::{Bound, Found, OperationRef, SpecSet};
pub use model::{
    Base, Content, Evidence, Format, Issue, Location, Operation, Parameter, RequestBody, Response, SecurityKind,
    SecurityScheme, Server, ServerVariable, Spec, Status, Style,
};
pub use read::{looks_like_spec, read};
pub use schema::{Additional, Property, Schema, SchemaId, Schemas, Types};
pub use write::write;
