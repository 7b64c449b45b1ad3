//! Typed access to rows: one SQLite table per [`Record`] type, `(key, version, body as JSON)`.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A type whose values are rows of one table.
pub trait Record: Serialize + DeserializeOwned {
    /// The table's name: lower case letters and `_` only.
    const TABLE: &'static str;
    /// The version that [`Tx::put`] writes. Raise it when an old body no longer deserializes.
    const VERSION: i64 = 1;

    /// Turns a body of an older version into one of this version. The default refuses.
    fn migrate(from: i64, _body: serde_json::Value) -> std::result::Result<serde_json::Value, String> {
        Err(format!("version {from} is no longer understood"))
    }
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its table, or the file if the whole database was set aside.
    pub table: String,
    /// Its key, or the place where the file went.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
    /// A newer hull wrote it: it stays where it is, for that one.
    pub newer: bool,
}

/// Whether everything could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Everything was.
    #[default]
    None,
    /// Something was damaged and has been set aside: the next reading does not meet it again.
    Damage,
    /// Something is of a newer hull and stays.
    Newer,
}

impl Gap {
    /// The gap that these leave.
    pub fn of<'a>(set_aside: impl IntoIterator<Item = &'a SetAside>) -> Self {
        set_aside
            .into_iter()
            .map(|aside| if aside.newer { Self::Newer } else { Self::Damage })
            .max()
            .unwrap_or_default()
    }
}

/// All rows of a table that could be read, in key order, and those that could not.
#[derive(Debug)]
pub struct Scan<T> {
    /// `(key, value)`.
    pub rows: Vec<(String, T)>,
    /// Rows that were moved to the table `set_aside`.
    pub set_aside: Vec<SetAside>,
}

/// A transaction, or a read, in progress.
pub struct Tx<'a> {
    pub(crate) connection: &'a Connection,
}

impl Tx<'_> {
    /// The row with this key.
    pub fn get<T: Record>(&self, key: &str) -> Result<Option<T>> {
        self.retry_without_table::<T, _>("get", key, || {
            self.connection
                .prepare_cached(&format!("SELECT version, body FROM {} WHERE key = ?1", T::TABLE))?
                .query_row([key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
                .optional()
        })?
        .flatten()
        .map(|(version, body)| {
            decode(version, &body).map_err(|why| Error::Unreadable { table: T::TABLE, key: key.to_owned(), why })
        })
        .transpose()
    }

    /// Inserts or replaces a row.
    pub fn put<T: Record>(&self, key: &str, value: &T) -> Result<()> {
        let body = serde_json::to_vec(value).map_err(|source| Error::Encode {
            table: T::TABLE,
            key: key.to_owned(),
            source,
        })?;
        let insert = || {
            self.connection
                .prepare_cached(&format!(
                    "INSERT INTO {} (key, version, body) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (key) DO UPDATE SET version = ?2, body = ?3",
                    T::TABLE
                ))?
                .execute(params![key, T::VERSION, body])
        };
        if self.retry_without_table::<T, _>("put", key, insert)?.is_none() {
            self.create::<T>().map_err(statement::<T>("put", key))?;
            insert().map_err(statement::<T>("put", key))?;
        }
        Ok(())
    }

    /// Deletes a row; says whether there was one.
    pub fn delete<T: Record>(&self, key: &str) -> Result<bool> {
        let deleted = self.retry_without_table::<T, _>("delete", key, || {
            self.connection.prepare_cached(&format!("DELETE FROM {} WHERE key = ?1", T::TABLE))?.execute([key])
        })?;
        Ok(deleted.unwrap_or(0) > 0)
    }

    /// Every row of the table. Rows that do not parse are moved to `set_aside`; rows of a newer
    /// version are left where they are, and named as well.
    pub fn scan<T: Record>(&self) -> Result<Scan<T>> {
        let raw = self
            .retry_without_table::<T, _>("scan", "", || {
                self.connection
                    .prepare_cached(&format!("SELECT key, version, CAST(body AS BLOB) FROM {} ORDER BY key", T::TABLE))?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1).unwrap_or(0), row.get(2).unwrap_or_default())))?
                    .collect::<rusqlite::Result<Vec<(String, i64, Vec<u8>)>>>()
            })?
            .unwrap_or_default();
        let mut scan = Scan { rows: Vec::with_capacity(raw.len()), set_aside: Vec::new() };
        for (key, version, body) in raw {
            match decode(version, &body) {
                Ok(value) => scan.rows.push((key, value)),
                Err(why) => {
                    let newer = version > T::VERSION;
                    if !newer {
                        self.set_aside::<T>(&key, &why)?;
                    }
                    scan.set_aside.push(SetAside { table: T::TABLE.to_owned(), key, why, newer });
                }
            }
        }
        Ok(scan)
    }

    fn set_aside<T: Record>(&self, key: &str, why: &str) -> Result<()> {
        self.connection
            .execute(
                &format!(
                    "INSERT OR REPLACE INTO set_aside (origin, key, version, body, why) \
                     SELECT ?1, key, version, body, ?3 FROM {} WHERE key = ?2",
                    T::TABLE
                ),
                params![T::TABLE, key, why],
            )
            .map_err(statement::<T>("set aside", key))?;
        self.delete::<T>(key)?;
        Ok(())
    }

    fn create<T: Record>(&self) -> rusqlite::Result<()> {
        debug_assert!(T::TABLE.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        self.connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {} \
             (key TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
            T::TABLE
        ))
    }

    /// Runs `attempt`; `None` if the table does not exist yet (it is made by the first `put`).
    fn retry_without_table<T: Record, R>(
        &self,
        verb: &'static str,
        key: &str,
        attempt: impl Fn() -> rusqlite::Result<R>,
    ) -> Result<Option<R>> {
        match attempt() {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.to_string().contains("no such table") => Ok(None),
            Err(error) => Err(statement::<T>(verb, key)(error)),
        }
    }
}

fn statement<T: Record>(attempt: &'static str, key: &str) -> impl FnOnce(rusqlite::Error) -> Error + use<T> {
    let key = key.to_owned();
    move |source| Error::Statement { attempt, table: T::TABLE, key, source }
}

fn decode<T: Record>(version: i64, body: &[u8]) -> std::result::Result<T, String> {
    if version == T::VERSION {
        return serde_json::from_slice(body).map_err(|e| e.to_string());
    }
    if version > T::VERSION {
        return Err(format!("version {version} is newer than {}", T::VERSION));
    }
    let value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    // From bytes as every record: reading it from the value would be all the code for each type once more.
    let body = T::migrate(version, value)?.to_string();
    serde_json::from_slice(body.as_bytes()).map_err(|e| e.to_string())
}
