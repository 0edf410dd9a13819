//! Paths and their operations.

use super::operations::Around;
use super::{Place, Reader};
use crate::document::Kind;
use crate::model::{Format, Operation};

/// Fields of a path item that are operations.
pub(super) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Reader<'_> {
    pub(super) fn read_paths(&mut self, root: Place) {
        let Some(paths) = self.member_of(root, "paths", Kind::Map) else {
            if self.member(root, "webhooks").is_none() && self.member(root, "components").is_none() {
                self.issue(root, "no paths");
            }
            return;
        };
        let around = Around {
            servers: 0,
            security: self.security(root),
            consumes: self.media_types(root, "consumes"),
            produces: self.media_types(root, "produces"),
        };
        for (template, item) in self.entries(paths) {
            if template.starts_with("x-") {
                continue;
            }
            if self.spec.operations.len() >= self.limits.operations {
                self.issue(paths, "too many operations: the rest is left out");
                return;
            }
            if template.len() > self.limits.template_bytes {
                self.issue(item, "the path is too long: left out");
                continue;
            }
            self.path_item(&template, item, &around);
        }
    }

    fn path_item(&mut self, template: &str, item: Place, around: &Around) {
        if self.kind(item) != Kind::Map {
            let kind = self.kind(item).name();
            self.issue(item, format!("{kind} instead of a path item"));
            return self.unreadable(template, around.servers);
        }
        // OpenAPI 3.1 leaves fields beside `$ref` open; they add to what it leads to, and win.
        let own: Vec<&str> = METHODS.into_iter().filter(|method| self.member(item, method).is_some()).collect();
        if !own.is_empty() && self.member(item, "$ref").is_some() {
            self.methods(template, item, &own, around);
        }
        let Some(at) = self.resolved(item) else { return self.unreadable(template, around.servers) };
        if self.kind(at) != Kind::Map {
            self.issue(item, "the $ref leads to no path item");
            return self.unreadable(template, around.servers);
        }
        let inherited = at != item;
        let methods: Vec<&str> = METHODS.into_iter().filter(|method| !inherited || !own.contains(method)).collect();
        self.methods(template, at, &methods, around);
    }

    /// Something is documented at a path, but nobody can say what: what is seen there is not called undocumented.
    fn unreadable(&mut self, template: &str, servers: u32) {
        let operation = Operation { method: "*".into(), template: rooted(template), servers, ..incomplete() };
        self.spec.operations.push(operation);
    }

    fn methods(&mut self, template: &str, item: Place, methods: &[&str], around: &Around) {
        let servers = self.own_servers(item, around.servers);
        let shared = self.parameters(item);
        let around = Around { servers, ..around.clone() };
        for method in methods {
            let Some(operation) = self.member(item, method) else { continue };
            if self.kind(operation) != Kind::Map {
                let kind = self.kind(operation).name();
                self.issue(operation, format!("{kind} instead of an operation"));
                let method = method.to_ascii_uppercase();
                let template = rooted(template);
                self.spec.operations.push(Operation { method, template, servers, ..incomplete() });
                continue;
            }
            if !self.take_part(operation) {
                return;
            }
            let mut read = self.operation(operation, &shared, &around);
            read.method = method.to_ascii_uppercase();
            self.with_template(&mut read, template, operation);
            self.spec.operations.push(read);
        }
    }

    /// A template with a query, as old specifications have them, is a path with required parameters.
    fn with_template(&mut self, operation: &mut Operation, template: &str, at: Place) {
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let path = path.split('#').next().unwrap_or_default();
        if !path.starts_with('/') {
            self.issue(at, "the path does not start with a slash");
        }
        operation.template = rooted(path);
        operation.variant = path.len() < template.len();
        self.query_of_template(operation, query);
    }

    /// Operations of `webhooks` or `callbacks`: calls that the API makes.
    pub(super) fn count_operations(&mut self, items: Place) -> usize {
        let mut count = 0;
        for (_, item) in self.entries(items) {
            if !self.take_part(item) {
                break;
            }
            if let Some(at) = self.resolved(item) {
                count += METHODS.iter().filter(|method| self.member(at, method).is_some()).count();
            }
        }
        count
    }

    /// Media types that Swagger 2.0 lists at the top or at an operation.
    pub(super) fn media_types(&mut self, place: Place, key: &str) -> Option<Vec<String>> {
        if self.spec.format != Format::Swagger2 {
            return None;
        }
        let list = self.member_of(place, key, Kind::List)?;
        let items = self.items(list);
        Some(items.into_iter().take(self.limits.responses).filter_map(|item| self.text(item).map(essence)).collect())
    }
}

fn incomplete() -> Operation {
    Operation { incomplete: true, ..Operation::default() }
}

fn rooted(template: &str) -> String {
    if template.starts_with('/') { template.to_string() } else { format!("/{template}") }
}

/// A media type without its parameters, in lower case.
pub(super) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
