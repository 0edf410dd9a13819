//! Fuzzing on stable Rust: libFuzzer with the compiler's coverage pass switched on through codegen flags.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::step::{self, Outcome, cargo, root, target_dir};

/// What `cargo fuzz` sets, less the sanitizers, which need nightly: the code under test has no unsafe of its own,
/// and overflow checks and debug assertions are on (fuzz/Cargo.toml).
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

struct Options {
    seconds: u64,
    jobs: usize,
    targets: Vec<String>,
}

/// Builds all targets and runs those named (or all), `--jobs` at a time. New inputs are kept in the target folder,
/// seeds are read from `fuzz/seeds/<target>/`; an input that crashes is named.
pub(crate) fn run(args: &[&str]) -> Outcome {
    let options = options(args)?;
    let triple = host_triple()?;
    let out = target_dir().join("fuzz");
    // The versions that the workspace is tested with; cargo adds what only the fuzz package uses.
    std::fs::copy(root().join("Cargo.lock"), root().join("fuzz/Cargo.lock"))
        .map_err(|error| format!("fuzz/Cargo.lock: {error}"))?;
    step::run(
        cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &triple, "--target-dir"])
            .arg(&out)
            .env("RUSTFLAGS", RUSTFLAGS),
    )?;
    let binaries = out.join(&triple).join("release");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = run_target(target, &binaries.join(target), &out, options.seconds)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(why);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

fn run_target(target: &str, binary: &Path, out: &Path, seconds: u64) -> Outcome {
    let corpus = out.join("corpus").join(target);
    let crashes = out.join("crashes");
    for dir in [&corpus, &crashes] {
        std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    let log = out.join(format!("{target}.log"));
    let file = std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = step::program(&binary.to_string_lossy());
    command
        .args([
            format!("-max_total_time={seconds}"),
            "-timeout=10".into(),
            "-rss_limit_mb=1024".into(),
            "-print_final_stats=1".into(),
            format!("-artifact_prefix={}/{target}-", crashes.display()),
        ])
        .arg(&corpus)
        .stderr(file);
    for (kind, option) in [("seeds", ""), ("dict", "-dict=")] {
        let name = if kind == "seeds" { target.to_string() } else { format!("{target}.dict") };
        let path = root().join("fuzz").join(kind).join(name);
        if path.exists() {
            command.arg(format!("{option}{}", path.display()));
        }
    }
    let status = command.status().map_err(|error| format!("{target}: {error}"))?;
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    if !status.success() {
        let tail: Vec<&str> = text.lines().rev().take(30).collect();
        eprintln!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        return Err(format!("fuzz target {target}: {status}"));
    }
    println!("fuzz {target}: {seconds} s, {}", figures(&text));
    Ok(())
}

/// Runs and coverage, from libFuzzer's last lines.
fn figures(log: &str) -> String {
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?").trim();
    let mut words = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default().split_whitespace();
    let coverage = words.by_ref().skip_while(|word| *word != "cov:").nth(1).unwrap_or("?");
    format!("{runs} runs, coverage {coverage}")
}

fn options(args: &[&str]) -> Result<Options, String> {
    let manifest = root().join("fuzz/Cargo.toml");
    let manifest = std::fs::read_to_string(&manifest).map_err(|error| format!("fuzz/Cargo.toml: {error}"))?;
    let known = targets(&manifest);
    let mut options = Options { seconds: 60, jobs: 1, targets: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next().and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0).ok_or(format!("{arg} needs a number"))
        };
        match *arg {
            "--seconds" => options.seconds = number()?,
            "--jobs" => options.jobs = number()? as usize,
            name if known.iter().any(|target| target == name) => options.targets.push(name.to_string()),
            name => return Err(format!("no fuzz target {name}; there are: {}", known.join(" "))),
        }
    }
    if options.targets.is_empty() {
        options.targets = known;
    }
    Ok(options)
}

/// Names of the `[[bin]]` tables of a manifest.
fn targets(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_bin = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_bin = line == "[[bin]]";
        } else if in_bin && let Some(name) = line.strip_prefix("name = ") {
            names.push(name.trim_matches('"').to_string());
        }
    }
    names
}

fn host_triple() -> Result<String, String> {
    let version = step::output(step::program("rustc").arg("-vV"))?;
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_string).ok_or("rustc -vV: no host".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_bins_only() {
        let manifest = "[package]\nname = \"p\"\n[[bin]]\nname = \"a\"\npath = \"x\"\n[lib]\nname = \"l\"\n[[bin]]\nname = \"b\"\n";
        assert_eq!(targets(manifest), ["a", "b"]);
    }

    #[test]
    fn figures_of_a_log() {
        let log = "#2 INITED cov: 3 ft: 4\n#9 DONE   cov: 12 ft: 13 corp: 1\nstat::number_of_executed_units: 77\n";
        assert_eq!(figures(log), "77 runs, coverage 12");
        assert_eq!(figures(""), "? runs, coverage ?");
    }
}
