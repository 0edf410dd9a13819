//! [`Event`] to one line of JSON.
//!
//! Written by hand: members come in a fixed order, names and punctuation in constant fragments as long as possible,
//! numbers through `itoa`, addresses and times without `fmt`. serde's generic path took several times as long, which at
//! the rate of one event a transaction would be the biggest single cost of a worker.

use std::ops::Range;

use crate::address::hex128;
use crate::event::{Api, Auth, Body, Capture, Event, Grpc, PeerMessages, Request, Response, Url, WebSocket};
use crate::flow_text::{self, FlowText};
use crate::redact::HeaderJson;
use crate::text::{write_escaped, write_string};
use crate::time::{SecondText, pair};

/// More than most events need, so that one reservation does.
const TYPICAL_BYTES: usize = 2048;

/// Writes events as lines of JSON, and remembers what the next one will likely have in common with the last.
#[derive(Clone, Debug, Default)]
pub struct EventWriter {
    second: SecondText,
}

/// Where a line holds the two members that may be known better later on: each with its name and the comma behind it, or the empty
/// place where it belongs. `None`: nothing stands behind it, so it cannot be put there alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `http.route`.
    pub route: Option<Range<usize>>,
    /// `api.endpoint_id`.
    pub endpoint_id: Option<Range<usize>>,
}

impl Marks {
    /// The member `http.route` as it stands at [`route`](Self::route).
    pub fn write_route(route: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"route\":");
        write_string(route, out);
        out.push(b',');
    }

    /// The member `api.endpoint_id` as it stands at [`endpoint_id`](Self::endpoint_id).
    pub fn write_endpoint_id(endpoint_id: [u8; 16], out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"endpoint_id\":\"");
        out.extend_from_slice(&hex128(endpoint_id));
        out.extend_from_slice(b"\",");
    }
}

impl EventWriter {
    /// Appends an event as [`Event::write_json`] does.
    pub fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        event.write_line(&mut self.second, &mut Marks::default(), out);
    }

    /// The same; says where in `out` the members are that may be known better later on.
    pub fn write_marked(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Marks {
        let mut marks = Marks::default();
        event.write_line(&mut self.second, &mut marks, out);
        marks
    }
}

impl Event<'_> {
    /// Appends the event as one line of JSON with its line feed. Never fails: whatever bytes the fields hold, the line is
    /// strictly valid JSON (see [`crate::text`]). Allocates only to grow `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_line(&mut SecondText::default(), &mut Marks::default(), out);
    }

    fn write_line(&self, second: &mut SecondText, marks: &mut Marks, out: &mut Vec<u8>) {
        out.reserve(TYPICAL_BYTES);
        let mut digits = itoa::Buffer::new();
        let tx_index = digits.format(self.tx_index).as_bytes();
        let made = self.flow_text.filter(|text| text.is_of(self)).map(FlowText::parts);

        part(made, 0, out, |out| flow_text::write_head(self, out));
        out.extend_from_slice(tx_index);
        out.extend_from_slice(b"\",\"time\":\"");
        second.write_rfc3339(self.time_ns, out);
        part(made, 1, out, |out| flow_text::write_origin(self, out));
        write_capture(&self.capture, out);
        part(made, 2, out, |out| flow_text::write_flow(self, out));
        out.extend_from_slice(tx_index);
        if let Some(stream_id) = self.stream_id {
            member(b",\"stream_id\":", u64::from(stream_id), out);
        }
        part(made, 3, out, |out| flow_text::write_peers(self, out));
        out.extend_from_slice(self.version.name().as_bytes());
        out.extend_from_slice(b"\"}}");
        if let Some(url) = &self.url {
            write_url(url, out);
        }
        self.write_http(marks, out);
        self.write_timing(out);
        write_api(&self.api, marks, out);
        if let Some(grpc) = &self.grpc {
            write_grpc(grpc, out);
        }
        if let Some(websocket) = &self.websocket {
            write_websocket(websocket, out);
        }
        if let Some(events) = self.sse_events {
            member(b",\"sse\":{\"events\":", events, out);
            out.push(b'}');
        }
        write_auth(&self.auth, out);
        if !self.anomalies.is_empty() {
            out.extend_from_slice(b",\"anomalies\":[");
            list(self.anomalies.iter(), out, |name, out| write_string(name.as_bytes(), out));
            out.push(b']');
        }
        if let Some(upgrade) = self.upgrade {
            out.extend_from_slice(b",\"upgrade\":\"");
            out.extend_from_slice(upgrade.name().as_bytes());
            out.push(b'"');
        }
        if self.pushed {
            out.extend_from_slice(b",\"pushed\":true");
        }
        if let Some(code) = self.reset {
            member(b",\"reset\":", u64::from(code), out);
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_http(&self, marks: &mut Marks, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"http\":{");
        let start = out.len();
        if let Some(route) = self.route {
            Marks::write_route(route, out);
        }
        match (&self.request, &self.response) {
            (None, None) => out.truncate(out.len() - usize::from(self.route.is_some())),
            _ => marks.route = Some(start..out.len()),
        }
        if let Some(request) = &self.request {
            write_request(request, out);
        }
        if let Some(response) = &self.response {
            if self.request.is_some() {
                out.push(b',');
            }
            write_response(response, out);
        }
        out.push(b'}');
    }

    fn write_timing(&self, out: &mut Vec<u8>) {
        match (self.ttfb_ns, self.duration_ns) {
            (Some(ttfb_ns), Some(duration_ns)) => {
                member(b",\"timing\":{\"ttfb_ns\":", ttfb_ns, out);
                member(b",\"duration_ns\":", duration_ns, out);
                out.push(b'}');
            }
            (Some(ttfb_ns), None) => {
                member(b",\"timing\":{\"ttfb_ns\":", ttfb_ns, out);
                out.push(b'}');
            }
            (None, Some(duration_ns)) => {
                member(b",\"timing\":{\"duration_ns\":", duration_ns, out);
                out.push(b'}');
            }
            (None, None) => {}
        }
    }
}

/// Below 10^8 a number is a word of digits, moved to the left over the zeros, so that nothing is copied by length.
#[inline]
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    match value {
        0..10 => out.push(b'0' + value as u8),
        10..10_000 => {
            let digits = four_digits(value as u32);
            let zeros = (digits ^ u32::from_ne_bytes([b'0'; 4])).trailing_zeros() / 8;
            out.extend_from_slice(&(digits >> (8 * (zeros & 3))).to_le_bytes());
            out.truncate(out.len() - zeros as usize);
        }
        10_000..100_000_000 => eight_digits(value as u32, out),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// The digits of a number below 10^4, the first one lowest.
#[inline]
fn four_digits(value: u32) -> u32 {
    let ([a, b], [c, d]) = (pair(value / 100), pair(value % 100));
    u32::from_le_bytes([a, b, c, d])
}

fn eight_digits(value: u32, out: &mut Vec<u8>) {
    let digits = u64::from(four_digits(value / 10_000)) | u64::from(four_digits(value % 10_000)) << 32;
    let zeros = (digits ^ u64::from_ne_bytes([b'0'; 8])).trailing_zeros() / 8;
    out.extend_from_slice(&(digits >> (8 * (zeros & 7))).to_le_bytes());
    out.truncate(out.len() - zeros as usize);
}

/// A constant fragment and a number.
#[inline]
pub(crate) fn member(fragment: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(fragment);
    number(value, out);
}

fn boolean(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

pub(crate) fn list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

/// One part of what a flow's events have in common: copied if it was rendered before.
#[inline]
fn part(made: Option<[&[u8]; 4]>, number: usize, out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
    match made.as_ref().and_then(|parts| parts.get(number)) {
        Some(text) => out.extend_from_slice(text),
        None => render(out),
    }
}

/// The members of `capture` behind interface and VLAN.
fn write_capture(capture: &Capture<'_>, out: &mut Vec<u8>) {
    let &Capture { complete, gap_bytes, truncated, mid_stream, one_sided, tainted, unknown_fields, .. } = capture;
    if complete && gap_bytes == 0 && unknown_fields == 0 && !(truncated | mid_stream | one_sided | tainted) {
        // Nearly every event: one copy.
        out.extend_from_slice(
            b"\"complete\":true,\"gap_bytes\":0,\"truncated\":false,\"mid_stream\":false,\"one_sided\":false",
        );
        return;
    }
    out.extend_from_slice(b"\"complete\":");
    out.extend_from_slice(boolean(complete));
    member(b",\"gap_bytes\":", gap_bytes, out);
    out.extend_from_slice(b",\"truncated\":");
    out.extend_from_slice(boolean(truncated));
    out.extend_from_slice(b",\"mid_stream\":");
    out.extend_from_slice(boolean(mid_stream));
    out.extend_from_slice(b",\"one_sided\":");
    out.extend_from_slice(boolean(one_sided));
    if tainted {
        out.extend_from_slice(b",\"tainted\":true");
    }
    if unknown_fields != 0 {
        member(b",\"unknown_fields\":", u64::from(unknown_fields), out);
    }
}

fn write_url(url: &Url<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"url\":{\"scheme\":\"");
    out.extend_from_slice(url.scheme.name().as_bytes());
    out.push(b'"');
    if let Some(domain) = url.domain {
        out.extend_from_slice(b",\"domain\":");
        write_string(domain, out);
    }
    if let Some(port) = url.port {
        member(b",\"port\":", u64::from(port), out);
    }
    if let Some(path) = url.path {
        out.extend_from_slice(b",\"path\":");
        write_string(path, out);
    }
    if let Some(query) = url.query {
        out.extend_from_slice(b",\"query\":");
        write_string(query, out);
    }
    out.push(b'}');
}

fn write_request(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"request\":{");
    if !request.method.is_empty() {
        out.extend_from_slice(b"\"method\":\"");
        write_escaped(request.method, out);
        out.extend_from_slice(b"\",");
    }
    write_message(request.header_bytes, request.headers, &request.body, out);
}

fn write_response(response: &Response<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"response\":{");
    if response.status_code != 0 {
        member(b"\"status_code\":", u64::from(response.status_code), out);
        out.push(b',');
    }
    if response.informational != 0 {
        member(b"\"informational\":", u64::from(response.informational), out);
        out.push(b',');
    }
    write_message(response.header_bytes, response.headers, &response.body, out);
}

/// What request and response share, and the closing brace.
fn write_message(header_bytes: Option<u64>, headers: Option<&HeaderJson>, body: &Body, out: &mut Vec<u8>) {
    if let Some(header_bytes) = header_bytes {
        member(b"\"header_bytes\":", header_bytes, out);
        out.push(b',');
    }
    if let Some(headers) = headers {
        out.extend_from_slice(b"\"headers\":[");
        out.extend_from_slice(&headers.bytes);
        out.extend_from_slice(b"],");
        if headers.omitted != 0 {
            member(b"\"headers_omitted\":", u64::from(headers.omitted), out);
            out.push(b',');
        }
    }
    member(b"\"body\":{\"size\":", body.size_bytes, out);
    if body.missing_bytes != 0 {
        member(b",\"missing_bytes\":", body.missing_bytes, out);
    }
    out.extend_from_slice(if body.complete { b",\"complete\":true}}" } else { b",\"complete\":false}}" });
}

fn write_api(api: &Api<'_>, marks: &mut Marks, out: &mut Vec<u8>) {
    if api.endpoint_id.is_none() && api.style.is_none() && api.operation.is_none() {
        return;
    }
    out.extend_from_slice(b",\"api\":{");
    let start = out.len();
    if let Some(endpoint_id) = api.endpoint_id {
        Marks::write_endpoint_id(endpoint_id, out);
    }
    match (api.style, api.operation) {
        (None, None) => out.truncate(out.len() - 1),
        _ => marks.endpoint_id = Some(start..out.len()),
    }
    if let Some(style) = api.style {
        out.extend_from_slice(b"\"style\":\"");
        out.extend_from_slice(style.name().as_bytes());
        out.push(b'"');
    }
    if let Some(operation) = api.operation {
        if api.style.is_some() {
            out.push(b',');
        }
        out.extend_from_slice(b"\"operation\":");
        write_string(operation, out);
    }
    out.push(b'}');
}

fn write_grpc(grpc: &Grpc, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"grpc\":{\"web\":");
    out.extend_from_slice(boolean(grpc.web));
    member(b",\"request_messages\":", grpc.request_messages, out);
    member(b",\"response_messages\":", grpc.response_messages, out);
    if let Some(status_code) = grpc.status_code {
        member(b",\"status_code\":", u64::from(status_code), out);
    }
    out.push(b'}');
}

fn write_websocket(websocket: &WebSocket, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"websocket\":{\"client\":{");
    write_messages(&websocket.client, out);
    out.extend_from_slice(b"},\"server\":{");
    write_messages(&websocket.server, out);
    out.extend_from_slice(b"},\"deflate\":");
    out.extend_from_slice(boolean(websocket.deflate));
    if let Some(close_code) = websocket.close_code {
        member(b",\"close_code\":", u64::from(close_code), out);
    }
    out.push(b'}');
}

fn write_messages(peer: &PeerMessages, out: &mut Vec<u8>) {
    member(b"\"frames\":", peer.frames, out);
    member(b",\"messages\":", peer.messages, out);
    member(b",\"payload_bytes\":", peer.payload_bytes, out);
}

fn write_auth(auth: &Auth<'_>, out: &mut Vec<u8>) {
    if auth.kinds.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"auth\":{\"kinds\":[");
    list(auth.kinds.iter(), out, |kind, out| {
        out.push(b'"');
        out.extend_from_slice(kind.name().as_bytes());
        out.push(b'"');
    });
    out.push(b']');
    if let Some(location) = auth.location {
        out.extend_from_slice(b",\"location\":\"");
        out.extend_from_slice(location.name().as_bytes());
        out.push(b'"');
    }
    if let Some(hash) = auth.principal_hash {
        out.extend_from_slice(b",\"principal_hash\":\"");
        out.extend_from_slice(&hex128(hash));
        out.push(b'"');
    }
    out.push(b'}');
}
