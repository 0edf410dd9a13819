//! What the sensor wrote and said, in the form of the access log.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Method, URI, status.
pub(super) type Exchange = (String, String, u64);

/// The number that stands before `what` in the last summary; 0 if it is not mentioned.
pub(super) fn told(log: &str, what: &str) -> u64 {
    let Some(at) = log.rfind(what) else { return 0 };
    let digits: String = log[..at].trim_end().chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or_else(|_| panic!("no number before {what:?}: {log}"))
}

/// Events of nginx by request id; asserts that no id of either kind comes twice. The second is how many show no request id.
pub(super) fn events(path: &Path) -> (HashMap<String, Exchange>, u64) {
    let text = fs::read_to_string(path).unwrap();
    let (mut seen, mut ids, mut without) = (HashMap::new(), BTreeSet::new(), 0);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(ids.insert(event["event_id"].as_str().unwrap().to_owned()), "twice: {line}");
        if event["server"]["port"] == crate::grpc::PORT {
            continue;
        }
        let response = &event["http"]["response"];
        let headers = response["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = headers.iter().find(|header| header["name"].as_str().unwrap().eq_ignore_ascii_case("x-request-id"));
        let Some(id) = id else {
            without += 1;
            continue;
        };
        let mut uri = event["url"]["path"].as_str().unwrap_or_default().to_owned();
        if let Some(query) = event["url"]["query"].as_str() {
            let _ = write!(uri, "?{query}");
        }
        let method = event["http"]["request"]["method"].as_str().unwrap_or_default().to_owned();
        let status = response["status_code"].as_u64().unwrap();
        let id = id["value"].as_str().unwrap().to_owned();
        assert!(seen.insert(id, (method, uri, status)).is_none(), "twice: {line}");
    }
    (seen, without)
}
