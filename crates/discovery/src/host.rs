//! One canonical form for the host of a service.

use std::io::Write as _;
use std::net::IpAddr;

/// Longest host name of DNS (RFC 1035 §2.3.4); a longer authority is cut (F041).
const HOST_BYTES: usize = 253;

/// Writes the canonical host to `out` (cleared first): lower case, without user info, trailing dot and default port
/// (80, or 443 with `https`); another port stays, as it tells services apart. It ends where an authority does (`/`, `?`, `#`)
/// or at a blank or control byte; other bytes that no host name has become `_`.
/// Without an authority the service is the server's address, with its port unless that is the default.
///
/// `redact` appends a name as it may be shown: before it is lower case, which would hide what it looks like.
///
/// Idempotent: the canonical form of a canonical host is itself. Gives how many bytes the host is without its port,
/// and the port where there is one.
pub fn canonical_host(
    authority: Option<&[u8]>,
    https: bool,
    server: (IpAddr, u16),
    redact: impl FnOnce(&[u8], &mut Vec<u8>),
    out: &mut Vec<u8>,
) -> (usize, Option<u16>) {
    out.clear();
    let default_port = if https { 443 } else { 80 };
    let authority = authority.unwrap_or_default();
    // What follows the authority in a URL, or after a blank, is no part of a host: a path, a query, who knows what.
    let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\' | 0..=b' ' | 0x7f));
    let authority = authority.get(..end.unwrap_or(authority.len())).unwrap_or_default();
    let authority = match authority.iter().rposition(|&byte| byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    };
    let (host, port) = split_port(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() {
        let _ = match server.0 {
            IpAddr::V6(address) => write!(out, "[{address}]"),
            IpAddr::V4(address) => write!(out, "{address}"),
        };
        return write_port(Some(server.1), default_port, out);
    }
    redact(host.get(..HOST_BYTES).unwrap_or(host), out);
    for byte in out.iter_mut() {
        *byte = match byte.to_ascii_lowercase() {
            byte @ (b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'[' | b']' | b':' | b'{' | b'}') => byte,
            _ => b'_',
        };
    }
    write_port(port, default_port, out)
}

/// Appends a port that is not the default; gives the length before it.
fn write_port(port: Option<u16>, default_port: u16, out: &mut Vec<u8>) -> (usize, Option<u16>) {
    let len = out.len();
    let port = port.filter(|&port| port != default_port);
    if let Some(port) = port {
        let _ = write!(out, ":{port}");
    }
    (len, port)
}

/// Splits a trailing `:port` off; a colon inside an IPv6 literal or a placeholder is none. A port that is no number is dropped.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let Some(colon) = authority.iter().rposition(|&byte| byte == b':') else { return (authority, None) };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    if port.iter().any(|byte| matches!(byte, b']' | b'}')) || (host.contains(&b':') && !host.ends_with(b"]")) {
        return (authority, None);
    }
    let number = std::str::from_utf8(port).ok().and_then(|text| text.parse::<u16>().ok());
    (host, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(authority: &str) -> String {
        let mut out = Vec::new();
        let server = ([10, 0, 0, 7].into(), 8080);
        let plain = |host: &[u8], out: &mut Vec<u8>| out.extend_from_slice(host);
        canonical_host(Some(authority.as_bytes()), false, server, plain, &mut out);
        String::from_utf8(out).expect("canonical hosts are ASCII")
    }

    #[test]
    fn f041_one_form_for_a_host_however_it_is_written() {
        for (authority, expected) in [
            ("API.Example.com", "api.example.com"),
            ("api.example.com:80", "api.example.com"),
            ("api.example.com:8443", "api.example.com:8443"),
            ("api.example.com.", "api.example.com"),
            ("user:pw@api.example.com", "api.example.com"),
            ("[2001:DB8::1]:8080", "[2001:db8::1]:8080"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("a.example:port", "a.example"),
            ("a.example:99999", "a.example"),
            ("{token:0123456789ab}.example.com:81", "{token:0123456789ab}.example.com:81"),
            ("{token:0123456789ab}", "{token:0123456789ab}"),
            ("evil\r\nx: y", "evil"),
            ("a.example/reset/s3cr3t", "a.example"),
            ("a.example:8080?token=s3cr3t", "a.example:8080"),
            ("a.example#s3cr3t@b.example", "a.example"),
            ("a.example s3cr3t", "a.example"),
            ("a.example\0s3cr3t", "a.example"),
            ("a=b.example", "a_b.example"),
            ("", "10.0.0.7:8080"),
        ] {
            let once = canonical(authority);
            assert_eq!(once, expected, "{authority:?}");
            assert_eq!(canonical(&once), once, "idempotent for {authority:?}");
        }
        assert_eq!(canonical(&"a".repeat(1000)).len(), HOST_BYTES);
    }
}
