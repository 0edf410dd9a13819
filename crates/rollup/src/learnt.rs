//! What was learnt of an endpoint as JSON: JSON Schema with what was counted beside it.

use serde_json::{Map, Value, json};
use umbra_discovery::learnt::{Calls, Learnt, Names};
use umbra_discovery::schema::Credential;
use umbra_discovery::schema::describe::{Description, describe, describe_object};
use umbra_discovery::schema::schemas::Place;
use umbra_discovery::schema::shape::Object;
use umbra_discovery::sockets::Sockets;
use umbra_event::kafka::{EndpointRecord, SocketMessages, SocketsRecord};

/// Adds what was learnt of an endpoint to its record.
pub(crate) fn add(learnt: &Learnt, record: &mut EndpointRecord) {
    let schemas = learnt.schemas();
    for (place, object) in [("query", &schemas.query), ("header", &schemas.headers), ("cookie", &schemas.cookies)] {
        add_parameters(place, object, schemas.exchanges, &mut record.parameters);
    }
    if !schemas.auth.is_empty() {
        let kinds: Vec<Value> = schemas.auth.kinds().map(|(kind, requests)| credential(kind, requests)).collect();
        let auth = json!({ "kinds": kinds, "none": schemas.auth.anonymous, "of": schemas.exchanges });
        record.auth = Some(members(auth));
    }
    for bodies in schemas.bodies() {
        let of = match bodies.place {
            Place::Request => "request".to_owned(),
            Place::Response(class) => format!("{class}xx"),
        };
        record.bodies.push(members(json!({
            "of": of,
            "media_type": bodies.media_type,
            "bodies": bodies.schema.bodies,
            "cut": bodies.schema.cut,
            "malformed": bodies.schema.malformed,
            "schema": schema(&describe(&bodies.schema.shape)),
        })));
    }
    record.calls = learnt.calls.as_ref().map(|calls| facts(calls));
    record.sockets = learnt.sockets.as_ref().map(|sockets| sockets_record(sockets));
}

fn sockets_record(sockets: &Sockets) -> SocketsRecord {
    let [client, server] = [0, 1].map(|side| {
        let of = |counts: [u64; 2]| counts.get(side).copied().unwrap_or_default();
        SocketMessages { text: of(sockets.text), binary: of(sockets.binary), payload_bytes: of(sockets.payload_bytes) }
    });
    SocketsRecord {
        ended: sockets.ended,
        client,
        server,
        close_codes: sockets.codes().iter().map(|(code, count)| (code.to_string(), *count)).collect(),
        other_close_codes: sockets.other_codes,
        protocols: sockets.protocols.iter().map(str::to_owned).collect(),
        deflate: sockets.deflate,
        partial: sockets.partial,
    }
}

/// The members of an object.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn credential(kind: &Credential, requests: u32) -> Value {
    let (scheme, place, name) = match kind {
        Credential::Jwt => ("jwt", "header", "authorization"),
        Credential::Http(scheme) => (&**scheme, "header", "authorization"),
        Credential::Bare => ("other", "header", "authorization"),
        Credential::Header(name) => ("key", "header", &**name),
        Credential::Query(name) => ("key", "query", &**name),
        Credential::Cookie(name) => ("key", "cookie", &**name),
    };
    json!({ "scheme": scheme, "in": place, "name": name, "requests": requests })
}

fn add_parameters(place: &str, object: &Object, exchanges: u32, out: &mut Vec<Map<String, Value>>) {
    let mut description = Description::default();
    describe_object(object, &mut description);
    for property in description.properties {
        out.push(members(json!({
            "in": place,
            "name": property.name,
            "required": exchanges > 0 && property.present >= exchanges,
            "present": property.present,
            "of": exchanges,
            "repeated": property.repeated,
            "schema": schema(&property.value),
        })));
    }
    if let Some(additional) = description.additional {
        out.push(members(json!({ "in": place, "name": "*", "required": false, "schema": schema(&additional) })));
    }
}

/// A description as JSON Schema.
fn schema(description: &Description) -> Value {
    let mut out = Map::new();
    let mut types: Vec<&str> = description.types.iter().map(|kind| kind.name()).collect();
    if description.nullable {
        types.push("null");
    }
    match types.as_slice() {
        [] => {}
        [one] => drop(out.insert("type".into(), json!(one))),
        _ => drop(out.insert("type".into(), json!(types))),
    }
    if let Some(format) = description.format {
        out.insert("format".into(), format.into());
    }
    if let Some((low, high)) = description.range {
        out.insert("minimum".into(), low.into());
        out.insert("maximum".into(), high.into());
    }
    if let Some(distinct) = description.distinct {
        out.insert("x-distinct".into(), distinct.into());
    }
    if let Some(items) = &description.items {
        out.insert("items".into(), schema(items));
    }
    if !description.properties.is_empty() {
        let properties = description.properties.iter();
        let named = properties.clone().map(|property| {
            let mut value = schema(&property.value);
            if let (Some(members), false) = (value.as_object_mut(), property.required) {
                members.insert("x-seen".into(), json!([property.present, property.of]));
            }
            (property.name.to_string(), value)
        });
        out.insert("properties".into(), Value::Object(named.collect()));
        let required: Vec<&str> = properties.filter(|property| property.required).map(|p| &*p.name).collect();
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
    }
    if let Some(additional) = &description.additional {
        out.insert("additionalProperties".into(), schema(additional));
    }
    if description.overflow {
        out.insert("x-overflow".into(), true.into());
    }
    Value::Object(out)
}

/// Members without a value are absent.
fn facts(calls: &Calls) -> Map<String, Value> {
    let names = |names: &Names| Value::from(names.iter().map(Value::from).collect::<Vec<_>>());
    let mut out = Map::new();
    for (name, set) in [
        ("root_fields", &calls.root_fields),
        ("apis", &calls.apis),
        ("models", &calls.models),
        ("response_models", &calls.response_models),
        ("tools_called", &calls.tools_called),
        ("tools_offered", &calls.tools_offered),
        ("tools_listed", &calls.tools_listed),
        ("protocol_versions", &calls.protocol_versions),
        ("clients", &calls.clients),
        ("servers", &calls.servers),
    ] {
        if !set.is_empty() {
            out.insert(name.into(), names(set));
        }
    }
    for (name, count) in [
        ("batches", calls.batches),
        ("introspections", calls.introspections),
        ("persisted", calls.persisted),
        ("parse_errors", calls.parse_errors),
        ("streams", calls.streams),
        ("tokens_in", calls.tokens_in),
        ("tokens_out", calls.tokens_out),
        ("rpc_errors", calls.rpc_errors),
        ("tool_errors", calls.tool_errors),
    ] {
        if count > 0 {
            out.insert(name.into(), count.into());
        }
    }
    out
}
