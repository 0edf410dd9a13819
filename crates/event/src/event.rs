//! One HTTP transaction as published, borrowing from the worker's buffers.

use std::net::{IpAddr, Ipv4Addr};

use crate::flow_text::FlowText;
use crate::redact::HeaderJson;

/// Defines a closed set of names that appear in records.
macro_rules! names {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// Every member.
            pub const ALL: &'static [$type] = &[$($type::$name,)*];

            /// The name in records.
            pub const fn name(self) -> &'static str {
                match self { $($type::$name => $text,)* }
            }
        }
    };
}

names! {
    /// Where packets came from.
    #[derive(Default)]
    Source {
        /// An interface.
        Live = "live",
        /// Capture files.
        #[default]
        Replay = "replay",
    }
}

names! {
    /// HTTP version, OpenTelemetry `network.protocol.version`.
    #[derive(Default)]
    ProtocolVersion {
        /// HTTP/0.9.
        Http09 = "0.9",
        /// HTTP/1.0.
        Http10 = "1.0",
        /// HTTP/1.1.
        #[default]
        Http11 = "1.1",
        /// HTTP/2.
        Http2 = "2",
        /// HTTP/3.
        Http3 = "3",
    }
}

names! {
    /// OpenTelemetry `url.scheme`.
    #[derive(Default)]
    UrlScheme {
        /// Plain.
        #[default]
        Http = "http",
        /// Inside TLS.
        Https = "https",
    }
}

names! {
    /// What kind of API an endpoint speaks.
    ApiStyle {
        /// Resources and methods.
        Rest = "rest",
        /// GraphQL.
        Graphql = "graphql",
        /// gRPC and gRPC-Web.
        Grpc = "grpc",
        /// JSON-RPC 2.0.
        JsonRpc = "json_rpc",
        /// Model Context Protocol (JSON-RPC over HTTP).
        Mcp = "mcp",
        /// SOAP.
        Soap = "soap",
        /// Large-language-model completion API.
        Llm = "llm",
        /// WebSocket.
        Websocket = "websocket",
        /// Server-Sent Events.
        Sse = "sse",
        /// Pages, scripts, images: not an API.
        Web = "web",
    }
}

names! {
    /// How a request proved who sent it.
    AuthKind {
        /// No credential was seen.
        None = "none",
        /// `Authorization: Basic` (RFC 7617).
        Basic = "basic",
        /// An opaque `Authorization: Bearer` token (RFC 6750).
        Bearer = "bearer",
        /// A JSON Web Token (RFC 7519), wherever it was.
        Jwt = "jwt",
        /// An API key in a header or query parameter.
        ApiKey = "api_key",
        /// A cookie.
        Cookie = "cookie",
        /// AWS Signature Version 4.
        AwsSigv4 = "aws_sigv4",
        /// `Authorization: Digest` (RFC 7616).
        Digest = "digest",
        /// `Authorization: Negotiate` or `NTLM` (RFC 4559).
        Negotiate = "negotiate",
        /// OAuth 1.0 (RFC 5849).
        Oauth1 = "oauth1",
        /// HTTP message signatures (RFC 9421) or its drafts.
        HttpSignature = "http_signature",
        /// A DPoP-bound token (RFC 9449).
        Dpop = "dpop",
        /// An `Authorization` scheme that is none of these.
        Other = "other",
    }
}

names! {
    /// Where the credential was. The first of these if there are several.
    AuthLocation {
        /// A header field other than Cookie.
        Header = "header",
        /// The query.
        Query = "query",
        /// A cookie.
        Cookie = "cookie",
    }
}

names! {
    /// What the connection became after this transaction.
    Upgrade {
        /// WebSocket.
        Websocket = "websocket",
        /// HTTP/2 over cleartext.
        H2c = "h2c",
        /// CONNECT tunnel.
        Tunnel = "tunnel",
        /// Another protocol.
        Other = "other",
    }
}

/// Who watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sensor<'a> {
    /// Configured name.
    pub id: &'a str,
    /// Version of the software.
    pub version: &'a str,
}

/// Where and how completely the transaction was seen.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// Interface name, or file name in a replay; empty: omitted.
    pub interface: &'a str,
    /// VLAN ids, outermost first; empty: omitted.
    pub vlan: &'a [u16],
    /// Request and response were both seen to their ends without a hole.
    pub complete: bool,
    /// Bytes of this transaction that the capture missed.
    pub gap_bytes: u64,
    /// Bytes were cut by the snap length.
    pub truncated: bool,
    /// The connection was joined after its start.
    pub mid_stream: bool,
    /// Only one direction was seen.
    pub one_sided: bool,
    /// Read from bytes that a retransmission contradicted, or after a framing ambiguity.
    pub tainted: bool,
    /// Header fields that HPACK state from before we joined hides.
    pub unknown_fields: u32,
}

impl Default for Capture<'_> {
    fn default() -> Self {
        Capture {
            interface: "",
            vlan: &[],
            complete: true,
            gap_bytes: 0,
            truncated: false,
            mid_stream: false,
            one_sided: false,
            tainted: false,
            unknown_fields: 0,
        }
    }
}

/// One end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// IP address.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl Default for Peer {
    fn default() -> Self {
        Peer { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 }
    }
}

/// The request's URL, already redacted. Any bytes: the encoder makes them valid JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Url<'a> {
    /// Scheme.
    pub scheme: UrlScheme,
    /// Canonical host, redacted: lower case, no port, no final dot; IPv6 without brackets. `None`: none or unknown.
    pub domain: Option<&'a [u8]>,
    /// Port of the authority where it is not the scheme's default.
    pub port: Option<u16>,
    /// Path as on the wire, redacted. `None`: unknown (HPACK, late join) or CONNECT.
    pub path: Option<&'a [u8]>,
    /// Query without `?`, redacted. `None`: no `?`.
    pub query: Option<&'a [u8]>,
}

/// A body's facts.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// OpenTelemetry `body.size`: content bytes without transfer coding, still content-coded.
    pub size_bytes: u64,
    /// Of these, bytes that the capture missed; 0: omitted.
    pub missing_bytes: u64,
    /// Its end was seen.
    pub complete: bool,
}

impl Default for Body {
    fn default() -> Self {
        Body { size_bytes: 0, missing_bytes: 0, complete: true }
    }
}

/// The request as published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Method, redacted; empty (unknown): omitted.
    pub method: &'a [u8],
    /// Bytes of the head as on the wire (HTTP/1) or decoded (HTTP/2, names and values).
    pub header_bytes: Option<u64>,
    /// Redacted fields; `None`: omitted.
    pub headers: Option<&'a HeaderJson>,
    /// Body.
    pub body: Body,
}

/// The response as published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Response<'a> {
    /// Status; 0 (unknown): omitted.
    pub status_code: u16,
    /// Interim (1xx) responses before it; 0: omitted.
    pub informational: u32,
    /// Bytes of the head as on the wire (HTTP/1) or decoded (HTTP/2, names and values).
    pub header_bytes: Option<u64>,
    /// Redacted fields; `None`: omitted.
    pub headers: Option<&'a HeaderJson>,
    /// Body.
    pub body: Body,
}

/// Which API endpoint it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Api<'a> {
    /// Endpoint id: 128 bits, written as 32 hex digits.
    pub endpoint_id: Option<[u8; 16]>,
    /// Style.
    pub style: Option<ApiStyle>,
    /// Operation in it: GraphQL operation name, `package.Service/Method`, JSON-RPC method. Redacted.
    pub operation: Option<&'a [u8]>,
}

/// gRPC facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grpc {
    /// gRPC-Web framing.
    pub web: bool,
    /// Messages, client to server.
    pub request_messages: u64,
    /// Messages, server to client.
    pub response_messages: u64,
    /// `grpc-status`.
    pub status_code: Option<u32>,
}

/// WebSocket counts of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerMessages {
    /// Frames, control frames too.
    pub frames: u64,
    /// Text and binary messages that ended.
    pub messages: u64,
    /// Payload bytes of data frames.
    pub payload_bytes: u64,
}

/// WebSocket facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebSocket {
    /// Client to server.
    pub client: PeerMessages,
    /// Server to client.
    pub server: PeerMessages,
    /// permessage-deflate was agreed.
    pub deflate: bool,
    /// Code of the first Close frame.
    pub close_code: Option<u16>,
}

/// Who sent it, as far as it can be said without saying it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Auth<'a> {
    /// Kinds of credential, each once; empty: the whole member is omitted.
    pub kinds: &'a [AuthKind],
    /// Where the first of them was.
    pub location: Option<AuthLocation>,
    /// Keyed hash of the credential ([`FleetKey`](crate::FleetKey)), written as 32 hex digits.
    pub principal_hash: Option<[u8; 16]>,
}

/// One HTTP transaction. Absent members are omitted from the JSON, never `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// First byte of the request (or of the response if there is no request): nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Live or replay.
    pub source: Source,
    /// Who watched.
    pub sensor: Sensor<'a>,
    /// How completely.
    pub capture: Capture<'a>,
    /// Flow id: the same for the same packets on every run. `event_id` is `<32 hex digits>-<tx_index>`.
    pub flow_id: u128,
    /// Community ID of the flow (`1:` and base64), may be empty: omitted.
    pub community_id: &'a str,
    /// What all events of the flow have in common, rendered before ([`FlowText::of`](crate::FlowText::of) one of them); `None`: it is
    /// rendered now. The text is taken for that of `source`, `sensor`, `capture.interface`, `capture.vlan` and `community_id` too.
    pub flow_text: Option<&'a FlowText>,
    /// Number of the transaction within its flow.
    pub tx_index: u64,
    /// HTTP/2 stream.
    pub stream_id: Option<u32>,
    /// Who opened the connection.
    pub client: Peer,
    /// The other end.
    pub server: Peer,
    /// HTTP version.
    pub version: ProtocolVersion,
    /// URL; `None` for a response whose request was not seen.
    pub url: Option<Url<'a>>,
    /// Route template (`/users/{id}`), redacted.
    pub route: Option<&'a [u8]>,
    /// Request.
    pub request: Option<Request<'a>>,
    /// Response.
    pub response: Option<Response<'a>>,
    /// First byte of the request to first byte of the final response: nanoseconds.
    pub ttfb_ns: Option<u64>,
    /// First byte of the request to last byte seen of the response: nanoseconds.
    pub duration_ns: Option<u64>,
    /// Endpoint.
    pub api: Api<'a>,
    /// gRPC.
    pub grpc: Option<Grpc>,
    /// WebSocket.
    pub websocket: Option<WebSocket>,
    /// Events of a `text/event-stream` response.
    pub sse_events: Option<u64>,
    /// Credentials.
    pub auth: Auth<'a>,
    /// Names of oddities, snake_case.
    pub anomalies: &'a [&'a str],
    /// What the connection became.
    pub upgrade: Option<Upgrade>,
    /// Pushed by the server.
    pub pushed: bool,
    /// HTTP/2 error code of RST_STREAM.
    pub reset: Option<u32>,
}
