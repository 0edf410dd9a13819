//! JSON-RPC 2.0 and the Model Context Protocol (streamable HTTP transport).

use super::members::{each_item, each_member, integer, text};
use super::{Classified, Facts, Marks, Operation, Style, label, name, push_tool};
use crate::schema::events::Events;
use crate::schema::json::{Reader, Stop, Token};
use crate::schema::{Sample, Syntax, sniff};

/// Methods that only MCP has, by their first part.
const MCP_PREFIXES: [&str; 7] =
    ["tools/", "resources/", "prompts/", "notifications/", "sampling/", "roots/", "elicitation/"];

/// A call, notification or response of JSON-RPC.
#[derive(Debug, Default)]
struct Message {
    is_rpc: bool,
    method: Option<String>,
    tool: Option<String>,
    protocol_version: Option<String>,
    peer: Option<String>,
    model: Option<String>,
    is_response: bool,
    error: Option<i64>,
    tool_error: bool,
    tools: Vec<String>,
}

/// Says what a request calls, if it is JSON-RPC.
pub(super) fn classify(facts: &Facts<'_>, marks: &Marks<'_>) -> Option<Classified> {
    let session = marks.mcp;
    if !session && !facts.is_method(b"POST") {
        return None;
    }
    let streams = super::is_event_stream(facts.response_type());
    if session && facts.request_body.is_none_or(|body| body.bytes.is_empty()) {
        let name = match facts.method {
            b"GET" => "listen",
            b"DELETE" => "end-session",
            b"POST" => return Some(Classified { stream: streams, ..Classified::of(Style::Mcp) }),
            _ => return None,
        };
        let mut found = Classified { stream: streams || name == "listen", ..Classified::of(Style::Mcp) };
        found.push_operation(Operation { name: Some(name.to_owned()), ..Operation::default() });
        return Some(found);
    }
    if !facts.is_method(b"POST") {
        return None;
    }
    let body = facts.request_json()?;
    if !super::may_hold(body.bytes, b"jsonrpc") {
        return None;
    }
    let (requests, batch) = read(body);
    if requests.is_empty() || !requests.iter().all(|request| request.is_rpc) {
        return None;
    }
    let is_mcp = session || facts.response_field(b"mcp-session-id").is_some() || requests.iter().any(Message::is_mcp);
    let mut found = Classified::of(if is_mcp { Style::Mcp } else { Style::JsonRpc });
    found.batch = batch;
    found.stream = streams;
    for request in requests {
        found.add_request(request);
    }
    for response in facts.response_json().map(|body| responses(facts, body)).unwrap_or_default() {
        found.add_response(response);
    }
    Some(found)
}

impl Classified {
    fn add_request(&mut self, message: Message) {
        let mut operation = Operation { name: message.method.as_deref().and_then(name), ..Operation::default() };
        if operation.name.is_none() && message.is_response {
            operation.name = Some("response".to_owned());
            self.model = message.model;
        }
        if let Some(tool) = message.tool.as_deref() {
            if message.method.as_deref() == Some("tools/call") {
                push_tool(&mut self.tools_called, tool);
            }
            operation.targets.extend(name(tool));
        }
        if self.style == Style::Mcp {
            self.introspection |= message.method.as_deref() == Some("tools/list");
            self.protocol_version = self.protocol_version.take().or(message.protocol_version);
            self.client = self.client.take().or(message.peer);
        }
        self.push_operation(operation);
    }

    fn add_response(&mut self, message: Message) {
        self.rpc_error = self.rpc_error.or(message.error);
        if self.style != Style::Mcp {
            return;
        }
        self.tool_error |= message.tool_error;
        // The server decides which version it is.
        self.protocol_version = message.protocol_version.or(self.protocol_version.take());
        self.server = message.peer.or(self.server.take());
        for tool in &message.tools {
            push_tool(&mut self.tools_listed, tool);
        }
    }
}

/// The messages of an answer: a JSON text, or the events of a stream.
fn responses(facts: &Facts<'_>, body: Sample<'_>) -> Vec<Message> {
    if !super::is_event_stream(facts.response_type()) {
        return if sniff(body.bytes) == Syntax::Json { read(body).0 } else { Vec::new() };
    }
    let mut messages = Vec::new();
    let mut events = Events::new(body.bytes, body.cut);
    while let Some(event) = events.next_event() {
        messages
            .extend(read(Sample { bytes: event.data, cut: false }).0.into_iter().filter(|message| message.is_response));
        if messages.len() >= super::OPERATIONS {
            break;
        }
    }
    messages
}

/// The messages of a JSON text, and whether they are in an array. Those that come after what is cut are lost.
fn read(body: Sample<'_>) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    let mut reader = Reader::new(body.bytes, body.cut);
    let Ok(first) = reader.next() else { return (messages, false) };
    let _ = each_item(&mut reader, first, |reader, token| {
        if token != Token::Object || messages.len() >= 4 * super::OPERATIONS {
            return Err(Stop::Bad);
        }
        let mut message = Message::default();
        let read = message.read(reader);
        messages.push(message);
        read
    });
    (messages, first == Token::Array)
}

impl Message {
    fn is_mcp(&self) -> bool {
        match self.method.as_deref() {
            // Language servers have an `initialize` too, without a protocol version.
            Some("initialize") => self.protocol_version.is_some(),
            Some("completion/complete" | "logging/setLevel") => true,
            Some(method) => MCP_PREFIXES.iter().any(|prefix| method.starts_with(prefix)),
            None => false,
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        each_member(reader, |reader, key, token| {
            match (key, token) {
                ("jsonrpc", Token::String(version)) => self.is_rpc = version.is("2.0"),
                ("method", _) => self.method = text(token),
                ("params", Token::Object) => return self.read_params(reader),
                ("result", token) => {
                    self.is_response = true;
                    if token == Token::Object {
                        return self.read_result(reader);
                    }
                }
                ("error", Token::Object) => {
                    self.is_response = true;
                    return each_member(reader, |_, key, token| {
                        if key == "code" {
                            self.error = integer(token);
                        }
                        Ok(())
                    });
                }
                _ => {}
            }
            Ok(())
        })
    }

    /// `name` (a tool only if the method says so: it may come later), `protocolVersion`, `clientInfo`.
    fn read_params(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        each_member(reader, |reader, key, token| match (key, token) {
            ("name", _) => {
                self.tool = text(token);
                Ok(())
            }
            ("protocolVersion", _) => {
                self.protocol_version = version(token);
                Ok(())
            }
            ("clientInfo", Token::Object) => self.read_peer(reader),
            _ => Ok(()),
        })
    }

    fn read_result(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        each_member(reader, |reader, key, token| match (key, token) {
            ("protocolVersion", _) => {
                self.protocol_version = version(token);
                Ok(())
            }
            ("serverInfo", Token::Object) => self.read_peer(reader),
            ("isError", Token::Bool(failed)) => {
                self.tool_error = failed;
                Ok(())
            }
            ("model", _) => {
                self.model = text(token).as_deref().and_then(label);
                Ok(())
            }
            ("tools", Token::Array) => each_item(reader, token, |reader, token| {
                if token != Token::Object {
                    return Ok(());
                }
                each_member(reader, |_, key, token| {
                    if key == "name" && self.tools.len() < super::TOOLS {
                        self.tools.extend(text(token));
                    }
                    Ok(())
                })
            }),
            _ => Ok(()),
        })
    }

    fn read_peer(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        each_member(reader, |_, key, token| {
            if key == "name" {
                self.peer = text(token).as_deref().and_then(label);
            }
            Ok(())
        })
    }
}

/// A protocol version of MCP is a date.
fn version(token: Token<'_>) -> Option<String> {
    text(token)
        .filter(|text| text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte)))
}
