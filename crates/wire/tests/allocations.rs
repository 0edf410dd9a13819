//! No allocation per packet in order, nor for cut, odd and whole packets of any layer.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{packet, samples};
use umbra_testkit::Conversation;
use umbra_wire::{Config, Decoder};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn decoding_does_not_allocate() {
    let trace = Conversation::new().vlan(5).request(&[b'q'; 10_000]).response(&[b'r'; 100_000]).build();
    let samples = samples();
    let mut decoder = Decoder::new(Config { checksums: true, ..Config::default() });
    let before = ALLOCATIONS.with(Cell::get);
    for packet in trace.packets().chain(trace.cut_packets(60)) {
        assert!(decoder.decode(&packet).is_some());
    }
    for sample in &samples {
        for cut in 0..=sample.frame.len() {
            decoder.decode(&packet(sample.link, &sample.frame[..cut], sample.frame.len()));
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert!(decoder.counters().segments > 200);
}
