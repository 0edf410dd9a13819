//! Live capture in network namespaces of its own: needs root. Skipped without, except under CI.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

use umbra_capture::live::{self, GapCause, LiveConfig, LiveSource, Notice};
use umbra_capture::privileges::{Privileges, drop_privileges};

/// A network namespace with a pair of interfaces, `near` and `far`, removed at the end.
struct Net {
    name: String,
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Net {
    /// Makes it and moves this thread into it. `None`: not possible here.
    fn enter(test: &str) -> Option<Net> {
        let name = format!("umbra-{test}-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "live tests must run in CI: {made:?}");
            println!("skipped: network namespaces need root and iproute2");
            return None;
        }
        let net = Net { name };
        net.ip("link set lo up");
        net.make_pair();
        let file = File::open(format!("/run/netns/{}", net.name)).unwrap();
        // SAFETY: the descriptor is open; only this thread changes its namespace.
        assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        Some(net)
    }

    fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    fn make_pair(&self) {
        self.ip("link add near type veth peer name far");
        for side in ["near", "far"] {
            // No IPv6: its neighbour discovery would add packets.
            self.ip(&format!("link set {side} addrgenmode none"));
            self.ip(&format!("link set {side} up"));
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Sends frames into `far`, which come out of `near`.
struct Sender(pcap::Capture<pcap::Active>);

impl Sender {
    fn new() -> Sender {
        Sender(pcap::Capture::from_device("far").unwrap().snaplen(64).open().unwrap())
    }

    /// A UDP packet of `size` payload bytes, numbered in its first four.
    fn send(&mut self, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), number: u32, size: usize) -> bool {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let total = 28 + size as u16;
        frame.extend([0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(from.0.octets());
        frame.extend(to.0.octets());
        let checksum =
            frame[14..34].chunks(2).fold(0_u32, |sum, two| sum + u32::from(two[0]) * 256 + u32::from(two[1]));
        let checksum = !((checksum & 0xffff) + (checksum >> 16)) as u16;
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame.extend(from.1.to_be_bytes());
        frame.extend(to.1.to_be_bytes());
        frame.extend((8 + size as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(number.to_be_bytes());
        frame.resize(42 + size, 0);
        self.0.sendpacket(frame).is_ok()
    }

    fn number(&mut self, number: u32) -> bool {
        self.send((Ipv4Addr::new(10, 0, 0, 1), 1000), (Ipv4Addr::new(10, 0, 0, 2), 80), number, 100)
    }
}

fn config(workers: usize) -> LiveConfig {
    LiveConfig {
        interfaces: vec!["near".to_owned()],
        workers,
        filter: Some("udp".to_owned()),
        buffer_bytes: 4 << 20,
        timeout: Duration::from_millis(10),
        ..LiveConfig::default()
    }
}

/// Packets until none came for a while: addresses and ports, number, time.
fn drain(source: &mut LiveSource) -> Vec<(Vec<u8>, u32, u64)> {
    let (mut seen, mut quiet) = (Vec::new(), 0);
    while quiet < 5 {
        let polled = source
            .poll(Duration::from_millis(40), &mut |packet| {
                let number = packet.data.get(42..46).unwrap().try_into().unwrap();
                seen.push((packet.data[26..38].to_vec(), u32::from_be_bytes(number), packet.time.nanos()));
            })
            .unwrap();
        quiet = if polled.packets == 0 { quiet + 1 } else { 0 };
    }
    seen
}

#[test]
fn two_workers_share_the_flows() {
    let Some(_net) = Net::enter("fanout") else { return };
    let mut sources = live::open(config(2)).unwrap();
    let mut sender = Sender::new();
    let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    for number in 0..2000 {
        let port = 2000 + (number % 100) as u16;
        let (one, other) = ((client, port), (server, 80));
        let (from, to) = if number / 100 % 2 == 0 { (one, other) } else { (other, one) };
        assert!(sender.send(from, to, number, 60));
    }
    let mut worker_of: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut share = [0, 0];
    let mut numbers = Vec::new();
    for (worker, source) in sources.iter_mut().enumerate() {
        let mut last = 0;
        for (addresses, number, time) in drain(source) {
            // Both directions of a flow have the same client port: it names the flow.
            let ports = [&addresses[8..10], &addresses[10..12]];
            let flow = ports.iter().find(|port| port[..] != [0, 80]).unwrap().to_vec();
            assert_eq!(*worker_of.entry(flow).or_insert(worker), worker, "a flow went to two workers");
            share[worker] += 1;
            numbers.push(number);
            assert!(time >= last && time > 1_700_000_000_000_000_000);
            last = time;
        }
        let stats = source.stats();
        assert_eq!((stats.received, stats.dropped, stats.early), (share[worker], 0, 0));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
    assert!(share[0] > 200 && share[1] > 200, "{share:?}");
}

#[test]
fn stop_ends_a_waiting_source_at_once() {
    let Some(_net) = Net::enter("stop") else { return };
    let mut source = live::open(config(1)).unwrap().remove(0);
    let handle = source.stop_handle();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        handle.stop();
    });
    let start = Instant::now();
    let mut polls = 0;
    while !source.poll(Duration::from_secs(20), &mut |_| panic!("nothing was sent")).unwrap().stopped {
        polls += 1;
    }
    assert!(polls < 5, "does not wait: {polls}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(source.poll(Duration::from_secs(20), &mut |_| {}).unwrap().stopped);
    stopper.join().unwrap();
}

#[test]
fn several_interfaces_and_idle_time() {
    let Some(_net) = Net::enter("several") else { return };
    let both = LiveConfig { interfaces: vec!["lo".to_owned(), "near".to_owned()], ..config(1) };
    let mut source = live::open(both).unwrap().remove(0);
    let idle = source.poll(Duration::from_millis(20), &mut |_| {}).unwrap();
    assert_eq!((idle.packets, idle.stopped), (0, false));
    assert!(Sender::new().number(7));
    let mut seen = Vec::new();
    for _ in 0..20 {
        source.poll(Duration::from_millis(40), &mut |packet| seen.push((packet.interface, packet.time))).unwrap();
    }
    let &[(interface, time)] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(source.interfaces()[interface as usize] == "near" && time >= idle.time);
}

#[test]
fn errors_name_the_interface_and_the_mend() {
    let Some(net) = Net::enter("errors") else { return };
    let missing = LiveConfig { interfaces: vec!["none0".to_owned()], ..config(1) };
    let error = live::open(missing).err().unwrap().to_string();
    assert!(error.starts_with("none0: ") && error.contains("ip link") && !error.contains('\n'), "{error}");
    let wrong = LiveConfig { filter: Some("udpp".to_owned()), ..config(1) };
    assert!(live::open(wrong).err().unwrap().to_string().contains("pcap-filter"));
    net.ip("link set near down");
    assert!(live::open(config(1)).is_err());
}

/// Five times what the ring holds, without reading: what is missing is exactly what the kernel says it dropped.
#[test]
fn f009_drops_are_the_kernels_count() {
    let Some(_net) = Net::enter("drops") else { return };
    for workers in [1, 2] {
        let ring = 1 << 20;
        let small = LiveConfig { buffer_bytes: ring, ..config(workers) };
        let mut sources = live::open(small).unwrap();
        let mut sender = Sender::new();
        let sent = u32::try_from(5 * workers * ring / 1000).unwrap();
        for number in 0..sent {
            let port = 3000 + (number % 50) as u16;
            assert!(sender.send((Ipv4Addr::new(10, 0, 0, 1), port), (Ipv4Addr::new(10, 0, 0, 2), 80), number, 1000));
        }
        let (mut seen, mut received, mut dropped) = (0, 0, 0);
        for source in &mut sources {
            // Reading the counter resets the kernel's: a second reading must not lose the first.
            let before = source.stats();
            seen += drain(source).len() as u64;
            let stats = source.stats();
            assert_eq!((stats, stats), (before, source.stats()));
            received += stats.received;
            dropped += stats.dropped;
        }
        assert_eq!(received, u64::from(sent));
        assert_eq!(seen + dropped, received);
        assert!(dropped > u64::from(sent) / 2, "{dropped} of {sent}");
    }
}

/// Polls until a packet numbered above `from` comes; sends one every few milliseconds. Gives the time it took.
fn until_captured(sources: &mut [LiveSource], from: u32) -> (Duration, Vec<Notice>) {
    let start = Instant::now();
    let (mut number, mut notices, mut seen) = (from, Vec::new(), false);
    let mut sender: Option<Sender> = None;
    while !seen {
        assert!(start.elapsed() < Duration::from_secs(8), "not captured again; {notices:?}");
        if sender.as_mut().is_none_or(|sender| !sender.number(number)) {
            sender = Some(Sender::new());
        }
        number += 1;
        for source in &mut *sources {
            source
                .poll(Duration::from_millis(5), &mut |packet| {
                    let found = u32::from_be_bytes(packet.data.get(42..46).unwrap().try_into().unwrap());
                    seen |= found >= from;
                })
                .unwrap();
            notices.extend(source.take_notices());
        }
    }
    (start.elapsed(), notices)
}

/// Polls for a while, as a worker does.
fn pass(sources: &mut [LiveSource], time: Duration) -> Vec<Notice> {
    let start = Instant::now();
    let mut notices = Vec::new();
    while start.elapsed() < time {
        for source in &mut *sources {
            source.poll(Duration::from_millis(5), &mut |_| {}).unwrap();
            notices.extend(source.take_notices());
        }
    }
    notices
}

/// The one gap of worker 0, with its cause and whether it is alone now.
fn gap(notices: &[Notice]) -> (GapCause, bool) {
    let of_first = |notice: &&Notice| matches!(notice, Notice::Gap { worker: 0, .. });
    let gaps: Vec<&Notice> = notices.iter().filter(of_first).collect();
    let [Notice::Gap { start, end, cause, alone, .. }] = gaps.as_slice() else { panic!("{notices:?}") };
    assert!(start < end);
    let lost = notices.iter().find_map(|notice| match notice {
        Notice::Lost { worker: 0, at, .. } => Some(at),
        _ => None,
    });
    assert_eq!(lost, Some(start));
    (*cause, *alone)
}

#[test]
fn f008_interface_down_and_up_removed_and_renamed() {
    for workers in [1, 2] {
        let Some(net) = Net::enter(&format!("f008-{workers}")) else { return };
        let mut sources = live::open(config(workers)).unwrap();
        until_captured(&mut sources, 1000);

        net.ip("link set near down");
        let mut notices = pass(&mut sources, Duration::from_millis(600));
        net.ip("link set near up");
        let (took, more) = until_captured(&mut sources, 2000);
        notices.extend(more);
        notices.extend(pass(&mut sources, Duration::from_millis(700))); // the other worker's turn
        assert_eq!(gap(&notices), (GapCause::Down, false));
        assert!(took < Duration::from_secs(5), "{took:?}");

        net.ip("link del near");
        let mut notices = pass(&mut sources, Duration::from_millis(600));
        net.make_pair();
        let (took, more) = until_captured(&mut sources, 3000);
        notices.extend(more);
        notices.extend(pass(&mut sources, Duration::from_millis(700))); // the other worker's turn
        assert_eq!(gap(&notices), (GapCause::Removed, false));
        assert!(took < Duration::from_secs(5), "{took:?}");

        // Renamed while down, which is the only way on older kernels.
        net.ip("link set near down");
        net.ip("link set near name other");
        let mut notices = pass(&mut sources, Duration::from_millis(300));
        net.ip("link set other up");
        let (took, more) = until_captured(&mut sources, 4000);
        notices.extend(more);
        notices.extend(pass(&mut sources, Duration::from_millis(700))); // the other worker's turn
        assert_eq!(gap(&notices), (GapCause::Down, false));
        assert!(took < Duration::from_secs(5), "{took:?}");

        net.ip("link set other mtu 1200");
        until_captured(&mut sources, 5000);

        // Everyone still takes part: flows reach all workers.
        let mut sender = Sender::new();
        for number in 6000..6200 {
            let from = (Ipv4Addr::new(10, 0, 0, 1), number as u16);
            assert!(sender.send(from, (Ipv4Addr::new(10, 0, 0, 2), 80), number, 60));
        }
        let mut total = 0;
        for source in &mut sources {
            let share = drain(source).iter().filter(|(_, number, _)| *number >= 6000).count();
            assert!(share > 10, "{share}");
            total += share;
        }
        assert_eq!(total, 200);
    }
}

/// The next two run in a process of their own: rights once dropped do not come back.
fn in_child(test: &str) -> bool {
    if std::env::var_os("UMBRA_CAPTURE_CHILD").is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let arguments = ["--exact", test, "--nocapture", "--test-threads=1"];
    let output = Command::new(this).args(arguments).env("UMBRA_CAPTURE_CHILD", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    false
}

fn status(field: &str) -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

/// The test harness has a main thread beside ours, which keeps its rights: what the check must notice.
#[test]
fn a_thread_that_keeps_rights_is_noticed() {
    if !in_child("a_thread_that_keeps_rights_is_noticed") {
        return;
    }
    if status("CapEff:") == "0000000000000000" {
        println!("skipped: there are no rights to keep");
        return;
    }
    let error = drop_privileges(&Privileges::default()).unwrap_err().to_string();
    assert!(error.contains("before threads start"), "{error}");
}
