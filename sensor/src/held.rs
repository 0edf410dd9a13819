//! Events that wait for their routes until the traffic has ended: in memory while they are few, then in a file without a name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes kept in memory: a small capture needs no disk.
const IN_MEMORY: usize = 4 << 20;

/// Bytes read at once. More only where one record is larger.
const READ: usize = 256 << 10;

/// Tries to find a name that is not taken.
const NAMES: u32 = 16;

/// Bytes that wait, in the order in which they came.
pub(crate) struct Held {
    directory: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Held {
    /// Nothing waits. A file is made in `directory` if there is need for one.
    pub(crate) fn new(directory: PathBuf) -> Held {
        Held { directory, memory: Vec::new(), file: None }
    }

    /// Appends whole records.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= IN_MEMORY {
            let mut file = unnamed(&self.directory)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Hands all of it out in portions. `take` says how many bytes of a portion it has taken: the others come again in front of
    /// what follows.
    pub(crate) fn drain(mut self, mut take: impl FnMut(&[u8]) -> usize) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            take(&self.memory);
            return Ok(());
        };
        file.rewind()?;
        let mut buffer = vec![0; READ];
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            let read = match file.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            filled += read;
            let taken = take(buffer.get(..filled).unwrap_or_default()).min(filled);
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
        }
    }
}

/// A file for this process only: nobody else may read it, and its name is gone before anything is in it, so that nothing is left
/// behind whatever ends the process.
fn unnamed(directory: &Path) -> io::Result<File> {
    let mut tries = 0;
    loop {
        let path = directory.join(format!(".umbra-events-{}-{tries}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAMES => tries += 1,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", directory.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_waits_comes_out_as_it_came_and_leaves_no_name_behind() {
        let directory = std::env::temp_dir().join(format!("umbra-held-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for size in [0, 1000, IN_MEMORY * 2 + 17] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut held = Held::new(directory.clone());
            bytes.chunks(100_000).for_each(|chunk| held.append(chunk).unwrap());
            if let Some(file) = &held.file {
                let metadata = file.metadata().unwrap();
                assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 0));
            }
            assert_eq!(held.file.is_some(), size > IN_MEMORY);
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
            let mut out = Vec::new();
            // Records of 1000 bytes: what is left of a portion comes again.
            held.drain(|portion| {
                let whole = portion.len() / 1000 * 1000;
                let whole = if out.len() + portion.len() == size { portion.len() } else { whole };
                out.extend_from_slice(&portion[..whole]);
                whole
            })
            .unwrap();
            assert!(out == bytes, "{size}");
        }
        assert!(unnamed(&directory.join("absent")).unwrap_err().to_string().contains("absent"));
        std::fs::remove_dir(&directory).unwrap();
    }
}
