//! Queries, cookies and forms: names and the shapes of values.

use std::borrow::Cow;

use super::hash::ValueKey;
use super::json::Stop;
use super::shape::{Object, Shape, Type};

/// Parameters read of one message; further ones are passed over (F068).
pub const PARAMETERS: usize = 256;

/// Longest name decoded, bytes; a longer one is no name.
const NAME_BYTES: usize = 256;

/// Longest header block of a part (RFC 7578), bytes.
const PART_HEAD_BYTES: usize = 4096;

/// Longest boundary (RFC 2046 §5.1.1), bytes.
const BOUNDARY_BYTES: usize = 70;

/// Adds a form body.
pub(super) fn add_urlencoded(shape: &mut Shape, bytes: &[u8], cut: bool, key: &ValueKey) -> Stop {
    shape.count_one(Type::Object);
    add_pairs(shape.object_mut(), bytes, cut, Some(key))
}

/// Adds a query or form: pairs apart by `&`. Each is decoded once (F068). One object of names.
pub(super) fn add_pairs(object: &mut Object, bytes: &[u8], cut: bool, key: Option<&ValueKey>) -> Stop {
    let mut pairs = bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty());
    let mut read = 0;
    for pair in pairs.by_ref().take(PARAMETERS) {
        read += 1;
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(equals) => (pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default()),
            None => (pair, [].as_slice()),
        };
        // The last pair of a cut body is not whole.
        if cut && pair.as_ptr_range().end == bytes.as_ptr_range().end {
            break;
        }
        let slot = slot(object, &decode(name));
        slot.add_parameter(&decode(value), key);
    }
    if cut || (read == PARAMETERS && pairs.next().is_some()) {
        object.abandon();
        return Stop::Cut;
    }
    object.end();
    Stop::End
}

/// Adds the cookies of one `Cookie` field (RFC 6265 §4.2.1): names and types of values, no hashes.
pub(super) fn add_cookies(object: &mut Object, bytes: &[u8]) {
    for pair in bytes.split(|&byte| byte == b';').take(PARAMETERS) {
        let pair = pair.trim_ascii();
        let Some(equals) = pair.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = pair.split_at(equals);
        let slot = slot(object, &String::from_utf8_lossy(name));
        slot.add_parameter(&String::from_utf8_lossy(value.get(1..).unwrap_or_default()), None);
    }
    object.end();
}

/// The slot of a parameter. An index or id in brackets is none of its name: `items[0][sku]` is `items[][sku]`.
fn slot<'a>(object: &'a mut Object, name: &str) -> &'a mut Shape {
    if !name.contains('[') {
        return object.slot(name);
    }
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(open) = rest.find('[') {
        let (before, inside) = rest.split_at(open);
        plain.push_str(before);
        let Some(close) = inside.find(']') else { break };
        let index = inside.get(1..close).unwrap_or_default();
        plain.push('[');
        if super::name::is_name(index) {
            plain.push_str(index);
        }
        plain.push(']');
        rest = inside.get(close + 1..).unwrap_or_default();
    }
    plain.push_str(rest);
    object.slot(&plain)
}

/// Percent and plus decoding, once; what is no UTF-8 becomes U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return String::from_utf8_lossy(bytes);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| (byte as char).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    match String::from_utf8_lossy(&out) {
        Cow::Owned(text) => Cow::Owned(text),
        Cow::Borrowed(_) => Cow::Owned(String::from_utf8(out).unwrap_or_default()),
    }
}

/// One part of a multipart body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// `name` of its Content-Disposition.
    pub(crate) name: &'a [u8],
    /// It has a `filename`: its content is a file.
    pub(crate) is_file: bool,
    /// Content.
    pub(crate) content: &'a [u8],
    /// The end of the content was not seen.
    pub(crate) cut: bool,
}

/// The parts of a `multipart/form-data` body (RFC 7578), at most [`PARAMETERS`]; a nested multipart is one part.
pub(crate) struct Parts<'a> {
    delimiter: Vec<u8>,
    rest: Option<&'a [u8]>,
    left: usize,
    /// The closing delimiter was seen.
    pub(crate) closed: bool,
}

impl<'a> Parts<'a> {
    /// `None` without a boundary of legal length.
    pub(crate) fn new(content_type: &[u8], bytes: &'a [u8]) -> Option<Self> {
        let boundary = parameter(content_type, b"boundary")?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES {
            return None;
        }
        let mut delimiter = b"--".to_vec();
        delimiter.extend_from_slice(boundary);
        // The preamble, if any, ends at the first delimiter that begins a line.
        let rest = if bytes.starts_with(&delimiter) {
            bytes.get(delimiter.len()..)
        } else {
            find_delimiter(bytes, &delimiter).map(|(_, after)| after)
        };
        Some(Parts { delimiter, rest, left: PARAMETERS, closed: false })
    }

    /// The next part.
    pub(crate) fn next_part(&mut self) -> Option<Part<'a>> {
        let rest = self.rest.take()?;
        if rest.starts_with(b"--") {
            self.closed = true;
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        // Padding after the delimiter, then the line end.
        let line_end = rest.iter().position(|&byte| byte == b'\n')?;
        let rest = rest.get(line_end + 1..)?;
        let (part, cut) = match find_delimiter(rest, &self.delimiter) {
            Some((part, after)) => {
                self.rest = Some(after);
                (part, false)
            }
            None => (rest, true),
        };
        // Senders forget the line end between an empty content and the delimiter.
        let (head, content) = split_head(part).or_else(|| (!cut).then_some((part, [].as_slice())))?;
        let disposition = head.split(|&byte| byte == b'\n').find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            name.trim_ascii().eq_ignore_ascii_case(b"content-disposition").then_some(value)
        });
        let disposition = disposition.unwrap_or_default();
        let name = parameter(disposition, b"name").unwrap_or_default();
        let is_file = parameter(disposition, b"filename").or_else(|| parameter(disposition, b"filename*")).is_some();
        Some(Part { name, is_file, content, cut })
    }
}

/// What stands before the next line that begins with the delimiter, and what after the delimiter.
fn find_delimiter<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        let line = from + bytes.get(from..)?.iter().position(|&byte| byte == b'\n')? + 1;
        if bytes.get(line..)?.starts_with(delimiter) {
            let before = bytes.get(..line - 1)?;
            return Some((before.strip_suffix(b"\r").unwrap_or(before), bytes.get(line + delimiter.len()..)?));
        }
        from = line;
    }
}

/// Header lines of a part, and its content. An empty head is legal.
fn split_head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(content) = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")) {
        return Some((&[], content));
    }
    let mut from = 0;
    loop {
        let line = from + part.get(from..part.len().min(PART_HEAD_BYTES))?.iter().position(|&byte| byte == b'\n')? + 1;
        let rest = part.get(line..)?;
        if let Some(content) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
            return Some((part.get(..line)?, content));
        }
        from = line;
    }
}

/// A parameter of a header value: `; name=value` or `; name="value"`.
pub(crate) fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = value;
    loop {
        let semicolon = rest.iter().position(|&byte| byte == b';')?;
        rest = rest.get(semicolon + 1..)?;
        let equals = rest.iter().position(|&byte| matches!(byte, b'=' | b';'))?;
        let (this, after) = rest.split_at(equals);
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after;
            continue;
        };
        let (found, after) = match after.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|&byte| byte == b'"').unwrap_or(quoted.len());
                (quoted.get(..end)?, quoted.get(end..)?)
            }
            None => {
                let end =
                    after.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t' | b'\r')).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if this.trim_ascii().eq_ignore_ascii_case(name) {
            return Some(found);
        }
        rest = after;
    }
}

/// Adds a multipart form: fields by name, files as bytes.
pub(super) fn add_multipart(shape: &mut Shape, content_type: &[u8], bytes: &[u8], cut: bool, key: &ValueKey) -> Stop {
    shape.count_one(Type::Object);
    let object = shape.object_mut();
    let Some(mut parts) = Parts::new(content_type, bytes) else { return Stop::Bad };
    while let Some(part) = parts.next_part() {
        let name = if part.name.len() > NAME_BYTES { Cow::Borrowed("") } else { String::from_utf8_lossy(part.name) };
        let slot = slot(object, &name);
        match std::str::from_utf8(part.content) {
            Ok(text) if !part.is_file && !part.cut => slot.add_parameter(text, Some(key)),
            _ => slot.add_bytes(part.content.len()),
        }
    }
    if parts.closed {
        object.end();
        return Stop::End;
    }
    object.abandon();
    if cut || parts.left == 0 { Stop::Cut } else { Stop::Bad }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_header_value() {
        let value = b"multipart/form-data; charset=utf-8; x; Boundary=\"a b;c\"; z=1";
        assert_eq!(parameter(value, b"boundary"), Some(b"a b;c".as_slice()));
        assert_eq!(parameter(value, b"z"), Some(b"1".as_slice()));
        assert_eq!(parameter(value, b"y"), None);
        assert_eq!(parameter(b"form-data; filename=\"name=x\"; name=\"n\"", b"name"), Some(b"n".as_slice()));
    }

    #[test]
    fn decoding_happens_once() {
        assert_eq!(decode(b"a%2541+b%"), "a%41 b%");
        assert_eq!(decode(b"%ff"), "\u{fffd}");
    }

    #[test]
    fn indexes_in_brackets_are_no_names() {
        let mut shape = Shape::default();
        add_urlencoded(
            &mut shape,
            b"items[0][sku]=a&items%5B1%5D[sku]=b&ids[]=1&ids[]=2&f[name]=x",
            false,
            &ValueKey::new([1, 2]),
        );
        let names: Vec<&str> = shape.object().unwrap().properties().iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["f[name]", "ids[]", "items[][sku]"]);
        assert!(shape.object().unwrap().property("ids[]").unwrap().repeated);
    }

    #[test]
    fn parts_of_a_multipart_body() {
        let body =
            b"--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n12\r\n--b1\r\ncontent-disposition: form-data; \
            name=\"f\"; filename=\"x\"\r\nContent-Type: a/b\r\n\r\n\xff\r\n--b1--\r\n";
        let mut shape = Shape::default();
        let kind = b"multipart/form-data; boundary=b1";
        assert_eq!(add_multipart(&mut shape, kind, body, false, &ValueKey::new([1, 2])), Stop::End);
        let object = shape.object().unwrap();
        assert_eq!(object.property("a").unwrap().shape.count(Type::Integer), 1);
        assert_eq!(object.property("f").unwrap().shape.count(Type::String), 1);
        for cut in 0..body.len() {
            let mut shape = Shape::default();
            add_multipart(&mut shape, kind, &body[..cut], true, &ValueKey::new([1, 2]));
        }
    }
}
