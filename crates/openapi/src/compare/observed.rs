//! What the comparison is told of the traffic.

use crate::matching::OperationRef;
use crate::model::{Location, Operation, SecurityKind};

/// An endpoint that was observed. It is an [`Operation`] of the model, read like this:
///
/// - `method`, `template`: template with the base path, variables in braces;
/// - `parameters`: `required` is true where every successful request had it;
/// - `request_body`, `responses`: shapes by media type and status code, a property `required` where every body had it, an
///   object `Additional::Open` where not all of its members were kept;
/// - `deprecated`, `security` and `servers` mean nothing here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Canonical host.
    pub host: String,
    /// What was observed.
    pub operation: Operation,
    /// Credentials seen in successful requests. Of an API key without a name the place alone counts.
    pub auth: Vec<SecurityKind>,
    /// Successful requests without any credential.
    pub unauthenticated: u64,
    /// Places of parameters that were looked at. Where none were looked at, none are missing.
    pub looked_at: Vec<Location>,
    /// Request bodies were looked at: without one, one was never there.
    pub bodies: bool,
    /// The operations that its successful requests matched one by one ([`SpecSet::request`](crate::SpecSet::request)), if
    /// that was looked at. Where the template has a variable and the specifications have literals, these count.
    pub matched: Vec<OperationRef>,
    /// Successful requests that matched none.
    pub unmatched: u64,
}

/// How much of a host's traffic could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coverage {
    /// All of it, but for losses that are told elsewhere.
    Whole,
    /// Some of it: encrypted, one-sided or cut for the rest.
    Partly,
}

/// A host of which traffic was seen in the window of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostWindow {
    /// Canonical host.
    pub host: String,
    /// How much of its traffic could be read.
    pub coverage: Coverage,
}
