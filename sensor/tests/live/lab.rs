//! Two network namespaces joined by a veth pair, and the servers in one of them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::grpc::PYTHON;
use crate::process::{STOP, Sensor, inside, sh, signal, wait_until};
use crate::truth::Exchange;

/// Server's address; clients have .100.
pub(super) const SERVER: &str = "10.78.0.1";

/// One test at a time: they share the cores that they measure.
static ALONE: Mutex<()> = Mutex::new(());

/// The namespaces and the server. Everything goes when it is dropped.
pub(super) struct Lab {
    pub(super) dir: PathBuf,
    nginx: Option<Child>,
    name: String,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// `None` where it cannot be had, with the reason printed.
    pub(super) fn open(case: &str) -> Option<Lab> {
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

    pub(super) fn server(&self) -> String {
        format!("{}s", self.name)
    }

    pub(super) fn client(&self) -> String {
        format!("{}c", self.name)
    }

    /// The server's end of the pair.
    pub(super) fn interface(&self) -> String {
        format!("{}v", self.name)
    }

    pub(super) fn connect(&self) {
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

    pub(super) fn serve(&mut self) {
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

    pub(super) fn curl(&self, args: &[&str]) -> bool {
        let mut all = vec!["curl", "-sS", "-o", "/dev/null", "--max-time", "10"];
        all.extend(args);
        let mut command = inside(&self.client(), &all.iter().map(ToString::to_string).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Starts a load generator.
    pub(super) fn load(&self, words: &str) -> Child {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        inside(&self.client(), &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Lines of the access log: request id → (method, uri, status), those of port 8081 left out; and how many those are.
    pub(super) fn access_log(&self) -> (HashMap<String, Exchange>, usize) {
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

    pub(super) fn forget_log(&self) {
        std::thread::sleep(Duration::from_millis(1_200));
        File::create(self.dir.join("access.tsv")).unwrap();
    }

    /// Packets that the interface has sent and received.
    pub(super) fn interface_packets(&self) -> u64 {
        let count = |direction: &str| {
            let path = format!("/sys/class/net/{}/statistics/{direction}_packets", self.interface());
            let output = inside(&self.server(), &["cat".to_owned(), path]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        };
        count("rx") + count("tx")
    }

    /// Starts the sensor on the interface.
    pub(super) fn sensor(&self, options: &[&str]) -> Sensor {
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

/// What is missing to run at all.
pub(super) fn lacks() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("not root".into());
    }
    for tool in ["nginx", "h2load", "wrk", "curl", "ethtool", "ip"] {
        if !sh(&format!("command -v {tool} >/dev/null")) {
            return Some(format!("{tool} is not installed"));
        }
    }
    if !sh(&format!("{PYTHON} -c 'import grpc' 2>/dev/null")) {
        return Some("grpc for Python is not installed".into());
    }
    let probe = format!("umbp{}", std::process::id());
    let able = sh(&format!("ip netns add {probe} 2>/dev/null && ip netns del {probe}"));
    (!able).then(|| "network namespaces cannot be made".into())
}
