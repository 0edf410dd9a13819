//! Whether the sensor's events agree with the servers' own account of a corpus capture, transaction by transaction.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::step::{self, Outcome, cargo, target_dir};

/// Mismatches shown of each capture; all are counted.
const SHOWN: usize = 10;

/// The same check on small captures made from code, with the binaries of the dev profile and one and two workers.
pub(crate) fn made() -> Outcome {
    let packages = ["--package", "umbra", "--package", "umbra-benches", "--bins"];
    step::run(cargo(&["build", "--locked"]).args(packages))?;
    let binaries = target_dir().join("debug");
    let captures = target_dir().join("corpus-made-small");
    let maker = binaries.join("make-captures");
    step::run(step::program(&maker.to_string_lossy()).arg(&captures).arg("0.01"))?;
    let (umbra, captures) = (binaries.join("umbra"), captures.to_string_lossy().into_owned());
    for workers in ["1", "2"] {
        run(&["--umbra", &umbra.to_string_lossy(), "--workers", workers, &captures])?;
    }
    Ok(())
}

/// `corpus-check [--umbra PROGRAM] [--workers N] [DIR] [NAME…]`
pub(crate) fn run(args: &[&str]) -> Outcome {
    let mut umbra = target_dir().join("release/umbra");
    let mut workers = "1";
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--umbra" => umbra = args.next().ok_or("--umbra needs a program")?.into(),
            "--workers" => workers = args.next().ok_or("--workers needs a number")?,
            word => words.push(word),
        }
    }
    let dir = words.first().map_or_else(|| target_dir().join("corpus"), PathBuf::from);
    let mut names: Vec<String> = words.iter().skip(1).map(|name| name.to_string()).collect();
    if names.is_empty() {
        names = step::files_under(&dir, "pcap")
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
            .collect();
    }
    if names.is_empty() {
        return Err(format!("no captures in {}", dir.display()));
    }
    let mut failed = Vec::new();
    for name in names {
        if name.starts_with("tls") {
            println!("{name}: skipped: TLS");
            continue;
        }
        let mut check = Check::load(&dir, &name)?;
        for_each_event(&umbra, workers, &dir.join(format!("{name}.pcap")), |event| check.event(&event))?;
        if !check.report(&name) {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("wrong: {}", failed.join(" "))) }
}

fn for_each_event(umbra: &Path, workers: &str, capture: &Path, mut each: impl FnMut(Value)) -> Outcome {
    let mut command = step::program(&umbra.to_string_lossy());
    command.args(["replay", "--workers", workers, "--events", "-", "--format", "none"]);
    command.args(["--reveal", "path,query,headers"]).arg(capture);
    let failed = |error: std::io::Error| format!("{}: {error}", umbra.display());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let lines = BufReader::new(child.stdout.take().ok_or("no pipe")?);
    for line in lines.split(b'\n') {
        let line = line.map_err(failed)?;
        each(serde_json::from_slice(&line).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&line)))?);
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", umbra.display())) }
}

/// What of a transaction both sides know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    version: String,
    method: String,
    uri: String,
    status: u64,
}

/// The truth of one capture and how the events compare with it.
#[derive(Debug, Default)]
struct Check {
    /// By request id: what the access log says, and how often an event had this id.
    log: HashMap<String, (Facts, u32)>,
    /// Calls by path and by `grpc-status`, where the server keeps no access log.
    calls: Option<[BTreeMap<String, u64>; 2]>,
    seen_calls: [BTreeMap<String, u64>; 2],
    transactions: u64,
    events: u64,
    wrong: u64,
    shown: Vec<String>,
}

impl Check {
    fn load(dir: &Path, name: &str) -> Result<Check, String> {
        let read = |kind: &str| {
            let path = dir.join(format!("{name}.{kind}"));
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let truth: Value = serde_json::from_str(&read("truth.json")?).map_err(|error| format!("{name}: {error}"))?;
        let transactions = truth.pointer("/transactions").and_then(Value::as_u64).ok_or("no count of transactions")?;
        let mut check = Check { transactions, ..Check::default() };
        if let (Some(calls), Some(status)) = (counts(truth.get("calls")), counts(truth.get("grpc_status"))) {
            check.calls = Some([calls, status]);
        } else {
            check.load_log(&read("access.tsv")?)?;
        }
        Ok(check)
    }

    fn load_log(&mut self, log: &str) -> Outcome {
        for line in log.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[_, _, _, protocol, method, uri, status, _, _, id] = columns.as_slice() else {
                return Err(format!("access.tsv: {line}"));
            };
            let facts = Facts {
                // HTTP/2.0 is 2 in an event.
                version: protocol.trim_start_matches("HTTP/").trim_end_matches(".0").into(),
                method: method.into(),
                uri: uri.into(),
                status: status.parse().map_err(|_| format!("access.tsv: {line}"))?,
            };
            self.log.insert(id.to_string(), (facts, 0));
        }
        Ok(())
    }

    fn event(&mut self, event: &Value) {
        self.events += 1;
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if self.calls.is_some() {
            let status = event.pointer("/grpc/status_code").and_then(Value::as_u64);
            let status = status.map_or("none".into(), |status| status.to_string());
            let [by_path, by_status] = &mut self.seen_calls;
            *by_path.entry(text("/url/path").into()).or_default() += 1;
            *by_status.entry(status).or_default() += 1;
            return;
        }
        let facts = Facts {
            version: text("/network/protocol/version").trim_end_matches(".0").into(),
            method: text("/http/request/method").into(),
            uri: match text("/url/query") {
                "" => text("/url/path").into(),
                query => format!("{}?{query}", text("/url/path")),
            },
            status: event.pointer("/http/response/status_code").and_then(Value::as_u64).unwrap_or(0),
        };
        let wrong = match request_id(event).map(|id| (id, self.log.get_mut(id))) {
            Some((_, Some((logged, seen)))) => {
                *seen += 1;
                if *logged == facts { None } else { Some(format!("the log says {logged:?}, the event {facts:?}")) }
            }
            Some((id, None)) => Some(format!("request id {id} is not in the log: {facts:?}")),
            None => Some(format!("no request id: {facts:?}")),
        };
        if let Some(wrong) = wrong {
            self.add_wrong(wrong);
        }
    }

    fn add_wrong(&mut self, what: String) {
        self.wrong += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what);
        }
    }

    /// Prints how it went; true if all agreed.
    fn report(&mut self, name: &str) -> bool {
        if let Some(calls) = &self.calls
            && *calls != self.seen_calls
        {
            let what = format!("calls and statuses are {calls:?}, events say {:?}", self.seen_calls);
            self.add_wrong(what);
        }
        let odd: Vec<String> = self
            .log
            .iter()
            .filter(|(_, (_, seen))| *seen != 1)
            .map(|(id, (facts, seen))| format!("{seen} events for {id}: {facts:?}"))
            .collect();
        odd.into_iter().for_each(|what| self.add_wrong(what));
        if self.events != self.transactions {
            self.add_wrong(format!("{} events for {} transactions", self.events, self.transactions));
        }
        println!("{name}: {} transactions, {} events, {} wrong", self.transactions, self.events, self.wrong);
        self.shown.iter().for_each(|line| println!("  {line}"));
        self.wrong == 0
    }
}

/// Value of the response's X-Request-Id.
fn request_id(event: &Value) -> Option<&str> {
    let headers = event.pointer("/http/response/headers")?.as_array()?;
    let name_is = |header: &&Value| {
        header.get("name").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case("x-request-id"))
    };
    headers.iter().find(name_is)?.get("value")?.as_str()
}

fn counts(value: Option<&Value>) -> Option<BTreeMap<String, u64>> {
    value?.as_object()?.iter().map(|(key, count)| Some((key.clone(), count.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const LOG: &str =
        "1.5\t7\t1\tHTTP/1.1\tGET\t/a?b=1\t200\t90\t12\tid1\n1.6\t7\t2\tHTTP/1.1\tPUT\t/c\t404\t90\t12\tid2\n";

    fn event(id: &str, method: &str, path: &str, query: Option<&str>, status: u16) -> Value {
        json!({
            "network": {"protocol": {"name": "http", "version": "1.1"}},
            "url": {"path": path, "query": query},
            "http": {
                "request": {"method": method},
                "response": {"status_code": status, "headers": [{"name": "X-Request-Id", "value": id}]},
            },
        })
    }

    fn check(events: &[Value]) -> u64 {
        let mut check = Check { transactions: 2, ..Check::default() };
        check.load_log(LOG).unwrap();
        events.iter().for_each(|event| check.event(event));
        assert_eq!(check.report("test"), check.wrong == 0);
        check.wrong
    }

    #[test]
    fn agreement_and_each_kind_of_disagreement() {
        let first = event("id1", "GET", "/a", Some("b=1"), 200);
        let second = event("id2", "PUT", "/c", None, 404);
        assert_eq!(check(&[first.clone(), second.clone()]), 0);
        // One is missing: its id was not seen, and the count is wrong.
        assert_eq!(check(std::slice::from_ref(&first)), 2);
        // Twice.
        assert_eq!(check(&[first.clone(), first.clone(), second.clone()]), 2);
        // Paired with the other's answer: both are wrong.
        let crossed = [event("id2", "GET", "/a", Some("b=1"), 404), event("id1", "PUT", "/c", None, 200)];
        assert_eq!(check(&crossed), 2);
        // An id that the log has not, and so one that no event has.
        assert_eq!(check(&[first, event("id3", "PUT", "/c", None, 404)]), 2);
    }

    #[test]
    fn calls_are_compared_by_count() {
        let mut check = Check { transactions: 1, ..Check::default() };
        check.calls = Some([[("/s/M".to_string(), 1)].into(), [("0".to_string(), 1)].into()]);
        check.event(&json!({"url": {"path": "/s/M"}, "grpc": {"status_code": 0}}));
        assert!(check.report("grpc"));
        check.event(&json!({"url": {"path": "/s/M"}, "grpc": {}}));
        assert!(!check.report("grpc"));
    }
}
