//! `umbra check`: nothing is started; everything that would fail at the start fails here.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use umbra_discovery::classify::{Labels, Subject};

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::{cli, key, output, print, session, specs, state};

/// Checks a configuration, and that what it names can be used.
pub(crate) fn check(args: &cli::Check) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    key::fleet_key(config.redaction.key_file.as_deref())?;
    state::check(&config)?;
    #[cfg(feature = "kafka")]
    {
        crate::kafka::check(&config)?;
        if args.online {
            crate::kafka::check_online(&config)?;
        }
    }
    #[cfg(not(feature = "kafka"))]
    if args.online {
        return Err(Failure::new(exit::USAGE, "this build has no Kafka: build with the feature `kafka`"));
    }
    let options = umbra_capture::file::Options { filter: config.capture.filter.clone(), ..Default::default() };
    if let Some(filter) = &config.capture.filter {
        // Here it is the configuration that is wrong, not the command line.
        umbra_capture::filter::check(filter)
            .map_err(|error| Failure::new(exit::CONFIG, format!("capture.filter: {error}")))?;
    }
    #[cfg(feature = "live")]
    for name in &config.capture.interfaces {
        if name != "any" && !Path::new("/sys/class/net").join(name).exists() {
            return Err(Failure::new(
                exit::NO_INPUT,
                format!("capture.interfaces: no interface `{name}` here: `ip link`"),
            ));
        }
    }
    let user = config.capture.user.as_deref().map(user).transpose()?;
    let files = [&config.output.events, &config.output.har];
    for path in files.into_iter().flatten().filter(|path| path.as_os_str() != "-") {
        can_write(path, user)?;
    }
    if !args.files.is_empty() {
        let mut files = umbra_capture::file::FileSet::open(&args.files, options)
            .map_err(|error| session::capture_failure(&error))?;
        while files.next_batch().map_err(|error| session::capture_failure(&error))?.is_some() {}
    }
    if !args.specs.is_empty() {
        let read = specs::read(&args.specs)?;
        for spec in &read.specs {
            let name = specs::shown(&spec.spec.name);
            tell!("{name}: {} operations, {} flaws", spec.spec.operations.len(), spec.spec.issues.len());
        }
        if read.unreadable > 0 {
            return Err(Failure::reported(exit::BAD_DATA));
        }
    }
    let (unreadable, found) = Catalogue::new(&config)?.specifications();
    if !config.spec.is_empty() {
        tell!("{found}");
    }
    if unreadable > 0 {
        return Err(Failure::reported(exit::BAD_DATA));
    }
    if args.subject != cli::Subject::default() {
        return print(tried(&args.subject, &config).as_bytes());
    }
    print(b"ok\n")
}

/// Which rules fit an endpoint, and what they say together.
fn tried(given: &cli::Subject, config: &Config) -> String {
    let subject = Subject {
        host: given.host.as_deref().unwrap_or_default(),
        path: given.path.as_deref().unwrap_or_default(),
        headers: given.header.iter().map(String::as_str).collect(),
        sni: given.sni.as_deref().into_iter().collect(),
        addresses: given.address.into_iter().collect(),
        style: given.style.as_deref().unwrap_or_default(),
        models: given.model.as_deref().into_iter().collect(),
    };
    let names: Vec<String> = given.header.iter().map(|name| name.to_ascii_lowercase()).collect();
    let subject = Subject { headers: names.iter().map(String::as_str).collect(), ..subject };
    let rules = config.rules();
    let mut text = String::new();
    for rule in rules.fitting(&subject) {
        let built_in = if rule.built_in { " (built in)" } else { "" };
        let whole = if rule.whole_service { ", for the whole service" } else { "" };
        let _ = writeln!(text, "fits: {}{built_in}{whole}: {}", rule.name, said(&rule.labels));
    }
    let labels = rules.labels(rules.places(&subject));
    let _ = match labels.is_empty() {
        true => writeln!(text, "no rule fits"),
        false => writeln!(text, "together: {}", said(&labels)),
    };
    // As for traffic of clients inside.
    if let Some(place) = config.services.territory().place(subject.host, &subject.addresses, false, true) {
        let _ = writeln!(text, "place: {}", place.name());
    }
    text
}

fn said(labels: &Labels) -> String {
    let named = labels.named().into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    named.chain(labels.tags.iter().map(|tag| format!("tag={tag}"))).collect::<Vec<_>>().join(" ")
}

/// User and group ids of the user to become.
fn user(name: &str) -> Result<(u32, u32), Failure> {
    let fail = |what: &dyn std::fmt::Display| Failure::new(exit::CONFIG, format!("capture.user: `{name}`: {what}"));
    match umbra_capture::privileges::user_ids(name) {
        Ok(Some(ids)) => Ok(ids),
        Ok(None) => Err(fail(&"no such user")),
        Err(error) => Err(fail(&error)),
    }
}

/// Could a file of this name be written? By `user`, as far as the mode of its directory says.
fn can_write(path: &Path, user: Option<(u32, u32)>) -> Result<(), Failure> {
    output::refuse_capture(path)?;
    let fail = |code, what: &dyn std::fmt::Display| Failure::new(code, format!("{}: {what}", path.display()));
    if path.is_dir() {
        return Err(fail(exit::IO, &"is a directory"));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = directory.metadata().map_err(|error| fail(exit::IO, &error))?;
    if !metadata.is_dir() {
        return Err(fail(exit::IO, &io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let Some((uid, gid)) = user.filter(|(uid, _)| *uid != 0) else { return Ok(()) };
    let mode = metadata.mode();
    let writes = match () {
        () if metadata.uid() == uid => mode & 0o200,
        () if metadata.gid() == gid => mode & 0o020,
        () => mode & 0o002,
    };
    match writes {
        0 => {
            let what = format!("the user of [capture] cannot write in {}", directory.display());
            Err(fail(exit::NO_PERMISSION, &what))
        }
        _ => Ok(()),
    }
}
