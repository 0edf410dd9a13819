//! Specifications from files and directories.

use std::path::{Path, PathBuf};

use umbra_openapi::{Bound, Limits, Spec, looks_like_spec};

use crate::exit::{self, Failure};

/// Files of a directory that are looked at, subdirectories included.
const MAX_FILES: usize = 10_000;
/// Directories inside directories.
const MAX_DEPTH: usize = 16;

/// What was read.
pub(crate) struct Specs {
    pub(crate) specs: Vec<Bound>,
    /// Files that should be specifications and could not be read; a line about each was printed.
    pub(crate) unreadable: usize,
}

/// Reads `FILE|DIR[=HOST,…]` each. A specification that cannot be read is told in one line, and the others are used.
///
/// # Errors
/// A path that is not there, or a directory without a specification.
pub(crate) fn read(arguments: &[String]) -> Result<Specs, Failure> {
    let mut out = Specs { specs: Vec::new(), unreadable: 0 };
    for argument in arguments {
        let (path, hosts) = split(argument);
        let meta = std::fs::metadata(&path)
            .map_err(|error| Failure::new(exit::NO_INPUT, format!("{}: {error}", path.display())))?;
        if !meta.is_dir() {
            read_one(&path, &path, &hosts, &mut out);
            continue;
        }
        let before = (out.specs.len(), out.unreadable);
        for file in files_of(&path) {
            let Ok(bytes) = contents(&file) else { continue };
            if looks_like_spec(&bytes) {
                read_one(&file, &path, &hosts, &mut out);
            }
        }
        if before == (out.specs.len(), out.unreadable) {
            return Err(Failure::new(exit::NO_INPUT, format!("{}: no specification in it", path.display())));
        }
    }
    Ok(out)
}

/// Splits `=HOST,…` off. A path that is there as it stands has no hosts.
fn split(argument: &str) -> (PathBuf, Vec<String>) {
    match argument.rsplit_once('=') {
        Some((path, hosts)) if !hosts.contains('/') && !Path::new(argument).exists() => {
            (path.into(), hosts.split(',').filter(|host| !host.is_empty()).map(str::to_string).collect())
        }
        _ => (argument.into(), Vec::new()),
    }
}

fn read_one(path: &Path, folder: &Path, hosts: &[String], out: &mut Specs) {
    match read_file(path, folder, true, &mut |_| {}) {
        Read::Spec(spec) => out.specs.push(Bound { spec: *spec, hosts: hosts.to_vec() }),
        Read::Other => {}
        Read::Failed(line) => {
            tell!("umbra: {line}");
            out.unreadable += 1;
        }
    }
}

/// What a file turned out to be.
pub(crate) enum Read {
    Spec(Box<Spec>),
    /// Nothing that looks like a specification.
    Other,
    /// It cannot be read; a line that says why.
    Failed(String),
}

/// Reads a file that was found at or below `source`; what of it cannot be read is told line by line. `referred` is told the files that it
/// refers to. `must`: it is a specification, whatever it looks like.
pub(crate) fn read_file(path: &Path, source: &Path, must: bool, referred: &mut dyn FnMut(&Path)) -> Read {
    let name = path.to_string_lossy().into_owned();
    let bytes = match contents(path) {
        Ok(bytes) => bytes,
        Err(why) => return Read::Failed(format!("{}: {why}", shown(&name))),
    };
    let must = must || path == source;
    if !must && !looks_like_spec(&bytes) {
        return Read::Other;
    }
    let root = root(source);
    let mut load = |name: &str| {
        let path = Path::new(name).canonicalize().ok()?;
        // Nothing outside the folder of the specifications, whatever a reference says.
        if !path.starts_with(root.as_deref()?) {
            return None;
        }
        referred(&path);
        contents(&path).ok()
    };
    match umbra_openapi::read(&name, &bytes, &Limits::default(), &mut load) {
        Ok(spec) => {
            for issue in &spec.issues {
                tell!("umbra: {issue}");
            }
            if spec.more_issues > 0 {
                tell!("umbra: {}: {} more", shown(&name), spec.more_issues);
            }
            Read::Spec(Box::new(spec))
        }
        Err(issue) => Read::Failed(issue.to_string()),
    }
}

/// The folder that references may lead to.
fn root(source: &Path) -> Option<PathBuf> {
    let path = source.canonicalize().ok()?;
    if path.is_dir() {
        return Some(path);
    }
    // `../common/x.yaml` is how specifications are often laid out.
    let folder = path.parent()?;
    Some(folder.parent().unwrap_or(folder).to_path_buf())
}

/// The bytes of a plain file that is not too large.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a plain file".into());
    }
    let limit = Limits::default().bytes as u64;
    if meta.len() > limit {
        return Err(format!("{} bytes are more than the {limit} allowed", meta.len()));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// A file, or those of a directory that may be specifications.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() { files_of(path) } else { vec![path.to_path_buf()] }
}

/// JSON and YAML files below a directory, by name, so that the order is the same everywhere.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else if kind.is_file() && matches!(extension, Some("json" | "yaml" | "yml")) && files.len() < MAX_FILES {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A name for a terminal.
pub(crate) fn shown(text: &str) -> String {
    crate::report::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split_off() {
        let of = |text: &str| split(text);
        assert_eq!(of("a.yaml"), ("a.yaml".into(), vec![]));
        assert_eq!(of("a.yaml=h.test,i.test:81"), ("a.yaml".into(), vec!["h.test".into(), "i.test:81".into()]));
        assert_eq!(of("x=1/a.yaml"), ("x=1/a.yaml".into(), vec![]));
    }
}
