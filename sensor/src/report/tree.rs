//! The inventory as a tree: host, path segments, and what is called there.

use std::collections::BTreeMap;

use umbra_discovery::schema::Credential;

use super::grid::{Column, Grid, Kind};
use super::{confirmed_apis, notes, remark, short, shown, specification, time};
use crate::catalogue::Row;

/// Segments that are told apart; what follows is one label. Servers nest a handful, a client may nest thousands.
const DEPTH: usize = 24;
/// Status codes shown of an endpoint, the most frequent.
const STATUSES: usize = 4;

const COLUMNS: [Column; 9] = [
    Column { title: "PATH", kind: Kind::Cut, goes: 0 },
    Column { title: "METHOD", kind: Kind::Text, goes: 0 },
    Column { title: "REQUESTS", kind: Kind::Number, goes: 0 },
    Column { title: "STATUSES", kind: Kind::Text, goes: 0 },
    Column { title: "AUTH", kind: Kind::Text, goes: 1 },
    Column { title: "SPEC", kind: Kind::Text, goes: 0 },
    Column { title: "STYLE", kind: Kind::Text, goes: 2 },
    Column { title: "LAST SEEN", kind: Kind::Text, goes: 3 },
    Column { title: "NOTES", kind: Kind::Remark, goes: 0 },
];

/// Confirmed endpoints of APIs below the segments of their paths. Hosts and segments come in the order of their first endpoint.
/// `width`: characters of the terminal, if it is one.
pub(super) fn tree(endpoints: &[Row<'_>], width: Option<usize>) -> String {
    let mut grid = Grid::new(&COLUMNS);
    let rows: Vec<&Row<'_>> = confirmed_apis(endpoints).collect();
    for rows in rows.chunk_by(|a, b| a.host() == b.host()) {
        let Some(first) = rows.first() else { continue };
        grid.heading(format!("{}{}", shown(first.host()), remark(first)));
        let mut root = Node::default();
        rows.iter().for_each(|row| root.add(row));
        write(&root, "", &mut grid);
    }
    grid.text(width)
}

/// A segment of paths.
#[derive(Default)]
struct Node<'a> {
    /// Its place among its siblings.
    order: usize,
    below: BTreeMap<&'a str, Node<'a>>,
    /// What is called here.
    rows: Vec<&'a Row<'a>>,
}

impl<'a> Node<'a> {
    fn add(&mut self, row: &'a Row<'a>) {
        let mut node = self;
        for segment in segments(row.endpoint().route()) {
            let order = node.below.len();
            node = node.below.entry(segment).or_insert_with(|| Node { order, ..Node::default() });
        }
        node.rows.push(row);
    }

    fn children(&self) -> Vec<(&'a str, &Node<'a>)> {
        let mut children: Vec<(&str, &Node<'_>)> = self.below.iter().map(|(segment, node)| (*segment, node)).collect();
        children.sort_by_key(|(_, node)| node.order);
        children
    }
}

/// Segments with the slash before them; what is no path, such as `*` of OPTIONS, is one.
fn segments(route: &str) -> impl Iterator<Item = &str> {
    let mut rest = route;
    let mut count = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        count += 1;
        let end = match rest.char_indices().skip(1).find(|(_, c)| *c == '/') {
            Some((at, _)) if count < DEPTH && rest.starts_with('/') => at,
            _ => rest.len(),
        };
        let (segment, after) = rest.split_at(end);
        rest = after;
        Some(segment)
    })
}

/// Adds what is below a node; `rails` lead to it.
fn write(node: &Node<'_>, rails: &str, grid: &mut Grid) {
    let children = node.children();
    let (operations, _) = split(node);
    let last = children.len() + operations.len();
    for (at, row) in operations.into_iter().enumerate() {
        let (fork, _) = fork(at + 1 == last);
        grid.row(cells(format!("{rails}{fork}{}", short(row.operation().unwrap_or_default())), row));
    }
    for (at, (segment, mut child)) in children.into_iter().enumerate() {
        let (fork, rail) = fork(at + 1 + (last - node.below.len()) == last);
        let mut label = segment.to_owned();
        // What only leads on needs no line of its own.
        while child.rows.is_empty()
            && child.below.len() == 1
            && let Some((segment, next)) = child.below.first_key_value()
        {
            label.push_str(segment);
            child = next;
        }
        let label = format!("{rails}{fork}{}", short(&label));
        let (operations, plain) = split(child);
        let leads_on = !operations.is_empty() || !child.below.is_empty();
        match plain.split_first() {
            None => grid.row(vec![label]),
            Some((first, more)) => {
                grid.row(cells(label, first));
                let label = format!("{rails}{rail}{}", if leads_on { "│" } else { "" });
                more.iter().for_each(|row| grid.row(cells(label.clone(), row)));
            }
        }
        write(child, &format!("{rails}{rail}"), grid);
    }
}

/// The rows of a node with an operation, and those without.
fn split<'a>(node: &Node<'a>) -> (Vec<&'a Row<'a>>, Vec<&'a Row<'a>>) {
    node.rows.iter().partition(|row| row.operation().is_some())
}

/// What stands before a label, and below that before what is under it.
fn fork(is_last: bool) -> (&'static str, &'static str) {
    if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") }
}

fn cells(label: String, row: &Row<'_>) -> Vec<String> {
    vec![
        label,
        row.method().to_owned(),
        row.requests.to_string(),
        statuses(row),
        credentials(row),
        specification(row).unwrap_or_default().to_owned(),
        row.style.name().to_owned(),
        time(row.last_seen.nanos()).get(..19).unwrap_or_default().to_owned(),
        notes(row),
    ]
}

/// Status codes, the most frequent first, with their counts where there are several.
fn statuses(row: &Row<'_>) -> String {
    let mut statuses = row.statuses.clone();
    statuses.sort_by_key(|(status, count)| (std::cmp::Reverse(*count), *status));
    if let [(status, _)] = statuses[..] {
        return status.to_string();
    }
    let more = statuses.len().saturating_sub(STATUSES);
    let shown = statuses.iter().take(STATUSES).map(|(status, count)| format!("{status}:{count}"));
    shown.chain((more > 0).then(|| format!("+{more}"))).collect::<Vec<_>>().join(" ")
}

/// How clients say who they are, and `none` where some do not; empty if it is not known.
fn credentials(row: &Row<'_>) -> String {
    let Some(learnt) = &row.learnt else { return String::new() };
    let auth = &learnt.schemas().auth;
    let kinds = auth.kinds().map(|(kind, _)| match kind {
        Credential::Jwt => "jwt".to_owned(),
        Credential::Http(scheme) => shown(scheme),
        Credential::Bare => "authorization".to_owned(),
        Credential::Header(name) => shown(name),
        Credential::Query(name) => format!("?{}", shown(name)),
        Credential::Cookie(name) => format!("cookie {}", shown(name)),
    });
    kinds.chain((auth.anonymous > 0).then(|| "none".to_owned())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_slashes_and_an_end() {
        let of = |route| segments(route).collect::<Vec<&str>>();
        assert_eq!(of("/a/{b}.json"), ["/a", "/{b}.json"]);
        assert_eq!(of("/a//b/"), ["/a", "/", "/b", "/"]);
        assert_eq!(of("/"), ["/"]);
        assert_eq!(of("*"), ["*"]);
        assert_eq!(of("h.test:443/x"), ["h.test:443/x"]);
        let deep = "/a".repeat(1000);
        assert_eq!(of(&deep).len(), DEPTH);
        assert_eq!(of(&deep).concat(), deep);
    }
}
