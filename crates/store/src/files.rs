//! The few file operations the spool is made of, so that a test can stand in for the disk.

use std::io;

/// A flat directory that one process owns. Names never hold a separator.
///
/// Durability is as POSIX gives it: bytes count after [`sync`](Self::sync) of their file, a name counts (made, changed or
/// removed) after [`sync_names`](Self::sync_names).
pub trait Files {
    /// An open file.
    type File;

    /// What the directory holds; the owner's lock file is not listed.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Makes an empty file to read and write.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, whatever by; or what the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read and write. Links are not followed.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name. A file of that name is replaced.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all changes of names durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_names(&self) -> io::Result<()>;

    /// Reads into `buffer` from byte `offset`; fewer bytes than asked for mean the end.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes some bytes at byte `offset` and says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts a file, or fills it with zeros, to a length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn set_length(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// Makes a file's bytes durable.
    ///
    /// # Errors
    /// What the system says. After an error nobody knows which bytes are on disk, and a second call may lie.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; names that are not UTF-8 are lossy and never ours.
    pub name: String,
    /// What stands behind it.
    pub kind: Kind,
    /// Its length in bytes.
    pub length: u64,
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this user with one name.
    File,
    /// A link, a directory, a device, a file of another user or one with a second name: never opened.
    Other,
}

/// Writes all of `bytes`.
pub(crate) fn write_all<F: Files>(files: &F, file: &F::File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match files.write(file, offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => {
                offset = offset.saturating_add(length as u64);
                bytes = bytes.get(length..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full<F: Files>(files: &F, file: &F::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match files.read(file, offset.saturating_add(filled as u64), rest) {
            Ok(0) => break,
            Ok(length) => filled += length.min(rest.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
