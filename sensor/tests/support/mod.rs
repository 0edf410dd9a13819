//! What the tests of the binary share.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A file of this process with this content.
pub(crate) fn temporary(name: &str, content: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    if std::fs::read_to_string(&path).ok().as_deref() != Some(content) {
        std::fs::write(&path, content).unwrap();
    }
    path
}

/// Runs the binary.
pub(crate) fn umbra(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_umbra")).args(args).output().unwrap()
}

/// Events of a capture, with everything revealed; a cut file (exit 65) gives what was read.
pub(crate) fn replay(file: &Path, options: &[String]) -> Vec<Value> {
    let file = file.to_str().unwrap();
    let mut args = vec!["replay", file, "--events", "-", "--format", "none", "-q", "--reveal", "path,query,headers"];
    args.extend(options.iter().map(String::as_str));
    let output = umbra(&args);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 65)), "{file}: exit {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
