//! The schemas of one endpoint.

use serde::{Deserialize, Serialize};
use umbra_http::{HeaderBlock, KnownHeader};

use super::auth::{Auth, is_key_header};
use super::body::{Schema, Syntax};
use super::hash::ValueKey;
use super::shape::Object;
use super::{form, media_type, sniff, syntax};
use crate::room::make_room;

/// Media types kept of one endpoint for requests, and for each status class of responses.
pub const MEDIA_TYPES: usize = 6;

/// The first bytes of a body, content codings undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// There is more of it.
    pub cut: bool,
}

/// What schemas are learnt from: one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange<'a> {
    /// Query, without `?`.
    pub query: Option<&'a [u8]>,
    /// Request fields.
    pub request_headers: Option<&'a HeaderBlock>,
    /// Request body, if it was sampled.
    pub request_body: Option<Sample<'a>>,
    /// Status of the response; 0 if unknown.
    pub status: u16,
    /// Response fields.
    pub response_headers: Option<&'a HeaderBlock>,
    /// Response body, if it was sampled.
    pub response_body: Option<Sample<'a>>,
}

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The request's.
    Request,
    /// That of a response of a status class: 2 for 2xx.
    Response(u8),
}

/// Bodies of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bodies {
    /// Whose.
    pub place: Place,
    /// `type/subtype`; empty without a Content-Type.
    pub media_type: Box<str>,
    /// How they were read.
    pub syntax: Syntax,
    /// Their schema.
    pub schema: Schema,
}

/// What was learnt of the parameters and bodies of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schemas {
    /// Transactions whose parameters were looked at.
    pub exchanges: u32,
    /// Query parameters.
    pub query: Object,
    /// Header fields of requests that are parameters of the API; no credentials, no fields of transport and browsers.
    pub headers: Object,
    /// Cookies of requests.
    pub cookies: Object,
    /// Credentials of requests.
    #[serde(default)]
    pub auth: Auth,
    /// By place, rank and media type.
    pub(super) bodies: Vec<Bodies>,
    /// Bodies of media types past [`MEDIA_TYPES`].
    pub other: u32,
}

impl Schemas {
    /// Bodies by place.
    pub fn bodies(&self) -> &[Bodies] {
        &self.bodies
    }

    /// Adds parameters and sampled bodies of one transaction.
    pub fn add(&mut self, exchange: &Exchange<'_>, key: &ValueKey) {
        self.add_parameters(exchange, key);
        self.add_bodies(exchange, key);
    }

    /// Adds the names and types of query, header and cookie parameters.
    pub fn add_parameters(&mut self, exchange: &Exchange<'_>, key: &ValueKey) {
        self.exchanges = self.exchanges.saturating_add(1);
        form::add_pairs(&mut self.query, exchange.query.unwrap_or_default(), false, Some(key));
        let Some(headers) = exchange.request_headers else { return };
        self.auth.add(exchange.query.unwrap_or_default(), headers);
        for (field, name, value) in headers.iter().take(form::PARAMETERS) {
            match field.known {
                KnownHeader::Cookie if !field.unknown => form::add_cookies(&mut self.cookies, value),
                KnownHeader::Other if !field.trailer => {
                    let Ok(name) = std::str::from_utf8(name) else { continue };
                    let name = name.to_ascii_lowercase();
                    if is_parameter(&name) {
                        let slot = self.headers.slot(&name);
                        if !field.unknown {
                            slot.add_parameter(&String::from_utf8_lossy(value), None);
                        }
                    }
                }
                _ => {}
            }
        }
        self.headers.end();
    }

    /// Adds sampled bodies.
    pub fn add_bodies(&mut self, exchange: &Exchange<'_>, key: &ValueKey) {
        if let Some(sample) = exchange.request_body {
            self.add_body(Place::Request, exchange.request_headers, sample, key);
        }
        if let (Some(sample), 100..=999) = (exchange.response_body, exchange.status) {
            self.add_body(Place::Response((exchange.status / 100) as u8), exchange.response_headers, sample, key);
        }
    }

    fn add_body(&mut self, place: Place, headers: Option<&HeaderBlock>, sample: Sample<'_>, key: &ValueKey) {
        if sample.bytes.is_empty() {
            return;
        }
        let content_type = headers.and_then(|headers| headers.first(KnownHeader::ContentType)).unwrap_or_default();
        let media_type = media_type(content_type).unwrap_or_default();
        let syntax = match &*media_type {
            "" | "text/plain" | "application/octet-stream" => sniff(sample.bytes),
            media_type => syntax(media_type),
        };
        match self.slot(place, &media_type, syntax) {
            Some(schema) => schema.add(syntax, content_type, sample.bytes, sample.cut, key),
            None => self.other = self.other.saturating_add(1),
        }
    }

    /// The schema of bodies of a kind; `None` if there are too many kinds and this one is past them. Which are kept depends on
    /// their names and not on their order.
    fn slot(&mut self, place: Place, media_type: &str, syntax: Syntax) -> Option<&mut Schema> {
        let rank = rank(place, media_type, syntax);
        let found = self.bodies.binary_search_by(|b| rank_of(b).cmp(&rank));
        let at = match found {
            Ok(at) => at,
            Err(at) => {
                let last = self.bodies.iter().rposition(|bodies| bodies.place == place);
                if self.bodies.iter().filter(|bodies| bodies.place == place).count() >= MEDIA_TYPES {
                    let last = last?;
                    if at > last {
                        return None;
                    }
                    let dropped = self.bodies.remove(last);
                    self.other = self.other.saturating_add(dropped.schema.bodies);
                }
                let schema = Schema::default();
                make_room(&mut self.bodies);
                self.bodies.insert(at, Bodies { place, media_type: media_type.into(), syntax, schema });
                at
            }
        };
        self.bodies.get_mut(at).map(|bodies| &mut bodies.schema)
    }

    /// Adds all of another endpoint's.
    pub fn merge(&mut self, other: &Schemas) {
        self.exchanges = self.exchanges.saturating_add(other.exchanges);
        self.query.merge(&other.query);
        self.headers.merge(&other.headers);
        self.cookies.merge(&other.cookies);
        self.auth.merge(&other.auth);
        self.other = self.other.saturating_add(other.other);
        for theirs in &other.bodies {
            match self.slot(theirs.place, &theirs.media_type, theirs.syntax) {
                Some(schema) => schema.merge(&theirs.schema),
                None => self.other = self.other.saturating_add(theirs.schema.bodies),
            }
        }
    }

    /// Memory held, bytes, roughly.
    pub fn memory_bytes(&self) -> usize {
        let bodies = self.bodies.iter().map(|bodies| bodies.media_type.len() + bodies.schema.shape.memory_bytes());
        let objects = [&self.query, &self.headers, &self.cookies].map(Object::memory_bytes);
        self.bodies.capacity() * size_of::<Bodies>() + bodies.sum::<usize>() + objects.iter().sum::<usize>()
    }
}

/// Place, then what can be read before what cannot, common types before others, so that made-up types push out none of them.
fn rank(place: Place, media_type: &str, syntax: Syntax) -> (Place, bool, bool, &str, Syntax) {
    let is_common = matches!(
        media_type,
        "" | "application/json"
            | "application/xml"
            | "text/xml"
            | "application/x-www-form-urlencoded"
            | "multipart/form-data"
            | "application/problem+json"
            | "application/grpc"
            | "text/event-stream"
            | "text/plain"
            | "application/octet-stream"
    );
    (place, syntax == Syntax::Opaque, !is_common, media_type, syntax)
}

fn rank_of(bodies: &Bodies) -> (Place, bool, bool, &str, Syntax) {
    rank(bodies.place, &bodies.media_type, bodies.syntax)
}

/// Is a request field, its name in lower case, a parameter of the API? Not what transport, browsers, proxies and tracing add, and
/// no credentials: those are facts of their own.
fn is_parameter(name: &str) -> bool {
    let plain = !matches!(
        name,
        "accept-charset"
            | "accept-encoding"
            | "accept-language"
            | "accept-datetime"
            | "access-control-request-headers"
            | "access-control-request-method"
            | "age"
            | "alt-used"
            | "authentication"
            | "b3"
            | "baggage"
            | "cache-control"
            | "cf-connecting-ip"
            | "cf-ipcountry"
            | "cf-ray"
            | "cf-visitor"
            | "client-ip"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-length"
            | "content-location"
            | "content-md5"
            | "content-range"
            | "date"
            | "device-memory"
            | "dnt"
            | "downlink"
            | "dpr"
            | "ect"
            | "from"
            | "front-end-https"
            | "grpc-accept-encoding"
            | "grpc-encoding"
            | "grpc-timeout"
            | "keep-alive"
            | "last-event-id"
            | "max-forwards"
            | "origin"
            | "pragma"
            | "priority"
            | "proxy-connection"
            | "purpose"
            | "range"
            | "referer"
            | "rtt"
            | "save-data"
            | "sentry-trace"
            | "sec-gpc"
            | "service-worker"
            | "service-worker-navigation-preload"
            | "tracestate"
            | "traceparent"
            | "transfer-encoding"
            | "true-client-ip"
            | "uber-trace-id"
            | "upgrade-insecure-requests"
            | "via"
            | "viewport-width"
            | "warning"
            | "width"
            | "x-amz-cf-id"
            | "x-amzn-trace-id"
            | "x-b3-flags"
            | "x-b3-parentspanid"
            | "x-b3-sampled"
            | "x-b3-spanid"
            | "x-b3-traceid"
            | "x-cloud-trace-context"
            | "x-correlation-id"
            | "x-csrf-token"
            | "x-client-data"
            | "x-datadog-origin"
            | "x-datadog-parent-id"
            | "x-datadog-sampling-priority"
            | "x-datadog-trace-id"
            | "x-envoy-attempt-count"
            | "x-envoy-decorator-operation"
            | "x-envoy-external-address"
            | "x-forwarded"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-proto"
            | "x-forwarded-scheme"
            | "x-forwarded-server"
            | "x-http-method-override"
            | "x-newrelic-id"
            | "x-original-forwarded-for"
            | "x-original-uri"
            | "x-original-url"
            | "x-real-ip"
            | "x-request-start"
            | "x-requested-with"
            | "x-scheme"
            | "x-xsrf-token"
    );
    plain
        && !is_key_header(name)
        && !name.starts_with("sec-")
        && !name.starts_with("proxy-")
        && !name.starts_with("if-")
        && !name.starts_with(':')
}
