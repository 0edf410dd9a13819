//! Message heads: the usual ones, read against the one before; what `httparse` takes, in place; and what all ways do with
//! the result.

use std::mem::MaybeUninit;
use std::ops::Range;

use memchr::memchr;

use super::framing::{Facts, is_host};
use super::known::known_header;
use super::lenient::{self, StartLine};
use super::usual::{self, Before};
use crate::anomaly::Anomaly;
use crate::engine::Config;
use crate::message::{HeaderBlock, KnownHeader, Request, Response, Scheme, Version};

/// Fields that the fast path takes; more go the lenient way.
const FAST_FIELDS: usize = 64;
/// Bytes kept of a method that no registry knows (F040).
const METHOD_BYTES: usize = 32;

/// A parsed head: its length in bytes, and what it says about framing. `None`: these bytes are no head.
pub(super) type Parsed = Option<(usize, Facts)>;

/// Parses a request head. `bytes` hold the empty line that ends it, or (`cut`) end before it.
pub(super) fn parse_request(
    config: &Config,
    before: Option<&mut Before>,
    bytes: &[u8],
    cut: bool,
    request: &mut Request,
) -> Parsed {
    if !cut && let Some(parsed) = fast_request(config, before, bytes, request) {
        return Some(parsed);
    }
    request.clear();
    let (used, start, mut facts) = lenient::parse(config, bytes, cut, true, &mut request.headers)?;
    let StartLine::Request(line) = start else { return None };
    request.version = line.version;
    facts.anomalies.extend(line.anomalies);
    set_method(request, place(line.method), &mut facts);
    set_target(config, request, place(line.target), &mut facts, cut);
    Some((used, facts))
}

/// Parses the head of a response.
pub(super) fn parse_response(
    config: &Config,
    before: Option<&mut Before>,
    bytes: &[u8],
    cut: bool,
    response: &mut Response,
) -> Parsed {
    if !cut && let Some(parsed) = fast_response(config, before, bytes, response) {
        return Some(parsed);
    }
    response.clear();
    let (used, start, mut facts) = lenient::parse(config, bytes, cut, false, &mut response.headers)?;
    let StartLine::Status(line) = start else { return None };
    (response.version, response.status) = (line.version, line.status);
    facts.anomalies.extend(line.anomalies);
    Some((used, facts))
}

fn place((start, end): (usize, usize)) -> Range<u32> {
    // A head is at most `head_bytes` long, far below 4 GiB.
    start as u32..end as u32
}

/// Parses a whole head of the usual kind, or one that `httparse` takes, at the start of `bytes`. The request is empty.
pub(super) fn fast_request(
    config: &Config,
    before: Option<&mut Before>,
    bytes: &[u8],
    request: &mut Request,
) -> Parsed {
    if let Some(before) = before {
        if let Some(parsed) = usual_request(config, before, bytes, request) {
            return Some(parsed);
        }
        request.clear();
    }
    strict_request(config, bytes, request)
}

/// Parses a whole head of the usual kind, or one that `httparse` takes, at the start of `bytes`. The response is empty.
pub(super) fn fast_response(
    config: &Config,
    before: Option<&mut Before>,
    bytes: &[u8],
    response: &mut Response,
) -> Parsed {
    if let Some(before) = before {
        if let Some(parsed) = usual_response(config, before, bytes, response) {
            return Some(parsed);
        }
        response.clear();
    }
    strict_response(config, bytes, response)
}

fn usual_request(config: &Config, before: &mut Before, bytes: &[u8], request: &mut Request) -> Parsed {
    let line = usual::request_line(bytes)?;
    let mut facts = Facts::default();
    let most = FAST_FIELDS.min(config.fields);
    let used = usual::fields(before, bytes, line.len, most, &mut request.headers, &mut facts)?;
    if used > config.head_bytes {
        return None;
    }
    request.headers.store(bytes.get(..used)?);
    request.version = line.version;
    set_method(request, place((0, line.method_end)), &mut facts);
    set_target(config, request, place((line.method_end + 1, line.target_end)), &mut facts, false);
    Some((used, facts))
}

fn usual_response(config: &Config, before: &mut Before, bytes: &[u8], response: &mut Response) -> Parsed {
    let (version, status, start) = usual::status_line(bytes)?;
    let mut facts = Facts::default();
    let most = FAST_FIELDS.min(config.fields);
    let used = usual::fields(before, bytes, start, most, &mut response.headers, &mut facts)?;
    if used > config.head_bytes {
        return None;
    }
    response.headers.store(bytes.get(..used)?);
    (response.version, response.status) = (version, status);
    Some((used, facts))
}

/// Parses a whole head that `httparse` takes, at the start of `bytes`.
fn strict_request(config: &Config, bytes: &[u8], request: &mut Request) -> Parsed {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FAST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let httparse::Status::Complete(used) = parsed.parse_with_uninit_headers(bytes, &mut fields).ok()? else {
        return None;
    };
    if used > config.head_bytes || parsed.headers.len() > config.fields {
        return None;
    }
    let head = bytes.get(..used)?;
    let mut facts = Facts::default();
    request.headers.store(head);
    note_bytes(head, &mut facts);
    push_fields(head, parsed.headers, &mut request.headers, &mut facts);
    request.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    set_method(request, within(head, parsed.method?.as_bytes()), &mut facts);
    set_target(config, request, within(head, parsed.path?.as_bytes()), &mut facts, false);
    Some((used, facts))
}

/// Parses a whole head that `httparse` takes, at the start of `bytes`.
fn strict_response(config: &Config, bytes: &[u8], response: &mut Response) -> Parsed {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FAST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let status = parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields).ok()?;
    let httparse::Status::Complete(used) = status else { return None };
    // A status below 100 is odd: the lenient path flags it.
    let code = parsed.code.filter(|code| *code >= 100)?;
    if used > config.head_bytes || parsed.headers.len() > config.fields {
        return None;
    }
    let head = bytes.get(..used)?;
    let mut facts = Facts::default();
    response.headers.store(head);
    note_bytes(head, &mut facts);
    push_fields(head, parsed.headers, &mut response.headers, &mut facts);
    response.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    response.status = code;
    Some((used, facts))
}

/// Oddities that `httparse` lets pass.
fn note_bytes(head: &[u8], facts: &mut Facts) {
    if !head.is_ascii() {
        facts.anomalies.insert(Anomaly::NonAscii);
    }
    // The line before the first field, and the empty one; those between are looked at with their fields.
    if !head.ends_with(b"\r\n\r\n") {
        facts.anomalies.insert(Anomaly::BareLineEnd);
    }
}

fn push_fields(head: &[u8], fields: &[httparse::Header<'_>], block: &mut HeaderBlock, facts: &mut Facts) {
    for field in fields {
        let name = within(head, field.name.as_bytes());
        let value = within(head, field.value);
        let known = known_header(field.name.as_bytes());
        if head.get((name.start as usize).wrapping_sub(2)) != Some(&b'\r') {
            facts.anomalies.insert(Anomaly::BareLineEnd);
        }
        block.push_stored(known, name, value.clone());
        if known != KnownHeader::Other {
            facts.note(known, field.value, value);
        }
    }
}

/// Where in `head` a part of it lies.
fn within(head: &[u8], part: &[u8]) -> Range<u32> {
    let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    // `httparse` gives an empty value a place of its own.
    if start > head.len() {
        return 0..0;
    }
    start as u32..(start + part.len()) as u32
}

fn set_method(request: &mut Request, place: Range<u32>, facts: &mut Facts) {
    let kept = place.end.min(place.start + METHOD_BYTES as u32);
    if kept < place.end {
        facts.anomalies.insert(Anomaly::LongMethod);
    }
    request.method = place.start..kept;
}

/// Takes the request target apart (RFC 9112 §3.2) and settles the authority.
fn set_target(config: &Config, request: &mut Request, place: Range<u32>, facts: &mut Facts, cut: bool) {
    let kept = place.end.min(place.start.saturating_add(u32::try_from(config.target_bytes).unwrap_or(u32::MAX)));
    if kept < place.end {
        facts.anomalies.insert(Anomaly::TargetLimit);
    }
    let place = place.start..kept;
    let host = facts.host.clone().filter(|host| !host.is_empty());
    let target = request.headers.stored(&place);
    if request.headers.stored(&request.method) == b"CONNECT" {
        // Authority-form.
        if !is_host(target) {
            facts.anomalies.insert(Anomaly::BadHost);
        }
        (request.target, request.authority) = (Some(place.end..place.end), Some(place));
        return;
    }
    if target.first().is_some_and(u8::is_ascii_alphabetic)
        && let Some((scheme, authority, path)) = split_absolute(target)
    {
        let part = |part: Range<usize>| place.start + part.start as u32..place.start + part.end as u32;
        if scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss") {
            request.scheme = Scheme::Https;
        }
        let (authority, path) = (part(authority), part(path));
        let name = request.headers.stored(&authority);
        if !is_host(name) {
            facts.anomalies.insert(Anomaly::BadHost);
        }
        // RFC 9112 §3.2.2: the target's authority wins over Host.
        if let Some(host) = &host
            && !request.headers.stored(host).eq_ignore_ascii_case(name)
        {
            facts.anomalies.insert(Anomaly::HostConflict);
        }
        if request.headers.stored(&path).first() == Some(&b'/') {
            request.target = Some(path);
        } else {
            // `http://host?query`: an empty path is `/` (RFC 9110 §4.2.3).
            let rest = request.headers.stored(&path).to_vec();
            let start = request.headers.store(b"/").start;
            request.target = Some(start..request.headers.store(&rest).end);
        }
        request.authority = Some(authority);
        return;
    }
    request.target = Some(place);
    if facts.host.is_none() && request.version == Version::Http11 && !cut {
        facts.anomalies.insert(Anomaly::MissingHost);
    }
    request.authority = host;
}

/// Scheme, place of the authority without userinfo, place of the rest of an absolute-form target.
fn split_absolute(target: &[u8]) -> Option<(&[u8], Range<usize>, Range<usize>)> {
    let scheme_end = memchr(b':', target.get(..target.len().min(16))?)?;
    let scheme = target.get(..scheme_end)?;
    if !scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
        return None;
    }
    if target.get(scheme_end..scheme_end + 3)? != b"://" {
        return None;
    }
    let start = scheme_end + 3;
    let rest = target.get(start..)?;
    let end = start + rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let userinfo = memchr::memrchr(b'@', target.get(start..end)?).map_or(0, |at| at + 1);
    Some((scheme, start + userinfo..end, end..target.len()))
}

/// Fields that must not be in a trailer section (RFC 9110 §6.5.1).
pub(crate) fn is_forbidden_trailer(known: KnownHeader) -> bool {
    use KnownHeader as K;
    matches!(
        known,
        K::Host
            | K::ContentLength
            | K::TransferEncoding
            | K::ContentType
            | K::ContentEncoding
            | K::Connection
            | K::Upgrade
            | K::Authorization
            | K::ProxyAuthorization
            | K::Cookie
            | K::SetCookie
            | K::Expect
            | K::Te
            | K::Trailer
    )
}
