//! The static table (RFC 7541 Appendix A) and the names the sensor knows.

use super::Name;
use crate::message::KnownHeader;

/// Index 1 to 61 of the index space, from 0 here.
#[rustfmt::skip]
pub(super) static STATIC_TABLE: [(Name, &[u8], &[u8]); 61] = [
    (Name::Authority, b":authority", b""),
    (Name::Method, b":method", b"GET"),
    (Name::Method, b":method", b"POST"),
    (Name::Path, b":path", b"/"),
    (Name::Path, b":path", b"/index.html"),
    (Name::Scheme, b":scheme", b"http"),
    (Name::Scheme, b":scheme", b"https"),
    (Name::Status, b":status", b"200"),
    (Name::Status, b":status", b"204"),
    (Name::Status, b":status", b"206"),
    (Name::Status, b":status", b"304"),
    (Name::Status, b":status", b"400"),
    (Name::Status, b":status", b"404"),
    (Name::Status, b":status", b"500"),
    (Name::Field(KnownHeader::Other), b"accept-charset", b""),
    (Name::Field(KnownHeader::Other), b"accept-encoding", b"gzip, deflate"),
    (Name::Field(KnownHeader::Other), b"accept-language", b""),
    (Name::Field(KnownHeader::Other), b"accept-ranges", b""),
    (Name::Field(KnownHeader::Accept), b"accept", b""),
    (Name::Field(KnownHeader::Other), b"access-control-allow-origin", b""),
    (Name::Field(KnownHeader::Other), b"age", b""),
    (Name::Field(KnownHeader::Other), b"allow", b""),
    (Name::Field(KnownHeader::Authorization), b"authorization", b""),
    (Name::Field(KnownHeader::CacheControl), b"cache-control", b""),
    (Name::Field(KnownHeader::Other), b"content-disposition", b""),
    (Name::Field(KnownHeader::ContentEncoding), b"content-encoding", b""),
    (Name::Field(KnownHeader::Other), b"content-language", b""),
    (Name::Field(KnownHeader::ContentLength), b"content-length", b""),
    (Name::Field(KnownHeader::Other), b"content-location", b""),
    (Name::Field(KnownHeader::Other), b"content-range", b""),
    (Name::Field(KnownHeader::ContentType), b"content-type", b""),
    (Name::Field(KnownHeader::Cookie), b"cookie", b""),
    (Name::Field(KnownHeader::Date), b"date", b""),
    (Name::Field(KnownHeader::Other), b"etag", b""),
    (Name::Field(KnownHeader::Expect), b"expect", b""),
    (Name::Field(KnownHeader::Other), b"expires", b""),
    (Name::Field(KnownHeader::Other), b"from", b""),
    (Name::Field(KnownHeader::Host), b"host", b""),
    (Name::Field(KnownHeader::Other), b"if-match", b""),
    (Name::Field(KnownHeader::Other), b"if-modified-since", b""),
    (Name::Field(KnownHeader::Other), b"if-none-match", b""),
    (Name::Field(KnownHeader::Other), b"if-range", b""),
    (Name::Field(KnownHeader::Other), b"if-unmodified-since", b""),
    (Name::Field(KnownHeader::Other), b"last-modified", b""),
    (Name::Field(KnownHeader::Other), b"link", b""),
    (Name::Field(KnownHeader::Location), b"location", b""),
    (Name::Field(KnownHeader::Other), b"max-forwards", b""),
    (Name::Field(KnownHeader::Other), b"proxy-authenticate", b""),
    (Name::Field(KnownHeader::ProxyAuthorization), b"proxy-authorization", b""),
    (Name::Field(KnownHeader::Other), b"range", b""),
    (Name::Field(KnownHeader::Other), b"referer", b""),
    (Name::Field(KnownHeader::Other), b"refresh", b""),
    (Name::Field(KnownHeader::Other), b"retry-after", b""),
    (Name::Field(KnownHeader::Server), b"server", b""),
    (Name::Field(KnownHeader::SetCookie), b"set-cookie", b""),
    (Name::Field(KnownHeader::Other), b"strict-transport-security", b""),
    (Name::Field(KnownHeader::TransferEncoding), b"transfer-encoding", b""),
    (Name::Field(KnownHeader::UserAgent), b"user-agent", b""),
    (Name::Field(KnownHeader::Other), b"vary", b""),
    (Name::Field(KnownHeader::Other), b"via", b""),
    (Name::Field(KnownHeader::WwwAuthenticate), b"www-authenticate", b""),
];

/// What a lower-case field name means.
pub(super) fn classify(name: &[u8]) -> Name {
    if let [b':', rest @ ..] = name {
        return match rest {
            b"method" => Name::Method,
            b"path" => Name::Path,
            b"scheme" => Name::Scheme,
            b"authority" => Name::Authority,
            b"status" => Name::Status,
            b"protocol" => Name::Protocol,
            _ => Name::OtherPseudo,
        };
    }
    Name::Field(known(name))
}

fn known(name: &[u8]) -> KnownHeader {
    match name {
        b"host" => KnownHeader::Host,
        b"content-length" => KnownHeader::ContentLength,
        b"transfer-encoding" => KnownHeader::TransferEncoding,
        b"content-type" => KnownHeader::ContentType,
        b"content-encoding" => KnownHeader::ContentEncoding,
        b"connection" => KnownHeader::Connection,
        b"upgrade" => KnownHeader::Upgrade,
        b"authorization" => KnownHeader::Authorization,
        b"proxy-authorization" => KnownHeader::ProxyAuthorization,
        b"cookie" => KnownHeader::Cookie,
        b"set-cookie" => KnownHeader::SetCookie,
        b"user-agent" => KnownHeader::UserAgent,
        b"x-api-key" => KnownHeader::XApiKey,
        b"grpc-status" => KnownHeader::GrpcStatus,
        b"traceparent" => KnownHeader::TraceParent,
        b"x-request-id" => KnownHeader::XRequestId,
        b"forwarded" => KnownHeader::Forwarded,
        b"x-forwarded-for" => KnownHeader::XForwardedFor,
        b"sec-websocket-extensions" => KnownHeader::SecWebSocketExtensions,
        b"expect" => KnownHeader::Expect,
        b"te" => KnownHeader::Te,
        b"trailer" => KnownHeader::Trailer,
        b"server" => KnownHeader::Server,
        b"location" => KnownHeader::Location,
        b"www-authenticate" => KnownHeader::WwwAuthenticate,
        b"accept" => KnownHeader::Accept,
        b"http2-settings" => KnownHeader::Http2Settings,
        b"date" => KnownHeader::Date,
        b"cache-control" => KnownHeader::CacheControl,
        _ => KnownHeader::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_table_says_what_classify_says() {
        for (name, bytes, _) in &STATIC_TABLE {
            assert_eq!(classify(bytes), *name, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
