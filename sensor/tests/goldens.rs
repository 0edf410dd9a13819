//! Every case of `testdata/` through the binary, as people run it: redacted events and the inventory, compared with the
//! committed ones. `UMBRA_BLESS=1 cargo test -p umbra --test goldens` rewrites them; read the difference before committing.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cases without committed events: `demo` has too many.
const INVENTORY_ONLY: [&str; 1] = ["demo"];

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// Folders with a capture, by name.
fn cases() -> Vec<(String, PathBuf)> {
    let mut cases: Vec<_> = std::fs::read_dir(testdata())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("capture.pcap").exists())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    cases.sort();
    assert!(cases.len() >= 12, "the cases of testdata/ are not there");
    cases
}

/// A fleet key that is always the same, so that hashes can be compared.
fn key_file() -> PathBuf {
    let path = support::temporary("golden-key", "0123456789abcdef0123456789abcdef");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Runs `umbra replay` in the case's folder, so that no path of this machine is in the output.
fn replay(folder: &Path, options: &[&str]) -> std::process::Output {
    let output = Command::new(env!("CARGO_BIN_EXE_umbra"))
        .current_dir(folder)
        .args(["replay", "capture.pcap", "--key-file"])
        .arg(key_file())
        .args(options)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}: {stderr}", folder.display(), output.status);
    output
}

/// Event lines in order, the software's version masked: a release is no change of behaviour.
fn events(folder: &Path, workers: &str) -> Vec<String> {
    let output = replay(folder, &["--quiet", "--events", "-", "--format", "none", "--workers", workers]);
    let version = format!("\"version\":\"{}\"}},\"capture\"", env!("CARGO_PKG_VERSION"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.replace(&version, "\"version\":\"VERSION\"},\"capture\"")).collect()
}

/// Compares with a committed file, or rewrites it. Says what differs first.
fn compare(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("UMBRA_BLESS").is_some() {
        std::fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(expected, actual)| expected == actual).count();
    let show = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    Err(format!("{}:{}\n  expected {}\n  actual   {}", path.display(), line + 1, show(&expected), show(actual)))
}

#[test]
fn events_and_inventory_are_those_committed() {
    let mut wrong = Vec::new();
    for (name, folder) in cases() {
        if !INVENTORY_ONLY.contains(&name.as_str()) {
            let lines: String = events(&folder, "1").into_iter().map(|line| line + "\n").collect();
            wrong.extend(compare(&folder.join("events.jsonl"), &lines).err());
        }
        for (format, file) in [("table", "inventory.txt"), ("tree", "tree.txt")] {
            let printed = String::from_utf8(replay(&folder, &["--quiet", "--format", format]).stdout).unwrap();
            wrong.extend(compare(&folder.join(file), &printed).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn same_events_for_one_two_and_four_workers() {
    for (name, folder) in cases() {
        let one: BTreeSet<String> = events(&folder, "1").into_iter().collect();
        for workers in ["2", "4"] {
            assert_eq!(one, events(&folder, workers).into_iter().collect(), "{name}, {workers} workers");
        }
    }
}

/// G6: the canaries of the secrets case, and what they look like in base64, are in no output.
#[test]
fn no_secret_in_any_output() {
    let folder = testdata().join("secrets");
    let har = support::temporary("secrets.har", "");
    let mut outputs = Vec::new();
    for options in [
        &["--events", "-", "--format", "none"][..],
        &["--format", "table"],
        &["--format", "tree"],
        &["--format", "csv"],
        &["--format", "json"],
        &["--format", "none", "--har", har.to_str().unwrap()],
    ] {
        let output = replay(&folder, options);
        outputs.push((options.join(" "), [output.stdout, output.stderr].concat()));
    }
    assert!(String::from_utf8_lossy(&outputs[0].1).contains("/v1/"), "the events are not there");
    outputs.push(("the HAR file".into(), std::fs::read(&har).unwrap()));
    for (what, bytes) in outputs {
        let text = String::from_utf8_lossy(&bytes);
        for canary in ["CANARY", "Q0FOQVJZ", "4111111111111111"] {
            assert!(!text.contains(canary), "{canary} is in the output of {what}:\n{text}");
        }
    }
}
