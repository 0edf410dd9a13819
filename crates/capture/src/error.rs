//! What can go wrong while capturing, each with what to do about it.

use std::fmt;
use std::io;

use umbra_wire::LinkType;

/// An error of this crate. `Display` gives one line that ends with the mend.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An input does not exist or may not be read.
    Open {
        /// Path as given, or as found in a directory.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The system failed while an input was read.
    Read {
        /// The input.
        file: String,
        /// Where: bytes from the start of the input, after decompression.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// An input is not a capture file, is damaged, or was cut.
    Corrupt {
        /// The input.
        file: String,
        /// First byte of the record or block that is wrong, from the start of the input (after decompression).
        offset: u64,
        /// Whether `offset` counts decompressed bytes.
        decompressed: bool,
        /// What is wrong there.
        what: Corruption,
    },
    /// No input was given, or the directories given hold no file.
    NoInput,
    /// A BPF filter does not compile.
    Filter {
        /// The filter as given.
        filter: String,
        /// libpcap's message.
        message: String,
    },
    /// A BPF filter cannot be applied to a link type that turned up; packets of that link type are left out and counted.
    FilterLink {
        /// The filter as given.
        filter: String,
        /// The link type.
        link: LinkType,
        /// libpcap's message.
        message: String,
    },
    /// A BPF filter was given to a build without libpcap.
    NoBpf,
    /// Live capture could not be opened.
    Live {
        /// The interface.
        interface: String,
        /// The call that failed.
        action: &'static str,
        /// The message of libpcap or the system.
        message: String,
        /// True when rights are missing (exit code 77).
        permission: bool,
    },
    /// Privileges could not be dropped; the process must not go on with them.
    Privileges {
        /// The step that failed.
        step: &'static str,
        /// Why.
        message: String,
    },
}

/// What is wrong with a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// The first bytes are of no capture format.
    Magic([u8; 4]),
    /// The input has no bytes.
    Empty,
    /// The input ends inside a record or block.
    Cut {
        /// Bytes the record or block needs, as far as known.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// A pcap or pcapng version that nothing writes.
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A packet claims more than 256 KiB.
    PacketLength(u32),
    /// A block length that is not a multiple of 4, too small for its kind, or above the limit.
    BlockLength {
        /// Type of the block.
        kind: u32,
        /// The length it claims, in bytes.
        length: u32,
    },
    /// The length after a block is not the length before it.
    BlockTrailer {
        /// Length before.
        head: u32,
        /// Length after.
        tail: u32,
    },
    /// The byte-order magic of a section is neither order.
    ByteOrder(u32),
    /// A packet names an interface that the section does not describe.
    Interface {
        /// Interface id of the packet.
        id: u32,
        /// Interfaces described so far.
        known: u32,
    },
    /// The gzip or zstd layer is damaged.
    Compression(String),
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corruption::Magic(bytes) => {
                let [a, b, c, d] = bytes;
                write!(
                    f,
                    "no pcap or pcapng file (starts with {a:02x} {b:02x} {c:02x} {d:02x}); other kinds: `editcap -F pcapng`"
                )
            }
            Corruption::Empty => f.write_str("no bytes at all; was the capture written?"),
            Corruption::Cut { needed, available } => write!(
                f,
                "cut off: {available} of at least {needed} bytes are there; what came before was read; copy the file again or stop the capture cleanly"
            ),
            Corruption::Version { major, minor } => {
                write!(f, "unknown format version {major}.{minor}; convert it with `editcap -F pcapng`")
            }
            Corruption::PacketLength(length) => {
                write!(f, "a packet of {length} bytes (limit 262144); what came before was read, the rest is damaged")
            }
            Corruption::BlockLength { kind, length } => write!(
                f,
                "impossible length {length} of a block of type {kind:#x}; what came before was read, the rest is damaged"
            ),
            Corruption::BlockTrailer { head, tail } => write!(
                f,
                "block length {head} before but {tail} after the block; what came before was read, the rest is damaged"
            ),
            Corruption::ByteOrder(magic) => {
                write!(f, "byte-order magic {magic:#010x} of no known order; what came before was read")
            }
            Corruption::Interface { id, known } => write!(
                f,
                "packet of interface {id}, but only {known} interfaces are described; what came before was read"
            ),
            Corruption::Compression(message) => {
                write!(f, "damaged compression ({message}); what came before was read; fetch the file again")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Open { file, source } => write!(f, "{file}: cannot open: {source}; check the path and its rights"),
            Error::Read { file, offset, source } => {
                write!(f, "{file}: byte {offset}: cannot read on: {source}; what came before was read")
            }
            Error::Corrupt { file, offset, decompressed, what } => {
                let of = if *decompressed { " (of the decompressed stream)" } else { "" };
                write!(f, "{file}: byte {offset}{of}: {what}")
            }
            Error::NoInput => f.write_str("no capture file to read; give files, directories that hold some, or `-`"),
            Error::Filter { filter, message } => {
                write!(f, "filter `{filter}`: {message}; see `man pcap-filter` for the syntax")
            }
            Error::FilterLink { filter, link, message } => write!(
                f,
                "filter `{filter}` cannot be used on link type {link}: {message}; packets of that link type are left out"
            ),
            Error::NoBpf => {
                f.write_str("BPF filters need libpcap; build with the feature `live` or leave the filter out")
            }
            Error::Live { interface, action, message, permission } => {
                let mend = if *permission {
                    "run as root or grant CAP_NET_RAW (`setcap cap_net_raw+ep`)"
                } else {
                    "check the name with `ip link` and that it is up"
                };
                write!(f, "{interface}: {action}: {message}; {mend}")
            }
            Error::Privileges { step, message } => {
                write!(f, "cannot drop privileges: {step}: {message}; start as root, or as the target user without any")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Open { source, .. } | Error::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
