//! `whisht_fetchMail`: the range to fetch, and the server.

use circuits::ids::RelayKey;
use circuits::time::UnixSecs;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::RpcError;
use super::call::{RpcCall, bad, object};
use crate::endpoint::PeerAddr;
use crate::identity::parse_topic;
use crate::message::SymKey;
use crate::node::{Command, FetchRequest, MailSource};

/// The parameters of the method.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// An enode URL, or the key of a peer.
    from: Option<String>,
    /// Seconds since 1970.
    since: u32,
    /// Seconds since 1970; now if absent.
    until: Option<u32>,
    /// All topics if absent.
    topics: Option<Vec<String>>,
    narrow: Option<bool>,
    password: Option<Zeroizing<String>>,
}

/// A fetch whose password is not yet turned into a key.
#[derive(Debug)]
pub struct FetchCall {
    request: FetchRequest,
    password: Option<Zeroizing<String>>,
}

impl FetchCall {
    /// The command of the fetch. Deriving a key from a password takes a noticeable time.
    ///
    /// # Errors
    ///
    /// [`RpcError`] if the password yields the key of zeros.
    pub fn command(mut self) -> Result<Command, RpcError> {
        if let Some(password) = &self.password {
            let key = SymKey::from_password(password);
            self.request.password =
                Some(key.map_err(|error| bad("password", error, "use another one"))?);
        }
        Ok(Command::FetchMail(self.request))
    }
}

/// Parses the parameters.
pub(super) fn fetch(params: Value) -> Result<RpcCall, RpcError> {
    let params: Params = object(params)?;
    let topics = params.topics.unwrap_or_default();
    let topics: Result<_, _> = topics.iter().map(|topic| parse_topic(topic)).collect();
    let request = FetchRequest {
        from: params.from.as_deref().map(source).transpose()?,
        since: UnixSecs(params.since),
        until: params.until.map(UnixSecs),
        topics: topics.map_err(|error| bad("topics", error, "give four bytes each"))?,
        narrow: params.narrow.unwrap_or(false),
        password: None,
    };
    Ok(RpcCall::FetchMail(Box::new(FetchCall {
        request,
        password: params.password,
    })))
}

fn source(text: &str) -> Result<MailSource, RpcError> {
    let mut key = [0; 64];
    if hex::decode_to_slice(text, &mut key).is_ok() {
        return Ok(MailSource::Peer(RelayKey(key)));
    }
    let peer = text.parse::<PeerAddr>().map_err(|error| {
        bad(
            "from",
            error,
            "give enode://KEY@ADDRESS:PORT, or the key of a peer",
        )
    })?;
    Ok(MailSource::At(peer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::envelope::Topic;

    fn wanted(params: Value) -> Result<FetchCall, RpcError> {
        match fetch(json!([params]))? {
            RpcCall::FetchMail(wanted) => Ok(*wanted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn since_is_the_only_required_parameter() {
        let FetchCall { request, password } = wanted(json!({"since": 5})).unwrap();
        assert_eq!(request.since, UnixSecs(5));
        assert!(request.from.is_none() && request.until.is_none() && password.is_none());
        assert!(request.topics.is_empty() && !request.narrow);
    }

    #[test]
    fn server_is_named_by_address_or_key() {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let by_key = wanted(json!({"since": 5, "from": key})).unwrap();
        let named = RelayKey(hex::decode(key).unwrap().try_into().unwrap());
        assert_eq!(by_key.request.from, Some(MailSource::Peer(named)));
        let enode = format!("enode://{key}@127.0.0.1:30303");
        let by_address = wanted(json!({"since": 5, "from": enode})).unwrap();
        assert!(matches!(
            by_address.request.from,
            Some(MailSource::At(peer)) if peer.key == named
        ));
        let error = wanted(json!({"since": 5, "from": "unknown"})).unwrap_err();
        assert!(error.cause.starts_with("`from`"), "{error}");
    }

    #[test]
    fn password_derives_standard_key() {
        let params = json!({"since": 5, "topics": ["0x01020304"], "password": "test"});
        let command = wanted(params).unwrap().command().unwrap();
        let Command::FetchMail(request) = command else {
            panic!("mail is fetched");
        };
        assert_eq!(request.topics, [Topic([1, 2, 3, 4])]);
        let key = request.password.unwrap();
        assert!(hex::encode(key.expose()).starts_with("a82a520aff70f7a9"));
    }

    #[test]
    fn invalid_topic_or_field_is_named() {
        let error = wanted(json!({"since": 5, "topics": ["0x01"]})).unwrap_err();
        assert!(error.cause.starts_with("`topics`"), "{error}");
        let error = wanted(json!({"since": 5, "narow": true})).unwrap_err();
        assert!(error.cause.contains("narow"), "{error}");
    }
}
