//! Servers of OpenAPI 3; host, base path and schemes of Swagger 2.0.

use super::{Place, Reader};
use crate::base;
use crate::document::Kind;
use crate::model::{Format, Server, ServerVariable};

/// Variables of one server.
const VARIABLES: usize = 16;

impl Reader<'_> {
    /// The servers of the whole specification: list 0.
    pub(super) fn read_servers(&mut self, root: Place) {
        let servers = match self.spec.format {
            Format::Swagger2 => self.swagger_server(root),
            _ => self.server_list(root).unwrap_or_default(),
        };
        self.spec.server_lists.push(if servers.is_empty() { base::root() } else { servers });
    }

    /// The list of servers that holds for what is under a place: its own, or the one around it.
    pub(super) fn own_servers(&mut self, place: Place, around: u32) -> u32 {
        match self.server_list(place) {
            Some(servers) if !servers.is_empty() => self.list_number(servers),
            _ => around,
        }
    }

    /// Equal lists are one: operations with the same servers are matched together.
    fn list_number(&mut self, servers: Vec<Server>) -> u32 {
        let lists = &mut self.spec.server_lists;
        // Many lists of their own are compared with the last ones only, so that reading stays linear.
        let from = lists.len().saturating_sub(64);
        let found = (0..1).chain(from..lists.len()).find(|&place| lists.get(place) == Some(&servers));
        let place = found.unwrap_or_else(|| {
            lists.push(servers);
            lists.len() - 1
        });
        u32::try_from(place).unwrap_or(0)
    }

    fn server_list(&mut self, place: Place) -> Option<Vec<Server>> {
        let list = self.member_of(place, "servers", Kind::List)?;
        let mut servers = Vec::new();
        let mut bases = 0;
        for item in self.items(list) {
            if servers.len() >= self.limits.bases || bases >= self.limits.bases {
                self.issue(list, "too many servers: the rest is left out");
                break;
            }
            if !self.take_part(item) {
                break;
            }
            let Some(url) = self.string(item, "url") else {
                self.issue(item, "a server without url");
                continue;
            };
            let variables = self.server_variables(item);
            let expanded = base::expand(&url, &variables, self.limits.bases);
            bases += expanded.len();
            servers.push(Server { url, variables, bases: expanded });
        }
        Some(servers)
    }

    fn server_variables(&mut self, server: Place) -> Vec<ServerVariable> {
        let Some(map) = self.member_of(server, "variables", Kind::Map) else { return Vec::new() };
        let mut variables = Vec::new();
        for (name, place) in self.entries(map).into_iter().take(VARIABLES) {
            let limit = self.limits.bases;
            let values = self.member(place, "enum").map(|list| self.items(list)).unwrap_or_default();
            let enumeration: Vec<String> =
                values.into_iter().take(limit).filter_map(|value| self.text(value).map(str::to_string)).collect();
            // Required, but often left out where there is an enum.
            let default = self.string(place, "default").or_else(|| enumeration.first().cloned());
            match default {
                Some(default) => variables.push(ServerVariable { name, default, enumeration }),
                None => self.issue(place, "a server variable without default"),
            }
        }
        variables
    }

    fn swagger_server(&mut self, root: Place) -> Vec<Server> {
        let path = self.string(root, "basePath").unwrap_or_default();
        let path = path.trim_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let Some(host) = self.string(root, "host").filter(|host| !host.is_empty()) else {
            return vec![Server::at(if path.is_empty() { "/" } else { &path })];
        };
        let schemes = self.member(root, "schemes").map(|list| self.items(list)).unwrap_or_default();
        let schemes: Vec<String> =
            schemes.into_iter().take(4).filter_map(|scheme| self.text(scheme).map(str::to_string)).collect();
        if schemes.is_empty() {
            return vec![Server::at(&format!("//{host}{path}"))];
        }
        schemes.iter().map(|scheme| Server::at(&format!("{scheme}://{host}{path}"))).collect()
    }
}
