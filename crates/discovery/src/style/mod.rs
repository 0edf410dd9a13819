//! API styles, each with its own notion of an operation.
//!
//! [`classify`] looks at the facts of one transaction ([`Facts`]) and says which style it shows and which operations it calls
//! ([`Classified`]). Everything is bounded, and no value is kept: names of operations, tools, models and peers only where they
//! read like names.

mod answer;
pub mod graphql;
mod graphql_http;
mod llm;
mod members;
mod rpc;
mod soap;
mod web;

use umbra_http::{HeaderBlock, KnownHeader};

use crate::schema::{Sample, Syntax, is_name, syntax_of};

pub use graphql::OperationType;

/// Operations kept of one transaction (a batch can hold many); the rest are counted.
pub const OPERATIONS: usize = graphql::OPERATIONS;
/// Tools named in one transaction, kept.
pub const TOOLS: usize = 32;
/// Longest name of a model or peer kept, bytes.
const LABEL_BYTES: usize = 96;

/// How an API is built, each with its own notion of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Style {
    /// Resources addressed by paths.
    #[default]
    Rest,
    /// gRPC and gRPC-Web: the path is `/package.Service/Method`.
    Grpc,
    /// A WebSocket.
    WebSocket,
    /// A stream of Server-Sent Events.
    ServerSentEvents,
    /// GraphQL: operation type and name, root fields.
    GraphQl,
    /// JSON-RPC 2.0: the method.
    JsonRpc,
    /// Model Context Protocol: the method, and the tool called.
    Mcp,
    /// SOAP: the action.
    Soap,
    /// An API of a language model.
    Llm,
    /// A page, script, picture, font or other file of a web site: no API.
    Web,
}

impl Style {
    /// All of them.
    pub const ALL: [Style; 10] = [
        Style::Rest,
        Style::Grpc,
        Style::WebSocket,
        Style::ServerSentEvents,
        Style::GraphQl,
        Style::JsonRpc,
        Style::Mcp,
        Style::Soap,
        Style::Llm,
        Style::Web,
    ];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Style::Rest => "rest",
            Style::Grpc => "grpc",
            Style::WebSocket => "websocket",
            Style::ServerSentEvents => "sse",
            Style::GraphQl => "graphql",
            Style::JsonRpc => "json_rpc",
            Style::Mcp => "mcp",
            Style::Soap => "soap",
            Style::Llm => "llm",
            Style::Web => "web",
        }
    }

    /// Is it the API of something, and not a page or file of a web site?
    pub const fn is_api(self) -> bool {
        !matches!(self, Style::Web)
    }

    /// Does the request body say which operation is called? Then every one is wanted, not only a sample.
    pub const fn operation_is_in_body(self) -> bool {
        matches!(self, Style::GraphQl | Style::JsonRpc | Style::Mcp | Style::Soap | Style::Llm)
    }
}

/// What is known of one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Authority of the request.
    pub authority: &'a [u8],
    /// Path as on the wire, without query.
    pub path: &'a [u8],
    /// Query without `?`.
    pub query: Option<&'a [u8]>,
    /// Request fields.
    pub request_headers: Option<&'a HeaderBlock>,
    /// Request body, if it was sampled.
    pub request_body: Option<Sample<'a>>,
    /// Status of the response; 0 without one.
    pub status: u16,
    /// Response fields; `None` without a response.
    pub response_headers: Option<&'a HeaderBlock>,
    /// Response body, if it was sampled.
    pub response_body: Option<Sample<'a>>,
    /// The HTTP stage counted gRPC messages.
    pub grpc: bool,
    /// It became a WebSocket.
    pub websocket: bool,
    /// Text messages of the socket, both ways in order, where they were sampled.
    pub socket_messages: &'a [&'a [u8]],
}

/// One operation that a transaction calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// GraphQL: what it does; `None` while a persisted query's document is not known, and in other styles.
    pub kind: Option<OperationType>,
    /// Its name: GraphQL operation name, RPC method, `package.Service/Method`, SOAP action, LLM operation.
    pub name: Option<String>,
    /// GraphQL root fields; the tool that an MCP `tools/call` names.
    pub targets: Vec<String>,
}

/// Which language model API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LlmApi {
    /// OpenAI and what is compatible with it; Azure OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Gemini and Vertex AI.
    Gemini,
    /// Amazon Bedrock.
    Bedrock,
    /// Ollama.
    Ollama,
}

impl LlmApi {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            LlmApi::OpenAi => "openai",
            LlmApi::Anthropic => "anthropic",
            LlmApi::Gemini => "gemini",
            LlmApi::Bedrock => "bedrock",
            LlmApi::Ollama => "ollama",
        }
    }
}

/// What one transaction shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classified {
    /// Style.
    pub style: Style,
    /// Operations called, in order; empty where path and method are the operation (REST).
    pub operations: Vec<Operation>,
    /// Operations past [`OPERATIONS`].
    pub more_operations: u64,
    /// Several calls in one request.
    pub batch: bool,
    /// GraphQL: SHA-256 of a persisted query, hex.
    pub persisted_hash: Option<String>,
    /// GraphQL: the document is cut or wrong.
    pub parse_error: bool,
    /// GraphQL: the schema is asked for (`__schema`, `__type`). MCP: tools are listed. Specifications on the wire.
    pub introspection: bool,
    /// The answer comes in parts: an event stream or JSON lines, or the request asks for that.
    pub stream: bool,
    /// LLM: whose API.
    pub llm: Option<LlmApi>,
    /// LLM: model asked for.
    pub model: Option<String>,
    /// LLM: model that answered.
    pub response_model: Option<String>,
    /// LLM: tokens read.
    pub tokens_in: Option<u64>,
    /// LLM: tokens written.
    pub tokens_out: Option<u64>,
    /// Tools that were called: by an MCP client, or by a model in its answer.
    pub tools_called: Vec<String>,
    /// LLM: tools that the request offers.
    pub tools_offered: Vec<String>,
    /// MCP: tools that the server lists.
    pub tools_listed: Vec<String>,
    /// JSON-RPC: code of an error answer.
    pub rpc_error: Option<i64>,
    /// MCP: the tool itself failed.
    pub tool_error: bool,
    /// MCP: protocol version agreed on.
    pub protocol_version: Option<String>,
    /// MCP: name of the client.
    pub client: Option<String>,
    /// MCP: name of the server.
    pub server: Option<String>,
}

impl Classified {
    fn of(style: Style) -> Self {
        Classified { style, ..Classified::default() }
    }

    /// The operation that an endpoint is told apart by, in one line: `query GetUser`, `mutation addItem`, `tools/call get_weather`,
    /// `batch`. `None` where path and method say it all.
    pub fn operation(&self) -> Option<String> {
        if self.batch {
            return Some("batch".to_owned());
        }
        let operation = self.operations.first()?;
        // Without a name, the fields at the root say what is called.
        let kind = operation.kind.map(OperationType::name);
        let name = match (&operation.name, self.style) {
            (Some(name), Style::Mcp) => [std::slice::from_ref(name), operation.targets.as_slice()].concat().join(" "),
            (Some(name), _) => name.clone(),
            (None, _) => operation.targets.join(","),
        };
        match (kind, name.is_empty()) {
            (Some(kind), false) => Some(format!("{kind} {name}")),
            (Some(kind), true) => Some(kind.to_owned()),
            (None, false) => Some(name),
            (None, true) => None,
        }
    }

    fn push_operation(&mut self, operation: Operation) {
        if self.operations.len() < OPERATIONS {
            self.operations.push(operation);
        } else {
            self.more_operations += 1;
        }
    }
}

/// Says what a transaction shows. The order matters: what frames the bytes first, then what the bodies say, then what the path hints
/// at; pages and files last.
pub fn classify(facts: &Facts<'_>) -> Classified {
    classify_marked(facts).0
}

/// The same, with the request field that names an API version: it is met on the way.
pub(crate) fn classify_marked<'a>(facts: &Facts<'a>) -> (Classified, Option<&'a [u8]>) {
    if facts.websocket || !facts.socket_messages.is_empty() {
        return (graphql_http::socket(facts).unwrap_or_else(|| Classified::of(Style::WebSocket)), None);
    }
    if facts.grpc || facts.request_syntax() == Syntax::Grpc {
        let mut grpc = Classified::of(Style::Grpc);
        let name = facts.path.strip_prefix(b"/").and_then(|path| std::str::from_utf8(path).ok());
        grpc.push_operation(Operation { name: name.and_then(label), ..Operation::default() });
        return (grpc, None);
    }
    let marks = Marks::of(facts.request_headers);
    let found = soap::classify(facts, &marks)
        .or_else(|| graphql_http::classify(facts))
        .or_else(|| rpc::classify(facts, &marks))
        .or_else(|| llm::classify(facts, &marks));
    if let Some(found) = found {
        return (found, marks.version);
    }
    let stream = is_event_stream(facts.response_type());
    let found =
        Classified { stream, ..Classified::of(if stream { Style::ServerSentEvents } else { web::style(facts) }) };
    (found, marks.version)
}

/// Request fields without a [`KnownHeader`] that only one style has, and those that name an API version: found in one pass, as most requests have none of them.
#[derive(Clone, Copy, Debug, Default)]
struct Marks<'a> {
    soap_action: Option<&'a [u8]>,
    mcp: bool,
    anthropic: bool,
    google: bool,
    openai: bool,
    version: Option<&'a [u8]>,
}

impl<'a> Marks<'a> {
    fn of(headers: Option<&'a HeaderBlock>) -> Self {
        let mut marks = Marks::default();
        let Some(headers) = headers else { return marks };
        for field in headers.fields().iter().filter(|field| field.known == KnownHeader::Other) {
            let name = headers.name(field);
            // By length first: nearly every name fits none.
            match name.len() {
                11 if name.eq_ignore_ascii_case(b"api-version") => marks.version = Some(headers.value(field)),
                13 if name.eq_ignore_ascii_case(b"x-api-version") => marks.version = Some(headers.value(field)),
                14 if name.eq_ignore_ascii_case(b"accept-version") => marks.version = Some(headers.value(field)),
                12 if name.eq_ignore_ascii_case(b"x-ms-version") => marks.version = Some(headers.value(field)),
                10 if name.eq_ignore_ascii_case(b"soapaction") => marks.soap_action = Some(headers.value(field)),
                14 if name.eq_ignore_ascii_case(b"mcp-session-id") => marks.mcp = true,
                14 if name.eq_ignore_ascii_case(b"x-goog-api-key") => marks.google = true,
                17 if name.eq_ignore_ascii_case(b"anthropic-version") => marks.anthropic = true,
                19 if name.eq_ignore_ascii_case(b"openai-organization") => marks.openai = true,
                20 if name.eq_ignore_ascii_case(b"mcp-protocol-version") => marks.mcp = true,
                _ => {}
            }
        }
        marks
    }
}

impl<'a> Facts<'a> {
    fn request_header(&self, known: KnownHeader) -> &'a [u8] {
        self.request_headers.and_then(|headers| headers.first(known)).unwrap_or_default()
    }

    /// A request field that has no [`KnownHeader`], by its name in lower case.
    fn request_field(&self, name: &[u8]) -> Option<&'a [u8]> {
        field(self.request_headers, name)
    }

    pub(crate) fn response_field(&self, name: &[u8]) -> Option<&'a [u8]> {
        field(self.response_headers, name)
    }

    fn request_type(&self) -> &'a [u8] {
        self.request_header(KnownHeader::ContentType)
    }

    fn response_type(&self) -> &'a [u8] {
        self.response_headers.and_then(|headers| headers.first(KnownHeader::ContentType)).unwrap_or_default()
    }

    fn request_syntax(&self) -> Syntax {
        syntax_of(self.request_type())
    }

    /// The request body, if it may be JSON: by its type, or by its first character without or with a vague one.
    fn request_json(&self) -> Option<Sample<'a>> {
        let body = self.request_body.filter(|body| !body.bytes.is_empty())?;
        let is_json = match self.request_syntax() {
            Syntax::Json | Syntax::JsonLines => true,
            Syntax::Opaque => crate::schema::sniff(body.bytes) == Syntax::Json,
            _ => false,
        };
        is_json.then_some(body)
    }

    fn response_json(&self) -> Option<Sample<'a>> {
        self.response_body.filter(|body| !body.bytes.is_empty())
    }

    fn is_method(&self, method: &[u8]) -> bool {
        self.method == method
    }
}

fn field<'a>(headers: Option<&'a HeaderBlock>, name: &[u8]) -> Option<&'a [u8]> {
    let mut fields = headers?.iter();
    fields.find(|(field, this, _)| !field.unknown && this.eq_ignore_ascii_case(name)).map(|(_, _, value)| value)
}

/// Can the JSON text hold this word? One that is written with escapes can.
fn may_hold(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some() || memchr::memmem::find(text, b"\\u").is_some()
}

fn is_event_stream(content_type: &[u8]) -> bool {
    if content_type == b"application/json" {
        return false;
    }
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// A name of an operation or field, if it reads like one.
fn name(text: &str) -> Option<String> {
    is_name(text).then(|| text.to_owned())
}

/// A name of a model, service or peer: may hold versions and dates (`org/model-20250101`), is no address, no token, no sentence.
fn label(text: &str) -> Option<String> {
    let sound = !text.is_empty()
        && text.len() <= LABEL_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/+#".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    // Parts of a name are words, versions and dates; a long part of letters and digits that take turns is a token.
    let is_token = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        part.len() >= 20 && digits > 0 && digits < part.len()
    };
    let parts = text.split(['.', '-', ':', '/', '+', '#', '_']);
    (sound && !parts.into_iter().any(is_token)).then(|| text.to_owned())
}

fn push_tool(tools: &mut Vec<String>, text: &str) {
    if tools.len() < TOOLS
        && let Some(tool) = name(text)
        && !tools.contains(&tool)
    {
        tools.push(tool);
    }
}
