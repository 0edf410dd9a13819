//! HAR 1.2 (the W3C draft's format that browsers export), so that HAR tools work on a capture.
//!
//! A HAR file is one JSON value, so workers make entries and the sink joins them:
//!
//! ```
//! use umbra_event::{Event, Request, Url};
//! use umbra_publish::{Har, HarBuffer};
//!
//! let url = Url { domain: Some(b"api.example.com"), path: Some(b"/v1"), ..Url::default() };
//! let request = Request { method: b"GET", ..Request::default() };
//! let mut entries = HarBuffer::default();
//! entries.push(&Event { url: Some(url), request: Some(request), ..Event::default() });
//!
//! let mut file = Vec::new();
//! let mut har = Har::new(&mut file, "0.1.0")?;
//! har.write(entries.bytes())?;
//! har.finish()?;
//! assert!(String::from_utf8_lossy(&file).contains("\"url\":\"http://api.example.com/v1\""));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What HAR demands and an event lacks is filled as HAR says: sizes -1, status 0, empty strings; a value that is not known is empty
//! with a `comment`. Cookies and bodies are never there. Events without a request have no entry: they are counted.

use std::io::{self, Write};

use umbra_event::text::{write_escaped, write_string};
use umbra_event::{Event, HeaderJson, ProtocolVersion, Request, Response, Url, write_ip, write_rfc3339};

/// Entries of one worker, joined by commas, in a buffer that is used again.
#[derive(Clone, Debug, Default)]
pub struct HarBuffer {
    bytes: Vec<u8>,
    /// Entries in it.
    pub entries: u64,
    /// Events without a request, which HAR cannot say.
    pub skipped: u64,
    url: Vec<u8>,
}

impl HarBuffer {
    /// Empties it, keeping its memory and `skipped`.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }

    /// The entries, for [`Har::write`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends the entry of an event.
    pub fn push(&mut self, event: &Event<'_>) {
        let Some(request) = &event.request else {
            self.skipped = self.skipped.saturating_add(1);
            return;
        };
        self.url.clear();
        write_url(event, &mut self.url);
        let out = &mut self.bytes;
        if self.entries > 0 {
            out.extend_from_slice(b",\n");
        }
        self.entries += 1;
        let ttfb_ns = event.ttfb_ns.unwrap_or(0);
        let duration_ns = event.duration_ns.unwrap_or(ttfb_ns).max(ttfb_ns);
        out.extend_from_slice(b"{\"startedDateTime\":\"");
        write_rfc3339(event.time_ns, out);
        out.extend_from_slice(b"\",\"time\":");
        write_milliseconds(duration_ns, out);
        write_request(event, request, &self.url, out);
        write_response(event, event.response.as_ref(), out);
        out.extend_from_slice(b",\"cache\":{},\"timings\":{\"send\":0,\"wait\":");
        write_milliseconds(ttfb_ns, out);
        out.extend_from_slice(b",\"receive\":");
        write_milliseconds(duration_ns - ttfb_ns, out);
        out.extend_from_slice(b"},\"serverIPAddress\":\"");
        write_ip(event.server.address, out);
        out.extend_from_slice(b"\",\"connection\":\"");
        number(u64::from(event.client.port), out);
        out.extend_from_slice(b"\"}");
    }
}

fn write_request(event: &Event<'_>, request: &Request<'_>, url: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"request\":{\"method\":");
    write_string(request.method, out);
    out.extend_from_slice(b",\"url\":");
    write_string(url, out);
    out.extend_from_slice(b",\"httpVersion\":\"");
    out.extend_from_slice(http_version(event.version));
    out.extend_from_slice(b"\",\"cookies\":[],\"headers\":[");
    write_headers(request.headers, out);
    out.extend_from_slice(b"],\"queryString\":[");
    write_query(event.url.and_then(|url| url.query).unwrap_or_default(), out);
    out.extend_from_slice(b"],\"headersSize\":");
    size(request.header_bytes, out);
    out.extend_from_slice(b",\"bodySize\":");
    size(Some(request.body.size_bytes), out);
    out.push(b'}');
}

fn write_response(event: &Event<'_>, response: Option<&Response<'_>>, out: &mut Vec<u8>) {
    let headers = response.and_then(|response| response.headers);
    out.extend_from_slice(b",\"response\":{\"status\":");
    number(response.map_or(0, |response| u64::from(response.status_code)), out);
    out.extend_from_slice(b",\"statusText\":\"\",\"httpVersion\":\"");
    out.extend_from_slice(http_version(event.version));
    out.extend_from_slice(b"\",\"cookies\":[],\"headers\":[");
    write_headers(headers, out);
    out.extend_from_slice(b"],\"content\":{\"size\":");
    number(response.map_or(0, |response| response.body.size_bytes), out);
    out.extend_from_slice(b",\"mimeType\":\"");
    let media_type = headers.and_then(|headers| headers.fields().find(|field| field.name == b"content-type")?.value);
    out.extend_from_slice(media_type.unwrap_or(b"x-unknown"));
    out.extend_from_slice(b"\"},\"redirectURL\":\"\",\"headersSize\":");
    size(response.and_then(|response| response.header_bytes), out);
    out.extend_from_slice(b",\"bodySize\":");
    size(response.map(|response| response.body.size_bytes), out);
    out.push(b'}');
}

fn write_headers(headers: Option<&HeaderJson>, out: &mut Vec<u8>) {
    for (index, field) in headers.into_iter().flat_map(HeaderJson::fields).enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"name\":\"" } else { b"{\"name\":\"" });
        out.extend_from_slice(field.name);
        match field.value {
            Some(value) => {
                out.extend_from_slice(b"\",\"value\":\"");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\"}");
            }
            None => out.extend_from_slice(b"\",\"value\":\"\",\"comment\":\"not known\"}"),
        }
    }
}

fn write_query(query: &[u8], out: &mut Vec<u8>) {
    for (index, pair) in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        out.extend_from_slice(if index > 0 { b",{\"name\":" } else { b"{\"name\":" });
        write_string(parts.next().unwrap_or_default(), out);
        out.extend_from_slice(b",\"value\":");
        write_string(parts.next().unwrap_or_default(), out);
        out.push(b'}');
    }
}

/// HAR wants an absolute URL: what is not known of it is left out.
fn write_url(event: &Event<'_>, out: &mut Vec<u8>) {
    let url = event.url.unwrap_or_default();
    let Url { scheme, domain, port, path, query } = url;
    out.extend_from_slice(scheme.name().as_bytes());
    out.extend_from_slice(b"://");
    match domain {
        Some(domain) if domain.contains(&b':') => {
            out.push(b'[');
            out.extend_from_slice(domain);
            out.push(b']');
        }
        Some(domain) => out.extend_from_slice(domain),
        None if event.server.address.is_ipv6() => {
            out.push(b'[');
            write_ip(event.server.address, out);
            out.push(b']');
        }
        None => write_ip(event.server.address, out),
    }
    if let Some(port) = port {
        out.push(b':');
        number(u64::from(port), out);
    }
    let path = path.unwrap_or(b"/");
    if path.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

fn http_version(version: ProtocolVersion) -> &'static [u8] {
    match version {
        ProtocolVersion::Http09 => b"HTTP/0.9",
        ProtocolVersion::Http10 => b"HTTP/1.0",
        ProtocolVersion::Http11 => b"HTTP/1.1",
        ProtocolVersion::Http2 => b"HTTP/2",
        ProtocolVersion::Http3 => b"HTTP/3",
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A size in bytes, -1 if it is not known.
fn size(value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => number(value, out),
        None => out.extend_from_slice(b"-1"),
    }
}

/// Nanoseconds as milliseconds with six decimals.
fn write_milliseconds(nanos: u64, out: &mut Vec<u8>) {
    number(nanos / 1_000_000, out);
    let mut fraction = *b".000000";
    let mut rest = nanos % 1_000_000;
    for digit in fraction.iter_mut().skip(1).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&fraction);
}

/// The file: header, entries as they come, footer. Without [`finish`](Self::finish) it is not JSON.
pub struct Har<W: Write> {
    writer: W,
    empty: bool,
}

impl<W: Write> Har<W> {
    /// Writes the header. The writer should buffer.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut writer: W, version: &str) -> io::Result<Har<W>> {
        let mut head = b"{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"Umbra\",\"version\":\"".to_vec();
        write_escaped(version.as_bytes(), &mut head);
        head.extend_from_slice(b"\"},\"entries\":[\n");
        writer.write_all(&head)?;
        Ok(Har { writer, empty: true })
    }

    /// Appends the entries of a [`HarBuffer`].
    ///
    /// # Errors
    /// What the writer says; the file is of no use then.
    pub fn write(&mut self, entries: &[u8]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.empty, false) {
            self.writer.write_all(b",\n")?;
        }
        self.writer.write_all(entries)
    }

    /// Writes the footer.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.write_all(b"\n]}}\n")?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;
    use umbra_event::{Body, FieldFacts, FleetKey, Peer, Redaction, Reveal};

    use super::*;

    /// Members that HAR 1.2 demands, with their types; and no member that it does not know.
    fn check(value: &Value, required: &[(&str, &str)], optional: &[&str]) {
        let members = value.as_object().unwrap();
        for (name, kind) in required {
            let value = members.get(*name).unwrap_or_else(|| panic!("{name} is missing"));
            let fits = match *kind {
                "string" => value.is_string(),
                "number" => value.is_number(),
                "array" => value.is_array(),
                _ => value.is_object(),
            };
            assert!(fits, "{name} is no {kind}");
        }
        for name in members.keys() {
            assert!(
                required.iter().any(|(known, _)| known == name) || optional.contains(&name.as_str()),
                "{name} is not HAR"
            );
        }
    }

    fn check_har(text: &[u8]) -> Value {
        let har: Value = serde_json::from_slice(text).unwrap();
        check(&har, &[("log", "object")], &[]);
        check(&har["log"], &[("version", "string"), ("creator", "object"), ("entries", "array")], &[]);
        assert_eq!(har["log"]["version"], "1.2");
        check(&har["log"]["creator"], &[("name", "string"), ("version", "string")], &[]);
        for entry in har["log"]["entries"].as_array().unwrap() {
            let required = [
                ("startedDateTime", "string"),
                ("time", "number"),
                ("request", "object"),
                ("response", "object"),
                ("cache", "object"),
                ("timings", "object"),
            ];
            check(entry, &required, &["serverIPAddress", "connection"]);
            let request = [
                ("method", "string"),
                ("url", "string"),
                ("httpVersion", "string"),
                ("cookies", "array"),
                ("headers", "array"),
                ("queryString", "array"),
                ("headersSize", "number"),
                ("bodySize", "number"),
            ];
            check(&entry["request"], &request, &[]);
            let response = [
                ("status", "number"),
                ("statusText", "string"),
                ("httpVersion", "string"),
                ("cookies", "array"),
                ("headers", "array"),
                ("content", "object"),
                ("redirectURL", "string"),
                ("headersSize", "number"),
                ("bodySize", "number"),
            ];
            check(&entry["response"], &response, &[]);
            check(&entry["response"]["content"], &[("size", "number"), ("mimeType", "string")], &[]);
            check(&entry["timings"], &[("send", "number"), ("wait", "number"), ("receive", "number")], &[]);
            for list in [&entry["request"]["headers"], &entry["response"]["headers"], &entry["request"]["queryString"]]
            {
                for pair in list.as_array().unwrap() {
                    check(pair, &[("name", "string"), ("value", "string")], &["comment"]);
                }
            }
            let timings = &entry["timings"];
            let sum: f64 = ["send", "wait", "receive"].iter().map(|name| timings[*name].as_f64().unwrap()).sum();
            assert!((sum - entry["time"].as_f64().unwrap()).abs() < 1e-6);
        }
        har
    }

    #[test]
    fn structure_is_har_1_2() {
        let redaction = Redaction::new(FleetKey::new(&[1; 32]), Reveal::default());
        let mut headers = HeaderJson::default();
        let facts = FieldFacts::default();
        headers.push(&redaction, b"Content-Type", b"application/json; charset=utf-8", facts);
        headers.push(&redaction, b"Cookie", b"sid=secret", facts);
        headers.push(&redaction, b"Server", b"a\"\\}{\"b", facts);
        headers.push(&redaction, b"grpc-status", b"0", FieldFacts { trailer: true, unknown: false });
        let url = Url {
            domain: Some(b"api.example.com"),
            port: Some(8080),
            path: Some(b"/v1/\"x"),
            query: Some(b"a={integer}&b&&c=d=e"),
            ..Url::default()
        };
        let event = Event {
            time_ns: 1_700_000_000_000_000_000,
            server: Peer { address: "2001:db8::1".parse().unwrap(), port: 8080 },
            url: Some(url),
            request: Some(Request { method: b"GET", headers: Some(&headers), ..Request::default() }),
            response: Some(Response {
                status_code: 200,
                header_bytes: Some(99),
                headers: Some(&headers),
                body: Body { size_bytes: 512, ..Body::default() },
                ..Response::default()
            }),
            ttfb_ns: Some(1_250_001),
            duration_ns: Some(1_400_002),
            ..Event::default()
        };
        let mut entries = HarBuffer::default();
        entries.push(&event);
        entries.push(&Event { response: None, url: None, ttfb_ns: None, duration_ns: None, ..event });
        entries.push(&Event { request: None, ..event });
        assert_eq!((entries.entries, entries.skipped), (2, 1));

        let mut har = Har::new(Vec::new(), "0.1.0").unwrap();
        har.write(entries.bytes()).unwrap();
        har.write(b"").unwrap();
        entries.clear();
        entries.push(&event);
        har.write(entries.bytes()).unwrap();
        let value = check_har(&har.finish().unwrap());
        let entries = value["log"]["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0], entries[2]);
        assert_eq!(entries[0]["request"]["url"], "http://api.example.com:8080/v1/\"x?a={integer}&b&&c=d=e");
        assert_eq!(entries[0]["request"]["queryString"].as_array().unwrap().len(), 3);
        assert_eq!(entries[0]["request"]["headers"][1]["value"], "a\"\\}{\"b");
        assert_eq!(entries[0]["request"]["headers"][2]["name"], "grpc-status");
        assert_eq!(entries[0]["response"]["content"]["mimeType"], "application/json;charset=utf-8");
        assert_eq!(entries[0]["time"], 1.400002);
        assert_eq!(entries[1]["request"]["url"], "http://[2001:db8::1]/");
        assert_eq!(entries[1]["response"]["status"], 0);
    }

    #[test]
    fn empty_file_is_har() {
        check_har(&Har::new(Vec::new(), "\"").unwrap().finish().unwrap());
    }

    /// F078: hostile bytes in every field stay inside their strings.
    #[test]
    fn f078_hostile_bytes() {
        let redaction = Redaction::new(FleetKey::new(&[1; 32]), Reveal { path: true, query: true, headers: true });
        for byte in 0..=255u8 {
            let bytes = [b'"', byte, b'\\', byte, b'}', b'"'];
            let mut headers = HeaderJson::default();
            headers.push(&redaction, &bytes, &bytes, FieldFacts::default());
            headers.push(&redaction, b"content-type", &bytes, FieldFacts::default());
            let url = Url { domain: Some(&bytes), path: Some(&bytes), query: Some(&bytes), ..Url::default() };
            let event = Event {
                url: Some(url),
                request: Some(Request { method: &bytes, headers: Some(&headers), ..Request::default() }),
                response: Some(Response { headers: Some(&headers), ..Response::default() }),
                ..Event::default()
            };
            let mut entries = HarBuffer::default();
            entries.push(&event);
            let mut har = Har::new(Vec::new(), "0").unwrap();
            har.write(entries.bytes()).unwrap();
            let value = check_har(&har.finish().unwrap());
            assert_eq!(value["log"]["entries"][0]["request"]["headers"].as_array().unwrap().len(), 2);
        }
    }
}
