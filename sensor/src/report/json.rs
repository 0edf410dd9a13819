//! The inventory as one JSON document.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use umbra_discovery::Counters;
use umbra_event::kafka::EndpointRecord;
use umbra_rollup::endpoint_record;

use crate::catalogue::{self, Row};

/// The document, its rows made one at a time: as values all of them would take ten times the memory of their text.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    endpoints: Rows<'a>,
    left_out: Value,
    schema_version: u32,
}

struct Rows<'a>(&'a [Row<'a>]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(endpoint))
    }
}

pub(super) fn document<'a>(endpoints: &'a [Row<'a>], left_out: &Counters) -> Document<'a> {
    Document {
        endpoints: Rows(endpoints),
        left_out: json!({
            "orphan_responses": left_out.orphan_responses,
            "unknown_path": left_out.unknown_path,
            "overflow": left_out.overflow,
            "unconfirmed_dropped": left_out.unconfirmed_dropped,
            "unconfirmed_requests_dropped": left_out.unconfirmed_requests_dropped,
            "operations_overflow": left_out.operations_overflow,
            "coarse": left_out.coarse,
            "guessed_hosts": left_out.guessed_hosts,
            "definitions": left_out.definitions,
        }),
        schema_version: 1,
    }
}

fn endpoint(row: &Row<'_>) -> EndpointRecord {
    let mut record = endpoint_record(row.endpoint());
    catalogue::add(row, &mut record);
    record
}
