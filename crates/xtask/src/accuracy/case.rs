//! One capture: generated, replayed, scored.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::options::Options;
use crate::step::{self, Outcome};

/// The host that stands before several services.
const GATEWAY: &str = "gateway.example";

/// Specifications whose traffic makes one capture.
pub(super) struct Case<'a> {
    pub(super) tools: &'a Path,
    pub(super) dir: &'a Path,
    pub(super) specs: &'a [PathBuf],
    pub(super) options: &'a Options,
}

/// What the scorer says of one case.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) operations: u64,
    /// Operations that can be told apart at all.
    pub(super) identifiable_operations: u64,
    pub(super) api: f64,
    pub(super) identifiable: f64,
    pub(super) grouping: f64,
    /// Endpoints that scanners and wrong paths have made.
    pub(super) noise: u64,
    pub(super) conformance: [Counts; 3],
    pub(super) errors: Vec<String>,
}

/// Kinds of findings scored, in the order of [`Row::conformance`].
pub(super) const FINDINGS: [&str; 3] = ["shadow", "zombie", "orphan"];

/// Right, wrong and missed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) right: u64,
    pub(super) wrong: u64,
    pub(super) missed: u64,
}

impl Case<'_> {
    /// Names of the specifications.
    pub(super) fn name(&self) -> String {
        let names: Vec<String> = self.specs.iter().map(|path| spec_name(path)).collect();
        names.join("+")
    }

    /// Generates, replays, scores.
    pub(super) fn run(&self) -> Result<Row, String> {
        let dir = self.dir.join(self.options.title().replace(", ", "-").replace(' ', "")).join(self.name());
        let capture = dir.join("traffic.pcap");
        if !(self.options.keep && capture.exists() && dir.join("truth.json").exists()) {
            self.generate(&dir)?;
        }
        let scored = self.replay(&dir, &capture).and_then(|()| self.score(&dir));
        if !self.options.keep {
            std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        scored
    }

    fn generate(&self, dir: &Path) -> Outcome {
        let options = self.options;
        let mut command = self.python("specgen.py");
        for spec in self.specs {
            command.arg("--spec").arg(spec);
        }
        command.arg("--out").arg(dir).arg("--pcap").args(["--seed", &options.seed]);
        command.args(["--scale", &options.scale.to_string()]);
        command.args(["--noise-share", &options.noise_share.to_string()]);
        if options.requests != 1.0 {
            command.args(["--requests", &self.requests()?.to_string()]);
        }
        if options.gateway {
            command.args(["--gateway", GATEWAY]);
        }
        step::output(&mut command).map(drop)
    }

    /// The generator's own number of requests (40 an operation that is called, nine in ten are; 3,000 to 60,000), times the factor.
    fn requests(&self) -> Result<u64, String> {
        let count = "import sys; sys.path.insert(0, sys.argv[1]); import specgen; \
                     print(sum(len(specgen.Spec(path).ops) for path in sys.argv[2:]))";
        let mut command = step::program("python3");
        command.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", count]).arg(self.tools).args(self.specs);
        let count = step::output(&mut command)?;
        let operations: f64 = count.trim().parse().map_err(|_| format!("no count of operations: {count}"))?;
        Ok(((operations * 0.9 * 40.0).clamp(3_000.0, 60_000.0) * self.options.requests) as u64)
    }

    /// Endpoints and findings in the form that the scorer reads.
    fn replay(&self, dir: &Path, capture: &Path) -> Outcome {
        let workers = self.options.workers.to_string();
        let common = ["--quiet", "--workers", &workers, "--format", "json"];
        let inventory = json_of(self.umbra()?.arg("replay").args(common).arg(capture))?;
        let endpoints: Vec<Value> =
            list(&inventory, "endpoints").iter().filter(|row| is_endpoint(row)).map(listed).collect();
        write(&dir.join("endpoints.json"), &endpoints)?;
        let mut diff = self.umbra()?;
        diff.arg("diff").args(common).arg(capture);
        for spec in self.specs {
            diff.arg("--spec").arg(dir.join(format!("spec.{}.modified.json", spec_name(spec))));
        }
        let findings: Vec<Value> = list(&json_of(&mut diff)?, "findings").iter().filter_map(finding).collect();
        write(&dir.join("findings.json"), &findings)
    }

    fn score(&self, dir: &Path) -> Result<Row, String> {
        let mut command = self.python("score.py");
        command.arg("--dir").arg(dir).arg("--inferred").arg(dir.join("endpoints.json"));
        command.arg("--conformance").arg(dir.join("findings.json"));
        command.args(["--json", "--errors", &self.options.errors.to_string()]);
        let scores = json_of(&mut command)?;
        let number =
            |path: &str| scores.pointer(path).and_then(Value::as_f64).ok_or_else(|| format!("no score {path}"));
        let count = |path: &str| number(path).map(|number| number as u64);
        let mut conformance = [Counts::default(); 3];
        for (counts, kind) in conformance.iter_mut().zip(FINDINGS) {
            let of = |what: &str| count(&format!("/conformance/{kind}/{what}"));
            *counts = Counts { right: of("tp")?, wrong: of("fp")?, missed: of("fn")? };
        }
        let errors = scores.get("errors").and_then(Value::as_object).into_iter().flatten();
        let errors = errors.flat_map(|(kind, list)| {
            let list = list.as_array().into_iter().flatten().filter_map(Value::as_str);
            list.map(move |text| format!("{kind}: {text}"))
        });
        Ok(Row {
            name: self.name(),
            operations: count("/operations")?,
            identifiable_operations: count("/identifiable/operations")?,
            api: number("/api/f1")?,
            identifiable: number("/identifiable/f1")?,
            grouping: number("/grouping_accuracy")?,
            noise: count("/noise_endpoints")?,
            conformance,
            errors: errors.collect(),
        })
    }

    fn python(&self, script: &str) -> Command {
        let mut command = step::program("python3");
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(self.tools.join(script));
        command
    }

    fn umbra(&self) -> Result<Command, String> {
        let umbra = self.options.umbra.as_ref().ok_or("no umbra")?;
        Ok(step::program(&umbra.to_string_lossy()))
    }
}

fn spec_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".json.gz").to_owned()
}

fn json_of(command: &mut Command) -> Result<Value, String> {
    serde_json::from_str(&step::output(command)?).map_err(|error| error.to_string())
}

fn list<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What the inventory lists; paths that no server answered with success are there for those who look for scanners.
fn is_endpoint(row: &Value) -> bool {
    row.get("confirmed").and_then(Value::as_bool).unwrap_or_default()
}

fn listed(row: &Value) -> Value {
    let kind = if text(row, "style") == "web" { "web" } else { "api" };
    json!({"kind": kind, "method": text(row, "method"), "host": text(row, "host"), "template": text(row, "route")})
}

/// A finding about an operation of the specification goes by the operation's own template.
fn finding(row: &Value) -> Option<Value> {
    let kind = text(row, "kind");
    let documented = row.pointer("/operation/template").and_then(Value::as_str).filter(|_| kind != "shadow");
    let template = documented.unwrap_or_else(|| text(row, "template"));
    let (method, host) = (text(row, "method"), text(row, "host"));
    FINDINGS.contains(&kind).then(|| json!({"kind": kind, "method": method, "host": host, "template": template}))
}

fn write(path: &Path, rows: &[Value]) -> Outcome {
    let text = serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?;
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
