//! A request with its response, or what we saw of it.

use std::ops::Range;

use umbra_wire::Timestamp;

use crate::anomaly::Anomalies;
use crate::message::{Request, Response};

/// How a body's end was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// Content-Length.
    Length,
    /// Chunked transfer coding.
    Chunked,
    /// Ends with the connection.
    Close,
    /// HTTP/2 DATA frames.
    Frames,
}

/// What is known of a body. The bytes themselves only where a sampler asked.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// How its end was found.
    pub framing: Framing,
    /// Content bytes seen or skipped, without transfer coding, still content-coded.
    pub len_bytes: u64,
    /// Of these, how many the capture missed.
    pub missing_bytes: u64,
    /// The end was seen.
    pub complete: bool,
    /// The first bytes, content codings undone, at most the sampler's limit; `None` if nobody asked.
    pub sample: Option<Vec<u8>>,
    /// `sample` is not the whole body.
    pub sample_truncated: bool,
}

/// gRPC facts (also gRPC-Web).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grpc {
    /// gRPC-Web framing (trailers in the body).
    pub web: bool,
    /// Length-prefixed messages, client to server.
    pub request_messages: u64,
    /// Length-prefixed messages, server to client.
    pub response_messages: u64,
    /// A gap hid a message boundary, or the framing broke: the counts are lower bounds.
    pub partial: bool,
    /// `grpc-status`, from the trailers (or the headers of a trailers-only answer).
    pub status: Option<u32>,
}

/// WebSocket facts (RFC 6455), index 0 client to server, 1 server to client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebSocket {
    /// Frames, control frames too.
    pub frames: [u64; 2],
    /// Text and binary messages that ended.
    pub messages: [u64; 2],
    /// Of those, text messages; the others are binary.
    pub text_messages: [u64; 2],
    /// Payload bytes of data frames.
    pub payload_bytes: [u64; 2],
    /// permessage-deflate was agreed (RFC 7692).
    pub deflate: bool,
    /// A gap hid a frame boundary: the counts are lower bounds.
    pub partial: bool,
    /// Status code of the first Close frame.
    pub close_code: Option<u16>,
}

/// What a connection became after this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// WebSocket.
    WebSocket,
    /// HTTP/2 over cleartext (RFC 7540 §3.2): the response here is the one of stream 1, the 101 is counted in
    /// [`Transaction::informational`].
    H2c,
    /// CONNECT tunnel; what is inside is parsed again.
    Tunnel,
    /// Another protocol.
    Other,
}

/// Coverage facts: what this record may lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Bytes of this transaction that the capture missed.
    pub gap_bytes: u64,
    /// Bytes were cut by the snap length.
    pub truncated: bool,
    /// The connection was joined after its start.
    pub mid_stream: bool,
    /// Only one direction was seen.
    pub one_sided: bool,
    /// Read from bytes that a retransmission contradicted (F020), or after a framing ambiguity (F035): confirms
    /// no endpoint.
    pub tainted: bool,
    /// HPACK references to entries from before we joined or lost in a gap.
    pub unknown_fields: u32,
}

/// A request with its response, or what we saw of it. At least one of the two is there.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// Number within its flow, from 0, in order of requests (orphan responses take a number too).
    pub index: u64,
    /// HTTP/2 stream.
    pub stream_id: Option<u32>,
    /// The request.
    pub request: Option<Request>,
    /// The final response.
    pub response: Option<Response>,
    /// Interim (1xx) responses before it.
    pub informational: u32,
    /// Request body.
    pub request_body: Body,
    /// Response body.
    pub response_body: Body,
    /// First byte of the request.
    pub request_start: Option<Timestamp>,
    /// Last byte of the request.
    pub request_end: Option<Timestamp>,
    /// First byte of the (final) response.
    pub response_start: Option<Timestamp>,
    /// Last byte of the response.
    pub response_end: Option<Timestamp>,
    /// Stream offsets (bytes since the flow's start, gaps counted) of the request head in its direction: the
    /// caller checks them against what the server acknowledged (F023).
    pub request_offsets: Range<u64>,
    /// Pushed by the server (HTTP/2 PUSH_PROMISE).
    pub pushed: bool,
    /// What the connection became.
    pub upgrade: Option<Upgrade>,
    /// Stream reset: HTTP/2 error code of RST_STREAM.
    pub reset: Option<u32>,
    /// gRPC.
    pub grpc: Option<Grpc>,
    /// WebSocket.
    pub websocket: Option<WebSocket>,
    /// Events of a `text/event-stream` response.
    pub sse_events: Option<u64>,
    /// Oddities.
    pub anomalies: Anomalies,
    /// What may lack.
    pub coverage: Coverage,
}
