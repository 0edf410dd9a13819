//! The broker that other tests use.
#![allow(clippy::unwrap_used)]

use umbra_testkit::{Kafka, Listener};

#[test]
fn a_broker_starts_and_goes_with_its_test() {
    let Some(kafka) = Kafka::start(1) else { return };
    kafka.tool("topics", &["--create", "--topic", "a", "--partitions", "3"]);
    kafka.kill(1);
    kafka.restart(1);
    assert_eq!(kafka.tool("topics", &["--list"]).trim(), "a");
    assert!(kafka.addresses(Listener::SaslTls) != kafka.bootstrap() && kafka.tls("ca.pem").exists());
}
