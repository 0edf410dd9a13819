//! The walls of the house, checked by machine: who may use whom, and what a pure crate must not touch.

use std::path::Path;

use crate::step::{self, Outcome, cargo, root};

/// A workspace crate, the workspace crates it may use, and whether it is pure (bytes and time in, values out).
struct Room {
    name: &'static str,
    dir: &'static str,
    may_use: &'static [&'static str],
    pure: bool,
}

const fn pure(name: &'static str, dir: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, dir, may_use, pure: true }
}

const fn io(name: &'static str, dir: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, dir, may_use, pure: false }
}

/// The arrows of the architecture picture. Only the sensor sees both ends.
const ROOMS: &[Room] = &[
    pure("umbra-wire", "crates/wire", &[]),
    pure("umbra-flow", "crates/flow", &["umbra-wire"]),
    pure("umbra-http", "crates/http", &["umbra-flow", "umbra-wire"]),
    pure("umbra-event", "crates/event", &[]),
    pure("umbra-openapi", "crates/openapi", &[]),
    pure("umbra-discovery", "crates/discovery", &["umbra-http", "umbra-flow", "umbra-wire", "umbra-openapi"]),
    pure(
        "umbra-pipeline",
        "crates/pipeline",
        &["umbra-wire", "umbra-flow", "umbra-http", "umbra-event", "umbra-discovery", "umbra-openapi"],
    ),
    pure(
        "umbra-rollup",
        "crates/rollup",
        &["umbra-event", "umbra-discovery", "umbra-http", "umbra-flow", "umbra-wire", "umbra-openapi"],
    ),
    io("umbra-capture", "crates/capture", &["umbra-wire"]),
    // The roll-up's consumer group has the roll-up below it.
    io(
        "umbra-publish",
        "crates/publish",
        &[
            "umbra-event",
            "umbra-store",
            "umbra-rollup",
            "umbra-discovery",
            "umbra-http",
            "umbra-flow",
            "umbra-wire",
            "umbra-openapi",
        ],
    ),
    io("umbra-store", "crates/store", &[]),
    io(
        "umbra",
        "sensor",
        &[
            "umbra-wire",
            "umbra-flow",
            "umbra-http",
            "umbra-event",
            "umbra-discovery",
            "umbra-openapi",
            "umbra-pipeline",
            "umbra-capture",
            "umbra-publish",
            "umbra-rollup",
            "umbra-store",
        ],
    ),
];

/// Crates that do input, output, threads or async: none may be anywhere under a pure crate.
const IO_CRATES: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "crossbeam-channel",
    "futures-executor",
    "hyper",
    "libsqlite3-sys",
    "memmap2",
    "mio",
    "nix",
    "pcap",
    "pcap-parser",
    "rayon",
    "rdkafka",
    "rdkafka-sys",
    "reqwest",
    "rusqlite",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

/// Words that must not stand in the source of a pure crate, tests apart.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("std::fs", "files"),
    ("std::thread", "threads"),
    ("std::process", "processes"),
    ("std::env", "the environment"),
    ("std::io::std", "standard streams"),
    ("println!", "standard streams"),
    ("eprintln!", "standard streams"),
    ("TcpStream", "sockets"),
    ("TcpListener", "sockets"),
    ("UdpSocket", "sockets"),
    ("UnixStream", "sockets"),
    ("ToSocketAddrs", "name look-ups"),
    ("Instant", "a clock"),
    ("SystemTime", "a clock"),
    ("thread_local!", "globals"),
    ("static mut", "globals"),
    ("async fn", "async"),
];

/// Modules of std that a grouped `use std::{…}` must not bring in.
const IMPURE_MODULES: &[&str] = &["fs", "thread", "process", "env"];

const FORBID_UNSAFE: &str = "#![forbid(unsafe_code)]";

/// Checks every room and says all that is wrong.
pub(crate) fn check() -> Outcome {
    let mut wrong = unknown_rooms(&root());
    for room in ROOMS {
        let arguments = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package"];
        let direct = step::output(cargo(&arguments).args([room.name, "--depth", "1"]))?;
        wrong.extend(wrong_arrows(room, &direct));
        if room.pure {
            let all = step::output(cargo(&arguments).arg(room.name))?;
            wrong.extend(io_below(room.name, &all));
            wrong.extend(impure_folder(&root().join(room.dir)));
        }
    }
    if wrong.is_empty() {
        println!("boundary: {} rooms, {} pure", ROOMS.len(), ROOMS.iter().filter(|room| room.pure).count());
        return Ok(());
    }
    wrong.iter().for_each(|line| eprintln!("boundary: {line}"));
    Err(format!("{} breach(es)", wrong.len()))
}

/// A crate that the table does not list is not guarded: it must be added there first.
fn unknown_rooms(root: &Path) -> Vec<String> {
    let tools = ["crates/testkit", "crates/xtask"];
    let folders = std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| format!("crates/{}", entry.file_name().to_string_lossy()))
        .filter(|dir| !tools.contains(&dir.as_str()) && !ROOMS.iter().any(|room| room.dir == dir))
        .map(|dir| format!("{dir} has no row in the table of crates/xtask/src/boundary.rs"))
        .collect()
}

/// Names in the output of `cargo tree --format {p}`: the first word of each line.
fn names(tree: &str) -> impl Iterator<Item = &str> {
    tree.lines().filter_map(|line| line.split_whitespace().next())
}

fn wrong_arrows(room: &Room, direct: &str) -> Vec<String> {
    names(direct)
        .filter(|name| name.starts_with("umbra") && *name != room.name && !room.may_use.contains(name))
        .map(|name| format!("{} must not use {name}", room.name))
        .collect()
}

fn io_below(name: &str, tree: &str) -> Vec<String> {
    let mut found: Vec<_> = names(tree).filter(|below| IO_CRATES.contains(below)).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|below| format!("{name} is pure, but {below} is below it")).collect()
}

fn impure_folder(dir: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let lib = dir.join("src/lib.rs");
    if !std::fs::read_to_string(&lib).is_ok_and(|text| text.contains(FORBID_UNSAFE)) {
        wrong.push(format!("{}: no {FORBID_UNSAFE}", lib.display()));
    }
    // Clippy resolves names where the word list only sees text: both guards, one list of clocks (crates/clippy-pure.toml).
    if !std::fs::read_to_string(dir.join("clippy.toml")).is_ok_and(|text| text.contains("Instant::now")) {
        wrong.push(format!("{}: no clippy.toml that disallows clocks", dir.display()));
    }
    for path in step::files_under(&dir.join("src"), "rs") {
        // A test module in a file of its own.
        let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "test.rs";
        if path.strip_prefix(dir).unwrap_or(&path).iter().any(is_test)
            || path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_tests"))
        {
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => wrong.extend(impure_lines(&path.to_string_lossy(), &text)),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    wrong
}

/// Lines before the file's test module that reach outside; comments do not count.
fn impure_lines(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let end = (0..lines.len()).find(|at| begins_test_module(&lines[*at..])).unwrap_or(lines.len());
    for (index, line) in lines.iter().enumerate().take(end) {
        let code = line.split("//").next().unwrap_or_default();
        let mut reached: Vec<&str> =
            IMPURE_WORDS.iter().filter(|(word, _)| contains_word(code, word)).map(|(_, what)| *what).collect();
        if code.contains("std::{") && IMPURE_MODULES.iter().any(|module| contains_word(code, module)) {
            reached.push("a module that is not pure");
        }
        if let Some(what) = reached.first() {
            wrong.push(format!("{path}:{}: a pure crate has no {what}: {}", index.saturating_add(1), line.trim()));
        }
    }
    wrong
}

/// Do these lines begin with a test module that has its code here? What else is for tests, or lies in a file of its own, has
/// code of the crate behind it.
fn begins_test_module(lines: &[&str]) -> bool {
    let is_attribute = |line: &&&str| line.trim_start().starts_with("#[");
    lines.first().is_some_and(|line| line.trim() == "#[cfg(test)]")
        && lines.iter().find(|line| !is_attribute(line)).is_some_and(|line| line.contains("mod ") && line.contains('{'))
}

/// Whether `word` stands in `code`, not as a part of a longer name.
fn contains_word(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        // `std::io::std` stands for stdin, stdout and stderr.
        !before.is_some_and(part_of_name) && (word == "std::io::std" || !after.is_some_and(part_of_name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &Room = &ROOMS[1];

    #[test]
    fn an_arrow_against_the_picture_is_found() {
        let tree = "umbra-flow v0.1.0 (/x)\nahash v0.8.1\numbra-wire v0.1.0 (/y)\n";
        assert!(wrong_arrows(FLOW, tree).is_empty());
        let tree = format!("{tree}umbra-http v0.1.0 (/z)\n");
        assert_eq!(wrong_arrows(FLOW, &tree), ["umbra-flow must not use umbra-http"]);
    }

    #[test]
    fn io_anywhere_below_a_pure_crate_is_found() {
        assert!(io_below("umbra-http", "umbra-http v0.1.0\nhttparse v1.10.1\ntokio-like v1.0.0\n").is_empty());
        let found = io_below("umbra-http", "umbra-http v0.1.0\nh2 v0.4.16\ntokio v1.0.0\ntokio v1.0.0 (*)\n");
        assert_eq!(found, ["umbra-http is pure, but tokio is below it"]);
    }

    #[test]
    fn impure_code_is_found() {
        for line in [
            "use std::fs;",
            "    let data = std::fs::read(path)?;",
            "use std::{collections::HashMap, fs::File};",
            "    let start = Instant::now();",
            "use std::time::{Duration, SystemTime};",
            "    std::thread::spawn(|| ());",
            "    println!(\"{x}\");",
            "thread_local! { static X: u8 = 0; }",
            "use std::net::TcpStream;",
            "    let out = std::io::stdout();",
        ] {
            assert_eq!(impure_lines("x.rs", line).len(), 1, "{line}");
        }
    }

    #[test]
    fn pure_code_comments_and_tests_pass() {
        let text = "\
use std::net::IpAddr;
use std::time::Duration;
// No std::fs here.
/// Not SystemTime but packet time.
struct InstantNoodles;
#[cfg(test)]
mod tests { use std::fs; }
";
        assert_eq!(impure_lines("x.rs", text), Vec::<String>::new());
    }

    #[test]
    fn code_behind_what_is_for_tests_is_looked_at() {
        for before in ["#[cfg(test)]\nmod tests;", "#[cfg(test)]\nfn spelled() {}", "#[cfg(test)]\nwork: u64,"] {
            assert_eq!(impure_lines("x.rs", &format!("{before}\nuse std::fs;\n")).len(), 1, "{before}");
        }
        let module = "#[cfg(test)]\n#[allow(missing_docs)]\npub(super) mod tests {\n    use std::fs;\n}\n";
        assert_eq!(impure_lines("x.rs", module), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_its_guards_is_found() {
        // xtask itself: no forbid, no clippy.toml, and it starts programs.
        let wrong = impure_folder(Path::new(env!("CARGO_MANIFEST_DIR"))).join("\n");
        assert!(wrong.contains("forbid(unsafe_code)"), "{wrong}");
        assert!(wrong.contains("clippy.toml"), "{wrong}");
        assert!(wrong.contains("step.rs") && wrong.contains("processes"), "{wrong}");
    }
}
