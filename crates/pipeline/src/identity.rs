//! Names of a flow that records carry: the same for the same packets on every run.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use umbra_event::FlowText;
use umbra_flow::FlowFacts;

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// Names of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// First 128 bits of SHA-256 over the sensor's name, the 5-tuple and the time of the first packet.
    pub(crate) flow_id: u128,
    /// Keyed hash of the client's address, for counting distinct clients across sensors that share the fleet key.
    pub(crate) client: u64,
    /// The client's address is inside the operator's ranges.
    pub(crate) client_inside: bool,
    /// Community ID.
    pub(crate) community_id: Box<str>,
    /// What all events of the flow have in common. Made with the second one: many flows have one only.
    pub(crate) text: Option<FlowText>,
}

impl Identity {
    /// `client` is the keyed hash of the client's address.
    pub(crate) fn new(facts: &FlowFacts, client: u64, client_inside: bool, sensor_id: &str) -> Self {
        let key = facts.key();
        let mut digest = Sha256::new();
        digest.update(sensor_id.as_bytes());
        digest.update([0]);
        for (address, port) in [key.low, key.high] {
            digest_address(&mut digest, address);
            digest.update(port.to_be_bytes());
        }
        digest.update(key.vlan.to_be_bytes());
        digest.update(key.tunnel.to_be_bytes());
        digest.update(facts.first_time.nanos().to_be_bytes());
        let flow_id = leading_bytes(&digest.finalize());

        Identity {
            flow_id: u128::from_be_bytes(flow_id),
            client,
            client_inside,
            community_id: community_id(key.low, key.high).into_boxed_str(),
            text: None,
        }
    }
}

/// Hashes of client addresses, those made last remembered: a few clients (proxies, load balancers) open most connections.
pub(crate) struct ClientHashes {
    /// By the last bits of the address.
    recent: Vec<Option<(IpAddr, u64)>>,
}

/// Client addresses remembered.
const RECENT_CLIENTS: usize = 256;

impl Default for ClientHashes {
    fn default() -> Self {
        ClientHashes { recent: vec![None; RECENT_CLIENTS] }
    }
}

impl ClientHashes {
    /// First 64 bits of SHA-256 over the fleet key, always the same one, and the address.
    pub(crate) fn hash(&mut self, client: IpAddr, fleet_key: &[u8; 32]) -> u64 {
        let last = match client {
            IpAddr::V4(client) => client.octets()[3],
            IpAddr::V6(client) => client.octets()[15],
        };
        let slot = self.recent.get_mut(usize::from(last));
        if let Some(Some((known, hash))) = &slot
            && *known == client
        {
            return *hash;
        }
        let mut digest = Sha256::new();
        digest.update(fleet_key);
        digest_address(&mut digest, client);
        let hash = u64::from_be_bytes(leading_bytes(&digest.finalize()));
        if let Some(slot) = slot {
            *slot = Some((client, hash));
        }
        hash
    }
}

impl Identity {
    /// Bytes of memory held for the flow's events.
    pub(crate) fn held_bytes(&self) -> usize {
        self.text.as_ref().map_or(0, |text| size_of::<Identity>() + text.len_bytes())
    }
}

fn leading_bytes<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, from) in bytes.iter_mut().zip(digest) {
        *byte = *from;
    }
    bytes
}

fn digest_address(digest: &mut Sha256, address: IpAddr) {
    match address {
        IpAddr::V4(address) => digest.update(address.octets()),
        IpAddr::V6(address) => digest.update(address.octets()),
    }
}

/// Community ID version 1 with seed 0 (github.com/corelight/community-id-spec) of a TCP flow whose ends are given in
/// ascending order.
fn community_id(low: (IpAddr, u16), high: (IpAddr, u16)) -> String {
    let mut digest = Sha1::new();
    digest.update([0, 0]);
    for (address, _) in [low, high] {
        match address {
            IpAddr::V4(address) => digest.update(address.octets()),
            IpAddr::V6(address) => digest.update(address.octets()),
        }
    }
    digest.update([TCP, 0]);
    digest.update(low.1.to_be_bytes());
    digest.update(high.1.to_be_bytes());
    let mut text = String::with_capacity(30);
    text.push_str("1:");
    STANDARD.encode_string(digest.finalize(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_hash_whether_remembered_or_not() {
        let mut remembering = ClientHashes::default();
        // The second and third share a place.
        let clients =
            ["10.0.0.1", "10.0.0.2", "10.0.1.2", "2001:db8::2", "10.0.0.2"].map(|text| text.parse::<IpAddr>());
        let hashes: Vec<u64> = clients
            .into_iter()
            .flatten()
            .map(|client| {
                let hash = remembering.hash(client, &[7; 32]);
                assert_eq!(remembering.hash(client, &[7; 32]), hash);
                assert_eq!(ClientHashes::default().hash(client, &[7; 32]), hash);
                assert_ne!(ClientHashes::default().hash(client, &[8; 32]), hash);
                hash
            })
            .collect();
        assert_eq!((hashes.len(), hashes[1]), (5, hashes[4]));
        assert!(hashes[..4].iter().enumerate().all(|(at, hash)| !hashes[..at].contains(hash)));
    }

    /// From the specification's baseline for tcp.pcap.
    #[test]
    fn community_id_of_the_specification() {
        let low = (IpAddr::from([66, 35, 250, 204]), 80);
        let high = (IpAddr::from([128, 232, 110, 120]), 34855);
        assert_eq!(community_id(low, high), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    }
}
