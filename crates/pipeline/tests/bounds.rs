//! Scanners, made-up hosts and paths without end: bounded, counted, and the true inventory unharmed.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use umbra_discovery::Endpoint;
use umbra_discovery::classify::Pattern;
use umbra_pipeline::{Config, Inventory, Worker};
use umbra_testkit::Conversation;
use umbra_wire::Timestamp;

const BODY: &str = r#"{"id":1}"#;

fn start() -> Timestamp {
    Timestamp::from_parts(1_700_000_000, 0)
}

/// One flow: requests of a client, all answered with this status; `None`: never.
struct Flow {
    client: SocketAddr,
    at: Timestamp,
    requests: Vec<(String, String)>,
    status: Option<u16>,
}

impl Flow {
    fn new(client: &str, requests: impl IntoIterator<Item = (String, String)>) -> Flow {
        Flow {
            client: client.parse().unwrap(),
            at: start(),
            requests: requests.into_iter().collect(),
            status: Some(200),
        }
    }

    fn with(self, status: Option<u16>, at: Timestamp) -> Flow {
        Flow { status, at, ..self }
    }

    fn feed(&self, worker: &mut Worker) {
        let mut conversation = Conversation::new().client(self.client).start(self.at);
        for (host, path) in &self.requests {
            conversation = conversation.request(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            if let Some(status) = self.status {
                let len = BODY.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{BODY}"
                );
                conversation = conversation.response(answer.as_bytes());
            }
        }
        for packet in conversation.build().packets() {
            worker.handle_packet(&packet);
        }
    }
}

/// The flows in this order, one after another to so many workers, and the inventory of it.
fn inventory(config: &Config, flows: &[Flow], workers: usize) -> Inventory {
    let mut all: Vec<Worker> = (0..workers).map(|_| Worker::new(config.clone(), None)).collect();
    for (at, flow) in flows.iter().enumerate() {
        flow.feed(&mut all[at % workers]);
    }
    let end = flows.iter().map(|flow| flow.at).max().unwrap().after(Duration::from_secs(3600));
    let mut inventory = Inventory::new(config.discovery.clone(), workers);
    for worker in &mut all {
        worker.finish(end);
        inventory.add(worker);
    }
    inventory.settle();
    inventory
}

fn confirmed(inventory: &Inventory) -> Vec<(String, String, u64)> {
    let rows = inventory.endpoints().into_iter().filter(|endpoint| endpoint.confirmed);
    rows.map(|endpoint| (endpoint.host().to_owned(), endpoint.route().to_owned(), endpoint.requests)).collect()
}

fn config() -> Config {
    Config::new(&[7; 32])
}

/// A word that looks like no identifier.
fn word(mut number: usize) -> String {
    let mut text = String::from("w");
    for _ in 0..5 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}

fn real(host: &str) -> Vec<(String, String)> {
    ["/api/users", "/api/orders", "/api/orders/7", "/api/orders/8"]
        .map(|path| (host.to_owned(), path.to_owned()))
        .into()
}

#[test]
fn f070_distinct_paths_collapse_and_the_rest_is_unharmed() {
    let mut config = config();
    config.discovery.endpoints = 2_000;
    config.discovery.endpoints_per_service = 300;
    config.routes.limits.nodes = 1_000;
    let flood = (0..6_000).map(|n| ("flood.test".to_owned(), format!("/files/{}", word(n))));
    let deep = (0..3_000).map(|n| ("flood.test".to_owned(), format!("/{}/{}", word(n), word(n * 7))));
    let flows = [
        Flow::new("10.0.0.1:1000", real("api.test")),
        Flow::new("10.0.0.2:1000", flood.chain(deep)),
        Flow::new("10.0.0.1:1001", real("late.test")),
    ];
    let inventory = inventory(&config, &flows, 1);
    let rows = confirmed(&inventory);
    for host in ["api.test", "late.test"] {
        let routes: Vec<(&str, u64)> =
            rows.iter().filter(|row| row.0 == host).map(|row| (row.1.as_str(), row.2)).collect();
        assert_eq!(routes, [("/api/orders", 1), ("/api/orders/{order_id}", 2), ("/api/users", 1)], "{host}");
    }
    let flood: Vec<_> = rows.iter().filter(|row| row.0 == "flood.test").collect();
    assert!(flood.len() < 300 + 1024, "{}", flood.len());
    // Nothing is lost without a count.
    let counters = inventory.endpoint_counters();
    assert_eq!(flood.iter().map(|row| row.2).sum::<u64>() + counters.overflow, 9_000);
    assert!(counters.coarse > 0);
    let files = flood.iter().find(|row| row.1.starts_with("/files/{")).expect("the flood is one template");
    assert!(files.2 > 5_000, "{files:?}");
}

#[test]
fn f070_a_crowded_service_goes_on_under_its_templates() {
    let mut config = config();
    config.discovery.endpoints_per_service = 300;
    let project = |n| ["", "/members"].map(|end| ("api.test".to_owned(), format!("/api/projects/{}{end}", word(n))));
    // Some are met for the first time when the bound was reached long ago.
    let late = ["/api/audit", "/api/teams/7"].map(|path| ("api.test".to_owned(), path.to_owned()));
    let at = |minute: usize| start().after(Duration::from_secs(60 * minute as u64));
    let hundred = |minute: usize| {
        let port = 1000 + minute;
        let projects = (minute * 100..minute * 100 + 100).flat_map(project);
        Flow::new(&format!("10.0.0.1:{port}"), projects).with(Some(200), at(minute))
    };
    let mut flows: Vec<Flow> = (0..20).map(hundred).collect();
    flows.push(Flow::new("10.0.0.2:1000", late).with(Some(200), at(20)));
    let inventory = inventory(&config, &flows, 1);
    let rows = confirmed(&inventory);
    let rows: Vec<(&str, u64)> = rows.iter().map(|(_, route, requests)| (route.as_str(), *requests)).collect();
    let expected = [
        ("/api/audit", 1),
        ("/api/projects/{project_name}", 2_000),
        ("/api/projects/{project_name}/members", 2_000),
        ("/api/teams/{team_id}", 1),
    ];
    assert_eq!(rows, expected);
    let counters = inventory.endpoint_counters();
    assert!(counters.folds > 1 && counters.folds < 20, "{}", counters.folds);
    assert_eq!((counters.coarse, counters.overflow), (0, 0));
}

#[test]
fn f071_a_million_refused_paths_are_no_endpoints() {
    let mut config = config();
    config.discovery.unconfirmed = 200;
    let scan = (0..5_000).map(|n| ("api.test".to_owned(), format!("/{}", word(n))));
    let flows = [
        Flow::new("10.0.0.1:1000", real("api.test")),
        Flow::new("10.0.0.2:1000", scan).with(Some(404), start()),
        Flow::new("10.0.0.1:1001", real("api.test")),
    ];
    let with = inventory(&config, &flows, 1);
    let without = inventory(
        &config,
        &[Flow::new("10.0.0.1:1000", real("api.test")), Flow::new("10.0.0.1:1001", real("api.test"))],
        1,
    );
    assert_eq!(confirmed(&with), confirmed(&without));
    assert!(with.endpoints().len() <= 200 + 3);
    assert!(with.endpoint_counters().unconfirmed_requests_dropped >= 4_800);
}

#[test]
fn f072_made_up_hosts_are_no_services() {
    let mut config = config();
    config.discovery.hosts_per_client = 50;
    config.discovery.unconfirmed = 100;
    let guesses = |clients: &'static [&'static str]| {
        clients.iter().map(|client| {
            let hosts = (0..3_000).map(|n| (format!("{}.made-up.test", word(n)), "/".to_owned()));
            // Among them the name of a true service, and of one that only one client knows.
            Flow::new(client, hosts.chain(real("api.test")).chain(real("quiet.test")))
        })
    };
    let honest = || {
        [
            Flow::new("10.0.0.1:1000", real("api.test")),
            Flow::new("10.0.0.2:1000", real("api.test")),
            Flow::new("10.0.0.3:1000", real("quiet.test")),
            Flow::new("10.0.0.3:1001", real("late.test")),
        ]
    };
    let hosts = |inventory: &Inventory| {
        let mut hosts: Vec<String> = confirmed(inventory).into_iter().map(|row| row.0).collect();
        hosts.dedup();
        hosts
    };
    for guessers in [&["10.9.0.1:1000"][..], &["10.9.0.1:1000", "10.9.0.2:1000"]] {
        // Before, after, and with any number of workers.
        for workers in [1, 2, 3] {
            let after: Vec<Flow> = honest().into_iter().chain(guesses(guessers)).collect();
            let before: Vec<Flow> = guesses(guessers).chain(honest()).collect();
            for flows in [after, before] {
                let inventory = inventory(&config, &flows, workers);
                assert_eq!(hosts(&inventory), ["api.test", "late.test", "quiet.test"], "{workers} {}", guessers.len());
                assert!(inventory.endpoint_counters().guessed_hosts >= 50);
                let held = inventory.endpoints().len();
                assert!(held <= (50 * guessers.len() + 100) * workers + 20, "{held} endpoints are held");
            }
        }
    }

    // The honest client's numbers are its own: nothing was merged into another service.
    let flows: Vec<Flow> = guesses(&["10.9.0.1:1000"]).chain(honest()).collect();
    let inventory = inventory(&config, &flows, 1);
    let late: u64 = confirmed(&inventory).iter().filter(|row| row.0 == "late.test").map(|row| row.2).sum();
    assert_eq!(late, 4);
}

#[test]
fn f072_a_host_that_the_operator_names_is_a_service() {
    let mut config = config();
    config.discovery.hosts_per_client = 3;
    config.discovery.known_hosts = [Pattern::new("*.corp.test").unwrap()].into();
    let hosts = (0..10).flat_map(|n| {
        [(format!("{}.corp.test", word(n)), "/a".to_owned()), (format!("{}.test", word(n)), "/a".to_owned())]
    });
    let inventory = inventory(&config, &[Flow::new("10.0.0.1:1000", hosts)], 1);
    assert_eq!(confirmed(&inventory).len(), 10);
    assert_eq!(inventory.endpoint_counters().guessed_hosts, 10);
}

#[test]
fn f074_what_nobody_answers_stays_unconfirmed_and_is_forgotten_after_a_day() {
    let later = |hours: u64| start().after(Duration::from_secs(hours * 3600));
    let flow = |client: &str, path: &str, at: Timestamp| {
        Flow::new(client, [("api.test".to_owned(), path.to_owned())]).with(None, at)
    };
    let flows = [flow("10.0.0.1:1000", "/old", start()), flow("10.0.0.1:1001", "/recent", later(20))];
    let known = inventory(&config(), &flows, 1);
    assert!(confirmed(&known).is_empty());
    assert_eq!(known.endpoints().len(), 2);

    let news = Flow::new("10.0.0.2:1000", real("api.test")).with(Some(200), later(30));
    let flows = [flow("10.0.0.1:1000", "/old", start()), flow("10.0.0.1:1001", "/recent", later(20)), news];
    let known = inventory(&config(), &flows, 1);
    let unconfirmed: Vec<&Endpoint> = known.endpoints().into_iter().filter(|endpoint| !endpoint.confirmed).collect();
    assert_eq!(unconfirmed.iter().map(|endpoint| endpoint.route()).collect::<Vec<_>>(), ["/recent"]);
    let counters = known.endpoint_counters();
    assert_eq!((counters.unconfirmed_dropped, counters.unconfirmed_requests_dropped), (1, 1));
    assert_eq!(confirmed(&known).len(), 3);
}

#[test]
fn f075_a_path_written_otherwise_is_the_same_endpoint_in_a_form_that_is_its_own() {
    let paths = [
        "/api/orders/7",
        "/api//orders/7",
        "/api/orders;v=1/7",
        "/%61pi/orders/7",
        "/api/orders/8/",
        "/api/orders%2F7",
        "/api/%00orders/7",
        "/api/%E2%80%8Borders/7",
        "/api/%C0%AForders",
        "/api/%2e%2e/orders",
        "/API/orders/7",
        "/%zz/x",
    ];
    let all = || paths.iter().map(|path| ("api.test".to_owned(), (*path).to_owned()));
    let first = inventory(&config(), &[Flow::new("10.0.0.1:1000", all())], 1);
    let routes: Vec<String> = confirmed(&first).into_iter().map(|row| row.1).collect();
    let is_plain = |route: &String| route.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(routes.iter().all(is_plain), "{routes:?}");
    // %2F is no slash.
    assert!(routes.iter().any(|route| route.contains("orders%2F7")), "{routes:?}");
    assert!(!routes.iter().any(|route| route.contains("//") || route.contains(';')), "{routes:?}");
    // Settled twice is settled once.
    let mut again = first.clone();
    again.settle();
    let twice: Vec<String> = confirmed(&again).into_iter().map(|row| row.1).collect();
    assert_eq!(twice, routes);
}
