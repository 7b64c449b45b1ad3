//! What a database keeps, and what it does with damage.

use serde::{Deserialize, Serialize};

use super::*;
use crate::Record;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pet {
    name: String,
}

impl Record for Pet {
    const TABLE: &'static str = "pets";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PetTwo {
    called: String,
}

impl Record for PetTwo {
    const TABLE: &'static str = "pets";
    const VERSION: i64 = 2;

    fn migrate(_: i64, mut body: serde_json::Value) -> std::result::Result<serde_json::Value, String> {
        let name = body.get_mut("name").map(serde_json::Value::take);
        Ok(serde_json::json!({ "called": name.ok_or("no name")? }))
    }
}

fn pet(name: &str) -> Pet {
    Pet { name: name.into() }
}

#[test]
fn rows_come_back_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let db = Db::open(&file).unwrap();
    assert_eq!(db.read(|tx| tx.get::<Pet>("a")).unwrap(), None);
    db.write(|tx| tx.put("a", &pet("ada"))).unwrap();
    db.write_relaxed(|tx| {
        tx.put("b", &pet("bob"))?;
        tx.delete::<Pet>("a").map(|_| ())
    })
    .unwrap();
    drop(db);
    let db = Db::open(&file).unwrap();
    let scan = db.read(|tx| tx.scan::<Pet>()).unwrap();
    assert_eq!(scan.rows, [("b".to_owned(), pet("bob"))]);
}

#[test]
fn an_error_undoes_the_whole_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("s.db")).unwrap();
    db.write(|tx| tx.put("a", &pet("ada"))).unwrap();
    let failed: Result<()> = db.write(|tx| {
        tx.put("b", &pet("bob"))?;
        Err(Error::Unreadable { table: "pets", key: "x".into(), why: "test".into() })
    });
    assert!(failed.is_err());
    assert_eq!(db.read(|tx| tx.get::<Pet>("b")).unwrap(), None);
}

#[test]
fn a_garbage_row_is_named_and_the_others_load() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("s.db")).unwrap();
    db.write(|tx| {
        tx.put("a", &pet("ada"))?;
        tx.put("b", &pet("bob"))
    })
    .unwrap();
    db.lock().connection.execute("UPDATE pets SET body = x'00ff' WHERE key = 'a'", []).unwrap();
    assert!(matches!(db.read(|tx| tx.get::<Pet>("a")), Err(Error::Unreadable { .. })));
    let scan = db.write(|tx| tx.scan::<Pet>()).unwrap();
    assert_eq!(scan.rows.len(), 1);
    assert_eq!(scan.set_aside[0].key, "a");
    let again = db.write(|tx| tx.scan::<Pet>()).unwrap();
    assert!(again.set_aside.is_empty());
}

#[test]
fn older_rows_are_migrated_and_newer_ones_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("s.db")).unwrap();
    db.write(|tx| tx.put("a", &pet("ada"))).unwrap();
    let new = db.write(|tx| tx.get::<PetTwo>("a")).unwrap().unwrap();
    assert_eq!(new.called, "ada");
    db.write(|tx| tx.put("a", &new)).unwrap();
    for _ in 0..2 {
        let scan = db.write(|tx| tx.scan::<Pet>()).unwrap();
        assert!(scan.rows.is_empty());
        assert_eq!(scan.set_aside.len(), 1);
    }
}

#[test]
fn a_damaged_file_is_set_aside_whole() {
    for garbage in [vec![0u8; 8192], b"not a database at all, really not".repeat(200)] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        std::fs::write(&file, &garbage).unwrap();
        let db = Db::open(&file).unwrap();
        db.write(|tx| tx.put("a", &pet("ada"))).unwrap();
        // SQLite takes a file of zeroes for an empty database or for damage; both may be lost.
        if let Some(aside) = db.set_aside().first() {
            assert_eq!(std::fs::read(&aside.key).unwrap(), garbage);
        }
    }
}

#[test]
fn a_second_engine_and_a_newer_schema_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let db = Db::open(&file).unwrap();
    db.write(|tx| tx.put("a", &pet("ada"))).unwrap();
    assert!(matches!(Db::open(&file), Err(Error::InUse { .. })));
    db.lock().connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    assert!(matches!(Db::open(&file), Err(Error::Newer { found: 99, .. })));
}

#[test]
fn the_log_has_its_room_from_the_start_and_keeps_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("s.db")).unwrap();
    let size = || std::fs::metadata(dir.path().join("s.db-wal")).unwrap().len();
    let taken = size();
    assert!(taken >= RESERVE);
    for n in 0..300 {
        db.write(|tx| tx.put(&format!("k{}", n % 7), &pet("ada"))).unwrap();
    }
    assert_eq!(size(), taken);
}
