//! What all inputs of a set have in common: interface names, secrets, counters, the filter.

use std::collections::HashMap;
use std::fmt;

use super::MAX_INTERFACES;
use crate::Error;
use crate::filter::Filter;

/// Secrets of a pcapng Decryption Secrets Block. Never written anywhere; overwritten when dropped.
pub struct Secret {
    kind: u32,
    data: Vec<u8>,
}

impl Secret {
    /// `secrets_type` of a TLS key log (`TLSK`).
    pub const TLS_KEY_LOG: u32 = 0x544c_534b;

    pub(super) fn new(kind: u32, data: Vec<u8>) -> Secret {
        Secret { kind, data }
    }

    /// `secrets_type` of the block.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// The secrets, for a TLS key log lines of text.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.data.fill(0);
        // Keeps the compiler from leaving out a write nobody reads.
        std::hint::black_box(&self.data);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {{ kind: {:#x}, {} bytes }}", self.kind, self.data.len())
    }
}

/// What was met while reading files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounters {
    /// Packets read, also those the filter removed.
    pub packets: u64,
    /// Packets the filter removed.
    pub filtered: u64,
    /// Of those, packets of a link type on which the filter cannot be used.
    pub filter_untested: u64,
    /// Packets longer than the snap length their file or interface claims; they are read.
    pub over_snaplen: u64,
    /// Bytes at the end of inputs that were cut inside a record.
    pub cut_bytes: u64,
    /// Name Resolution Blocks passed over.
    pub name_blocks: u64,
    /// Interface Statistics Blocks passed over.
    pub statistics_blocks: u64,
    /// Custom Blocks passed over.
    pub custom_blocks: u64,
    /// Blocks of other kinds passed over.
    pub other_blocks: u64,
    /// Decryption Secrets Blocks handed on.
    pub secrets: u64,
    /// Decryption Secrets Blocks dropped because nobody took those before (limit: 16 MiB in waiting).
    pub secrets_dropped: u64,
    /// Inputs with an error.
    pub files_failed: u64,
    /// Files of directories that are no captures.
    pub files_skipped: u64,
    /// Files whose packets came out late because too many overlap in time (limit: 128 open at a time).
    pub files_late: u64,
    /// Interfaces beyond the 65,535th name; they share the last one.
    pub interfaces_dropped: u64,
    /// Batch buffers allocated: stays small while consumers drop their batches.
    pub buffers_allocated: u64,
}

/// Secrets in waiting, in bytes.
const MAX_SECRETS_BYTES: usize = 16 * 1024 * 1024;

/// See the module.
pub(super) struct Shared {
    pub(super) filter: Option<Filter>,
    pub(super) counters: FileCounters,
    pub(super) names: Vec<String>,
    /// Index of each name.
    by_name: HashMap<String, u16>,
    pub(super) secrets: Vec<Secret>,
    secrets_bytes: usize,
    /// Errors to report that stop no file.
    pub(super) notices: Vec<Error>,
}

impl Shared {
    pub(super) fn new(filter: Option<Filter>) -> Shared {
        Shared {
            filter,
            counters: FileCounters::default(),
            names: Vec::new(),
            by_name: HashMap::new(),
            secrets: Vec::new(),
            secrets_bytes: 0,
            notices: Vec::new(),
        }
    }

    /// The name of an input without its directory.
    pub(super) fn short_name<'a>(&self, name: &'a str) -> &'a str {
        name.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(name)
    }

    /// Index of an interface name. The same name in several files is one interface: rotated captures of `eth0`.
    pub(super) fn interface(&mut self, name: &str) -> u16 {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        if self.names.len() >= MAX_INTERFACES {
            self.counters.interfaces_dropped += 1;
            return MAX_INTERFACES as u16 - 1;
        }
        let index = self.names.len() as u16;
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), index);
        index
    }

    pub(super) fn secret(&mut self, secret: Secret) {
        if self.secrets_bytes + secret.data.len() > MAX_SECRETS_BYTES {
            self.counters.secrets_dropped += 1;
            return;
        }
        self.counters.secrets += 1;
        self.secrets_bytes += secret.data.len();
        self.secrets.push(secret);
    }

    pub(super) fn take_secrets(&mut self) -> Vec<Secret> {
        self.secrets_bytes = 0;
        std::mem::take(&mut self.secrets)
    }
}
