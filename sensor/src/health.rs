//! How well the sensor sees and delivers, as one record.

use umbra_event::kafka::{
    DropRecord, HealthRecord, LossRecord, MemoryRecord, RECORD_VERSION, ReasonCount, UnpairedRecord,
};
use umbra_event::rfc3339;
use umbra_pipeline::Counters;
use umbra_wire::Timestamp;

use crate::config::Config;
use crate::output::Output;
use crate::session::not_tcp;

/// The record of what has been counted since the start. Names, numbers and the judgement are the caller's.
///
/// `dropped`: by the kernel and by the interface.
pub(crate) fn record(
    config: &Config,
    inputs: Vec<String>,
    time: Timestamp,
    counters: &Counters,
    dropped: (u64, u64),
    output: &Output,
) -> HealthRecord {
    let (flow, http) = (&counters.flow, &counters.http);
    let mut record = HealthRecord {
        schema_version: RECORD_VERSION,
        sensor_id: config.sensor.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: rfc3339(time.nanos()),
        interfaces: inputs,
        packets: counters.wire.packets,
        bytes: counters.wire.bytes,
        drops: DropRecord {
            kernel: dropped.0,
            interface: dropped.1,
            shed_segments: counters.shed_segments,
            flows_evicted: flow.flows_evicted,
            flows_failed: counters.worker_panics,
        },
        gaps: flow.gaps,
        gap_bytes: flow.gap_bytes,
        flows: flow.flows,
        live_flows: counters.live_flows,
        transactions: http.transactions,
        requests: http.requests,
        responses: http.responses,
        unpaired: UnpairedRecord {
            requests: http.transactions.saturating_sub(http.responses),
            responses: http.transactions.saturating_sub(http.requests),
        },
        undecodable: undecodable(counters),
        memory: MemoryRecord {
            held_bytes: counters.memory_bytes,
            cap_bytes: u64::from(config.sensor.memory_mib) << 20,
        },
        events_produced: counters.events,
        events_delivered: output.written(),
        ..HealthRecord::default()
    };
    let [queue, sink] = output.losses();
    add_loss(&mut record, "event", "queue", "full", queue);
    add_loss(&mut record, "event", "sink", "io", sink);
    record
}

/// Adds a loss, if it is one.
pub(crate) fn add_loss(record: &mut HealthRecord, class: &str, stage: &str, reason: &str, count: u64) {
    if count > 0 {
        let loss = LossRecord { class: class.into(), stage: stage.into(), reason: reason.into(), count };
        record.lost.push(loss);
    }
}

/// Packets and flows that gave no HTTP, by reason; none of zero.
fn undecodable(counters: &Counters) -> Vec<ReasonCount> {
    let http = [("tls", counters.http.tls_flows), ("unknown_protocol", counters.http.unknown_flows)];
    let http = http.into_iter().map(|(reason, count)| (reason.to_owned(), count));
    http.chain(not_tcp(&counters.wire))
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| ReasonCount { reason, count })
        .collect()
}
