//! APIs of language models: OpenAI and compatible ones, Anthropic, Gemini and Vertex AI, Bedrock, Ollama.
//!
//! A path alone is rarely proof: there are other products with `/v1/messages` or `/api/chat`. So most paths need a second sign: what
//! the body holds, a field that only that vendor has, or its host or port.

use super::answer::{Answer, Question};
use super::{Classified, Facts, LlmApi, Marks, Operation, Style, label};

/// Last segments of the paths of [`guess`], but for those with a colon.
const LAST: [&[u8]; 24] = [
    b"completions",
    b"embeddings",
    b"responses",
    b"moderations",
    b"generations",
    b"speech",
    b"transcriptions",
    b"models",
    b"messages",
    b"count_tokens",
    b"batches",
    b"complete",
    b"chat",
    b"generate",
    b"embed",
    b"show",
    b"pull",
    b"tags",
    b"ps",
    b"invoke",
    b"invoke-with-response-stream",
    b"converse",
    b"converse-stream",
    b"predict",
];

/// What path, host and fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Guess<'a> {
    api: LlmApi,
    operation: &'a str,
    /// Model in the path.
    model: Option<&'a str>,
    /// What must be seen beside the path.
    proof: Proof,
}

/// What must be seen beside the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing: nobody else has such a path.
    None,
    /// A request body with a model and messages, prompt or input.
    Body,
    /// An answer that lists models, where there is one.
    ModelList,
}

/// Says what a request asks a model for, if it does.
pub(super) fn classify(facts: &Facts<'_>, marks: &Marks<'_>) -> Option<Classified> {
    let path = facts.path.strip_suffix(b"/").unwrap_or(facts.path);
    // Quick no for nearly every path.
    let last = memchr::memrchr(b'/', path).and_then(|slash| path.get(slash + 1..))?;
    let may_be = match last.first() {
        Some(b'b' | b'c' | b'e' | b'g' | b'i' | b'm' | b'p' | b'r' | b's' | b't') => LAST.contains(&last),
        _ => false,
    };
    if !may_be && memchr::memchr(b':', last).is_none() {
        return None;
    }
    let guess = guess(facts, marks, std::str::from_utf8(path).ok()?)?;
    let question = facts.request_json().map(Question::read);
    let answer = facts.response_json().map(|body| Answer::read(body, facts.response_type())).unwrap_or_default();
    let vendor = vendor_is_known(facts, marks, guess.api);
    let proven = match guess.proof {
        Proof::None => true,
        Proof::Body => match &question {
            Some(question) => is_question(guess, question, vendor),
            // The body was not sampled: what says who it is must do.
            None => vendor,
        },
        Proof::ModelList => match (facts.response_body.is_some() && facts.status == 200, guess.api) {
            (true, LlmApi::Ollama) => answer.has_models,
            (true, _) => answer.object.as_deref() == Some("list") || vendor,
            (false, LlmApi::Ollama) => vendor,
            (false, _) => true,
        },
    };
    if !proven {
        return None;
    }
    let question = question.unwrap_or_default();
    let mut found = Classified::of(Style::Llm);
    found.push_operation(Operation { name: Some(guess.operation.to_owned()), ..Operation::default() });
    found.llm = Some(guess.api);
    found.model = question.model.or_else(|| guess.model.and_then(label));
    found.stream = question.stream
        || guess.operation.contains("stream")
        || super::is_event_stream(facts.response_type())
        || facts.response_type().starts_with(b"application/x-ndjson")
        || guess.operation.starts_with("streamGenerate");
    found.tools_offered = question.tools;
    if (200..300).contains(&facts.status) {
        found.response_model = answer.model;
        found.tokens_in = answer.tokens_in.or_else(|| count(facts, b"x-amzn-bedrock-input-token-count"));
        found.tokens_out = answer.tokens_out.or_else(|| count(facts, b"x-amzn-bedrock-output-token-count"));
        found.tools_called = answer.tools;
    }
    Some(found)
}

fn count(facts: &Facts<'_>, field: &[u8]) -> Option<u64> {
    std::str::from_utf8(facts.response_field(field)?).ok()?.parse().ok()
}

/// Does the body hold what this operation needs?
fn is_question(guess: Guess<'_>, question: &Question, vendor: bool) -> bool {
    let has_model = question.model.is_some() || guess.model.is_some();
    let asks = question.has_messages || question.has_prompt || question.has_input || question.has_contents;
    match (guess.api, guess.operation) {
        // Ollama loads a model with nothing but its name.
        (LlmApi::Ollama, "show" | "pull" | "generate") => has_model && (asks || vendor),
        (LlmApi::Anthropic, _) => {
            has_model && (question.has_messages || question.has_prompt) || vendor && question.is_object
        }
        _ => has_model && asks || vendor && question.is_object,
    }
}

/// Fields, hosts and ports that only this vendor has.
fn vendor_is_known(facts: &Facts<'_>, marks: &Marks<'_>, api: LlmApi) -> bool {
    let host = facts.authority;
    match api {
        LlmApi::OpenAi => {
            host.starts_with(b"api.openai.com")
                || memchr::memmem::find(host, b".openai.azure.com").is_some()
                || marks.openai
                || facts.response_field(b"openai-processing-ms").is_some()
        }
        LlmApi::Anthropic => host.starts_with(b"api.anthropic.com") || marks.anthropic,
        LlmApi::Gemini => host.starts_with(b"generativelanguage.googleapis.com") || marks.google,
        LlmApi::Bedrock => host.starts_with(b"bedrock-runtime"),
        LlmApi::Ollama => host.ends_with(b":11434"),
    }
}

fn guess<'a>(facts: &Facts<'_>, marks: &Marks<'_>, path: &'a str) -> Option<Guess<'a>> {
    let post = facts.is_method(b"POST");
    let (before, last) = path.rsplit_once('/')?;
    let found = |api, operation, model, proof| Some(Guess { api, operation, model, proof });
    // Gemini: model and operation in the last segment.
    if let Some((model, operation)) = last.split_once(':')
        && before.ends_with("/models")
        && post
    {
        return match operation {
            "generateContent"
            | "streamGenerateContent"
            | "countTokens"
            | "embedContent"
            | "batchEmbedContents"
            | "predict"
            | "streamRawPredict"
            | "rawPredict" => found(LlmApi::Gemini, operation, Some(model), Proof::None),
            _ => None,
        };
    }
    if let (Some((before, model)), true) = (before.rsplit_once('/'), post)
        && before.ends_with("/model")
    {
        return match last {
            "invoke" | "invoke-with-response-stream" | "converse" | "converse-stream" => {
                found(LlmApi::Bedrock, last, Some(model), Proof::None)
            }
            _ => None,
        };
    }
    let deployment = || {
        let (_, after) = path.split_once("/deployments/")?;
        after.split('/').next()
    };
    let is_v1 = before.ends_with("/v1")
        || before.contains("/deployments/")
        || before.ends_with("/openai")
        || before.ends_with("/v1beta/openai");
    match (last, post) {
        ("completions", true) if before.ends_with("/chat") => {
            found(LlmApi::OpenAi, "chat.completions", deployment(), Proof::Body)
        }
        ("completions", true) if is_v1 => found(LlmApi::OpenAi, "completions", deployment(), Proof::Body),
        ("embeddings", true) if is_v1 => found(LlmApi::OpenAi, "embeddings", deployment(), Proof::Body),
        ("responses", true) if is_v1 => found(LlmApi::OpenAi, "responses", deployment(), Proof::Body),
        ("moderations", true) if is_v1 => found(LlmApi::OpenAi, "moderations", None, Proof::Body),
        ("generations", true) if before.ends_with("/v1/images") => {
            found(LlmApi::OpenAi, "images.generations", None, Proof::Body)
        }
        ("speech", true) if before.ends_with("/v1/audio") => found(LlmApi::OpenAi, "audio.speech", None, Proof::Body),
        ("transcriptions", true) if before.ends_with("/v1/audio") => {
            found(LlmApi::OpenAi, "audio.transcriptions", None, Proof::Body)
        }
        ("models", false) if is_v1 && facts.is_method(b"GET") => {
            let api = if vendor_is_known(facts, marks, LlmApi::Anthropic) { LlmApi::Anthropic } else { LlmApi::OpenAi };
            found(api, "models.list", None, Proof::ModelList)
        }
        ("messages", true) if is_v1 => found(LlmApi::Anthropic, "messages", None, Proof::Body),
        ("count_tokens", true) if before.ends_with("/v1/messages") => {
            found(LlmApi::Anthropic, "messages.count_tokens", None, Proof::Body)
        }
        ("batches", true) if before.ends_with("/v1/messages") => {
            found(LlmApi::Anthropic, "messages.batches", None, Proof::Body)
        }
        ("complete", true) if is_v1 => found(LlmApi::Anthropic, "complete", None, Proof::Body),
        ("chat" | "generate" | "embed" | "embeddings" | "show" | "pull", true) if before.ends_with("/api") => {
            found(LlmApi::Ollama, last, None, Proof::Body)
        }
        ("tags" | "ps", false) if before.ends_with("/api") && facts.is_method(b"GET") => {
            found(LlmApi::Ollama, last, None, Proof::ModelList)
        }
        _ => None,
    }
}
