//! The inventory that outlives the process: `--state` and `umbra inventory`.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::umbra;

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The same key for all runs: counts of clients join.
    fn key(&self) -> String {
        let path = self.path("key");
        std::fs::write(&path, [7; 32]).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Captures in the order of their time.
fn captures() -> Vec<String> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let case = |name: &str| {
        let folder = std::fs::read_dir(testdata.join(name)).unwrap();
        let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|it| it == "pcap" || it == "pcapng"));
        files.sort();
        files.first().unwrap().to_str().unwrap().to_owned()
    };
    ["http2", "demo"].map(case).into()
}

fn run(args: &[&str]) -> String {
    let output = umbra(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    let args = [args, &["--format", "json"]].concat();
    serde_json::from_str(&run(&args)).unwrap()
}

fn replay(files: &[&str], more: &[&str]) -> Value {
    json(&[&["replay", "-q"], files, more].concat())
}

#[test]
fn f098_any_split_into_runs_gives_the_inventory_of_one() {
    let scratch = Scratch::new("f098");
    let key = scratch.key();
    let files = captures();
    let [http2, demo] = [files[0].as_str(), files[1].as_str()];
    let whole = replay(&[http2, demo], &["--key-file", &key]);
    assert!(whole["endpoints"].as_array().unwrap().len() > 20);
    // Flows of one capture go to two runs, by the sum of their ports; many endpoints have some of both.
    let parts =
        [(http2, "tcp"), (demo, "(tcp[0:2] + tcp[2:2]) & 1 = 0"), (demo, "not ((tcp[0:2] + tcp[2:2]) & 1 = 0)")];

    // One state, run after run; each run prints what is known by then.
    let state = scratch.path("added");
    let mut last = Value::Null;
    for (file, filter) in parts {
        last = replay(&[file], &["--key-file", &key, "--state", &state, "--filter", filter]);
    }
    assert!(last == whole, "{last:#}\n{whole:#}");
    assert!(json(&["inventory", "--state", &state]) == whole);

    // A state each, joined for the print in another order, also with two workers.
    let mut args = vec!["inventory".to_owned()];
    for (number, (file, filter)) in parts.iter().enumerate().rev() {
        let state = scratch.path(&format!("part{number}"));
        replay(&[file], &["--key-file", &key, "--state", &state, "--workers", "2", "--filter", filter]);
        args.extend(["--state".to_owned(), state]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert!(json(&args) == whole);

    // The same state twice would count twice.
    let twice = umbra(&["inventory", "--state", &state, "--state", &state]);
    assert_eq!(twice.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("count that twice"));
}

#[test]
fn the_state_has_a_key_of_its_own_and_clients_join_under_it() {
    let scratch = Scratch::new("key");
    let state = scratch.path("state");
    let capture = &captures()[1];
    let first = replay(&[capture], &["--state", &state]);
    let second = replay(&[capture], &["--state", &state]);
    for (first, second) in first["endpoints"].as_array().unwrap().iter().zip(second["endpoints"].as_array().unwrap()) {
        assert_eq!(second["clients"], first["clients"], "the same clients again");
        assert_eq!(second["requests"].as_u64().unwrap(), first["requests"].as_u64().unwrap() * 2);
    }
}

#[test]
fn another_key_than_before_is_refused() {
    let scratch = Scratch::new("keys");
    let (state, key) = (scratch.path("state"), scratch.key());
    let capture = &captures()[1];
    replay(&[capture], &["--state", &state]);
    let other = umbra(&["replay", "-q", capture, "--state", &state, "--key-file", &key]);
    assert_eq!(other.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another fleet key"), "{other:?}");
    // Joined for a print it is told: these clients are not known to be the same.
    let second = scratch.path("second");
    replay(&[capture], &["--state", &second, "--key-file", &key]);
    let joined = umbra(&["inventory", "--state", &state, "--state", &second]);
    assert!(joined.status.success());
    assert!(String::from_utf8_lossy(&joined.stderr).contains("2 fleet keys"), "{joined:?}");
}

#[test]
fn the_table_and_csv_are_printed_from_the_store() {
    let scratch = Scratch::new("formats");
    let state = scratch.path("state");
    let files = captures();
    let table = run(&["replay", "-q", &files[1], "--state", &state]);
    assert_eq!(run(&["inventory", "--state", &state]), table);
    let csv = run(&["inventory", "--state", &state, "--format", "csv"]);
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(header[..5], ["endpoint_id", "host", "method", "route", "style"]);
    let endpoints = json(&["inventory", "--state", &state])["endpoints"].as_array().unwrap().len();
    assert_eq!(csv.lines().count(), endpoints + 1);
    assert!(csv.lines().all(|line| line.split(',').count() == header.len()), "{csv}");
}

#[test]
fn f089_f095_f096_a_state_that_cannot_be_used_is_told_with_its_exit_code() {
    let scratch = Scratch::new("codes");
    let state = scratch.path("state");
    let files = captures();
    let missing = umbra(&["inventory", "--state", &state]);
    assert_eq!(missing.status.code(), Some(66), "{}", String::from_utf8_lossy(&missing.stderr));
    assert_eq!(umbra(&["inventory"]).status.code(), Some(64));

    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let open = umbra(&["replay", "-q", &files[1], "--state", &state]);
    assert_eq!(open.status.code(), Some(77), "{}", String::from_utf8_lossy(&open.stderr));
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();

    // Noise instead of an inventory: set aside, told, and a new one begun.
    let database = Path::new(&state).join("inventory.db");
    std::fs::write(&database, [0x55; 5000]).unwrap();
    let noise = umbra(&["replay", "-q", &files[1], "--state", &state]);
    assert!(noise.status.success());
    assert!(String::from_utf8_lossy(&noise.stderr).contains("was set aside"), "{noise:?}");
    assert_eq!(std::fs::read(Path::new(&state).join("inventory.db.1.aside")).unwrap(), [0x55; 5000]);
    assert!(!run(&["inventory", "--state", &state]).is_empty());
}

#[test]
fn no_secret_is_in_the_state_directory() {
    let scratch = Scratch::new("secrets");
    let state = scratch.path("state");
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/secrets/capture.pcap");
    let seeded = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"CANARY");
    assert!(seeded(&std::fs::read(&capture).unwrap()));
    replay(&[capture.to_str().unwrap()], &["--state", &state]);
    let files: Vec<PathBuf> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with("inventory.db")));
    for file in files {
        assert!(!seeded(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
}
