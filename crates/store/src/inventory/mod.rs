//! The embedded inventory: rows in a SQLite file of the state directory.
//!
//! A row is a value of some kind under a key, with the version of its encoding and the time of its last change. What the
//! values are is the business of a [`Codec`] each: this module knows how to keep them, in transactions, to read them again at
//! the start, and to join two files. It does not know endpoints.
//!
//! ```
//! use umbra_store::{Codec, Store, Unreadable};
//!
//! /// A count under a name.
//! struct Counts;
//!
//! impl Codec for Counts {
//!     type Value = u64;
//!     const KIND: &'static str = "count";
//!     const VERSION: u32 = 1;
//!     fn write(value: &u64, out: &mut Vec<u8>) {
//!         out.extend_from_slice(&value.to_le_bytes());
//!     }
//!     fn read(_version: u32, bytes: &[u8]) -> Result<u64, Unreadable> {
//!         Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| Unreadable)?))
//!     }
//!     fn merge(value: &mut u64, other: u64) {
//!         *value += other;
//!     }
//! }
//!
//! # let directory = std::env::temp_dir().join(format!("umbra-inventory-doc-{}", std::process::id()));
//! let mut store = Store::open(&directory)?;
//! let mut writing = store.begin()?;
//! writing.put::<Counts>(b"GET /users/{id}", &7, 0)?;
//! writing.commit()?;
//! let reading = store.read::<Counts>()?;
//! assert_eq!(reading.rows, [(b"GET /users/{id}".to_vec(), 7)]);
//! # drop(store);
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//! - A transaction is in the file whole or not at all, whatever ends the process; once [`Writing::commit`] has returned, a
//!   power cut does not take it (write-ahead log, synced at each commit).
//! - One process writes; others may read at the same time and see whole transactions.
//! - Joining files is as commutative and associative as the codecs' `merge`. A file knows which runs are in it, and joining one
//!   that has a run in common is refused: counts would double.
//! - A file that is damaged, or of a newer layout, is set aside under another name and never deleted; so are rows of a newer
//!   encoding.

mod layout;
mod merge;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

pub use merge::{KindOf, Merged};

use crate::{Disk, Error};

/// File of the inventory in the state directory.
pub const FILE_NAME: &str = "inventory.db";

/// How values of one kind are named, encoded, read and joined.
pub trait Codec {
    /// What is kept.
    type Value;
    /// Name of the kind in the file.
    const KIND: &'static str;
    /// Version of the encoding that [`write`](Self::write) makes.
    const VERSION: u32;

    /// Appends the encoding of a value.
    fn write(value: &Self::Value, out: &mut Vec<u8>);

    /// Reads an encoding of [`VERSION`](Self::VERSION) or of an earlier version.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not one.
    fn read(version: u32, bytes: &[u8]) -> Result<Self::Value, Unreadable>;

    /// Joins two values of one key: in any order and grouping the outcome is the same.
    fn merge(value: &mut Self::Value, other: Self::Value);
}

/// An encoding that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row of the inventory is not what was written")
    }
}

impl std::error::Error for Unreadable {}

/// All rows of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<V> {
    /// Keys and values, in the order of the keys.
    pub rows: Vec<(Vec<u8>, V)>,
    /// Rows that could not be read: damaged, or of a newer encoding. They stay in the file.
    pub unreadable: u64,
}

/// The inventory file.
pub struct Store {
    database: Connection,
    file: PathBuf,
    /// The run that writes, of 16 random bytes; made with the first transaction.
    run: Option<[u8; 16]>,
    set_aside: Option<PathBuf>,
    /// Keeps a second writer out; `None` if this one only reads.
    _lock: Option<Disk>,
}

impl Store {
    /// Opens the inventory of a state directory to read and write, or makes both. A file that is damaged, or that a newer
    /// program wrote, is set aside first: [`Store::set_aside`] says so.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process writes, [`Error::Unsafe`] if others could change the directory, [`Error::Io`]
    /// or [`Error::Database`] if the disk does not do what it should.
    pub fn open(directory: &Path) -> Result<Store, Error> {
        let lock = Disk::open(directory)?;
        let file = layout::file_in(directory)?;
        let mut set_aside = None;
        let database = match layout::open(&file) {
            Ok(database) => database,
            Err(error) if layout::is_worth_setting_aside(&error) => {
                set_aside = Some(layout::set_aside(&file)?);
                layout::open(&file)?
            }
            Err(error) => return Err(error),
        };
        Ok(Store { database, file, run: None, set_aside, _lock: Some(lock) })
    }

    /// Opens the inventory of a state directory, or a file by its own name, to read it, also while another process writes.
    ///
    /// # Errors
    /// [`Error::NoState`] if there is none, [`Error::NewerState`] if a newer program wrote it, [`Error::Database`].
    pub fn open_to_read(path: &Path) -> Result<Store, Error> {
        let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
        if !file.exists() {
            return Err(Error::NoState { file });
        }
        let database = layout::open_to_read(&file)?;
        Ok(Store { database, file, run: None, set_aside: None, _lock: None })
    }

    /// Where the file went that was found and could not be used.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All rows of a kind.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read<C: Codec>(&self) -> Result<Reading<C::Value>, Error> {
        read_rows::<C>(&self.database).map_err(|error| self.failed("read", error))
    }

    /// The row of a key; `None` also if it cannot be read.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read_one<C: Codec>(&self, key: &[u8]) -> Result<Option<C::Value>, Error> {
        read_row::<C>(&self.database, key).map(Option::flatten).map_err(|error| self.failed("read", error))
    }

    /// Time of the newest change: nanoseconds since 1970; `None` if nothing was written yet.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn updated_ns(&self) -> Result<Option<u64>, Error> {
        let newest =
            self.database.query_row("SELECT max(updated_ns) FROM row", [], |row| Ok(row.get::<_, i64>(0).ok()));
        newest.map(|newest| newest.map(from_sql)).map_err(|error| self.failed("read", error))
    }

    /// The runs whose traffic is in here: two files that have one in common cannot be joined.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn runs(&self) -> Result<Vec<[u8; 16]>, Error> {
        let read = || -> rusqlite::Result<Vec<[u8; 16]>> {
            let mut statement = self.database.prepare("SELECT id FROM run ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.failed("read", error))
    }

    /// Begins a transaction. What is written shows to others, and outlives the process, with [`Writing::commit`].
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn begin(&mut self) -> Result<Writing<'_>, Error> {
        let file = &self.file;
        let begun = self.database.transaction().map_err(|error| failed(file, "write", error))?;
        if self.run.is_none() {
            let made =
                begun.query_row("INSERT INTO run (id) VALUES (randomblob(16)) RETURNING id", [], |row| row.get(0));
            self.run = Some(made.map_err(|error| failed(file, "write", error))?);
        } else {
            // A transaction before may have been rolled back, and the run with it.
            let again = begun.execute("INSERT OR IGNORE INTO run (id) VALUES (?1)", params![self.run]);
            again.map_err(|error| failed(file, "write", error))?;
        }
        Ok(Writing { transaction: begun, file, buffer: Vec::new(), failed: false })
    }

    fn failed(&self, what: &str, error: rusqlite::Error) -> Error {
        failed(&self.file, what, error)
    }
}

fn failed(file: &Path, what: &str, error: rusqlite::Error) -> Error {
    Error::database(format!("{what} {}", file.display()), error)
}

/// A transaction; dropped without [`commit`](Self::commit) it changes nothing. After an error of any of its calls it cannot
/// be committed any more: a part of what was meant is never written.
pub struct Writing<'a> {
    transaction: Transaction<'a>,
    file: &'a Path,
    buffer: Vec<u8>,
    failed: bool,
}

impl Writing<'_> {
    /// Makes `value` the row of a key. A row of a newer encoding that is there is set aside, not lost.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn put<C: Codec>(&mut self, key: &[u8], value: &C::Value, updated_ns: u64) -> Result<(), Error> {
        self.usable()?;
        self.buffer.clear();
        C::write(value, &mut self.buffer);
        let outcome = put_row::<C>(&self.transaction, key, &self.buffer, updated_ns);
        self.check(outcome)
    }

    /// Joins `value` with the row of a key, if there is one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn merge<C: Codec>(&mut self, key: &[u8], value: C::Value, updated_ns: u64) -> Result<(), Error> {
        let before = read_row::<C>(&self.transaction, key);
        let before = self.check(before)?;
        let joined = match before {
            Some(Some(mut before)) => {
                C::merge(&mut before, value);
                before
            }
            _ => value,
        };
        self.put::<C>(key, &joined, updated_ns)
    }

    /// Removes the row of a key. Says whether there was one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn remove<C: Codec>(&mut self, key: &[u8]) -> Result<bool, Error> {
        self.usable()?;
        let removed = self
            .transaction
            .prepare_cached("DELETE FROM row WHERE kind = ?1 AND key = ?2")
            .and_then(|mut statement| statement.execute(params![C::KIND, key]));
        self.check(removed).map(|count| count > 0)
    }

    /// Removes all rows of a kind, those apart that a newer program wrote.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn clear<C: Codec>(&mut self) -> Result<(), Error> {
        self.usable()?;
        let removed =
            self.transaction.execute("DELETE FROM row WHERE kind = ?1 AND version <= ?2", params![C::KIND, C::VERSION]);
        self.check(removed).map(|_| ())
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// [`Error::Database`], a full disk among others. Nothing is changed then; the next transaction may do it.
    pub fn commit(self) -> Result<(), Error> {
        let file = self.file;
        self.usable()?;
        self.transaction.commit().map_err(|error| failed(file, "write", error))
    }

    /// After some errors SQLite has rolled back already, and a next statement would be a transaction of its own.
    fn usable(&self) -> Result<(), Error> {
        if self.failed {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
            return Err(failed(self.file, "write", rusqlite::Error::SqliteFailure(error, None)));
        }
        Ok(())
    }

    fn check<T>(&mut self, outcome: rusqlite::Result<T>) -> Result<T, Error> {
        self.failed |= outcome.is_err();
        outcome.map_err(|error| failed(self.file, "write", error))
    }
}

/// Columns that [`decode`] wants.
const ENCODED: &str = "key, version, value, crc";

fn read_rows<C: Codec>(database: &Connection) -> rusqlite::Result<Reading<C::Value>> {
    let mut reading = Reading { rows: Vec::new(), unreadable: 0 };
    let select = format!("SELECT {ENCODED} FROM row WHERE kind = ?1 ORDER BY key");
    let mut statement = database.prepare_cached(&select)?;
    let mut rows = statement.query([C::KIND])?;
    while let Some(row) = rows.next()? {
        match decode::<C>(row)? {
            Some(value) => reading.rows.push((row.get(0)?, value)),
            None => reading.unreadable = reading.unreadable.saturating_add(1),
        }
    }
    Ok(reading)
}

/// The row of a key: `Some(None)` if it cannot be read.
fn read_row<C: Codec>(database: &Connection, key: &[u8]) -> rusqlite::Result<Option<Option<C::Value>>> {
    let select = format!("SELECT {ENCODED} FROM row WHERE kind = ?1 AND key = ?2");
    let mut statement = database.prepare_cached(&select)?;
    statement.query_row(params![C::KIND, key], decode::<C>).optional()
}

/// The value of a row with the columns [`ENCODED`]; `None` if it is damaged or of a newer encoding.
fn decode<C: Codec>(row: &Row<'_>) -> rusqlite::Result<Option<C::Value>> {
    let (Ok(key), Ok(value)) = (row.get_ref(0)?.as_blob(), row.get_ref(2)?.as_blob()) else { return Ok(None) };
    let (Ok(version), Ok(stored)) = (row.get::<_, u32>(1), row.get::<_, u32>(3)) else { return Ok(None) };
    if version > C::VERSION || stored != crc(key, value) {
        return Ok(None);
    }
    Ok(C::read(version, value).ok())
}

fn crc(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize()
}

fn put_row<C: Codec>(database: &Connection, key: &[u8], value: &[u8], updated_ns: u64) -> rusqlite::Result<()> {
    let mut newer = database.prepare_cached(
        "INSERT OR REPLACE INTO aside SELECT * FROM row WHERE kind = ?1 AND key = ?2 AND version > ?3",
    )?;
    newer.execute(params![C::KIND, key, C::VERSION])?;
    let mut put = database.prepare_cached(
        "INSERT INTO row (kind, key, version, updated_ns, value, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET version = ?3, updated_ns = ?4, value = ?5, crc = ?6",
    )?;
    put.execute(params![C::KIND, key, C::VERSION, to_sql(updated_ns), value, crc(key, value)])?;
    Ok(())
}

/// SQLite's numbers are signed; the last nanosecond of 63 bits is in the year 2262.
fn to_sql(updated_ns: u64) -> i64 {
    i64::try_from(updated_ns).unwrap_or(i64::MAX)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
