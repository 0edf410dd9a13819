//! Request and status lines as they come, and what the first bytes of a direction say.

use memchr::memchr;

use super::usual::request_line;
use crate::anomaly::{Anomalies, Anomaly};
use crate::message::Version;

/// A request line, by place in the line.
#[derive(Debug)]
pub(super) struct RequestLine {
    /// Method token.
    pub(super) method: (usize, usize),
    /// Request target, as on the wire.
    pub(super) target: (usize, usize),
    /// Version; [`Version::Http09`] for a line without one.
    pub(super) version: Version,
    /// Oddities of the line.
    pub(super) anomalies: Anomalies,
}

/// A status line.
#[derive(Debug)]
pub(super) struct StatusLine {
    /// Version.
    pub(super) version: Version,
    /// Status code, at most three digits.
    pub(super) status: u16,
    /// Oddities of the line.
    pub(super) anomalies: Anomalies,
}

/// A token byte (RFC 9110 §5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}

const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without the line end and what a lenient reader drops with it.
pub(super) fn strip_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads a request line (without line end) leniently; `None`: this is no request.
pub(super) fn parse_request_line(line: &[u8]) -> Option<RequestLine> {
    let mut anomalies = Anomalies::default();
    let method_end = line.iter().position(|byte| is_blank(*byte))?;
    if method_end == 0 || !line.get(..method_end)?.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let end = line.iter().rposition(|byte| !is_blank(*byte))?.checked_add(1)?;
    let target_start = line.iter().skip(method_end).position(|byte| !is_blank(*byte))?.checked_add(method_end)?;
    let odd_blank = |from: usize, to: usize| line.get(from..to) != Some(b" ");
    if end != line.len() || odd_blank(method_end, target_start) {
        anomalies.insert(Anomaly::BadStartLine);
    }
    let last_start = line.get(..end)?.iter().rposition(|byte| is_blank(*byte))?.checked_add(1)?;
    let (target_end, version) = if last_start > target_start {
        let version = parse_version(line.get(last_start..end)?, &mut anomalies)?;
        let target_end = line.get(..last_start)?.iter().rposition(|byte| !is_blank(*byte))?.checked_add(1)?;
        if odd_blank(target_end, last_start) {
            anomalies.insert(Anomaly::BadStartLine);
        }
        (target_end, version)
    } else if line.get(..method_end) == Some(b"GET") && line.get(target_start) == Some(&b'/') {
        // RFC 1945 §4.1, Simple-Request: nothing follows the line.
        (end, Version::Http09)
    } else {
        return None;
    };
    for byte in line.get(target_start..target_end)? {
        match byte {
            0x80.. => anomalies.insert(Anomaly::NonAscii),
            b' ' | b'\t' => anomalies.insert(Anomaly::BadStartLine),
            0x00..=0x1f | 0x7f => anomalies.insert(Anomaly::ControlByte),
            _ => {}
        }
    }
    Some(RequestLine { method: (0, method_end), target: (target_start, target_end), version, anomalies })
}

/// Reads a status line (without line end) leniently; `None`: this is no response.
pub(super) fn parse_status_line(line: &[u8]) -> Option<StatusLine> {
    let mut anomalies = Anomalies::default();
    let version_end = line.iter().position(|byte| is_blank(*byte))?;
    let version = parse_version(line.get(..version_end)?, &mut anomalies)?;
    let status_start = line.iter().skip(version_end).position(|byte| !is_blank(*byte))?.checked_add(version_end)?;
    if line.get(version_end..status_start) != Some(b" ") {
        anomalies.insert(Anomaly::BadStartLine);
    }
    let rest = line.get(status_start..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    if digits != 3 || rest.get(3).is_some_and(|byte| *byte != b' ') {
        anomalies.insert(Anomaly::BadStartLine);
    }
    let status = rest.iter().take(digits.min(3)).fold(0u16, |status, digit| status * 10 + u16::from(digit - b'0'));
    if rest.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        anomalies.insert(Anomaly::ControlByte);
    }
    if !rest.is_ascii() {
        anomalies.insert(Anomaly::NonAscii);
    }
    Some(StatusLine { version, status, anomalies })
}

/// `HTTP/1.1` in any spelling; `None` if it is another protocol, or HTTP/2's preface.
fn parse_version(token: &[u8], anomalies: &mut Anomalies) -> Option<Version> {
    match token {
        b"HTTP/1.1" => return Some(Version::Http11),
        b"HTTP/1.0" => return Some(Version::Http10),
        _ => {}
    }
    if !token.get(..5)?.eq_ignore_ascii_case(b"HTTP/") {
        return None;
    }
    anomalies.insert(Anomaly::BadVersion);
    match token.get(5..)? {
        b"2.0" | b"2" => None,
        b"1.0" | b"0.9" | b"1" => Some(Version::Http10),
        _ => Some(Version::Http11),
    }
}

/// What the first bytes of a direction say about one protocol. The answer to a longer prefix never contradicts the
/// answer to a shorter one, so it does not depend on how the bytes were split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// They are of this protocol.
    Yes,
    /// They are not.
    No,
    /// They may be.
    More,
}

/// Bytes of an unfinished request line that must look right before a known method and `/` are enough.
const LONG_LINE: usize = 2048;

/// Do these bytes start a request?
pub(crate) fn recognise_request(bytes: &[u8]) -> Guess {
    if request_line(bytes).is_some() {
        // The usual line, which is one for the reader below too.
        return Guess::Yes;
    }
    let bytes = skip_line_ends(bytes);
    let end = memchr(b'\n', bytes);
    let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    // A control byte before the line's end: binary that begins like a request (F047).
    let printable = |line: &[u8]| line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    if end.is_some() {
        let line = strip_line_end(line);
        return if printable(line) && parse_request_line(line).is_some() { Guess::Yes } else { Guess::No };
    }
    let method_end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    let method = line.get(..method_end).unwrap_or_default();
    if !method.iter().all(|byte| is_token(*byte)) || !printable(line.strip_suffix(b"\r").unwrap_or(line)) {
        return Guess::No;
    }
    if line.len() >= LONG_LINE && is_known_method(method) && line.get(method_end + 1) == Some(&b'/') {
        return Guess::Yes;
    }
    Guess::More
}

/// Do these bytes start a response?
pub(crate) fn recognise_response(bytes: &[u8]) -> Guess {
    let bytes = skip_line_ends(bytes);
    let name = b"HTTP/";
    let seen = bytes.len().min(name.len());
    if !bytes.get(..seen).unwrap_or_default().eq_ignore_ascii_case(name.get(..seen).unwrap_or_default()) {
        return Guess::No;
    }
    match memchr(b'\n', bytes) {
        Some(end) => match parse_status_line(strip_line_end(bytes.get(..end).unwrap_or_default())) {
            Some(_) => Guess::Yes,
            None => Guess::No,
        },
        None => Guess::More,
    }
}

/// Empty lines before a message mean nothing (RFC 9112 §2.2).
pub(super) fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let skipped = bytes.iter().take_while(|byte| **byte == b'\r' || **byte == b'\n').count();
    bytes.get(skipped..).unwrap_or_default()
}

/// Methods common enough to recognise a request by where nothing else helps.
pub(super) fn is_known_method(method: &[u8]) -> bool {
    METHODS.contains(&method)
}

/// Do the bytes begin with a known method and a blank, or may they still?
pub(super) fn may_start_with_known_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| bytes.iter().zip(method.iter().chain(b" ")).all(|(byte, expected)| byte == expected))
}

const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"PATCH",
    b"HEAD",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"QUERY",
    b"PURGE",
    b"LINK",
    b"UNLINK",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn request_lines() {
        let line = parse_request_line(b"GET /a HTTP/1.1").unwrap();
        assert_eq!((line.method, line.target, line.version), ((0, 3), (4, 6), Version::Http11));
        assert!(line.anomalies.is_empty());
        let line = parse_request_line(b"GET  /a  HTTP/1.1").unwrap();
        assert_eq!(line.target, (5, 7));
        assert!(line.anomalies.contains(Anomaly::BadStartLine));
        assert!(parse_request_line(b"GET /a http/1.1").unwrap().anomalies.contains(Anomaly::BadVersion));
        assert_eq!(parse_request_line(b"GET /a").unwrap().version, Version::Http09);
        for none in [
            &b"EHLO x"[..],
            b"PRI * HTTP/2.0",
            b"GET",
            b"",
            b" GET / HTTP/1.1",
            b"G\x00T / HTTP/1.1",
            b"OPTIONS * RTSP/1.0",
        ] {
            assert!(parse_request_line(none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn status_lines() {
        assert_eq!(parse_status_line(b"HTTP/1.1 200 OK").unwrap().status, 200);
        assert_eq!(parse_status_line(b"HTTP/1.1 301").unwrap().status, 301);
        assert!(parse_status_line(b"HTTP/1.1\t200 OK").unwrap().anomalies.contains(Anomaly::BadStartLine));
        assert!(parse_status_line(b"http/1.1 99999999 OK").unwrap().anomalies.contains(Anomaly::BadStartLine));
        assert!(parse_status_line(b"HTP/1.1 200 OK").is_none());
    }

    #[test]
    fn guesses_never_contradict_a_shorter_prefix() {
        for (bytes, last) in [
            (&b"\r\nGET / HTTP/1.1\r\nHost: a"[..], Guess::Yes),
            (b"GET \x00\x01\x02\n", Guess::No),
            (b"EHLO mail\r\nGET / HTTP/1.1\r\n", Guess::No),
        ] {
            let mut decided = Guess::More;
            for end in 0..=bytes.len() {
                let guess = recognise_request(&bytes[..end]);
                assert!(decided == Guess::More || decided == guess);
                decided = guess;
            }
            assert_eq!(decided, last);
        }
    }
}
