//! WebSocket frames: the same counts whatever the split; a gap inside a payload changes none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::websocket(data));
