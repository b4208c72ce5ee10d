//! TLS towards a database on another machine.
//!
//! The server must show a certificate that an authority in the operator's file has issued for its
//! name, or one that is in the file itself. The authorities of web browsers are not asked: a
//! database has its own. Certificates are never accepted unseen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The certificates by which a database is recognised.
#[derive(Clone)]
pub(super) struct TrustedCertificates {
    connector: TlsConnector,
}

impl TrustedCertificates {
    /// Reads a file of certificates in PEM.
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let fail = |cause: String| TlsError::Certificates {
            path: path.to_owned(),
            cause,
        };
        let text = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let pinned = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fail(error.to_string()))?;
        if pinned.is_empty() {
            return Err(fail("it contains no certificate in PEM".to_owned()));
        }
        let mut authorities = RootCertStore::empty();
        for certificate in &pinned {
            authorities
                .add(certificate.clone())
                .map_err(|error| fail(error.to_string()))?;
        }
        Self::new(pinned, authorities).map_err(|error| fail(error.to_string()))
    }

    fn new(
        pinned: Vec<CertificateDer<'static>>,
        authorities: RootCertStore,
    ) -> Result<Self, Box<dyn core::error::Error>> {
        let provider = Arc::new(ring::default_provider());
        let issued = WebPkiServerVerifier::builder_with_provider(
            Arc::new(authorities),
            Arc::clone(&provider),
        )
        .build()?;
        let verifier = CertificateVerifier {
            pinned,
            issued,
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Asks a server for TLS, and verifies its certificate for a host name or address.
    pub(super) async fn connect(
        &self,
        mut stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name)?;
        stream.write_all(&SSL_REQUEST).await?;
        // One byte and no more: what follows must be TLS.
        let answer = stream.read_u8().await?;
        if answer != b'S' {
            return Err(TlsError::NotOffered);
        }
        let connected = self.connector.connect(name, stream).await;
        connected.map_err(|error| TlsError::Handshake(error.to_string()))
    }
}

/// Accepts a certificate of the operator's file, and those that one of them has issued.
#[derive(Debug)]
struct CertificateVerifier {
    pinned: Vec<CertificateDer<'static>>,
    issued: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The operator's file names this very certificate, so its name and dates add nothing. The
        // handshake still proves that the server has its key. `openssl req -x509` makes such
        // certificates, and they may not issue any other.
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.issued
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Why there is no TLS connection. The password was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The operator's file.
    #[error("{}: {cause}; sslrootcert names the certificate of the server or of its authority, in PEM", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// No file is named.
    #[error(
        "it is on another machine, and no certificate to verify it by is named; add \
         ?sslrootcert=FILE to mail.store with the certificate of the server or of its authority"
    )]
    NoCertificates,
    /// The URL forbids TLS.
    #[error(
        "it is on another machine, and sslmode=disable forbids TLS; remove sslmode from mail.store"
    )]
    Disabled,
    /// The server has no TLS.
    #[error("it offers no TLS, and nothing was sent; set `ssl = on` in its postgresql.conf")]
    NotOffered,
    /// A certificate cannot be verified for this host.
    #[error("its host is not a name or an address that a certificate can have; check mail.store")]
    Name,
    /// The certificate is wrong, or the server does not speak TLS.
    #[error("TLS failed ({0}); check that the file of sslrootcert belongs to it")]
    Handshake(String),
    /// The connection broke.
    #[error("{0}; check that it runs, and mail.store")]
    System(#[from] io::Error),
}

/// The request for TLS in PostgreSQL's protocol, section "SSL Session Encryption": length and code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
