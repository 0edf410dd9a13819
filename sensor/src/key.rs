//! The fleet key: what the hashes that stand for credentials and clients are keyed with.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::exit::{self, Failure};

/// Reads the key file, or makes a random key for this run.
///
/// # Errors
/// The file cannot be read, is shorter than 32 bytes, or may be read by others (F111).
pub(crate) fn fleet_key(path: Option<&Path>) -> Result<[u8; 32], Failure> {
    let Some(path) = path else { return random() };
    let fail = |what: String| Failure::new(exit::CONFIG, format!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mode = file.metadata().map_err(|error| fail(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        return Err(fail(format!("the key may be read by others (mode {:o}): chmod 600 it", mode & 0o777)));
    }
    let mut key = [0; 32];
    file.read_exact(&mut key).map_err(|_| fail("a key has at least 32 bytes: head -c 32 /dev/urandom".into()))?;
    Ok(key)
}

/// 32 bytes of the kernel's random generator.
fn random() -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    read.map_err(|error| Failure::new(exit::IO, format!("/dev/urandom: {error}")))?;
    Ok(key)
}

/// A name for this start of the sensor.
#[cfg(feature = "kafka")]
pub(crate) fn incarnation() -> Result<String, Failure> {
    Ok(random()?.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// Fresh seeds for the hash tables of this run (F018).
pub(crate) fn hash_seed() -> Result<[u64; 4], Failure> {
    let key = random()?;
    let mut seed = [0; 4];
    for (word, bytes) in seed.iter_mut().zip(key.chunks_exact(8)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn f111_a_short_or_readable_key_is_refused() {
        let dir = std::env::temp_dir().join(format!("umbra-key-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        for (bytes, mode, good) in [(32, 0o600, true), (40, 0o400, true), (31, 0o600, false), (32, 0o644, false)] {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, vec![7; bytes]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(fleet_key(Some(&path)).is_ok(), good, "{bytes} bytes, mode {mode:o}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(fleet_key(Some(&path)).is_err());
        assert_ne!(fleet_key(None).unwrap(), fleet_key(None).unwrap());
    }
}
