//! Traffic of a service beside its specification.

use std::fmt::Write as _;

use umbra_testkit::{Conversation, Trace};

use super::http1::{request, response};

const HOST: &str = "api.contract.example";

/// Six times the same calls with other values. `testdata/contract/spec.yaml` documents most of it differently.
pub(super) fn contract() -> Trace {
    let key = "X-Api-Key: CANARY-key";
    let mut conversation = Conversation::new();
    for number in 0..6 {
        let id = 81_001 + number * 17;
        // As documented.
        conversation = conversation
            .request(&request("GET", &format!("/v1/customers/{id}?fields=name"), HOST, &[key], ""))
            .response(&response(200, &[], &format!(r#"{{"id":{id},"name":"CANARY {number}"}}"#)))
            // A bearer token instead of a key; parameters, members and types of its own.
            .request(&request(
                "GET",
                &format!("/v1/orders/{id}?expand=CANARY{number}"),
                HOST,
                &["Authorization: Bearer CANARY-token", "X-Tenant: CANARY"],
                "",
            ))
            .response(&response(200, &[], &format!(r#"{{"id":"CANARY-{id}","total":{number}.5,"discount":{id}}}"#)))
            // A form instead of JSON, and another code.
            .request(&form("/v1/orders", &["X-Api-Key: CANARY-key"], &format!("item=CANARY{number}&count={number}")))
            .response(&response(202, &[], &format!(r#"{{"id":{id}}}"#)))
            // A member that has to be there is not.
            .request(&request("PUT", &format!("/v1/orders/{id}"), HOST, &[key], &format!(r#"{{"count":{number}}}"#)))
            .response(&response(204, &[], ""))
            // Another media type, and no credential.
            .request(&request("GET", "/v1/report", HOST, &[], ""))
            .response(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\nCANARY,1\n");
    }
    conversation.build()
}

fn form(target: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: {HOST}\r\n");
    for header in headers {
        let _ = write!(head, "{header}\r\n");
    }
    let length = body.len();
    format!("{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
