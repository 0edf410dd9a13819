//! Is this HTTP/2? From the preface, or from the grammar of frames where the start was not seen.

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

/// Looks at the first bytes of a direction.
pub(crate) fn recognise(bytes: &[u8]) -> Recognition {
    if bytes.len() >= PREFACE.len() {
        if bytes.starts_with(PREFACE) {
            return Recognition::Yes { late: false, from_client: Some(true) };
        }
    } else if PREFACE.starts_with(bytes) {
        return Recognition::More;
    }
    Recognition::No
}
