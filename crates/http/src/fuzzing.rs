//! Bodies of the fuzz targets that reach inside the crate. Each takes any bytes and asserts what must hold for all of them:
//! the result depends on the stream, not on how it was cut (G7), and bounds are kept.

mod bodies;
mod http1;
mod http2;

pub use bodies::{content, grpc_sse, websocket};
pub use http1::{connection, http1};
pub use http2::{h2_frames, hpack};
