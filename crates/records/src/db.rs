//! The database file: opening, durability, transactions, and the way out when it is damaged.
//!
//! One connection behind one mutex: the engine is the only process that opens the file, and every
//! transaction is microseconds long.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode};

use crate::table::{SetAside, Tx};
use crate::{Error, Result};

/// The newest schema of the file itself that this build understands.
const SCHEMA: i64 = 1;

/// Bytes of the log between two checkpoints (256 pages), and some for the transaction that brings one about.
const RESERVE: u64 = 300 * 4096;

/// How far an acknowledged write reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// [`Db::write`] is on the disk when it returns; [`Db::write_relaxed`] survives a killed process.
    Durable,
    /// Nothing is ever synced: for a file on tmpfs, which does not outlive the boot anyway.
    Never,
}

/// How to open a [`Db`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far an acknowledged write reaches.
    pub sync: Sync,
}

/// An open database. Clones share it.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    sync: Sync,
    state: Mutex<State>,
    set_aside: Vec<SetAside>,
}

struct State {
    connection: Connection,
    /// Whether the connection currently syncs each commit.
    full: bool,
}

impl Db {
    /// Opens or makes the durable database at `path`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options { sync: Sync::Durable })
    }

    /// Opens or makes a database. A damaged file is renamed to `<name>.damaged-<unix seconds>`, a new
    /// one takes its place, and [`Db::set_aside`] names it.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref();
        let mut set_aside = Vec::new();
        let connection = match prepare(path) {
            Err(Error::Open { source, .. }) if is_damage(&source) => {
                set_aside.push(move_away(path, &source)?);
                prepare(path)?
            }
            other => other?,
        };
        if options.sync == Sync::Durable {
            reserve(&connection, path);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                sync: options.sync,
                state: Mutex::new(State { connection, full: false }),
                set_aside,
            }),
        })
    }

    /// The database file, if it was damaged and set aside when it was opened.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.inner.set_aside
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` in one transaction that is on the disk when this returns. An error undoes it.
    pub fn write<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.transact(self.inner.sync == Sync::Durable, work)
    }

    /// As [`Db::write`], without waiting for the disk: survives a killed process, not a power cut.
    pub fn write_relaxed<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.transact(false, work)
    }

    /// Runs `work` for reading.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let state = self.lock();
        work(&Tx { connection: &state.connection })
    }

    fn transact<T, E: From<Error>>(
        &self,
        full: bool,
        work: impl FnOnce(&Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut state = self.lock();
        if state.full != full {
            let mode = match (full, self.inner.sync) {
                (true, _) => "FULL",
                (false, Sync::Durable) => "NORMAL",
                (false, Sync::Never) => "OFF",
            };
            state
                .connection
                .execute_batch(&format!("PRAGMA synchronous = {mode}"))
                .map_err(|source| Error::Transaction { attempt: "begin", source })?;
            state.full = full;
        }
        let transaction = state
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|source| Error::Transaction { attempt: "begin", source })?;
        let value = work(&Tx { connection: &transaction })?;
        transaction.commit().map_err(|source| Error::Transaction { attempt: "commit", source })?;
        Ok(value)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside a transaction rolled it back when the transaction was dropped.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(path: &Path) -> Result<Connection> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(open)?;
    // Exclusive locking keeps the WAL index in memory and refuses a second engine on this root.
    // NORMAL is what `State::full == false` stands for in a durable file; OFF is set on first use.
    connection
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -256; \
             PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
             PRAGMA wal_autocheckpoint = 256; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;",
        )
        .map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse { path: path.to_owned() },
            _ => open(source),
        })?;
    connection.set_prepared_statement_cache_capacity(24);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
    if found > SCHEMA {
        return Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA });
    }
    check(&connection).map_err(open)?;
    // ORDER: what is new is written, what is not is only read: an engine starts on a full disk.
    let schema = if found == SCHEMA {
        "BEGIN IMMEDIATE; COMMIT;".to_owned()
    } else {
        format!(
            "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS set_aside (origin TEXT, key TEXT, \
             version INTEGER, body BLOB, why TEXT, PRIMARY KEY (origin, key)); \
             PRAGMA user_version = {SCHEMA}; COMMIT;"
        )
    };
    connection.execute_batch(&schema).map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse { path: path.to_owned() },
        _ => open(source),
    })?;
    Ok(connection)
}

/// Takes the room that later writes need, so that rows can be deleted when the disk is full: the log is
/// written again from its start after each checkpoint and keeps its size, and so does the file.
fn reserve(connection: &Connection, path: &Path) {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() >= RESERVE) {
        return;
    }
    let grow = format!(
        "CREATE TABLE reserve (body BLOB); INSERT INTO reserve VALUES (zeroblob({RESERVE})); DROP TABLE reserve;"
    );
    // Without room there is nothing to take.
    let _ = connection.execute_batch(&grow).or_else(|_| connection.execute_batch("DROP TABLE IF EXISTS reserve"));
}

/// Reads the whole structure once; a damaged page shows here and not in the middle of a start.
fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error { code: ErrorCode::DatabaseCorrupt, extended_code: rusqlite::ffi::SQLITE_CORRUPT },
        Some(verdict),
    ))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn move_away(path: &Path, why: &rusqlite::Error) -> Result<SetAside> {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    // The clock may have been set back: what was set aside before is not replaced.
    let to = (seconds..).map(|n| beside(&format!(".damaged-{n}"))).find(|to| !to.exists());
    let to = to.unwrap_or_else(|| beside(".damaged"));
    for suffix in ["-wal", "-shm"] {
        let mut target = to.as_os_str().to_owned();
        target.push(suffix);
        match std::fs::rename(beside(suffix), PathBuf::from(target)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::SetAside { path: beside(suffix), source: e });
            }
            _ => {}
        }
    }
    std::fs::rename(path, &to).map_err(|source| Error::SetAside { path: path.to_owned(), source })?;
    Ok(SetAside {
        table: path.display().to_string(),
        key: to.display().to_string(),
        why: why.to_string(),
        newer: false,
    })
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
