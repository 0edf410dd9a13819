//! Running programs and finding files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A step passed, or why not, in one line.
pub(crate) type Outcome = Result<(), String>;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    // The manifest lies in crates/xtask.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The folder of third-party test material, if it is there.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("UMBRA_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    dir.is_dir().then_some(dir)
}

/// A program, to be run in the root folder. A name with a slash is relative to it.
pub(crate) fn program(name: &str) -> Command {
    let mut command = if name.contains('/') { Command::new(root().join(name)) } else { Command::new(name) };
    command.current_dir(root());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = program(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(args);
    command
}

/// Shows the command and runs it.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = show(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line}: {status}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

/// Runs the command and takes what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = show(command);
    let output = command.output().map_err(|error| format!("{line}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{line}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{line}: {error}"))
}

/// Whether a program can be found and started.
pub(crate) fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(name).is_file())
}

/// All files with this extension under a folder, sorted.
pub(crate) fn files_under(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn show(command: &Command) -> String {
    let base = root();
    let mut line = String::new();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        let path = Path::new(word);
        let word = path.strip_prefix(&base).unwrap_or(path).to_string_lossy();
        // The full path of cargo says nothing.
        let word = if line.is_empty() { word.rsplit('/').next().unwrap_or_default() } else { &word };
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}
