//! `umbra run` between a real server and real clients: two network namespaces joined by a veth pair, nginx in one with the sensor
//! beside it, h2load, wrk and curl in the other. The access log is the truth; a gRPC client says itself what it called.
//!
//! Needs root and the packages of `deploy/setup.sh test`; without them the tests print why they are skipped, unless `CI` is set:
//! then they fail. `UMBRA_LIVE_SECONDS` and `UMBRA_LIVE_RATE` (requests a second) make the steady case longer and faster.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "live")]

mod grpc;
#[cfg(feature = "kafka")]
mod kafka;
mod lab;
mod process;
mod specs;
mod truth;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::{Lab, SERVER};
use process::{STOP, inside, signal, wait_until};
use truth::{Exchange, events, told};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// URIs for h2load to go through.
fn uris(lab: &Lab, port: u16) -> String {
    let path = lab.dir.join(format!("uris-{port}"));
    let kinds = ["users", "orders", "invoices", "products"];
    let mut text = String::new();
    for number in 0..400 {
        let path = match number % 20 {
            7 => "/missing/x".to_owned(),
            11 => "/broken".to_owned(),
            13 => "/big.json".to_owned(),
            17 => "/empty".to_owned(),
            19 => format!("/api/v1/{}?page={number}&sort=name", kinds[number / 20 % 4]),
            _ => format!("/api/v1/{}/{}", kinds[number % 4], number * 37),
        };
        let _ = writeln!(text, "http://{SERVER}:{port}{path}");
    }
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Every transaction of the access log is in the events, once and equal; what the sensor says of itself adds up. Along the way:
/// no right is left (F108), its own traffic is left out (F107), SIGUSR1 prints counters, SIGTERM loses nothing.
#[test]
fn steady_traffic_is_seen_whole() {
    let Some(lab) = Lab::open("steady") else { return };
    let (seconds, rate) = (setting("UMBRA_LIVE_SECONDS", 8), setting("UMBRA_LIVE_RATE", 3_000));
    let config = lab.dir.join("umbra.toml");
    fs::write(&config, format!("[capture]\nexclude = [\"{SERVER}:8081\"]\n[output]\nrotate_mib = 0\n")).unwrap();
    let path = lab.dir.join("events.jsonl");
    lab.forget_log();
    let options = ["-w", "2", "--user", "nobody", "-c", config.to_str().unwrap(), "-e", path.to_str().unwrap()];
    let mut sensor = lab.sensor(&options);
    let orders = grpc::Server::start(&lab);
    let before = lab.interface_packets();

    let status = fs::read_to_string(format!("/proc/{}/status", sensor.child.id())).unwrap();
    for line in
        ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "no {line:?} in {status}");
    }
    assert!(!status.contains("Uid:\t0"), "{status}");

    // h2load's rate is that of each client.
    let share = |percent: u64, clients: u64| (rate * seconds * percent / 100, rate * percent / 100 / clients);
    let body = lab.dir.join("body");
    fs::write(&body, "{\"sku\":\"a\",\"quantity\":1}".repeat(40)).unwrap();
    let (one, two, body) = (uris(&lab, 80), uris(&lab, 8080), body.display());
    let (h1, h1_rate) = share(50, 20);
    let (h2, h2_rate) = share(40, 10);
    let (posts, posts_rate) = share(10, 5);
    let started = Instant::now();
    let mut loads = vec![
        lab.load(&format!("h2load --h1 -c 20 -n {h1} --rps {h1_rate} -i {one}")),
        lab.load(&format!("h2load -c 10 -m 8 -n {h2} --rps {h2_rate} -i {two}")),
        lab.load(&format!("h2load --h1 -c 5 -n {posts} --rps {posts_rate} -d {body} http://{SERVER}/upload/orders")),
    ];
    // A Python client manages no more than some hundred calls a second beside all this.
    let calls = orders.call(rate * seconds / 50, rate / 50);
    let upload = lab.dir.join("upload");
    fs::write(&upload, "x".repeat(300_000)).unwrap();
    let (small, upload) = (format!("@{body}"), format!("@{}", upload.display()));
    for round in 0..10 {
        assert!(lab.curl(&["http://10.78.0.1/big.json", &format!("http://10.78.0.1/api/{round}")]));
        assert!(lab.curl(&["-I", "http://10.78.0.1/big.json"]));
        assert!(lab.curl(&["-H", "Transfer-Encoding: chunked", "--data-binary", &upload, "http://10.78.0.1/upload"]));
        // nginx answers before the body and resets the stream (RFC 9113 §8.1), which curl calls an error.
        lab.curl(&["--http2-prior-knowledge", "-d", &small, "http://10.78.0.1:8080/upload"]);
        assert!(lab.curl(&["-X", "DELETE", "http://10.78.0.1/empty"]));
        // The sensor's own API or Kafka.
        assert!(lab.curl(&["http://10.78.0.1:8081/api/own"]));
    }
    signal(&sensor.child, "USR1");
    sensor.expect("packets received by the kernel");
    for load in &mut loads {
        assert!(load.wait().unwrap().success());
    }
    let called = calls.made();
    let seconds = started.elapsed().as_secs_f64();
    // Blocks of the ring that are not full are handed over after a while; and the last ACKs come late.
    std::thread::sleep(Duration::from_millis(500));
    let on_the_wire = lab.interface_packets() - before;
    let log = sensor.stop();

    let (truth, own) = lab.access_log();
    let (seen, without) = events(&path);
    let answered = grpc::events(&path);
    let dropped = told(&log, " dropped by it");
    let missing = truth.keys().filter(|id| !seen.contains_key(*id)).count();
    println!(
        "{} requests in {seconds:.1} s ({:.0} a second), {on_the_wire} packets, {dropped} dropped by the kernel, {missing} missed; \
         {} gRPC calls, {} of them seen",
        truth.len(),
        truth.len() as f64 / seconds,
        called.len(),
        answered.len()
    );
    assert_eq!(own, 10);
    let received = told(&log, " packets received by the kernel");
    let handled = told(&log, " packets, ");
    let own_packets = on_the_wire.checked_sub(received).unwrap();
    assert!((70..=200).contains(&own_packets), "{received} received of {on_the_wire}; 10 connections are left out");
    assert_eq!(handled + dropped, received, "what the kernel received is handled or dropped");
    let differing: Vec<_> =
        truth.iter().filter_map(|(id, was)| Some((was, seen.get(id)?))).filter(|(a, b)| a != b).collect();
    assert!(differing.is_empty(), "{} differ: {:?}", differing.len(), &differing[..differing.len().min(5)]);
    let invented = seen.keys().filter(|id| !truth.contains_key(*id)).count();
    assert_eq!(invented, 0, "events of no request");
    let all = (seen.len() + answered.len()) as u64 + without;
    assert_eq!(told(&log, " events written"), all, "what is told is what is in the file");
    if dropped == 0 {
        assert!(called == answered, "gRPC calls: {:?}", grpc::differing(&called, &answered));
        let mut by_uri: BTreeMap<&Exchange, usize> = BTreeMap::new();
        truth
            .iter()
            .filter(|(id, _)| !seen.contains_key(*id))
            .for_each(|(_, was)| *by_uri.entry(was).or_default() += 1);
        assert_eq!((missing, without), (0, 0), "missed though the kernel dropped nothing: {by_uri:?}");
    }
    assert!(
        dropped == 0 || std::env::var_os("UMBRA_LIVE_RATE").is_some(),
        "{dropped} packets dropped at {rate} requests a second"
    );
}

/// More than one small ring can hold: the sensor lives, says what it lost, invents nothing and stops in time with the load still on.
#[test]
fn f101_overload_is_survived_and_told() {
    let Some(lab) = Lab::open("overload") else { return };
    let config = lab.dir.join("umbra.toml");
    fs::write(&config, "[capture]\nbuffer_mib = 1\n[output]\nrotate_mib = 0\n").unwrap();
    let path = lab.dir.join("events.jsonl");
    lab.forget_log();
    let mut sensor = lab.sensor(&["-w", "1", "-c", config.to_str().unwrap(), "-e", path.to_str().unwrap()]);
    let mut big = lab.load(&format!("wrk -t 1 -c 16 -d 8s http://{SERVER}/big.json"));
    let mut small = lab.load(&format!("wrk -t 1 -c 64 -d 8s http://{SERVER}/api/v1/orders/7"));
    std::thread::sleep(Duration::from_secs(5));
    assert!(sensor.ended().is_none(), "{}", sensor.log());
    let log = sensor.stop();
    for load in [&mut big, &mut small] {
        assert!(load.wait().unwrap().success());
    }
    let (truth, _) = lab.access_log();
    let (seen, without) = events(&path);
    let (received, dropped) = (told(&log, " packets received by the kernel"), told(&log, " dropped by it"));
    let handled = told(&log, " packets, ");
    println!(
        "{} requests, {} seen whole, {without} without an id; {received} packets, {dropped} dropped, {} shed",
        truth.len(),
        seen.len(),
        told(&log, " segments shed")
    );
    assert!(handled + dropped <= received, "{handled} handled and {dropped} dropped of {received}");
    // What came while it stopped may lie in the ring unread, no more.
    let ring = (1 << 20) / 54;
    assert!(handled + dropped + ring >= received, "{handled} handled and {dropped} dropped of {received}");
    assert!(dropped > 0 || without <= 80, "{without} of 80 connections cut short though nothing was dropped");
    assert_eq!(told(&log, " events written"), seen.len() as u64 + without);
    for (id, exchange) in &seen {
        let was = truth.get(id).unwrap_or_else(|| panic!("{id}: an event of no request"));
        // Of a request that was lost only the answer is told.
        assert!(exchange.0.is_empty() || exchange == was, "{exchange:?} was {was:?}");
    }
}

/// A sensor that gets no processor time for a while sheds flows by hash once it is back, says so, and takes all of them again when
/// the load has gone. That it takes ten steps at most is tested beside the rule (`pressure.rs`); here nothing is timed.
#[test]
fn f101_after_an_overload_every_new_flow_is_seen_again() {
    let Some(lab) = Lab::open("recovery") else { return };
    let config = lab.dir.join("umbra.toml");
    fs::write(&config, "[capture]\nbuffer_mib = 1\n[output]\nrotate_mib = 0\n").unwrap();
    let path = lab.dir.join("events.jsonl");
    lab.forget_log();
    let mut sensor = lab.sensor(&["-w", "1", "-c", config.to_str().unwrap(), "-e", path.to_str().unwrap()]);
    let mut load = lab.load(&format!("h2load --h1 -c 40 -n 10000000 --rps 10 http://{SERVER}/big.json"));
    // A second of this load is ten times what the ring holds.
    let overloaded = wait_until(Duration::from_secs(120), || {
        signal(&sensor.child, "STOP");
        std::thread::sleep(Duration::from_secs(1));
        signal(&sensor.child, "CONT");
        std::thread::sleep(Duration::from_secs(1));
        signal(&sensor.child, "USR1");
        told(&sensor.log(), " segments shed") > 0
    });
    assert!(overloaded, "nothing shed: {}", sensor.log());
    signal(&load, "KILL");
    let _ = load.wait();

    let since = Instant::now();
    let seen_of =
        |round: &str| fs::read_to_string(&path).unwrap().matches(&format!("\"path\":\"/api/{round}/")).count();
    let fetch = |round: &str| {
        (0..32).for_each(|number| assert!(lab.curl(&[&format!("http://{SERVER}/api/{round}/{number}")])));
    };
    let mut round = 0;
    let recovered = wait_until(Duration::from_secs(120), || {
        round += 1;
        let name = format!("r{round}");
        fetch(&name);
        wait_until(Duration::from_secs(1), || seen_of(&name) == 32)
    });
    assert!(recovered, "flows are still shed after {round} rounds: {}", sensor.log());
    println!("all of 32 new flows seen in round {round}, {:.1} s after the load", since.elapsed().as_secs_f64());
    // One whole round may be luck while few flows are shed; the level only falls, once in two seconds.
    let calm = wait_until(Duration::from_secs(60), || {
        let shed = || {
            signal(&sensor.child, "USR1");
            std::thread::sleep(Duration::from_millis(2_500));
            told(&sensor.log(), " segments shed")
        };
        let before = shed();
        fetch("calm");
        shed() == before
    });
    assert!(calm, "{}", sensor.log());
    fetch("last");
    std::thread::sleep(Duration::from_millis(500));
    let log = sensor.stop();
    assert_eq!(seen_of("last"), 32, "{log}");
    assert!(told(&log, " dropped by it") > 0, "{log}");
    let (truth, _) = lab.access_log();
    let invented = events(&path).0.into_keys().filter(|id| !truth.contains_key(id)).count();
    assert_eq!(invented, 0, "events of no request");
}

/// A bad file is refused and the old one stays; a good one is taken without losing an event.
#[test]
fn f105_reload_keeps_the_old_configuration_if_the_new_is_bad() {
    let Some(lab) = Lab::open("reload") else { return };
    let config = lab.dir.join("umbra.toml");
    let (first, second) = (lab.dir.join("first.jsonl"), lab.dir.join("second.jsonl"));
    let write = |path: &Path| {
        fs::write(&config, format!("[output]\nrotate_mib = 0\nevents = \"{}\"\n", path.display())).unwrap();
    };
    write(&first);
    lab.forget_log();
    let mut sensor = lab.sensor(&["-c", config.to_str().unwrap()]);
    let fetch = || (0..20).for_each(|number| assert!(lab.curl(&[&format!("http://10.78.0.1/api/{number}")])));
    fetch();
    fs::write(&config, "[output]\nevents = \"x\"\n[redaction]\nreveal = [\"hunter2\"]\n").unwrap();
    signal(&sensor.child, "HUP");
    sensor.expect("umbra.toml:4: reveal: ");
    sensor.expect("the old configuration stays");
    fetch();
    std::thread::sleep(Duration::from_millis(500));
    write(&second);
    signal(&sensor.child, "HUP");
    sensor.expect("umbra: reloaded");
    fetch();
    std::thread::sleep(Duration::from_millis(500));
    let log = sensor.stop();
    assert!(!log.contains("hunter2"), "{log}");
    let (truth, _) = lab.access_log();
    let (before, after) = (events(&first).0, events(&second).0);
    assert_eq!((before.len(), after.len(), truth.len()), (40, 20, 60));
    assert!(before.iter().chain(&after).all(|(id, exchange)| truth.get(id) == Some(exchange)));
    assert_eq!(told(&log, " events written"), 60, "{log}");
}

/// A full disk stops no capture: the loss is told at the end. A reader of stdout that leaves ends the run quietly.
#[test]
fn f102_a_sink_that_fails_while_listening() {
    let Some(lab) = Lab::open("sink") else { return };
    let fetch = || (0..20).for_each(|number| assert!(lab.curl(&[&format!("http://10.78.0.1/api/{number}")])));
    let mut sensor = lab.sensor(&["-e", "/dev/full"]);
    fetch();
    sensor.expect("No space left on device");
    fetch();
    assert!(sensor.ended().is_none(), "{}", sensor.log());
    let log = sensor.stop_with(74);
    assert_eq!(told(&log, " HTTP transactions"), 40, "{log}");
    assert!(log.contains("No space left on device") && log.contains("; 40 events are lost"), "{log}");

    let interface = lab.interface();
    let words = [env!("CARGO_BIN_EXE_umbra"), "run", "-i", &interface, "-q", "-e", "-"].map(str::to_owned);
    let mut reader = inside(&lab.server(), &words);
    let mut child = reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = wait_until(STOP, || {
        lab.curl(&["http://10.78.0.1/api/1"]);
        child.try_wait().unwrap().is_some()
    });
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    // The inventory is on stderr, because events take stdout.
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(ended && output.status.success(), "{:?}: {stderr}", output.status);
    assert!(!stderr.contains("umbra:"), "{stderr}");
}

/// A reader that keeps the pipe open and does not read holds no stop up: the inventory is saved, the loss is told.
#[test]
fn f097_a_reader_that_has_stopped_reading() {
    let Some(lab) = Lab::open("stuck") else { return };
    let (fifo, state) = (lab.dir.join("fifo"), lab.dir.join("state"));
    assert!(process::sh(&format!("mkfifo {}", fifo.display())));
    let reader = fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let mut sensor = lab.sensor(&["-e", fifo.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let requests = 2000;
    let uris = uris(&lab, 80);
    assert!(lab.load(&format!("h2load --h1 -c 4 -n {requests} -i {uris}")).wait().unwrap().success());
    let log = sensor.stop_with(74);
    let [written, lost] = [" events written", " events lost"].map(|what| told(&log, what));
    assert_eq!(written + lost, requests, "{log}");
    assert!(lost > 0 && log.contains("has stopped reading"), "{log}");
    drop(reader);
    let words = ["inventory", "--state", state.to_str().unwrap(), "--format", "json"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_umbra")).args(words).output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("/api/v1/users"), "{output:?}");
}

/// Killed without warning it loses no more than it had not saved, and the next start goes on from there; others read meanwhile.
#[test]
fn f086_a_killed_sensor_keeps_the_inventory() {
    let Some(lab) = Lab::open("state") else { return };
    let (config, state) = (lab.dir.join("umbra.toml"), lab.dir.join("state"));
    fs::write(&config, format!("[state]\ndirectory = \"{}\"\nsave_seconds = 1\n", state.display())).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let fetch = || (0..20).for_each(|number| assert!(lab.curl(&[&format!("http://10.78.0.1/api/{number}")])));
    let kept = || {
        let words = ["inventory", "-c", &config, "--format", "json"];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_umbra")).args(words).output().unwrap();
        let endpoints = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default();
        let requests =
            endpoints["endpoints"].as_array().into_iter().flatten().map(|it| it["requests"].as_u64().unwrap());
        requests.sum::<u64>()
    };
    let mut sensor = lab.sensor(&["-c", &config]);
    fetch();
    assert!(wait_until(STOP, || kept() == 20), "{} kept: {}", kept(), sensor.log());
    signal(&sensor.child, "KILL");
    assert!(wait_until(STOP, || sensor.ended().is_some()));
    assert_eq!(kept(), 20);

    let mut sensor = lab.sensor(&["-c", &config]);
    fetch();
    assert!(wait_until(STOP, || kept() == 40), "{} kept: {}", kept(), sensor.log());
    fetch();
    sensor.stop();
    assert_eq!(kept(), 60);
}
