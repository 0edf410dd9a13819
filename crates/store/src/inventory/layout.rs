//! The file's layout, its versions, and what to do with a file that is not one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::FILE_NAME;
use crate::Error;

/// Marks the file as ours ("Umbr"): `file` and SQLite tools show it.
const APPLICATION_ID: i32 = 0x556D_6272;

/// What takes a file from each version to the next. An entry is never changed once it was released.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE row (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        -- Version of the value's encoding.
        version INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        value BLOB NOT NULL,
        -- CRC-32 of key and value: the file has no checksums of its own.
        crc INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT;
    -- Rows of a newer encoding that an older program had to write over.
    CREATE TABLE aside (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        version INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        value BLOB NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (kind, key, version)
    ) STRICT;
    -- Runs whose traffic is in here, so that none is added twice.
    CREATE TABLE run (id BLOB NOT NULL PRIMARY KEY) STRICT;
"];

/// Version of a file that all migrations have been applied to.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Path of the inventory with all links of the directory resolved: SQLite then refuses any that is left.
pub(super) fn file_in(directory: &Path) -> Result<PathBuf, Error> {
    let directory = directory
        .canonicalize()
        .map_err(|error| Error::io(format!("open directory {}", directory.display()), error))?;
    Ok(directory.join(FILE_NAME))
}

/// Opens or makes a file and brings it to the newest layout.
pub(super) fn open(file: &Path) -> Result<Connection, Error> {
    let failed = |error| Error::database(format!("open {}", file.display()), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut database = Connection::open_with_flags(file, flags).map_err(failed)?;
    check_version(&database, file)?;
    // Readers do not wait for the writer, nor it for them; each commit is synced before it returns.
    database.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
    database.pragma_update(None, "synchronous", "full").map_err(failed)?;
    if database.is_readonly("main").map_err(failed)? {
        // By its rights, or by a byte of its head, which then says what no program of ours wrote.
        std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .map_err(|error| Error::io(format!("write {}", file.display()), error))?;
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
        return Err(failed(rusqlite::Error::SqliteFailure(error, None)));
    }
    // A damaged page is found by the first run of a program, not by the query that happens to need it.
    let sound: String = database.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
    if sound != "ok" {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(failed(rusqlite::Error::SqliteFailure(error, Some(sound))));
    }
    migrate(&mut database).map_err(failed)?;
    Ok(database)
}

fn migrate(database: &mut Connection) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(migration)?;
    }
    if version < VERSION {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

/// Opens a file to read it.
pub(super) fn open_to_read(file: &Path) -> Result<Connection, Error> {
    let failed = |error| Error::database(format!("open {}", file.display()), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags).map_err(failed)?;
    match check_version(&database, file) {
        // Somebody else's directory: the index of the log, which readers share with the writer, cannot be made there. Without
        // a writer there is no need for one.
        Err(Error::Database { .. }) => {
            let mut uri = String::from("file:");
            for byte in file.as_os_str().as_encoded_bytes() {
                match byte {
                    b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
                    _ => uri.push_str(&format!("%{byte:02X}")),
                }
            }
            uri.push_str("?immutable=1");
            let database = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).map_err(failed)?;
            check_version(&database, file)?;
            Ok(database)
        }
        // Made, and nothing committed yet.
        Ok(0) => Err(Error::NoState { file: file.to_owned() }),
        outcome => outcome.map(|_| database),
    }
}

/// Refuses a file of a newer layout.
pub(super) fn check_version(database: &Connection, file: &Path) -> Result<u32, Error> {
    let version = database.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let version = version.map_err(|error| Error::database(format!("open {}", file.display()), error))?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    if version > VERSION {
        return Err(Error::NewerState { file: file.to_owned(), version });
    }
    Ok(version)
}

/// Whether it is the file that is wrong, and not the disk or a right. `Unknown` is SQLite's plain error: a schema that it
/// cannot read, or that is not ours.
pub(super) fn is_worth_setting_aside(error: &Error) -> bool {
    match error {
        Error::NewerState { .. } => true,
        Error::Database { source, .. } => {
            source.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code).is_some_and(|code| {
                matches!(code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)
            })
        }
        _ => false,
    }
}

/// Gives a file that cannot be used another name, with what belongs to it. Returns that name.
pub(super) fn set_aside(file: &Path) -> Result<PathBuf, Error> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1..).map(|number| format!(".{number}.aside")).find(|suffix| !beside(suffix).exists());
    let suffix = free.unwrap_or_default();
    for part in ["-wal", "-shm", ""] {
        let from = if part.is_empty() { file.to_owned() } else { beside(part) };
        match std::fs::rename(&from, beside(&format!("{suffix}{part}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("set {} aside", from.display()), error));
            }
            _ => {}
        }
    }
    Ok(beside(&suffix))
}
