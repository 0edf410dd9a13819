//! Specifications while the sensor listens: files that change, and documents that a service publishes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::lab::{Lab, SERVER};
use crate::process::{STOP, signal, wait_until};

fn spec(paths: &[&str]) -> String {
    let operation = json!({ "get": { "responses": { "200": { "description": "" } } } });
    let paths: serde_json::Map<String, Value> =
        paths.iter().map(|path| ((*path).to_owned(), operation.clone())).collect();
    json!({ "openapi": "3.1.0", "info": { "title": "T", "version": "1" }, "servers": [{ "url": "/" }], "paths": paths })
        .to_string()
}

/// What specifications say of a route.
fn status(inventory: &Value, route: &str) -> Option<String> {
    let row = inventory["endpoints"].as_array()?.iter().find(|row| row["route"] == route)?;
    Some(row["specification"]["status"].as_str()?.to_owned())
}

fn fetch(lab: &Lab, path: &str) {
    assert!(lab.curl(&[&format!("http://{SERVER}{path}")]));
}

/// A file that changes is read again, and what the sensor says follows; one that breaks leaves what it said before, and is told once.
#[test]
fn a_specification_that_changes_is_reread() {
    let Some(lab) = Lab::open("reread") else { return };
    let (config, file) = (lab.dir.join("umbra.toml"), lab.dir.join("spec.json"));
    let settings =
        format!("[[spec]]\npath = \"{}\"\nhosts = [\"{SERVER}\"]\n[specs]\nreread_seconds = 1\n", file.display());
    fs::write(&config, settings).unwrap();
    fs::write(&file, spec(&["/api/first"])).unwrap();
    let mut sensor = lab.sensor(&["-c", config.to_str().unwrap()]);
    ["/api/first", "/api/second", "/api/third"].iter().for_each(|path| fetch(&lab, path));

    fs::write(&file, spec(&["/api/first", "/api/second"])).unwrap();
    sensor.expect("specifications have changed: 1 specification with 2 operations");
    fs::write(&file, "{\"openapi\": \"3.1.0\", \"paths\": {").unwrap();
    sensor.expect("what it said before stays");
    // The next looks find it as it was.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let log = sensor.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("spec.json")).collect();
    assert!(lines.len() == 1 && lines[0].ends_with("; what it said before stays"), "{log}");
    assert_eq!(log.matches("specifications have changed").count(), 1, "{log}");
    let inventory = serde_json::from_slice(&fs::read(lab.dir.join("inventory.json")).unwrap()).unwrap();
    for (route, expected) in [("/api/first", "documented"), ("/api/second", "documented"), ("/api/third", "shadow")] {
        assert_eq!(status(&inventory, route).as_deref(), Some(expected), "{inventory:#}");
    }
}

/// What a service publishes is on the disk before the sensor ends.
#[test]
fn f086_a_killed_sensor_keeps_the_definitions_it_has_seen() {
    let Some(lab) = Lab::open("published") else { return };
    let (config, state) = (lab.dir.join("umbra.toml"), lab.dir.join("state"));
    let settings =
        format!("[state]\ndirectory = \"{}\"\nsave_seconds = 1\n[specs]\nkeep_from_wire = true\n", state.display());
    fs::write(&config, settings).unwrap();
    fs::write(lab.dir.join("openapi.json"), spec(&["/api/told"])).unwrap();
    fs::write(lab.dir.join("swagger.json"), "{\"swagger\": \"2.0\", ").unwrap();
    let kept = || inventory(&config);
    let mut sensor = lab.sensor(&["-c", config.to_str().unwrap()]);
    ["/openapi.json", "/swagger.json", "/api/told", "/api/hidden"].iter().for_each(|path| fetch(&lab, path));
    let is_kept = || {
        let kept = kept();
        status(&kept, "/api/told").as_deref() == Some("documented")
            && status(&kept, "/api/hidden").as_deref() == Some("shadow")
            && kept["left_out"]["definitions"]["unreadable"] == 1
    };
    assert!(wait_until(STOP, is_kept), "{:#}: {}", kept(), sensor.log());
    signal(&sensor.child, "KILL");
    assert!(wait_until(STOP, || sensor.ended().is_some()));
    assert!(is_kept());
}

fn inventory(config: &Path) -> Value {
    let words = ["inventory", "-c", config.to_str().unwrap(), "--format", "json"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_umbra")).args(words).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
