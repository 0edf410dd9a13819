//! How long a message's body is (RFC 9112 §6), from what its head says.

use std::ops::Range;

use crate::anomaly::{Anomalies, Anomaly};
use crate::message::{KnownHeader, Version};
use crate::transaction::Upgrade;

/// What the fields of one head say about framing, connection and host. Filled while they are parsed.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Oddities of the head.
    pub(super) anomalies: Anomalies,
    /// First Host field's value.
    pub(super) host: Option<Range<u32>>,
    length: Length,
    codings: Codings,
    connection_upgrade: bool,
    upgrade: Option<Upgrade>,
    expect: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Value(u64),
    Bad,
}

/// Transfer-Encoding fields, joined.
#[derive(Debug, Default, Clone, Copy)]
struct Codings {
    present: bool,
    chunked: bool,
    last_is_chunked: bool,
    only_identity: bool,
    odd: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
    /// Cannot be known: look for the next message.
    Unknown,
}

impl Facts {
    /// Everything but places, which say nothing of what an empty value says.
    #[cfg(test)]
    pub(super) fn spelled(&self) -> String {
        let Facts { anomalies, host, length, codings, connection_upgrade, upgrade, expect } = self;
        let host = host.as_ref().map(|host| host.len());
        format!("{anomalies:?} {host:?} {length:?} {codings:?} {connection_upgrade} {upgrade:?} {expect}")
    }

    /// Is there anything to note of a field of this kind?
    #[inline]
    pub(super) fn is_about(known: KnownHeader) -> bool {
        use KnownHeader as K;
        matches!(known, K::Host | K::ContentLength | K::TransferEncoding | K::Connection | K::Upgrade | K::Expect)
    }

    /// Takes note of a field. `place`: where its value is stored.
    pub(super) fn note(&mut self, known: KnownHeader, value: &[u8], place: Range<u32>) {
        match known {
            KnownHeader::Host => self.note_host(value, place),
            KnownHeader::ContentLength => self.note_length(value),
            KnownHeader::TransferEncoding => self.note_codings(value),
            KnownHeader::Connection => self.connection_upgrade |= Facts::asks_for_upgrade(value),
            KnownHeader::Upgrade => self.upgrade = self.upgrade.or(upgrade_kind(value)),
            KnownHeader::Expect => {
                self.expect = true;
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    self.anomalies.insert(Anomaly::OddExpect);
                }
            }
            _ => {}
        }
    }

    /// Does a Connection field name Upgrade?
    pub(super) fn asks_for_upgrade(value: &[u8]) -> bool {
        has_token(value, b"upgrade")
    }

    /// A framing field was written in a way that readers take differently (folded, blank before the colon).
    pub(super) fn note_odd_spelling(&mut self, known: KnownHeader) {
        match known {
            KnownHeader::TransferEncoding => self.codings.odd = true,
            KnownHeader::ContentLength => self.anomalies.insert(Anomaly::BadContentLength),
            _ => {}
        }
    }

    fn note_host(&mut self, value: &[u8], place: Range<u32>) {
        if self.host.is_some() {
            // RFC 9112 §3.2: more than one Host is an error, whatever they say.
            self.anomalies.insert(Anomaly::HostConflict);
            return;
        }
        if !is_host(value) {
            self.anomalies.insert(Anomaly::BadHost);
        }
        self.host = Some(place);
    }

    fn note_length(&mut self, value: &[u8]) {
        // What nearly all say: a few digits, once.
        if self.length == Length::Absent
            && (1..=18).contains(&value.len())
            && let Some(length) = value.iter().try_fold(0u64, |length, byte| {
                let digit = byte.wrapping_sub(b'0');
                (digit < 10).then(|| length.wrapping_mul(10).wrapping_add(u64::from(digit)))
            })
        {
            self.length = Length::Value(length);
            return;
        }
        // RFC 9110 §8.6: a list of equal values may be read as one value.
        for item in value.split(|byte| *byte == b',') {
            let next = match parse_length(item.trim_ascii()) {
                Some(next) => Length::Value(next),
                None => Length::Bad,
            };
            self.length = match self.length {
                Length::Absent => next,
                known if known == next => known,
                _ => Length::Bad,
            };
        }
        if self.length == Length::Bad {
            self.anomalies.insert(Anomaly::BadContentLength);
        }
    }

    fn note_codings(&mut self, value: &[u8]) {
        let codings = &mut self.codings;
        let first = !codings.present;
        codings.present = true;
        for (number, item) in value.split(|byte| *byte == b',').enumerate() {
            let item = item.trim_ascii_start().trim_ascii_end();
            let chunked = item.eq_ignore_ascii_case(b"chunked");
            let identity = item.eq_ignore_ascii_case(b"identity");
            let registered = [&b"gzip"[..], b"deflate", b"compress", b"x-gzip", b"x-compress"];
            let usual = chunked || registered.iter().any(|name| item.eq_ignore_ascii_case(name));
            // RFC 9112 §6.1: chunked is last and not repeated.
            codings.odd |= !usual || codings.last_is_chunked;
            codings.only_identity = identity && (codings.only_identity || (first && number == 0));
            codings.chunked |= chunked;
            codings.last_is_chunked = chunked;
        }
    }

    /// The request asks for another protocol (RFC 9110 §7.8).
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        if self.connection_upgrade { self.upgrade } else { None }
    }

    /// What the Upgrade field of a 101 names.
    pub(super) fn upgrade_field(&self) -> Option<Upgrade> {
        self.upgrade
    }

    /// The client may wait for 100 (Continue) before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.expect
    }

    /// Where a request's body ends, and whether readers may see that differently (RFC 9112 §6.3).
    pub(super) fn request_body(&mut self, version: Version, is_connect: bool) -> (BodyEnd, bool) {
        if is_connect {
            return (BodyEnd::None, false);
        }
        let (end, ambiguous) = self.body(version, true);
        if self.expect && end == BodyEnd::None {
            self.anomalies.insert(Anomaly::OddExpect);
        }
        (end, ambiguous)
    }

    /// Where a response's body ends, and whether readers may see that differently.
    pub(super) fn response_body(&mut self, version: Version, status: u16, to_head: bool) -> (BodyEnd, bool) {
        let bodyless = matches!(status, 100..=199 | 204);
        if bodyless && (self.codings.present || matches!(self.length, Length::Value(1..) | Length::Bad)) {
            // RFC 9110 §8.6, RFC 9112 §6.1: must not be sent; some readers believe it.
            self.anomalies.insert(Anomaly::BadContentLength);
            return (BodyEnd::None, true);
        }
        if bodyless || status == 304 || to_head {
            return (BodyEnd::None, false);
        }
        self.body(version, false)
    }

    fn body(&mut self, version: Version, is_request: bool) -> (BodyEnd, bool) {
        let codings = self.codings;
        let mut ambiguous = self.anomalies.contains(Anomaly::BadContentLength);
        if codings.present {
            if self.length != Length::Absent {
                self.anomalies.insert(Anomaly::LengthAndChunked);
                ambiguous = true;
            }
            if codings.odd || !codings.last_is_chunked || version == Version::Http10 {
                self.anomalies.insert(Anomaly::BadTransferEncoding);
                ambiguous = true;
            }
            if codings.last_is_chunked {
                // RFC 9112 §6.3: Transfer-Encoding wins over Content-Length.
                return (BodyEnd::Chunked, ambiguous);
            }
            if !codings.only_identity {
                return (if is_request { BodyEnd::Unknown } else { BodyEnd::Close }, ambiguous);
            }
            // `identity` was a coding of RFC 2616 that stands for none: the length counts.
        }
        let end = match self.length {
            Length::Absent if is_request => BodyEnd::None,
            Length::Absent => BodyEnd::Close,
            Length::Value(0) => BodyEnd::None,
            Length::Value(len) => BodyEnd::Length(len),
            Length::Bad => BodyEnd::Unknown,
        };
        (end, ambiguous)
    }
}

/// Digits only; a value past 2^64 is no length (it must never wrap).
fn parse_length(item: &[u8]) -> Option<u64> {
    if item.is_empty() {
        return None;
    }
    item.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A comma-separated list holds this token.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    // The common values are one token.
    list.eq_ignore_ascii_case(token)
        || (list.len() > token.len()
            && !list.eq_ignore_ascii_case(b"keep-alive")
            && list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token)))
}

fn upgrade_kind(value: &[u8]) -> Option<Upgrade> {
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    Some(match first {
        b"" => return None,
        name if name.eq_ignore_ascii_case(b"websocket") => Upgrade::WebSocket,
        name if name.eq_ignore_ascii_case(b"h2c") => Upgrade::H2c,
        _ => Upgrade::Other,
    })
}

/// Longest host name (RFC 1035 §2.3.4) and `:65535`.
const HOST_BYTES: usize = 253 + 6;

/// Bytes of a host name, address literal and port.
pub(super) fn is_host(value: &[u8]) -> bool {
    value.len() <= HOST_BYTES && value.iter().all(|byte| HOST[usize::from(*byte)])
}

/// By byte: may it be in a host?
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%' | b'~');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts(fields: &[(KnownHeader, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (known, value) in fields {
            facts.note(*known, value.as_bytes(), 0..0);
        }
        facts
    }

    #[test]
    fn lengths() {
        use KnownHeader::ContentLength as CL;
        let end = |fields: &[(KnownHeader, &str)]| facts(fields).request_body(Version::Http11, false);
        assert_eq!(end(&[(CL, "5")]), (BodyEnd::Length(5), false));
        assert_eq!(end(&[(CL, "0005")]), (BodyEnd::Length(5), false));
        assert_eq!(end(&[(CL, "5, 5"), (CL, "5")]), (BodyEnd::Length(5), false));
        assert_eq!(end(&[(CL, "18446744073709551615")]), (BodyEnd::Length(u64::MAX), false));
        for bad in ["+5", "-5", "0x5", "", "5 0", "5,6", "5,", "18446744073709551616", "18446744073709551621"] {
            assert_eq!(end(&[(CL, bad)]), (BodyEnd::Unknown, true), "{bad}");
        }
    }

    #[test]
    fn codings() {
        use KnownHeader::{ContentLength as CL, TransferEncoding as TE};
        let end = |fields: &[(KnownHeader, &str)]| facts(fields).request_body(Version::Http11, false);
        assert_eq!(end(&[(TE, "chunked")]), (BodyEnd::Chunked, false));
        assert_eq!(end(&[(TE, "gzip, chunked")]), (BodyEnd::Chunked, false));
        assert_eq!(end(&[(TE, "gzip"), (TE, "CHUNKED")]), (BodyEnd::Chunked, false));
        assert_eq!(end(&[(TE, "chunked"), (CL, "5")]), (BodyEnd::Chunked, true));
        assert_eq!(end(&[(TE, ",chunked")]), (BodyEnd::Chunked, true));
        assert_eq!(end(&[(TE, "chunked, chunked")]), (BodyEnd::Chunked, true));
        assert_eq!(end(&[(TE, "xchunked"), (CL, "5")]), (BodyEnd::Unknown, true));
        assert_eq!(end(&[(TE, "identity"), (CL, "5")]), (BodyEnd::Length(5), true));
        assert_eq!(facts(&[(TE, "chunked, gzip")]).response_body(Version::Http11, 200, false), (BodyEnd::Close, true));
        assert_eq!(facts(&[(CL, "5")]).response_body(Version::Http11, 304, false), (BodyEnd::None, false));
        assert_eq!(facts(&[(CL, "5")]).response_body(Version::Http11, 204, false), (BodyEnd::None, true));
    }
}
