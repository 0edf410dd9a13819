//! A sensor on the loopback interface and a broker beside it: rows and health arrive while it runs, an outage costs nothing.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use umbra_event::kafka::{HealthRecord, HealthStatus};
use umbra_testkit::Kafka;

use crate::lab::Lab;
use crate::process::{STOP, Sensor, wait_until};

/// Answers every request of a connection with an empty object.
fn serve(listener: TcpListener) {
    for stream in listener.incoming() {
        let mut reader = BufReader::new(stream.unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line == "\r\n" {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                reader.get_mut().write_all(answer).unwrap();
            }
            line.clear();
        }
    }
}

fn fetch(port: u16, numbers: std::ops::Range<u32>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for number in numbers {
        write!(stream, "GET /orders/{number} HTTP/1.1\r\nHost: orders.test\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0);
        }
        std::io::Read::read_exact(&mut reader, &mut [0; 2]).unwrap();
    }
}

fn umbra(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_umbra")).args(args).output().unwrap()
}

/// Requests of `/orders/…` that the rows in Kafka tell of.
fn requests_in_kafka(config: &str) -> u64 {
    let output = umbra(&["inventory", "--from", "kafka", "-c", config, "--format", "json", "--host", "orders.test"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let endpoints = document["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().filter_map(|endpoint| endpoint["requests"].as_u64()).sum()
}

#[test]
fn a_live_sensor_tells_kafka_what_it_learns() {
    let Some(lab) = Lab::open("kafka") else { return };
    let Some(kafka) = Kafka::start(1) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener));
    let path = lab.dir.join("umbra.toml");
    let text = format!(
        "[sensor]\nid = \"dc1\"\nhealth_seconds = 1\n[state]\ndirectory = \"{}\"\nsave_seconds = 3600\n\
         [kafka]\nbrokers = [\"{}\"]\nprefix = \"live\"\npartitions = 2\nreplication = 1\nrows_seconds = 1\n",
        lab.dir.join("state").display(),
        kafka.bootstrap()
    );
    fs::write(&path, text).unwrap();
    let config = path.to_str().unwrap();
    assert!(umbra(&["topics", "create", "-c", config]).status.success());

    let log = lab.dir.join("log");
    let filter = format!("tcp port {port}");
    let child = Command::new(env!("CARGO_BIN_EXE_umbra"))
        .args(["run", "-i", "lo", "-c", config, "--format", "none", "--filter", &filter])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut sensor = Sensor { child, log };
    sensor.expect("listening on lo");
    fetch(port, 0..30);
    assert!(
        wait_until(STOP * 3, || requests_in_kafka(config) == 30),
        "{}: {}",
        requests_in_kafka(config),
        sensor.log()
    );
    // The broker is away for a while; what happens meanwhile is told afterwards.
    kafka.kill(1);
    fetch(port, 30..50);
    std::thread::sleep(Duration::from_secs(3));
    fetch(port, 50..60);
    kafka.restart(1);
    assert!(
        wait_until(STOP * 3, || requests_in_kafka(config) == 60),
        "{}: {}",
        requests_in_kafka(config),
        sensor.log()
    );
    fetch(port, 60..70);
    let said = sensor.stop();
    assert!(said.contains("kafka: 70 events and ") && said.contains(", 0 wait in the spool"), "{said}");
    assert!(!said.contains("lost") && !said.contains("dropped by a full spool"), "{said}");
    assert_eq!(requests_in_kafka(config), 70);

    let options = ["--topic", "live.sensors", "--from-beginning", "--timeout-ms", "5000"];
    let records: Vec<HealthRecord> =
        kafka.tool("console-consumer", &options).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = records.last().unwrap();
    assert_eq!((last.sensor_id.as_str(), last.transactions, last.events_produced), ("dc1", 70, 70), "{last:?}");
    assert!(records.windows(2).all(|two| two[0].seq < two[1].seq && two[0].incarnation == two[1].incarnation));
    let known = |reason: &str| records.iter().any(|record| record.reasons.iter().any(|known| known == reason));
    assert!(known("kafka_unreachable") && known("no_packets"), "{records:?}");
    assert!(records.iter().any(|record| record.status == HealthStatus::Ok), "{records:?}");
    assert!(records.iter().all(|record| record.lost.is_empty()), "{records:?}");
}
