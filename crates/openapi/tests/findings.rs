//! Shadow, zombie and orphan findings against the truth of generated traffic: the true endpoints are what was observed,
//! so all that is scored is the comparison. The whole product is scored by `make accuracy`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{read_file, shared};
use umbra_openapi::{Bound, Conformance, Coverage, HostWindow, Observed, Operation, Schemas, SpecSet};

type Key = (String, String, String);

/// As `score.py` has it: variables unnamed, no trailing slash.
fn key(value: &Value) -> Key {
    let text = |key: &str| value[key].as_str().unwrap().to_string();
    (text("method"), text("host"), norm(&text("template")))
}

fn norm(template: &str) -> String {
    let segments = template.split('/').map(|segment| if segment.contains('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/").trim_end_matches('/').to_string()
}

fn generate(folder: &Path, out: &Path, specs: &[&str], gateway: bool) -> bool {
    let mut command = Command::new("python3");
    command.arg(folder.join("specgen.py")).args(["--seed", "31", "--requests", "1", "--out"]).arg(out);
    for spec in specs {
        command.arg("--spec").arg(folder.join("specs").join(format!("{spec}.json.gz")));
    }
    if gateway {
        command.args(["--gateway", "gw.example.test"]);
    }
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => panic!("specgen: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("skipped: python3: {error}");
            false
        }
    }
}

/// Hits, false findings and misses per kind.
#[derive(Default)]
struct Score(std::collections::BTreeMap<&'static str, (usize, usize, usize)>);

impl Score {
    fn add(&mut self, kind: &'static str, found: &BTreeSet<Key>, truth: &BTreeSet<Key>, name: &str) {
        let (hits, wrong, missed) = self.0.entry(kind).or_default();
        *hits += found.intersection(truth).count();
        *wrong += found.difference(truth).count();
        *missed += truth.difference(found).count();
        for key in found.symmetric_difference(truth) {
            println!("{name}: {kind} {key:?} {}", if found.contains(key) { "is not one" } else { "is missed" });
        }
    }
}

fn compare(out: &Path, specs: &[&str], score: &mut Score) {
    let truth: Value = serde_json::from_slice(&std::fs::read(out.join("truth.json")).unwrap()).unwrap();
    let bound = specs.iter().map(|spec| {
        let spec = read_file(out, &format!("spec.{spec}.modified.json")).unwrap();
        Bound { spec, hosts: Vec::new() }
    });
    let set = SpecSet::new(bound.collect());
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_string();
    let mut observed = Vec::new();
    for operation in truth["operations"].as_array().unwrap() {
        observed.push(Observed {
            host: text(operation, "host"),
            operation: Operation {
                method: text(operation, "method"),
                template: text(operation, "template"),
                ..Operation::default()
            },
            ..Observed::default()
        });
    }
    let hosts: BTreeSet<&String> = observed.iter().map(|endpoint| &endpoint.host).collect();
    let hosts: Vec<HostWindow> =
        hosts.into_iter().map(|host| HostWindow { host: host.clone(), coverage: Coverage::Whole }).collect();
    let report = set.compare(&observed, &Schemas::default(), &hosts);
    assert_eq!(report.verdicts.len(), observed.len());
    let mut found: std::collections::BTreeMap<&str, BTreeSet<Key>> = Default::default();
    for (endpoint, verdict) in observed.iter().zip(&report.verdicts) {
        let operation = &endpoint.operation;
        let key = (operation.method.clone(), endpoint.host.clone(), norm(&operation.template));
        found.entry(verdict.conformance.name()).or_default().insert(key);
        assert!(!matches!(verdict.conformance, Conformance::Unmanaged(_)), "{specs:?}: {operation:?}");
    }
    for orphan in &report.orphans {
        let key = (orphan.method.clone(), orphan.host.clone(), norm(&orphan.template));
        found.entry("orphan").or_default().insert(key);
    }
    for kind in ["shadow", "zombie", "orphan"] {
        let truth: BTreeSet<Key> = truth[kind].as_array().unwrap().iter().map(key).collect();
        score.add(kind, found.get(kind).unwrap_or(&BTreeSet::new()), &truth, &specs.join("+"));
    }
}

/// All specifications take minutes: a few of each kind here, all of them with `UMBRA_ALL_SPECS=1`.
#[test]
fn findings_are_those_of_the_truth() {
    let Some(folder) = shared("accuracy") else { return };
    let mut sets: Vec<(Vec<String>, bool)> = Vec::new();
    if std::env::var_os("UMBRA_ALL_SPECS").is_some() {
        let mut names: Vec<String> = std::fs::read_dir(folder.join("specs"))
            .unwrap()
            .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json.gz")?.to_string()))
            .collect();
        names.sort();
        sets.extend(names.into_iter().map(|name| (vec![name], false)));
    } else {
        for name in ["gotify", "svix", "ory-kratos", "spotify"] {
            sets.push((vec![name.to_string()], false));
        }
    }
    sets.push((vec!["gotify".into(), "qdrant".into(), "figma".into()], true));
    let out = std::env::temp_dir().join(format!("umbra-openapi-{}", std::process::id()));
    let mut score = Score::default();
    for (specs, gateway) in &sets {
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let folder_out = out.join(specs.join("+"));
        if !generate(&folder, &folder_out, &specs, *gateway) {
            return;
        }
        compare(&folder_out, &specs, &mut score);
        std::fs::remove_dir_all(&folder_out).unwrap();
    }
    let _ = std::fs::remove_dir_all(&out);
    for (kind, (hits, wrong, missed)) in score.0 {
        let share = |of: usize| if hits + of == 0 { 1.0 } else { hits as f64 / (hits + of) as f64 };
        println!("{kind}: precision {:.4} recall {:.4} of {}", share(wrong), share(missed), hits + missed);
        assert!(share(wrong) >= 0.99 && share(missed) >= 0.99, "{kind}: {hits} hits, {wrong} wrong, {missed} missed");
    }
}
