//! A small HPACK encoder for tests and fuzzing.

use std::collections::VecDeque;

use super::huffman;
use super::static_table::STATIC_TABLE;

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Indexed if the table has it, else a literal that enters the table.
    Index,
    /// A literal that does not enter the table.
    Plain,
    /// A literal that must never.
    Never,
}

/// An encoder with its own table.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Newest first.
    table: VecDeque<(Vec<u8>, Vec<u8>)>,
    max: usize,
    size: usize,
    /// Code strings with Huffman.
    pub(crate) huffman: bool,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder { table: VecDeque::new(), max: 4096, size: 0, huffman: true }
    }

    /// Changes the table size and says so.
    pub(crate) fn set_max(&mut self, max: usize, out: &mut Vec<u8>) {
        self.max = max;
        self.evict(0);
        integer(max, 5, 0x20, out);
    }

    pub(crate) fn field(&mut self, name: &[u8], value: &[u8], form: Form, out: &mut Vec<u8>) {
        let statics = STATIC_TABLE.iter().map(|(_, name, value)| (*name, *value));
        let dynamics = self.table.iter().map(|(name, value)| (&name[..], &value[..]));
        let mut name_index = 0;
        for (index, (have_name, have_value)) in statics.chain(dynamics).enumerate() {
            if have_name == name {
                if have_value == value && form == Form::Index {
                    return integer(index + 1, 7, 0x80, out);
                }
                if name_index == 0 {
                    name_index = index + 1;
                }
            }
        }
        match form {
            Form::Index => integer(name_index, 6, 0x40, out),
            Form::Plain => integer(name_index, 4, 0, out),
            Form::Never => integer(name_index, 4, 0x10, out),
        }
        if name_index == 0 {
            self.string(name, out);
        }
        self.string(value, out);
        if form == Form::Index {
            let size = name.len() + value.len() + 32;
            self.evict(size);
            if size <= self.max {
                self.table.push_front((name.to_vec(), value.to_vec()));
                self.size += size;
            }
        }
    }

    fn evict(&mut self, more: usize) {
        while self.size + more > self.max
            && let Some((name, value)) = self.table.pop_back()
        {
            self.size -= name.len() + value.len() + 32;
        }
    }

    fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.huffman {
            let mut coded = Vec::new();
            huffman::encode(text, &mut coded);
            integer(coded.len(), 7, 0x80, out);
            out.extend_from_slice(&coded);
        } else {
            integer(text.len(), 7, 0, out);
            out.extend_from_slice(text);
        }
    }
}

/// RFC 7541 §5.1.
pub(crate) fn integer(value: usize, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix_bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut value = value - mask;
    while value >= 0x80 {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}
