//! HPACK: no panic, what an encoder wrote comes back, a late reader never contradicts the full one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::hpack(data));
