//! Who talks to whom.

use std::net::IpAddr;

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
