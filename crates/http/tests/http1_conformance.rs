//! HTTP/1 against the sets of shared/conformance/http1: llhttp's own tests, cases of request smuggling, libhtp's conversations.
//! Whole and in single bytes. Without the sets: skipped.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value;
use support::*;
use umbra_http::Transaction;

/// Where we read otherwise than llhttp, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    ("request/method#12", "ICE/1.0 is not HTTP"),
    ("request/method#13", "RTSP/1.0 is not HTTP"),
    ("request/method#14", "RTSP/1.0 is not HTTP"),
    ("request/method#15", "PRI with HTTP/1.1 is no preface: a method like others"),
    ("response/sample#2", "RTSP/1.1 is not HTTP"),
    ("response/sample#3", "ICE/1.1 is not HTTP"),
];

fn set(name: &str) -> Option<PathBuf> {
    umbra_testkit::shared(&format!("conformance/http1/{name}"))
}

fn rows(name: &str) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(set(name)?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn input(row: &Value) -> Vec<u8> {
    let mut bytes = base64::engine::general_purpose::STANDARD.decode(row["input_b64"].as_str().unwrap()).unwrap();
    // llhttp's inputs were stored without their last line end; the offsets of the log count it.
    let entries = row["log"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let offset = |entry: &str| {
        let mut words = entry.strip_prefix("off=")?.split(' ');
        let start: usize = words.next()?.parse().ok()?;
        let len = words.next().and_then(|word| word.strip_prefix("len=")).and_then(|len| len.parse().ok());
        Some(start + len.unwrap_or(0))
    };
    let len: usize = entries.filter_map(offset).max().unwrap_or(0);
    let missing = len.saturating_sub(bytes.len());
    let line_ends = if bytes.ends_with(b"\r") { b"\n\r\n" } else { &b"\r\n\r\n"[..] };
    bytes.extend_from_slice(&line_ends[..missing.min(line_ends.len())]);
    bytes
}

/// A message as llhttp's log or our transaction shows it.
#[derive(Default, PartialEq, Eq, Clone)]
struct Message {
    method: Vec<u8>,
    target: Vec<u8>,
    status: u64,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body_len: u64,
    complete: bool,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} [", self.method.escape_ascii(), self.target.escape_ascii(), self.status)?;
        for (name, value) in &self.fields {
            write!(f, "{}={};", name.escape_ascii(), value.escape_ascii())?;
        }
        write!(f, "] {} {}", self.body_len, self.complete)
    }
}

/// The messages of a log whose heads are complete.
fn expected(row: &Value, bytes: &[u8]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut current = Message::default();
    let mut in_head = true;
    for entry in row["log"].as_array().unwrap() {
        let entry = entry.as_str().unwrap();
        let mut words = entry.split(' ');
        let number = |word: Option<&str>| word.and_then(|w| w.split('=').nth(1)).and_then(|n| n.parse::<usize>().ok());
        let offset = number(words.next()).unwrap_or(0);
        if let Some((_, rest)) = entry.split_once("span[") {
            let len = number(words.next()).unwrap();
            let text = bytes.get(offset..offset + len).unwrap_or_default();
            match rest.split_once(']').unwrap().0 {
                "method" => current.method.extend_from_slice(text),
                "url" => current.target.extend_from_slice(text),
                "header_field" => current.fields.push((text.to_vec(), Vec::new())),
                "header_value" => current.fields.last_mut().unwrap().1.extend_from_slice(text),
                "body" => current.body_len += len as u64,
                _ => {}
            }
            if !in_head && let Some(last) = messages.last_mut() {
                *last = Message { complete: last.complete, ..current.clone() };
            }
        } else if entry.ends_with("message begin") {
            (current, in_head) = (Message::default(), true);
        } else if entry.contains("headers complete") {
            current.status = entry
                .split(' ')
                .find_map(|word| word.strip_prefix("status="))
                .and_then(|n| n.parse().ok())
                .unwrap_or_default();
            in_head = false;
            messages.push(current.clone());
        } else if entry.ends_with("message complete")
            && let Some(last) = messages.last_mut()
        {
            last.complete = true;
        }
    }
    messages
}

fn ours(t: &Transaction) -> Message {
    let (headers, body) = match (&t.request, &t.response) {
        (Some(request), _) => (&request.headers, &t.request_body),
        (None, Some(response)) => (&response.headers, &t.response_body),
        (None, None) => unreachable!("a transaction has one of the two"),
    };
    Message {
        method: t.request.as_ref().map(|r| r.method().to_vec()).unwrap_or_default(),
        target: t.request.as_ref().and_then(|r| r.target().map(<[u8]>::to_vec)).unwrap_or_default(),
        status: t.response.as_ref().map_or(0, |r| u64::from(r.status)),
        fields: headers.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect(),
        body_len: body.len_bytes,
        complete: body.complete,
    }
}

/// The target as we split it: authority apart, an empty path is `/`.
fn split_target(message: &mut Message) {
    let text = String::from_utf8_lossy(&message.target).into_owned();
    if message.method == b"CONNECT" {
        message.target.clear();
    } else if let Some(rest) = text.strip_prefix("http://") {
        let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
        message.target = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    }
    for (_, value) in &mut message.fields {
        *value = value.trim_ascii().to_vec();
    }
}

fn mismatch(row: &Value, bytes: &[u8], pieces: &[usize]) -> Option<String> {
    let is_request = row["type"] == "request";
    let steps = [if is_request { c(bytes) } else { s(bytes) }];
    let end = Run { pieces: pieces.to_vec(), ..Run::default() };
    let outcome = run_as(&steps, &end);
    let got: Vec<Message> = outcome.transactions.iter().map(|t| ours(t)).collect();
    let code = row["outcome"]["error_code"].as_u64();
    // Not errors of the bytes: data after `Connection: close` (5), a change of protocol (22, 23).
    let is_error = code.is_some_and(|code| !matches!(code, 5 | 22 | 23));
    let mut wanted = expected(row, bytes);
    wanted.iter_mut().for_each(split_target);
    // Interim responses are counted with the final one, which has no request here.
    wanted.retain(|message| !(100..200).contains(&message.status) || message.status == 101);
    if is_error {
        let flagged = outcome.transactions.iter().any(|t| !t.anomalies.iter().all(|a| a.name() == "orphan_response"));
        let refused = got.len() <= wanted.iter().filter(|message| message.complete).count();
        return (!flagged && !refused).then(|| format!("not flagged: {got:?}"));
    }
    // What ends with the connection is complete here, where it ends orderly.
    for (message, got) in wanted.iter_mut().zip(&got) {
        if !is_request && !message.complete {
            message.complete = got.complete;
        }
    }
    (got != wanted).then(|| format!("     got {got:?}\nexpected {wanted:?}"))
}

#[test]
fn llhttp_cases() {
    let Some(rows) = rows("llhttp-cases.jsonl") else { return };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in &rows {
        let plain = (row["type"] == "request" || row["type"] == "response")
            && row["meta"].as_object().is_none_or(serde_json::Map::is_empty);
        let bytes = input(row);
        // Every case, of whatever type: the same result for any split.
        let steps = [if row["type"].as_str().unwrap().starts_with("response") { s(&bytes) } else { c(&bytes) }];
        assert_split_invariant(&steps, &Run::default());
        if !plain {
            continue;
        }
        checked += 1;
        let id = row["id"].as_str().unwrap();
        let deviates = DEVIATIONS.iter().any(|(known, _)| *known == id);
        match (mismatch(row, &bytes, &[]).or_else(|| mismatch(row, &bytes, &[1])), deviates) {
            (Some(why), false) => wrong.push(format!("{id} {:?}\n{why}", bytes.escape_ascii().to_string())),
            (None, true) => wrong.push(format!("{id} no longer deviates")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked, 165);
}

#[test]
fn smuggling_cases() {
    let Some(rows) = rows("smuggling.jsonl") else { return };
    for row in &rows {
        let (id, bytes) = (row["id"].as_str().unwrap(), input(row));
        let to_server = row["direction"] == "to_server";
        let steps = [if to_server { c(&bytes) } else { s(&bytes) }];
        assert_split_invariant(&steps, &Run::default());
        let outcome = run(&steps);
        let ignored = ["orphan_response", "incomplete_body", "missing_host"];
        let flagged = outcome.transactions.iter().any(|t| {
            t.anomalies
                .iter()
                .any(|a| !ignored.contains(&a.name()) || (id == "host-missing" && a.name() == "missing_host"))
        });
        // A trailer that does not belong there is flagged, although framing is clear.
        if id != "chunk-trailers" {
            assert_eq!(flagged, row["ambiguous"].as_bool().unwrap(), "{id} {:?}", facts(&outcome));
        }
        for t in &outcome.transactions {
            let target = t.request.as_ref().and_then(|r| r.target()).unwrap_or_default();
            assert!(target != b"/smuggled" || t.coverage.tainted || id == "chunk-trailers", "{id}");
        }
        let count = match id {
            "resp-204-with-cl" | "resp-304-with-cl" | "chunk-trailers" => 2,
            _ => 1,
        };
        let clean = outcome.transactions.iter().filter(|t| !t.coverage.tainted).count();
        assert!(clean <= count, "{id}");
        if row["ambiguous"] == false {
            assert_eq!(outcome.transactions.len(), count, "{id} {:?}", lines(&outcome));
            assert_eq!(clean, count, "{id}");
        }
    }
}

/// libhtp reads as lenient servers do: its counts are a second opinion.
const LIBHTP_DEVIATIONS: &[(&str, &str)] = &[
    ("libhtp/100-response-body-data.t", "the bytes are no HTTP message: libhtp is told that they are"),
    ("libhtp/23-http09-multiple.t", "two lines of HTTP/0.9 are two requests; libhtp takes the second for data"),
];

#[test]
fn libhtp_conversations() {
    let Some(rows) = rows("libhtp-expected.jsonl") else { return };
    let mut wrong = Vec::new();
    for row in &rows {
        let file = row["file"].as_str().unwrap();
        let Some(path) = set(file) else { return };
        let steps = conversation(&std::fs::read(path).unwrap());
        assert_split_invariant(&steps, &Run::default());
        let Some(count) = row["transactions"].as_u64() else { continue };
        let outcome = run(&steps);
        let got = outcome.transactions.len() as u64;
        let deviates = LIBHTP_DEVIATIONS.iter().any(|(known, _)| *known == file);
        if (got == count) == deviates {
            wrong.push(format!("{file}: {count} expected, {:?}", lines(&outcome)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// `>>>` begins bytes of the client, `<<<` of the server.
fn conversation(text: &[u8]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match strip(line) {
            b">>>" => begin(&mut steps, Step::C(Vec::new())),
            b"<<<" => begin(&mut steps, Step::S(Vec::new())),
            _ => {
                if let Some(Step::C(bytes) | Step::S(bytes)) = steps.last_mut() {
                    bytes.extend_from_slice(line);
                }
            }
        }
    }
    steps
}

fn strip(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line end before a marker belongs to the marker.
fn begin(steps: &mut Vec<Step>, next: Step) {
    if let Some(Step::C(bytes) | Step::S(bytes)) = steps.last_mut() {
        *bytes = strip(bytes).to_vec();
    }
    steps.push(next);
}
