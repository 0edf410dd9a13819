//! From the paths given to the inputs to read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// A path to read.
#[derive(Debug)]
pub(super) struct InputPath {
    pub(super) path: PathBuf,
    /// Size of a regular file, in bytes.
    pub(super) size: Option<u64>,
    /// Found in a directory: passed over when it is no capture file.
    pub(super) found: bool,
}

/// Directories in directories are followed this deep.
const MAX_DEPTH: usize = 16;

/// All inputs, directories replaced by the files in them (sorted by name).
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<InputPath>, Error> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() != "-" {
            add(path, false, &mut Vec::new(), &mut inputs)?;
        } else if inputs.iter().all(|input| input.path != *path) {
            // Standard input can be read once, however often it is named.
            inputs.push(InputPath { path: path.clone(), size: None, found: false });
        }
    }
    Ok(inputs)
}

/// `above`: device and inode of the directories that lead here.
fn add(path: &Path, found: bool, above: &mut Vec<(u64, u64)>, inputs: &mut Vec<InputPath>) -> Result<(), Error> {
    let open = |source| Error::Open { file: path.display().to_string(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A dangling link in a directory is not what was asked for.
        Err(_) if found => return Ok(()),
        Err(error) => return Err(open(error)),
    };
    if metadata.is_dir() {
        let identity = (metadata.dev(), metadata.ino());
        // A link that leads back up would give every file once for each turn.
        if above.len() >= MAX_DEPTH || above.contains(&identity) {
            return Ok(());
        }
        above.push(identity);
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(open)? {
            entries.push(entry.map_err(open)?.path());
        }
        entries.sort();
        entries.iter().try_for_each(|entry| add(entry, true, above, inputs))?;
        above.pop();
        return Ok(());
    }
    // Sockets and pipes in a directory would wait for ever.
    if metadata.is_file() || !found {
        let size = metadata.is_file().then_some(metadata.len());
        inputs.push(InputPath { path: path.to_owned(), size, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_that_leads_back_up_gives_no_file_twice() {
        let root = std::env::temp_dir().join(format!("umbra-paths-{}", std::process::id()));
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a.pcap"), b"").unwrap();
        fs::write(root.join("sub/b.pcap"), b"").unwrap();
        std::os::unix::fs::symlink("..", root.join("sub/up")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("self")).unwrap();
        let inputs = expand(std::slice::from_ref(&root)).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let names: Vec<PathBuf> = inputs.into_iter().map(|input| input.path).collect();
        assert_eq!(names, [root.join("a.pcap"), root.join("sub/b.pcap")]);
    }

    #[test]
    fn standard_input_is_read_once() {
        assert_eq!(expand(&["-".into(), "-".into()]).unwrap().len(), 1);
    }
}
