//! Transactions to endpoints: service, method and route template, with what was seen of each.
//!
//! A worker keeps one [`Endpoints`]; merging those of all workers gives the inventory, and merging is commutative and
//! associative, so any number of workers gives the same one. Beside it a worker keeps [`routes::Routes`]: the evidence on which the
//! templates of a whole service are decided. Until then a template is what the shape of each segment says ([`route`]).
//!
//! [`schema`] learns the shapes of bodies and parameters, [`style`] tells what kind of API a transaction speaks and which
//! operation it calls.
//!
//! Pure: transactions in, endpoints out.
#![forbid(unsafe_code)]

pub mod classify;
mod clients;
mod coarse;
pub mod contract;
pub mod definition;
mod endpoint;
mod endpoint_key;
mod endpoints;
mod host;
mod hosts;
mod latency;
pub mod learnt;
mod origin;
mod room;
pub mod route;
pub mod routes;
mod sampling;
pub mod schema;
pub mod sockets;
mod state;
pub mod style;
pub mod version;

pub use clients::Clients;
pub use endpoint::{Coverage, Endpoint, MergedFrom, Template};
pub use endpoint_key::{EndpointKey, Settled};
pub use endpoints::{Config, Counters, Endpoints, Observation, Observed};
pub use host::canonical_host;
pub use latency::Latency;
pub use learnt::Learnt;
pub use origin::Origin;
pub use sampling::SamplingConfig;
pub use schema::ValueKey;
pub use state::EndpointState;
pub use style::Style;
