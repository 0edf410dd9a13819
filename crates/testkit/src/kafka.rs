//! A real Apache Kafka for tests: started by `deploy/kafka/kafka.sh`, on loopback, gone with the test process.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Ports that one node uses, see `kafka.sh`.
const PORTS_PER_NODE: u16 = 5;
/// How long a node may take to come up: seconds on an idle machine, but tests share theirs.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// A port of each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Plaintext: who comes this way may do all.
    Plaintext = 0,
    /// TLS and SASL: users `umbra` (password `umbra-secret`) and `reader` (`reader-secret`), bound by ACLs.
    SaslTls = 1,
    /// As `SaslTls`, with a certificate that has expired.
    Expired = 3,
    /// As `SaslTls`, with a certificate for another name.
    OtherName = 4,
}

/// One node or three. Killed when dropped, and when the test process ends however it ends.
#[derive(Debug)]
pub struct Kafka {
    directory: PathBuf,
    first_port: u16,
    nodes: Vec<Mutex<Option<Child>>>,
}

impl Kafka {
    /// Starts `nodes` (1 or 3) and waits until they are up. Without Java or Maven prints why the test is skipped; where `CI` is
    /// set nothing is skipped.
    pub fn start(nodes: u16) -> Option<Kafka> {
        if let Err(why) = fetched() {
            assert!(std::env::var_os("CI").is_none(), "Kafka does not start: {why}");
            println!("skipped: {why}");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("umbra-kafka-{}-{}", std::process::id(), unique()));
        let first_port = free_ports(nodes * PORTS_PER_NODE);
        let prepared =
            script(&["prepare", path(&directory), &nodes.to_string(), &first_port.to_string()]).output().unwrap();
        assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
        let kafka = Kafka { directory, first_port, nodes: (0..nodes).map(|_| Mutex::new(None)).collect() };
        (1..=nodes).for_each(|node| kafka.launch(node));
        (1..=nodes).for_each(|node| kafka.wait_up(node));
        Some(kafka)
    }

    /// One node for all tests of a test binary, started by the first that asks.
    pub fn shared() -> Option<&'static Kafka> {
        static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
        SHARED.get_or_init(|| Kafka::start(1)).as_ref()
    }

    /// `bootstrap.servers` of the plaintext listeners.
    pub fn bootstrap(&self) -> String {
        self.addresses(Listener::Plaintext)
    }

    /// Addresses of all nodes at one listener, joined by commas.
    pub fn addresses(&self, listener: Listener) -> String {
        let ports = (0..self.nodes.len() as u16).map(|node| self.first_port + node * PORTS_PER_NODE + listener as u16);
        ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// A file of the folder `tls`: `ca.pem`, `strange.pem` (another CA), `client.pem`, `client.key`.
    pub fn tls(&self, name: &str) -> PathBuf {
        self.directory.join("tls").join(name)
    }

    /// Runs one of Kafka's own tools against the plaintext listener and gives its standard output. A JVM start: seconds.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let output = script(&["tool", name, "--bootstrap-server", &bootstrap]).args(arguments).output().unwrap();
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name} {arguments:?}: {out}{errors}");
        out.into_owned()
    }

    /// Ends a node (the first is 1) without a word, as `kill -9` does.
    pub fn kill(&self, node: u16) {
        if let Some(mut child) = self.node(node).take() {
            let _ = std::fs::remove_file(self.directory.join("remove"));
            end(&mut child);
        }
    }

    /// Stops a node's process where it stands; connections stay open and nothing is answered.
    pub fn pause(&self, node: u16) {
        self.signal(node, "-STOP");
    }

    /// Lets a paused node go on.
    pub fn resume(&self, node: u16) {
        self.signal(node, "-CONT");
    }

    /// Starts a node that was killed and waits until it is up.
    pub fn restart(&self, node: u16) {
        self.kill(node);
        self.launch(node);
        self.wait_up(node);
    }

    fn launch(&self, node: u16) {
        let _ = std::fs::remove_file(self.log(node));
        // The script clears the folder away when the last node has ended, which may be after this process.
        std::fs::write(self.directory.join("remove"), "").unwrap();
        let mut command = script(&["node", path(&self.directory), &node.to_string()]);
        *self.node(node) = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    }

    fn wait_up(&self, node: u16) {
        let deadline = Instant::now() + UP_WITHIN;
        while !self.read_log(node).contains("Kafka Server started") {
            let ended = self.node(node).as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            assert!(!ended && Instant::now() < deadline, "node {node} does not come up:\n{}", self.read_log(node));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, node: u16, signal: &str) {
        let pid = std::fs::read_to_string(self.directory.join(format!("node{node}/pid"))).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    }

    fn node(&self, node: u16) -> MutexGuard<'_, Option<Child>> {
        self.nodes[usize::from(node) - 1].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, node: u16) -> PathBuf {
        self.directory.join(format!("node{node}/log"))
    }

    fn read_log(&self, node: u16) -> String {
        std::fs::read_to_string(self.log(node)).unwrap_or_default()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let children: Vec<Child> = (1..=self.nodes.len() as u16).filter_map(|node| self.node(node).take()).collect();
        children.into_iter().for_each(|mut child| end(&mut child));
    }
}

/// The end of its standard input is the script's sign to kill the broker.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka/kafka.sh"));
    command.args(arguments);
    command
}

/// Brings the jars, once per machine.
fn fetched() -> Result<(), String> {
    let mut child = script(&["fetch"]).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut said = String::new();
    let _ = child.stderr.take().unwrap().read_to_string(&mut said);
    if child.wait().unwrap().success() { Ok(()) } else { Err(said.trim().to_owned()) }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The first of `count` ports in a row that are free. Below the range from which the system takes ports for clients.
fn free_ports(count: u16) -> u16 {
    let start = (std::process::id() * 61 + unique() as u32 * 7919) % 11_000;
    (0..200_u32)
        .map(|attempt| 20_000 + ((start + attempt * u32::from(count)) % 11_000) as u16)
        .find(|first| {
            let held: Vec<_> = (0..count).map(|port| TcpListener::bind(("127.0.0.1", first + port))).collect();
            held.iter().all(Result::is_ok)
        })
        .unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
