//! Exported OpenAPI documents before the tools that others read them with: openapi-spec-validator and schemathesis, from PyPI.

use std::path::PathBuf;

use crate::step::{self, Outcome, cargo, target_dir};

/// What is put into a virtual environment in the target folder.
const PACKAGES: [&str; 2] = ["openapi-spec-validator==0.9.0", "schemathesis==4.32.5"];

/// Runs the tests that use them.
pub(crate) fn run() -> Outcome {
    let mut command = cargo(&["test", "--locked", "-p", "umbra", "--test", "contract"]);
    command.args(["-p", "umbra-openapi", "--test", "writing", "--", "--nocapture"]);
    if let Some(tools) = tools()? {
        command.env("UMBRA_SPEC_TOOLS", tools);
    }
    step::run(&mut command)
}

/// The folder of the programs, installed if need be; `None` where they cannot be had, with the reason printed. In CI that is an error.
pub(crate) fn tools() -> Result<Option<PathBuf>, String> {
    let venv = target_dir().join("spec-tools");
    let bin = venv.join("bin");
    // Written last: an installation that was broken off begins again.
    let (done, wanted) = (venv.join("installed"), PACKAGES.join("\n"));
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(bin));
    }
    let install = || -> Outcome {
        step::run(step::program("python3").args(["-m", "venv"]).arg(&venv))?;
        let pip = bin.join("pip");
        let arguments = ["install", "--quiet", "--disable-pip-version-check"];
        step::run(step::program(&pip.to_string_lossy()).args(arguments).args(PACKAGES))?;
        std::fs::write(&done, &wanted).map_err(|error| format!("{}: {error}", done.display()))
    };
    match install() {
        Ok(()) => Ok(Some(bin)),
        Err(why) if std::env::var_os("CI").is_none() => {
            println!("skipped: no check of exported documents: {why}");
            Ok(None)
        }
        Err(why) => Err(why),
    }
}
