//! What a JSON or form body says about routes: which keys it has, and which values could be identifiers.

use super::sketch::mix;
use crate::schema::ValueKey;
use crate::schema::json::{Reader, Stop, Token};

/// Depth of key paths that are looked at.
const DEPTH: usize = 3;
/// Depth to which values are looked for.
const VALUE_DEPTH: usize = 8;
/// Containers within each other; a body with more is read up to there.
const NESTING: usize = 127;
/// Key paths, and values, kept of one body.
const KEPT: usize = 512;
/// Items of an array that are looked at: they are alike.
const ITEMS: usize = 64;

/// Hashes of the key paths and of the values of a body; reused from body to body.
#[derive(Clone, Debug, Default)]
pub struct BodyFacts {
    /// Hashes of key paths, ascending.
    pub keys: Vec<u64>,
    /// Hashes of values ([`is_candidate_value`]), ascending.
    pub values: Vec<u64>,
}

/// Could a string be an identifier, or a name that stands in a path? Prose and single characters are not.
pub fn is_candidate_value(text: &str) -> bool {
    (2..=80).contains(&text.len()) && !text.contains([' ', '/', '\n'])
}

/// Keys whose values name a kind of thing, never one thing.
fn names_a_kind(key: &str) -> bool {
    matches!(key, "type" | "kind" | "object" | "_type" | "@type" | "resourceType" | "resource_type" | "apiVersion")
}

impl BodyFacts {
    /// Reads a JSON body, or the start of one. Gives whether it looked like JSON at all.
    pub fn read_json(&mut self, key: &ValueKey, body: &[u8]) -> bool {
        self.clear();
        let mut reader = Reader::new(body, false);
        let whole = reader.next().and_then(|token| self.value(key, &mut reader, token, At::default())).is_ok();
        self.tidy();
        // What a cut body has shown until then is as good.
        whole || !self.keys.is_empty()
    }

    /// Reads an `application/x-www-form-urlencoded` body.
    pub fn read_form(&mut self, key: &ValueKey, body: &[u8]) {
        self.clear();
        for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).take(KEPT) {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            self.keys.push(mix(0, key.hash(name)));
        }
        self.tidy();
    }

    /// Forgets the body before.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }

    fn tidy(&mut self) {
        for list in [&mut self.keys, &mut self.values] {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Reads the value that begins with `token`.
    fn value(&mut self, key: &ValueKey, reader: &mut Reader<'_>, token: Token<'_>, at: At) -> Result<(), Stop> {
        if at.depth > VALUE_DEPTH {
            return reader.skip(token);
        }
        match token {
            Token::String(text) if at.is_value => {
                let text = text.decoded();
                if is_candidate_value(&text) {
                    self.keep(key, text.as_bytes());
                }
            }
            // Of several digits; JSON writes no zeros before a number.
            Token::Number(text) if text.len() > 1 && is_whole(text) => self.keep(key, text.as_bytes()),
            Token::Array => {
                if reader.depth() > NESTING {
                    return Err(Stop::Bad);
                }
                let inside = At { path: mix(at.path, 1), ..at };
                let mut items = 0;
                loop {
                    match reader.next()? {
                        Token::ArrayEnd => return Ok(()),
                        token if items < ITEMS => self.value(key, reader, token, inside)?,
                        token => reader.skip(token)?,
                    }
                    items += 1;
                }
            }
            Token::Object => {
                if reader.depth() > NESTING {
                    return Err(Stop::Bad);
                }
                while let Token::Key(name) = reader.next()? {
                    let name = name.decoded();
                    let path = mix(at.path, key.hash(name.as_bytes()));
                    if at.depth < DEPTH && self.keys.len() < KEPT {
                        self.keys.push(path);
                    }
                    let is_value = !names_a_kind(&name);
                    let token = reader.next()?;
                    self.value(key, reader, token, At { path, depth: at.depth + 1, is_value })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, key: &ValueKey, bytes: &[u8]) {
        if self.values.len() < KEPT {
            self.values.push(key.hash(bytes));
        }
    }
}

/// Is it a whole number that 64 bits hold, without a sign?
fn is_whole(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() < 20 || text.parse::<u64>().is_ok())
}

/// Where in a body.
#[derive(Clone, Copy, Debug)]
struct At {
    /// Hash of the key path so far.
    path: u64,
    depth: usize,
    /// May strings here be identifiers?
    is_value: bool,
}

impl Default for At {
    fn default() -> Self {
        At { path: 0, depth: 0, is_value: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_of_a_body() {
        let key = ValueKey::new([1, 2]);
        let mut facts = BodyFacts::default();
        assert!(facts.read_json(
            &key,
            br#"{"id":"ab12","type":"users","n":42,"items":[{"id":"x1"},{"id":"x2","a":{"b":{"c":1}}}]}"#
        ));
        assert_eq!(facts.keys.len(), 7, "id, type, n, items, items[].id, items[].a, items[].a.b");
        for (value, expected) in [("ab12", true), ("42", true), ("x1", true), ("x2", true), ("users", false)] {
            assert_eq!(facts.values.binary_search(&key.hash(value.as_bytes())).is_ok(), expected, "{value}");
        }
    }

    #[test]
    fn f066_a_cut_or_hostile_body_gives_what_it_showed() {
        let key = ValueKey::new([0, 0]);
        let mut facts = BodyFacts::default();
        assert!(facts.read_json(&key, br#"{"id":"ab12","name":"tr"#));
        assert_eq!(facts.keys.len(), 2);
        assert!(!facts.read_json(&key, b"<html>"));
        facts.read_json(&key, "[".repeat(100_000).as_bytes());
        let many: String = (0..100_000).map(|n| format!("\"k{n}\":1,")).collect();
        facts.read_json(&key, format!("{{{many}\"end\":1}}").as_bytes());
        assert!(facts.keys.len() <= KEPT);
    }
}
