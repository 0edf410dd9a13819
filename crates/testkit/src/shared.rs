//! Where the third-party data is that tests compare with; none of it is in the repository.

use std::path::{Path, PathBuf};

/// A file or folder of the shared data: under `UMBRA_SHARED`, or beside the workspace. Prints why the test is skipped where it
/// is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("UMBRA_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}
