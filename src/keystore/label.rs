//! What a file of ours says beside the container: whose key it is, and of which kind.
//!
//! Other programs pass the member `whisht` over. It can be read without the password, so that a
//! locked node can list what it would open; it cannot be changed without it, nor can the IV and
//! the address, which the published format leaves uncovered: a tag under the derived key spans
//! them all.

use core::str::FromStr;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::KeystoreError;
use super::kdf::DerivedKey;
use super::v3::Container;
use crate::identity::{IdentityName, parse_topic};
use crate::message::ClientPublic;
use crate::node::PublicIdentity;

/// What a sealed identity says of itself.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) name: IdentityName,
    pub(super) public_identity: PublicIdentity,
    /// Whether it has a password that is not empty.
    pub(super) protected: bool,
}

/// The member as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelJson {
    kind: String,
    name: String,
    protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
}

impl Label {
    /// Writes it, and covers it and the container with a tag.
    pub(super) fn attach(&self, container: &mut Container, key: &DerivedKey) {
        let (public_key, topic) = match &self.public_identity {
            PublicIdentity::KeyPair(public) => (Some(hex::encode(public.to_bytes())), None),
            PublicIdentity::Shared(topic) => (None, Some(hex::encode(topic.0))),
        };
        container.label = Some(LabelJson {
            kind: self.public_identity.kind().to_owned(),
            name: self.name.to_string(),
            protected: self.protected,
            public_key,
            tag: hex::encode(self.tag(container, key)),
            topic,
        });
    }

    /// Reads what a file says, which is not to be relied upon before [`Label::check`].
    pub(super) fn read(wire: &LabelJson) -> Result<Self, KeystoreError> {
        let damaged = KeystoreError::Damaged("label");
        let public_identity = match (&wire.public_key, &wire.topic) {
            (Some(digits), None) => {
                let bytes = hex::decode(digits).map_err(|_| damaged)?;
                PublicIdentity::KeyPair(ClientPublic::from_bytes(&bytes).map_err(|_| damaged)?)
            }
            (None, Some(topic)) => PublicIdentity::Shared(parse_topic(topic).map_err(|_| damaged)?),
            _ => return Err(damaged),
        };
        if public_identity.kind() != wire.kind {
            return Err(damaged);
        }
        Ok(Self {
            name: IdentityName::from_str(&wire.name).map_err(|_| damaged)?,
            public_identity,
            protected: wire.protected,
        })
    }

    /// Checks that nobody changed it, or the container, since it was sealed.
    pub(super) fn check(
        &self,
        container: &Container,
        key: &DerivedKey,
    ) -> Result<(), KeystoreError> {
        let mut claimed = [0; 32];
        let wire = container.label.as_ref();
        let good = wire.is_some_and(|wire| {
            hex::decode_to_slice(&wire.tag, &mut claimed).is_ok()
                && bool::from(self.tag(container, key).ct_eq(&claimed))
        });
        match good {
            true => Ok(()),
            false => Err(KeystoreError::Damaged("label")),
        }
    }

    /// HMAC-SHA-256 over everything that can be read without the password.
    fn tag(&self, container: &Container, key: &DerivedKey) -> [u8; 32] {
        let mut own = Zeroizing::new([0; 32]);
        #[expect(clippy::expect_used, reason = "HKDF gives up to 8,160 bytes")]
        Hkdf::<Sha256>::new(None, key.whole())
            .expand(TAG_KEY, own.as_mut())
            .expect("32 bytes");
        let public;
        let public_identity: &[u8] = match &self.public_identity {
            PublicIdentity::KeyPair(key) => {
                public = key.to_bytes();
                &public
            }
            PublicIdentity::Shared(topic) => &topic.0,
        };
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut tag = <Hmac<Sha256> as KeyInit>::new_from_slice(own.as_ref()).expect("any length");
        for part in [
            self.name.as_str().as_bytes(),
            self.public_identity.kind().as_bytes(),
            public_identity,
            &[u8::from(self.protected)],
            container.address.as_ref().map_or(&[], |address| &address.0),
            &container.iv,
            &container.ciphertext,
        ] {
            // Each part tells its length first, so that none can lend bytes to its neighbour.
            tag.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            tag.update(part);
        }
        tag.finalize().into_bytes().into()
    }
}

/// Separates this use of the derived key from the container's own two.
const TAG_KEY: &[u8] = b"whisht keystore label v1";
