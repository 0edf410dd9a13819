//! Whole connections from their first byte, whatever they speak: the same transactions whatever the split.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::connection(data));
