//! Channel binding: SCRAM proves the certificate of the server that the TLS connection showed.
//!
//! A machine that stands between this node and its database, with a certificate that the operator's
//! file accepts, can pass the messages of a SCRAM login on and then use the connection. With
//! SCRAM-SHA-256-PLUS both sides sign the hash of the server's certificate as they see it
//! (`tls-server-end-point`, RFC 5929), and the login fails. tokio-postgres chooses it whenever the server
//! offers it and the stream states the hash. TLS is done before tokio-postgres sees the stream, so
//! this module only states the hash.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::future::{Ready, ready};
use std::io;

use circuits::bytes::ByteReader;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Adds what SCRAM is bound to, to a stream that is encrypted already.
pub(super) struct BindChannel {
    /// The hash of the server's certificate; `None` if its algorithm defines none.
    pub(super) end_point: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for BindChannel {
    type Stream = BoundStream<S>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Stream, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(BoundStream {
            stream,
            end_point: self.end_point,
        }))
    }
}

/// A stream that states what SCRAM is bound to.
pub(super) struct BoundStream<S> {
    stream: S,
    end_point: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for BoundStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.end_point {
            Some(hash) => ChannelBinding::tls_server_end_point(hash.clone()),
            None => ChannelBinding::none(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The hash of a certificate in DER that SCRAM is bound to (RFC 5929, section 4.1): by the hash function
/// of its signature, or SHA-256 where that is MD5 or SHA-1. `None` for signatures without one, such as
/// Ed25519.
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_algorithm(certificate)?;
    let is = |known: &[&[u8]]| known.contains(&algorithm);
    if is(SHA256_SIGNATURES) {
        Some(Sha256::digest(certificate).to_vec())
    } else if is(SHA384_SIGNATURES) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is(SHA512_SIGNATURES) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

/// The object identifier of the algorithm of a certificate's signature:
/// `SEQUENCE { content, SEQUENCE { algorithm, .. }, signature }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let mut certificate = ByteReader::new(element(&mut ByteReader::new(certificate), SEQUENCE)?);
    element(&mut certificate, SEQUENCE)?;
    let mut algorithm = ByteReader::new(element(&mut certificate, SEQUENCE)?);
    element(&mut algorithm, OBJECT_IDENTIFIER)
}

/// The content of the next element of DER, which must have this tag.
fn element<'a>(reader: &mut ByteReader<'a>, tag: u8) -> Option<&'a [u8]> {
    let [found, len]: [u8; 2] = reader.array().ok()?;
    if found != tag {
        return None;
    }
    let len = match len {
        0..=0x7f => usize::from(len),
        0x81 => usize::from(u8::from_be_bytes(reader.array().ok()?)),
        0x82 => usize::from(u16::from_be_bytes(reader.array().ok()?)),
        // No certificate has 64 KB.
        _ => return None,
    };
    reader.take(len).ok()
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// RSA (RFC 4055) and ECDSA (RFC 5758) with SHA-256, and with MD5 and SHA-1, which count as SHA-256.
const SHA256_SIGNATURES: &[&[u8]] = &[
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
];
/// The same with SHA-384.
const SHA384_SIGNATURES: &[&[u8]] = &[
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
];
/// The same with SHA-512.
const SHA512_SIGNATURES: &[&[u8]] = &[
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with this algorithm, and nothing else in it.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let len = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let identifier = [&[OBJECT_IDENTIFIER, len(algorithm)], algorithm].concat();
        let algorithm = [&[SEQUENCE, len(&identifier)], &identifier[..]].concat();
        // A content of 300 bytes has a length of two bytes.
        let content = [&[SEQUENCE, 0x82, 0x01, 0x2c][..], &[7; 300]].concat();
        let all = [&content[..], &algorithm, &[0x03, 0x01, 0x00]].concat();
        let len = u16::try_from(all.len()).unwrap().to_be_bytes();
        [&[SEQUENCE, 0x82][..], &len, &all].concat()
    }

    #[test]
    fn end_point_is_the_hash_of_the_signature() {
        for (algorithms, bytes) in [
            (SHA256_SIGNATURES, 32),
            (SHA384_SIGNATURES, 48),
            (SHA512_SIGNATURES, 64),
        ] {
            for algorithm in algorithms {
                let hash = end_point(&certificate(algorithm)).unwrap();
                assert_eq!(hash.len(), bytes, "{algorithm:02x?}");
            }
        }
        let sha256 = certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]);
        assert_eq!(end_point(&sha256), Some(Sha256::digest(&sha256).to_vec()));
    }

    #[test]
    fn certificate_without_a_hash_or_damaged_is_not_bound() {
        let ed25519 = [0x2b, 0x65, 0x70];
        assert_eq!(end_point(&certificate(&ed25519)), None);
        let whole = certificate(SHA256_SIGNATURES.first().unwrap());
        let end = whole.len() - 3;
        for len in 0..end {
            assert_eq!(end_point(whole.get(..len).unwrap()), None, "{len}");
        }
    }
}
