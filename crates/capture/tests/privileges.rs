//! Dropping privileges after opening, and capturing on without them: needs root and network namespaces.
//!
//! Runs itself again inside a namespace, as the process that gives up its rights (`capture`) and as one that sends
//! (`send`); the environment says which.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const ROLE: &str = "UMBRA_PRIVILEGES_TEST";

fn main() {
    match std::env::var(ROLE).ok().as_deref() {
        None => parent(),
        #[cfg(feature = "live")]
        Some("send") => child::send(),
        Some(role) => {
            let mut words = role.split(' ');
            let (role, workers, keep) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert_eq!(role, "capture");
            child::capture(workers.parse().unwrap(), keep == "keep");
        }
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A namespace, removed at the end; and the processes in it, ended at the end.
struct Net {
    name: String,
    children: Vec<Child>,
}

impl Net {
    fn make_pair(&self) {
        let name = &self.name;
        assert!(ip(&format!("-n {name} link add near type veth peer name far")));
        for side in ["near", "far"] {
            assert!(ip(&format!("-n {name} link set {side} addrgenmode none")));
            assert!(ip(&format!("-n {name} link set {side} up")));
        }
    }

    fn start(&mut self, role: &str) -> impl Iterator<Item = String> + use<> {
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(this).env(ROLE, role).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        self.children.push(child);
        lines
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        ip(&format!("netns del {}", self.name));
    }
}

fn parent() {
    let name = format!("umbra-rights-{}", std::process::id());
    if !ip(&format!("netns add {name}")) {
        assert!(std::env::var_os("CI").is_none(), "this test must run in CI");
        println!("skipped: network namespaces need root and iproute2");
        return;
    }
    let mut net = Net { name, children: Vec::new() };
    if cfg!(not(feature = "live")) {
        println!("skipped: no live capture in this build");
        return;
    }
    net.make_pair();
    for (role, capabilities, alone) in [
        ("capture 1 none", "0000000000000000", "false"),
        ("capture 2 none", "0000000000000000", "true"),
        ("capture 2 keep", "0000000000002000", "false"),
    ] {
        let mut lines = net.start(role);
        // CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Uid, of the kernel and not of our own check.
        let rights = lines.next().unwrap();
        let none = "0000000000000000";
        assert_eq!(rights, format!("rights {none} {capabilities} {capabilities} {none} {none} 1 65534"), "{role}");
        let sender = net.start("send");
        assert_eq!(lines.next().unwrap(), "captured", "{role}");
        // Twice: a way back that is used up by going it would not do.
        for _ in 0..2 {
            assert!(ip(&format!("-n {} link del near", net.name)));
            // The kernel takes an interface down before it removes it, and a look may fall between the two.
            let lost = lines.next().unwrap();
            assert!(["lost Down", "lost Removed"].contains(&lost.as_str()), "{role}: {lost}");
            net.make_pair();
            assert_eq!(lines.next().unwrap(), format!("gap Removed alone {alone} within 5 s true"), "{role}");
            assert_eq!(lines.next().unwrap(), "captured", "{role}");
        }
        drop(sender);
        for mut child in net.children.drain(..) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        println!("test {role} ... ok");
    }
}

#[cfg(not(feature = "live"))]
mod child {
    pub(crate) fn capture(_workers: usize, _keep: bool) {}
}

#[cfg(feature = "live")]
mod child {
    use std::time::{Duration, Instant};

    use umbra_capture::live::{LiveConfig, Notice, open};
    use umbra_capture::privileges::{Privileges, drop_privileges};

    /// One thread plays all workers: what is tested is rights, not threads.
    pub(crate) fn capture(workers: usize, keep: bool) {
        let config = LiveConfig {
            interfaces: vec!["near".to_owned()],
            workers,
            filter: Some("ether proto 0x88b5".to_owned()),
            buffer_bytes: 4 << 20,
            timeout: Duration::from_millis(10),
            ..LiveConfig::default()
        };
        let mut sources = open(config).unwrap();
        drop_privileges(&Privileges { user: Some("nobody".to_owned()), keep_net_raw: keep }).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        let names = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Uid:"];
        println!("rights {}", names.map(field).join(" "));
        let (mut waiting, mut back) = (true, Instant::now());
        loop {
            for source in &mut sources {
                let mut seen = 0;
                source.poll(Duration::from_millis(5), &mut |_| seen += 1).unwrap();
                for notice in source.take_notices() {
                    match notice {
                        Notice::Lost { worker: 0, cause, .. } => {
                            println!("lost {cause:?}");
                            back = Instant::now();
                        }
                        Notice::Gap { worker: 0, cause, alone, .. } => {
                            let soon = back.elapsed() < Duration::from_secs(5);
                            println!("gap {cause:?} alone {alone} within 5 s {soon}");
                            waiting = true;
                        }
                        _ => {}
                    }
                }
                if seen > 0 && std::mem::take(&mut waiting) {
                    println!("captured");
                }
            }
        }
    }

    pub(crate) fn send() {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
        frame.resize(100, 0);
        loop {
            let open = || pcap::Capture::from_device("far").ok()?.snaplen(64).open().ok();
            if let Some(mut far) = open() {
                while far.sendpacket(frame.as_slice()).is_ok() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
