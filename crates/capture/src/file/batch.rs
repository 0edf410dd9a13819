//! A chunk of packets over one shared buffer, and the pool the buffers come back to.

use std::sync::Arc;

use umbra_wire::{LinkType, Packet, Timestamp};

/// Where a packet lies in the buffer of its [`Batch`], and what the file said about it. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeta {
    /// When it was captured.
    pub time: Timestamp,
    /// First byte in the buffer.
    pub offset: u32,
    /// Captured bytes.
    pub len: u32,
    /// Bytes on the wire, at least `len`.
    pub wire_len: u32,
    /// Index into [`FileSet::interfaces`](super::FileSet::interfaces).
    pub interface: u16,
    /// What the first byte is.
    pub link: LinkType,
}

impl PacketMeta {
    /// The captured bytes, out of the buffer this was made for.
    pub fn bytes<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        let from = self.offset as usize;
        // Out of range only with the buffer of another batch.
        buffer.get(from..from.saturating_add(self.len as usize)).unwrap_or(&[])
    }

    /// The packet, out of the buffer this was made for.
    pub fn packet<'a>(&self, buffer: &'a [u8]) -> Packet<'a> {
        Packet {
            time: self.time,
            link: self.link,
            interface: u32::from(self.interface),
            wire_len: self.wire_len,
            data: self.bytes(buffer),
        }
    }
}

/// Some packets in order, over one buffer. A clone is two reference counts, so several workers can share a batch;
/// when the last clone is dropped the memory goes back to the [`FileSet`](super::FileSet) by itself.
#[derive(Clone, Debug)]
pub struct Batch {
    buffer: Arc<Vec<u8>>,
    metas: Arc<Vec<PacketMeta>>,
}

impl Batch {
    /// The packets, in order.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = Packet<'_>> {
        self.metas.iter().map(|meta| meta.packet(&self.buffer))
    }

    /// Number of packets; a batch has at least one.
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Never true for a batch that was handed out.
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// The packets' places in [`buffer`](Batch::buffer).
    pub fn metas(&self) -> &Arc<Vec<PacketMeta>> {
        &self.metas
    }

    /// The bytes. There are others than those of the packets in it, and the end may be unused.
    pub fn buffer(&self) -> &Arc<Vec<u8>> {
        &self.buffer
    }
}

/// Memory of a batch while it is filled: nobody else holds it.
#[derive(Debug)]
pub(super) struct Blank {
    buffer: Arc<Vec<u8>>,
    metas: Arc<Vec<PacketMeta>>,
}

impl Blank {
    fn new(bytes: usize) -> Blank {
        Blank { buffer: Arc::new(vec![0; bytes]), metas: Arc::new(Vec::new()) }
    }

    /// The buffer (its whole length may be written) and the empty list of packets.
    pub(super) fn parts(&mut self) -> (&mut Vec<u8>, &mut Vec<PacketMeta>) {
        // `make_mut` never copies here: a blank is taken from the pool only while nobody else holds it.
        (Arc::make_mut(&mut self.buffer), Arc::make_mut(&mut self.metas))
    }
}

/// Buffers in use and free ones. One in use by a consumer keeps its place and is found again once it was dropped.
#[derive(Debug)]
pub(super) struct Pool {
    bytes: usize,
    slots: Vec<Batch>,
    /// Blanks made because none was free: stays small while consumers keep up.
    pub(super) allocated: u64,
}

impl Pool {
    /// Batches remembered. More may be out at the same time; they are then freed by their consumers.
    const SLOTS: usize = 64;

    pub(super) fn new(bytes: usize) -> Pool {
        Pool { bytes, slots: Vec::new(), allocated: 0 }
    }

    /// Memory for a batch.
    pub(super) fn take(&mut self) -> Blank {
        let free = self
            .slots
            .iter_mut()
            .position(|slot| Arc::get_mut(&mut slot.buffer).is_some() && Arc::get_mut(&mut slot.metas).is_some());
        let Some(free) = free else {
            self.allocated += 1;
            return Blank::new(self.bytes);
        };
        let slot = self.slots.swap_remove(free);
        let mut blank = Blank { buffer: slot.buffer, metas: slot.metas };
        let bytes = self.bytes;
        let (buffer, metas) = blank.parts();
        metas.clear();
        // Grown for a block larger than usual: do not keep that for ever.
        if buffer.len() > bytes {
            buffer.truncate(bytes);
            buffer.shrink_to(bytes);
        }
        blank
    }

    /// Gives memory back that made no batch.
    pub(super) fn give_back(&mut self, blank: Blank) {
        if self.slots.len() < Self::SLOTS {
            self.slots.push(Batch { buffer: blank.buffer, metas: blank.metas });
        }
    }

    /// Makes the batch, and remembers it to get its memory back.
    pub(super) fn issue(&mut self, blank: Blank) -> Batch {
        let batch = Batch { buffer: blank.buffer, metas: blank.metas };
        if self.slots.len() < Self::SLOTS {
            self.slots.push(batch.clone());
        }
        batch
    }

    /// Longest buffer held, in bytes.
    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        self.slots.iter().map(|slot| slot.buffer.capacity()).max().unwrap_or(0)
    }
}
