use std::os::unix::fs::PermissionsExt;
use std::sync::{Barrier, Mutex};

use circuits::ids::Profile;

use self::cluster::Cluster;
use super::*;
use crate::bloom::Bloom;
use crate::envelope::{EncryptionHint, Ttl, UnminedEnvelope};

mod cluster;
mod contract;
mod database_login;

#[test]
fn sqlite_file_is_private_and_survives_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let kept: Vec<Envelope> = (0..5).map(|n| envelope(100, n)).collect();
    let dir = dir(scratch.path());
    {
        let mut backend = Sqlite::open(&dir).unwrap();
        backend.keep(&kept).unwrap();
        for name in ["mail.db", "mail.db-wal", "mail.db-shm"] {
            let metadata = std::fs::metadata(dir.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
    let mut again = Sqlite::open(&dir).unwrap();
    assert_eq!(again.find(&query(0, u32::MAX)).unwrap().envelopes.len(), 5);
}

#[test]
fn sqlite_trim_returns_space_to_file_system() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = dir(scratch.path());
    let mut backend = Sqlite::open(&dir).unwrap();
    let large: Vec<Envelope> = (0..3_000).map(|n| sized(100 + n, n, 8_000)).collect();
    backend.keep(&large).unwrap();
    while backend.trim(UnixSecs(0), 2_000_000).unwrap() {}
    backend.db_checkpoint();
    let len = std::fs::metadata(dir.path().join("mail.db")).unwrap().len();
    assert!(len < 16_000_000, "{len} bytes of 24 MB are left");
}

#[test]
fn sqlite_truncated_commit_is_ignored() {
    let scratch = tempfile::tempdir().unwrap();
    let (whole, torn) = (
        dir(&scratch.path().join("a")),
        dir(&scratch.path().join("b")),
    );
    let mut backend = Sqlite::open(&whole).unwrap();
    let first: Vec<Envelope> = (0..50).map(|n| envelope(100, n)).collect();
    backend.keep(&first).unwrap();
    let wal = |dir: &DataDir| dir.path().join("mail.db-wal");
    let before = std::fs::metadata(wal(&whole)).unwrap().len();
    let second: Vec<Envelope> = (50..100).map(|n| envelope(200, n)).collect();
    backend.keep(&second).unwrap();
    let log = std::fs::read(wal(&whole)).unwrap();
    let main = std::fs::read(whole.path().join("mail.db")).unwrap();
    let cuts = (usize::try_from(before).unwrap()..log.len()).step_by(1_009);
    for cut in cuts {
        for (name, content) in [("mail.db", &main[..]), ("mail.db-wal", &log[..cut])] {
            std::fs::write(torn.path().join(name), content).unwrap();
        }
        // The index of the log is created if it is missing.
        let _gone = std::fs::remove_file(torn.path().join("mail.db-shm"));
        let mut backend = Sqlite::open(&torn).unwrap();
        let left = backend.find(&query(0, u32::MAX)).unwrap().envelopes.len();
        assert_eq!(left, 50, "the log was cut at {cut}");
    }
}

#[test]
fn sqlite_damaged_file_is_not_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = dir(scratch.path());
    let path = dir.path().join("mail.db");
    std::fs::write(&path, vec![b'x'; 5_000]).unwrap();
    assert!(matches!(
        Sqlite::open(&dir),
        Err(ArchiveError::Damaged { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 5_000]);
}

#[test]
fn sqlite_later_version_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = dir(scratch.path());
    drop(Sqlite::open(&dir).unwrap());
    let db = rusqlite::Connection::open(dir.path().join("mail.db")).unwrap();
    db.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(db);
    assert!(matches!(Sqlite::open(&dir), Err(ArchiveError::Later)));
}

#[test]
fn postgres_stores_each_envelope_once_for_several_servers() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database("shared");
    let envelopes: Vec<Envelope> = (0..2_000).map(|n| envelope(100 + n % 97, n)).collect();
    let start = Barrier::new(SERVERS);
    thread::scope(|scope| {
        for server in 0..SERVERS {
            let (url, envelopes, start) = (&url, &envelopes, &start);
            scope.spawn(move || {
                start.wait();
                // All servers create the tables at once, and write the same envelopes in different
                // orders.
                let mut backend = Postgres::open(url.parse().unwrap()).unwrap();
                let mut own = envelopes.clone();
                own.rotate_left(server * 500);
                for batch in own.chunks(170) {
                    let mut batch = batch.to_vec();
                    batch.sort_unstable_by_key(Position::of);
                    backend.keep(&batch).unwrap();
                }
            });
        }
    });
    let mut backend = Postgres::open(url.parse().unwrap()).unwrap();
    let found = backend.find(&query(0, u32::MAX)).unwrap();
    assert_eq!((found.envelopes.len(), found.more), (2_000, None));
}

#[test]
fn postgres_reconnects_after_database_restart() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database("mail").parse().unwrap();
    let mut backend = Postgres::open(url).unwrap();
    backend.keep(&[envelope(100, 1)]).unwrap();
    cluster.restart();
    let mut failures = 0;
    while backend.keep(&[envelope(100, 2)]).is_err() {
        failures += 1;
        assert!(failures < 100, "the connection does not come back");
        thread::sleep(Duration::from_millis(100));
    }
    let found = backend.find(&query(0, u32::MAX)).unwrap().envelopes;
    assert_eq!(found.len(), 2);
}

#[test]
fn postgres_open_error_names_remedy() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database("here").replace("/here", "/elsewhere");
    let error = Postgres::open(url.parse().unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("createdb"), "{error}");
    let nowhere = "postgres://whisht@%2Fnonexistent/mail".parse().unwrap();
    let error = Postgres::open(nowhere).err().unwrap().to_string();
    assert!(error.contains("check that it runs"), "{error}");
}

#[test]
fn postgres_url_output_contains_no_password() {
    let url: PostgresUrl = "postgres://u:secret@localhost/mail".parse().unwrap();
    assert!(url.has_password() && !format!("{url:?}").contains("secret"));
    let url: PostgresUrl = "postgresql://u@localhost/mail".parse().unwrap();
    assert!(!url.has_password());
    assert_eq!(
        "mysql://u@localhost/mail".parse::<PostgresUrl>(),
        Err(InvalidPostgresUrl)
    );
}

/// A store that fails on demand.
struct FailingBackend {
    inner: Sqlite,
    fails: Arc<Mutex<bool>>,
}

impl FailingBackend {
    fn check(&self) -> Result<(), ArchiveError> {
        if *self.fails.lock().unwrap() {
            Err(ArchiveError::Later)
        } else {
            Ok(())
        }
    }
}

impl ArchiveBackend for FailingBackend {
    fn keep(&mut self, envelopes: &[Envelope]) -> Result<(), ArchiveError> {
        self.check()?;
        self.inner.keep(envelopes)
    }

    fn find(&mut self, query: &PageQuery) -> Result<Page, ArchiveError> {
        self.check()?;
        self.inner.find(query)
    }

    fn trim(&mut self, before: UnixSecs, max_bytes: u64) -> Result<bool, ArchiveError> {
        self.inner.trim(before, max_bytes)
    }

    fn contents(&mut self) -> Result<Contents, ArchiveError> {
        self.inner.contents()
    }
}

#[test]
fn failing_backend_reports_batches_after_recovery() {
    let fails = Arc::new(Mutex::new(true));
    let opened = OpenArchive {
        backend: Box::new(FailingBackend {
            inner: Sqlite::in_memory().unwrap(),
            fails: Arc::clone(&fails),
        }),
        quota: ArchiveQuota {
            bytes: 1 << 30,
            age: u32::MAX,
        },
    };
    let (report, reports) = channel();
    let archive = ArchiveHandle::start(opened, move |word| report.send(word).unwrap()).unwrap();
    archive.put(ArchiveRequest::Keep(BatchId(1), vec![envelope(100, 1)]));
    archive.put(ArchiveRequest::Keep(BatchId(2), vec![envelope(100, 2)]));
    archive.put(ArchiveRequest::Find(QueryId(7), query(0, u32::MAX)));
    let word = reports.recv().unwrap();
    assert!(
        matches!(word, ArchiveResponse::Found(QueryId(7), Err(Unavailable))),
        "{word:?}"
    );
    assert!(reports.recv_timeout(RETRY_INTERVAL / 4).is_err());
    *fails.lock().unwrap() = false;
    let word = reports.recv().unwrap();
    assert!(
        matches!(word, ArchiveResponse::Kept(BatchId(2), Some(_))),
        "{word:?}"
    );
    archive.put(ArchiveRequest::Find(QueryId(8), query(0, u32::MAX)));
    let ArchiveResponse::Found(QueryId(8), Ok(page)) = reports.recv().unwrap() else {
        panic!("a page");
    };
    assert_eq!(page.envelopes.len(), 2);
}

#[test]
fn queued_batches_are_stored_before_shutdown() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = dir(scratch.path());
    let location = ArchiveLocation::Directory(Arc::clone(&dir));
    let bounds = ArchiveQuota {
        bytes: 1 << 30,
        age: u32::MAX,
    };
    let archive =
        ArchiveHandle::start(OpenArchive::at(&location, bounds).unwrap(), |_| {}).unwrap();
    for number in 0..100 {
        let batch = vec![envelope(100, number)];
        archive.put(ArchiveRequest::Keep(BatchId(u64::from(number) + 1), batch));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(archive.finish());
    let mut backend = Sqlite::open(&dir).unwrap();
    let found = backend.find(&query(0, u32::MAX)).unwrap().envelopes;
    assert_eq!(found.len(), 100);
}

fn dir(path: &std::path::Path) -> Arc<DataDir> {
    let path = path.join("data");
    Arc::new(DataDir::open(&path, Profile::Main, "test").unwrap())
}

fn envelope(sent: u32, number: u32) -> Envelope {
    sized(sent, number, 60)
}

fn sized(sent: u32, number: u32, len: usize) -> Envelope {
    UnminedEnvelope {
        expiry: UnixSecs(sent + 60),
        ttl: Ttl(60),
        topic: Topic(number.wrapping_mul(0x9e37_79b9).to_be_bytes()),
        hint: EncryptionHint::Absent,
        data: vec![7; len],
    }
    .with_nonce(u64::from(number) + (1 << 60))
}

fn query(lower: u32, upper: u32) -> PageQuery {
    PageQuery {
        lower: UnixSecs(lower),
        upper: UnixSecs(upper),
        bloom: Bloom::FULL,
        after: None,
        limit: 100_000,
        bytes: 1 << 30,
        effort: 100_000,
    }
}

const SERVERS: usize = 4;
