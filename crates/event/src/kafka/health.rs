//! How well a sensor sees and delivers.
#![allow(missing_docs)] // named as in `schemas/health.v1.schema.json`, which describes each

use serde::{Deserialize, Serialize};

/// Health of one sensor: the value of `umbra.sensors`. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRecord {
    pub schema_version: u32,
    pub sensor_id: String,
    pub version: String,
    pub incarnation: String,
    pub seq: u64,
    pub time: String,
    pub status: HealthStatus,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    pub packets: u64,
    pub bytes: u64,
    pub drops: DropRecord,
    pub gaps: u64,
    pub gap_bytes: u64,
    pub flows: u64,
    pub live_flows: u64,
    pub transactions: u64,
    pub requests: u64,
    pub responses: u64,
    pub unpaired: UnpairedRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecodable: Vec<ReasonCount>,
    pub memory: MemoryRecord,
    pub events_produced: u64,
    pub events_delivered: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LossRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaRecord>,
}

/// What a sensor is worth right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It sees all that its interface brings, and delivers it.
    #[default]
    Ok,
    /// Something is lost or not decoded; the reasons say what.
    Degraded,
    /// It sees nothing of APIs; the reasons say why.
    Blind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropRecord {
    pub kernel: u64,
    pub interface: u64,
    pub shed_segments: u64,
    pub flows_evicted: u64,
    pub flows_failed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnpairedRecord {
    pub requests: u64,
    pub responses: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonCount {
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRecord {
    pub held_bytes: u64,
    pub cap_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossRecord {
    pub class: String,
    pub stage: String,
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolRecord {
    pub bytes: u64,
    pub cap_bytes: u64,
    pub pending: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaRecord {
    pub state: KafkaState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaState {
    Connected,
    Disconnected,
    Failed,
}

/// Of a thousand bytes so many may be missed by the capture before a sensor counts as degraded: less is usual on any mirror port.
const GAPS_PER_THOUSAND: u64 = 1;

impl HealthRecord {
    /// Sets [`status`](Self::status) and [`reasons`](Self::reasons) by what has happened since the record before, or since the start.
    ///
    /// Blind: no packet came, or packets without any HTTP. Degraded: anything was dropped, shed, lost or failed, more than one byte in a
    /// thousand was missed, half of the messages lack their other half, traffic is encrypted, memory or spool are at their caps, or
    /// the broker is not there.
    pub fn judge(&mut self, before: Option<&HealthRecord>) {
        let since = |now: u64, count: fn(&HealthRecord) -> u64| now.saturating_sub(before.map_or(0, count));
        let named = |record: &HealthRecord, name: &str| -> u64 {
            record.undecodable.iter().filter(|reason| reason.reason == name).map(|reason| reason.count).sum()
        };
        let packets = since(self.packets, |record| record.packets);
        let transactions = since(self.transactions, |record| record.transactions);
        let encrypted = named(self, "tls").saturating_sub(before.map_or(0, |before| named(before, "tls")));
        let bytes = since(self.bytes, |record| record.bytes);
        let gaps = since(self.gap_bytes, |record| record.gap_bytes);
        let halves = since(self.unpaired.requests.saturating_add(self.unpaired.responses), |record| {
            record.unpaired.requests.saturating_add(record.unpaired.responses)
        });
        let lost = |record: &HealthRecord| record.lost.iter().fold(0_u64, |sum, loss| sum.saturating_add(loss.count));
        let spool_full = self.spool.is_some_and(|spool| spool.cap_bytes > 0 && spool.bytes >= spool.cap_bytes);
        let kafka = self.kafka.as_ref().map(|kafka| kafka.state);
        let blind = [(packets == 0, "no_packets"), (packets > 0 && transactions == 0, "no_http")];
        let degraded = [
            (kafka == Some(KafkaState::Failed), "kafka_failed"),
            (lost(self) > before.map_or(0, lost), "events_lost"),
            (spool_full, "spool_full"),
            (kafka == Some(KafkaState::Disconnected), "kafka_unreachable"),
            (since(self.drops.kernel, |record| record.drops.kernel) > 0, "kernel_drops"),
            (since(self.drops.interface, |record| record.drops.interface) > 0, "interface_drops"),
            (since(self.drops.shed_segments, |record| record.drops.shed_segments) > 0, "shedding"),
            (since(self.drops.flows_failed, |record| record.drops.flows_failed) > 0, "worker_failures"),
            (self.memory.cap_bytes > 0 && self.memory.held_bytes >= self.memory.cap_bytes, "memory_cap"),
            (gaps > bytes.saturating_add(gaps) / 1000 * GAPS_PER_THOUSAND, "gaps"),
            (halves > 0 && halves > transactions / 2, "one_sided"),
            (encrypted > 0, "encrypted"),
        ];
        let reasons = |list: &[(bool, &str)]| -> Vec<String> {
            list.iter().filter(|(holds, _)| *holds).map(|(_, reason)| (*reason).to_owned()).collect()
        };
        self.reasons = reasons(&blind);
        let is_blind = !self.reasons.is_empty();
        self.reasons.extend(reasons(&degraded));
        self.status = match (is_blind, self.reasons.is_empty()) {
            (true, _) => HealthStatus::Blind,
            (false, false) => HealthStatus::Degraded,
            (false, true) => HealthStatus::Ok,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> HealthRecord {
        HealthRecord {
            packets: 1_000,
            bytes: 1_000_000,
            transactions: 100,
            gap_bytes: 900,
            memory: MemoryRecord { held_bytes: 1, cap_bytes: 2 },
            spool: Some(SpoolRecord { bytes: 1, cap_bytes: 2, pending: 0 }),
            kafka: Some(KafkaRecord { state: KafkaState::Connected, last_error: None, last_delivery: None }),
            ..HealthRecord::default()
        }
    }

    fn judged(change: impl FnOnce(&mut HealthRecord)) -> (HealthStatus, Vec<String>) {
        let mut record = healthy();
        change(&mut record);
        record.judge(None);
        (record.status, record.reasons)
    }

    fn because(status: HealthStatus, reason: &str) -> (HealthStatus, Vec<String>) {
        (status, vec![reason.to_owned()])
    }

    #[test]
    fn each_reason_is_told_by_its_count() {
        use HealthStatus::{Blind, Degraded, Ok};
        let tls = |count| vec![ReasonCount { reason: "tls".into(), count }];
        let loss =
            || vec![LossRecord { class: "event".into(), stage: "spool".into(), reason: "full".into(), count: 1 }];
        assert_eq!(judged(|_| {}), (Ok, vec![]));
        assert_eq!(judged(|it| it.transactions = 0), because(Blind, "no_http"));
        assert_eq!(judged(|it| (it.packets, it.transactions) = (0, 0)), because(Blind, "no_packets"));
        assert_eq!(judged(|it| it.gap_bytes = 1_100), because(Degraded, "gaps"));
        assert_eq!(judged(|it| it.unpaired.requests = 51), because(Degraded, "one_sided"));
        assert_eq!(judged(|it| it.drops.kernel = 1), because(Degraded, "kernel_drops"));
        assert_eq!(judged(|it| it.drops.interface = 1), because(Degraded, "interface_drops"));
        assert_eq!(judged(|it| it.drops.shed_segments = 1), because(Degraded, "shedding"));
        assert_eq!(judged(|it| it.drops.flows_failed = 1), because(Degraded, "worker_failures"));
        assert_eq!(judged(|it| it.memory.held_bytes = 2), because(Degraded, "memory_cap"));
        assert_eq!(judged(|it| it.undecodable = tls(1)), because(Degraded, "encrypted"));
        assert_eq!(judged(|it| it.lost = loss()), because(Degraded, "events_lost"));
        assert_eq!(
            judged(|it| it.spool = Some(SpoolRecord { bytes: 2, cap_bytes: 2, pending: 9 })),
            because(Degraded, "spool_full")
        );
        for (state, reason) in [(KafkaState::Disconnected, "kafka_unreachable"), (KafkaState::Failed, "kafka_failed")] {
            let kafka = KafkaRecord { state, last_error: None, last_delivery: None };
            assert_eq!(judged(|it| it.kafka = Some(kafka)), because(Degraded, reason));
        }
        let mixed = judged(|it| (it.transactions, it.undecodable, it.drops.kernel) = (0, tls(9), 1));
        assert_eq!(mixed, (Blind, ["no_http", "kernel_drops", "encrypted"].map(String::from).to_vec()));
    }

    /// What went wrong once is not held against a sensor for ever.
    #[test]
    fn only_what_is_new_counts() {
        let mut before = healthy();
        (before.drops.kernel, before.gap_bytes) = (7, 500_000);
        before.undecodable = vec![ReasonCount { reason: "tls".into(), count: 4 }];
        let mut now = before.clone();
        (now.packets, now.bytes, now.transactions) = (2_000, 2_000_000, 200);
        now.judge(Some(&before));
        assert_eq!((now.status, now.reasons.clone()), (HealthStatus::Ok, vec![]));
        let mut silent = now.clone();
        silent.judge(Some(&now));
        assert_eq!((silent.status, silent.reasons), because(HealthStatus::Blind, "no_packets"));
    }

    /// Every reason that a judgement gives is one that the schema knows.
    #[test]
    fn reasons_are_in_the_schema() {
        let schema: serde_json::Value = serde_json::from_str(super::super::HEALTH_SCHEMA).unwrap_or_default();
        let known = &schema["properties"]["reasons"]["items"]["enum"];
        let source = include_str!("health.rs");
        let rules =
            source.split("let blind =").nth(1).and_then(|rest| rest.split("let reasons =").next()).unwrap_or_default();
        let mut count = 0;
        for reason in rules.split('"').skip(1).step_by(2) {
            assert!(known.as_array().is_some_and(|known| known.iter().any(|name| name == reason)), "{reason}");
            count += 1;
        }
        assert_eq!(count, 14);
    }
}
