//! Records of one class on their way from a worker to the spool, in one buffer.
//!
//! ```text
//! record: key length (2) | value length (4) | time (8) | key | value
//! ```

/// Whole records in one allocation that is used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
}

const HEAD: usize = 14;

impl Batch {
    /// Appends a record to `out`, which holds records of this kind: `time_ns` is its packet time in nanoseconds since 1970,
    /// `value` writes the message. A key longer than 65,535 bytes is cut.
    pub fn push(out: &mut Vec<u8>, key: &[u8], time_ns: u64, value: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        let key = key.get(..usize::from(u16::MAX)).unwrap_or(key);
        out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&time_ns.to_le_bytes());
        out.extend_from_slice(key);
        let value_start = out.len();
        value(out);
        let length = u32::try_from(out.len().saturating_sub(value_start)).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = out.get_mut(start + 2..start + 6) {
            place.copy_from_slice(&length);
        }
    }

    /// Records that were made by [`push`](Self::push).
    pub fn from_bytes(bytes: Vec<u8>) -> Batch {
        Batch { bytes }
    }

    /// The buffer, emptied.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }

    /// Key, value and time of each record.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], &[u8], u64)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (head, body) = rest.split_first_chunk::<HEAD>()?;
            let [k0, k1, v0, v1, v2, v3, time @ ..] = *head;
            let (key, body) = body.split_at_checked(usize::from(u16::from_le_bytes([k0, k1])))?;
            let (value, after) = body.split_at_checked(u32::from_le_bytes([v0, v1, v2, v3]) as usize)?;
            rest = after;
            Some((key, value, u64::from_le_bytes(time)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out() {
        let mut bytes = Vec::new();
        Batch::push(&mut bytes, b"key", 7, |out| out.extend_from_slice(b"{}"));
        Batch::push(&mut bytes, b"", u64::MAX, |_| ());
        let batch = Batch::from_bytes(bytes);
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records, [(&b"key"[..], &b"{}"[..], 7), (&b""[..], &b""[..], u64::MAX)]);
        assert!(batch.into_buffer().is_empty());
    }
}
