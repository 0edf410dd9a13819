//! Bounds and policies of reassembly.

use std::time::Duration;

/// What to do with segments whose TCP checksum is wrong (F030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// Checksums are not looked at: the default, because a mirrored host with checksum offload sends wrong ones.
    #[default]
    Off,
    /// A wrong checksum drops the segment only on a direction whose checksums are usually right.
    Auto,
    /// A wrong checksum drops the segment.
    Strict,
}

/// What to do with the urgent byte (F028): the one before the urgent pointer, when the URG flag is set and the pointer
/// lies inside the segment (RFC 6093 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UrgentPolicy {
    /// It takes its place in the stream but is not handed over: what a server reads that does not ask for urgent data
    /// (Linux, the BSDs and Windows without `SO_OOBINLINE`; no HTTP server in wide use sets it).
    #[default]
    OutOfBand,
    /// It is handed over like any other byte.
    InBand,
}

/// Bounds, timeouts and policies of a [`FlowTable`](crate::FlowTable). Every bound has a counter in
/// [`Counters`](crate::Counters) for reaching it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seeds of the keyed hash: fresh random numbers at each start (F018). Not part of any result.
    pub hash_seed: [u64; 4],
    /// The outermost VLAN id is part of the key. Off by default: the two directions of a flow may be tagged
    /// differently on a mirror port.
    pub vlan_in_key: bool,
    /// What to do with wrong checksums.
    pub checksum: ChecksumPolicy,
    /// What to do with urgent data.
    pub urgent: UrgentPolicy,

    /// Flows at once; the least recently active one is evicted (`flows_evicted`).
    pub max_flows: usize,
    /// Half-open connections (only SYN or SYN-ACK seen) at once, 64 bytes each; the oldest is dropped
    /// (`half_open_evicted`). Established flows are never evicted for them (F017).
    pub max_half_open: usize,
    /// Recently closed connections remembered, so that their late segments do not start flows; the oldest is
    /// forgotten (`closed_forgotten`).
    pub max_closed: usize,
    /// Flows at once that consist of a SYN with data (RFC 7413) and nothing else; past it the data of such a SYN is not
    /// kept (`syn_data_dropped`).
    pub max_opening: usize,

    /// Bytes that wait for a hole to fill, per direction (F019). At the bound the hole is given up
    /// (`limit_direction`).
    pub max_direction_bytes: usize,
    /// Segments that wait for a hole to fill, per direction. At the bound the hole is given up.
    pub max_direction_segments: usize,
    /// Bytes that wait in both directions of a flow (`limit_flow`).
    pub max_flow_bytes: usize,
    /// Bytes that wait in all flows (`limit_global`).
    pub max_total_bytes: usize,

    /// Newest unacknowledged bytes kept of client → server, to compare retransmissions with (F020). Longer distances
    /// are not compared. At most 65,535.
    pub history_to_server_bytes: usize,
    /// The same of server → client.
    pub history_to_client_bytes: usize,
    /// Bytes of such history in all flows; past it none is kept for a flow that has none (`limit_history`).
    pub max_history_bytes: usize,

    /// A connection of which only a SYN or SYN-ACK was seen is forgotten after this.
    pub half_open_timeout: Duration,
    /// The same while the half-open table is more than half full.
    pub half_open_emergency_timeout: Duration,
    /// An established flow ends (`EndReason::Idle`) after this much silence.
    pub established_timeout: Duration,
    /// The same once one side has sent its FIN.
    pub half_closed_timeout: Duration,
    /// The same once both sides have sent their FIN (and data is not acknowledged yet), or after a doubtful RST.
    pub closing_timeout: Duration,
    /// How long a closed connection is remembered.
    pub closed_timeout: Duration,
    /// A hole nobody acknowledges is given up after this (`GapCause::Timeout`).
    pub hole_timeout: Duration,
    /// How long a hole that the peer *has* acknowledged is kept open: a mirror port may deliver an ACK, or the answer,
    /// before the data. What the peer sent after acknowledging the hole waits with it, so a reader never sees an answer
    /// before the question it acknowledges.
    pub reorder_grace: Duration,
    /// Added to every timeout by the sweep (not by arriving packets): packets of one flow may reach the table this much
    /// later than the clock.
    pub sweep_slack: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            hash_seed: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89],
            vlan_in_key: false,
            checksum: ChecksumPolicy::Off,
            urgent: UrgentPolicy::OutOfBand,
            max_flows: 1 << 20,
            max_half_open: 1 << 19,
            max_closed: 1 << 16,
            max_opening: 1 << 14,
            max_direction_bytes: 1 << 20,
            max_direction_segments: 4096,
            max_flow_bytes: 3 << 19,
            max_total_bytes: 256 << 20,
            history_to_server_bytes: 4096,
            history_to_client_bytes: 512,
            max_history_bytes: 16 << 20,
            half_open_timeout: Duration::from_secs(10),
            half_open_emergency_timeout: Duration::from_secs(2),
            established_timeout: Duration::from_secs(300),
            half_closed_timeout: Duration::from_secs(60),
            closing_timeout: Duration::from_secs(10),
            closed_timeout: Duration::from_secs(10),
            hole_timeout: Duration::from_secs(5),
            reorder_grace: Duration::from_millis(50),
            sweep_slack: Duration::from_secs(2),
        }
    }
}
