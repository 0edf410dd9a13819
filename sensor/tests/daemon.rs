//! The binary as an operator meets it: exit codes, one-line errors, what is written when things fail.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use umbra_testkit::{Conversation, Http2Writer, Trace};
use umbra_wire::Timestamp;

const BINARY: &str = env!("CARGO_BIN_EXE_umbra");

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("daemon-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A capture of `count` requests over connections of ten.
fn capture(name: &str, count: usize) -> PathBuf {
    let mut frames = Vec::new();
    for flow in 0..count.div_ceil(10) {
        let client = ([10, 2, (flow >> 8) as u8, flow as u8], 30_000).into();
        let start = Timestamp::from_parts(1_700_000_000, 0).after(std::time::Duration::from_millis(flow as u64));
        let mut conversation = Conversation::new().client(client).start(start);
        for number in 0..10.min(count - flow * 10) {
            let request = format!("GET /orders/{number} HTTP/1.1\r\nHost: api.test\r\n\r\n");
            conversation = conversation
                .request(request.as_bytes())
                .response(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
        }
        frames.extend(conversation.build().frames);
    }
    frames.sort_by_key(|frame| frame.0);
    write(name, &Trace::ethernet(frames).to_pcap())
}

fn run(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts exit code and a single line on stderr with all of `parts`.
fn assert_fails(output: &Output, code: i32, parts: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn exit_codes_say_what_kind_of_failure() {
    let good = capture("codes.pcap", 3);
    assert_eq!(run(&["replay", path(&good), "-q"]).status.code(), Some(0));
    assert_fails(&run(&["replay", "/nonexistent/x.pcap", "-q"]), 66, &["/nonexistent/x.pcap"]);
    assert_fails(&run(&["replay", path(&good), "-q", "--filter", "tcp prot 80"]), 64, &["filter"]);
    assert_eq!(run(&["replay", path(&good), "--no-such-option"]).status.code(), Some(64));
    assert_eq!(run(&["replay"]).status.code(), Some(64));
    if cfg!(feature = "live") {
        assert_fails(&run(&["run", "-q"]), 64, &["no interface"]);
        let unknown = run(&["run", "-q", "-i", "nosuchif0"]);
        assert!(matches!(unknown.status.code(), Some(66 | 77)), "{}", text(&unknown.stderr));
        assert_fails(&unknown, unknown.status.code().unwrap(), &["nosuchif0"]);
    }
    assert_fails(&run(&["replay", path(&good), "-q", "-e", "/nonexistent/e"]), 74, &["/nonexistent/e"]);
    let both = ["replay", path(&good), "-q", "-e", "-", "--har", "/tmp/x.har"];
    assert_fails(&run(&both), 64, &["--events", "--har"]);
}

#[test]
fn no_output_takes_the_place_of_a_capture() {
    let file = capture("kept.pcap", 3);
    let before = std::fs::read(&file).unwrap();
    for option in ["--events", "--har"] {
        assert_fails(&run(&["replay", path(&file), "-q", option, path(&file)]), 64, &["kept.pcap", "not overwritten"]);
        assert_eq!(std::fs::read(&file).unwrap(), before, "{option}");
    }
}

#[test]
fn f034_one_long_route_does_not_widen_every_row() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: api.test\r\n\r\n", "long/".repeat(1_000));
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let conversation = Conversation::new().request(long.as_bytes()).response(response);
    let both = conversation.request(b"GET /a HTTP/1.1\r\nHost: api.test\r\n\r\n").response(response);
    let file = write("long.pcap", &Trace::ethernet(both.build().frames).to_pcap());
    let table = text(&run(&["replay", path(&file), "-q"]).stdout);
    assert!(table.contains("/long/long/") && table.contains("/a "), "{table}");
    assert!(table.lines().all(|line| line.chars().count() < 220), "{table}");
}

#[test]
fn f070_what_the_bounds_left_out_is_told() {
    let file = capture("bounds.pcap", 30);
    let config = write("bounds.toml", b"[inventory]\nendpoints = 1\nunconfirmed = 1\n");
    let mut frames = Vec::new();
    for (number, word) in ["apples", "bears", "cups", "doors", "eggs"].iter().enumerate() {
        let request = format!("GET /{word} HTTP/1.1\r\nHost: api.test\r\n\r\n");
        let client = ([10, 3, 0, number as u8], 40_000).into();
        let exchange = Conversation::new().client(client).request(request.as_bytes());
        frames.extend(exchange.response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").build().frames);
    }
    let many = write("many.pcap", &Trace::ethernet(frames).to_pcap());
    let table = text(&run(&["replay", path(&many), "-q", "-c", path(&config)]).stdout);
    assert!(table.contains("3 requests left out: more endpoints"), "{table}");
    assert!(!text(&run(&["replay", path(&file), "-q"]).stdout).contains("left out"));
}

/// What fails at the start fails in `check`.
#[test]
fn f105_check_finds_what_would_fail_at_the_start() {
    let full = std::env::temp_dir().join(format!("umbra-check-{}", std::process::id()));
    let mut cases = vec![
        ("events.toml", "[output]\nevents = \"/nonexistent/e\"\n", 74, "/nonexistent"),
        ("har.toml", "[output]\nhar = \"/\"\n", 74, "/"),
        ("filter.toml", "[capture]\nfilter = \"tcp prot\"\n", 78, "filter"),
    ];
    if cfg!(feature = "live") {
        cases.push(("user.toml", "[capture]\nuser = \"nosuchuser\"\n", 78, "nosuchuser"));
        cases.push(("interface.toml", "[capture]\ninterfaces = [\"nosuchif0\"]\n", 66, "nosuchif0"));
    }
    for (name, content, code, part) in cases {
        let config = write(name, content.as_bytes());
        assert_fails(&run(&["check", "--config", path(&config)]), code, &[part]);
    }
    let good = write("good.toml", format!("[output]\nevents = \"{}\"\n", full.display()).as_bytes());
    assert_eq!(run(&["check", "--config", path(&good)]).status.code(), Some(0));
    assert!(!full.exists(), "checking makes nothing");
}

/// `tcpdump -w - | umbra replay - --routes known --events -`: events come as packets do, and TERM ends it though no more packets
/// come. Those that wait for their final routes come when the pipe is closed.
#[test]
fn f097_a_pipe_that_waits_can_be_stopped_and_holds_nothing_back() {
    let bytes = std::fs::read(capture("pipe.pcap", 30)).unwrap();
    for (workers, routes) in [("1", "known"), ("2", "known"), ("1", "final"), ("2", "final")] {
        let mut child = Command::new(BINARY)
            .args(["replay", "-", "-q", "--format", "none", "-w", workers, "--events", "-", "--routes", routes])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take();
        input.as_mut().unwrap().write_all(&bytes).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut expect_all = || (0..30).for_each(|_| assert!(lines.next().unwrap().unwrap().starts_with('{')));
        if routes == "known" {
            expect_all();
            let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            assert!(stopped.success());
        } else {
            drop(input.take());
            expect_all();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{workers} workers");
        drop(input);
    }
}

#[test]
fn f005_a_cut_file_gives_what_was_read_and_names_the_offset() {
    let whole = std::fs::read(capture("whole.pcap", 20)).unwrap();
    let cut = write("cut.pcap", &whole[..whole.len() - 5]);
    let output = run(&["replay", path(&cut), "-q", "--events", "-", "--format", "none"]);
    // The last packet is an ACK behind a FIN: its record begins 16 bytes of header and 54 of frame before the end.
    let offset = (whole.len() - 16 - 54).to_string();
    assert_fails(&output, 65, &["cut.pcap", &offset]);
    assert_eq!(text(&output.stdout).lines().count(), 20);
    assert_fails(&run(&["replay", path(&write("junk.pcap", &[0x55; 400])), "-q"]), 65, &["junk.pcap"]);
}

/// Bytes that would act on a terminal, a line reader or a spreadsheet.
const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;x\u{7}\"\\'=cmd|<script>\u{2028}\u{2029}\u{85}\u{9b}2J\u{202e}\u{feff}\u{7f}";

fn hostile() -> PathBuf {
    let mut frames = Vec::new();
    let mut request = format!("GET /a{HOSTILE}/b%0d%0a%1b[2J?q={HOSTILE} HTTP/1.1\r\nHost: {HOSTILE}.test\r\nX-A: ");
    request.push_str(HOSTILE);
    request.push_str("\r\nUser-Agent: \t\u{1}\u{2}\u{8}\r\nX\u{1b}[1m: y\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(
        b"X-B: \xff\xfe\xc0\x80\xed\xa0\x80\r\nCookie: a=\x1b[5m\r\nAuthorization: Bearer \x1b]\r\n\r\n",
    );
    let response = format!("HTTP/1.1 200 {HOSTILE}\r\nContent-Type: text/{HOSTILE}\r\nContent-Length: 0\r\n\r\n");
    frames.extend(Conversation::new().request(&request).response(response.as_bytes()).build().frames);
    // HTTP/2 fields may hold any byte, CR, LF and NUL among them.
    let (mut client, mut server) = (Http2Writer::client(), Http2Writer::server());
    let long = format!("/x\r\n\0{HOSTILE}/\n{{\"event_id\":\"forged\"}}\n");
    let fields = [(":method", "GET\n"), (":scheme", "http"), (":path", &long), (":authority", "h\r\n\u{1b}[2J")];
    client.headers(1, &fields, true);
    client.headers(
        3,
        &[(":method", "GET"), (":scheme", "http"), (":path", &long), (":authority", &long), ("x-c", &long)],
        true,
    );
    server.headers(1, &[(":status", "200"), ("content-type", &long)], true);
    server.headers(3, &[(":status", "200"), ("content-type", &long)], true);
    let other = ([10, 0, 0, 9], 41_000).into();
    let second = Conversation::new().client(other).request(&client.take()).response(&server.take());
    frames.extend(second.build().frames);
    write("hostile.pcap", &Trace::ethernet(frames).to_pcap())
}

#[test]
fn f078_hostile_bytes_stay_inside_their_strings() {
    let file = hostile();
    for reveal in [&[][..], &["--reveal", "path,query,headers"]] {
        let mut args = vec!["replay", path(&file), "-q", "--format", "none", "--events", "-"];
        args.extend(reveal);
        let output = run(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        assert!(lines.ends_with('\n'));
        let mut ids = BTreeSet::new();
        for line in lines.trim_end_matches('\n').split('\n') {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(ids.insert(event["event_id"].as_str().unwrap().to_owned()));
            assert!(!line.contains(acts), "{line:?}");
        }
        assert_eq!(ids.len(), 3, "{lines}");
    }
    for format in ["table", "json"] {
        let output = run(&["replay", path(&file), "--format", format]);
        assert_eq!(output.status.code(), Some(0));
        for stream in [&output.stdout, &output.stderr] {
            let shown = text(stream);
            assert!(!shown.contains(|c: char| c != '\n' && acts(c)), "{format}: {shown:?}");
        }
    }
}

/// Characters that do more than take up a place: controls, line separators, direction overrides, the byte order mark.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[test]
fn f102_a_reader_that_leaves_ends_the_run_quietly() {
    let file = capture("head.pcap", 5_000);
    let mut child = Command::new(BINARY)
        .args(["replay", path(&file), "--format", "none", "-q", "--events", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(line.starts_with("{\"schema_version\":1,"), "{line}");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn f102_a_full_disk_is_told_with_the_loss() {
    for count in [5usize, 3_000] {
        let file = capture(&format!("full-{count}.pcap"), count);
        for workers in ["1", "2"] {
            let args = ["replay", path(&file), "-q", "--format", "none", "-w", workers, "--events", "/dev/full"];
            assert_fails(&run(&args), 74, &["No space left", &format!("; {count} events are lost")]);
        }
    }
}

#[test]
fn f102_a_full_stderr_changes_nothing() {
    let file = capture("stderr.pcap", 30);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["replay", path(&file), "--format", "none", "--reveal", "path", "-e", "-"]);
    let output = command.stderr(full).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(0), 30));
}

#[test]
fn f102_out_of_descriptors_is_told_at_once() {
    let file = capture("descriptors.pcap", 3);
    // Standard streams, and one more for the loader: the events file takes it, the capture finds none.
    let script = format!("ulimit -n 4; exec {BINARY} replay {} -q --events {}.out", path(&file), path(&file));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_fails(&output, 66, &["descriptors.pcap", "Too many open files"]);
}

#[test]
fn f103_only_packet_time_is_in_the_records() {
    let file = capture("clock.pcap", 50);
    let key = write("clock.key", &[9; 32]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let replay = |workers: &str| {
        let args =
            ["replay", path(&file), "-q", "--key-file", path(&key), "--format", "json", "-w", workers, "-e", "-"];
        let output = run(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let first = replay("1");
    assert_eq!(first, replay("1"), "the same bytes at another time");
    for line in first.0.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["time"].as_str().unwrap().starts_with("2023-11-14T22:13:2"), "{line}");
    }
    let year = format!("{}-", 1970 + std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 31_556_952);
    assert!(!first.0.contains(&year) && !first.1.contains(&year), "the clock of today is in the output");
    let sorted = |lines: &str| lines.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let spread = replay("3");
    assert_eq!((sorted(&first.0), &first.1), (sorted(&spread.0), &spread.1));
}

#[test]
fn f105_a_bad_configuration_is_refused_naming_file_line_and_key() {
    let file = capture("config.pcap", 1);
    for (name, content, expected) in [
        ("unknown.toml", "[sensor]\nhunter = \"hunter2\"\n", "unknown.toml:2: unknown field `hunter`"),
        ("type.toml", "[sensor]\n\nworkers = \"hunter2\"\n", "type.toml:3: workers: "),
        ("choice.toml", "[redaction]\nreveal = [\"hunter2\"]\n", "choice.toml:2: reveal: "),
        ("zero.toml", "[flow]\nmax_flows = 0\n", "zero.toml: flow.max_flows"),
        ("range.toml", "[sensor]\nworkers = 70000\n", "range.toml:2: workers: "),
        ("syntax.toml", "[sensor]\nid = hunter2\n", "syntax.toml:2: "),
        ("twice.toml", "[sensor]\nid = \"hunter2\"\nid = \"hunter2\"\n", "twice.toml:3: "),
        ("nokey.toml", "[redaction]\nkey_file = \"/nonexistent/key\"\n", "/nonexistent/key"),
    ] {
        let config = write(name, content.as_bytes());
        let output = run(&["replay", path(&file), "-q", "--config", path(&config)]);
        assert_fails(&output, 78, &[expected]);
        assert!(!text(&output.stderr).contains("hunter2"), "{}", text(&output.stderr));
        assert_fails(&run(&["check", "--config", path(&config)]), 78, &[expected]);
    }
    assert_fails(&run(&["replay", path(&file), "-q", "-c", "/nonexistent.toml"]), 78, &["/nonexistent.toml"]);
}
