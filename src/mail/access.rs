//! The access policy of a mail server.
//!
//! Two keys decrypt a request: the key that all programs derive from the operator's password, and
//! the node's own key, which is public. A request under the password proves that the operator gave
//! access to its sender; a request to the node's key proves nothing. Without the password, a server
//! answers only the peers that its operator named, or all peers if the operator set neither a
//! password nor a list.
//!
//! A request must be signed, by any key, and have proof of work, as in go-ethereum. Its expiry is
//! not checked.

use std::collections::BTreeSet;

use circuits::ids::RelayKey;
use circuits::time::UnixSecs;

use super::RequestId;
use super::request::{BadRequest, MailRequest, RequestPacket};
use crate::envelope::Envelope;
use crate::message::{self, ClientSecret, DecryptedMessage, SymKey};
use crate::pow::PowValues;

/// The keys and lists of a server.
#[derive(Debug)]
pub struct AccessPolicy {
    /// The key derived from the operator's password, if there is one.
    pub password: Option<SymKey>,
    /// The node's own key.
    pub node: ClientSecret,
    /// Peers that need no password.
    pub allowed: BTreeSet<RelayKey>,
    /// Minimum proof of work of a request's envelope, by either formula.
    pub min_pow: f64,
}

impl AccessPolicy {
    /// Decrypts a request and checks it against the policy.
    ///
    /// # Errors
    ///
    /// [`Denied`] with a reason that is safe to send to the client.
    pub fn admit(
        &self,
        peer: RelayKey,
        packet: RequestPacket,
        now: UnixSecs,
    ) -> Result<(RequestId, MailRequest), (RequestId, Denied)> {
        match packet {
            RequestPacket::Plain(id, request) => {
                let request = request.map_err(Denied::Bad);
                match self.check_peer(peer).and(request) {
                    Ok(request) => Ok((id, request)),
                    Err(denied) => Err((id, denied)),
                }
            }
            RequestPacket::Sealed(envelope) => {
                let id = RequestId(envelope.hash().0);
                match self.decrypt(peer, &envelope, now) {
                    Ok(request) => Ok((id, request)),
                    Err(denied) => Err((id, denied)),
                }
            }
        }
    }

    /// Checks whether the server answers a peer without the password.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the missing permission.
    pub fn check_peer(&self, peer: RelayKey) -> Result<(), Denied> {
        let open = self.password.is_none() && self.allowed.is_empty();
        if open || self.allowed.contains(&peer) {
            Ok(())
        } else if self.password.is_some() {
            Err(Denied::PasswordWanted)
        } else {
            Err(Denied::NotInvited)
        }
    }

    fn decrypt(
        &self,
        peer: RelayKey,
        envelope: &Envelope,
        now: UnixSecs,
    ) -> Result<MailRequest, Denied> {
        let work = PowValues::of(envelope).best();
        if !work.is_finite() || work < self.min_pow {
            return Err(Denied::LowPow);
        }
        let by_password = self
            .password
            .as_ref()
            .and_then(|key| message::decrypt_symmetric(key, envelope.data()).ok());
        let opened = match by_password {
            Some(opened) => opened,
            None => self.decrypt_for_node(peer, envelope)?,
        };
        if opened.signer.is_none() {
            return Err(Denied::Unsigned);
        }
        MailRequest::read(&opened.payload, now).map_err(Denied::Bad)
    }

    /// Decrypts a request that was encrypted to the node's own key.
    fn decrypt_for_node(
        &self,
        peer: RelayKey,
        envelope: &Envelope,
    ) -> Result<DecryptedMessage, Denied> {
        let opened = message::decrypt_asymmetric(&self.node, envelope.data());
        match (opened, &self.password) {
            (Ok(opened), _) => self.check_peer(peer).map(|()| opened),
            (Err(_), Some(_)) => Err(Denied::WrongPassword),
            (Err(_), None) => Err(Denied::NotForUs),
        }
    }
}

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The request is invalid.
    #[error("{0}")]
    Bad(BadRequest),
    /// The envelope has too little proof of work.
    #[error("the request has too little proof of work")]
    LowPow,
    /// The request is not encrypted to the node's key, and the server has no password.
    #[error("the request is not sealed to this server's key, and it has no password")]
    NotForUs,
    /// The server answers only peers that its operator named.
    #[error("this server answers only peers that its operator named")]
    NotInvited,
    /// The peer is not listed, and its request did not use the password.
    #[error("this server requires its password")]
    PasswordWanted,
    /// The request has no signature.
    #[error("the request is not signed")]
    Unsigned,
    /// The request is encrypted under another password, or to another node.
    #[error("the request does not decrypt: the password is wrong")]
    WrongPassword,
}

#[cfg(test)]
mod tests;
