//! Where the decoder is in a packet.

use crate::counters::{LayerKind, Reason};

/// The rest of a packet: what was captured of it and how long it claims to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'d> {
    /// Captured bytes that are left.
    pub(crate) data: &'d [u8],
    /// Offset of `data` from the start of the buffer the walk began with.
    pub(crate) start: usize,
    /// Bytes that were left on the wire: never less than `data`.
    pub(crate) wire: usize,
}

impl<'d> Cursor<'d> {
    pub(crate) fn new(data: &'d [u8], wire: usize) -> Self {
        Cursor { data, start: 0, wire: wire.max(data.len()) }
    }

    /// The next `N` bytes, which stay in front.
    #[inline]
    pub(crate) fn peek<const N: usize>(&self, layer: LayerKind) -> Result<&'d [u8; N], Reason> {
        match self.data.first_chunk::<N>() {
            Some(bytes) => Ok(bytes),
            None => Err(self.too_short(N, layer)),
        }
    }

    /// Takes `N` bytes off the front.
    #[inline]
    pub(crate) fn take<const N: usize>(&mut self, layer: LayerKind) -> Result<&'d [u8; N], Reason> {
        let bytes = self.peek::<N>(layer)?;
        self.skip(N, layer)?;
        Ok(bytes)
    }

    /// Moves `count` bytes forward.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize, layer: LayerKind) -> Result<(), Reason> {
        match self.data.get(count..) {
            Some(rest) => {
                self.data = rest;
                self.start = self.start.wrapping_add(count);
                self.wire = self.wire.saturating_sub(count);
                Ok(())
            }
            None => Err(self.too_short(count, layer)),
        }
    }

    /// Applies a length field: what follows is `claimed` bytes long, the rest is padding. A claim beyond the captured
    /// bytes is believed, as a mirror port may cut frames without a trace in the capture (the wire length is then that
    /// of the cut frame).
    #[inline]
    pub(crate) fn claim(&mut self, claimed: usize) {
        if let Some(data) = self.data.get(..claimed) {
            self.data = data;
        }
        self.wire = claimed;
    }

    /// Bytes that were on the wire and not captured.
    #[inline]
    pub(crate) fn missing(&self) -> usize {
        self.wire.saturating_sub(self.data.len())
    }

    /// Why `needed` bytes are not there: cut by the capture, or never sent.
    #[cold]
    pub(crate) fn too_short(&self, needed: usize, layer: LayerKind) -> Reason {
        if self.wire >= needed { Reason::Truncated(layer) } else { Reason::Malformed(layer) }
    }
}
