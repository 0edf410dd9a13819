//! `umbra run` between a real server and real clients: two network namespaces joined by a veth pair, nginx in one with the sensor
//! beside it, h2load, wrk and curl in the other. The access log is the truth.
//!
//! Needs root and the packages of `deploy/setup.sh test`; without them the tests print why they are skipped, unless `CI` is set:
//! then they fail. `UMBRA_LIVE_SECONDS` and `UMBRA_LIVE_RATE` (requests a second) make the steady case longer and faster.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "live")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Server's address; clients have .100.
const SERVER: &str = "10.78.0.1";
/// A stop takes at most this long.
const STOP: Duration = Duration::from_secs(10);

/// One test at a time: they share the cores that they measure.
static ALONE: Mutex<()> = Mutex::new(());

/// The namespaces and the server. Everything goes when it is dropped.
struct Lab {
    dir: PathBuf,
    nginx: Option<Child>,
    name: String,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// `None` where it cannot be had, with the reason printed.
    fn open(case: &str) -> Option<Lab> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lacks) = lacks() {
            assert!(std::env::var_os("CI").is_none(), "cannot run in CI: {lacks}");
            println!("skipped: {lacks}");
            return None;
        }
        let name = format!("umb{}", std::process::id());
        let dir = std::env::temp_dir().join(format!("{name}-{case}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("tmp")).unwrap();
        // The sensor opens its file as the user it became.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let mut lab = Lab { dir, nginx: None, name, _alone: alone };
        lab.connect();
        lab.serve();
        Some(lab)
    }

    fn server(&self) -> String {
        format!("{}s", self.name)
    }

    fn client(&self) -> String {
        format!("{}c", self.name)
    }

    /// The server's end of the pair.
    fn interface(&self) -> String {
        format!("{}v", self.name)
    }

    fn connect(&self) {
        let (server, client, near, far) = (self.server(), self.client(), self.interface(), format!("{}w", self.name));
        sh(&format!(
            "set -e
            ip netns add {server}; ip netns add {client}
            ip link add {near} netns {server} type veth peer name {far} netns {client}
            ip -n {server} addr add {SERVER}/24 dev {near}; ip -n {client} addr add 10.78.0.100/24 dev {far}
            for x in '{server} {near}' '{client} {far}'; do set -- $x
              ip netns exec $1 sysctl -qw net.ipv6.conf.all.disable_ipv6=1 || :
              ip netns exec $1 sysctl -qw net.ipv4.ip_local_port_range='1024 65000' || :
              ip -n $1 link set lo up; ip -n $1 link set $2 mtu 1500 up
              ip netns exec $1 ethtool -K $2 tso off gso off gro off tx off rx off sg off >/dev/null 2>&1 || :
            done"
        ));
    }

    fn serve(&mut self) {
        let dir = self.dir.display();
        fs::write(self.dir.join("big.json"), format!("[{}0]", "12345678,".repeat(3_500))).unwrap();
        let config = format!(
            r#"
worker_processes 1; user root; pid {dir}/nginx.pid; worker_rlimit_nofile 8192; error_log {dir}/error.log; daemon off;
events {{ worker_connections 4096; }}
http {{
  default_type application/json; client_max_body_size 8m;
  log_format t '$request_id\t$request_method\t$request_uri\t$status\t$server_port';
  access_log {dir}/access.tsv t buffer=64k flush=500ms;
  client_body_temp_path {dir}/tmp/b; proxy_temp_path {dir}/tmp/p; fastcgi_temp_path {dir}/tmp/f;
  uwsgi_temp_path {dir}/tmp/u; scgi_temp_path {dir}/tmp/s;
  keepalive_timeout 75; keepalive_requests 10000000; server_tokens off; sendfile on; tcp_nopush on;
  server {{
    listen 80 backlog=4096; listen 8080 http2 backlog=4096; listen 8081;
    root {dir};
    add_header X-Request-Id $request_id always;
    location /big.json {{ }}
    location /missing {{ return 404 '{{"error":"not_found"}}'; }}
    location /broken {{ return 500 '{{"error":"internal"}}'; }}
    location /upload {{ client_body_buffer_size 1m; return 201 '{{"stored":true}}'; }}
    location /api {{ return 200 '{{"ok":true,"request_id":"$request_id"}}'; }}
    location /empty {{ return 204; }}
  }}
}}
"#
        );
        let path = self.dir.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let arguments = ["nginx", "-c", path.to_str().unwrap(), "-e", &format!("{dir}/error.log")].map(str::to_owned);
        self.nginx = Some(inside(&self.server(), &arguments).stdout(Stdio::null()).spawn().unwrap());
        let ready = wait_until(Duration::from_secs(10), || self.curl(&["http://10.78.0.1/empty"]));
        assert!(ready, "nginx: {}", fs::read_to_string(self.dir.join("error.log")).unwrap_or_default());
    }

    fn curl(&self, args: &[&str]) -> bool {
        let mut all = vec!["curl", "-sS", "-o", "/dev/null", "--max-time", "10"];
        all.extend(args);
        let mut command = inside(&self.client(), &all.iter().map(ToString::to_string).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Starts a load generator.
    fn load(&self, words: &str) -> Child {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        inside(&self.client(), &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Lines of the access log: request id → (method, uri, status), those of port 8081 left out; and how many those are.
    fn access_log(&self) -> (HashMap<String, Exchange>, usize) {
        std::thread::sleep(Duration::from_millis(1_200));
        let text = fs::read_to_string(self.dir.join("access.tsv")).unwrap();
        let (mut seen, mut excluded) = (HashMap::new(), 0);
        for line in text.lines() {
            let [id, method, uri, status, port] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            if port == "8081" {
                excluded += 1;
                continue;
            }
            let exchange = (method.to_owned(), uri.to_owned(), status.parse().unwrap());
            assert!(seen.insert(id.to_owned(), exchange).is_none());
        }
        (seen, excluded)
    }

    fn forget_log(&self) {
        std::thread::sleep(Duration::from_millis(1_200));
        File::create(self.dir.join("access.tsv")).unwrap();
    }

    /// Packets that the interface has sent and received.
    fn interface_packets(&self) -> u64 {
        let count = |direction: &str| {
            let path = format!("/sys/class/net/{}/statistics/{direction}_packets", self.interface());
            let output = inside(&self.server(), &["cat".to_owned(), path]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        };
        count("rx") + count("tx")
    }

    /// Starts the sensor on the interface.
    fn sensor(&self, options: &[&str]) -> Sensor {
        let log = self.dir.join("sensor.log");
        let interface = self.interface();
        let mut all = vec![env!("CARGO_BIN_EXE_umbra"), "run", "-i", &interface, "--format", "json"];
        all.extend(["--reveal", "path,query,headers"]);
        all.extend(options);
        let child = inside(&self.server(), &all.iter().map(ToString::to_string).collect::<Vec<_>>())
            .stdout(File::create(self.dir.join("inventory.json")).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut sensor = Sensor { child, log };
        let started = wait_until(STOP, || sensor.log().contains("listening on") || sensor.ended().is_some());
        assert!(started && sensor.ended().is_none(), "{}", sensor.log());
        sensor
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut nginx) = self.nginx.take() {
            signal(&nginx, "TERM");
            let _ = nginx.wait();
        }
        sh(&format!("ip netns del {}; ip netns del {}", self.server(), self.client()));
        if std::env::var_os("UMBRA_LIVE_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Method, URI, status.
type Exchange = (String, String, u64);

/// A running sensor; killed if a test fails.
struct Sensor {
    child: Child,
    log: PathBuf,
}

impl Sensor {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for a line on stderr.
    fn expect(&self, line: &str) {
        assert!(wait_until(STOP, || self.log().contains(line)), "no {line:?} in {}", self.log());
    }

    /// SIGTERM, and what it printed: it ends in time with exit code 0.
    fn stop(&mut self) -> String {
        self.stop_with(0)
    }

    fn stop_with(&mut self, code: i32) -> String {
        let asked = Instant::now();
        signal(&self.child, "TERM");
        let ended = wait_until(STOP, || self.ended().is_some());
        println!("stopped in {:.1} s", asked.elapsed().as_secs_f64());
        assert!(ended, "still running {STOP:?} after SIGTERM: {}", self.log());
        let log = self.log();
        assert_eq!(self.ended().unwrap().code(), Some(code), "{log}");
        assert!(!log.contains("panicked") && !log.contains("internal error"), "{log}");
        println!("{log}");
        log
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is missing to run at all.
fn lacks() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("not root".into());
    }
    for tool in ["nginx", "h2load", "wrk", "curl", "ethtool", "ip"] {
        if !sh(&format!("command -v {tool} >/dev/null")) {
            return Some(format!("{tool} is not installed"));
        }
    }
    let probe = format!("umbp{}", std::process::id());
    let able = sh(&format!("ip netns add {probe} 2>/dev/null && ip netns del {probe}"));
    (!able).then(|| "network namespaces cannot be made".into())
}

fn sh(script: &str) -> bool {
    let script = format!("PATH=$PATH:/usr/sbin:/sbin; {script}");
    Command::new("sh").args(["-c", &script]).status().unwrap().success()
}

/// A command inside a namespace; its process id is the command's.
fn inside(namespace: &str, words: &[String]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

fn signal(child: &Child, name: &str) {
    sh(&format!("kill -{name} {}", child.id()));
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// The number that stands before `what` in the last summary; 0 if it is not mentioned.
fn told(log: &str, what: &str) -> u64 {
    let Some(at) = log.rfind(what) else { return 0 };
    let digits: String = log[..at].trim_end().chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or_else(|_| panic!("no number before {what:?}: {log}"))
}

/// Events by request id; asserts that no id of either kind comes twice. The second is how many show no request id.
fn events(path: &Path) -> (HashMap<String, Exchange>, u64) {
    let text = fs::read_to_string(path).unwrap();
    let (mut seen, mut ids, mut without) = (HashMap::new(), BTreeSet::new(), 0);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(ids.insert(event["event_id"].as_str().unwrap().to_owned()), "twice: {line}");
        let response = &event["http"]["response"];
        let headers = response["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = headers.iter().find(|header| header["name"].as_str().unwrap().eq_ignore_ascii_case("x-request-id"));
        let Some(id) = id else {
            without += 1;
            continue;
        };
        let mut uri = event["url"]["path"].as_str().unwrap_or_default().to_owned();
        if let Some(query) = event["url"]["query"].as_str() {
            let _ = write!(uri, "?{query}");
        }
        let method = event["http"]["request"]["method"].as_str().unwrap_or_default().to_owned();
        let status = response["status_code"].as_u64().unwrap();
        let id = id["value"].as_str().unwrap().to_owned();
        assert!(seen.insert(id, (method, uri, status)).is_none(), "twice: {line}");
    }
    (seen, without)
}

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
    let seconds = started.elapsed().as_secs_f64();
    // Blocks of the ring that are not full are handed over after a while; and the last ACKs come late.
    std::thread::sleep(Duration::from_millis(500));
    let on_the_wire = lab.interface_packets() - before;
    let log = sensor.stop();

    let (truth, own) = lab.access_log();
    let (seen, without) = events(&path);
    let dropped = told(&log, " dropped by it");
    let missing = truth.keys().filter(|id| !seen.contains_key(*id)).count();
    println!(
        "{} requests in {seconds:.1} s ({:.0} a second), {on_the_wire} packets, {dropped} dropped by the kernel, {missing} missed",
        truth.len(),
        truth.len() as f64 / seconds
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
    assert_eq!(told(&log, " events written"), seen.len() as u64 + without, "what is told is what is in the file");
    if dropped == 0 {
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
