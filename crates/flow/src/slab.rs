//! Records with stable small indexes.

/// Records per allocation: memory grows in steps and records never move, so growing a big table costs no copy and no
/// second copy of it in memory.
const CHUNK: usize = 512;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A growing array with a free list. The last freed slot is used first: it is the one still in the cache.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    len: usize,
    slots: u32,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Slab { chunks: Vec::new(), free: Vec::new(), len: 0, slots: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slot_mut(index)
        {
            slot.value = Some(value);
            return index;
        }
        if (self.slots as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Slot { generation: 0, value: Some(value) });
        }
        self.slots += 1;
        self.slots - 1
    }

    /// Drops a record where it is: taking it out would copy it. False if there was none.
    pub(crate) fn remove(&mut self, index: u32) -> bool {
        let Some(slot) = self.slot_mut(index).filter(|slot| slot.value.is_some()) else { return false };
        slot.value = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.len -= 1;
        true
    }

    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot_mut(index)?.value.as_mut()
    }

    /// The record and its generation.
    #[inline]
    pub(crate) fn entry_mut(&mut self, index: u32) -> Option<(u32, &mut T)> {
        let slot = self.slot_mut(index)?;
        Some((slot.generation, slot.value.as_mut()?))
    }

    /// How often the slot was freed before: tells a record from an earlier one in the same slot.
    pub(crate) fn generation(&self, index: u32) -> Option<u32> {
        let index = index as usize;
        let slot = self.chunks.get(index / CHUNK)?.get(index % CHUNK)?;
        slot.value.is_some().then_some(slot.generation)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Slots ever used: indexes are below it.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Slot<T>>() + self.free.capacity() * size_of::<u32>()
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_freed_slot_is_used_again_with_another_generation() {
        let mut slab = Slab::new();
        let indexes: Vec<u32> = (0..1500).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.at(1400), Some(&1400));
        let before = slab.generation(7).unwrap();
        assert!(slab.remove(7));
        assert!(!slab.remove(7));
        assert_eq!(slab.generation(7), None);
        assert_eq!(slab.insert(99), 7);
        assert_ne!(slab.generation(7).unwrap(), before);
        assert_eq!(slab.len(), indexes.len());
        assert_eq!(slab.at(5000), None);
    }
}
