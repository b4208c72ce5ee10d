//! Who may ask a mail server.
//!
//! Two keys open a request: the one that all programs make of the operator's password, and the
//! node's own, which everybody can seal to. So the password shows that its sender was let in by
//! the operator, and the node's key shows nothing: without the password only those peers are
//! answered whom the operator named, or everybody if there is neither password nor list.
//!
//! A request has to be signed, by whatever key, and to have cost some work, as go-ethereum has it.
//! Its times are not looked at.

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
    /// What the operator's password makes, if there is one.
    pub password: Option<SymKey>,
    /// The node's own key.
    pub node: ClientSecret,
    /// Peers that need no password.
    pub allowed: BTreeSet<RelayKey>,
    /// The least work in the envelope of a request, by either formula.
    pub min_pow: f64,
}

impl AccessPolicy {
    /// Opens a request, and decides whether it is to be carried out.
    ///
    /// # Errors
    ///
    /// [`Denied`] with what the client may be told.
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

    /// Whether a peer is answered that showed no password.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what it would need.
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

    /// Opens a request that was sealed to the node's own key.
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

/// Why a request is not carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// It makes no sense.
    #[error("{0}")]
    Bad(BadRequest),
    /// It did not cost enough.
    #[error("the request has too little proof of work")]
    LowPow,
    /// It is not sealed to the node's key, and there is no password.
    #[error("the request is not sealed to this server's key, and it has no password")]
    NotForUs,
    /// Only peers that the operator named are answered.
    #[error("this server answers only peers that its operator named")]
    NotInvited,
    /// The peer is on no list, and showed no password.
    #[error("this server wants its password")]
    PasswordWanted,
    /// Nobody has put a name to it.
    #[error("the request is not signed")]
    Unsigned,
    /// It is sealed to another password, or to another node.
    #[error("the request cannot be opened: the password is wrong")]
    WrongPassword,
}

#[cfg(test)]
mod tests;
