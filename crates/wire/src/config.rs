//! What the decoder can be told.

use std::time::Duration;

/// Limits and switches of a [`Decoder`](crate::Decoder). Every limit has a count in [`Counters`](crate::Counters).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Headers taken off one packet, each VLAN tag and MPLS label being one; what lies deeper is counted as
    /// [`Counters::depth_limit`](crate::Counters::depth_limit). Ethernet, three tags, six labels, IP and TCP are 12.
    pub max_layers: u8,
    /// IPv6 extension headers (and IPv4 authentication headers) of one packet; more counts as the depth limit.
    pub max_extension_headers: u8,
    /// Verify the IPv4 header and TCP checksums. Off by default: on a mirrored host most are left to the network card.
    pub checksums: bool,
    /// Keys of the hash of the fragment table: random per start, so that ids cannot be chosen to collide (F018).
    pub hash_seed: [u64; 4],
    /// Fragments of one datagram; a datagram with more is dropped. 65,535 bytes at the smallest legal IPv4 MTU in use
    /// (576) are 119.
    pub max_datagram_fragments: u16,
    /// Datagrams being put together at a time; the oldest makes room.
    pub max_datagrams: u32,
    /// Memory of all datagrams being put together, in bytes, bookkeeping included; the oldest makes room.
    pub max_fragment_bytes: usize,
    /// How long a datagram may take from its first fragment, in packet time. Linux waits as long.
    pub fragment_lifetime: Duration,
    /// A packet time further than this from the clock is odd until others confirm it (F010).
    pub clock_jump: Duration,
    /// Packets in a row that must agree on a new time; 1 to 8.
    pub clock_confirm: u8,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_layers: 16,
            max_extension_headers: 16,
            checksums: false,
            hash_seed: [0; 4],
            max_datagram_fragments: 128,
            max_datagrams: 65_535,
            max_fragment_bytes: 32 << 20,
            fragment_lifetime: Duration::from_secs(30),
            clock_jump: Duration::from_secs(60),
            clock_confirm: 8,
        }
    }
}
