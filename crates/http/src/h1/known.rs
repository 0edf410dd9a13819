//! Which well-known field a name is.

use crate::message::KnownHeader;

/// Looks a field name up, ignoring case: one switch on the length, at most three comparisons.
pub(crate) fn known_header(name: &[u8]) -> KnownHeader {
    use KnownHeader as K;
    let candidates: &[(&[u8], KnownHeader)] = match name.len() {
        2 => &[(b"te", K::Te)],
        4 => &[(b"host", K::Host)],
        6 => &[(b"accept", K::Accept), (b"cookie", K::Cookie), (b"server", K::Server), (b"expect", K::Expect)],
        7 => &[(b"upgrade", K::Upgrade), (b"trailer", K::Trailer)],
        8 => &[(b"location", K::Location)],
        9 => &[(b"x-api-key", K::XApiKey), (b"forwarded", K::Forwarded)],
        10 => &[(b"connection", K::Connection), (b"user-agent", K::UserAgent), (b"set-cookie", K::SetCookie)],
        11 => &[(b"traceparent", K::TraceParent), (b"grpc-status", K::GrpcStatus)],
        12 => &[(b"content-type", K::ContentType), (b"x-request-id", K::XRequestId)],
        13 => &[(b"authorization", K::Authorization)],
        14 => &[(b"content-length", K::ContentLength), (b"http2-settings", K::Http2Settings)],
        15 => &[(b"x-forwarded-for", K::XForwardedFor)],
        16 => &[(b"content-encoding", K::ContentEncoding), (b"www-authenticate", K::WwwAuthenticate)],
        17 => &[(b"transfer-encoding", K::TransferEncoding)],
        19 => &[(b"proxy-authorization", K::ProxyAuthorization)],
        24 => &[(b"sec-websocket-extensions", K::SecWebSocketExtensions)],
        _ => return K::Other,
    };
    let Some(first) = name.first().map(|byte| byte | 0x20) else { return K::Other };
    candidates
        .iter()
        .find(|(text, _)| text.first() == Some(&first) && text.eq_ignore_ascii_case(name))
        .map_or(K::Other, |(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        assert_eq!(known_header(b"HOST"), KnownHeader::Host);
        assert_eq!(known_header(b"Content-Length"), KnownHeader::ContentLength);
        assert_eq!(known_header(b"sec-websocket-extensions"), KnownHeader::SecWebSocketExtensions);
        assert_eq!(known_header(b"HTTP2-Settings"), KnownHeader::Http2Settings);
        assert_eq!(known_header(b"Content-Length-X"), KnownHeader::Other);
        assert_eq!(known_header(b""), KnownHeader::Other);
    }
}
