//! What can go wrong with the disk, each with what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of this crate. `Display` gives one line that ends with the mend.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused or failed.
    Io {
        /// What was tried, with the file's name.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has the directory.
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other process, if it left its id in the lock file.
        process: Option<u32>,
    },
    /// The directory is not one that data should be written to.
    Unsafe {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The state file refused or failed.
    Database {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no state to read.
    NoState {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The state is of a program that is newer than this one.
    NewerState {
        /// The file.
        file: PathBuf,
        /// Version of its layout.
        version: u32,
    },
    /// These two states have traffic in common, which would count twice.
    Overlap {
        /// The file that was to be added.
        file: PathBuf,
    },
    /// A setting that cannot work.
    Config {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn database(what: impl Into<String>, source: rusqlite::Error) -> Error {
        Error::Database { what: what.into(), source: source.into() }
    }

    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Error {
        Error::Io { what: what.into(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { what, source } => write!(f, "cannot {what}: {source}"),
            Error::Locked { directory, process: Some(process) } => write!(
                f,
                "{} is in use by process {process}: stop it or give this instance a state directory of its own",
                directory.display()
            ),
            Error::Locked { directory, process: None } => write!(
                f,
                "{} is in use by another process: stop it or give this instance a state directory of its own",
                directory.display()
            ),
            Error::Unsafe { directory, reason } => {
                write!(f, "{} {reason}: give a directory that only this user can write to", directory.display())
            }
            Error::Database { what, source } => write!(f, "cannot {what}: {source}"),
            Error::NoState { file } => write!(
                f,
                "there is no inventory at {}: `umbra run` or `umbra replay` with `--state` makes one",
                file.display()
            ),
            Error::NewerState { file, version } => write!(
                f,
                "{} has layout version {version}, which this umbra does not know: use the newer umbra that wrote it",
                file.display()
            ),
            Error::Overlap { file } => write!(
                f,
                "{} is in this inventory already, or has a part in common with it: adding it would count that twice",
                file.display()
            ),
            Error::Config { reason } => write!(f, "spool: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Database { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}
