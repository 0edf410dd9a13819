//! Joining another inventory file into this one.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::{Codec, ENCODED, Store, decode, failed, from_sql, put_row, read_row};
use crate::Error;

/// What joining did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Rows that were new here.
    pub added: u64,
    /// Rows that were joined with one that was here.
    pub joined: u64,
    /// Rows of the other file, or of this one under the same key, that could not be read.
    pub unreadable: u64,
}

/// A kind of rows, for [`Store::merge_from`].
pub struct KindOf {
    kind: &'static str,
    join: fn(&Connection, &Row<'_>, &mut Merged) -> rusqlite::Result<()>,
}

impl KindOf {
    /// The kind of a codec.
    pub fn codec<C: Codec>() -> KindOf {
        KindOf { kind: C::KIND, join: join::<C> }
    }
}

/// Joins a row of the other file with that of its key here.
fn join<C: Codec>(database: &Connection, row: &Row<'_>, merged: &mut Merged) -> rusqlite::Result<()> {
    let key = row.get_ref(0)?.as_blob()?;
    let (count, value) = match (decode::<C>(row)?, read_row::<C>(database, key)?) {
        (None, _) | (_, Some(None)) => {
            merged.unreadable = merged.unreadable.saturating_add(1);
            return Ok(());
        }
        (Some(other), None) => (&mut merged.added, other),
        (Some(other), Some(Some(mut value))) => {
            C::merge(&mut value, other);
            (&mut merged.joined, value)
        }
    };
    *count = count.saturating_add(1);
    let mut time = database.prepare_cached("SELECT max(updated_ns) FROM row WHERE kind = ?1 AND key = ?2")?;
    let here: Option<i64> = time.query_row(params![C::KIND, key], |row| Ok(row.get(0).ok()))?;
    let updated_ns = from_sql(row.get(4).unwrap_or(0)).max(here.map_or(0, from_sql));
    let mut bytes = Vec::new();
    C::write(&value, &mut bytes);
    put_row::<C>(database, key, &bytes, updated_ns)
}

impl Store {
    /// Adds all rows of some kinds of another inventory, in one transaction; kinds that are not named stay out.
    ///
    /// # Errors
    /// [`Error::Overlap`] if the two have a run in common; [`Error::NoState`], [`Error::NewerState`], [`Error::Database`].
    /// Nothing is changed then.
    pub fn merge_from(&mut self, path: &Path, kinds: &[KindOf]) -> Result<Merged, Error> {
        let other = Store::open_to_read(path)?;
        let runs = other.runs()?;

        let file = self.file.clone();
        let writing = self.database.transaction().map_err(|error| failed(&file, "write", error))?;
        for run in &runs {
            let new = writing.execute("INSERT OR IGNORE INTO run (id) VALUES (?1)", params![run]);
            if new.map_err(|error| failed(&file, "write", error))? == 0 {
                return Err(Error::Overlap { file: other.file });
            }
        }
        let mut merged = Merged::default();
        for kind in kinds {
            let mut copy = || -> rusqlite::Result<()> {
                let select = format!("SELECT {ENCODED}, updated_ns FROM row WHERE kind = ?1 ORDER BY key");
                let mut statement = other.database.prepare_cached(&select)?;
                let mut rows = statement.query([kind.kind])?;
                while let Some(row) = rows.next()? {
                    (kind.join)(&writing, row, &mut merged)?;
                }
                Ok(())
            };
            copy().map_err(|error| failed(&file, "add to", error))?;
        }
        writing.commit().map_err(|error| failed(&file, "write", error))?;
        Ok(merged)
    }
}
