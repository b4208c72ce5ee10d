//! Logins at true and false databases: which ones are refused, and that the password stays here.

use std::io::{Read, Write};
use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::shell::archive::postgres::{AuthRefusal, PostgresError, TlsError};

/// A server that answers the startup message with these bytes. Returns its URL, and what the client
/// sends afterwards.
fn false_server(answer: Vec<u8>) -> (PostgresUrl, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut startup = [0; 4];
        client.read_exact(&mut startup).unwrap();
        let len = usize::try_from(u32::from_be_bytes(startup)).unwrap();
        client.read_exact(&mut vec![0; len - 4]).unwrap();
        client.write_all(&answer).unwrap();
        let mut rest = Vec::new();
        // The client may reset the connection.
        let _end = client.read_to_end(&mut rest);
        rest
    });
    let url = format!("postgres://whisht:{PASSWORD}@127.0.0.1:{port}/mail");
    (url.parse().unwrap(), server)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

fn open(url: &str) -> Result<Postgres, PostgresError> {
    match Postgres::open(url.parse().unwrap()) {
        Ok(opened) => Ok(opened),
        Err(ArchiveError::Postgres(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// A cluster with TLS by these files, whose user has a password.
fn over_tls(files: &[&'static str]) -> Option<Cluster> {
    let cluster = Cluster::listening(RULES, &[&["ssl=on"], files].concat())?;
    cluster.execute(&format!("ALTER USER whisht PASSWORD '{PASSWORD}'"));
    Some(cluster)
}

#[test]
fn false_database_gets_no_password() {
    let requests = [
        (vec![0, 0, 0, 3], "in the clear"),
        (vec![0, 0, 0, 5, 1, 2, 3, 4], "as an MD5 hash"),
        (vec![0, 0, 0, 0], "has not shown"),
    ];
    for (request, cause) in requests {
        let (url, server) = false_server(message(b'R', &request));
        let error = Postgres::open(url).err().unwrap().to_string();
        assert!(error.contains(cause), "{error}");
        let sent = server.join().unwrap();
        assert!(sent.is_empty(), "{}", String::from_utf8_lossy(&sent));
    }
}

#[test]
fn false_database_writes_no_escape_sequence_to_terminal() {
    let fields = b"SFATAL\0CX\x1b[2J\0M\x1b[31mpwned\r\n\xe2\x80\xae\0\0";
    let (url, server) = false_server(message(b'E', fields));
    let error = Postgres::open(url).err().unwrap().to_string();
    assert!(error.contains("?[31mpwned??? "), "{error}");
    assert!(!error.contains(char::is_control), "{error:?}");
    server.join().unwrap();
}

#[test]
fn database_on_another_machine_requires_tls() {
    // The documentation's addresses; no connection is tried.
    let error = open("postgres://u:p@192.0.2.1/mail?sslmode=disable").err();
    assert!(
        matches!(error, Some(PostgresError::Tls(TlsError::Disabled))),
        "{error:?}"
    );
    let url = "postgres://u:p@[2001:db8::1]/mail?sslrootcert=/nonexistent";
    let error = open(url).err();
    assert!(
        matches!(
            error,
            Some(PostgresError::Tls(TlsError::Certificates { .. }))
        ),
        "{error:?}"
    );
}

#[test]
fn postgres_over_tcp_requires_scram() {
    let Some(cluster) = Cluster::listening(RULES, &["ssl=off"]) else {
        return;
    };
    cluster.execute(&format!("ALTER USER whisht PASSWORD '{PASSWORD}'"));
    for name in ["scram", "clear", "old", "open"] {
        cluster.database(name);
    }
    let url = |name: &str| {
        let port = cluster.port();
        format!("postgres://whisht:{PASSWORD}@127.0.0.1:{port}/{name}")
    };
    let mut backend = open(&url("scram")).unwrap();
    backend.keep(&[envelope(100, 1)]).unwrap();
    assert_eq!(backend.find(&query(0, 200)).unwrap().envelopes.len(), 1);

    let refusal = |name: &str| match open(&url(name)) {
        Err(PostgresError::Login(refusal)) => refusal,
        Err(other) => panic!("{name}: {other}"),
        Ok(_) => panic!("{name}: was opened"),
    };
    assert_eq!(refusal("clear"), AuthRefusal::Cleartext);
    assert_eq!(refusal("open"), AuthRefusal::ServerUnproved);
    cluster.execute(&format!(
        "SET password_encryption TO md5; ALTER USER whisht PASSWORD '{PASSWORD}'"
    ));
    assert_eq!(refusal("old"), AuthRefusal::Md5);

    let tls = open(&format!("{}?sslmode=require", url("scram")));
    assert!(matches!(
        tls,
        Err(PostgresError::Tls(TlsError::NoCertificates))
    ));
}

#[test]
fn postgres_over_tls_verifies_certificate() {
    let Some(cluster) = over_tls(&["ssl_cert_file=server.crt", "ssl_key_file=server.key"]) else {
        return;
    };
    for name in ["scram", "clear", "open"] {
        cluster.database(name);
    }
    let open = |host: &str, name: &str, certificate: &str| {
        let (port, file) = (cluster.port(), cluster.file(certificate));
        open(&format!(
            "postgres://whisht:{PASSWORD}@{host}:{port}/{name}?sslmode=require&sslrootcert={file}"
        ))
    };
    // Issued by the named authority, or named itself.
    open("127.0.0.1", "scram", "authority.crt").unwrap();
    let mut backend = open("localhost", "scram", "server.crt").unwrap();
    backend.keep(&[envelope(100, 1)]).unwrap();
    // A verified server may know its client by other means, but does not get the password.
    open("127.0.0.1", "open", "authority.crt").unwrap();
    let clear = open("127.0.0.1", "clear", "authority.crt").err();
    assert!(matches!(
        clear,
        Some(PostgresError::Login(AuthRefusal::Cleartext))
    ));

    for (host, certificate) in [("localhost", "authority.crt"), ("127.0.0.1", "alone.crt")] {
        let error = open(host, "scram", certificate).err();
        assert!(
            matches!(error, Some(PostgresError::Tls(TlsError::Handshake(_)))),
            "{host} {certificate}: {error:?}"
        );
    }
}

#[test]
fn postgres_over_tls_accepts_named_certificate_of_its_own() {
    let Some(cluster) = over_tls(&["ssl_cert_file=alone.crt", "ssl_key_file=alone.key"]) else {
        return;
    };
    cluster.database("scram");
    let (port, file) = (cluster.port(), cluster.file("alone.crt"));
    open(&format!(
        "postgres://whisht:{PASSWORD}@127.0.0.1:{port}/scram?sslmode=verify-ca&sslrootcert={file}"
    ))
    .unwrap();
}

/// A machine between the node and a cluster, with a certificate of its own: it passes on what both say
/// over two connections of TLS. Returns its port.
fn relay_with_certificate_of_its_own(cluster: &Cluster) -> u16 {
    let provider = || Arc::new(ring::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_file(cluster.file(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(cluster.file("alone.key")).unwrap();
    let acceptor = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate("alone.crt")], key)
        .unwrap();
    let mut authorities = RootCertStore::empty();
    authorities.add(certificate("authority.crt")).unwrap();
    let connector = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(acceptor));
    let connector = TlsConnector::from(Arc::new(connector));
    let database = cluster.port();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let relay = async move |client: std::net::TcpStream| {
        let mut client = TcpStream::from_std(client).unwrap();
        let mut request = [0; 8];
        client.read_exact(&mut request).await.unwrap();
        client.write_all(b"S").await.unwrap();
        let mut client = acceptor.accept(client).await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", database)).await.unwrap();
        server.write_all(&request).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'S');
        let name = "127.0.0.1".try_into().unwrap();
        let mut server = connector.connect(name, server).await.unwrap();
        // One of them hangs up.
        let _ended = copy_bidirectional(&mut client, &mut server).await;
    };
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (client, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        runtime.block_on(relay(client));
    });
    port
}

#[test]
fn machine_in_the_middle_with_an_accepted_certificate_gets_no_login() {
    let Some(cluster) = over_tls(&["ssl_cert_file=server.crt", "ssl_key_file=server.key"]) else {
        return;
    };
    cluster.database("scram");
    // The operator's file accepts both certificates.
    let read = |name: &str| std::fs::read_to_string(cluster.file(name)).unwrap();
    let both = tempfile::NamedTempFile::new().unwrap();
    let certificates = [read("authority.crt"), read("alone.crt")].concat();
    std::fs::write(both.path(), certificates).unwrap();
    let open = |port: u16| {
        let file = both.path().display();
        open(&format!(
            "postgres://whisht:{PASSWORD}@127.0.0.1:{port}/scram?sslmode=require&sslrootcert={file}"
        ))
    };
    open(cluster.port()).unwrap();
    let error = open(relay_with_certificate_of_its_own(&cluster))
        .err()
        .unwrap();
    assert!(error.to_string().contains("channel binding"), "{error}");
}

const PASSWORD: &str = "s3cr3t-of-the-operator";
/// A login method for each database.
const RULES: &str = "
host scram all 127.0.0.1/32 scram-sha-256
host clear all 127.0.0.1/32 password
host old   all 127.0.0.1/32 md5
host open  all 127.0.0.1/32 trust";
