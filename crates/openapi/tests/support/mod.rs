//! Third-party material beside the repository, read only where it is there.
#![allow(dead_code)]

use std::io::Read;
use std::path::{Path, PathBuf};

use umbra_openapi::{Issue, Limits, Spec, read};

/// A folder of the shared material, or nothing with a word about it.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("UMBRA_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// Reads a file of a folder and what it refers to there.
pub(crate) fn read_file(folder: &Path, name: &str) -> Result<Spec, Issue> {
    let bytes = std::fs::read(folder.join(name)).unwrap();
    read(name, &unpacked(bytes), &Limits::default(), &mut |name| std::fs::read(folder.join(name)).ok())
}

/// Gzip unpacked, anything else as it is.
pub(crate) fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut out).unwrap();
    out
}
