//! The `umbra` binary: command line, configuration, threads, signals, sinks.

/// Prints a line on stderr. That stderr is closed or its disk full is no reason to fail (F102).
macro_rules! tell {
    ($($words:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($words)*)));
    }};
}

mod catalogue;
mod check;
mod cli;
mod config;
mod diff;
mod dispatch;
mod exit;
#[cfg(any(feature = "live", feature = "kafka"))]
mod health;
mod held;
#[cfg(feature = "kafka")]
mod kafka;
mod key;
mod library;
mod output;
#[cfg(feature = "live")]
mod pressure;
mod progress;
mod replay;
mod report;
#[cfg(feature = "kafka")]
mod rollup;
#[cfg(feature = "kafka")]
mod rows;
#[cfg(feature = "live")]
mod run;
mod select;
mod services;
mod session;
mod signals;
mod specs;
mod state;
#[cfg(feature = "live")]
mod watch;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::{CommandFactory as _, Parser as _};

use crate::catalogue::Catalogue;
use crate::cli::{Cli, Command, Common};
use crate::config::Config;
use crate::exit::Failure;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(tell_bug));
    let args = cli::expand(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { code(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    code(told(execute(cli.command)))
}

/// The exit code of a result, whose one line is printed.
fn told(result: Result<(), Failure>) -> i32 {
    let Err(failure) = result else { return 0 };
    if !failure.was_reported() {
        tell!("umbra: {failure}");
    }
    failure.code()
}

/// Ends the process although threads of it cannot be ended.
#[cfg(feature = "live")]
fn leave(result: Result<(), Failure>) -> ! {
    std::process::exit(told(result))
}

/// A bug costs the flow that met it (F099) and one line: where it is, and not what it met, which is captured data.
fn tell_bug(bug: &std::panic::PanicHookInfo<'_>) {
    const TOLD: u32 = 10;
    static BUGS: AtomicU32 = AtomicU32::new(0);
    if BUGS.fetch_add(1, Ordering::Relaxed) < TOLD {
        let place = bug.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        tell!("umbra: internal error{place}: please report it");
    }
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Replay(args) => {
            let Some(config) = configure(&args.common, &args.bpf, |config| config.kafka.active = args.kafka)? else {
                return Ok(());
            };
            signals::install()?;
            replay::replay(&args, &config)
        }
        Command::Run(args) => run(&args),
        Command::Inventory(args) => inventory(&args),
        Command::Diff(args) => {
            let common = args.common();
            let Some(config) = configure(&common, &[], diff::quiet)? else { return Ok(()) };
            signals::install()?;
            diff::diff(&args, &common, &config)
        }
        #[cfg(feature = "kafka")]
        Command::Topics(args) => kafka::topics(&args),
        #[cfg(feature = "kafka")]
        Command::Rollup(args) => rollup::rollup(&args),
        #[cfg(not(feature = "kafka"))]
        Command::Topics(_) | Command::Rollup(_) => Err(no_kafka()),
        Command::Check(args) => check::check(&args),
        Command::Schema(args) => print(args.record.schema().as_bytes()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "umbra", &mut script);
            print(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            rendered.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
            print(&page)
        }
    }
}

/// The configuration in effect; `None` if it was only to be printed.
fn configure(common: &Common, bpf: &[String], more: impl FnOnce(&mut Config)) -> Result<Option<Config>, Failure> {
    let mut config = Config::read(common.config.as_deref())?;
    config.apply(common, bpf)?;
    more(&mut config);
    if common.print_config {
        print(config.to_toml().as_bytes())?;
        return Ok(None);
    }
    Ok(Some(config))
}

#[cfg(feature = "live")]
fn run(args: &cli::Run) -> Result<(), Failure> {
    let Some(config) = configure(&args.common, &args.bpf, |config| override_run(args, config))? else { return Ok(()) };
    signals::install()?;
    run::run(args, config)
}

/// What only `run` takes from the command line.
#[cfg(feature = "live")]
fn override_run(args: &cli::Run, config: &mut Config) {
    if !args.interfaces.is_empty() {
        config.capture.interfaces = args.interfaces.clone();
    }
    config.kafka.active = config.kafka.is_set();
    if let Some(user) = &args.user {
        config.capture.user = Some(user.clone());
    }
}

#[cfg(not(feature = "live"))]
fn run(_: &cli::Run) -> Result<(), Failure> {
    Err(Failure::new(exit::USAGE, "this build has no live capture: build with the feature `live`"))
}

#[cfg(not(feature = "kafka"))]
fn no_kafka() -> Failure {
    Failure::new(exit::USAGE, "this build has no Kafka: build with the feature `kafka`")
}

/// `umbra inventory`: what is kept, as `replay` prints it.
fn inventory(args: &cli::Inventory) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let mut paths = args.state.clone();
    paths.extend(config.state.directory.clone().filter(|_| args.state.is_empty()));
    if paths.is_empty() && args.from.is_none() {
        return Err(Failure::new(exit::USAGE, "no inventory: give --state DIR, or directory in [state]"));
    }
    if args.output.is_some() && args.format != cli::InventoryFormat::Openapi {
        return Err(Failure::new(exit::USAGE, "--output is for --format openapi"));
    }
    let inventory = match args.from {
        None => state::read_inventory(&paths, &config)?,
        #[cfg(feature = "kafka")]
        Some(cli::From::Kafka) => rollup::read_inventory(&config)?,
        #[cfg(not(feature = "kafka"))]
        Some(cli::From::Kafka) => return Err(no_kafka()),
    };
    // Before anything is left out: what is newest, and what goes for a whole service, does not depend on what is shown.
    let mut endpoints = Catalogue::new(&config)?.rows(&inventory);
    if !args.host.is_empty() {
        endpoints.retain(|endpoint| args.host.iter().any(|host| endpoint.host().eq_ignore_ascii_case(host)));
    }
    endpoints.retain(|endpoint| args.filter.iter().all(|filter| filter.takes(endpoint)));
    if let Some(since) = args.since {
        endpoints.retain(|endpoint| endpoint.last_seen.nanos() >= since);
    }
    let by_host = matches!(args.format, cli::InventoryFormat::Table | cli::InventoryFormat::Tree);
    select::sort(&mut endpoints, args.sort, by_host);
    let format = match args.format {
        cli::InventoryFormat::Table => cli::Format::Table,
        cli::InventoryFormat::Tree => cli::Format::Tree,
        cli::InventoryFormat::Json => cli::Format::Json,
        cli::InventoryFormat::Csv => cli::Format::Csv,
        cli::InventoryFormat::None => cli::Format::None,
        cli::InventoryFormat::Openapi => {
            let services = services::services(&endpoints);
            return match &args.output {
                Some(directory) => services::write_files(&services, directory),
                None => print(services::only(services)?.as_bytes()),
            };
        }
    };
    let mut text = Vec::new();
    let width = report::terminal_width(std::io::stdout());
    report::write_endpoints(&endpoints, inventory.endpoint_counters(), format, width, &mut text)
        .map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    print(&text)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(exit::IO, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
