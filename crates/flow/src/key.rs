//! Who talks to whom.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use ahash::RandomState;
use umbra_wire::SegmentHeader;

/// Which way bytes go. The table's guess until a parser knows better (see `umbra_http::Connection::roles_swapped`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client (who opened the connection) to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other direction.
    pub const fn opposite(self) -> Direction {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }

    /// 0 for `ToServer`, 1 for `ToClient`: for arrays with one element a direction.
    pub const fn index(self) -> usize {
        match self {
            Direction::ToServer => 0,
            Direction::ToClient => 1,
        }
    }
}

/// The order-free 5-tuple (the protocol is always TCP): both directions of a connection have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower (address, port) pair.
    pub low: (IpAddr, u16),
    /// The higher (address, port) pair.
    pub high: (IpAddr, u16),
    /// Outermost VLAN id plus one, or 0: none, or VLANs are not part of the key.
    pub vlan: u16,
    /// Tunnel identity, 0 without.
    pub tunnel: u32,
}

/// A [`FlowKey`] in plain words: quick to compare and to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedKey {
    low: [u64; 2],
    high: [u64; 2],
    /// low port, high port, tunnel.
    ports_tunnel: u64,
    /// VLAN, and whether the low and high addresses are IPv6.
    vlan_family: u64,
}

const LOW_IS_V6: u64 = 1 << 16;
const HIGH_IS_V6: u64 = 1 << 17;

impl PackedKey {
    /// The key of a segment, and whether its sender is the low end.
    pub(crate) fn of(header: &SegmentHeader, vlan_in_key: bool) -> (PackedKey, bool) {
        let (src, src_v6) = pack(header.src);
        let (dst, dst_v6) = pack(header.dst);
        let vlan = match header.vlan.as_slice().first() {
            Some(id) if vlan_in_key => u64::from(*id) + 1,
            _ => 0,
        };
        let src_is_low = (src_v6, src, header.src_port) <= (dst_v6, dst, header.dst_port);
        let (low, low_v6, low_port, high, high_v6, high_port) = if src_is_low {
            (src, src_v6, header.src_port, dst, dst_v6, header.dst_port)
        } else {
            (dst, dst_v6, header.dst_port, src, src_v6, header.src_port)
        };
        let key = PackedKey {
            low,
            high,
            ports_tunnel: u64::from(low_port) << 48 | u64::from(high_port) << 32 | u64::from(header.tunnel),
            vlan_family: vlan | if low_v6 { LOW_IS_V6 } else { 0 } | if high_v6 { HIGH_IS_V6 } else { 0 },
        };
        (key, src_is_low)
    }

    /// Address and port of one end.
    pub(crate) fn end(&self, low: bool) -> (IpAddr, u16) {
        if low {
            (unpack(self.low, self.vlan_family & LOW_IS_V6 != 0), (self.ports_tunnel >> 48) as u16)
        } else {
            (unpack(self.high, self.vlan_family & HIGH_IS_V6 != 0), (self.ports_tunnel >> 32) as u16)
        }
    }

    pub(crate) fn unpack(&self) -> FlowKey {
        FlowKey {
            low: self.end(true),
            high: self.end(false),
            vlan: self.vlan_family as u16,
            tunnel: self.ports_tunnel as u32,
        }
    }

    /// Keyed hash (F018): a sender who does not know the seeds cannot choose tuples that collide.
    pub(crate) fn hash(&self, state: &RandomState) -> u64 {
        let mut hasher = state.build_hasher();
        if self.vlan_family & (LOW_IS_V6 | HIGH_IS_V6) == 0 {
            // Both addresses are IPv4: two words hold all there is.
            hasher.write_u64(self.low[1] << 32 | self.high[1]);
        } else {
            for word in [self.low[0], self.low[1], self.high[0], self.high[1]] {
                hasher.write_u64(word);
            }
        }
        hasher.write_u64(self.ports_tunnel);
        hasher.write_u64(self.vlan_family);
        hasher.finish()
    }
}

fn pack(address: IpAddr) -> ([u64; 2], bool) {
    match address {
        IpAddr::V4(v4) => ([0, u64::from(v4.to_bits())], false),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            ([(bits >> 64) as u64, bits as u64], true)
        }
    }
}

fn unpack(words: [u64; 2], v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6((u128::from(words[0]) << 64 | u128::from(words[1])).into())
    } else {
        IpAddr::V4((words[1] as u32).into())
    }
}
