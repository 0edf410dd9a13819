//! Ordered bytes to HTTP transactions: detection, HTTP/1, HTTP/2 with HPACK, WebSocket, gRPC framing, bodies, pairing.
//!
//! Pure: bytes and time in, transactions out.
#![forbid(unsafe_code)]

mod anomaly;
#[allow(dead_code)] // until both protocols call it
mod body;
mod connection;
mod content;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
#[allow(dead_code, unused_imports)] // until connection.rs calls it
mod h2;
mod message;
mod sse;
mod transaction;
#[allow(dead_code)] // until both protocols call it
mod ws;

pub use anomaly::{Anomalies, Anomaly};
pub use connection::{Connection, Protocol};
pub use engine::{Config, Counters, Engine, Sampler};
pub use message::{Field, HeaderBlock, KnownHeader, Request, Response, Scheme, Version};
pub use transaction::{Body, Coverage, Framing, Grpc, Transaction, Upgrade, WebSocket};
