//! What one transaction says about the routes of a service.

use serde::{Deserialize, Serialize};

/// One transaction, as route inference sees it. All of it can be read off the wire; bodies only where they were sampled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Which service: the canonical host ([`crate::canonical_host`]).
    pub service: &'a [u8],
    /// Method.
    pub method: &'a [u8],
    /// Raw path, without query.
    pub path: &'a [u8],
    /// Status of the final response.
    pub status: u16,
    /// Content-Type of the request, as sent.
    pub request_type: Option<&'a [u8]>,
    /// Content-Type of the response, as sent.
    pub response_type: Option<&'a [u8]>,
    /// Has the response a body?
    pub has_response_body: bool,
    /// Hashes ([`ValueKey`](crate::schema::ValueKey)) of the names of query parameters.
    pub query: &'a [u64],
    /// Hashes of the key paths of the request's JSON or form body, none if it was not looked at.
    pub request_keys: &'a [u64],
    /// Hashes of the key paths of the response's JSON body; `None` if it was not looked at.
    pub response_keys: Option<&'a [u64]>,
    /// Hashes of the strings and numbers in the response's body that could be identifiers ([`super::is_candidate_value`]).
    pub values: &'a [u64],
    /// Differs from transaction to transaction and is the same for the same one on every run: decides by lot what stays where a
    /// bound is reached.
    pub lot: u64,
}

/// What a response or request body is, in few classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// No body, or nothing said about it.
    None,
    /// JSON and its suffixed relatives.
    Json,
    /// XML and its relatives.
    Xml,
    /// Forms, also multipart.
    Form,
    /// HTML.
    Html,
    /// Style sheets, scripts, fonts, icons.
    Asset,
    /// Pictures, sound, film.
    Media,
    /// Other text.
    Text,
    /// Anything else.
    Binary,
}

impl BodyKind {
    /// The class of a media type.
    pub fn of(content_type: Option<&[u8]>) -> BodyKind {
        let Some(content_type) = content_type else { return BodyKind::None };
        if content_type == b"application/json" {
            return BodyKind::Json;
        }
        let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
        let name = content_type.get(..end).unwrap_or_default().trim_ascii();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let starts =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        let ends = |suffix: &str| {
            name.len()
                .checked_sub(suffix.len())
                .and_then(|at| name.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
        };
        if name.is_empty() {
            BodyKind::None
        } else if ends("json") || ends("json-seq") || ends("ndjson") {
            BodyKind::Json
        } else if is("text/html") || is("application/xhtml+xml") {
            BodyKind::Html
        } else if is("text/css")
            || ends("javascript")
            || ends("ecmascript")
            || starts("font/")
            || ends("manifest+json")
            || is("image/x-icon")
            || is("application/wasm")
            || starts("application/font")
        {
            BodyKind::Asset
        } else if starts("image/") || starts("video/") || starts("audio/") {
            BodyKind::Media
        } else if ends("/xml") || ends("+xml") {
            BodyKind::Xml
        } else if ends("x-www-form-urlencoded") || starts("multipart/") {
            BodyKind::Form
        } else if starts("text/") {
            BodyKind::Text
        } else {
            BodyKind::Binary
        }
    }

    pub(crate) fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// Place of a status code in a set of them.
pub(crate) fn status_bit(status: u16) -> u32 {
    let place = match status {
        200..=208 => status - 200,
        209..=299 => 9,
        300..=308 => status - 300 + 10,
        309..=399 => 19,
        101 => 20,
        _ => 21,
    };
    1 << place
}

/// Methods that are told apart; any other counts as `OTHER`.
pub(crate) const METHODS: [&str; 21] = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "QUERY",
    "LIST",
    "OTHER",
];

/// Number of a method in [`METHODS`].
pub(crate) fn method_number(method: &[u8]) -> u8 {
    match method {
        // Nearly all requests have these.
        b"GET" => 0,
        b"POST" => 1,
        b"PUT" => 2,
        b"DELETE" => 3,
        b"PATCH" => 4,
        _ => METHODS.iter().position(|name| name.as_bytes() == method).unwrap_or(METHODS.len() - 1) as u8,
    }
}
