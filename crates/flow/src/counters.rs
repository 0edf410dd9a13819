//! What the table counted.

/// Plain counts since the table was made; never reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Segments given to the table.
    pub segments: u64,
    /// Flows started.
    pub flows: u64,
    /// Flows joined without a SYN.
    pub flows_mid_stream: u64,
    /// Flows that took the 5-tuple of a live one.
    pub flows_reused: u64,
    /// Flows evicted at `max_flows` or for memory.
    pub flows_evicted: u64,
    /// Flows ended by silence.
    pub flows_idle: u64,
    /// Connections seen only as a SYN or SYN-ACK, so far.
    pub half_open: u64,
    /// Half-open connections dropped at `max_half_open`.
    pub half_open_evicted: u64,
    /// Half-open connections forgotten by time.
    pub half_open_expired: u64,
    /// Half-open connections refused by a RST.
    pub half_open_refused: u64,
    /// Closed connections forgotten at `max_closed` before their time.
    pub closed_forgotten: u64,

    /// Segments without payload that belong to no known flow: they start none.
    pub empty_without_flow: u64,
    /// Segments of a connection that closed shortly before.
    pub after_close: u64,
    /// Segments dropped for their checksum.
    pub bad_checksum: u64,
    /// Segments dropped for an old timestamp (PAWS, RFC 7323 §5).
    pub paws: u64,
    /// Segments dropped because they acknowledge data far past what was ever sent.
    pub bad_ack: u64,
    /// Segments dropped because they lie outside the peer's window.
    pub out_of_window: u64,
    /// RST segments ignored because their sequence number is not the expected one (RFC 5961 §3).
    pub bad_reset: u64,
    /// FIN segments ignored because bytes past them were already seen, or an earlier FIN said otherwise.
    pub bad_fin: u64,
    /// SYN segments ignored inside a live flow (RFC 5961 §4).
    pub stray_syn: u64,
    /// Segments with the URG flag.
    pub urgent: u64,
    /// Urgent bytes kept out of the stream (F028).
    pub urgent_bytes: u64,
    /// SYN segments that carried data (RFC 7413).
    pub syn_data: u64,
    /// SYN segments whose data was not kept because too many such flows were open.
    pub syn_data_dropped: u64,

    /// Payload bytes handed over.
    pub delivered_bytes: u64,
    /// Segments put aside to wait for a hole to fill or for the peer to catch up.
    pub buffered_segments: u64,
    /// Payload bytes already seen: retransmissions, keep-alive probes, copies of a mirror port.
    pub retransmitted_bytes: u64,
    /// Payload bytes of holes that arrived after the hole had been given up.
    pub late_bytes: u64,
    /// Retransmissions with other bytes.
    pub conflicts: u64,
    /// Holes given up, all causes.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Bytes cut by the snap length.
    pub truncated_bytes: u64,

    /// Times `max_direction_bytes` or `max_direction_segments` was reached.
    pub limit_direction: u64,
    /// Times `max_flow_bytes` was reached.
    pub limit_flow: u64,
    /// Times `max_total_bytes` was reached.
    pub limit_global: u64,
    /// Times no history was kept because of `max_history_bytes`.
    pub limit_history: u64,
}

impl Counters {
    /// Adds those of another table.
    pub fn merge(&mut self, other: &Counters) {
        // Taken apart without `..`: a counter that is not added does not compile.
        let Counters {
            segments,
            flows,
            flows_mid_stream,
            flows_reused,
            flows_evicted,
            flows_idle,
            half_open,
            half_open_evicted,
            half_open_expired,
            half_open_refused,
            closed_forgotten,
            empty_without_flow,
            after_close,
            bad_checksum,
            paws,
            bad_ack,
            out_of_window,
            bad_reset,
            bad_fin,
            stray_syn,
            urgent,
            urgent_bytes,
            syn_data,
            syn_data_dropped,
            delivered_bytes,
            buffered_segments,
            retransmitted_bytes,
            late_bytes,
            conflicts,
            gaps,
            gap_bytes,
            truncated_bytes,
            limit_direction,
            limit_flow,
            limit_global,
            limit_history,
        } = *other;
        self.segments += segments;
        self.flows += flows;
        self.flows_mid_stream += flows_mid_stream;
        self.flows_reused += flows_reused;
        self.flows_evicted += flows_evicted;
        self.flows_idle += flows_idle;
        self.half_open += half_open;
        self.half_open_evicted += half_open_evicted;
        self.half_open_expired += half_open_expired;
        self.half_open_refused += half_open_refused;
        self.closed_forgotten += closed_forgotten;
        self.empty_without_flow += empty_without_flow;
        self.after_close += after_close;
        self.bad_checksum += bad_checksum;
        self.paws += paws;
        self.bad_ack += bad_ack;
        self.out_of_window += out_of_window;
        self.bad_reset += bad_reset;
        self.bad_fin += bad_fin;
        self.stray_syn += stray_syn;
        self.urgent += urgent;
        self.urgent_bytes += urgent_bytes;
        self.syn_data += syn_data;
        self.syn_data_dropped += syn_data_dropped;
        self.delivered_bytes += delivered_bytes;
        self.buffered_segments += buffered_segments;
        self.retransmitted_bytes += retransmitted_bytes;
        self.late_bytes += late_bytes;
        self.conflicts += conflicts;
        self.gaps += gaps;
        self.gap_bytes += gap_bytes;
        self.truncated_bytes += truncated_bytes;
        self.limit_direction += limit_direction;
        self.limit_flow += limit_flow;
        self.limit_global += limit_global;
        self.limit_history += limit_history;
    }
}
