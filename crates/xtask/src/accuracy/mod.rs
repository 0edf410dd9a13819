//! How right the endpoints are that the sensor finds, on generated traffic with known truth.
//!
//! The generator and the scorer are those of `../shared/accuracy` (Python, standard library): a specification becomes a capture,
//! a capture goes through `umbra replay` and `umbra diff`, and what they print is scored. Nothing of the sensor is called other
//! than as its users call it.

mod case;
mod options;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use case::{Case, Row};
use options::Options;
pub(crate) use options::USAGE;
use table::Goal;

use crate::step::{self, Outcome, cargo, shared_dir, target_dir};

/// What issue 3 wants.
const GOAL: Goal =
    Goal { api: 0.97, least_api: 0.90, identifiable: 0.98, grouping: 0.95, precision: 0.99, recall: 0.99 };

/// Specifications of the reduced run: small, and of different kinds (plain REST, few identifiable variables, verbs, versions in
/// the base path, dotted and numbered segments).
const SMALL: [&str; 6] = ["gotify", "svix", "qdrant", "docker-engine", "figma", "ory-kratos"];

/// Below that something has broken: the reduced run has reached more with several seeds.
const SMALL_GOAL: Goal =
    Goal { api: 0.95, least_api: 0.85, identifiable: 0.96, grouping: 0.92, precision: 0.95, recall: 0.95 };

/// `accuracy [OPTION…]`: all specifications, and whether they reach what is wanted.
pub(crate) fn run(args: &[&str]) -> Outcome {
    if args.contains(&"--help") {
        print!("{USAGE}");
        return Ok(());
    }
    let mut options = Options::parse(args)?;
    let shared = shared_dir().ok_or("no ../shared: set UMBRA_SHARED")?;
    if options.umbra.is_none() {
        step::run(&mut cargo(&["build", "--release", "--locked", "--package", "umbra", "--bin", "umbra"]))?;
        options.umbra = Some(target_dir().join("release/umbra"));
    }
    measure(&shared, &options, &GOAL)
}

/// The reduced run of `cargo xtask ci`: the binary of the dev profile on a few small specifications.
pub(crate) fn small() -> Outcome {
    let Some(shared) = shared_dir().filter(|dir| dir.join("accuracy").is_dir()) else {
        println!("skipped: accuracy (no ../shared/accuracy)");
        return Ok(());
    };
    if !step::exists("python3") {
        println!("skipped: accuracy (no python3)");
        return Ok(());
    }
    step::run(&mut cargo(&["build", "--locked", "--package", "umbra", "--bin", "umbra"]))?;
    let options = Options {
        umbra: Some(target_dir().join("debug/umbra")),
        specs: SMALL.map(str::to_owned).to_vec(),
        requests: 0.5,
        ..Options::default()
    };
    measure(&shared, &options, &SMALL_GOAL)
}

fn measure(shared: &Path, options: &Options, goal: &Goal) -> Outcome {
    let tools = shared.join("accuracy");
    let specs = specs(&tools, &options.specs)?;
    let dir = target_dir().join("accuracy");
    // Behind a gateway three services share a host.
    let together = if options.gateway { 3 } else { 1 };
    let cases: Vec<Case<'_>> =
        specs.chunks(together).map(|specs| Case { tools: &tools, dir: &dir, specs, options }).collect();
    let (queue, rows) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    println!("{}", options.title());
    println!("{}", table::HEAD);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    let row = case.run().map_err(|why| format!("{}: {why}", case.name()));
                    if let Ok(row) = &row {
                        println!("{}", table::line(row));
                    }
                    if let Ok(mut rows) = rows.lock() {
                        rows.push(row);
                    }
                }
            });
        }
    });
    let rows: Result<Vec<Row>, String> = rows.into_inner().map_err(|_| "a thread panicked")?.into_iter().collect();
    let rows = rows?;
    if rows.len() < cases.len() {
        return Err("a thread panicked".into());
    }
    println!("{}", table::summary(&rows));
    table::check(&rows, goal)
}

/// The next case, taken from the queue.
fn next<'a, 'b>(queue: &Mutex<std::slice::Iter<'a, Case<'b>>>) -> Option<&'a Case<'b>> {
    queue.lock().ok().and_then(|mut queue| queue.next())
}

/// The specifications named, or all.
fn specs(tools: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    let dir = tools.join("specs");
    let all = step::files_under(&dir, "gz");
    if all.is_empty() {
        return Err(format!("no specifications in {}", dir.display()));
    }
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let file = format!("{name}.json.gz");
        let found = all.iter().find(|path| path.ends_with(&file));
        found.cloned().ok_or_else(|| format!("no specification {name} in {}", dir.display()))
    };
    names.iter().map(find).collect()
}
