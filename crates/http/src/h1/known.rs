//! Which well-known field a name is.

use crate::message::KnownHeader;

/// A name by its first and last eight bytes (four and four below eight), which cover it up to sixteen.
type Ends = (u64, u64);

/// Lower case for letters; leaves `-` and digits as they are. Two different token bytes that become equal are no letters
/// of any name below.
const LOWER: u64 = 0x2020_2020_2020_2020;

const fn word(bytes: &[u8], start: usize, len: usize) -> u64 {
    let mut value = 0u64;
    let mut at = 0;
    while at < len {
        value |= (bytes[start + at] as u64) << (8 * at);
        at += 1;
    }
    value
}

const fn known(name: &str, known: KnownHeader) -> (Ends, &[u8], KnownHeader) {
    let bytes = name.as_bytes();
    let half = if bytes.len() < 8 { 4 } else { 8 };
    ((word(bytes, 0, half), word(bytes, bytes.len() - half, half)), bytes, known)
}

macro_rules! names {
    ($($name:literal = $known:ident),*) => {{
        const NAMES: &[(Ends, &[u8], KnownHeader)] = &[$(known($name, KnownHeader::$known)),*];
        NAMES
    }};
}

/// Looks up a field name made of token bytes (RFC 9110 §5.6.2), ignoring case: one switch on the length, at most four
/// comparisons of two words.
pub(crate) fn known_header(name: &[u8]) -> KnownHeader {
    let candidates = match name.len() {
        2 => return if name.eq_ignore_ascii_case(b"te") { KnownHeader::Te } else { KnownHeader::Other },
        4 => names!["host" = Host, "date" = Date],
        6 => names!["accept" = Accept, "cookie" = Cookie, "server" = Server, "expect" = Expect],
        7 => names!["upgrade" = Upgrade, "trailer" = Trailer],
        8 => names!["location" = Location],
        9 => names!["x-api-key" = XApiKey, "forwarded" = Forwarded],
        10 => names!["connection" = Connection, "user-agent" = UserAgent, "set-cookie" = SetCookie],
        11 => names!["traceparent" = TraceParent, "grpc-status" = GrpcStatus],
        12 => names!["content-type" = ContentType, "x-request-id" = XRequestId],
        13 => names!["authorization" = Authorization, "cache-control" = CacheControl],
        14 => names!["content-length" = ContentLength, "http2-settings" = Http2Settings],
        15 => names!["x-forwarded-for" = XForwardedFor],
        16 => names!["content-encoding" = ContentEncoding, "www-authenticate" = WwwAuthenticate],
        17 => names!["transfer-encoding" = TransferEncoding],
        19 => names!["proxy-authorization" = ProxyAuthorization],
        24 => names!["sec-websocket-extensions" = SecWebSocketExtensions],
        _ => return KnownHeader::Other,
    };
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first) | LOWER, u64::from_le_bytes(*last) | LOWER),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u64::from(u32::from_le_bytes(*first) | LOWER as u32),
                u64::from(u32::from_le_bytes(*last) | LOWER as u32),
            ),
            _ => return KnownHeader::Other,
        },
    };
    for (ends, text, known) in candidates {
        if *ends == (first, last) && (name.len() <= 16 || text.eq_ignore_ascii_case(name)) {
            return *known;
        }
    }
    KnownHeader::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        for (name, known) in [
            ("HOST", KnownHeader::Host),
            ("te", KnownHeader::Te),
            ("Cookie", KnownHeader::Cookie),
            ("Expect", KnownHeader::Expect),
            ("Upgrade", KnownHeader::Upgrade),
            ("Location", KnownHeader::Location),
            ("X-API-Key", KnownHeader::XApiKey),
            ("Content-Length", KnownHeader::ContentLength),
            ("sec-websocket-extensions", KnownHeader::SecWebSocketExtensions),
            ("sec-websocket-Xxtensions", KnownHeader::Other),
            ("HTTP2-Settings", KnownHeader::Http2Settings),
            ("Transfer-Encoding", KnownHeader::TransferEncoding),
            ("TransferXEncoding", KnownHeader::Other),
            ("Content-Length-X", KnownHeader::Other),
            ("hosu", KnownHeader::Other),
            ("", KnownHeader::Other),
        ] {
            assert_eq!(known_header(name.as_bytes()), known, "{name}");
        }
    }
}
