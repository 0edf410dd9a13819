//! Paths, operations and what stands in them.

use std::collections::{BTreeMap, BTreeSet};

use super::components::{Components, Names};
use super::json::Json;
use super::{example, schemas, write_servers};
use crate::model::{Content, Evidence, Location, Operation, Parameter, Spec, Status, Style};

/// Methods in the order of the standard's path item.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

pub(super) fn write(json: &mut Json, spec: &Spec, components: &Components) {
    let mut paths: BTreeMap<String, BTreeMap<usize, (&Operation, Vec<String>)>> = BTreeMap::new();
    for operation in &spec.operations {
        let Some(place) = METHODS.iter().position(|method| *method == operation.method) else { continue };
        let (template, names) = distinct_variables(&operation.template);
        paths.entry(template).or_default().entry(place).or_insert((operation, names));
    }
    let mut ids = Names::default();
    json.object(|json| {
        for (template, methods) in &paths {
            json.member(template, |json| {
                json.object(|json| {
                    for (place, (operation, variables)) in methods {
                        let method = METHODS.get(*place).map(|method| method.to_ascii_lowercase()).unwrap_or_default();
                        json.member(&method, |json| {
                            let id = operation.operation_id.as_deref().map(|id| ids.unique(id, "operation"));
                            write_operation(json, spec, components, operation, variables, id.as_deref());
                        });
                    }
                });
            });
        }
    });
}

/// A template in which each variable has a name of its own, and those names; a name that is there twice gets a number.
fn distinct_variables(template: &str) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut names: Vec<String> = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{')
        && let Some(close) = rest.get(open..).and_then(|tail| tail.find('}'))
    {
        let name = rest.get(open + 1..open + close).unwrap_or_default();
        let base = if name.is_empty() { "value" } else { name };
        let mut unique = base.to_string();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{base}{number}");
            number += 1;
        }
        out.push_str(rest.get(..open).unwrap_or_default());
        out.push('{');
        out.push_str(&unique);
        out.push('}');
        names.push(unique);
        rest = rest.get(open + close + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    (out, names)
}

fn write_operation(
    json: &mut Json,
    spec: &Spec,
    components: &Components,
    operation: &Operation,
    variables: &[String],
    id: Option<&str>,
) {
    json.object(|json| {
        if let Some(id) = id {
            json.text("operationId", id);
        }
        write_parameters(json, spec, components, operation, variables);
        if let Some(body) = &operation.request_body
            && !body.content.is_empty()
        {
            json.member("requestBody", |json| {
                json.object(|json| {
                    write_content(json, spec, components, &body.content);
                    if body.required {
                        json.flag("required", true);
                    }
                });
            });
        }
        write_responses(json, spec, components, operation);
        if operation.deprecated {
            json.flag("deprecated", true);
        }
        if let Some(alternatives) = &operation.security {
            write_security(json, components, alternatives);
        }
        if operation.servers != 0 {
            write_servers(json, spec.servers(operation));
        }
        if let Some(evidence) = &operation.evidence {
            write_evidence(json, evidence);
        }
    });
}

fn write_security(json: &mut Json, components: &Components, alternatives: &[Vec<u32>]) {
    json.member("security", |json| {
        json.array(alternatives, |json, together| {
            json.object(|json| {
                for name in together.iter().filter_map(|place| components.security.get(*place as usize)) {
                    json.member(name, |json| json.array([(); 0], |_, ()| {}));
                }
            });
        });
    });
}

fn write_evidence(json: &mut Json, evidence: &Evidence) {
    json.member("x-umbra", |json| {
        json.object(|json| {
            json.member("confidence", |json| json.raw(&share(evidence.confidence)));
            json.count("requests", evidence.requests);
            json.text("first_seen", &rfc3339(evidence.first_seen_ns));
            json.text("last_seen", &rfc3339(evidence.last_seen_ns));
            for list in evidence.remarks.chunk_by(|(one, _), (other, _)| one == other) {
                match list {
                    [(name, text)] if *name != "tags" => json.text(name, text),
                    [(name, _), ..] => json.member(name, |json| json.array(list, |json, (_, text)| json.string(text))),
                    [] => {}
                }
            }
        });
    });
}

/// A share with three digits: enough, and the same on every machine.
fn share(value: f64) -> String {
    format!("{:.3}", if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 })
}

/// Path parameters in the order of the template, then the others by place and name.
fn write_parameters(
    json: &mut Json,
    spec: &Spec,
    components: &Components,
    operation: &Operation,
    variables: &[String],
) {
    let mut all: Vec<Parameter> = Vec::new();
    let of_path = |parameter: &&Parameter| parameter.location == Location::Path;
    for name in variables {
        let known = operation.parameters.iter().filter(of_path).find(|parameter| parameter.name == *name);
        all.push(known.cloned().unwrap_or_else(|| Parameter::new(name, Location::Path, true)));
    }
    let mut others: Vec<&Parameter> = operation.parameters.iter().filter(|parameter| !of_path(parameter)).collect();
    others.sort_by(|a, b| (a.location, &a.name).cmp(&(b.location, &b.name)));
    others.dedup_by(|a, b| a.location == b.location && a.name == b.name);
    all.extend(others.into_iter().cloned());
    // They have fields of their own in the standard and would be ignored.
    let reserved = ["accept", "content-type", "authorization"];
    all.retain(|parameter| {
        parameter.location != Location::Header || !reserved.contains(&parameter.name.to_ascii_lowercase().as_str())
    });
    if all.is_empty() {
        return;
    }
    json.member("parameters", |json| {
        json.array(&all, |json, parameter| {
            json.object(|json| {
                json.text("name", &parameter.name);
                json.text("in", parameter.location.name());
                if parameter.required || parameter.location == Location::Path {
                    json.flag("required", true);
                }
                if parameter.deprecated {
                    json.flag("deprecated", true);
                }
                if parameter.style == Style::DeepObject && parameter.location == Location::Query {
                    json.text("style", "deepObject");
                }
                json.member("schema", |json| match parameter.schema {
                    Some(id) => schemas::write(json, spec, components, id, false),
                    None => json.object(|json| json.text("type", "string")),
                });
                if let Some(confidence) = parameter.confidence {
                    json.member("x-umbra", |json| {
                        json.object(|json| json.member("confidence", |json| json.raw(&share(confidence))));
                    });
                }
            });
        });
    });
}

fn write_responses(json: &mut Json, spec: &Spec, components: &Components, operation: &Operation) {
    json.member("responses", |json| {
        json.object(|json| {
            let mut written = BTreeSet::new();
            let mut responses: Vec<_> = operation.responses.iter().collect();
            responses.sort_by_key(|response| response.status);
            for response in responses {
                let known = match response.status {
                    Status::Code(code) => (100..600).contains(&code),
                    Status::Class(class) => (1..6).contains(&class),
                    Status::Default => true,
                };
                if !known || !written.insert(response.status) {
                    continue;
                }
                json.member(&response.status.to_string(), |json| {
                    json.object(|json| {
                        json.text("description", reason(response.status));
                        write_headers(json, &response.headers);
                        if !response.content.is_empty() {
                            write_content(json, spec, components, &response.content);
                        }
                    });
                });
            }
            if written.is_empty() {
                json.member("default", |json| json.object(|json| json.text("description", "No answer was seen.")));
            }
        });
    });
}

fn write_headers(json: &mut Json, headers: &[String]) {
    let names: BTreeSet<&str> = headers.iter().map(String::as_str).filter(|name| *name != "content-type").collect();
    if names.is_empty() {
        return;
    }
    json.member("headers", |json| {
        json.object(|json| {
            for name in names {
                json.member(name, |json| {
                    json.object(|json| json.member("schema", |json| json.object(|json| json.text("type", "string"))));
                });
            }
        });
    });
}

fn write_content(json: &mut Json, spec: &Spec, components: &Components, content: &[Content]) {
    let sorted: BTreeMap<&str, &Content> = content.iter().rev().map(|one| (one.media_type.as_str(), one)).collect();
    json.member("content", |json| {
        json.object(|json| {
            for (media_type, content) in sorted {
                json.member(media_type, |json| {
                    json.object(|json| {
                        let Some(id) = content.schema else { return };
                        json.member("schema", |json| schemas::write(json, spec, components, id, false));
                        if let Some(example) = example::of(&spec.schemas, id) {
                            json.member("example", |json| json.raw(&example));
                        }
                    });
                });
            }
        });
    });
}

/// What a status means, in general.
fn reason(status: Status) -> &'static str {
    match status {
        Status::Code(200) => "OK",
        Status::Code(201) => "Created",
        Status::Code(202) => "Accepted",
        Status::Code(204) => "No content",
        Status::Code(code) => reason(Status::Class(code / 100)),
        Status::Class(1) => "Interim answer",
        Status::Class(2) => "Success",
        Status::Class(3) => "Redirection",
        Status::Class(4) => "Client error",
        Status::Class(_) => "Server error",
        Status::Default => "Any other answer",
    }
}

/// RFC 3339 in UTC, to the second: for people, the events have the rest.
fn rfc3339(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, years starting in March so that the leap day is the last (H. Hinnant's algorithm).
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), expected);
        }
        assert_eq!(rfc3339(u64::MAX).len(), 20);
    }

    #[test]
    fn variables_get_names_of_their_own() {
        let (template, names) = distinct_variables("/a/{id}/b/{id}.{}/{id2}");
        assert_eq!(template, "/a/{id}/b/{id2}.{value}/{id22}");
        assert_eq!(names, ["id", "id2", "value", "id22"]);
    }
}
