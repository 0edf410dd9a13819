//! Is this HTTP/2? From the preface, or from the grammar of frames where the start was not seen.

use umbra_flow::Direction;

use super::frame::{Chain, chain};

/// What the first bytes of a direction say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// HTTP/2.
    Yes {
        /// Joined after its start: the bytes do not begin with the preface or the server's SETTINGS.
        late: bool,
        /// Whether these bytes come from the client, where they tell.
        from_client: Option<bool>,
    },
    /// Not HTTP/2.
    No,
    /// More bytes are needed.
    More,
}

/// The client's connection preface (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bits of evidence that frames at the very start of what was seen must show.
const BITS_AT_START: u32 = 64;
/// And further in, where there are as many tries as bytes.
const BITS_WITHIN: u32 = 80;
const HEADS_WITHIN: usize = 3;
/// Bytes looked through for frames.
const LOOK_BYTES: usize = 4096;
/// Bytes of payload read for it, all tries together: this is asked again after every segment until there is an answer.
const WORK_BYTES: usize = 4 * LOOK_BYTES;

/// Looks at the first bytes of a direction.
pub(crate) fn recognise(bytes: &[u8]) -> Recognition {
    if bytes.len() >= PREFACE.len() {
        if bytes.starts_with(PREFACE) {
            return Recognition::Yes { late: false, from_client: Some(true) };
        }
    } else if PREFACE.starts_with(bytes) {
        return Recognition::More;
    }
    // Cheap answers for what is usual: HTTP/1 starts with a letter, TLS with a record type and version 3.
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) || matches!(bytes, [0x14..=0x18, 3, ..]) {
        return Recognition::No;
    }
    let looked_at = bytes.get(..bytes.len().min(LOOK_BYTES)).unwrap_or_default();
    let mut pending = false;
    let mut work_bytes = WORK_BYTES;
    for at in 0..looked_at.len() {
        let rest = looked_at.get(at..).unwrap_or_default();
        // Length, type and the reserved bit refuse nearly everything.
        if rest.first().is_some_and(|length| *length > 0x10)
            || rest.get(3).is_some_and(|kind| *kind > 0x10)
            || rest.get(5).is_some_and(|stream| *stream > 0x7f)
        {
            continue;
        }
        let (bits, heads) = if at == 0 { (BITS_AT_START, 2) } else { (BITS_WITHIN, HEADS_WITHIN) };
        match chain(rest, bits, heads, true, &mut work_bytes) {
            Chain::Frames { from } => {
                return match from {
                    _ if at == 0 && starts_with_settings(bytes) => {
                        Recognition::Yes { late: false, from_client: from.map(|from| from == Direction::ToServer) }
                    }
                    from => Recognition::Yes { late: true, from_client: from.map(|from| from == Direction::ToServer) },
                };
            }
            Chain::Incomplete { started, .. } => pending |= started || at == 0,
            Chain::Not => {}
        }
    }
    if bytes.len() >= LOOK_BYTES || !(pending || bytes.len() < LOOK_BYTES / 4) {
        return Recognition::No;
    }
    Recognition::More
}

/// A SETTINGS frame that is no acknowledgement: the first of a server.
fn starts_with_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [0, _, _, 4, 0, 0, 0, 0, 0, ..])
}
