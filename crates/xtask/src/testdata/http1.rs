//! HTTP/1.1 messages as common clients and servers write them.

use std::fmt::Write as _;

/// A request; `headers` are whole lines without their end.
pub(super) fn request(method: &str, target: &str, host: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if !body.is_empty() {
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// A response with a JSON body and its length.
pub(super) fn response(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = status_line(status);
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    // RFC 9110 §8.6: no Content-Length with 204.
    if status != 204 {
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// A response in chunks.
pub(super) fn chunked(status: u16, content_type: &str, chunks: &[&str]) -> Vec<u8> {
    let mut out = status_line(status);
    let _ = write!(out, "Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        let _ = write!(out, "{:x}\r\n{chunk}\r\n", chunk.len());
    }
    out.push_str("0\r\n\r\n");
    out.into_bytes()
}

fn status_line(status: u16) -> String {
    let reason = match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        422 => "Unprocessable Content",
        _ => "Internal Server Error",
    };
    format!("HTTP/1.1 {status} {reason}\r\nServer: shop\r\n")
}
