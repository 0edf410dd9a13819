//! What a JSON or form body says about routes: which keys it has, and which values could be identifiers.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::sketch::mix;
use crate::schema::ValueKey;

/// Depth of key paths that are looked at.
const DEPTH: usize = 3;
/// Depth to which values are looked for.
const VALUE_DEPTH: usize = 8;
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
        let mut json = serde_json::Deserializer::from_slice(body);
        let seed = Seed { facts: self, key, path: 0, depth: 0, is_value: true };
        let whole = seed.deserialize(&mut json).is_ok();
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

    fn value(&mut self, key: &ValueKey, bytes: &[u8]) {
        if self.values.len() < KEPT {
            self.values.push(key.hash(bytes));
        }
    }
}

struct Seed<'a> {
    facts: &'a mut BodyFacts,
    key: &'a ValueKey,
    /// Hash of the key path so far.
    path: u64,
    depth: usize,
    /// May strings here be identifiers?
    is_value: bool,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > VALUE_DEPTH {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (u64, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(u64, bool), D::Error> {
        deserializer.deserialize_str(self)
    }
}

struct Key<'a>(&'a ValueKey);

impl Visitor<'_> for Key<'_> {
    type Value = (u64, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<(u64, bool), E> {
        Ok((self.0.hash(text.as_bytes()), !names_a_kind(text)))
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        if number > 9 {
            self.facts.value(self.key, number.to_string().as_bytes());
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.is_value && is_candidate_value(text) {
            self.facts.value(self.key, text.as_bytes());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let path = mix(self.path, 1);
        for _ in 0..ITEMS {
            let (facts, key) = (&mut *self.facts, self.key);
            let seed = Seed { facts, key, path, depth: self.depth, is_value: self.is_value };
            if items.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some((name, is_value)) = entries.next_key_seed(Key(self.key))? {
            let path = mix(self.path, name);
            if self.depth < DEPTH && self.facts.keys.len() < KEPT {
                self.facts.keys.push(path);
            }
            let (facts, key) = (&mut *self.facts, self.key);
            entries.next_value_seed(Seed { facts, key, path, depth: self.depth + 1, is_value })?;
        }
        Ok(())
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
