//! Web pages and static files: set aside, not mixed in with APIs.

use super::{Facts, Style};
use crate::routes::is_version;

/// Names of files end in these. Data formats (`json`, `xml`, `csv`) are none: APIs end in them.
const FILE_ENDINGS: [&str; 32] = [
    "css",
    "js",
    "mjs",
    "map",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "avif",
    "ico",
    "bmp",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "mp3",
    "mp4",
    "webm",
    "ogg",
    "wav",
    "m4a",
    "mov",
    "wasm",
    "webmanifest",
    "m3u8",
    "ts",
    "swf",
    "br",
    "gz",
];
const PAGE_ENDINGS: [&str; 7] = ["html", "htm", "xhtml", "php", "aspx", "jsp", "shtml"];

/// Types of pages and of what they are made of.
const TYPES: [&str; 8] = [
    "text/html",
    "application/xhtml",
    "text/css",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "font/",
    "application/font",
];

/// Page, file, or neither. The type of what came back decides; without one, the name and what the client asks for.
pub(super) fn style(facts: &Facts<'_>) -> Style {
    if !matches!(facts.method, b"GET" | b"HEAD") {
        return Style::Rest;
    }
    let kind = facts.response_type();
    if kind.starts_with(b"application/json") {
        return Style::Rest;
    }
    let is = |prefix: &[u8]| kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let ending = ending(facts.path);
    let wants_page = || {
        facts
            .request_headers
            .and_then(|headers| headers.first(umbra_http::KnownHeader::Accept))
            .is_some_and(|accept| memchr::memmem::find(accept, b"text/html").is_some())
    };
    match facts.status {
        // An error page says nothing about what was asked for.
        200..=299 if !kind.is_empty() => {
            let is_data = is(b"application/xml") || is(b"text/csv");
            let is_file = TYPES.iter().any(|prefix| is(prefix.as_bytes()))
                || (!is_data
                    && ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending))
                    && !is_api_path(facts.path))
                || (is(b"text/plain") && is_for_visitors(facts.path, ending));
            if is_file { Style::Web } else { Style::Rest }
        }
        _ => match ending {
            Some(ending) if FILE_ENDINGS.contains(&ending) => Style::Web,
            Some(ending) if PAGE_ENDINGS.contains(&ending) => Style::Web,
            _ if (kind.is_empty() || is(b"text/plain")) && is_for_visitors(facts.path, ending) => Style::Web,
            _ if is(b"text/html") && wants_page() => Style::Web,
            _ => Style::Rest,
        },
    }
}

/// What follows the last dot of the last segment.
fn ending(path: &[u8]) -> Option<&str> {
    let last = path.rsplit(|&byte| byte == b'/').next()?;
    let dot = last.iter().rposition(|&byte| byte == b'.')?;
    std::str::from_utf8(last.get(dot + 1..)?).ok()
}

/// A picture at `/api/users/7/avatar.png` is what an API gives.
fn is_api_path(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .any(|segment| segment == b"rest" || segment.eq_ignore_ascii_case(b"api") || is_version(segment))
}

/// `/robots.txt`, `/.well-known/security.txt`: what web sites tell their visitors (RFC 8615, RFC 9309).
fn is_for_visitors(path: &[u8], ending: Option<&str>) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    ending == Some("txt") && !path.strip_prefix(b".well-known/").unwrap_or(path).contains(&b'/')
}
