//! Ordered bytes to HTTP transactions: detection, HTTP/1, HTTP/2 with HPACK, WebSocket, gRPC framing, bodies, pairing.
//!
//! Pure: bytes and time in, transactions out.
#![forbid(unsafe_code)]

mod anomaly;
mod body;
mod connection;
mod content;
mod detect;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod h1;
mod h2;
mod message;
mod replay;
mod sse;
mod transaction;
mod ws;

pub use anomaly::{Anomalies, Anomaly};
pub use connection::{Connection, Protocol};
pub use engine::{Config, Counters, Engine, Sampler};
pub use message::{Field, HeaderBlock, KnownHeader, Request, Response, Scheme, Version};
pub use transaction::{Body, Coverage, Framing, Grpc, Transaction, Upgrade, WebSocket};
