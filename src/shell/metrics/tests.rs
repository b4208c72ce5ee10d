//! The file and the endpoint of the metrics.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::*;
use crate::shell::rpc::refusal_of_web_page;

#[test]
fn file_is_replaced_readable_by_all_and_removed_on_drop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whisht.prom");
    let file = MetricsFile::open(path.clone()).unwrap();
    file.replace("first\n").unwrap();
    file.replace("x 1\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "x 1\n");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o644
    );
    let names = |dir: &tempfile::TempDir| fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names(&dir), 1);
    drop(file);
    assert_eq!(names(&dir), 0);
}

#[test]
fn link_in_the_place_of_the_temporary_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join("whisht.prom"), dir.path().join("victim"));
    fs::write(&victim, "keep").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("whisht.prom.new")).unwrap();
    assert!(MetricsFile::open(path).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
}

#[test]
fn file_without_a_directory_is_refused_with_its_path() {
    let path = PathBuf::from("/nowhere/whisht.prom");
    let refused = MetricsFile::open(path).unwrap_err().to_string();
    assert!(
        refused.contains("/nowhere/whisht.prom") && refused.contains("metrics.file"),
        "{refused}"
    );
}

#[test]
fn request_of_a_web_page_is_refused() {
    let refused = |pairs: &[(HeaderName, &'static str)]| {
        let pairs = pairs.iter().cloned();
        let headers: HeaderMap = pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect();
        refusal_of_web_page(&Uri::from_static("/metrics"), &headers).map(|(status, _)| status)
    };
    assert_eq!(refused(&[(header::HOST, "127.0.0.1:9470")]), None);
    assert_eq!(refused(&[(header::HOST, "localhost:9470")]), None);
    let rebound = [(header::HOST, "attacker.example:9470")];
    assert!(refused(&rebound).is_some());
    assert!(refused(&[]).is_some());
    let page = [
        (header::HOST, "127.0.0.1:9470"),
        (header::ORIGIN, "http://attacker.example"),
    ];
    assert!(refused(&page).is_some());
}

#[test]
fn next_multiple_of_the_interval_is_at_most_one_interval_away() {
    let interval = Duration::from_secs(60);
    let wait = until_next(interval);
    assert!(wait > Duration::ZERO && wait <= interval, "{wait:?}");
}
