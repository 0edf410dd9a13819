//! SOAP 1.1 and 1.2.

use super::{Classified, Facts, Marks, Operation, Style, name};
use crate::schema::form::parameter;
use crate::schema::{Sample, Syntax, sniff};

/// Pieces of a document looked at for the first element of its body.
const PIECES: usize = 256;

/// Says which action a request asks for, if it is SOAP.
pub(super) fn classify(facts: &Facts<'_>, marks: &Marks<'_>) -> Option<Classified> {
    if !facts.is_method(b"POST") {
        return None;
    }
    let kind = facts.request_type();
    if marks.soap_action.is_none() && kind == b"application/json" {
        return None;
    }
    let essence = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is_soap12 = essence.eq_ignore_ascii_case(b"application/soap+xml");
    let may_be_xml = is_soap12 || matches!(facts.request_syntax(), Syntax::Xml);
    // SOAP 1.1 §6.1.1: the field must be there, and may be empty.
    let action = marks.soap_action;
    let body = facts.request_body.filter(|body| !body.bytes.is_empty());
    if !may_be_xml && action.is_none() && !body.is_some_and(|body| kind.is_empty() && sniff(body.bytes) == Syntax::Xml)
    {
        return None;
    }
    let envelope = body.map(|body| Envelope::read(body));
    if !is_soap12 && action.is_none() && !envelope.as_ref().is_some_and(|envelope| envelope.is_soap) {
        return None;
    }
    let mut found = Classified::of(Style::Soap);
    let named = action.or_else(|| parameter(kind, b"action")).and_then(last_part);
    let operation = named.or_else(|| envelope.and_then(|envelope| envelope.operation));
    if operation.is_some() {
        found.push_operation(Operation { name: operation, ..Operation::default() });
    }
    Some(found)
}

/// The last part of an action URI, where the operation is.
fn last_part(action: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(action).ok()?.trim().trim_matches('"');
    name(text.rsplit(['/', '#', ':']).next()?)
}

#[derive(Debug, Default)]
struct Envelope {
    is_soap: bool,
    operation: Option<String>,
}

impl Envelope {
    /// Looks for `Envelope`, `Body` and the first element in it.
    fn read(body: Sample<'_>) -> Envelope {
        let mut envelope = Envelope::default();
        let text = match std::str::from_utf8(body.bytes) {
            Ok(text) => text,
            Err(error) => {
                std::str::from_utf8(body.bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
            }
        };
        let mut in_body = false;
        crate::schema::each_element(text, PIECES, |depth, element| match (depth, element) {
            (0, "Envelope") => {
                envelope.is_soap = true;
                true
            }
            (0, _) => false,
            (1, element) => {
                in_body = element == "Body";
                true
            }
            (2, element) if in_body => {
                envelope.operation = name(element);
                false
            }
            _ => true,
        });
        envelope
    }
}
