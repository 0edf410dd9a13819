//! gRPC messages and server-sent events: the same counts whatever the split; a gap is said or costs nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| umbra_http::fuzzing::grpc_sse(data));
