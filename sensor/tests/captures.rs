//! Every third-party capture against its truth: counts, and the multiset of (method, host, path, status).
//!
//! `checked.tsv` wins over `truth.jsonl`. Captures whose requests lie inside TLS or a tunnel are listed as awaiting those
//! stages; of the rest at least 98 % must be exact, and each one that is not is named below with the reason.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// Protocols of tunnels that are not unwrapped yet, as tshark names them.
const TUNNELS: [&str; 9] = ["vxlan", "geneve", "gre", "erspan", "gtp", "teredo", "l2tp", "tzsp", "ayiya"];

/// The one capture of 6in4, which has no protocol name of its own.
const IP_IN_IP: &str = "cisco-mercury/unit_tests/pcaps/ip_encapsulation.pcap";

/// Captures where we differ from the truth on purpose or cannot tell, and who is right, shown from the bytes.
const EXCEPTIONS: [(&str, &str); 2] = [
    (
        "zeek-zeek/testing/btest/Traces/http/methods.pcap",
        "31 of the 49 request lines have no target (`OPTIONS HTTP/1.1`, `GET/HTTP/1.1`): no request of RFC 9112 §3. \
         The server says so with 400, and its 49 answers are all there, 31 without a request",
    ),
    (
        "zeek-zeek/testing/btest/Traces/ipv6-http-atomic-frag.pcap",
        "four HTTP/0.9 exchanges, `GET /bad.html` CRLF and a document without a head, behind extension headers and atomic \
         fragments (RFC 6946): the bytes hold them, tshark shows none",
    ),
];

/// (method, host, path, status).
type Row = (String, String, String, Option<u64>);

#[test]
fn captures_match_their_truth() {
    let Some(shared) = umbra_testkit::shared("captures") else { return };
    let checked = read_checked(&shared);
    let truth = std::fs::read_to_string(shared.join("truth.jsonl")).unwrap();
    let (mut exact, mut awaiting, mut wrong) = (0, Vec::new(), Vec::new());
    for line in truth.lines() {
        let truth: Value = serde_json::from_str(line).unwrap();
        let file = truth["file"].as_str().unwrap();
        let expected = Expected::new(&truth, checked.get(file));
        if let Some(stage) = awaits(&truth, expected.requests) {
            awaiting.push(format!("{file}: {stage}"));
            continue;
        }
        // The one capture whose truth depends on the option.
        let options: &[&str] = if file.contains("vlan-collisions") { &["--config", "VLAN"] } else { &[] };
        let seen = Seen::of(&shared.join(file), options);
        match expected.difference(&seen) {
            None => exact += 1,
            Some(difference) => wrong.push((file.to_owned(), difference)),
        }
    }
    println!("{exact} exact, {} not, {} awaiting TLS or tunnels", wrong.len(), awaiting.len());
    for name in &awaiting {
        println!("awaiting {name}");
    }
    let mut unexplained = 0;
    for (file, difference) in &wrong {
        let reason = EXCEPTIONS.iter().find(|(name, _)| name == file).map(|(_, reason)| *reason);
        unexplained += usize::from(reason.is_none());
        println!("differs  {file}: {difference}\n         {}", reason.unwrap_or("UNEXPLAINED"));
    }
    for (file, _) in EXCEPTIONS {
        assert!(wrong.iter().any(|(name, _)| name == file), "{file} is exact now: take it off the list");
    }
    assert_eq!(unexplained, 0, "captures differ without a reason");
    assert!(exact * 100 >= (exact + wrong.len()) * 98, "{exact} of {} exact", exact + wrong.len());
}

/// Which stage a capture waits for.
fn awaits(truth: &Value, requests: u64) -> Option<&'static str> {
    let protocols = truth["protocols"].as_object().unwrap();
    if truth["file"] == IP_IN_IP {
        return Some("tunnels");
    }
    if requests > 0 && truth["tls"]["decrypted"] == true {
        return Some("TLS decryption");
    }
    (requests > 0 && TUNNELS.iter().any(|name| protocols.contains_key(*name))).then_some("tunnels")
}

/// What the truth says.
struct Expected {
    requests: u64,
    responses: u64,
    /// Other request counts that are right as well.
    accept: std::ops::RangeInclusive<u64>,
    /// The first 200.
    rows: Vec<Row>,
    /// The counts were settled by hand: the rows are tshark's and may be fewer.
    by_hand: bool,
    /// Of an h2c upgrade the rows hold the 101, and the answer only sometimes.
    upgrades: bool,
}

impl Expected {
    fn new(truth: &Value, checked: Option<&(u64, u64, String)>) -> Expected {
        let row = |row: &Value| {
            let text = |at: usize| row[at].as_str().unwrap_or_default().to_owned();
            (text(0), host(&text(1)), path(&text(2)), row[3].as_u64())
        };
        let rows: Vec<Row> = truth["transactions"].as_array().unwrap().iter().map(row).collect();
        let count = |name: &str| truth[name].as_u64().unwrap();
        let upgrades = truth["http2"]["upgrades"].as_array().is_some_and(|list| !list.is_empty());
        match checked {
            Some((requests, responses, how)) => {
                let accept = match how.split_once("; accept ") {
                    Some((_, range)) => {
                        let (low, high) = range.split_once(" to ").unwrap();
                        low.parse().unwrap()..=high.parse().unwrap()
                    }
                    None => *requests..=*requests,
                };
                let by_hand = !how.starts_with("agrees");
                Expected { requests: *requests, responses: *responses, accept, rows, by_hand, upgrades }
            }
            None => {
                let requests = count("requests");
                let (responses, accept) = (count("responses"), requests..=requests);
                Expected { requests, responses, accept, rows, by_hand: false, upgrades }
            }
        }
    }

    fn difference(&self, seen: &Seen) -> Option<String> {
        let mut text = String::new();
        if !self.accept.contains(&seen.requests) || self.responses != seen.responses {
            text += &format!(
                "{} requests and {} responses, truth {} and {}",
                seen.requests, seen.responses, self.requests, self.responses
            );
        }
        let mut ours: BTreeMap<&Row, i64> = BTreeMap::new();
        for row in &seen.rows {
            *ours.entry(row).or_default() += 1;
        }
        let (mut missing, total) = (Vec::new(), self.rows.len());
        for row in &self.rows {
            let count = ours.entry(row).or_default();
            *count -= 1;
            if *count < 0 {
                missing.push(row);
            }
        }
        // Only with a complete list is what we have beyond it wrong.
        let beyond: Vec<_> = ours.iter().filter(|(_, count)| **count > 0).map(|(row, _)| *row).collect();
        let complete = (total as u64) == self.requests && !self.by_hand && !self.upgrades;
        let wrong = if self.by_hand { false } else { !missing.is_empty() || (complete && !beyond.is_empty()) };
        if wrong {
            text +=
                &format!(" missing {:?} beyond {:?}", &missing[..missing.len().min(3)], &beyond[..beyond.len().min(3)]);
        }
        (!text.is_empty()).then_some(text)
    }
}

/// What Umbra says.
struct Seen {
    requests: u64,
    responses: u64,
    rows: Vec<Row>,
}

impl Seen {
    fn of(file: &std::path::Path, options: &[&str]) -> Seen {
        let vlan_config = support::temporary("vlan.toml", "[flow]\nvlan_in_key = true\n");
        let options: Vec<String> = options
            .iter()
            .map(|o| if *o == "VLAN" { vlan_config.display().to_string() } else { (*o).into() })
            .collect();
        let mut seen = Seen { requests: 0, responses: 0, rows: Vec::new() };
        for event in support::replay(file, &options) {
            let (request, response) = (&event["http"]["request"], &event["http"]["response"]);
            if event["pushed"] == true {
                continue;
            }
            let status = response["status_code"].as_u64();
            let upgraded = event["upgrade"] == "h2c";
            seen.requests += u64::from(request.is_object());
            // HTTP/0.9 answers without a head: the truth counts status lines.
            let headless = event["network"]["protocol"]["version"] == "0.9";
            seen.responses += u64::from(response.is_object() && !headless) + u64::from(upgraded);
            if !request.is_object() {
                continue;
            }
            let url = &event["url"];
            let domain = url["domain"].as_str().unwrap_or_default();
            let authority = match url["port"].as_u64() {
                Some(port) => format!("{domain}:{port}"),
                None => domain.to_owned(),
            };
            let method = request["method"].as_str().unwrap_or_default().to_owned();
            let mut path = path(url["path"].as_str().unwrap_or_default());
            if method == "CONNECT" {
                path = authority.clone();
            }
            let row = (method, host(&authority), path, status);
            if upgraded {
                seen.rows.push((row.0.clone(), row.1.clone(), row.2.clone(), Some(101)));
            }
            seen.rows.push(row);
        }
        seen
    }
}

/// Hosts compare in lower case without default port.
fn host(host: &str) -> String {
    let host = host.to_lowercase();
    host.strip_suffix(":80").unwrap_or(&host).trim_end_matches('.').to_owned()
}

/// Paths compare without the query, one value of which is masked in the truth, and in origin form.
fn path(path: &str) -> String {
    let absolute = path.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let path = match (absolute, path.get(7..).and_then(|rest| rest.find('/'))) {
        (true, Some(slash)) => &path[7 + slash..],
        _ => path,
    };
    path.split('?').next().unwrap_or_default().to_owned()
}

fn read_checked(shared: &std::path::Path) -> HashMap<String, (u64, u64, String)> {
    let text = std::fs::read_to_string(shared.join("checked.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let numbers = (columns[1].parse().unwrap(), columns[2].parse().unwrap());
        (columns[0].to_owned(), (numbers.0, numbers.1, columns[3].to_owned()))
    });
    rows.collect()
}
