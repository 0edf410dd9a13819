//! The specifications that the configuration names, reread when their files change; the last that could be read stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use umbra_openapi::{Bound, Spec, SpecSet};

use crate::config::Config;
use crate::exit::{self, Failure};
use crate::report::counted;
use crate::specs::{self, Read};

/// What a file looked like when it was read; `None`: it was not there.
type Stamp = Option<(SystemTime, u64)>;

/// Where specifications come from: a file or directory, and the hosts they hold for (none: those that they name).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    hosts: Vec<String>,
}

/// A file as it was read last.
struct Held {
    /// The last version of it that could be read.
    spec: Option<Spec>,
    /// It and the files that it refers to.
    stamps: Vec<(PathBuf, Stamp)>,
    source: usize,
}

/// The specifications of a configuration.
pub(crate) struct Library {
    sources: Vec<Source>,
    held: BTreeMap<PathBuf, Held>,
    /// Files of which a line was told that they cannot be read.
    pub(crate) unreadable: usize,
}

impl Library {
    /// Reads all. What cannot be read is told in a line, and the rest is used.
    ///
    /// # Errors
    /// A path that is not there: most likely it is written wrongly.
    pub(crate) fn open(config: &Config) -> Result<Library, Failure> {
        let sources: Vec<Source> =
            config.spec.iter().map(|spec| Source { path: spec.path.clone(), hosts: spec.hosts() }).collect();
        for (number, source) in sources.iter().enumerate() {
            std::fs::metadata(&source.path).map_err(|error| {
                let text = format!("[[spec]] {}: path: {}: {error}", number + 1, source.path.display());
                Failure::new(exit::NO_INPUT, text)
            })?;
        }
        let mut library = Library { sources, held: BTreeMap::new(), unreadable: 0 };
        library.reread();
        Ok(library)
    }

    /// No specifications are configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Reads what has changed since the last time; was there anything?
    pub(crate) fn reread(&mut self) -> bool {
        let mut changed = false;
        let mut there: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (number, source) in self.sources.iter().enumerate() {
            for file in specs::files(&source.path) {
                there.entry(file).or_insert(number);
            }
        }
        self.held.retain(|path, held| {
            let stays = there.contains_key(path);
            if !stays && held.spec.is_some() {
                changed = true;
                tell!("umbra: {}: is gone, and so are its operations", specs::shown(&path.to_string_lossy()));
            }
            stays
        });
        for (path, source) in there {
            let held = self.held.get(&path);
            if held.is_some_and(|held| held.stamps.iter().all(|(path, known)| stamp(path) == *known)) {
                continue;
            }
            let is_known = held.is_some();
            let before = self.held.remove(&path).and_then(|held| held.spec);
            let (spec, stamps) = self.read(&path, source, before.as_ref());
            changed |= spec.is_some() && (before != spec || !is_known);
            self.held.insert(path, Held { spec, stamps, source });
        }
        changed
    }

    fn read(&mut self, path: &Path, source: usize, before: Option<&Spec>) -> (Option<Spec>, Vec<(PathBuf, Stamp)>) {
        // Before it is read: what changes meanwhile is seen the next time.
        let own = (path.to_path_buf(), stamp(path));
        let folder = self.sources.get(source).map_or(path, |source| source.path.as_path());
        let mut referred: Vec<(PathBuf, Stamp)> = Vec::new();
        let read = specs::read_file(path, folder, before.is_some(), &mut |file| {
            referred.push((file.to_path_buf(), stamp(file)));
        });
        referred.push(own);
        let spec = match read {
            Read::Spec(spec) => Some(*spec),
            Read::Other => before.cloned(),
            Read::Failed(line) => {
                self.unreadable += 1;
                let stays = if before.is_some() { "; what it said before stays" } else { "" };
                tell!("umbra: {line}{stays}");
                before.cloned()
            }
        };
        (spec, referred)
    }

    /// All of them, each with the hosts it holds for, in the order of their sources.
    pub(crate) fn bound(&self) -> Vec<Bound> {
        let mut held: Vec<&Held> = self.held.values().collect();
        held.sort_by_key(|held| held.source);
        let hosts = |held: &Held| self.sources.get(held.source).map(|source| source.hosts.clone()).unwrap_or_default();
        held.iter().filter_map(|held| Some(Bound { spec: held.spec.clone()?, hosts: hosts(held) })).collect()
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// How many specifications and operations, in words.
pub(crate) fn told(set: &SpecSet) -> String {
    let operations: usize = set.specs().map(|spec| spec.operations.len()).sum();
    let specifications = counted(set.specs().count() as u64, "specification");
    format!("{specifications} with {}", counted(operations as u64, "operation"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("umbra-library-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        /// Writes a file that looks younger than any before it: the test is faster than a clock may be.
        fn write(&self, name: &str, text: &str, age: u64) {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + age);
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn spec(paths: &[&str]) -> String {
        let paths: String = paths.iter().map(|path| format!("  {path}: {{get: {{responses: {{}}}}}}\n")).collect();
        format!(
            "openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\nservers: [{{url: 'http://api.test'}}]\npaths:\n{paths}"
        )
    }

    fn library(path: &Path) -> Library {
        let sources = vec![Source { path: path.to_path_buf(), hosts: vec!["api.test".into()] }];
        let mut library = Library { sources, held: BTreeMap::new(), unreadable: 0 };
        library.reread();
        library
    }

    fn templates(library: &Library) -> Vec<String> {
        let bound = library.bound();
        assert!(bound.iter().all(|bound| bound.hosts == ["api.test"]));
        bound.iter().flat_map(|bound| &bound.spec.operations).map(|operation| operation.template.clone()).collect()
    }

    #[test]
    fn what_changes_is_read_again_and_what_breaks_stays_as_it_was() {
        let scratch = Scratch::new("changes");
        scratch.write("a.yaml", &spec(&["/a"]), 0);
        scratch.write("notes.json", "{}", 0);
        let mut library = library(&scratch.0);
        assert_eq!(templates(&library), ["/a"]);
        assert!(!library.reread(), "nothing has changed");

        scratch.write("a.yaml", &spec(&["/a", "/b"]), 1);
        scratch.write("c.yaml", &spec(&["/c"]), 1);
        assert!(library.reread());
        assert_eq!(templates(&library), ["/a", "/b", "/c"]);

        for broken in ["openapi: 3.1.0\npaths: [", "", "swagger: 9"] {
            scratch.write("a.yaml", broken, 2 + broken.len() as u64);
            assert!(!library.reread(), "{broken:?} takes nothing away");
            assert_eq!(templates(&library), ["/a", "/b", "/c"]);
        }
        assert_eq!(library.unreadable, 3);

        scratch.write("a.yaml", &spec(&["/new"]), 99);
        assert!(library.reread());
        assert_eq!(templates(&library), ["/new", "/c"]);
        std::fs::remove_file(scratch.0.join("c.yaml")).unwrap();
        assert!(library.reread());
        assert_eq!(templates(&library), ["/new"]);
    }

    #[test]
    fn a_file_that_is_referred_to_counts() {
        let scratch = Scratch::new("refers");
        let item = |method: &str| format!("x:\n  {method}: {{responses: {{}}}}\n");
        scratch.write("common.yaml", &item("get"), 0);
        let main = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths: {/a: {$ref: 'common.yaml#/x'}}\n";
        scratch.write("main.yaml", main, 0);
        let mut library = library(&scratch.0);
        let methods = |library: &Library| -> Vec<String> {
            library.bound().iter().flat_map(|it| &it.spec.operations).map(|it| it.method.clone()).collect()
        };
        assert_eq!(methods(&library), ["GET"]);
        scratch.write("common.yaml", &item("delete"), 1);
        assert!(library.reread());
        assert_eq!(methods(&library), ["DELETE"]);
    }
}
