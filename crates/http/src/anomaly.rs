//! Named oddities in traffic.

macro_rules! anomalies {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// An oddity in traffic. The name is what events and counters carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Anomaly { $($(#[$doc])* $name,)* }

        impl Anomaly {
            /// Every anomaly.
            pub const ALL: &'static [Anomaly] = &[$(Anomaly::$name,)*];

            /// The name in records and counters: snake_case.
            pub const fn name(self) -> &'static str {
                match self { $(Anomaly::$name => $text,)* }
            }
        }
    };
}

anomalies! {
    /// A retransmission carried other bytes (F020).
    SegmentConflict = "segment_conflict",
    /// The request was never acknowledged by the server although its ACKs are visible (F023).
    Unacknowledged = "unacknowledged",
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.1).
    LengthAndChunked = "length_and_chunked",
    /// Content-Length repeated with different values, or not a number.
    BadContentLength = "bad_content_length",
    /// Transfer-Encoding that is not exactly a list ending in chunked.
    BadTransferEncoding = "bad_transfer_encoding",
    /// Chunk size line that is not hex, or too long.
    BadChunk = "bad_chunk",
    /// Chunk extensions past the limit.
    LongChunkExtension = "long_chunk_extension",
    /// Line end that is not CRLF.
    BareLineEnd = "bare_line_end",
    /// NUL or another control byte in a head.
    ControlByte = "control_byte",
    /// Byte ≥ 0x80 in a head.
    NonAscii = "non_ascii",
    /// Blank between field name and colon (RFC 9112 §5.1).
    SpaceBeforeColon = "space_before_colon",
    /// Empty field name or a line without colon.
    BadHeaderLine = "bad_header_line",
    /// Folded header line (obs-fold, RFC 9112 §5.2).
    FoldedHeader = "folded_header",
    /// More header bytes or fields than are kept.
    HeaderLimit = "header_limit",
    /// Target longer than is kept.
    TargetLimit = "target_limit",
    /// Request or status line that is not of the standard's form.
    BadStartLine = "bad_start_line",
    /// Version that is not HTTP/1.x as written in the standard.
    BadVersion = "bad_version",
    /// Method token unknown to the registry and longer than is kept.
    LongMethod = "long_method",
    /// Several Host fields, or Host and target disagree (F041).
    HostConflict = "host_conflict",
    /// Host that is no host name or address.
    BadHost = "bad_host",
    /// A request of HTTP/1.1 without Host.
    MissingHost = "missing_host",
    /// More requests waiting for an answer than are kept.
    PendingLimit = "pending_limit",
    /// A response to no request that was seen.
    OrphanResponse = "orphan_response",
    /// The response began before the request ended.
    EarlyResponse = "early_response",
    /// More interim responses than are expected.
    InterimLimit = "interim_limit",
    /// The body was cut by the end of the connection.
    IncompleteBody = "incomplete_body",
    /// Trailers carry fields that do not belong there (Host, Content-Length, Authorization …).
    ForbiddenTrailer = "forbidden_trailer",
    /// HPACK could not be decoded; its table is unknown from here on.
    HpackError = "hpack_error",
    /// A header block past the limits (F048, F050).
    HeaderBlockLimit = "header_block_limit",
    /// A frame of wrong size, on the wrong stream, or in the wrong order (F053).
    BadFrame = "bad_frame",
    /// Pseudo-header doubled, late, missing or malformed (F054).
    BadPseudoHeader = "bad_pseudo_header",
    /// Upper-case field name in HTTP/2.
    UpperCaseName = "upper_case_name",
    /// More live streams than are kept (F051).
    StreamLimit = "stream_limit",
    /// gRPC message length or flag that cannot be (F057).
    BadGrpcMessage = "bad_grpc_message",
    /// WebSocket frame against RFC 6455 (F059).
    BadWebSocketFrame = "bad_websocket_frame",
    /// Body did not decode as its Content-Encoding says.
    BadContentEncoding = "bad_content_encoding",
    /// Decoding stopped at a size, ratio or layer limit (F064, F065).
    DecompressionLimit = "decompression_limit",
    /// The protocol changed without an upgrade.
    ProtocolChange = "protocol_change",
    /// An upgrade was asked for and refused, or answered without being asked.
    UnexpectedUpgrade = "unexpected_upgrade",
    /// Expect: 100-continue with nothing to send, or an unknown expectation.
    OddExpect = "odd_expect",
}

/// A set of anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies(u64);

impl Anomalies {
    /// Adds one.
    pub fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << (anomaly as u8);
    }

    /// Takes one out.
    pub fn remove(&mut self, anomaly: Anomaly) {
        self.0 &= !(1 << (anomaly as u8));
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: Anomalies) {
        self.0 |= other.0;
    }

    /// Is it in the set?
    pub fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & (1 << (anomaly as u8)) != 0
    }

    /// Is the set empty?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`Anomaly::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.iter().copied().filter(move |anomaly| self.contains(*anomaly))
    }
}

const _: () = assert!(Anomaly::ALL.len() <= 64, "one bit an anomaly");
