//! Content codings: the same sample whatever the split, within the limits, and a prefix of it where a gap cuts the body.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::content(data));
