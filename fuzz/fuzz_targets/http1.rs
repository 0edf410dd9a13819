//! HTTP/1 messages of both directions, gaps and ends: the same transactions whatever the split; memory within bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::http1(data));
