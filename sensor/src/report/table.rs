//! The inventory as columns, grouped by host.

use super::grid::{Column, Grid, Kind};
use super::{confirmed_apis, label, notes, remark, shown, specification, time};
use crate::catalogue::Row;

const COLUMNS: [Column; 11] = [
    Column { title: "METHOD", kind: Kind::Text, goes: 0 },
    Column { title: "ROUTE", kind: Kind::Cut, goes: 0 },
    Column { title: "REQUESTS", kind: Kind::Number, goes: 0 },
    Column { title: "2xx/3xx", kind: Kind::Number, goes: 2 },
    Column { title: "4xx", kind: Kind::Number, goes: 0 },
    Column { title: "5xx", kind: Kind::Number, goes: 0 },
    Column { title: "CLIENTS", kind: Kind::Number, goes: 3 },
    Column { title: "STYLE", kind: Kind::Text, goes: 1 },
    Column { title: "LAST SEEN", kind: Kind::Text, goes: 4 },
    Column { title: "SPEC", kind: Kind::Text, goes: 0 },
    Column { title: "NOTES", kind: Kind::Remark, goes: 0 },
];

/// Rows of the table: confirmed endpoints of APIs. `width`: characters of the terminal, if it is one.
pub(super) fn table(endpoints: &[Row<'_>], width: Option<usize>) -> String {
    let mut grid = Grid::new(&COLUMNS);
    let mut host = None;
    for row in confirmed_apis(endpoints) {
        if host.replace(row.host()) != Some(row.host()) {
            grid.heading(format!("{}{}", shown(row.host()), remark(row)));
        }
        let successes = row.status_class(1) + row.status_class(2) + row.status_class(3);
        grid.row(vec![
            row.method().to_owned(),
            label(row),
            row.requests.to_string(),
            successes.to_string(),
            row.status_class(4).to_string(),
            row.status_class(5).to_string(),
            row.clients.count().to_string(),
            row.style.name().to_owned(),
            time(row.last_seen.nanos()).get(..19).unwrap_or_default().to_owned(),
            specification(row).unwrap_or_default().to_owned(),
            notes(row),
        ]);
    }
    grid.text(width)
}
