//! The addresses of servers.

use crate::model::{Base, Server, ServerVariable};

/// Splits an expanded URL. `open` is the same URL with the variables of any value still in braces.
pub(crate) fn parse(url: &str, open: &str) -> Base {
    let (scheme, host, path) = split(url);
    let (_, open_host, open_path) = split(open);
    // The port stays as it is written; it is left out where hosts are compared.
    let host = host.map(|host| host.rsplit_once('@').map_or(host.as_str(), |(_, host)| host).to_lowercase());
    let host_pattern = open_host.filter(|open| open.contains('{')).and_then(|open| pattern(&open, scheme.as_deref()));
    Base { scheme, host, path, host_pattern, path_pattern: open_path }
}

/// Scheme, authority and path (RFC 3986 §3); query and fragment have no place in a server URL.
fn split(url: &str) -> (Option<String>, Option<String>, String) {
    let url = url.trim().split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => (Some(scheme.to_ascii_lowercase()), Some(rest)),
        _ => (None, url.strip_prefix("//")),
    };
    let (host, path) = match rest {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(host).filter(|host| !host.is_empty()), path)
        }
        None => (None, url),
    };
    let trimmed = path.trim_matches('/');
    let path = if trimmed.is_empty() || trimmed == "." { String::new() } else { format!("/{trimmed}") };
    // `./v1` is what careless tools write for `/v1`.
    let path = path.strip_prefix("/.").filter(|rest| rest.starts_with('/')).map(str::to_string).unwrap_or(path);
    (scheme, host.map(str::to_string), path)
}

/// The form in which hosts are compared: lower case, no user, no final dot, no default port.
pub(crate) fn canonical(host: &str, scheme: Option<&str>) -> String {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && (!name.contains(':') || name.ends_with(']')) => (name, Some(port)),
        _ => (host.as_str(), None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let default = match scheme {
        Some("https" | "wss") => "443",
        _ => "80",
    };
    match port {
        Some(port) if !port.is_empty() && port != default => format!("{name}:{port}"),
        _ => name.to_string(),
    }
}

/// `{tenant}.example.com` as `*.example.com`; nothing where fewer than two labels stand fast.
fn pattern(host: &str, scheme: Option<&str>) -> Option<String> {
    let mut out = String::new();
    let mut inside = false;
    for c in host.chars() {
        match c {
            '{' => {
                inside = true;
                out.push('*');
            }
            '}' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    let canonical = canonical(&out, scheme);
    let name = canonical.split(':').next().unwrap_or_default();
    let fast = name.split('.').rev().take_while(|label| !label.contains('*') && !label.is_empty()).count();
    (fast >= 2 && canonical.contains('*')).then_some(canonical)
}

/// Whether a host is one of a pattern: `*` is one or more characters of one label.
pub(crate) fn matches_pattern(pattern: &str, host: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == host };
    let Some(rest) = host.strip_prefix(before) else { return false };
    let label = rest.find(['.', ':']).unwrap_or(rest.len());
    // The shortest, then longer ones; a label has at most 63 bytes, and a pattern few stars.
    (1..=label.min(63)).any(|len| rest.get(len..).is_some_and(|rest| matches_pattern(after, rest)))
}

/// The addresses of a server: its variables expanded over enum and default, at most `limit`.
pub(crate) fn expand(url: &str, variables: &[ServerVariable], limit: usize) -> Vec<Base> {
    let mut urls = vec![(url.to_string(), url.to_string())];
    for variable in variables {
        let name = format!("{{{}}}", variable.name);
        if !url.contains(&name) {
            continue;
        }
        let mut values: Vec<&str> = vec![&variable.default];
        values.extend(variable.enumeration.iter().map(String::as_str).filter(|value| *value != variable.default));
        let free = variable.enumeration.is_empty();
        let mut next = Vec::new();
        for (closed, open) in &urls {
            for value in &values {
                if next.len() < limit && closed.len().saturating_add(value.len()) < 8192 {
                    let open = if free { open.clone() } else { open.replace(&name, value) };
                    next.push((closed.replace(&name, value), open));
                }
            }
        }
        urls = next;
    }
    urls.iter().map(|(closed, open)| parse(closed, open)).collect()
}

/// The server list of a specification that has none: the root of the host that serves it.
pub(crate) fn root() -> Vec<Server> {
    vec![Server::at("/")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        parse(url, url).to_string()
    }

    #[test]
    fn addresses_in_one_form() {
        for (url, expected) in [
            ("https://API.example.test:443/v1/", "https://api.example.test:443/v1"),
            ("http://api.example.test:8080", "http://api.example.test:8080"),
            ("//api.example.test/v1", "//api.example.test/v1"),
            ("/", ""),
            ("/v1/", "/v1"),
            ("./v1", "/v1"),
            ("v1", "/v1"),
            ("", ""),
            ("https://u:p@[2001:DB8::1]:443/x?y#z", "https://[2001:db8::1]:443/x"),
            ("https://", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn a_free_variable_stands_for_any_label_but_never_for_any_host() {
        let server = |url: &str, name: &str, default: &str| {
            let variable = ServerVariable { name: name.into(), default: default.into(), enumeration: Vec::new() };
            expand(url, &[variable], 64).remove(0)
        };
        let base = server("https://{tenant}.api.example.test/{x}", "tenant", "demo");
        assert_eq!(base.host.as_deref(), Some("demo.api.example.test"));
        assert_eq!(base.host_pattern.as_deref(), Some("*.api.example.test"));
        assert!(matches_pattern("*.api.example.test", "acme.api.example.test"));
        assert!(!matches_pattern("*.api.example.test", "a.b.api.example.test"));
        assert!(!matches_pattern("*.api.example.test", ".api.example.test"));
        assert!(matches_pattern("x-*.*.example.test:81", "x-1.eu.example.test:81"));
        assert_eq!(server("https://{host}/api", "host", "h.test").host_pattern, None);
        assert_eq!(server("https://{h}.test", "h", "a").host_pattern, None);
        let base = server("https://api.test/{tenant}/v1", "tenant", "demo");
        assert_eq!((base.path.as_str(), base.path_pattern.as_str()), ("/demo/v1", "/{tenant}/v1"));
    }

    #[test]
    fn expansion_is_bounded() {
        let variable = |name: &str| ServerVariable {
            name: name.into(),
            default: "0".into(),
            enumeration: (0..50).map(|n| n.to_string()).collect(),
        };
        let variables: Vec<_> = ["a", "b", "c", "d"].map(variable).into();
        assert_eq!(expand("https://{a}.{b}.test/{c}/{d}", &variables, 64).len(), 64);
        let huge = ServerVariable { name: "a".into(), default: "x".repeat(10_000), enumeration: Vec::new() };
        assert!(expand("/{a}", &[huge], 64).is_empty());
    }
}
