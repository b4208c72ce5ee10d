//! The criteria by which a client selects messages.

use serde_json::Value;

use super::super::RpcError;
use super::super::value::{ObjectParams, PositionalParams, bytes, flag, float, text, topics};
use crate::message::ClientPublic;
use crate::node::{Criteria, FilterKeyId};

/// The only parameter of a method.
pub(super) fn read(method: &str, params: Option<Value>) -> Result<Criteria, RpcError> {
    read_next(&mut PositionalParams::new(method, params, 1)?)
}

/// The next parameter of a method.
pub(super) fn read_next(args: &mut PositionalParams) -> Result<Criteria, RpcError> {
    let given = args.read(|value| {
        let mut fields = ObjectParams::new(value)?;
        Ok(RawCriteria {
            shared: fields.read("symKeyID", text)?.unwrap_or_default(),
            pair: fields.read("privateKeyID", text)?.unwrap_or_default(),
            signer: fields.read("sig", bytes)?.unwrap_or_default().to_vec(),
            min_pow: fields.read("minPow", float)?.unwrap_or_default(),
            topics: fields.read_unnamed("topics", topics)?.unwrap_or_default(),
            allow_p2p: fields.read("allowP2P", flag)?.unwrap_or_default(),
        })
    })?;
    given.check()
}

/// The parameters, each valid by itself.
struct RawCriteria {
    shared: String,
    pair: String,
    signer: Vec<u8>,
    min_pow: f64,
    topics: Vec<crate::envelope::Topic>,
    allow_p2p: bool,
}

impl RawCriteria {
    fn check(self) -> Result<Criteria, RpcError> {
        let key = match (self.shared.is_empty(), self.pair.is_empty()) {
            (false, true) => FilterKeyId::Shared(self.shared),
            (true, false) => FilterKeyId::Pair(self.pair),
            _ => return Err(RpcError::failed(ONE_KEY)),
        };
        let signer = match self.signer.as_slice() {
            [] => None,
            key => Some(
                ClientPublic::from_bytes(key)
                    .map_err(|_| RpcError::failed("invalid signing public key"))?,
            ),
        };
        Ok(Criteria {
            key,
            signer,
            min_pow: self.min_pow,
            topics: self.topics,
            allow_p2p: self.allow_p2p,
        })
    }
}

/// go-ethereum's text for a missing key, or one too many.
pub(super) const ONE_KEY: &str = "specify either a symmetric or an asymmetric key";
