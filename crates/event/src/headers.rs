//! Header fields, redacted and rendered once.

/// Redacted header fields of one message as the inside of a JSON array, in a buffer that is used again:
/// `{"name":"content-type","value":"application/json"},{"name":"x-foo"}`.
///
/// An array of objects in wire order, because repeated fields must not merge, order is a fact, and an object keyed
/// by field name could not have a closed schema. A field without `value` had one that is not shown.
#[derive(Clone, Debug, Default)]
pub struct HeaderJson {
    pub(crate) bytes: Vec<u8>,
}

impl HeaderJson {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Nothing in it?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
