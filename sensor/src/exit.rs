//! Exit codes after sysexits.h, and errors that carry one.

use std::fmt;

/// What `--fail-on` names was found.
pub(crate) const FOUND: i32 = 1;
/// Wrong command line.
pub(crate) const USAGE: i32 = 64;
/// Input that is cut or corrupt.
pub(crate) const BAD_DATA: i32 = 65;
/// Input that cannot be opened.
pub(crate) const NO_INPUT: i32 = 66;
/// A broker does not answer.
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
pub(crate) const UNREACHABLE: i32 = 69;
/// Our fault.
pub(crate) const SOFTWARE: i32 = 70;
/// Reading or writing failed.
pub(crate) const IO: i32 = 74;
/// Not allowed.
pub(crate) const NO_PERMISSION: i32 = 77;
/// Wrong configuration.
pub(crate) const CONFIG: i32 = 78;

/// One line for the operator, and the exit code that says what kind of failure it is.
#[derive(Debug)]
pub(crate) struct Failure {
    code: i32,
    message: String,
    reported: bool,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl fmt::Display) -> Self {
        // A message may quote a file name or a config value: it stays one line whatever those hold.
        let message = message.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Failure { code, message, reported: false }
    }

    /// A failure whose line has been printed already; only the exit code is left to tell.
    pub(crate) fn reported(code: i32) -> Self {
        Failure { code, message: String::new(), reported: true }
    }

    pub(crate) fn was_reported(&self) -> bool {
        self.reported
    }

    pub(crate) fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
