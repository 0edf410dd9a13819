//! Benches: of each stage (criterion) and of the whole sensor.

use std::path::{Path, PathBuf};

use crate::step::{self, Outcome, cargo, shared_dir, target_dir};

/// Size of the corpus that is built when none is there; 1 is the 3.5 GB of the published figures.
const SCALE: &str = "0.2";

const USAGE: &str = "\
Usage: cargo xtask bench [--scale S] [--captures DIR] [OPTION of replay-table…] [NAME…]

  --scale S        size of the captures to build, 1 = 3.5 GB (0.2)
  --captures DIR   use these captures instead of building some

Options of replay-table, which makes the table:
  --runs N         runs of each program, in turn; the cheapest counts (5)
  --tshark-runs N  runs of tshark, which is slow; 0 leaves it out (1)
  --instructions   count instructions with callgrind: slow, not noisy
";

/// `--stages`, `--smoke`, or the whole-sensor table.
pub(crate) fn run(args: &[&str]) -> Outcome {
    match args {
        ["--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        // In the test profile: criterion then runs each bench once, without a clock.
        ["--smoke"] => step::run(&mut cargo(&["test", "--locked", "--package", "umbra-benches", "--benches"])),
        ["--stages", rest @ ..] => {
            step::run(cargo(&["bench", "--locked", "--package", "umbra-benches", "--benches", "--"]).args(rest))
        }
        _ => replay(args),
    }
}

fn replay(args: &[&str]) -> Outcome {
    let mut scale = SCALE;
    let mut captures = None;
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--scale" => scale = args.next().ok_or("--scale needs a number")?,
            "--captures" => captures = Some(PathBuf::from(args.next().ok_or("--captures needs a folder")?)),
            other => rest.push(other),
        }
    }
    let captures = match captures {
        Some(dir) => dir,
        None => build_captures(scale)?,
    };
    let packages = ["--package", "umbra", "--package", "umbra-benches", "--bins"];
    step::run(cargo(&["build", "--release", "--locked"]).args(packages))?;
    let release = target_dir().join("release");
    let mut table = step::program(&release.join("replay-table").to_string_lossy());
    table.arg("--umbra").arg(release.join("umbra")).arg("--captures").arg(captures).args(rest);
    println!("{}", machine());
    step::run(&mut table)
}

/// Captures of real servers and clients if their maker is at hand, else made-up ones.
fn build_captures(scale: &str) -> Result<PathBuf, String> {
    if shared_dir().is_none() {
        println!("skipped: corpus of real servers (no ../shared): made-up captures instead");
        let dir = target_dir().join(format!("corpus-made-{scale}"));
        let arguments = ["run", "--release", "--locked", "--package", "umbra-benches", "--bin", "make-captures", "--"];
        step::run(cargo(&arguments).arg(&dir).arg(scale))?;
        return Ok(dir);
    }
    let dir = target_dir().join(format!("corpus-{scale}"));
    if !dir.join("many-conns.truth.json").exists() {
        make_corpus(&dir, &["-s", scale])?;
    }
    Ok(dir)
}

/// Builds corpus captures: `corpus [-s SCALE] [-o DIR] [NAME…]`.
pub(crate) fn corpus(args: &[&str]) -> Outcome {
    make_corpus(&target_dir().join("corpus"), args)
}

fn make_corpus(dir: &Path, args: &[&str]) -> Outcome {
    let shared = shared_dir().ok_or("no ../shared: set UMBRA_SHARED")?;
    let script = shared.join("corpus/make-corpus.sh");
    // A later `-o` among the arguments wins.
    step::run(step::program(&script.to_string_lossy()).arg("-o").arg(dir).args(args))
}

/// Processor and commit: figures mean nothing without them.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let commit = step::output(step::program("git").args(["describe", "--always", "--dirty"])).unwrap_or_default();
    format!("{model}, {cores} cores, commit {}", commit.trim())
}
