//! JSON into a document.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::build::{Builder, Refusal};
use super::{Document, Flaw};
use crate::limits::Limits;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Document, Flaw> {
    let builder = RefCell::new(Builder::new(*limits));
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome = Seed(&builder).deserialize(&mut json).and_then(|()| json.end());
    let builder = builder.into_inner();
    match outcome {
        Ok(()) => Ok(builder.finish()),
        Err(error) => Err(Flaw { pointer: builder.pointer(), what: format!("not JSON: {error}") }),
    }
}

/// Feeds one value to the builder. Recursion ends at the depth limit, which is below that of serde_json.
#[derive(Clone, Copy)]
struct Seed<'a>(&'a RefCell<Builder>);

fn refused<E: serde::de::Error>(refusal: Refusal) -> E {
    E::custom(refusal.0)
}

impl Seed<'_> {
    fn leaf<E: serde::de::Error>(self, put: impl FnOnce(&mut Builder) -> Result<u32, Refusal>) -> Result<(), E> {
        put(&mut self.0.borrow_mut()).map(|_| ()).map_err(refused)
    }

    /// Says that the value here is nested too deep, and puts a null in its place.
    fn cut<E: serde::de::Error>(self) -> Result<bool, E> {
        let mut builder = self.0.borrow_mut();
        if !builder.too_deep() {
            return Ok(false);
        }
        builder.flaw("nested too deep: left out");
        builder.null().map_err(refused)?;
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.leaf(|builder| builder.bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.leaf(|builder| builder.number(&value.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.leaf(|builder| builder.number(&value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.leaf(|builder| builder.number(&value.to_string()))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.leaf(|builder| builder.text(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.leaf(Builder::null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.cut()? {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.0.borrow_mut().begin_list().map_err(refused)?;
        while items.next_element_seed(self)?.is_some() {}
        self.0.borrow_mut().end(false);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if self.cut()? {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.0.borrow_mut().begin_map().map_err(refused)?;
        while entries.next_key_seed(Key(self.0))?.is_some() {
            entries.next_value_seed(self)?;
        }
        self.0.borrow_mut().end(false);
        Ok(())
    }
}

/// A key, without a string of its own.
struct Key<'a>(&'a RefCell<Builder>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.0.try_borrow_mut().map_err(|_| E::custom("a key inside a key"))?.key(value);
        Ok(())
    }
}
