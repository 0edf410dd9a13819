//! What all events of one flow have in common: a third of each line, rendered once.

use crate::address::{hex128, write_ip};
use crate::encode::{list, member, number};
use crate::event::{Event, Peer};
use crate::text::write_escaped;

/// The parts of a line that are the same in every event of a flow. About 500 bytes.
#[derive(Clone, Debug)]
pub struct FlowText {
    flow_id: u128,
    client: Peer,
    server: Peer,
    text: Box<[u8]>,
    /// Where each part but the last ends.
    ends: [u32; 3],
}

impl FlowText {
    /// Renders the parts as this event has them.
    pub fn of(event: &Event<'_>) -> FlowText {
        let mut text = Vec::with_capacity(768);
        write_head(event, &mut text);
        let head = text.len() as u32;
        write_origin(event, &mut text);
        let origin = text.len() as u32;
        write_flow(event, &mut text);
        let flow = text.len() as u32;
        write_peers(event, &mut text);
        FlowText {
            flow_id: event.flow_id,
            client: event.client,
            server: event.server,
            text: text.into_boxed_slice(),
            ends: [head, origin, flow],
        }
    }

    /// Is it the text of the event's flow, seen from the same side?
    #[inline]
    pub fn is_of(&self, event: &Event<'_>) -> bool {
        self.flow_id == event.flow_id && self.client == event.client && self.server == event.server
    }

    /// Bytes of memory it takes beside itself.
    pub fn len_bytes(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(crate) fn parts(&self) -> [&[u8]; 4] {
        let [head, origin, flow] = self.ends.map(|end| end as usize);
        let part = |from, to| self.text.get(from..to).unwrap_or_default();
        [part(0, head), part(head, origin), part(origin, flow), part(flow, self.text.len())]
    }
}

/// Up to the transaction's number in `event_id`.
pub(crate) fn write_head(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"schema_version\":1,\"event_id\":\"");
    out.extend_from_slice(&hex128(event.flow_id.to_be_bytes()));
    out.push(b'-');
}

/// From behind `time` to what `capture` says of the transaction.
pub(crate) fn write_origin(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\",\"source\":\"");
    out.extend_from_slice(event.source.name().as_bytes());
    out.extend_from_slice(b"\",\"sensor\":{\"id\":\"");
    write_escaped(event.sensor.id.as_bytes(), out);
    out.extend_from_slice(b"\",\"version\":\"");
    write_escaped(event.sensor.version.as_bytes(), out);
    out.extend_from_slice(b"\"},\"capture\":{");
    if !event.capture.interface.is_empty() {
        out.extend_from_slice(b"\"interface\":\"");
        write_escaped(event.capture.interface.as_bytes(), out);
        out.extend_from_slice(b"\",");
    }
    if !event.capture.vlan.is_empty() {
        out.extend_from_slice(b"\"vlan\":[");
        list(event.capture.vlan.iter(), out, |id, out| number(u64::from(*id), out));
        out.extend_from_slice(b"],");
    }
}

/// From behind `capture` to the transaction's number in `flow`.
pub(crate) fn write_flow(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"},\"flow\":{\"id\":\"");
    out.extend_from_slice(&hex128(event.flow_id.to_be_bytes()));
    if !event.community_id.is_empty() {
        out.extend_from_slice(b"\",\"community_id\":\"");
        write_escaped(event.community_id.as_bytes(), out);
    }
    out.extend_from_slice(b"\",\"tx_index\":");
}

/// From behind `flow` to the version of `network.protocol`.
pub(crate) fn write_peers(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"},\"client\":{\"address\":\"");
    write_peer(&event.client, out);
    out.extend_from_slice(b"},\"server\":{\"address\":\"");
    write_peer(&event.server, out);
    out.extend_from_slice(b"},\"network\":{\"transport\":\"tcp\",\"protocol\":{\"name\":\"http\",\"version\":\"");
}

fn write_peer(peer: &Peer, out: &mut Vec<u8>) {
    write_ip(peer.address, out);
    member(b"\",\"port\":", u64::from(peer.port), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Capture, Sensor};

    fn line(event: &Event<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        event.write_json(&mut out);
        out
    }

    #[test]
    fn a_line_is_the_same_with_and_without_it() {
        let capture = Capture { interface: "eth\"0", vlan: &[3, 4000], gap_bytes: 7, ..Capture::default() };
        let event = Event {
            flow_id: 0x0123_4567_89ab_cdef,
            community_id: "1:abc=",
            sensor: Sensor { id: "s\n", version: "9" },
            capture,
            client: Peer { address: [10, 0, 0, 1].into(), port: 4711 },
            ..Event::default()
        };
        let text = FlowText::of(&event);
        for other in [
            event,
            Event { tx_index: 17, time_ns: 5, stream_id: Some(3), ..event },
            Event { capture: Capture { gap_bytes: 0, ..capture }, ..event },
            // The ends have changed places, or it is another flow: the text does not fit and is not used.
            Event { client: event.server, server: event.client, ..event },
            Event { flow_id: 1, ..event },
        ] {
            assert_eq!(line(&other), line(&Event { flow_text: Some(&text), ..other }));
        }
    }
}
