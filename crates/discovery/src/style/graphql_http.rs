//! GraphQL over HTTP and WebSockets.

use super::graphql::{self, Document};
use super::members::{each_item, each_member, text};
use super::{Classified, Facts, Operation, OperationType, Style, name};
use crate::schema::form::{Parts, decode};
use crate::schema::json::{Reader, Stop, Token};
use crate::schema::{Sample, Syntax};

/// One request in the JSON form of GraphQL over HTTP.
#[derive(Debug, Default)]
struct Request {
    query: Option<String>,
    operation_name: Option<String>,
    hash: Option<String>,
    /// A stored document is named otherwise (`documentId`, `id`, `doc_id`).
    stored: bool,
    has_variables: bool,
}

/// Does the path say that this is GraphQL?
fn path_says_so(path: &[u8]) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').find(|segment| !segment.is_empty()).unwrap_or_default();
    [b"graphql".as_slice(), b"gql", b"graphql-api"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// Says what a request calls, if it is GraphQL.
pub(super) fn classify(facts: &Facts<'_>) -> Option<Classified> {
    let mut found = match facts.method {
        b"GET" | b"HEAD" => from_query(facts)?,
        b"POST" => from_body(facts)?,
        _ => return None,
    };
    found.introspection = found
        .operations
        .iter()
        .any(|operation| operation.targets.iter().any(|field| matches!(field.as_str(), "__schema" | "__type")));
    found.stream |= super::is_event_stream(facts.response_type());
    Some(found)
}

fn from_query(facts: &Facts<'_>) -> Option<Classified> {
    let query = facts.query?;
    // Quick no for the many requests without these parameters.
    let mut pairs = query.split(|&byte| byte == b'&').take(crate::schema::form::PARAMETERS);
    if !pairs.any(|pair| pair.starts_with(b"query=") || pair.starts_with(b"extensions=")) && !path_says_so(facts.path) {
        return None;
    }
    let mut request = Request::default();
    for pair in query.split(|&byte| byte == b'&').take(crate::schema::form::PARAMETERS) {
        let Some(equals) = pair.iter().position(|&byte| byte == b'=') else { continue };
        let (key, value) = pair.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match key {
            b"query" => request.query = Some(decode(value).into_owned()),
            b"operationName" => {
                request.operation_name = Some(decode(value).into_owned()).filter(|name| !name.is_empty())
            }
            b"extensions" => {
                let extensions = decode(value);
                let mut reader = Reader::new(extensions.as_bytes(), false);
                if let Ok(Token::Object) = reader.next() {
                    let _ = request.read_extensions(&mut reader);
                }
            }
            b"variables" => request.has_variables = true,
            _ => {}
        }
    }
    let mut found = Classified::of(Style::GraphQl);
    // Only queries may be sent with GET (GraphQL over HTTP §5.1).
    request.add_to(&mut found, path_says_so(facts.path), Some(OperationType::Query)).then_some(found)
}

fn from_body(facts: &Facts<'_>) -> Option<Classified> {
    let says_so = path_says_so(facts.path);
    let essence = facts.request_type().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let Some(body) = facts.request_body.filter(|body| !body.bytes.is_empty()) else {
        // Without its body the path and a type that only GraphQL has say it.
        let typed = says_so || essence.eq_ignore_ascii_case(b"application/graphql");
        return typed.then(|| Classified::of(Style::GraphQl));
    };
    if essence.eq_ignore_ascii_case(b"application/graphql") {
        let mut found = Classified::of(Style::GraphQl);
        let text = String::from_utf8_lossy(body.bytes);
        match graphql::read(&text) {
            Some(document) => add_document(&mut found, &document, None),
            None => found.parse_error = true,
        }
        return Some(found);
    }
    if facts.request_syntax() == Syntax::Multipart {
        // GraphQL multipart request: the operations come first.
        let mut parts = Parts::new(facts.request_type(), body.bytes)?;
        while let Some(part) = parts.next_part() {
            if part.name == b"operations" {
                return from_json(Sample { bytes: part.content, cut: part.cut }, says_so);
            }
        }
        return None;
    }
    let body = facts.request_json()?;
    // Quick no for other JSON.
    if !says_so && !super::may_hold(body.bytes, b"query") && !super::may_hold(body.bytes, b"persistedQuery") {
        return None;
    }
    from_json(body, says_so)
}

fn from_json(body: Sample<'_>, says_so: bool) -> Option<Classified> {
    let mut reader = Reader::new(body.bytes, body.cut);
    let mut found = Classified::of(Style::GraphQl);
    let first = reader.next().ok()?;
    found.batch = first == Token::Array;
    if !matches!(first, Token::Array | Token::Object) {
        return None;
    }
    let (mut is_graphql, mut others) = (false, false);
    let read = each_item(&mut reader, first, |reader, token| {
        if token != Token::Object {
            others = true;
            return Err(Stop::Bad);
        }
        let mut request = Request::default();
        let read = request.read(reader);
        if request.add_to(&mut found, says_so, None) {
            is_graphql = true;
        } else {
            others = true;
        }
        // Not one of many items of something else is worth reading.
        if others { Err(Stop::Bad) } else { read }
    });
    // A document so long that the sample ends in it.
    is_graphql |= says_so && !others && read == Err(Stop::Cut);
    found.parse_error |= is_graphql && matches!(read, Err(Stop::Cut | Stop::Bad));
    (is_graphql && !others).then_some(found)
}

/// Says what the messages of a socket call, if they are GraphQL (`graphql-transport-ws`, and the older `graphql-ws`).
pub(super) fn socket(facts: &Facts<'_>) -> Option<Classified> {
    let mut found = Classified { stream: true, ..Classified::of(Style::GraphQl) };
    let protocol = facts.request_field(b"sec-websocket-protocol").unwrap_or_default();
    let mut is_graphql = memchr::memmem::find(protocol, b"graphql").is_some();
    for message in facts.socket_messages {
        let mut reader = Reader::new(message, false);
        let (mut kind, mut request) = (None, None);
        if reader.next() != Ok(Token::Object) {
            continue;
        }
        let _ = each_member(&mut reader, |reader, key, token| {
            match (key, token) {
                ("type", _) => kind = text(token),
                ("payload", Token::Object) => {
                    let mut payload = Request::default();
                    let read = payload.read(reader);
                    request = Some(payload);
                    return read;
                }
                _ => {}
            }
            Ok(())
        });
        if let (Some("subscribe" | "start"), Some(request)) = (kind.as_deref(), request) {
            is_graphql |= request.add_to(&mut found, true, None);
        }
    }
    is_graphql.then_some(found)
}

impl Request {
    /// Reads the members of the object that was entered last.
    fn read<'a>(&mut self, reader: &mut Reader<'a>) -> Result<(), Stop> {
        each_member(reader, |reader, key, token| {
            match (key, token) {
                ("query", Token::String(_)) => self.query = text(token),
                ("operationName", Token::String(_)) => {
                    self.operation_name = text(token).filter(|name| !name.is_empty())
                }
                ("variables", _) => self.has_variables = true,
                ("documentId" | "doc_id", Token::String(_) | Token::Number(_)) => self.stored = true,
                ("id", Token::String(_)) => self.stored |= self.has_variables,
                ("extensions", Token::Object) => return self.read_extensions(reader),
                _ => {}
            }
            Ok(())
        })
    }

    /// `{"persistedQuery": {"sha256Hash": …}}`
    fn read_extensions(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        each_member(reader, |reader, key, token| match (key, token) {
            ("persistedQuery", Token::Object) => each_member(reader, |_, key, token| {
                if key == "sha256Hash" {
                    let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
                    self.hash = text(token).filter(is_hash);
                }
                Ok(())
            }),
            _ => Ok(()),
        })
    }

    /// Adds the operations of this request; false if it is no GraphQL. `implied`: the type of what has no document.
    fn add_to(self, found: &mut Classified, says_so: bool, implied: Option<OperationType>) -> bool {
        if found.persisted_hash.is_none() {
            found.persisted_hash.clone_from(&self.hash);
        }
        match self.query.as_deref().filter(|query| !query.is_empty()) {
            Some(query) => match graphql::read(query) {
                Some(document) => add_document(found, &document, self.operation_name.as_deref()),
                None if says_so => {
                    found.parse_error = true;
                    found.push_operation(Operation {
                        name: self.operation_name.as_deref().and_then(name),
                        ..Operation::default()
                    });
                }
                None => return false,
            },
            None if self.hash.is_some() || (says_so && (self.stored || self.operation_name.is_some())) => {
                let name = self.operation_name.as_deref().and_then(name);
                found.push_operation(Operation { kind: implied, name, targets: Vec::new() });
            }
            None => return false,
        }
        true
    }
}

/// Adds the operations of a document: the one that is asked for, or all if it does not say.
fn add_document(found: &mut Classified, document: &Document<'_>, wanted: Option<&str>) {
    found.parse_error |= document.broken;
    let asked = document.operations.iter().find(|operation| wanted.is_some() && operation.name == wanted);
    let all = if asked.is_some() { &[] } else { document.operations.as_slice() };
    for operation in asked.into_iter().chain(all) {
        found.push_operation(Operation {
            kind: Some(operation.kind),
            name: operation.name.and_then(name),
            targets: operation.root_fields.iter().filter_map(|field| name(field)).collect(),
        });
    }
}
