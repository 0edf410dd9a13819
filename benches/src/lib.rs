//! Material for the benches: an allocator that counts, and programs measured from outside.

mod allocations;
pub mod made;
pub mod measure;

pub use allocations::{CountingAllocator, allocations_of, held_bytes};
