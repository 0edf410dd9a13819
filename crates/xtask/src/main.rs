//! The one command list, for laptop and CI alike: `cargo xtask ci` runs all of it, each step has a name of its own.

mod accuracy;
mod bench;
mod boundary;
mod contract;
mod corpus_check;
mod deny;
mod fuzz;
mod step;
mod testdata;

use std::process::ExitCode;

use step::{Outcome, cargo, root};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  ci                                   every step below that says (ci), then a summary
  setup [demo|test]                    install the Debian packages that building or testing needs
  fmt [--fix]                          (ci) formatting
  boundary                             (ci) pure crates stay pure, arrows of use hold
  deny                                 (ci) licences, sources and bans of dependencies
  clippy                               (ci) lints, warnings denied
  doc                                  (ci) documentation, warnings denied
  test [ARG…]                          (ci) all tests; ARGs go to `cargo test`
  contract                             (ci, with test) exported OpenAPI before openapi-spec-validator and schemathesis (PyPI)
  fuzz [--seconds N] [--jobs N] [TARGET…]
                                       (ci: 3 s each) fuzz targets, 60 s each unless told, on stable Rust
  bench [ARG…]                         whole sensor against a libpcap loop and tshark; `bench --help` lists the ARGs
  bench --stages [FILTER]              criterion benches of each stage
  bench --smoke                        (ci) each bench once, results asserted, nothing timed
  accuracy [ARG…]                      generated traffic of many APIs, replayed and scored; `accuracy --help` lists the ARGs
  accuracy --small                     (ci) the same on a few small ones, with a floor
  testdata [--check]                   write the captures of testdata/ anew
  corpus [-s SCALE] [-o DIR] [NAME…]   build captures of real servers and clients with known truth (root)
  corpus-check --made                  (ci) the check below on small captures made from code
  corpus-check [--umbra PROGRAM] [--workers N] [DIR] [NAME…]
                                       compare the events of corpus captures with the servers' access logs
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["ci"] => return ci(),
        ["setup", rest @ ..] => step::run(step::program("deploy/setup.sh").args(rest)),
        ["fmt"] => fmt(false),
        ["fmt", "--fix"] => fmt(true),
        ["boundary"] => boundary::check(),
        ["deny"] => deny::check(),
        ["clippy"] => clippy(),
        ["doc"] => doc(),
        ["test", rest @ ..] => test(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["accuracy", "--small"] => accuracy::small(),
        ["accuracy", rest @ ..] => accuracy::run(rest),
        ["contract"] => contract::run(),
        ["testdata", rest @ ..] => testdata::run(rest),
        ["corpus", rest @ ..] => bench::corpus(rest),
        ["corpus-check", "--made"] => corpus_check::made(),
        ["corpus-check", rest @ ..] => corpus_check::run(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every step even after one failed, so that one round of CI shows all that is wrong.
fn ci() -> ExitCode {
    type Step = (&'static str, fn() -> Outcome);
    let steps: [Step; 10] = [
        ("fmt", || fmt(false)),
        ("boundary", boundary::check),
        ("deny", deny::check),
        ("clippy", clippy),
        ("doc", doc),
        ("test", || test(&[])),
        ("made corpus", corpus_check::made),
        ("accuracy", accuracy::small),
        ("bench smoke", || bench::run(&["--smoke"])),
        ("fuzz", || fuzz::run(&["--seconds", "3"])),
    ];
    let mut summary = Vec::new();
    let mut failed = false;
    for (name, step) in steps {
        println!("\n== {name}");
        let start = std::time::Instant::now();
        let outcome = step();
        let seconds = start.elapsed().as_secs();
        failed |= outcome.is_err();
        summary.push(match outcome {
            Ok(()) => format!("  ok      {name} ({seconds} s)"),
            Err(why) => format!("  FAILED  {name} ({seconds} s): {why}"),
        });
    }
    println!("\n== summary\n{}", summary.join("\n"));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn fmt(fix: bool) -> Outcome {
    let check: &[&str] = if fix { &[] } else { &["--check"] };
    step::run(cargo(&["fmt", "--all"]).args(check))?;
    // By file: `cargo fmt` in fuzz/ would format its path dependencies, the whole workspace, once more.
    let targets = step::files_under(&root().join("fuzz/fuzz_targets"), "rs");
    step::run(step::program("rustfmt").args(["--edition", "2024"]).args(check).args(targets))
}

fn clippy() -> Outcome {
    step::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

fn doc() -> Outcome {
    step::run(cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn test(args: &[&str]) -> Outcome {
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Who names tests wants these, quickly.
    if args.is_empty()
        && let Some(tools) = contract::tools()?
    {
        command.env("UMBRA_SPEC_TOOLS", tools);
    }
    step::run(command.args(args))
}
