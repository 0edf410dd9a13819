//! One model for OpenAPI 3.1, 3.0, Swagger 2.0 and for what an inventory exports.

use std::fmt;

use crate::schema::{SchemaId, Schemas};

/// The format a specification is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Swagger 2.0.
    Swagger2,
    /// OpenAPI 3.0.
    OpenApi30,
    /// OpenAPI 3.1 and later 3.x.
    #[default]
    OpenApi31,
}

/// A specification.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Name of the document, as it was given to the reader.
    pub name: String,
    /// Format.
    pub format: Format,
    /// `info.title`.
    pub title: String,
    /// `info.version`: the version of the API's description.
    pub version: String,
    /// Lists of servers; the first is that of the whole specification. There is always one.
    pub server_lists: Vec<Vec<Server>>,
    /// Operations in the order of the document. Webhooks and callbacks are calls that the API makes: not among them.
    pub operations: Vec<Operation>,
    /// Shapes that operations refer to.
    pub schemas: Schemas,
    /// Security schemes.
    pub security_schemes: Vec<SecurityScheme>,
    /// Operations in `webhooks`.
    pub webhook_operations: usize,
    /// Operations in `callbacks`.
    pub callback_operations: usize,
    /// What could not be read, in the order found.
    pub issues: Vec<Issue>,
    /// Issues past the limit, not listed.
    pub more_issues: usize,
}

impl Spec {
    /// The servers that an operation is reached at.
    pub fn servers(&self, operation: &Operation) -> &[Server] {
        self.server_lists.get(operation.servers as usize).map_or(&[], Vec::as_slice)
    }

    /// The base addresses that an operation is reached at.
    pub fn bases<'a>(&'a self, operation: &Operation) -> impl Iterator<Item = &'a Base> + use<'a> {
        self.servers(operation).iter().flat_map(|server| &server.bases)
    }
}

/// Something in a specification that could not be read. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Name of the document.
    pub document: String,
    /// JSON pointer of the place; empty is the whole document.
    pub pointer: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and keys come from the document: nothing of them may start a line or drive a terminal.
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() || is_bidi(c) { '\u{fffd}' } else { c }).take(300).collect()
        };
        write!(f, "{}#{}: {}", plain(&self.document), plain(&self.pointer), plain(&self.what))
    }
}

/// Characters that reorder or hide the text around them.
pub(crate) fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl std::error::Error for Issue {}

/// A server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    /// URL as written, with its variables.
    pub url: String,
    /// Variables.
    pub variables: Vec<ServerVariable>,
    /// The addresses it stands for: variables expanded over enum and default.
    pub bases: Vec<Base>,
}

impl Server {
    /// A server without variables.
    pub fn at(url: &str) -> Server {
        Server { url: url.to_string(), variables: Vec::new(), bases: vec![crate::base::parse(url, url)] }
    }
}

/// A variable of a server's URL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerVariable {
    /// Name.
    pub name: String,
    /// Value when none is given.
    pub default: String,
    /// The values it may have; empty: any.
    pub enumeration: Vec<String>,
}

/// An address that operations' templates are appended to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// `http`, `https`, ….
    pub scheme: Option<String>,
    /// Host in lower case, with its port where one is written. Without one: the host that serves the
    /// specification, which nobody but the operator knows.
    pub host: Option<String>,
    /// Path, without trailing slash; `""` is the root.
    pub path: String,
    /// The host with `*` for variables that may have any value, where that is still one organisation's: at least two
    /// labels stand fast.
    pub host_pattern: Option<String>,
    /// The path with `{name}` for variables that may have any value.
    pub path_pattern: String,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            if let Some(scheme) = &self.scheme {
                write!(f, "{scheme}:")?;
            }
            write!(f, "//{host}")?;
        }
        f.write_str(&self.path)
    }
}

/// An operation: a method on a path template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Method in upper case. `*`: the path item could not be read, any method may be documented there.
    pub method: String,
    /// Path template as written, without query.
    pub template: String,
    /// `operationId`.
    pub operation_id: Option<String>,
    /// Marked as deprecated.
    pub deprecated: bool,
    /// Parameters, those of the path item included.
    pub parameters: Vec<Parameter>,
    /// Request body.
    pub request_body: Option<RequestBody>,
    /// Responses.
    pub responses: Vec<Response>,
    /// Alternatives of which one authorises a request, each a set of schemes that are needed together, as places in
    /// [`Spec::security_schemes`]. An empty alternative needs nothing. `None`: the specification does not say.
    pub security: Option<Vec<Vec<u32>>>,
    /// Place in [`Spec::server_lists`].
    pub servers: u32,
    /// Its path was written with a query or a fragment: one of several operations that path and method do not tell apart.
    pub variant: bool,
    /// Something of it could not be read: what is seen of it is not called undocumented.
    pub incomplete: bool,
    /// What an inventory knows of it.
    pub evidence: Option<Evidence>,
}

/// What stands behind an observed operation, exported as `x-umbra`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Confidence that the template is right, 0 to 1.
    pub confidence: f64,
    /// Requests.
    pub requests: u64,
    /// Time of the first request, nanoseconds since 1970.
    pub first_seen_ns: u64,
    /// Time of the last request, nanoseconds since 1970.
    pub last_seen_ns: u64,
    /// What else is said of it, by name; a name that is there several times is a list.
    pub remarks: Vec<(&'static str, String)>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// In the path template.
    Path,
    /// In the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
}

impl Location {
    /// The name in specifications.
    pub const fn name(self) -> &'static str {
        match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        }
    }
}

/// How a parameter that is a list or an object is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As its location has it by default.
    #[default]
    Plain,
    /// An object as `name[key]=value`.
    DeepObject,
    /// An object's members as parameters of their own: `form` with `explode`.
    Exploded,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// Place.
    pub location: Location,
    /// Documented as required; of an observed operation: in every successful request.
    pub required: bool,
    /// Marked as deprecated.
    pub deprecated: bool,
    /// Shape.
    pub schema: Option<SchemaId>,
    /// How lists and objects are written.
    pub style: Style,
    /// Confidence of an observed parameter, 0 to 1.
    pub confidence: Option<f64>,
}

impl Parameter {
    /// A parameter of which only name, place and whether it is required are known.
    pub fn new(name: &str, location: Location, required: bool) -> Parameter {
        Parameter {
            name: name.to_string(),
            location,
            required,
            deprecated: false,
            schema: None,
            style: Style::Plain,
            confidence: None,
        }
    }
}

/// A body of one media type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Media type in lower case, without parameters; ranges such as `application/*` are allowed.
    pub media_type: String,
    /// Shape.
    pub schema: Option<SchemaId>,
}

/// A request body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestBody {
    /// Whether there must be one.
    pub required: bool,
    /// By media type.
    pub content: Vec<Content>,
}

/// The status codes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// One code.
    Code(u16),
    /// A class: 2 for `2XX`.
    Class(u16),
    /// All that no other response names.
    Default,
}

impl Status {
    /// Reads `200`, `2XX` or `default`.
    pub fn parse(text: &str) -> Option<Status> {
        match text.as_bytes() {
            b"default" => Some(Status::Default),
            [digit @ b'1'..=b'5', b'X' | b'x', b'X' | b'x'] => Some(Status::Class(u16::from(digit - b'0'))),
            [b'1'..=b'9', _, _] => text.parse().ok().map(Status::Code),
            _ => None,
        }
    }

    /// Whether a code is meant, `default` apart.
    pub const fn names(self, code: u16) -> bool {
        match self {
            Status::Code(named) => named == code,
            Status::Class(class) => class == code / 100,
            Status::Default => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Code(code) => write!(f, "{code}"),
            Status::Class(class) => write!(f, "{class}XX"),
            Status::Default => f.write_str("default"),
        }
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Status codes.
    pub status: Status,
    /// Bodies by media type.
    pub content: Vec<Content>,
    /// Names of documented header fields, in lower case.
    pub headers: Vec<String>,
}

/// A way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityScheme {
    /// Name in the specification.
    pub name: String,
    /// Kind.
    pub kind: SecurityKind,
}

/// Kinds of security schemes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityKind {
    /// A key in a header field, a query parameter or a cookie.
    ApiKey {
        /// Place.
        location: Location,
        /// Name of field, parameter or cookie.
        name: String,
    },
    /// A scheme of the `Authorization` field, in lower case: `bearer`, `basic`, ….
    Http {
        /// Scheme.
        scheme: String,
        /// `JWT` and the like, if told.
        bearer_format: Option<String>,
    },
    /// OAuth 2: a bearer token on the wire.
    OAuth2,
    /// OpenID Connect: a bearer token on the wire.
    OpenIdConnect,
    /// A client certificate.
    MutualTls,
    /// Something else, by its type.
    Other(String),
}
