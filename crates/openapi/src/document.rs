//! A JSON or YAML document as one flat table of values.
//!
//! An alias is the number of a value that is already there, so a document never gets larger than its bytes allow, however
//! its aliases are nested. Everything is read without recursion past a bounded depth.

mod build;
mod json;
mod yaml;

use crate::limits::Limits;
use crate::pointer::escape;

/// A piece of the document's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// One value. Lists and maps are ranges of the document's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    /// As it was written, where that says more than a double (`1.10` as a version).
    Number(Span),
    Text(Span),
    List {
        start: u32,
        len: u32,
    },
    /// Entries in the order of their keys.
    Map {
        start: u32,
        len: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Span,
    value: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::Text => "a string",
            Kind::List => "a list",
            Kind::Map => "an object",
        }
    }
}

/// Where a document could not be read, or what was left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// JSON pointer.
    pub(crate) pointer: String,
    pub(crate) what: String,
}

/// Longest line of YAML. Whatever opens on a line may turn out to be a key, so the parser holds all tokens of the line: some
/// 170 bytes of memory for each of its bytes.
const MAX_LINE_BYTES: usize = 512 * 1024;

/// A document read to its end.
#[derive(Debug, Default)]
pub(crate) struct Document {
    text: String,
    values: Vec<Value>,
    /// The container that a value was first seen in; the root has itself.
    parents: Vec<u32>,
    items: Vec<u32>,
    entries: Vec<Entry>,
    /// What was left out; reading went on.
    pub(crate) flaws: Vec<Flaw>,
}

impl Document {
    /// Reads JSON or YAML, UTF-8 or (with a byte order mark) UTF-16.
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, Flaw> {
        let refuse = |what: String| Flaw { pointer: String::new(), what };
        if bytes.len() > limits.bytes {
            return Err(refuse(format!("{} bytes are more than the {} allowed", bytes.len(), limits.bytes)));
        }
        let decoded;
        let text = match bytes {
            [0xfe, 0xff, rest @ ..] => {
                decoded = utf16(rest, u16::from_be_bytes).map_err(refuse)?;
                decoded.as_str()
            }
            [0xff, 0xfe, rest @ ..] => {
                decoded = utf16(rest, u16::from_le_bytes).map_err(refuse)?;
                decoded.as_str()
            }
            _ => {
                let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
                std::str::from_utf8(bytes)
                    .map_err(|error| refuse(format!("not UTF-8 at byte {}", error.valid_up_to())))?
            }
        };
        if !text.trim_start().starts_with(['{', '[']) {
            return yaml::read(text, limits);
        }
        // A YAML flow mapping starts like JSON; what is neither is reported as JSON. A large one is not tried twice.
        json::read(text, limits).or_else(|flaw| match text.len() {
            ..=MAX_LINE_BYTES => yaml::read(text, limits).map_err(|_| flaw),
            _ => Err(flaw),
        })
    }

    pub(crate) fn root(&self) -> u32 {
        0
    }

    fn value(&self, id: u32) -> Value {
        self.values.get(id as usize).copied().unwrap_or(Value::Null)
    }

    fn span(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start.saturating_add(span.len as usize)).unwrap_or_default()
    }

    pub(crate) fn kind(&self, id: u32) -> Kind {
        match self.value(id) {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::List { .. } => Kind::List,
            Value::Map { .. } => Kind::Map,
        }
    }

    /// The text of a string, or of a number as it was written.
    pub(crate) fn text(&self, id: u32) -> Option<&str> {
        match self.value(id) {
            Value::Text(span) | Value::Number(span) => Some(self.span(span)),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, id: u32) -> Option<bool> {
        match self.value(id) {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn entry_slice(&self, id: u32) -> &[Entry] {
        let Value::Map { start, len } = self.value(id) else { return &[] };
        let start = start as usize;
        self.entries.get(start..start.saturating_add(len as usize)).unwrap_or_default()
    }

    fn item_slice(&self, id: u32) -> &[u32] {
        let Value::List { start, len } = self.value(id) else { return &[] };
        let start = start as usize;
        self.items.get(start..start.saturating_add(len as usize)).unwrap_or_default()
    }

    /// The value under a key of a map.
    pub(crate) fn member(&self, id: u32, key: &str) -> Option<u32> {
        let entries = self.entry_slice(id);
        let place = entries.binary_search_by(|entry| self.span(entry.key).cmp(key)).ok()?;
        entries.get(place).map(|entry| entry.value)
    }

    pub(crate) fn len(&self, id: u32) -> usize {
        match self.value(id) {
            Value::List { len, .. } | Value::Map { len, .. } => len as usize,
            _ => 0,
        }
    }

    /// The entry at a place of a map, in the order of keys.
    pub(crate) fn entry(&self, id: u32, place: usize) -> Option<(&str, u32)> {
        self.entry_slice(id).get(place).map(|entry| (self.span(entry.key), entry.value))
    }

    pub(crate) fn item(&self, id: u32, place: usize) -> Option<u32> {
        self.item_slice(id).get(place).copied()
    }

    /// The value that a decoded pointer names.
    pub(crate) fn follow<'a>(&self, tokens: impl Iterator<Item = &'a str>) -> Option<u32> {
        let mut at = self.root();
        for token in tokens {
            at = match self.kind(at) {
                Kind::Map => self.member(at, token)?,
                Kind::List => self.item(at, token.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// Maps that name themselves by `$anchor` or `$dynamicAnchor`; of equal names the first.
    pub(crate) fn anchors(&self) -> std::collections::HashMap<String, u32> {
        let mut anchors = std::collections::HashMap::new();
        for id in (0..self.values.len()).filter_map(|id| u32::try_from(id).ok()) {
            for key in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = self.member(id, key).and_then(|name| self.text(name)) {
                    anchors.entry(name.to_string()).or_insert(id);
                }
            }
        }
        anchors
    }

    /// The JSON pointer of a value (RFC 6901); of a value with aliases, that of its anchor.
    pub(crate) fn pointer(&self, id: u32) -> String {
        let mut tokens = Vec::new();
        let mut at = id;
        while let Some(&parent) = self.parents.get(at as usize)
            && parent != at
            && tokens.len() < 256
        {
            let token = self
                .entry_slice(parent)
                .iter()
                .find(|entry| entry.value == at)
                .map(|entry| escape(self.span(entry.key)))
                .or_else(|| self.item_slice(parent).iter().position(|&item| item == at).map(|place| place.to_string()));
            tokens.push(token.unwrap_or_default());
            at = parent;
        }
        tokens.iter().rev().flat_map(|token| ["/", token.as_str()]).collect()
    }
}

fn utf16(bytes: &[u8], decode: fn([u8; 2]) -> u16) -> Result<String, String> {
    let units = bytes.chunks(2).map(|pair| match *pair {
        [a, b] => decode([a, b]),
        // A lone byte at the end is no character.
        _ => 0xd800,
    });
    char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| "not UTF-16".to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Document {
        Document::read(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn pointer(document: &Document, path: &str) -> Option<String> {
        let id = document.follow(path.split('/').filter(|token| !token.is_empty()))?;
        Some(document.pointer(id))
    }

    #[test]
    fn json_and_yaml_give_the_same_values() {
        let json = read(r#"{"a": [1, {"b/c": "x"}], "200": {"t": true, "n": null}}"#);
        let yaml = read("a:\n- 1\n- {b/c: x}\n200: {t: true, n: ~}\n");
        for document in [json, yaml] {
            let at = |path: &str| document.follow(path.split('.'));
            assert_eq!(document.text(at("a.0").unwrap()), Some("1"));
            assert_eq!(document.kind(at("a.0").unwrap()), Kind::Number);
            assert_eq!(document.text(at("a.1.b/c").unwrap()), Some("x"));
            assert_eq!(document.pointer(at("a.1.b/c").unwrap()), "/a/1/b~1c");
            assert_eq!(document.bool(at("200.t").unwrap()), Some(true));
            assert_eq!(document.kind(at("200.n").unwrap()), Kind::Null);
            assert!(document.flaws.is_empty());
        }
    }

    #[test]
    fn f066_a_doubled_key_keeps_the_last_and_is_told() {
        for text in [r#"{"a": {"k": 1, "k": 2}}"#, "a:\n  k: 1\n  k: 2\n"] {
            let document = read(text);
            assert_eq!(document.text(document.follow(["a", "k"].into_iter()).unwrap()), Some("2"), "{text}");
            assert_eq!(
                document.flaws,
                [Flaw { pointer: "/a/k".into(), what: "the key is there twice".into() }],
                "{text}"
            );
        }
    }

    #[test]
    fn f066_byte_order_marks_and_utf_16() {
        let text = "{\"a\": \"\u{e9}\u{1f600}\"}";
        let be: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        let le: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let utf8 = ["\u{feff}", text].concat().into_bytes();
        for bytes in [be.as_slice(), &le, &utf8] {
            let document = Document::read(bytes, &Limits::default()).unwrap();
            assert_eq!(document.text(document.member(0, "a").unwrap()), Some("\u{e9}\u{1f600}"));
        }
        assert!(Document::read(&be[..be.len() - 1], &Limits::default()).is_err());
        assert_eq!(Document::read(b"{\"a\": \"\xff\"}", &Limits::default()).unwrap_err().what, "not UTF-8 at byte 7");
    }

    #[test]
    fn f066_nesting_past_the_depth_is_left_out_and_the_rest_is_read() {
        let deep = [&"[".repeat(200), "1", &"]".repeat(200)].concat();
        let json = format!("{{\"deep\": {deep}, \"after\": 1}}");
        let block = format!("deep:\n  {}1\nafter: 1\n", "- ".repeat(200));
        for text in [json, block] {
            let document = read(&text);
            assert!(document.member(0, "after").is_some());
            assert_eq!(document.flaws.len(), 1, "{:?}", document.flaws);
            assert!(document.flaws[0].pointer.starts_with("/deep/0/0"), "{:?}", document.flaws);
        }
        for open in ["[", "{\"a\":", "- ", "{a: ", "? "] {
            // Refused or cut, never a full stack.
            let _ = Document::read(open.repeat(100_000).as_bytes(), &Limits::default());
        }
    }

    #[test]
    fn a_syntax_error_names_its_place() {
        let flaw = Document::read(b"{\"paths\": {\"/a\": {\"get\": [1, }", &Limits::default()).unwrap_err();
        assert_eq!(flaw.pointer, "/paths/~1a/get/1");
        assert!(flaw.what.contains("line 1"), "{}", flaw.what);
        let flaw = Document::read(b"paths:\n  /a:\n    get: [1, }\n", &Limits::default()).unwrap_err();
        assert!(flaw.pointer.starts_with("/paths/~1a/get"), "{}", flaw.pointer);
        assert!(flaw.what.contains("line 3"), "{}", flaw.what);
    }

    #[test]
    fn aliases_are_shared_values_and_cycles_are_cut() {
        let document = read("a: &x {k: 1}\nb: *x\nc: {<<: *x, m: 2}\nd: {<<: [*x, {k: 9, n: 3}], k: 5}\n");
        assert_eq!(document.member(0, "a"), document.member(0, "b"));
        let at = |path: &str| document.follow(path.split('.')).and_then(|id| document.text(id));
        assert_eq!(at("c.k"), Some("1"));
        assert_eq!((at("d.k"), at("d.n")), (Some("5"), Some("3")));
        assert_eq!(pointer(&document, "b/k").unwrap(), "/a/k");
        let cycle = read("a: &x\n  b: *x\n  c: 1\n");
        assert_eq!(cycle.kind(cycle.follow(["a", "b"].into_iter()).unwrap()), Kind::Null);
        assert_eq!(cycle.flaws.len(), 1);
    }

    #[test]
    fn f067_an_alias_bomb_costs_its_bytes() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        let mut merged = String::from("m0: &m0 {k0: 1, k1: 1, k2: 1, k3: 1}\n");
        for level in 1..60 {
            let before = level - 1;
            let list = vec![format!("*a{before}"); 10].join(", ");
            text += &format!("a{level}: &a{level} [{list}]\n");
            merged += &format!("m{level}: &m{level} {{<<: *m{before}, x{level}: 1}}\n");
        }
        assert!(read(&text).values.len() < 1000);
        let limits = Limits { shared_parts: 500, ..Limits::default() };
        let document = Document::read(merged.as_bytes(), &limits).unwrap();
        assert!(document.entries.len() < 1000);
        assert_eq!(document.flaws.len(), 1, "{:?}", document.flaws);
    }

    #[test]
    fn too_many_values_and_bytes_are_refused() {
        let limits = Limits { nodes: 1000, ..Limits::default() };
        let json = format!("[{}0]", "0,".repeat(2000));
        let yaml = "- 0\n".repeat(2000);
        for text in [json, yaml] {
            assert!(Document::read(text.as_bytes(), &limits).unwrap_err().what.contains("1000"));
        }
        let limits = Limits { bytes: 3, ..Limits::default() };
        assert!(Document::read(b"a: 1", &limits).is_err());
    }

    #[test]
    fn f066_a_line_that_the_yaml_parser_would_hold_in_memory_is_refused() {
        for open in ["x: ", "x:\n  ", "", "- "] {
            let text = format!("{open}[{}a]\n", "a,".repeat(MAX_LINE_BYTES / 2));
            let flaw = Document::read(text.as_bytes(), &Limits::default()).unwrap_err();
            assert!(flaw.what.contains("line"), "{}", flaw.what);
        }
    }

    #[test]
    fn plain_yaml_scalars_follow_the_core_schema() {
        let document =
            read("a: yes\nb: 'true'\nc: True\nd: ''\ne:\nf: 2019-01-01\ng: 1.10\nh: !!str 5\ni: |\n  x\n  y\n");
        let kind = |key: &str| document.kind(document.member(0, key).unwrap());
        assert_eq!(
            ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(kind),
            [
                Kind::Text,
                Kind::Text,
                Kind::Bool,
                Kind::Text,
                Kind::Null,
                Kind::Text,
                Kind::Number,
                Kind::Text,
                Kind::Text
            ]
        );
        assert_eq!(document.text(document.member(0, "g").unwrap()), Some("1.10"));
    }
}
