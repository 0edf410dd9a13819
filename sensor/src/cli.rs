//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Passive API discovery sensor: rebuilds HTTP from mirrored packets and says which API endpoints exist.
#[derive(Debug, Parser)]
#[command(name = "umbra", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Short forms: `umbra -r FILE [BPF…]` is `umbra replay FILE -- BPF…`, `umbra -i IFACE [BPF…]` is `umbra run`.
Exit codes: 1 what --fail-on names was found, 64 usage, 65 bad data, 66 no input, 70 internal, 74 input/output, 77 no permission, 78 configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read capture files and print the API inventory.
    Replay(Replay),
    /// Listen on interfaces until stopped.
    Run(Run),
    /// Print the inventory that `run` and `replay` keep with `--state`.
    Inventory(Inventory),
    /// Compare the endpoints of captures, or of a kept inventory, with API specifications (OpenAPI 3.1, 3.0, Swagger 2.0).
    Diff(Diff),
    /// Join what all sensors have told Kafka into one inventory, as one of any number of processes.
    Rollup(Rollup),
    /// Plan, create or check the Kafka topics.
    Topics(Topics),
    /// Check a configuration file, and that what it names can be used.
    Check(Check),
    /// Print the JSON Schema of a published record.
    Schema(Schema),
    /// Write the completion script of a shell to stdout.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual page to stdout.
    Man,
}

/// What `replay` and `run` share.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file (TOML). Options on the command line win over it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration in effect and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Write one JSON event per transaction to FILE, or to stdout with `-`.
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) events: Option<PathBuf>,
    /// Which routes the events of a replay carry.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) routes: Option<Routes>,
    /// Write the transactions as HAR 1.2 to FILE, redacted as the events are.
    #[arg(long, value_name = "FILE")]
    pub(crate) har: Option<PathBuf>,
    /// Keep the inventory in DIR: what earlier runs found is read first, and this one adds to it.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How to print the inventory at the end.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Worker threads; flows are spread over them.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    /// Show what redaction hides, for local analysis: any of path, query, headers.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) reveal: Vec<Reveal>,
    /// File with the fleet key (at least 32 bytes, mode 0600) of the hashes that stand for credentials.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Only packets that match this BPF filter.
    #[arg(long, value_name = "BPF")]
    pub(crate) filter: Option<String>,
    /// Colours and progress: auto asks whether stderr is a terminal. NO_COLOR is honoured.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Print no summary and no progress, only errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Capture files (pcap, pcapng, also gzip or zstd), directories of them, or `-` for stdin.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<PathBuf>,
    /// Send the events to the Kafka of the configuration, marked as a replay, and wait until it has them all.
    #[arg(long, conflicts_with_all = ["events", "har"])]
    pub(crate) kafka: bool,
    #[command(flatten)]
    pub(crate) common: Common,
    /// BPF filter, after `--`.
    #[arg(last = true, value_name = "BPF")]
    pub(crate) bpf: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Capture files, directories of them, or `-` for stdin.
    #[arg(required_unless_present = "state", conflicts_with = "state", value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<PathBuf>,
    /// Instead of captures, the inventory that `run` and `replay` keep; may be given several times.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) state: Vec<PathBuf>,
    /// Specification, or a directory of them; may be given several times. `=HOST` binds it to hosts instead of those
    /// that its servers name. Without any, those of `[[spec]]` in the configuration.
    #[arg(long = "spec", value_name = "FILE|DIR[=HOST,…]")]
    pub(crate) specs: Vec<String>,
    /// Exit with 1 if there is any of these.
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) fail_on: Vec<FailOn>,
    /// How to print what was found.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = DiffFormat::Table)]
    pub(crate) format: DiffFormat,
    /// Configuration file (TOML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Worker threads; flows are spread over them.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    /// Only packets that match this BPF filter.
    #[arg(long, value_name = "BPF")]
    pub(crate) filter: Option<String>,
    /// Progress: auto asks whether stderr is a terminal.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Print no summary and no progress, only errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl Diff {
    /// The options of a replay that prints no inventory.
    pub(crate) fn common(&self) -> Common {
        Common {
            config: self.config.clone(),
            print_config: false,
            events: None,
            routes: None,
            har: None,
            state: None,
            format: Some(Format::None),
            workers: self.workers,
            reveal: Vec::new(),
            key_file: None,
            filter: self.filter.clone(),
            color: self.color,
            quiet: self.quiet,
        }
    }
}

/// What makes `umbra diff` end with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Called, but not documented.
    Shadow,
    /// No specification for the host or base path.
    Unmanaged,
    /// Deprecated or gone from the newest version, but called.
    Zombie,
    /// Documented and observable, but not seen.
    Orphan,
    /// Different from what is documented.
    Drift,
    /// Any of these.
    Any,
}

/// How `umbra diff` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Interface to listen on; may be given several times.
    #[arg(short, long = "interface", value_name = "IFACE")]
    pub(crate) interfaces: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// User to become once the interfaces are open; no capability is kept.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<u64>,
    /// BPF filter.
    #[arg(value_name = "BPF")]
    pub(crate) bpf: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Inventory {
    /// Configuration file (TOML), for `[state] directory`, `[services]` and the rules.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory that holds the inventory, or an inventory file; may be given several times: they are joined for the print.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) state: Vec<PathBuf>,
    /// Read what all sensors have told the Kafka of the configuration, instead of a state directory.
    #[arg(long, value_enum, value_name = "WHERE", conflicts_with = "state")]
    pub(crate) from: Option<From>,
    /// How to print it.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: InventoryFormat,
    /// Only services of this host; may be given several times.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// Only endpoints for which this holds: host, method, route, style, operation, status (`5xx`), confirmed, team, product,
    /// environment, criticality, owner, tag, place, version, older, specification (`shadow`, `drift`) or publishes
    /// (`openapi`), with `*` for any text. Given several times, all must hold.
    #[arg(long, value_name = "KEY=PATTERN")]
    pub(crate) filter: Vec<crate::select::Filter>,
    /// Only endpoints seen since then: `24h`, `7d`, a day, or a time in UTC such as `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "WHEN", value_parser = crate::select::since)]
    pub(crate) since: Option<u64>,
    /// Order; all but name the largest or latest first. Table and tree keep the endpoints of a host together.
    #[arg(long, value_enum, value_name = "BY", default_value_t)]
    pub(crate) sort: Sort,
    /// With `--format openapi`: directory for one file a service, `HOST.json`.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Where `umbra inventory` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// The topic of what sensors have learnt.
    Kafka,
}

/// Order of `umbra inventory`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Host, route and method.
    #[default]
    Name,
    /// Requests.
    Requests,
    /// Answers with 4xx and 5xx.
    Errors,
    /// Clients.
    Clients,
    /// First request.
    FirstSeen,
    /// Last request.
    LastSeen,
}

/// How `umbra inventory` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InventoryFormat {
    /// Columns for people.
    #[default]
    Table,
    /// Hosts and the segments of their paths, with what is called there.
    Tree,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// An OpenAPI 3.1 document of each service.
    Openapi,
    /// Nothing.
    None,
}

/// Consumer group of the roll-up.
pub(crate) const GROUP: &str = "umbra-rollup";

#[derive(Debug, Args)]
pub(crate) struct Rollup {
    /// Configuration file (TOML); what counts is `[kafka]`, `[services]`, the rules, pins and specifications.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Brokers instead of those of the configuration.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) brokers: Vec<String>,
    /// Consumer group: processes of one group share the partitions.
    #[arg(long, value_name = "NAME", default_value = GROUP)]
    pub(crate) group: String,
    /// End when all that is there now is rolled up and written, instead of waiting for more.
    #[arg(long)]
    pub(crate) once: bool,
    /// Take endpoints out that had no request for so many days, by the newest packet time; 0 keeps them for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    pub(crate) expire_days: u32,
    /// Also paths that no server has answered with success.
    #[arg(long)]
    pub(crate) unconfirmed: bool,
    /// Print no summary, only errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Topics {
    /// What to do with them: print what they should be and the ACLs needed, make those that are missing, or compare.
    #[arg(value_enum)]
    pub(crate) action: TopicsAction,
    /// Configuration file (TOML); what counts is `[kafka]`.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Brokers instead of those of the configuration.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) brokers: Vec<String>,
}

/// What `umbra topics` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopicsAction {
    /// Print what they should be and the ACLs needed.
    Plan,
    /// Make those that are missing.
    Create,
    /// Compare what is there with the plan.
    Check,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration file (TOML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Also ask each Kafka broker, and look at the topics.
    #[arg(long)]
    pub(crate) online: bool,
    /// Capture files to try to open.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// API specifications to try to read; may be given several times.
    #[arg(long = "spec", value_name = "FILE|DIR")]
    pub(crate) specs: Vec<String>,
    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// An endpoint to try the classification rules on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Try the rules")]
pub(crate) struct Subject {
    /// Print which rules fit an endpoint of this host, and what they say of it.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Its path or route.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// A field that its requests have; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) header: Vec<String>,
    /// Its server name of TLS.
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// Address of its server.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<std::net::IpAddr>,
    /// Its API style.
    #[arg(long, value_name = "STYLE")]
    pub(crate) style: Option<String>,
    /// A language model that its requests name.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which record.
    #[arg(value_enum, default_value_t = Record::Event)]
    pub(crate) record: Record,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Record {
    /// One HTTP transaction.
    Event,
    /// One endpoint of the inventory.
    Endpoint,
    /// What one sensor has learnt of an endpoint.
    SensorRow,
    /// What one sensor has learnt of the routes of a service.
    RouteEvidence,
    /// Something to act on.
    Finding,
    /// How well a sensor sees and delivers.
    Health,
}

impl Record {
    /// Its JSON Schema.
    pub(crate) fn schema(self) -> &'static str {
        use umbra_event::kafka;
        match self {
            Record::Event => umbra_event::EVENT_SCHEMA,
            Record::Endpoint => kafka::ENDPOINT_SCHEMA,
            Record::SensorRow => kafka::SENSOR_ROW_SCHEMA,
            Record::RouteEvidence => kafka::ROUTE_EVIDENCE_SCHEMA,
            Record::Finding => kafka::FINDING_SCHEMA,
            Record::Health => kafka::HEALTH_SCHEMA,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// Hosts and the segments of their paths, with what is called there.
    Tree,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// Nothing.
    None,
}

/// Which routes events carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Routes {
    /// Those of the inventory: events are written when all is read.
    #[default]
    Final,
    /// Those known by then: events are written as packets come, for a pipe that goes on.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reveal {
    /// Paths as on the wire.
    Path,
    /// Query strings as on the wire.
    Query,
    /// All header fields with their values, credentials and cookies too.
    Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// If stderr is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Rewrites the short forms: `-r FILE [BPF…]` and `-i IFACE [BPF…]` without a command, as tcpdump users type them.
pub(crate) fn expand(mut args: Vec<OsString>) -> Vec<OsString> {
    let first = args.get(1).and_then(|arg| arg.to_str()).unwrap_or_default();
    match first {
        "-r" | "--read" if args.len() > 2 => {
            args[1] = "replay".into();
            // Options may follow the file; the first word that is none begins the filter.
            let mut at = 3;
            while at < args.len() {
                let text = args[at].to_string_lossy().into_owned();
                if text == "--" {
                    return args;
                }
                if !text.starts_with('-') || text == "-" {
                    args.insert(at, "--".into());
                    return args;
                }
                at += if takes_value(&text) { 2 } else { 1 };
            }
            args
        }
        "-i" | "--interface" if args.len() > 2 => {
            args.insert(1, "run".into());
            args
        }
        _ => args,
    }
}

/// Does the option's value stand in the next word?
fn takes_value(option: &str) -> bool {
    if option.contains('=') || (!option.starts_with("--") && option.len() > 2) {
        return false;
    }
    !matches!(option, "-q" | "--quiet" | "--print-config" | "-h" | "--help")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Cli {
        let args = line.split(' ').map(OsString::from).collect();
        Cli::try_parse_from(expand(args)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_forms_mean_replay_and_run() {
        let Command::Replay(replay) = parse("umbra -r x.pcap --events - -q tcp port 80").command else {
            panic!("not a replay")
        };
        assert_eq!(replay.files, [PathBuf::from("x.pcap")]);
        assert_eq!(replay.bpf, ["tcp", "port", "80"]);
        assert_eq!(replay.common.events, Some(PathBuf::from("-")));
        let Command::Replay(replay) = parse("umbra -r x.pcap").command else { panic!("not a replay") };
        assert!(replay.bpf.is_empty());
        let Command::Run(run) = parse("umbra -i eth0 tcp port 80").command else { panic!("not a run") };
        assert_eq!((run.interfaces, run.bpf.len()), (vec!["eth0".to_string()], 3));
    }
}
