//! HTTP/1: nothing is allocated once a flow is warm, and idle flows are small (F032).
#![allow(clippy::unwrap_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use umbra_flow::Direction;
use umbra_http::{Config, Connection, Engine};
use umbra_wire::Timestamp;

struct Counting;

thread_local! {
    // Of this thread: the test harness has others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn allocations() -> usize {
    ALLOCATIONS.get()
}

// SAFETY: passes everything on to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] = b"GET /api/v1/users/12345?limit=10 HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nX-Request-Id: 0123456789abcdef\r\nAuthorization: Bearer abc.def.ghi\r\n\
    Connection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nDate: Tue, 24 Nov 2026 05:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 16\r\nConnection: keep-alive\r\nX-Request-Id: 0123456789abcdef\r\n\r\n\
    {\"name\":\"alice\"}";

fn exchange(engine: &mut Engine, connection: &mut Connection, n: u64) {
    connection.handle_data(engine, Direction::ToServer, Timestamp(n), REQUEST);
    connection.handle_data(engine, Direction::ToClient, Timestamp(n + 1), RESPONSE);
    let transaction = engine.poll_transaction().unwrap();
    assert_eq!(transaction.response.as_ref().unwrap().status, 200);
    engine.recycle(transaction);
}

#[test]
fn f032_a_warm_flow_allocates_nothing() {
    let mut engine = Engine::new(Config::default());
    let mut connection = Connection::new(false);
    for n in 0..100 {
        exchange(&mut engine, &mut connection, n);
    }
    assert!(connection.memory_bytes() <= 1024, "{}", connection.memory_bytes());
    let before = allocations();
    for n in 0..20_000 {
        exchange(&mut engine, &mut connection, n);
    }
    assert_eq!(allocations(), before);
    // A head in two segments: the buffer is kept too.
    let mut split = |n: u64| {
        for (direction, bytes) in [(Direction::ToServer, REQUEST), (Direction::ToClient, RESPONSE)] {
            let (first, second) = bytes.split_at(50);
            connection.handle_data(&mut engine, direction, Timestamp(n), first);
            connection.handle_data(&mut engine, direction, Timestamp(n), second);
        }
        engine.poll_transaction().map(|transaction| engine.recycle(transaction)).unwrap();
    };
    (0..10).for_each(&mut split);
    let before = allocations();
    (0..100).for_each(&mut split);
    assert_eq!(allocations(), before);
}
