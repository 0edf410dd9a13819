//! JSON pointers (RFC 6901) and the references of `$ref`.

/// A token as it stands in a pointer.
pub(crate) fn escape(token: &str) -> String {
    if token.contains(['~', '/']) { token.replace('~', "~0").replace('/', "~1") } else { token.to_string() }
}

/// A token of a pointer as the key that it names.
pub(crate) fn unescape(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_string() }
}

/// Decodes percent-encoding; what is none stays. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_string();
    }
    String::from_utf8_lossy(&percent_decode_bytes(text.as_bytes())).into_owned()
}

/// Decodes percent-encoding once; what is none stays.
pub(crate) fn percent_decode_bytes(text: &[u8]) -> Vec<u8> {
    let hex =
        |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%'
            && let (Some(high), Some(low)) = (hex(tail.first()), hex(tail.get(1)))
        {
            out.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(*byte);
        }
    }
    out
}

/// Where a `$ref` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    /// A place in the same document (`""`) or in another one, by its name relative to the referring document.
    Place { document: &'a str, fragment: &'a str },
    /// Another machine. Nothing is ever fetched.
    Remote,
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(text: &'a str) -> Reference<'a> {
        let (document, fragment) = text.split_once('#').unwrap_or((text, ""));
        // A scheme (RFC 3986 §3.1) of one letter is a drive letter of a careless tool: refused like the others.
        let scheme = document.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        });
        if scheme || document.starts_with("//") { Reference::Remote } else { Reference::Place { document, fragment } }
    }
}

/// The name of a document that another one refers to: `../common/a.yaml` seen from `spec/api.yaml` is `common/a.yaml`.
/// Steps above the starting folder stay as leading `..`; whoever opens files decides about them.
pub(crate) fn join(from: &str, to: &str) -> String {
    let to = percent_decode(to);
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let joined = if to.starts_with('/') { to } else { format!("{folder}/{to}") };
    let absolute = joined.starts_with('/') && (!folder.is_empty() && folder.starts_with('/') || from.starts_with('/'));
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    if absolute { format!("/{path}") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_round_trip() {
        for token in ["a", "/a/{b}", "~", "~1", "a~b/c"] {
            assert_eq!(unescape(&escape(token)), token);
        }
        assert_eq!(escape("/a~b"), "~1a~0b");
    }

    #[test]
    fn names_are_joined_and_steps_up_are_kept() {
        for (from, to, expected) in [
            ("api.yaml", "parts.yaml", "parts.yaml"),
            ("spec/api.json", "../common/Error.json", "common/Error.json"),
            ("spec/api.json", "./a/./b.json", "spec/a/b.json"),
            ("api.json", "../../etc/passwd", "../../etc/passwd"),
            ("/x/api.json", "../y/b.json", "/y/b.json"),
            ("/x/api.json", "../../../b.json", "/b.json"),
            ("a.json", "with%20space.json", "with space.json"),
        ] {
            assert_eq!(join(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn f067_nothing_remote_is_ever_asked_for() {
        for text in ["http://x.test/a.json#/b", "https://x", "file:///etc/passwd", "//host/share", "C:\\x", "FTP://x"] {
            assert_eq!(Reference::parse(text), Reference::Remote, "{text}");
        }
        assert_eq!(Reference::parse("#/a"), Reference::Place { document: "", fragment: "/a" });
        assert_eq!(Reference::parse("a.yaml"), Reference::Place { document: "a.yaml", fragment: "" });
        assert_eq!(Reference::parse("a/b:c.yaml#x"), Reference::Place { document: "a/b:c.yaml", fragment: "x" });
    }

    #[test]
    fn percent_decoding_happens_once() {
        assert_eq!(percent_decode("%7Bid%7D"), "{id}");
        assert_eq!(percent_decode("%2541%zz%4"), "%41%zz%4");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
    }
}
