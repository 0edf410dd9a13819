//! Decoded fields into a [`HeaderBlock`], with the checks of RFC 9113 §8.

use std::ops::Range;

use super::hpack::{Name, Oddities, Sink};
use crate::anomaly::{Anomalies, Anomaly};
use crate::engine::Config;
use crate::grpc::status_code;
use crate::message::{HeaderBlock, KnownHeader, Request, Scheme};

/// Bytes of a method kept (F040).
const METHOD_BYTES: usize = 32;

/// What a header block said, beside its fields.
#[derive(Debug, Default)]
pub(super) struct BlockFacts {
    pub(super) method: Option<Range<u32>>,
    pub(super) path: Option<Range<u32>>,
    pub(super) authority: Option<Range<u32>>,
    /// The first Host field.
    pub(super) host: Option<Range<u32>>,
    /// `:protocol` of extended CONNECT.
    pub(super) protocol: Option<Range<u32>>,
    pub(super) scheme: Option<Scheme>,
    /// 0 if it was no number.
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u32>,
    /// Fields of which name or value are not known.
    pub(super) unknown: u32,
    pub(super) anomalies: Anomalies,
    /// The first field is known, and no pseudo-header: trailers, as every head begins with a pseudo-header (§8.3).
    pub(super) starts_regular: bool,
    /// The block was not read at all.
    pub(super) lost: bool,
    /// A regular field came.
    pub(super) regular: bool,
}

impl BlockFacts {
    /// Does a request's pseudo-header show?
    pub(super) fn is_request(&self) -> bool {
        self.method.is_some() || self.path.is_some() || self.scheme.is_some() || self.authority.is_some()
    }

    /// Does any pseudo-header show?
    pub(super) fn has_pseudo(&self) -> bool {
        self.is_request() || self.status.is_some()
    }

    /// Fills what a request is beside its fields; `block` is its buffer already.
    pub(super) fn fill(&mut self, request: &mut Request) {
        request.method = self.method.clone().unwrap_or_default();
        request.scheme = self.scheme.unwrap_or_default();
        let connect = self.method.is_some() && request.method() == b"CONNECT";
        request.target = match (&self.path, connect && self.protocol.is_none()) {
            (Some(path), _) => Some(path.clone()),
            (None, true) => Some(0..0),
            (None, false) => None,
        };
        if let (Some(authority), Some(host)) = (&self.authority, &self.host)
            && !request.headers.stored(authority).eq_ignore_ascii_case(request.headers.stored(host))
        {
            self.anomalies.insert(Anomaly::HostConflict);
        }
        // With unknown fields `:authority` may be among them, and say something else than Host.
        let fallback = if self.unknown == 0 { self.host.clone() } else { None };
        request.authority = self.authority.clone().or(fallback);
        if request.authority().is_some_and(|authority| !is_authority(authority)) {
            self.anomalies.insert(Anomaly::BadHost);
        }
        if self.unknown == 0 {
            let complete = match (connect, self.protocol.is_some()) {
                // RFC 9113 §8.5: only :method and :authority.
                (true, false) => self.authority.is_some() && self.scheme.is_none() && self.path.is_none(),
                (true, true) => self.scheme.is_some() && self.path.is_some() && self.authority.is_some(),
                (false, protocol) => self.method.is_some() && self.scheme.is_some() && self.path.is_some() && !protocol,
            };
            if !complete {
                self.anomalies.insert(Anomaly::BadPseudoHeader);
            }
        }
        if self.status.is_some() {
            self.anomalies.insert(Anomaly::BadPseudoHeader);
        }
        if let Some(path) = request.target()
            && !connect
            && !(path.starts_with(b"/") || path == b"*")
        {
            self.anomalies.insert(Anomaly::BadPseudoHeader);
        }
    }
}

fn is_authority(authority: &[u8]) -> bool {
    !authority.is_empty()
        && authority.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
        })
}

/// Collects one block.
pub(super) struct FieldSink<'a> {
    block: &'a mut HeaderBlock,
    pub(super) facts: BlockFacts,
    /// Decoded bytes that may still come (F048).
    bytes_left: usize,
    /// Fields that may still come (F034).
    fields_left: usize,
    target_bytes: usize,
}

impl<'a> FieldSink<'a> {
    pub(super) fn new(block: &'a mut HeaderBlock, config: &Config) -> Self {
        FieldSink {
            block,
            facts: BlockFacts::default(),
            bytes_left: config.header_block_bytes,
            fields_left: config.fields,
            target_bytes: config.target_bytes,
        }
    }

    /// May a field of so many bytes still be taken?
    fn has_room(&mut self, len: usize) -> bool {
        if len > self.bytes_left {
            self.bytes_left = 0;
            self.facts.anomalies.insert(Anomaly::HeaderBlockLimit);
            return false;
        }
        if self.fields_left == 0 {
            self.facts.anomalies.insert(Anomaly::HeaderLimit);
            return false;
        }
        self.bytes_left -= len;
        self.fields_left -= 1;
        true
    }

    /// Stores a value, with what must not be in it replaced (RFC 9110 §5.5), cut to `limit`.
    fn store(&mut self, value: &[u8], odd: Oddities, limit: usize) -> Range<u32> {
        let value = value.get(..limit.min(value.len())).unwrap_or_default();
        if odd.contains(Oddities::CONTROL) {
            let clean: Vec<u8> = value.iter().map(|byte| clean_byte(*byte)).collect();
            if clean != value {
                self.facts.anomalies.insert(Anomaly::ControlByte);
            }
            return self.block.store(&clean);
        }
        self.block.store(value)
    }

    /// Stores a pseudo-header's value, unless there is one: the first counts, as with Host.
    fn pseudo(&mut self, have: bool, value: &[u8], odd: Oddities, limit: usize) -> Option<Range<u32>> {
        if self.facts.regular || have {
            self.facts.anomalies.insert(Anomaly::BadPseudoHeader);
        }
        if have {
            return None;
        }
        Some(self.store(value, odd, limit))
    }

    fn regular(&mut self, known: KnownHeader, odd: Oddities, name_text: &[u8], value: &[u8]) {
        let (name_place, value_place) = if odd.is_empty() {
            (self.block.store(name_text), self.block.store(value))
        } else {
            if odd.contains(Oddities::UPPER_CASE) {
                self.facts.anomalies.insert(Anomaly::UpperCaseName);
            }
            if odd.contains(Oddities::BAD_NAME) {
                self.facts.anomalies.insert(Anomaly::BadHeaderLine);
            }
            let name_place = self.store(name_text, odd, usize::MAX);
            (name_place, self.store(value, odd, usize::MAX))
        };
        self.take(known, name_place, value_place, value);
    }

    /// A regular field that is stored.
    fn take(&mut self, known: KnownHeader, name_place: Range<u32>, value_place: Range<u32>, value: &[u8]) {
        let first = !self.facts.regular && self.facts.unknown == 0 && !self.facts.has_pseudo();
        self.facts.starts_regular |= first;
        self.facts.regular = true;
        match known {
            KnownHeader::Host => match &self.facts.host {
                None => self.facts.host = Some(value_place.clone()),
                Some(first) if self.block.stored(first) != value => {
                    self.facts.anomalies.insert(Anomaly::HostConflict);
                }
                Some(_) => {}
            },
            KnownHeader::GrpcStatus => {
                self.facts.grpc_status = status_code(value);
            }
            // RFC 9113 §8.2.2: a request to be rewritten as HTTP/1 must not smuggle its own framing.
            KnownHeader::TransferEncoding => self.facts.anomalies.insert(Anomaly::BadTransferEncoding),
            _ => {}
        }
        self.block.push_stored(known, name_place, value_place);
    }
}

/// CR, LF and NUL become blanks.
fn clean_byte(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }
}

impl Sink for FieldSink<'_> {
    fn entry(&mut self, name: Name, odd: Oddities, text: &[u8], name_len: usize) {
        let (Some((_, value)), Name::Field(known), true) = (text.split_at_checked(name_len), name, odd.is_empty())
        else {
            let (name_text, value) = text.split_at_checked(name_len).unwrap_or_default();
            return self.field(name, odd, name_text, value);
        };
        if self.has_room(text.len()) {
            // One copy.
            let place = self.block.store(text);
            let value_start = place.start + name_len as u32;
            self.take(known, place.start..value_start, value_start..place.end, value);
        }
    }

    fn field(&mut self, name: Name, odd: Oddities, name_text: &[u8], value: &[u8]) {
        if !self.has_room(name_text.len() + value.len()) {
            return;
        }
        match name {
            Name::Field(known) => self.regular(known, odd, name_text, value),
            Name::Method => {
                if value.len() > METHOD_BYTES {
                    self.facts.anomalies.insert(Anomaly::LongMethod);
                }
                if let Some(place) = self.pseudo(self.facts.method.is_some(), value, odd, METHOD_BYTES) {
                    self.facts.method = Some(place);
                }
            }
            Name::Path => {
                if value.len() > self.target_bytes {
                    self.facts.anomalies.insert(Anomaly::TargetLimit);
                }
                if let Some(place) = self.pseudo(self.facts.path.is_some(), value, odd, self.target_bytes) {
                    self.facts.path = Some(place);
                }
            }
            Name::Authority => {
                if let Some(place) = self.pseudo(self.facts.authority.is_some(), value, odd, usize::MAX) {
                    self.facts.authority = Some(place);
                }
            }
            Name::Protocol => {
                if let Some(place) = self.pseudo(self.facts.protocol.is_some(), value, odd, usize::MAX) {
                    self.facts.protocol = Some(place);
                }
            }
            Name::Scheme => {
                if self.facts.scheme.is_some() || self.facts.regular {
                    self.facts.anomalies.insert(Anomaly::BadPseudoHeader);
                }
                let scheme = if value == b"https" { Scheme::Https } else { Scheme::Http };
                self.facts.scheme.get_or_insert(scheme);
            }
            Name::Status => {
                let status = match value {
                    [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                        u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
                    }
                    _ => 0,
                };
                if self.facts.status.is_some() || self.facts.regular || status == 0 {
                    self.facts.anomalies.insert(Anomaly::BadPseudoHeader);
                }
                self.facts.status.get_or_insert(status);
            }
            Name::OtherPseudo => {
                self.facts.anomalies.insert(Anomaly::BadPseudoHeader);
                if odd.contains(Oddities::UPPER_CASE) {
                    self.facts.anomalies.insert(Anomaly::UpperCaseName);
                }
            }
            Name::Unknown => {
                self.facts.unknown = self.facts.unknown.saturating_add(1);
                self.block.push(KnownHeader::Other, b"", b"");
                if let Some(field) = self.block.last_mut() {
                    field.unknown = true;
                }
            }
        }
    }
}
