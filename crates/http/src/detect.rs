//! What a connection speaks, from the first bytes of both directions, on any port (F047).

use umbra_flow::Direction;
use umbra_wire::Timestamp;

use crate::engine::Engine;
use crate::h1::{Guess, recognise_request, recognise_response};
use crate::h2::{self, Recognition};
use crate::replay::Replay;

/// After this many turns of a direction that look like nothing of ours, a connection joined late is given up.
const LATE_TURNS: u8 = 8;

/// What the first bytes of a direction say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Need more.
    More,
    /// Nothing we know.
    Nothing,
    /// HTTP/1, and who sends it.
    Http1 { from_client: bool },
    /// HTTP/2.
    Http2 { late: bool, from_client: Option<bool> },
    /// TLS.
    Tls,
}

/// What a connection turned out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// HTTP/1; client and server are the other way round than the flow stage says (`swapped`); `lost`: by role, the
    /// bytes so far are not the start of a message.
    Http1 { swapped: bool, lost: [bool; 2] },
    /// HTTP/2; `late`: joined after its start.
    Http2 { swapped: bool, late: bool },
    /// TLS.
    Tls,
    /// Nothing of ours.
    Unknown,
}

/// A connection whose protocol is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Detect {
    prefixes: [Prefix; 2],
    replay: Replay,
    last: Option<Direction>,
    /// The connection began with SOCKS: what it is for comes behind a few turns of greeting.
    socks: bool,
}

#[derive(Debug)]
struct Prefix {
    bytes: Vec<u8>,
    verdict: Verdict,
    /// Turns that looked like nothing.
    turns: u8,
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix { bytes: Vec::new(), verdict: Verdict::More, turns: 0 }
    }
}

/// The answer where the very first bytes of a connection decide: the usual case, without a copy.
pub(crate) fn at_once(engine: &Engine, mid_stream: bool, direction: Direction, bytes: &[u8]) -> Option<Found> {
    let prefix = bytes.get(..bytes.len().min(engine.config.detect_bytes))?;
    let verdict = judge(prefix, mid_stream, false);
    if matches!(verdict, Verdict::More | Verdict::Nothing) {
        return None;
    }
    verdict.found(direction, mid_stream, [false; 2])
}

impl Detect {
    /// The next bytes of a direction. Once the answer is there, `take_replay` has them all.
    pub(crate) fn handle_data(
        &mut self,
        engine: &Engine,
        mid_stream: bool,
        direction: Direction,
        time: Timestamp,
        bytes: &[u8],
    ) -> Option<Found> {
        let turn = self.last.replace(direction) != Some(direction);
        let other = &self.prefixes[direction.opposite().index()];
        let first = !self.socks && other.bytes.is_empty() && other.turns == 0;
        let again = mid_stream || self.socks;
        let limit = engine.config.detect_bytes;
        let prefix = &mut self.prefixes[direction.index()];
        if turn && again && prefix.verdict == Verdict::Nothing {
            // Where the other side has spoken, a message is likely to begin.
            prefix.verdict = Verdict::More;
        }
        if prefix.verdict == Verdict::Nothing {
            return None;
        }
        let room = limit.saturating_sub(prefix.bytes.len());
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        prefix.bytes.extend_from_slice(kept);
        prefix.verdict = judge(&prefix.bytes, mid_stream, prefix.bytes.len() >= limit);
        if prefix.verdict == Verdict::Nothing && first && prefix.turns == 0 {
            match recognise_socks(&prefix.bytes) {
                Guess::Yes => self.socks = true,
                Guess::More => prefix.verdict = Verdict::More,
                Guess::No => {}
            }
        }
        if prefix.verdict == Verdict::Nothing {
            prefix.bytes = Vec::new();
            prefix.turns = prefix.turns.saturating_add(1);
            self.replay.forget(direction);
        } else {
            self.replay.push(direction, time, bytes);
        }
        self.found(direction, mid_stream)
    }

    /// `len` bytes are missing: what follows is a new start.
    pub(crate) fn handle_gap(&mut self, direction: Direction) {
        let prefix = &mut self.prefixes[direction.index()];
        prefix.bytes = Vec::new();
        prefix.verdict = Verdict::More;
        self.last = Some(direction);
        // What came before the gap said nothing.
        self.replay.forget(direction);
    }

    /// Everything kept, in order.
    pub(crate) fn take_replay(&mut self) -> Replay {
        std::mem::take(&mut self.replay)
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.replay.memory_bytes() + self.prefixes.iter().map(|prefix| prefix.bytes.capacity()).sum::<usize>()
    }

    fn found(&self, direction: Direction, mid_stream: bool) -> Option<Found> {
        let [to_server, to_client] = &self.prefixes;
        let verdict = self.prefixes[direction.index()].verdict;
        let again = mid_stream || self.socks;
        if verdict == Verdict::Nothing {
            let given_up =
                |prefix: &Prefix| prefix.verdict == Verdict::Nothing && (!again || prefix.turns >= LATE_TURNS);
            return (given_up(to_server) && given_up(to_client)).then_some(Found::Unknown);
        }
        let Verdict::Http1 { from_client } = verdict else {
            return verdict.found(direction, mid_stream, [false; 2]);
        };
        // What the other side has sent so far may be the middle of a message.
        let other = direction.opposite();
        let bytes = &self.prefixes[other.index()].bytes;
        let guess = if from_client { recognise_response(bytes) } else { recognise_request(bytes) };
        let mut nothing = [to_server.verdict == Verdict::Nothing, to_client.verdict == Verdict::Nothing];
        nothing[other.index()] |= guess == Guess::No;
        verdict.found(direction, mid_stream, nothing)
    }
}

impl Verdict {
    /// What a verdict on one direction says of the connection. `nothing`: the bytes of a direction are none we know.
    fn found(self, direction: Direction, mid_stream: bool, nothing: [bool; 2]) -> Option<Found> {
        let is_swapped = |from_client: bool| from_client == (direction == Direction::ToClient);
        match self {
            Verdict::More | Verdict::Nothing => None,
            Verdict::Http1 { from_client } => {
                let swapped = is_swapped(from_client);
                let [to_server, to_client] = nothing;
                let lost = if swapped { [to_client, to_server] } else { nothing };
                Some(Found::Http1 { swapped, lost })
            }
            Verdict::Http2 { late, from_client } => {
                Some(Found::Http2 { swapped: from_client.is_some_and(is_swapped), late: late || mid_stream })
            }
            Verdict::Tls => Some(Found::Tls),
        }
    }
}

/// Looks at the first bytes of a direction. `last`: there will be no more.
fn judge(bytes: &[u8], mid_stream: bool, last: bool) -> Verdict {
    let request = recognise_request(bytes);
    if request == Guess::Yes {
        return Verdict::Http1 { from_client: true };
    }
    let response = recognise_response(bytes);
    if response == Guess::Yes {
        return Verdict::Http1 { from_client: false };
    }
    let tls = recognise_tls(bytes);
    if tls == Guess::Yes {
        return Verdict::Tls;
    }
    let http2 = if mid_stream || may_start_http2(bytes) { h2::recognise(bytes) } else { Recognition::No };
    if let Recognition::Yes { late, from_client } = http2 {
        return Verdict::Http2 { late, from_client };
    }
    let open = request == Guess::More || response == Guess::More || tls == Guess::More || http2 == Recognition::More;
    if open && !last { Verdict::More } else { Verdict::Nothing }
}

/// Where the start of the connection was seen, HTTP/2 begins with the preface or (the server's) SETTINGS, RFC 9113 §3.4.
fn may_start_http2(bytes: &[u8]) -> bool {
    let settings = [Some(0), None, None, Some(4), Some(0), Some(0), Some(0), Some(0), Some(0)];
    bytes.first() == Some(&b'P')
        || bytes.iter().zip(settings).all(|(byte, expected)| expected.is_none_or(|expected| *byte == expected))
}

/// The first message of a SOCKS client: version 5 with a list of methods (RFC 1928 §3), or version 4 with a command, an
/// address and a user name that a zero byte ends.
fn recognise_socks(bytes: &[u8]) -> Guess {
    let whole = match bytes {
        [5] | [4] => false,
        [5, 1..=16, methods @ ..] => methods.len() >= usize::from(bytes[1]),
        [4, 1 | 2, rest @ ..] => rest.iter().skip(6).any(|byte| *byte == 0),
        _ => return Guess::No,
    };
    match whole {
        true => Guess::Yes,
        // A user name that goes on for ever is none.
        false if bytes.len() > 512 => Guess::No,
        false => Guess::More,
    }
}

/// A TLS record header (RFC 8446 §5.1): type, version 3.x, length up to 2^14 + 2048; a handshake record begins with a
/// message type.
pub(crate) fn recognise_tls(bytes: &[u8]) -> Guess {
    let ok = |at: usize, good: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| good(*byte));
    if !(ok(0, |kind| matches!(kind, 20..=23))
        && ok(1, |major| major == 3)
        && ok(2, |minor| minor <= 4)
        && ok(3, |high| high <= 0x48))
    {
        return Guess::No;
    }
    let [kind, _, _, high, low, first, ..] = bytes else { return Guess::More };
    let empty = *high == 0 && *low == 0;
    let known_message = *kind != 22 || matches!(first, 0..=24 | 0x43 | 0xfe);
    if empty || (*kind == 22 && !known_message) { Guess::No } else { Guess::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_records() {
        // type 22, TLS 1.0, 512 bytes, ClientHello
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1];
        for end in 0..6 {
            assert_eq!(recognise_tls(&hello[..end]), Guess::More);
        }
        assert_eq!(recognise_tls(&hello), Guess::Yes);
        assert_eq!(recognise_tls(&[0x17, 3, 3, 0, 40, 9]), Guess::Yes);
        assert_eq!(recognise_tls(&[0x17, 3, 3, 0, 0, 9]), Guess::No);
        assert_eq!(recognise_tls(&[0x16, 2]), Guess::No);
        assert_eq!(recognise_tls(b"GET / HTTP/1.1"), Guess::No);
    }
}
