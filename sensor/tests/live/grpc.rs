//! A gRPC server and client of Google's own library (`grpc_pair.py`), and what the sensor tells of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::lab::{Lab, SERVER};
use crate::process::{inside, signal};

/// Where the server listens.
pub(super) const PORT: u16 = 50051;
/// Debian's, for which the grpc package is built.
pub(super) const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/grpc_pair.py");

/// Path, grpc-status, messages of the client, messages of the server.
pub(super) type Call = (String, u64, u64, u64);

/// Calls by the id that the client gave them.
pub(super) type Calls = BTreeMap<String, Call>;

/// The server, until it is dropped.
pub(super) struct Server {
    child: Child,
    client_namespace: String,
}

impl Server {
    pub(super) fn start(lab: &Lab) -> Server {
        let mut child = inside(&lab.server(), &words(&["serve"])).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Server { child, client_namespace: lab.client() }
    }

    /// Starts a client that makes this many calls, at most so many a second.
    pub(super) fn call(&self, calls: u64, rate: u64) -> Client {
        let words = words(&["call", &calls.to_string(), &rate.max(1).to_string()]);
        Client { child: inside(&self.client_namespace, &words).stdout(Stdio::piped()).spawn().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(&self.child, "KILL");
        let _ = self.child.wait();
    }
}

/// A client at work.
pub(super) struct Client {
    child: Child,
}

impl Client {
    /// Waits for the client to end: what it called, and what came back.
    pub(super) fn made(self) -> Calls {
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        let mut calls = Calls::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let [id, path, numbers @ ..] = &line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let [status, sent, received] = numbers.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert!(calls.insert((*id).to_owned(), ((*path).to_owned(), status, sent, received)).is_none());
        }
        calls
    }
}

/// Command line of the script: what it is to do, where, and the rest.
fn words(what: &[&str]) -> Vec<String> {
    let [verb, rest @ ..] = what else { return Vec::new() };
    let target = format!("{SERVER}:{PORT}");
    [PYTHON, SCRIPT, verb, &target].iter().chain(rest).map(ToString::to_string).collect()
}

/// Events of the server by the id that the client sent; asserts that none comes twice or without one. A call whose end was not
/// seen has status 99.
pub(super) fn events(path: &Path) -> Calls {
    let mut seen = Calls::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["server"]["port"] != PORT {
            continue;
        }
        let headers = event["http"]["request"]["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = headers.iter().find(|header| header["name"] == "x-request-id");
        let id = id.map_or_else(|| event["event_id"].as_str().unwrap(), |id| id["value"].as_str().unwrap());
        let grpc = &event["grpc"];
        let call = (
            event["url"]["path"].as_str().unwrap_or_default().to_owned(),
            grpc["status_code"].as_u64().unwrap_or(99),
            grpc["request_messages"].as_u64().unwrap_or_default(),
            grpc["response_messages"].as_u64().unwrap_or_default(),
        );
        assert_eq!(event["network"]["protocol"]["name"], "http", "{line}");
        assert!(seen.insert(id.to_owned(), call).is_none(), "twice: {line}");
    }
    seen
}

/// Some of the calls that were made and seen differently: what was made, what was seen.
pub(super) fn differing<'a>(made: &'a Calls, seen: &'a Calls) -> Vec<(&'a String, Option<&'a Call>, Option<&'a Call>)> {
    let mut ids: Vec<_> = made.keys().chain(seen.keys()).filter(|id| made.get(*id) != seen.get(*id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.iter().take(5).map(|id| (*id, made.get(*id), seen.get(*id))).collect()
}
