//! Packet time never goes negative and never wraps (F010), whatever a capture file claims.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use umbra_wire::Timestamp;

fuzz_target!(|data: &[u8]| {
    let Some((seconds, rest)) = data.split_first_chunk::<8>() else { return };
    let Some((nanos, rest)) = rest.split_first_chunk::<4>() else { return };
    let Some((by, _)) = rest.split_first_chunk::<8>() else { return };
    let time = Timestamp::from_parts(u64::from_le_bytes(*seconds), u32::from_le_bytes(*nanos));
    let later = time.after(Duration::from_nanos(u64::from_le_bytes(*by)));
    assert!(later >= time);
    assert_eq!(time.since(later), Duration::ZERO);
    assert!(time.after(later.since(time)) == later);
});
