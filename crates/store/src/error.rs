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
    /// A setting that cannot work.
    Config {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
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
            Error::Config { reason } => write!(f, "spool: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
