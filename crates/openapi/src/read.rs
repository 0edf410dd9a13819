//! Reads specifications: bytes in, one model out.

mod operations;
mod parameters;
mod paths;
mod schemas;
mod security;
mod servers;

use std::collections::HashMap;

pub(crate) use schemas::json_string;

use crate::document::{Document, Kind};
use crate::limits::Limits;
use crate::model::{Format, Issue, Spec};
use crate::pointer::{Reference, join, percent_decode, unescape};
use crate::schema::SchemaId;

/// Reads one specification, JSON or YAML.
///
/// `name` is its file name, in the form in which `load` takes names: of a document that a `$ref` leads to, `load` is asked
/// for the bytes, by the name relative to `name` (`../common/a.yaml` in `spec/api.yaml` is `common/a.yaml`). It must decide
/// itself what may be opened: a name may start with `..`. It is never asked for an address of another machine.
///
/// What cannot be read inside the specification becomes an issue of it, and the rest is used.
///
/// # Errors
/// One line that says why nothing of the document can be used.
pub fn read(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
    load: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Spec, Issue> {
    let issue = |pointer: &str, what: &str| Issue {
        document: name.to_string(),
        pointer: pointer.to_string(),
        what: what.to_string(),
    };
    let document = Document::read(bytes, limits).map_err(|flaw| issue(&flaw.pointer, &flaw.what))?;
    let format = format(&document).map_err(|(pointer, what)| issue(pointer, &what))?;
    let mut reader = Reader {
        limits,
        load,
        files: Vec::new(),
        by_name: HashMap::new(),
        anchors: HashMap::new(),
        bytes_left: limits.total_bytes.saturating_sub(bytes.len()),
        parts_left: limits.shared_parts,
        troubles: 0,
        spec: Spec { name: name.to_string(), format, ..Spec::default() },
        known: HashMap::new(),
        names: HashMap::new(),
        to_read: Vec::new(),
    };
    reader.add_file(name.to_string(), Some(document));
    reader.specification();
    Ok(reader.spec)
}

/// Whether a document looks like a specification: for choosing files of a folder without reading each to its end.
pub fn looks_like_spec(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(64 * 1024)).unwrap_or_default();
    ["openapi", "swagger"].iter().any(|word| head.windows(word.len()).any(|window| window == word.as_bytes()))
}

fn format(document: &Document) -> Result<Format, (&'static str, String)> {
    let root = document.root();
    if document.kind(root) != Kind::Map {
        return Err(("", format!("not a specification: {} instead of an object", document.kind(root).name())));
    }
    let text = |key: &str| document.member(root, key).map(|id| document.text(id).unwrap_or("?"));
    match (text("openapi"), text("swagger")) {
        (Some(version), _) if version == "3" || version.starts_with("3.0") => Ok(Format::OpenApi30),
        (Some(version), _) if version.starts_with("3.") => Ok(Format::OpenApi31),
        (_, Some(version)) if version == "2" || version.starts_with("2.") => Ok(Format::Swagger2),
        (Some(version), _) => Err(("/openapi", format!("version {version} is not known"))),
        (_, Some(version)) => Err(("/swagger", format!("version {version} is not known"))),
        (None, None) => Err(("", "not a specification: neither openapi nor swagger at its top".to_string())),
    }
}

/// A value in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    file: u32,
    value: u32,
}

struct File {
    name: String,
    /// Nothing, if it could not be had.
    document: Option<Document>,
}

struct Reader<'a> {
    limits: &'a Limits,
    load: &'a mut dyn FnMut(&str) -> Option<Vec<u8>>,
    files: Vec<File>,
    by_name: HashMap<String, u32>,
    /// Values by `$anchor`, per file.
    anchors: HashMap<u32, HashMap<String, u32>>,
    bytes_left: usize,
    /// Parts of operations that may still be read: bounds what shared path items multiply.
    parts_left: usize,
    /// Issues so far, repeated ones included.
    troubles: usize,
    spec: Spec,
    /// Schemas by the place they are written at.
    known: HashMap<Place, SchemaId>,
    /// Names of components.
    names: HashMap<Place, String>,
    /// Schemas that have an id but are not read yet: a work list, so that chains of references need no stack.
    to_read: Vec<(Place, SchemaId)>,
}

impl Reader<'_> {
    fn specification(&mut self) {
        let root = Place { file: 0, value: 0 };
        if let Some(info) = self.member(root, "info") {
            self.spec.title = self.string(info, "title").unwrap_or_default();
            self.spec.version = self.string(info, "version").unwrap_or_default();
        }
        self.read_servers(root);
        self.read_security_schemes(root);
        self.read_paths(root);
        self.read_schemas();
        self.spec.webhook_operations = self.member(root, "webhooks").map_or(0, |hooks| self.count_operations(hooks));
    }

    fn add_file(&mut self, name: String, document: Option<Document>) -> u32 {
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        for flaw in document.iter().flat_map(|document| &document.flaws) {
            push_issue(
                &mut self.spec,
                self.limits,
                Issue { document: name.clone(), pointer: flaw.pointer.clone(), what: flaw.what.clone() },
            );
        }
        self.by_name.insert(name.clone(), number);
        self.files.push(File { name, document });
        self.name_components(number);
        number
    }

    fn document(&self, file: u32) -> Option<&Document> {
        self.files.get(file as usize).and_then(|file| file.document.as_ref())
    }

    fn kind(&self, place: Place) -> Kind {
        self.document(place.file).map_or(Kind::Null, |document| document.kind(place.value))
    }

    fn member(&self, place: Place, key: &str) -> Option<Place> {
        let value = self.document(place.file)?.member(place.value, key)?;
        Some(Place { value, ..place })
    }

    fn text(&self, place: Place) -> Option<&str> {
        self.document(place.file)?.text(place.value)
    }

    /// The text of a member, cut at 4 KiB: names and types, never descriptions.
    fn string(&self, place: Place, key: &str) -> Option<String> {
        let text = self.text(self.member(place, key)?)?;
        let end = (0..=text.len().min(4096)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.get(..end).map(str::to_string)
    }

    fn flag(&self, place: Place, key: &str) -> bool {
        let Some(member) = self.member(place, key) else { return false };
        let document = self.document(place.file);
        // Quoted by careless tools.
        document.and_then(|document| document.bool(member.value)).unwrap_or_else(|| self.text(member) == Some("true"))
    }

    fn number(&self, place: Place, key: &str) -> Option<f64> {
        self.text(self.member(place, key)?)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Members of a map in the order of the document.
    fn entries(&self, place: Place) -> Vec<(String, Place)> {
        let Some(document) = self.document(place.file) else { return Vec::new() };
        let entry = |at| document.entry(place.value, at);
        let mut entries: Vec<(&str, u32)> = (0..document.len(place.value)).filter_map(entry).collect();
        // Values are numbered as they come.
        entries.sort_by_key(|(_, value)| *value);
        entries.into_iter().map(|(key, value)| (key.to_string(), Place { value, ..place })).collect()
    }

    fn items(&self, place: Place) -> Vec<Place> {
        let Some(document) = self.document(place.file) else { return Vec::new() };
        let item = |at| document.item(place.value, at);
        (0..document.len(place.value)).filter_map(item).map(|value| Place { value, ..place }).collect()
    }

    /// Tells what is wrong at a place.
    fn issue(&mut self, place: Place, what: impl Into<String>) {
        self.troubles += 1;
        if self.spec.issues.len() >= self.limits.issues {
            self.spec.more_issues += 1;
            return;
        }
        let (document, pointer) = match self.files.get(place.file as usize) {
            Some(file) => (
                file.name.clone(),
                file.document.as_ref().map(|document| document.pointer(place.value)).unwrap_or_default(),
            ),
            None => Default::default(),
        };
        push_issue(&mut self.spec, self.limits, Issue { document, pointer, what: what.into() });
    }

    /// A member that must be of a kind; tells if it is there but is another.
    fn member_of(&mut self, place: Place, key: &str, kind: Kind) -> Option<Place> {
        let member = self.member(place, key)?;
        let is = self.kind(member);
        if is == kind {
            return Some(member);
        }
        if is != Kind::Null {
            self.issue(member, format!("{} instead of {}", is.name(), kind.name()));
        }
        None
    }

    /// Follows `$ref` to what it stands for; nothing if it leads nowhere, which is told.
    fn resolved(&mut self, place: Place) -> Option<Place> {
        let mut at = place;
        for _ in 0..self.limits.reference_chain {
            let Some(reference) = self.member(at, "$ref").and_then(|reference| self.text(reference)) else {
                return Some(at);
            };
            let reference = reference.to_string();
            match self.target(at.file, &reference) {
                Ok(target) => at = target,
                Err(why) => {
                    self.issue(at, format!("$ref {reference}: {why}"));
                    return None;
                }
            }
        }
        self.issue(place, "a chain of $ref that does not end");
        None
    }

    /// Where a reference leads.
    fn target(&mut self, from: u32, reference: &str) -> Result<Place, &'static str> {
        let (document, fragment) = match Reference::parse(reference) {
            Reference::Place { document, fragment } => (document, fragment),
            Reference::Remote => return Err("on another machine, not fetched"),
        };
        let file = if document.is_empty() { from } else { self.file(from, document)? };
        let fragment = percent_decode(fragment);
        let value = match fragment.strip_prefix('/') {
            Some(pointer) => {
                let tokens: Vec<String> = pointer.split('/').map(unescape).collect();
                self.document(file).and_then(|document| document.follow(tokens.iter().map(String::as_str)))
            }
            None if fragment.is_empty() => Some(0),
            None => self.anchor(file, &fragment),
        };
        value.map(|value| Place { file, value }).ok_or("leads nowhere")
    }

    /// The number of a file, loaded when it is first asked for.
    fn file(&mut self, from: u32, document: &str) -> Result<u32, &'static str> {
        let from = self.files.get(from as usize).map(|file| file.name.as_str()).unwrap_or_default();
        let name = join(from, document);
        if let Some(&number) = self.by_name.get(&name) {
            return self.document(number).map(|_| number).ok_or("the file could not be read");
        }
        if self.files.len() >= self.limits.files {
            return Err("too many files");
        }
        let Some(bytes) = (self.load)(&name) else {
            self.add_file(name, None);
            return Err("there is no such file");
        };
        let read = match self.bytes_left.checked_sub(bytes.len()) {
            Some(left) => {
                self.bytes_left = left;
                Document::read(&bytes, self.limits)
            }
            None => {
                self.add_file(name, None);
                return Err("the files together are too large");
            }
        };
        match read {
            Ok(document) => Ok(self.add_file(name, Some(document))),
            Err(flaw) => {
                let issue = Issue { document: name.clone(), pointer: flaw.pointer, what: flaw.what };
                push_issue(&mut self.spec, self.limits, issue);
                self.add_file(name, None);
                Err("the file could not be read")
            }
        }
    }

    /// The schema with an `$anchor` (JSON Schema 2020-12 §8.2.2).
    fn anchor(&mut self, file: u32, name: &str) -> Option<u32> {
        if !self.anchors.contains_key(&file) {
            let anchors = self.document(file).map(Document::anchors).unwrap_or_default();
            self.anchors.insert(file, anchors);
        }
        self.anchors.get(&file)?.get(name).copied()
    }

    /// Takes one part of the budget for shared parts; tells once when it is used up.
    fn take_part(&mut self, place: Place) -> bool {
        match self.parts_left {
            0 => false,
            1 => {
                self.parts_left = 0;
                self.issue(place, "shared parts make this too large: the rest is left out");
                false
            }
            _ => {
                self.parts_left -= 1;
                true
            }
        }
    }
}

fn push_issue(spec: &mut Spec, limits: &Limits, issue: Issue) {
    if spec.issues.len() >= limits.issues {
        spec.more_issues += 1;
    } else if !spec.issues.contains(&issue) {
        spec.issues.push(issue);
    }
}
