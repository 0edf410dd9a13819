//! What an endpoint is known by, and which one it is under templates.

use crate::endpoints::{endpoint_id, push_route};
use crate::routes::{Pins, Segments, Templates};
use crate::style::Style;

/// What an endpoint is known by: style, host, method, route and, where the style has one, operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointKey<'a> {
    /// Style.
    pub style: Style,
    /// Host, method, route and operation, apart by zero bytes.
    pub bytes: &'a [u8],
    /// Bytes of the host.
    pub host_len: u16,
    /// Bytes of the method.
    pub method_len: u8,
}

impl EndpointKey<'_> {
    /// The `endpoint_id`.
    pub fn id(&self) -> [u8; 16] {
        endpoint_id(self.style, self.bytes, self.host_len, self.method_len)
    }

    /// The route template.
    pub fn route(&self) -> &[u8] {
        let (route, _) = split_operation(self.bytes.get(self.route_start()..).unwrap_or_default());
        route
    }

    fn route_start(&self) -> usize {
        usize::from(self.host_len) + usize::from(self.method_len) + 2
    }
}

/// Says where endpoints stand under templates, what is pinned first.
#[derive(Debug)]
pub struct Settled<'a> {
    templates: &'a Templates,
    pins: &'a Pins,
    segments: Segments,
}

impl<'a> Settled<'a> {
    /// Under these templates.
    pub fn new(templates: &'a Templates, pins: &'a Pins) -> Self {
        Settled { templates, pins, segments: Segments::default() }
    }

    /// Writes the bytes of a key to `out`, with the route that it has now; the same where no template has its place. Host and
    /// method stay as they are.
    pub fn write_key(&mut self, key: EndpointKey<'_>, out: &mut Vec<u8>) {
        out.clear();
        let start = key.route_start();
        let (head, rest) = key.bytes.split_at_checked(start).unwrap_or((key.bytes, b""));
        let (route, operation) = split_operation(rest);
        let host = head.get(..usize::from(key.host_len)).unwrap_or_default();
        let method = head.get(usize::from(key.host_len) + 1..start.saturating_sub(1)).unwrap_or_default();
        let found = match key.style {
            // A gRPC path names a method, never a resource.
            Style::Grpc => None,
            _ => self.pins.find(host, route, &mut self.segments).or_else(|| {
                let found = self.templates.find(std::str::from_utf8(host).ok()?, method, route);
                found.map(|found| found.template.as_str())
            }),
        };
        let Some(found) = found else { return out.extend_from_slice(key.bytes) };
        out.extend_from_slice(head);
        push_route(found.as_bytes(), out);
        if let Some(operation) = operation {
            out.push(0);
            out.extend_from_slice(operation);
        }
    }
}

/// Route and operation of the end of a key.
pub(crate) fn split_operation(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(zero) => (&bytes[..zero], Some(&bytes[zero + 1..])),
        None => (bytes, None),
    }
}
