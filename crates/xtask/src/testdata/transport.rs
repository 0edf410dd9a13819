//! Cases about how the bytes arrive.

use std::net::SocketAddr;
use std::time::Duration;

use umbra_testkit::{Conversation, Http2Writer, PacketBuilder, Trace, internet_checksum};
use umbra_wire::{TcpFlags, Timestamp};

use super::http1::{request, response};

const HOST: &str = "api.case.example";

/// `GET /v1/things/N` with its answer, a number of times.
fn things(mut conversation: Conversation, numbers: std::ops::Range<u32>, body_bytes: usize) -> Conversation {
    for n in numbers {
        let body = format!(r#"{{"id":{n},"text":"{}"}}"#, "x".repeat(body_bytes));
        conversation = conversation
            .request(&request("GET", &format!("/v1/things/{n}"), HOST, &[], ""))
            .response(&response(200, &[], &body));
    }
    conversation
}

/// A conversation like any other, from another client port.
fn from_port(port: u16) -> Conversation {
    Conversation::new().client(SocketAddr::from(([10, 0, 0, 1], port)))
}

pub(super) fn late_join() -> Trace {
    // 3 packets of handshake, then the request; the answer's first segment is gone too.
    let http1 = things(Conversation::new(), 0..4, 4_000).build().dropping(&[0, 1, 2, 3, 4, 5]);

    let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
    let mut c = from_port(40_001).request(&client.take()).response(&server.take());
    for n in 0..14u32 {
        // Paths repeat: requests 8 and 9 refer to table entries of 0 and 1, which the capture missed; 10 and 11 bring
        // new ones, to which 12 and 13 refer.
        let path = if n < 10 { format!("/v2/things/{}", n % 8) } else { format!("/v2/late/{}", n % 2) };
        let custom = format!("client-{}", n / 4);
        let fields =
            [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", &path), ("x-client", &custom)];
        client.headers(1 + 2 * n, &fields, true);
        server.headers(1 + 2 * n, &[(":status", "200"), ("x-number", &n.to_string())], false);
        server.data(1 + 2 * n, b"{}", true);
        c = c.request(&client.take()).response(&server.take());
    }
    // Handshake 3, prefaces 4, then 4 packets an exchange.
    let missed: Vec<usize> = (0..3 + 4 + 8 * 4).collect();
    let http2 = c.build().dropping(&missed);
    http1.merging(http2.delayed(Duration::from_millis(20)))
}

pub(super) fn loss() -> Trace {
    // An exchange is request, ACK, 3 segments of answer with 2 ACKs: 7 packets after the 3 of the handshake.
    let exchange = |n: usize| 3 + 7 * n;
    things(Conversation::new(), 0..8, 4_000).build().dropping(&[
        exchange(1) + 3, // second segment of a body
        exchange(3),     // a request
        exchange(5) + 5, // the last segment of an answer
    ])
}

pub(super) fn tcp() -> Trace {
    let out_of_order = things(from_port(40_001), 0..3, 4_000).build().swapping(5, 6).swapping(12, 13);
    let retransmitted = [5, 3].into_iter().fold(things(from_port(40_002), 10..13, 4_000).build(), retransmitting);
    let doubled = things(from_port(40_003), 20..22, 100).build().doubled();
    let wrapping = things(from_port(40_004).isn(u32::MAX - 60, u32::MAX - 2_000), 30..33, 2_000).build();
    let reset = things(from_port(40_005), 40..42, 100).with_reset().build();
    // The same 5-tuple 10 ms after it was closed, other sequence numbers.
    let again = things(from_port(40_005).isn(77, 99), 42..44, 100).build().delayed(Duration::from_millis(10));
    let mut one_sided = things(from_port(40_006), 50..52, 100).build();
    // Source port of an untagged IPv4 frame: bytes 34 and 35.
    one_sided.frames.retain(|(_, frame)| frame.get(34..36) == Some(&40_006u16.to_be_bytes()[..]));
    [retransmitted, doubled, wrapping, reset, again, one_sided].into_iter().fold(out_of_order, Trace::merging)
}

/// Sends the packet at this position once more, two packets later: same segment, another IP identification.
fn retransmitting(mut trace: Trace, position: usize) -> Trace {
    let (_, mut frame) = trace.frames[position].clone();
    let time = trace.frames[position + 2].0.after(Duration::from_micros(1));
    // An Ethernet header without a tag, then IPv4 without options: id at 4, checksum at 10.
    let ip = &mut frame[14..34];
    ip[4] ^= 0x55;
    ip[10..12].fill(0);
    let checksum = internet_checksum(ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    trace.frames.insert(position + 3, (time, frame));
    trace
}

pub(super) fn conflict() -> Trace {
    let client = SocketAddr::from(([10, 0, 0, 1], 40_000));
    let server = SocketAddr::from(([10, 0, 0, 2], 80));
    let mut trace = things(Conversation::new(), 0..3, 100).build();
    // After the second request (packets 3 to 6 are the first exchange, 7 is the request) comes other data for its place.
    let (time, _) = trace.frames[7];
    let first = request("GET", "/v1/things/0", HOST, &[], "");
    let other = request("GET", "/v1/secret/1", HOST, &[], "");
    let answer = response(200, &[], &format!(r#"{{"id":0,"text":"{}"}}"#, "x".repeat(100)));
    let sequence = |isn: u32, bytes: usize| isn + 1 + u32::try_from(bytes).unwrap_or(0);
    let frame = PacketBuilder::tcp(client, server)
        .seq(sequence(1_000, first.len()))
        .ack(sequence(5_000_000, answer.len()))
        .flags(TcpFlags::ACK | TcpFlags::PSH)
        .ip_id(0x7777)
        .payload(&other)
        .build();
    trace.frames.insert(8, (time.after(Duration::from_micros(1)), frame));
    trace
}

pub(super) fn vlan() -> Trace {
    let start = Timestamp::from_parts(1_700_000_000, 0);
    let plain = things(from_port(40_001).start(start), 0..2, 100).build();
    let one = things(from_port(40_002).vlan(100), 10..12, 100).build();
    let two = things(from_port(40_003).vlan(200).vlan(7), 20..22, 100).build();
    let three = things(from_port(40_004).vlan(1).vlan(2).vlan(3), 30..32, 100).build();
    let ipv6 = things(from_port(40_005).ipv6(), 40..42, 100).build();
    [one, two, three, ipv6].into_iter().fold(plain, Trace::merging)
}
