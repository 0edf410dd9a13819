//! What a language model API says in its bodies: model, tokens, tools. The same reader for all vendors and for streams.

use super::members::{each_item, each_member, integer, text};
use super::{label, push_tool};
use crate::schema::events::Events;
use crate::schema::json::{Reader, Stop, Token};
use crate::schema::{Sample, Syntax, syntax_of};

/// Levels of nesting looked at.
const DEPTH: usize = 16;

/// What answers say.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) model: Option<String>,
    pub(super) tokens_in: Option<u64>,
    pub(super) tokens_out: Option<u64>,
    pub(super) tools: Vec<String>,
    /// `object` of the first document that has one: `list`, `chat.completion`.
    pub(super) object: Option<String>,
    /// Some document holds this member at its top.
    pub(super) has_models: bool,
}

impl Answer {
    /// Reads a response: JSON, an array of parts, JSON lines or events.
    pub(super) fn read(body: Sample<'_>, content_type: &[u8]) -> Answer {
        let mut answer = Answer::default();
        match syntax_of(content_type) {
            Syntax::EventStream => {
                let mut events = Events::new(body.bytes, body.cut);
                while let Some(event) = events.next_event() {
                    answer.read_documents(&mut Reader::new(event.data, false));
                }
            }
            _ => answer.read_documents(&mut Reader::many(body.bytes, body.cut)),
        }
        answer
    }

    fn read_documents(&mut self, reader: &mut Reader<'_>) {
        while let Ok(token) = reader.next() {
            let read = each_item(reader, token, |reader, token| match token {
                Token::Object => self.read_object(reader, "", "", 0),
                _ => Ok(()),
            });
            if read.is_err() {
                break;
            }
        }
    }

    /// Reads the object that was entered last, which is (in) the member `parent` of the member `grand`.
    fn read_object(&mut self, reader: &mut Reader<'_>, parent: &str, grand: &str, depth: usize) -> Result<(), Stop> {
        let (mut kind, mut called) = (None, None);
        let is_message = depth == 0 || (depth == 1 && matches!(parent, "response" | "message"));
        each_member(reader, |reader, key, token| {
            match (key, token) {
                ("model" | "modelVersion", Token::String(_)) if is_message && self.model.is_none() => {
                    self.model = text(token).as_deref().and_then(label);
                }
                ("object", Token::String(_)) if depth == 0 && self.object.is_none() => self.object = text(token),
                ("models", Token::Array) if depth == 0 => self.has_models = true,
                ("type", Token::String(_)) => kind = text(token),
                ("name", Token::String(_)) => called = text(token),
                (_, Token::Number(_)) => self.read_count(key, integer(token), parent, depth),
                (_, Token::Object | Token::Array) if depth < DEPTH => {
                    return each_item(reader, token, |reader, token| match token {
                        Token::Object => self.read_object(reader, key, parent, depth + 1),
                        _ => Ok(()),
                    });
                }
                _ => {}
            }
            Ok(())
        })?;
        let is_call = matches!(kind.as_deref(), Some("function_call" | "tool_use"))
            || (parent == "function" && grand == "tool_calls")
            || matches!(parent, "functionCall" | "toolUse");
        if let Some(called) = called.filter(|_| is_call) {
            push_tool(&mut self.tools, &called);
        }
        Ok(())
    }

    /// Counts of tokens; in a stream the last one holds.
    fn read_count(&mut self, key: &str, count: Option<i64>, parent: &str, depth: usize) {
        let Some(count) = count.and_then(|count| u64::try_from(count).ok()) else { return };
        let in_usage = matches!(parent, "usage" | "usageMetadata");
        match key {
            "prompt_tokens" | "input_tokens" | "promptTokenCount" | "inputTokens" if in_usage => {
                self.tokens_in = Some(count)
            }
            "completion_tokens" | "output_tokens" | "candidatesTokenCount" | "outputTokens" if in_usage => {
                self.tokens_out = Some(count);
            }
            "prompt_eval_count" | "input_tokens" | "totalTokens" if depth == 0 => self.tokens_in = Some(count),
            "eval_count" if depth == 0 => self.tokens_out = Some(count),
            _ => {}
        }
    }
}

/// What a request to a language model says.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    pub(super) tools: Vec<String>,
    pub(super) has_messages: bool,
    pub(super) has_prompt: bool,
    pub(super) has_input: bool,
    pub(super) has_contents: bool,
    pub(super) has_max_tokens: bool,
    /// The body is JSON as far as it was seen.
    pub(super) is_object: bool,
}

impl Question {
    pub(super) fn read(body: Sample<'_>) -> Question {
        let mut question = Question::default();
        let mut reader = Reader::new(body.bytes, body.cut);
        if reader.next() == Ok(Token::Object) {
            question.is_object = true;
            let _ = each_member(&mut reader, |reader, key, token| {
                match (key, token) {
                    ("model", Token::String(_)) => question.model = text(token).as_deref().and_then(label),
                    ("stream", Token::Bool(stream)) => question.stream = stream,
                    ("messages", Token::Array) => question.has_messages = true,
                    ("prompt", Token::String(_) | Token::Array) => question.has_prompt = true,
                    ("input", Token::String(_) | Token::Array) => question.has_input = true,
                    ("contents", Token::Array | Token::Object) => question.has_contents = true,
                    ("max_tokens", Token::Number(_)) => question.has_max_tokens = true,
                    ("tools", Token::Array) => {
                        return each_item(reader, token, |reader, token| match token {
                            Token::Object => read_tool(&mut question.tools, reader, 0),
                            _ => Ok(()),
                        });
                    }
                    _ => {}
                }
                Ok(())
            });
        }
        question
    }
}

/// `{"name"}`, `{"function": {"name"}}`, `{"functionDeclarations": [{"name"}]}`, `{"toolSpec": {"name"}}`
fn read_tool(tools: &mut Vec<String>, reader: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
    each_member(reader, |reader, key, token| {
        match (key, token) {
            ("name", Token::String(_)) => push_tool(tools, &text(token).unwrap_or_default()),
            (
                "function" | "functionDeclarations" | "function_declarations" | "toolSpec",
                Token::Object | Token::Array,
            ) if depth < 2 => {
                return each_item(reader, token, |reader, token| match token {
                    Token::Object => read_tool(tools, reader, depth + 1),
                    _ => Ok(()),
                });
            }
            _ => {}
        }
        Ok(())
    })
}
