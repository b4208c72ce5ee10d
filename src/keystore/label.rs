//! The label of our key files: the name and the public part of the identity.
//!
//! Other programs ignore the member `whisht`. It is readable without the password, so that a locked
//! node can list its identities; it cannot be changed without the password, nor can the IV and the
//! address, which the published format does not authenticate: a tag under the derived key covers
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

/// The public part of a sealed identity.
#[derive(Clone, Debug)]
pub(super) struct IdentityLabel {
    pub(super) name: IdentityName,
    pub(super) public_identity: PublicIdentity,
    /// Whether a non-empty password is set.
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

impl IdentityLabel {
    /// Writes the label into the container, with a tag over both.
    pub(super) fn attach(&self, container: &mut Container, key: &DerivedKey) {
        let (public_key, topic) = match &self.public_identity {
            PublicIdentity::KeyPair(public) => (Some(hex::encode(public.to_bytes())), None),
            PublicIdentity::Shared(topic) => (None, Some(hex::encode(topic.0))),
        };
        container.label = Some(LabelJson {
            kind: self.public_identity.kind().word().to_owned(),
            name: self.name.to_string(),
            protected: self.protected,
            public_key,
            tag: hex::encode(self.tag(container, key)),
            topic,
        });
    }

    /// Parses a label, which is not authenticated before [`IdentityLabel::check`].
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
        if public_identity.kind().word() != wire.kind {
            return Err(damaged);
        }
        Ok(Self {
            name: IdentityName::from_str(&wire.name).map_err(|_| damaged)?,
            public_identity,
            protected: wire.protected,
        })
    }

    /// Checks that label and container were not changed since they were sealed.
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
        if good {
            Ok(())
        } else {
            Err(KeystoreError::Damaged("label"))
        }
    }

    /// HMAC-SHA-256 over everything that is readable without the password.
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
            self.public_identity.kind().word().as_bytes(),
            public_identity,
            &[u8::from(self.protected)],
            container.address.as_ref().map_or(&[], |address| &address.0),
            &container.iv,
            &container.ciphertext,
        ] {
            // Each field is prefixed with its length, so that no bytes can move between fields.
            tag.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            tag.update(part);
        }
        tag.finalize().into_bytes().into()
    }
}

/// Domain separation from the container's own uses of the derived key.
const TAG_KEY: &[u8] = b"whisht keystore label v1";
