//! Samples of every version of the records keep decoding, say what they said, and obey their schemas, which are closed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use umbra_event::kafka::*;

fn samples(record: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/samples");
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{record}.v")))
        .map(|path| (path.display().to_string(), serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "no sample of {record}");
    found
}

/// Decodes the samples of a record, and checks that nothing of them is lost or added.
fn decode<T: DeserializeOwned + Serialize>(record: &str, schema: &str) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let required = schema["required"].as_array().unwrap();
    for (name, sample) in samples(record) {
        let errors: Vec<String> =
            validator.iter_errors(&sample).map(|error| format!("{error} at {}", error.instance_path)).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let decoded: T = serde_json::from_value(sample.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&decoded).unwrap(), sample, "{name}");

        let with = |member: &str, value: Value| {
            let mut changed = sample.as_object().unwrap().clone();
            changed.insert(member.to_owned(), value);
            Value::Object(changed)
        };
        let unknown = with("moon", "full".into());
        assert!(!validator.is_valid(&unknown) && serde_json::from_value::<T>(unknown).is_err(), "{name} is not closed");
        assert!(!validator.is_valid(&with("schema_version", 2.into())));
        for member in required {
            let mut less: Map<String, Value> = sample.as_object().unwrap().clone();
            less.remove(member.as_str().unwrap());
            let less = Value::Object(less);
            assert!(
                !validator.is_valid(&less) && serde_json::from_value::<T>(less).is_err(),
                "{name} without {member}"
            );
        }
    }
    closed(&schema, record);
    let members: BTreeSet<&str> = samples_members(record, &schema);
    assert!(members.is_empty(), "no sample of {record} has {members:?}");
}

/// Members of a schema that no sample has.
fn samples_members<'a>(record: &str, schema: &'a Value) -> BTreeSet<&'a str> {
    let all = samples(record);
    let known = schema["properties"].as_object().unwrap().keys();
    known.map(String::as_str).filter(|member| !all.iter().any(|(_, sample)| sample.get(member).is_some())).collect()
}

/// Every object with named members is closed, and everything has a description.
fn closed(schema: &Value, place: &str) {
    let Some(members) = schema.as_object() else { return };
    if let Some(properties) = members.get("properties").and_then(Value::as_object) {
        let recursive = place.ends_with(".shape");
        assert!(recursive || members.get("description").is_some(), "{place} has no description");
        assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{place} is open");
        for (name, property) in properties {
            let told = property.get("description").or(property.get("$ref")).is_some();
            assert!(told, "{place}.{name} has no description");
            closed(property, &format!("{place}.{name}"));
        }
    }
    for below in ["items", "additionalProperties"].iter().filter_map(|name| members.get(*name)) {
        closed(below, place);
    }
    for (name, definition) in members.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        closed(definition, &format!("{place}.{name}"));
    }
}

#[test]
fn endpoints() {
    decode::<EndpointRecord>("endpoint", ENDPOINT_SCHEMA);
}

#[test]
fn sensor_rows() {
    decode::<SensorRow>("sensor_row", SENSOR_ROW_SCHEMA);
}

#[test]
fn route_evidence() {
    decode::<RouteEvidenceRecord>("route_evidence", ROUTE_EVIDENCE_SCHEMA);
}

#[test]
fn findings() {
    decode::<FindingRecord>("finding", FINDING_SCHEMA);
}

#[test]
fn health() {
    decode::<HealthRecord>("health", HEALTH_SCHEMA);
}

/// Of closed sets the schema and the Rust type know the same names.
#[test]
fn names_of_closed_sets() {
    let schema: Value = serde_json::from_str(FINDING_SCHEMA).unwrap();
    let names = |member: &str| schema["properties"][member]["enum"].clone();
    serde_json::from_value::<Vec<FindingKind>>(names("kind")).unwrap();
    serde_json::from_value::<Vec<Severity>>(names("severity")).unwrap();
    serde_json::from_value::<Vec<FindingStatus>>(names("status")).unwrap();
    let schema: Value = serde_json::from_str(HEALTH_SCHEMA).unwrap();
    serde_json::from_value::<Vec<HealthStatus>>(schema["properties"]["status"]["enum"].clone()).unwrap();
    let states = &schema["properties"]["kafka"]["properties"]["state"]["enum"];
    serde_json::from_value::<Vec<KafkaState>>(states.clone()).unwrap();
}
