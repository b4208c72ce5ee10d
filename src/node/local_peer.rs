//! The node's identity towards its peers. Nothing here identifies a client.

use std::sync::Arc;

use circuits::arithmetic::Arithmetic;
use circuits::directory::{BadSigningKey, Requirements, SigningKey};
use circuits::ids::{RelayId, RelayKey};
use circuits::time::UnixSecs;

use super::clock_skew::TIME_STEP_SECS;
use super::config::NodeConfig;
use super::peers::LinkPurpose;
use crate::link::{Capability, LinkConfig, LinkKey, LinkLimits};

/// Our link key, and what is derived from it.
pub(super) struct LocalPeer {
    link: Arc<LinkKey>,
    /// Our hello to gossip peers.
    as_peer: Arc<LinkConfig>,
    /// Our hello on links that carry only our cells.
    as_relay: Arc<LinkConfig>,
    signing: SigningKey,
    key: RelayKey,
    id: RelayId,
    requirements: Requirements,
    shows_time: bool,
}

impl LocalPeer {
    /// Derives everything from the link key.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`] if the link key cannot sign; no valid key has this property.
    pub(super) fn new(config: &NodeConfig, link: LinkKey) -> Result<Self, BadSigningKey> {
        let hello = |capabilities: &[Capability]| {
            Arc::new(LinkConfig {
                client_id: CLIENT_ID.to_owned(),
                listen_port: config.listen_port,
                capabilities: capabilities.to_vec(),
                limits: LinkLimits::default(),
            })
        };
        let key = link.public();
        Ok(Self {
            as_peer: hello(&[Capability::ONION_1, Capability::SHH_5, Capability::SHH_6]),
            as_relay: hello(&[Capability::ONION_1]),
            signing: SigningKey::new(link.to_bytes())?,
            key,
            id: key.id(),
            requirements: config.requirements(),
            link: Arc::new(link),
            shows_time: config.relay || !config.listening.is_empty(),
        })
    }

    /// The secret key of our links.
    pub(super) fn link_key(&self) -> Arc<LinkKey> {
        Arc::clone(&self.link)
    }

    /// The arithmetic of our links and cells; a simulated node may use stand-ins.
    pub(super) fn arithmetic(&self) -> Arithmetic {
        self.link.arithmetic()
    }

    /// Our hello on a link of this purpose.
    pub(super) fn hello(&self, purpose: LinkPurpose) -> Arc<LinkConfig> {
        Arc::clone(match purpose {
            LinkPurpose::Peer => &self.as_peer,
            LinkPurpose::Cells | LinkPurpose::Guard => &self.as_relay,
        })
    }

    /// Signs our descriptors.
    pub(super) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Our public key.
    pub(super) const fn key(&self) -> RelayKey {
        self.key
    }

    /// Our id in the directory.
    pub(super) const fn id(&self) -> RelayId {
        self.id
    }

    /// The time that our status shows. A node that others can recognise anyway, by its address, shows
    /// its clock in coarse steps. Any other shows none: the skew of a clock would link the runs of a
    /// node that changes its key.
    pub(super) fn shown_time(&self, now: UnixSecs) -> Option<UnixSecs> {
        let step = UnixSecs(now.0 - now.0 % TIME_STEP_SECS);
        self.shows_time.then_some(step)
    }

    /// What descriptors of our network must satisfy.
    pub(super) const fn requirements(&self) -> Requirements {
        self.requirements
    }
}

/// The client name in our hello; it is the same for every installation of this version.
pub const CLIENT_ID: &str = concat!("whisht/v", env!("CARGO_PKG_VERSION"));

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    ::hex::encode(bytes)
}
