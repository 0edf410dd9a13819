//! Benches: of each stage (criterion) and of the whole sensor.

use crate::step::{self, Outcome, cargo, shared_dir, target_dir};

/// `--stages`, `--smoke`, or the whole-sensor table.
pub(crate) fn run(args: &[&str]) -> Outcome {
    match args {
        // In the test profile: criterion then runs each bench once, without a clock.
        ["--smoke"] => step::run(&mut cargo(&["test", "--locked", "--package", "umbra-benches", "--benches"])),
        ["--stages", rest @ ..] => step::run(cargo(&["bench", "--locked", "--package", "umbra-benches"]).args(rest)),
        _ => Err("the whole-sensor table needs the sensor".into()),
    }
}

/// Builds corpus captures.
pub(crate) fn corpus(args: &[&str]) -> Outcome {
    let Some(shared) = shared_dir() else { return Err("no ../shared: set UMBRA_SHARED".into()) };
    let script = shared.join("corpus/make-corpus.sh");
    let out = target_dir().join("corpus");
    step::run(step::program(&script.to_string_lossy()).arg("-o").arg(out).args(args))
}
