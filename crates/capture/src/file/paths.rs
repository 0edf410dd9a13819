//! From the paths given to the inputs to read.

use std::fs;
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

/// Directories in directories are followed this deep; stops at links that lead in circles.
const MAX_DEPTH: u8 = 16;

/// All inputs, directories replaced by the files in them (sorted by name).
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<InputPath>, Error> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(InputPath { path: path.clone(), size: None, found: false });
        } else {
            add(path, false, 0, &mut inputs)?;
        }
    }
    Ok(inputs)
}

fn add(path: &Path, found: bool, depth: u8, inputs: &mut Vec<InputPath>) -> Result<(), Error> {
    let open = |source| Error::Open { file: path.display().to_string(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A dangling link in a directory is not what was asked for.
        Err(_) if found => return Ok(()),
        Err(error) => return Err(open(error)),
    };
    if metadata.is_dir() {
        if depth >= MAX_DEPTH {
            return Ok(());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(open)? {
            entries.push(entry.map_err(open)?.path());
        }
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, true, depth + 1, inputs));
    }
    // Sockets and pipes in a directory would wait for ever.
    if metadata.is_file() || !found {
        let size = metadata.is_file().then_some(metadata.len());
        inputs.push(InputPath { path: path.to_owned(), size, found });
    }
    Ok(())
}
