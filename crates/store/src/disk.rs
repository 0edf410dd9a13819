//! A directory of the real disk, locked by one process.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};

use crate::Error;
use crate::files::{Entry, Files, Kind};

/// Name of the lock file. It stays behind; the lock itself ends with the process, however that ends.
const LOCK: &str = "lock";

/// A directory that this process alone writes to, held by its descriptor: what happens to its path later does not matter.
#[derive(Debug)]
pub struct Disk {
    directory: OwnedFd,
    /// Holds the lock until it is dropped.
    _lock: File,
}

impl Disk {
    /// Makes the directory if it is not there (readable for this user only) and takes its lock.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has it, [`Error::Unsafe`] if others could change what is written, or
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Disk, Error> {
        let failed = |what: &str, source: io::Error| Error::io(format!("{what} {}", path.display()), source);
        match std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make directory", error)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => {
                unsafe_directory(path, "is a link or not a directory")
            }
            error => failed("open directory", error.into()),
        })?;
        let stat = rustix::fs::fstat(&directory).map_err(|error| failed("look at directory", error.into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(unsafe_directory(path, "belongs to another user"));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(unsafe_directory(path, "can be written to by other users"));
        }
        let lock = lock(&directory, path)?;
        Ok(Disk { directory, _lock: lock })
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        // Looked at after opening: between a look and an open the name could change.
        if kind(&rustix::fs::fstat(&file)?) != Kind::File {
            return Err(io::Error::other("not a regular file of this user with one name"));
        }
        Ok(File::from(file))
    }
}

fn unsafe_directory(path: &Path, reason: &'static str) -> Error {
    Error::Unsafe { directory: PathBuf::from(path), reason }
}

/// Takes the lock and leaves our process id for whoever is refused. The kernel gives it back when we end, so a killed
/// instance leaves no stale lock.
fn lock(directory: &OwnedFd, path: &Path) -> Result<File, Error> {
    let failed = |source: rustix::io::Errno| Error::io(format!("lock {}", path.display()), source.into());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    if kind(&rustix::fs::fstat(&file).map_err(failed)?) != Kind::File {
        return Err(unsafe_directory(path, "has a lock file that is not a file of this user"));
    }
    let file = File::from(file);
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = [0; 16];
            let length = file.read_at(&mut text, 0).unwrap_or(0);
            let text = std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default();
            return Err(Error::Locked { directory: PathBuf::from(path), process: text.trim().parse().ok() });
        }
        Err(error) => return Err(failed(error)),
    }
    // Only for the message above: a full disk must not keep us from starting.
    let _ = file.set_len(0).and_then(|()| file.write_at(format!("{}\n", std::process::id()).as_bytes(), 0));
    Ok(file)
}

/// A file with a second name could be one of somebody else's that was linked here.
fn kind(stat: &Stat) -> Kind {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if regular && stat.st_nlink == 1 && stat.st_uid == rustix::process::geteuid().as_raw() {
        Kind::File
    } else {
        Kind::Other
    }
}

impl Files for Disk {
    type File = File;

    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) || name.to_bytes() == LOCK.as_bytes() {
                continue;
            }
            let (kind, length) = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => (kind(&stat), u64::try_from(stat.st_size).unwrap_or(0)),
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            entries.push(Entry { name: name.to_string_lossy().into_owned(), kind, length });
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::empty())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
