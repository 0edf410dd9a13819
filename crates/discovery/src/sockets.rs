//! What went over the WebSockets of an endpoint.

use serde::{Deserialize, Serialize};
use umbra_http::WebSocket;

use crate::learnt::Names;
use crate::schema::name::is_name;

/// Close codes kept of one endpoint, the lowest; servers send a handful.
const CODES: usize = 16;

/// What went over the WebSockets of an endpoint: counts of messages by kind and direction, and how the sockets were used. Pairs are
/// client to server, server to client. Merging is by sums and unions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// Sockets that have ended.
    pub ended: u64,
    /// Text messages.
    pub text: [u64; 2],
    /// Binary messages.
    pub binary: [u64; 2],
    /// Payload bytes of both.
    pub payload_bytes: [u64; 2],
    /// Sockets with compression (RFC 7692).
    pub deflate: u64,
    /// Sockets of which a part could not be read: the counts are lower bounds.
    pub partial: u64,
    /// Subprotocols that were agreed on (RFC 6455 §1.9).
    pub protocols: Names,
    /// Sockets by the status code that closed them, ascending.
    codes: Vec<(u16, u64)>,
    /// Sockets with a code past the cap on distinct ones.
    pub other_codes: u64,
}

impl Sockets {
    /// Sockets by the status code that closed them, ascending.
    pub fn codes(&self) -> &[(u16, u64)] {
        &self.codes
    }

    /// Adds a socket that has ended, and the protocol that its server chose.
    pub(crate) fn add(&mut self, socket: &WebSocket, protocol: Option<&[u8]>) {
        self.ended = self.ended.saturating_add(1);
        for (at, (messages, texts)) in socket.messages.iter().zip(socket.text_messages).enumerate() {
            let add = |counts: &mut [u64; 2], count: u64| {
                if let Some(sum) = counts.get_mut(at) {
                    *sum = sum.saturating_add(count);
                }
            };
            add(&mut self.text, texts);
            add(&mut self.binary, messages.saturating_sub(texts));
            add(&mut self.payload_bytes, socket.payload_bytes.get(at).copied().unwrap_or(0));
        }
        self.deflate = self.deflate.saturating_add(u64::from(socket.deflate));
        self.partial = self.partial.saturating_add(u64::from(socket.partial));
        // Browsers can set no other field, so some clients put a token there, and some servers say it back.
        if let Some(protocol) = protocol.and_then(|it| std::str::from_utf8(it).ok()).filter(|it| is_name(it)) {
            self.protocols.insert(protocol);
        }
        if let Some(code) = socket.close_code {
            self.add_code(code, 1);
        }
    }

    /// Keeps the lowest codes, so that any order of sockets keeps the same ones with the same counts.
    fn add_code(&mut self, code: u16, count: u64) {
        match self.codes.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(at) => {
                if let Some((_, sum)) = self.codes.get_mut(at) {
                    *sum = sum.saturating_add(count);
                }
            }
            Err(at) if at >= CODES => self.other_codes = self.other_codes.saturating_add(count),
            Err(at) => {
                if self.codes.len() == CODES {
                    let dropped = self.codes.pop().map_or(0, |(_, count)| count);
                    self.other_codes = self.other_codes.saturating_add(dropped);
                }
                self.codes.insert(at, (code, count));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Sockets) {
        for (ours, theirs) in [
            (&mut self.text, other.text),
            (&mut self.binary, other.binary),
            (&mut self.payload_bytes, other.payload_bytes),
        ] {
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = ours.saturating_add(theirs));
        }
        self.ended = self.ended.saturating_add(other.ended);
        self.deflate = self.deflate.saturating_add(other.deflate);
        self.partial = self.partial.saturating_add(other.partial);
        self.protocols.merge(&other.protocols);
        other.codes.iter().for_each(|(code, count)| self.add_code(*code, *count));
        self.other_codes = self.other_codes.saturating_add(other.other_codes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_and_any_split_give_the_same_counts() {
        let socket = |n: u16| WebSocket {
            messages: [3, 2],
            text_messages: [1, 2],
            payload_bytes: [9, 8],
            close_code: Some(4000 + n),
            ..WebSocket::default()
        };
        let (mut up, mut down, mut half) = (Sockets::default(), Sockets::default(), Sockets::default());
        (0..40).for_each(|n| up.add(&socket(n), Some(b"graphql-ws")));
        (20..40).rev().for_each(|n| down.add(&socket(n), Some(b"graphql-ws")));
        (0..20).for_each(|n| half.add(&socket(n), None));
        down.merge(&half);
        assert_eq!(up, down);
        assert_eq!(up.protocols.iter().collect::<Vec<_>>(), ["graphql-ws"]);
        assert_eq!((up.text, up.binary, up.codes().len(), up.other_codes), ([40, 80], [80, 0], CODES, 24));
    }

    #[test]
    fn a_protocol_that_is_a_token_is_no_name() {
        let mut sockets = Sockets::default();
        for protocol in
            ["v12.stomp", "base64url.bearer.authorization.k8s.io.ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZTMw", "\u{7f}", ""]
        {
            sockets.add(&WebSocket::default(), Some(protocol.as_bytes()));
        }
        sockets.add(&WebSocket::default(), Some(b"\xFF"));
        assert_eq!((sockets.ended, sockets.protocols.iter().collect::<Vec<_>>()), (5, vec!["v12.stomp"]));
    }
}
