//! The whole sensor on captures, next to a libpcap reading loop and tshark: CPU time, rates, memory and ratios.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use umbra_benches::measure::{self, Cost};

/// Name of the contender without an inventory.
const EVENTS_ONLY: &str = "umbra, events";

const USAGE: &str = "\
Usage: replay-table --umbra PROGRAM --captures DIR [OPTION…] [NAME…]

  --runs N         runs of each program, in turn; the cheapest counts (5)
  --tshark-runs N  runs of tshark, which is slow; 0 leaves it out (1)
  --instructions   count instructions with callgrind instead: slow, but not noisy; best on small captures

NAME.pcap lies in DIR, its transactions counted in NAME.truth.json. Without a NAME: all but TLS.
";

struct Options {
    umbra: PathBuf,
    captures: PathBuf,
    runs: u32,
    tshark_runs: u32,
    instructions: bool,
    names: Vec<String>,
}

/// A capture and what is known of it.
struct Capture {
    name: String,
    path: PathBuf,
    bytes: u64,
    transactions: f64,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("replay-table: {why}\n\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let config = events_only_config();
    if let Err(error) = std::fs::write(&config, "[inventory]\nenabled = false\n") {
        eprintln!("replay-table: {}: {error}", config.display());
        return ExitCode::FAILURE;
    }
    let table = if options.instructions { instructions(&options) } else { times(&options) };
    // A file of a few bytes in the temporary directory: no harm if it stays.
    let _ = std::fs::remove_file(&config);
    match table {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("replay-table: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A program to be measured.
struct Contender {
    name: &'static str,
    runs: u32,
    command: fn(&Options, &Path) -> Command,
}

/// The first is the yardstick.
fn contenders(options: &Options) -> Vec<Contender> {
    let mut list = vec![
        Contender { name: "libpcap loop", runs: options.runs, command: pcap_loop },
        Contender { name: "umbra, 1 worker", runs: options.runs, command: |o, path| umbra(o, path, "1") },
        Contender { name: "umbra, 2 workers", runs: options.runs, command: |o, path| umbra(o, path, "2") },
        Contender { name: EVENTS_ONLY, runs: options.runs, command: events_only },
    ];
    if options.tshark_runs > 0 && Command::new("tshark").arg("--version").stdout(Stdio::null()).status().is_ok() {
        list.push(Contender { name: "tshark", runs: options.tshark_runs, command: tshark });
    } else {
        println!("skipped: tshark");
    }
    list
}

fn pcap_loop(_: &Options, capture: &Path) -> Command {
    // Built next to this program.
    let path = std::env::current_exe().unwrap_or_default().with_file_name("pcap-loop");
    let mut command = Command::new(path);
    command.arg(capture);
    command
}

fn umbra(options: &Options, capture: &Path, workers: &str) -> Command {
    let mut command = Command::new(&options.umbra);
    command.args(["replay", "--workers", workers, "--events", "/dev/null", "--format", "none"]).arg(capture);
    command
}

/// One worker that keeps no inventory: what discovery costs is the difference.
fn events_only(options: &Options, capture: &Path) -> Command {
    let mut command = umbra(options, capture, "1");
    command.arg("--config").arg(events_only_config());
    command
}

fn events_only_config() -> PathBuf {
    std::env::temp_dir().join(format!("umbra-bench-{}.toml", std::process::id()))
}

fn tshark(_: &Options, capture: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture).args(["-Y", "http || http2", "-T", "fields"]);
    // The corpus talks HTTP/2 where tshark expects HTTP/1.
    command.args(["-d", "tcp.port==8080,http2", "-d", "tcp.port==50051,http2"]);
    for field in ["http.request.method", "http.request.uri", "http.response.code", "http2.headers.path"] {
        command.args(["-e", field]);
    }
    command
}

fn times(options: &Options) -> Result<(), String> {
    let contenders = contenders(options);
    println!(
        "{:<12} {:<17} {:>8} {:>8} {:>12} {:>9} {:>9} {:>7}",
        "capture", "program", "CPU s", "wall s", "transact./s", "MB/s", "RSS MB", "x loop"
    );
    for capture in captures(options)? {
        warm_page_cache(&capture.path)?;
        let mut best: Vec<Option<Cost>> = vec![None; contenders.len()];
        // In turn, so that a noisy minute hits all of them.
        for round in 0..options.runs.max(options.tshark_runs) {
            for (contender, best) in contenders.iter().zip(&mut best).filter(|(c, _)| round < c.runs) {
                let cost = run_once(&mut (contender.command)(options, &capture.path))?;
                *best = Some(best.map_or(cost, |other| cheaper(other, cost)));
            }
        }
        let loop_cpu = best.first().copied().flatten().map_or(f64::NAN, |cost| cost.cpu.as_secs_f64());
        for (contender, cost) in contenders.iter().zip(&best) {
            let Some(cost) = cost else { continue };
            let cpu = cost.cpu.as_secs_f64();
            let transactions = if contender.name == "libpcap loop" {
                "-".into()
            } else {
                format!("{:.0}", capture.transactions / cpu)
            };
            println!(
                "{:<12} {:<17} {:>8.3} {:>8.3} {:>12} {:>9.0} {:>9.1} {:>7.2}",
                capture.name,
                contender.name,
                cpu,
                cost.wall.as_secs_f64(),
                transactions,
                capture.bytes as f64 / cpu / 1e6,
                cost.peak_bytes as f64 / 1e6,
                cpu / loop_cpu,
            );
        }
        if let [_, Some(one), _, Some(events), ..] = best.as_slice() {
            let more = one.cpu.as_secs_f64() / events.cpu.as_secs_f64() - 1.0;
            println!("{:<12} discovery: {:.0} % more CPU than events only", capture.name, more * 100.0);
        }
        if let [_, Some(one), Some(two), ..] = best.as_slice() {
            let speedup = one.wall.as_secs_f64() / two.wall.as_secs_f64();
            println!("{:<12} two workers: {speedup:.2} times the wall speed of one", capture.name);
        }
    }
    println!("Cheapest of {} runs each (tshark: {}); rates are per CPU second.", options.runs, options.tshark_runs);
    Ok(())
}

/// The lower CPU and wall time, which noise only adds to; the higher peak.
fn cheaper(a: Cost, b: Cost) -> Cost {
    Cost {
        cpu: a.cpu.min(b.cpu),
        wall: a.wall.min(b.wall),
        peak_bytes: a.peak_bytes.max(b.peak_bytes),
        status: a.status,
    }
}

fn run_once(command: &mut Command) -> Result<Cost, String> {
    let cost = measure::run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
        .map_err(|error| format!("{command:?}: {error}"))?;
    if cost.status.success() { Ok(cost) } else { Err(format!("{command:?}: {}", cost.status)) }
}

fn instructions(options: &Options) -> Result<(), String> {
    println!("{:<12} {:<17} {:>15} {:>18}", "capture", "program", "instructions", "per transaction");
    for capture in captures(options)? {
        for contender in contenders(options).iter().filter(|one| !matches!(one.name, "umbra, 2 workers" | "tshark")) {
            let inner = (contender.command)(options, &capture.path);
            let mut command = Command::new("valgrind");
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            command.arg(inner.get_program()).args(inner.get_args());
            let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
            let log = String::from_utf8_lossy(&output.stderr);
            let count = collected(&log).ok_or_else(|| format!("{command:?}: {}", output.status))?;
            println!(
                "{:<12} {:<17} {:>15} {:>18.0}",
                capture.name,
                contender.name,
                count,
                count as f64 / capture.transactions
            );
        }
    }
    Ok(())
}

/// Callgrind's total: `==1== Collected : 123`.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok())
}

fn captures(options: &Options) -> Result<Vec<Capture>, String> {
    let mut names = options.names.clone();
    if names.is_empty() {
        let folder = std::fs::read_dir(&options.captures);
        let folder = folder.map_err(|error| format!("{}: {error}", options.captures.display()))?;
        names = folder
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".pcap").map(str::to_string))
            .filter(|name| !name.starts_with("tls"))
            .collect();
        names.sort();
    }
    names.into_iter().map(|name| capture(&options.captures, name)).collect()
}

fn capture(dir: &Path, name: String) -> Result<Capture, String> {
    let path = dir.join(format!("{name}.pcap"));
    let bytes = std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
    let truth = std::fs::read(dir.join(format!("{name}.truth.json"))).unwrap_or_default();
    let truth: serde_json::Value = serde_json::from_slice(&truth).unwrap_or_default();
    let transactions = truth.get("transactions").and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    Ok(Capture { name, path, bytes, transactions })
}

/// The disk is not what is measured.
fn warm_page_cache(path: &Path) -> Result<(), String> {
    let copied = std::fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
    copied.map(drop).map_err(|error| format!("{}: {error}", path.display()))
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        umbra: PathBuf::new(),
        captures: PathBuf::new(),
        runs: 5,
        tshark_runs: 1,
        instructions: false,
        names: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text}: not a number"));
        match arg.as_str() {
            "--umbra" => options.umbra = value()?.into(),
            "--captures" => options.captures = value()?.into(),
            "--runs" => options.runs = number(value()?)?,
            "--tshark-runs" => options.tshark_runs = number(value()?)?,
            "--instructions" => options.instructions = true,
            name if !name.starts_with('-') => options.names.push(name.to_string()),
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    for (path, option) in [(&options.umbra, "--umbra"), (&options.captures, "--captures")] {
        if !path.exists() {
            return Err(format!("{option} must name something that exists"));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrind_total() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 112358\n"), Some(112_358));
        assert_eq!(collected("==7== no such line"), None);
    }

    #[test]
    fn wrong_options_are_refused() {
        for args in [&["--bogus"][..], &["--runs", "x"], &["--umbra"], &["--umbra", "/", "--captures", "/nowhere"]] {
            assert!(options(args.iter().map(|arg| arg.to_string())).is_err(), "{args:?}");
        }
    }
}
