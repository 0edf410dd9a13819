//! Transaction to event: redaction happens here, before anything leaves the worker.

use std::net::IpAddr;

use umbra_discovery::routes::{Routes, Sighting};
use umbra_discovery::{Endpoints, Observation, Observed, Style, canonical_host};
use umbra_event::auth::Credentials;
use umbra_event::redact::{FieldFacts, HeaderJson, Redaction, Reveal};
use umbra_event::{
    Api, ApiStyle, Body, Capture, Event, FlowText, Grpc, Peer, PeerMessages, ProtocolVersion, Request, Response,
    Sensor, Upgrade, Url, UrlScheme, WebSocket,
};
use umbra_flow::{Direction, FlowFacts};
use umbra_http::{Anomaly, HeaderBlock, KnownHeader, Scheme, Transaction, Version};

use crate::config::EventConfig;
use crate::identity::{ClientHashes, Identity};
use crate::output::{Encode, Output};

/// Turns transactions into records, in buffers that are used again.
pub(crate) struct Recorder {
    config: EventConfig,
    /// What templates are made of: redacted whatever is revealed.
    hidden: Redaction,
    /// Transactions go into the inventory.
    discovers: bool,
    /// `None`: only the inventory is wanted.
    encoder: Option<Box<dyn Encode>>,
    output: Output,
    events: u64,
    interfaces: Vec<String>,
    host: HostMemo,
    method: Vec<u8>,
    path: Vec<u8>,
    shown_path: Vec<u8>,
    query: Vec<u8>,
    request_headers: HeaderJson,
    response_headers: HeaderJson,
    clients: ClientHashes,
    anomalies: Vec<&'static str>,
}

impl Recorder {
    pub(crate) fn new(config: EventConfig, discovers: bool, encoder: Option<Box<dyn Encode>>) -> Recorder {
        let hidden = Redaction::new(config.redaction.key().clone(), Reveal::default());
        Recorder {
            hidden,
            discovers,
            config,
            encoder,
            output: Output::default(),
            events: 0,
            interfaces: Vec::new(),
            host: HostMemo::default(),
            method: Vec::new(),
            path: Vec::new(),
            shown_path: Vec::new(),
            query: Vec::new(),
            request_headers: HeaderJson::default(),
            response_headers: HeaderJson::default(),
            clients: ClientHashes::default(),
            anomalies: Vec::new(),
        }
    }

    pub(crate) fn name_interfaces(&mut self, names: &[String]) {
        self.interfaces = names.to_vec();
    }

    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn identify(&mut self, facts: &FlowFacts, client: IpAddr) -> Box<Identity> {
        let inside = self.config.inside.iter().any(|range| range.contains(client));
        let hash = self.clients.hash(client, &self.config.key);
        Box::new(Identity::new(facts, hash, inside, &self.config.sensor_id))
    }

    /// Records a transaction: in the inventory, and as an event where one is wanted.
    pub(crate) fn record(
        &mut self,
        transaction: &Transaction,
        facts: &FlowFacts,
        identity: &mut Identity,
        (client, server): ((IpAddr, u16), (IpAddr, u16)),
        acknowledged: Acknowledged,
        (endpoints, routes): (&mut Endpoints, &mut Routes),
    ) {
        let request = transaction.request.as_ref();
        let https = request.is_some_and(|request| request.scheme == Scheme::Https);
        let authority = request.and_then(|request| request.authority());
        self.host.note(authority, https, server, [&self.hidden, &self.config.redaction]);
        let domain_known = authority.is_some_and(|authority| !authority.is_empty());

        let mut method = request.map_or(&b""[..], |request| request.method());
        if method.len() >= ODD_METHOD_BYTES {
            self.method.clear();
            self.hidden.text(method, &mut self.method);
            method = &self.method;
        }

        let target = request.and_then(|request| request.target());
        let (raw_path, raw_query) = match target {
            Some(target) => split_query(target),
            None => (None, None),
        };
        self.path.clear();
        let hidden_path = raw_path.map(|raw| {
            self.hidden.path(raw, &mut self.path);
            self.path.as_slice()
        });

        let one_sided = transaction.coverage.one_sided || facts.one_sided();
        let complete = is_complete(transaction);
        let time = transaction.request_start.or(transaction.response_start).unwrap_or(facts.first_time);
        let trusted = acknowledged == Acknowledged::Yes && !transaction.coverage.tainted;
        // What one service has makes room before the next transaction: the events until now name what it was known by.
        if let Some(crowded) = endpoints.crowded() {
            let templates = routes.templates_of(&crowded, endpoints.pins());
            endpoints.fold(&crowded, &templates);
        }
        let observed = match self.discovers {
            true => endpoints.observe(&Observation {
                host: &self.host.canonical,
                method,
                path: hidden_path,
                client: identity.client,
                client_inside: identity.client_inside,
                server,
                time,
                complete,
                trusted,
                transaction,
            }),
            false => Observed { style: Style::Rest, endpoint: None, key: None, operation: None },
        };
        // Routes are learnt from what may be shown: a secret in a path never becomes a word of a template.
        if let (Some(path), true, true) = (hidden_path, trusted, self.discovers) {
            // All of a GraphQL service is behind one path: its bodies tell nothing of places in paths.
            let bodies = observed.style != Style::GraphQl;
            let lot = identity.client ^ time.nanos().rotate_left(32);
            let host = &self.host.canonical;
            routes.observe_transaction(&Sighting { host, path, query: raw_query, lot, bodies, transaction });
        }
        let Some(encoder) = &mut self.encoder else { return };

        let reveal = self.config.redaction.reveal;
        let path = match (raw_path, reveal.path) {
            (_, false) => hidden_path,
            (None, true) => None,
            (Some(raw), true) => {
                self.shown_path.clear();
                self.config.redaction.path(raw, &mut self.shown_path);
                Some(self.shown_path.as_slice())
            }
        };
        self.query.clear();
        if let Some(query) = raw_query {
            self.config.redaction.query(query, &mut self.query);
        }

        let mut found = transaction.anomalies;
        if acknowledged == Acknowledged::No {
            found.insert(Anomaly::Unacknowledged);
        }
        self.anomalies.clear();
        self.anomalies.extend(found.iter().map(Anomaly::name));

        let mut credentials = Credentials::default();
        if let Some(headers) = request.map(|request| &request.headers)
            && headers.kinds() & MAY_BE_CREDENTIAL != 0
        {
            for field in headers.fields() {
                if MAY_BE_CREDENTIAL >> field.known as u8 & 1 == 1 && !field.trailer {
                    credentials.field(headers.name(field), headers.value(field));
                }
            }
        }
        if let Some(query) = raw_query {
            credentials.query(query);
        }

        let shown_request = request.map(|request| {
            render(&request.headers, &self.config.redaction, &mut self.request_headers);
            Request {
                method,
                header_bytes: Some(request.headers.len_bytes() as u64),
                headers: Some(&self.request_headers),
                body: body(&transaction.request_body),
            }
        });
        let shown_response = transaction.response.as_ref().map(|response| {
            render(&response.headers, &self.config.redaction, &mut self.response_headers);
            Response {
                status_code: response.status,
                informational: transaction.informational,
                header_bytes: Some(response.headers.len_bytes() as u64),
                headers: Some(&self.response_headers),
                body: body(&transaction.response_body),
            }
        });
        let coverage = &transaction.coverage;
        let interface = self.interfaces.get(facts.interface as usize).map_or("", String::as_str);
        let mut event = Event {
            time_ns: time.nanos(),
            source: self.config.source,
            sensor: Sensor { id: &self.config.sensor_id, version: &self.config.sensor_version },
            capture: Capture {
                interface,
                vlan: facts.vlan.as_slice(),
                complete,
                gap_bytes: coverage.gap_bytes,
                truncated: coverage.truncated,
                mid_stream: coverage.mid_stream,
                one_sided,
                tainted: coverage.tainted,
                unknown_fields: coverage.unknown_fields,
            },
            flow_id: identity.flow_id,
            community_id: &identity.community_id,
            flow_text: None,
            tx_index: transaction.index,
            stream_id: transaction.stream_id,
            client: Peer { address: client.0, port: client.1 },
            server: Peer { address: server.0, port: server.1 },
            version: version(transaction),
            url: request.map(|_| Url {
                scheme: if https { UrlScheme::Https } else { UrlScheme::Http },
                domain: domain_known.then_some(self.host.shown.as_slice()),
                port: self.host.port.filter(|_| domain_known),
                path,
                query: raw_query.map(|_| self.query.as_slice()),
            }),
            route: observed.endpoint.map(|(_, route)| route),
            request: shown_request,
            response: shown_response,
            ttfb_ns: between(transaction.request_start, transaction.response_start),
            duration_ns: between(transaction.request_start, transaction.response_end),
            api: Api {
                endpoint_id: observed.endpoint.map(|(id, _)| id),
                style: self.discovers.then(|| style(observed.style)),
                operation: match observed.style {
                    Style::Grpc => path.and_then(|path| path.strip_prefix(b"/")),
                    _ => observed.operation,
                },
            },
            grpc: transaction.grpc.map(|grpc| Grpc {
                web: grpc.web,
                request_messages: grpc.request_messages,
                response_messages: grpc.response_messages,
                status_code: grpc.status,
            }),
            websocket: transaction.websocket.map(|socket| WebSocket {
                client: peer_messages(&socket, 0),
                server: peer_messages(&socket, 1),
                deflate: socket.deflate,
                close_code: socket.close_code,
            }),
            sse_events: transaction.sse_events,
            auth: credentials.auth(self.config.redaction.key()),
            anomalies: &self.anomalies,
            upgrade: transaction.upgrade.map(upgrade),
            pushed: transaction.pushed,
            reset: transaction.reset,
        };
        if event.tx_index > 0 {
            // The flow's ends change places at most once: when it turns out who the client is.
            if identity.text.as_ref().is_none_or(|text| !text.is_of(&event)) {
                identity.text = Some(FlowText::of(&event));
            }
            event.flow_text = identity.text.as_ref();
        }
        if encoder.encode(&event, observed.key, &mut self.output.bytes) {
            self.output.count += 1;
            self.events += 1;
        }
    }
}

/// Path and query of an origin-form target; an empty path stays one.
fn split_query(target: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (target.get(..mark), target.get(mark + 1..)),
        None => (Some(target), None),
    }
}

/// Both messages were seen to their ends without a hole.
fn is_complete(transaction: &Transaction) -> bool {
    transaction.request.is_some()
        && transaction.response.is_some()
        && transaction.request_body.complete
        && transaction.response_body.complete
        && transaction.coverage.gap_bytes == 0
        && !transaction.coverage.truncated
}

/// Whether the request has reached the server (F023): bytes that never did prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// The server has acknowledged it, or its ACKs are not visible.
    Yes,
    /// Not yet: it was given out before an ACK could come, as when one packet opens a stream and resets it.
    NotYet,
    /// It was answered, or the flow has ended, and it never was.
    No,
}

impl Acknowledged {
    /// `to_server` is the direction that the flow stage gives to what the client sends; `ended`: nothing more comes.
    pub(crate) fn of(transaction: &Transaction, facts: &FlowFacts, to_server: Direction, ended: bool) -> Self {
        let end = transaction.request_offsets.end;
        if transaction.request.is_none() || facts.acked(to_server).is_none_or(|acked| acked >= end) {
            Acknowledged::Yes
        } else if ended || transaction.response.is_some() {
            Acknowledged::No
        } else {
            Acknowledged::NotYet
        }
    }
}

fn between(start: Option<umbra_wire::Timestamp>, end: Option<umbra_wire::Timestamp>) -> Option<u64> {
    Some(u64::try_from(end?.since(start?).as_nanos()).unwrap_or(u64::MAX))
}

fn render(headers: &HeaderBlock, redaction: &Redaction, out: &mut HeaderJson) {
    out.clear();
    let passed_over = if redaction.reveal.headers { 0 } else { NEVER_SHOWN };
    for field in headers.fields() {
        let known = field.known as u8;
        if passed_over >> known & 1 == 0 {
            let facts = FieldFacts { trailer: field.trailer, unknown: field.unknown };
            out.push_numbered(redaction, known, headers.name(field), headers.value(field), facts);
        }
    }
}

/// Fields that are never on the allow-list: passed over before their names are looked at.
const NEVER_SHOWN: u64 = {
    use KnownHeader::*;
    bits(&[Host, Authorization, ProxyAuthorization, Cookie, SetCookie, XApiKey, XRequestId, Forwarded])
        | bits(&[XForwardedFor, Location, WwwAuthenticate, Http2Settings, SecWebSocketExtensions])
        | bits(&[Connection, Trailer, Date])
};

/// Fields that can hold a credential: the named ones, and those without a place in [`KnownHeader`].
const MAY_BE_CREDENTIAL: u64 = {
    use KnownHeader::*;
    bits(&[Other, Authorization, ProxyAuthorization, Cookie, XApiKey])
};

/// A set of kinds of field, as [`HeaderBlock::kinds`] has it.
const fn bits(fields: &[KnownHeader]) -> u64 {
    let (mut bits, mut at) = (0, 0);
    while at < fields.len() {
        bits |= 1 << fields[at] as u8;
        at += 1;
    }
    bits
}

/// Shorter methods are too short to hold a secret, and hardly any is longer.
const ODD_METHOD_BYTES: usize = 9;

/// The host of the last request: most follow one to the same host.
#[derive(Default)]
struct HostMemo {
    /// Canonical and redacted, with the port: what endpoints are told apart by.
    canonical: Vec<u8>,
    /// As events show it, without the port.
    shown: Vec<u8>,
    port: Option<u16>,
    of: Option<(bool, (IpAddr, u16))>,
    authority: Vec<u8>,
}

impl HostMemo {
    fn note(&mut self, authority: Option<&[u8]>, https: bool, server: (IpAddr, u16), [hidden, shown]: [&Redaction; 2]) {
        let bytes = authority.unwrap_or_default();
        if self.of == Some((https, server)) && self.authority == bytes {
            return;
        }
        self.authority.clear();
        self.authority.extend_from_slice(bytes);
        self.of = Some((https, server));
        let (len, _) = canonical_host(authority, https, server, |host, out| shown.host(host, out), &mut self.shown);
        self.shown.truncate(len);
        if self.shown.starts_with(b"[") && self.shown.ends_with(b"]") {
            // An IPv6 literal: whoever makes a URL of it puts them on again.
            self.shown.pop();
            self.shown.remove(0);
        }
        (_, self.port) =
            canonical_host(authority, https, server, |host, out| hidden.host(host, out), &mut self.canonical);
    }
}

fn body(body: &umbra_http::Body) -> Body {
    Body { size_bytes: body.len_bytes, missing_bytes: body.missing_bytes, complete: body.complete }
}

fn version(transaction: &Transaction) -> ProtocolVersion {
    let version = match (&transaction.request, &transaction.response) {
        (Some(request), _) => request.version,
        (None, Some(response)) => response.version,
        (None, None) => Version::Http11,
    };
    match version {
        Version::Http09 => ProtocolVersion::Http09,
        Version::Http10 => ProtocolVersion::Http10,
        Version::Http11 => ProtocolVersion::Http11,
        Version::Http2 => ProtocolVersion::Http2,
    }
}

fn style(style: Style) -> ApiStyle {
    match style {
        Style::Rest => ApiStyle::Rest,
        Style::ServerSentEvents => ApiStyle::Sse,
        Style::Grpc => ApiStyle::Grpc,
        Style::WebSocket => ApiStyle::Websocket,
        Style::GraphQl => ApiStyle::Graphql,
        Style::JsonRpc => ApiStyle::JsonRpc,
        Style::Mcp => ApiStyle::Mcp,
        Style::Soap => ApiStyle::Soap,
        Style::Llm => ApiStyle::Llm,
        Style::Web => ApiStyle::Web,
    }
}

fn peer_messages(socket: &umbra_http::WebSocket, direction: usize) -> PeerMessages {
    let of = |counts: &[u64; 2]| counts.get(direction).copied().unwrap_or_default();
    PeerMessages {
        frames: of(&socket.frames),
        messages: of(&socket.messages),
        payload_bytes: of(&socket.payload_bytes),
    }
}

fn upgrade(upgrade: umbra_http::Upgrade) -> Upgrade {
    match upgrade {
        umbra_http::Upgrade::WebSocket => Upgrade::Websocket,
        umbra_http::Upgrade::H2c => Upgrade::H2c,
        umbra_http::Upgrade::Tunnel => Upgrade::Tunnel,
        umbra_http::Upgrade::Other => Upgrade::Other,
    }
}
