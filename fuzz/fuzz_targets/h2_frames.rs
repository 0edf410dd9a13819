//! HTTP/2 frames of both directions: the same transactions whatever the split; memory within bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::h2_frames(data));
