//! The packet path alone, stage by stage: `packet-path read|wire|flow FILE...` reads, decodes, reassembles, and counts.
//!
//! What a stage costs is the difference to the one before it. The reader of the flow table does nothing, so the figures are
//! those of the table itself; compare instructions (callgrind) where times are noisy.

use std::process::ExitCode;
use std::time::Duration;

use umbra_capture::file::{FileSet, Options};
use umbra_flow::{FlowEvent, FlowTable};
use umbra_wire::{Decoder, Timestamp};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(depth) =
        arguments.next().and_then(|stage| ["read", "wire", "flow"].iter().position(|name| *name == stage))
    else {
        eprintln!("usage: packet-path read|wire|flow FILE...");
        return ExitCode::from(64);
    };
    let paths: Vec<_> = arguments.map(Into::into).collect();
    let batch_bytes = std::env::var("BATCH_BYTES").ok().and_then(|text| text.parse().ok());
    let defaults = Options::default();
    let options = Options { batch_bytes: batch_bytes.unwrap_or(defaults.batch_bytes), ..defaults };
    let mut files = match FileSet::open(&paths, options) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("packet-path: {error}");
            return ExitCode::from(66);
        }
    };
    let mut decoder = Decoder::new(umbra_wire::Config::default());
    let mut table = FlowTable::new(umbra_flow::Config::default());
    let (mut packets, mut segments, mut flows, mut bytes) = (0u64, 0u64, 0u64, 0u64);
    let mut next = Timestamp(0);
    loop {
        let batch = match files.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => {
                eprintln!("packet-path: {error}");
                continue;
            }
        };
        packets += batch.len() as u64;
        if depth == 0 {
            bytes += batch.packets().map(|packet| packet.data.len() as u64).sum::<u64>();
            continue;
        }
        for packet in batch.packets() {
            if depth == 2 && decoder.now() >= next {
                next = decoder.now().after(Duration::from_secs(1));
                table.handle_timeout(decoder.now());
                while table.poll_timeout().is_some() {}
            }
            let Some(segment) = decoder.decode(&packet) else { continue };
            segments += 1;
            if depth == 1 {
                bytes += segment.payload.len() as u64;
                continue;
            }
            table.handle_segment(&segment, |_| flows += 1);
            while let Some(step) = table.poll(&segment) {
                if let FlowEvent::Data { bytes: data, .. } = step.event {
                    bytes += data.len() as u64;
                }
            }
        }
    }
    table.finish(decoder.now());
    while table.poll_timeout().is_some() {}
    println!("{packets} packets, {segments} segments, {flows} flows, {bytes} bytes");
    ExitCode::SUCCESS
}
