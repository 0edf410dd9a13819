//! Which body is read how, by its Content-Type.

use super::body::Syntax;

/// Longest `type/subtype` kept, bytes.
const MEDIA_BYTES: usize = 80;

/// `type/subtype` of a Content-Type in lower case, without parameters; `None` if there is none or it is no token (RFC 9110 §8.3.1).
pub fn media_type(content_type: &[u8]) -> Option<String> {
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(content_type.len());
    let essence = content_type.get(..end)?.trim_ascii();
    let mut slashes = 0;
    let sound = essence.iter().all(|&byte| {
        slashes += usize::from(byte == b'/');
        byte.is_ascii_alphanumeric() || b"/!#$&-^_.+".contains(&byte)
    });
    if !sound || slashes != 1 || essence.len() > MEDIA_BYTES {
        return None;
    }
    Some(String::from_utf8_lossy(essence).to_ascii_lowercase())
}

/// How a body with this Content-Type is read; [`Syntax::Opaque`] without one. Allocates nothing: asked for every transaction.
pub fn syntax_of(content_type: &[u8]) -> Syntax {
    if content_type == b"application/json" {
        return Syntax::Json;
    }
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(content_type.len());
    let essence = content_type.get(..end).unwrap_or_default().trim_ascii();
    let mut lower = [0; MEDIA_BYTES];
    let Some(lower) = lower.get_mut(..essence.len()) else { return Syntax::Opaque };
    lower.copy_from_slice(essence);
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).map_or(Syntax::Opaque, syntax)
}

/// How a body of this media type is read.
pub fn syntax(media_type: &str) -> Syntax {
    match media_type {
        "application/json" | "text/json" | "application/graphql-response+json" => Syntax::Json,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Syntax::JsonLines
        }
        "application/stream+json" | "application/jsonlines" | "application/json-seq" => Syntax::JsonLines,
        "text/event-stream" => Syntax::EventStream,
        "application/xml" | "text/xml" => Syntax::Xml,
        "application/x-www-form-urlencoded" => Syntax::Form,
        "multipart/form-data" => Syntax::Multipart,
        "application/protobuf" | "application/x-protobuf" | "application/vnd.google.protobuf" => Syntax::Protobuf,
        // Web pages are set aside.
        "application/xhtml+xml" | "image/svg+xml" => Syntax::Opaque,
        _ if media_type.starts_with("application/grpc-web-text") => Syntax::Opaque,
        _ if media_type.starts_with("application/grpc") && !media_type.ends_with("+json") => Syntax::Grpc,
        _ if media_type.ends_with("+json") => Syntax::Json,
        _ if media_type.ends_with("+xml") => Syntax::Xml,
        _ => Syntax::Opaque,
    }
}

/// How a body without, or with a vague, Content-Type is read: by its first character.
pub fn sniff(bytes: &[u8]) -> Syntax {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match text {
        [b'{', ..] | [b'[', ..] => Syntax::Json,
        [b'<', b'?', b'x', b'm', b'l', ..] => Syntax::Xml,
        _ => Syntax::Opaque,
    }
}

/// UTF-16 with or without a byte order mark as UTF-8 (RFC 4627 §3 tells them apart by the zero bytes of the first two characters);
/// `None` if the bytes are no UTF-16.
pub(super) fn utf16_to_utf8(bytes: &[u8]) -> Option<String> {
    let (big_endian, rest) = match bytes {
        [0xfe, 0xff, rest @ ..] => (true, rest),
        [0xff, 0xfe, rest @ ..] => (false, rest),
        [0, first, ..] if *first != 0 => (true, bytes),
        [first, 0, second, ..] if *first != 0 && *second != 0 => (false, bytes),
        _ => return None,
    };
    let (pairs, _) = rest.as_chunks::<2>();
    let units = pairs.iter().map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}
