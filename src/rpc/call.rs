//! Methods and their parameters.

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::mail::FetchCall;
use super::{KeyCall, RpcError, RpcErrorKind, admin, contacts, files, inbox, mail, shh, talk};
use crate::endpoint::PeerAddr;
use crate::envelope::Topic;
use crate::identity::parse_topic;
use crate::message::ClientPublic;
use crate::node::{
    Command, Criteria, LevelChoice, MessageId, ReaderKind, Recipient, Reply, SendRequest,
    ShhCommand,
};

/// A parsed call.
#[derive(Debug)]
pub enum RpcCall {
    /// A command for the node, and the form of its reply.
    Node(Command, Render),
    /// No command: the result is known.
    Known(Value),
    /// Fetch mail: [`mail::FetchCall::command`](super::mail::FetchCall::command), which may take
    /// seconds.
    FetchMail(Box<FetchCall>),
    /// A command about the keys of identities.
    Keys(KeyCall),
    /// Derive a key from a password, which takes a noticeable time; then [`shh::keep_key`].
    KeyFromPassword(Zeroizing<String>),
    /// The node's description: [`Command::Node`], then [`admin::node_info`].
    NodeInfo,
    /// The modules that this connection may call: [`admin::modules`].
    Modules,
    /// End the node in an emergency.
    Panic,
    /// Open the console, and return a URL that opens it once.
    Console,
    /// Subscribe this connection to events.
    Subscribe,
    /// End such a subscription.
    Unsubscribe(String),
    /// Subscribe this connection to messages: [`ShhCommand::Subscribe`], whose filter has a
    /// [subscription id](super::shh::subscription_id) here.
    ShhSubscribe(Criteria),
    /// End the subscription with this id.
    ShhUnsubscribe(String),
}

/// Converts the reply to a command into JSON.
pub type Render = fn(&Reply) -> Result<Value, RpcError>;

/// The permissions of the connection on which a call arrives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Permissions {
    /// May request private and shared keys unencrypted.
    pub export_keys: bool,
    /// May request the sealed files of identities.
    pub export_files: bool,
    /// May read and write conversations, and manage contacts.
    pub contacts: bool,
    /// Came over the local socket: may end the node in an emergency, and open the console.
    pub local_socket: bool,
}

impl Permissions {
    /// Checks the permission to export keys unencrypted.
    pub(super) fn keys(self) -> Result<(), RpcError> {
        if self.export_keys {
            Ok(())
        } else {
            keys_not_exported()
        }
    }

    /// Checks the permission to export key files.
    pub(super) fn files(self) -> Result<(), RpcError> {
        if self.export_files {
            Ok(())
        } else {
            keys_not_exported()
        }
    }

    /// Checks the permission for a method that only the local socket has.
    fn local_socket(self, cause: &str, remedy: &str) -> Result<(), RpcError> {
        if self.local_socket {
            return Ok(());
        }
        Err(RpcError::server(RpcErrorKind::Policy, cause, remedy))
    }

    /// Checks the permission for the methods about contacts.
    fn contacts(self) -> Result<(), RpcError> {
        if self.contacts {
            return Ok(());
        }
        Err(RpcError::server(
            RpcErrorKind::Policy,
            "contacts and conversations are closed to programs without a token",
            "use the local socket, or start the node without --rpc-danger-no-token",
        ))
    }
}

fn keys_not_exported() -> Result<(), RpcError> {
    Err(RpcError::server(
        RpcErrorKind::Policy,
        "this connection may not export keys",
        "start the node with --rpc-allow-key-export to permit it",
    ))
}

impl RpcCall {
    /// Parses the parameters of a method. `rng` draws the topic of a message without one.
    ///
    /// # Errors
    ///
    /// [`RpcError`] names the method, or the parameter and its defect.
    pub fn read(
        method: &str,
        params: Option<Value>,
        permissions: Permissions,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RpcError> {
        if method.starts_with("whisht_") {
            return Self::read_own(method, params.unwrap_or_default(), permissions, rng);
        }
        let call = match method.split_once('_') {
            Some(("shh", _)) => shh::read(method, params, permissions),
            _ => admin::read(method, params),
        };
        call.unwrap_or_else(|| Err(RpcError::unknown_method(method)))
    }

    fn read_own(
        method: &str,
        params: Value,
        permissions: Permissions,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RpcError> {
        if let Some(read) = reader_of_contacts(method) {
            permissions.contacts()?;
            return read(method, params);
        }
        let command = match method {
            "whisht_addPeer" => add_peer(params)?,
            "whisht_changePassword"
            | "whisht_exportIdentity"
            | "whisht_importIdentity"
            | "whisht_lock"
            | "whisht_newIdentity"
            | "whisht_removeIdentity"
            | "whisht_renameIdentity"
            | "whisht_unlock" => {
                return KeyCall::read(method, params, permissions).map(Self::Keys);
            }
            "whisht_cancel" => Command::Cancel(MessageId(number(params, "id")?)),
            "whisht_renew" => Command::Renew(MessageId(number(params, "id")?)),
            "whisht_console" => return console(params, permissions),
            "whisht_dialBack" => dial_back(params, permissions)?,
            "whisht_drain" => Command::Drain(flag(params, "drain")?),
            "whisht_estimate" => match send_request(params, rng)? {
                (None, request) => Command::Estimate(request),
                (Some(custom), request) => Command::EstimateCustom(custom, request),
            },
            "whisht_fetchMail" => return mail::fetch(params),
            "whisht_identities" => nothing(params, Command::Identities)?,
            "whisht_inbox" => inbox::read(params)?,
            "whisht_levels" => nothing(params, Command::Levels)?,
            "whisht_panic" => {
                let cause = "only the local socket may end the node in an emergency";
                let remedy = "run `whisht panic` on the machine of the node";
                permissions.local_socket(cause, remedy)?;
                return nothing(params, Self::Panic);
            }
            "whisht_outbox" => nothing(params, Command::Outbox)?,
            "whisht_peers" => nothing(params, Command::Peers)?,
            "whisht_publishRelayList" => Command::PublishRelayList(relay_list(params)?),
            "whisht_relays" => nothing(params, Command::Relays)?,
            "whisht_send" => match send_request(params, rng)? {
                (None, request) => Command::Send(request),
                (Some(custom), request) => Command::SendCustom(custom, request),
            },
            "whisht_status" => nothing(params, Command::Status)?,
            "whisht_subscribe" => return subscribe(params),
            "whisht_unsubscribe" => return text(params, "subscription").map(Self::Unsubscribe),
            _ => return Err(RpcError::unknown_method(method)),
        };
        Ok(Self::plain(command))
    }

    /// A command whose reply has no form of its own.
    pub(super) fn plain(command: Command) -> Self {
        Self::Node(command, super::result)
    }

    /// A call of a `shh_*` method.
    pub(super) fn shh(command: ShhCommand) -> Self {
        Self::plain(Command::Shh(command))
    }
}

/// Reads the parameters of a method.
type MethodReader = fn(&str, Value) -> Result<RpcCall, RpcError>;

/// The reader of a method about contacts, their files or talk lines.
fn reader_of_contacts(method: &str) -> Option<MethodReader> {
    if contacts::has(method) {
        Some(contacts::read)
    } else if files::has(method) {
        Some(files::read)
    } else {
        talk::has(method).then_some(talk::read)
    }
}

fn console(params: Value, permissions: Permissions) -> Result<RpcCall, RpcError> {
    let cause = "only the local socket may open the console";
    let remedy = "run `whisht console` on the machine of the node";
    permissions.local_socket(cause, remedy)?;
    nothing(params, RpcCall::Console)
}

fn dial_back(params: Value, permissions: Permissions) -> Result<Command, RpcError> {
    let cause = "only the local socket may ask peers to dial this node";
    let remedy = "run `whisht doctor` on the machine of the node";
    permissions.local_socket(cause, remedy)?;
    nothing(params, Command::DialBack)
}

fn add_peer(params: Value) -> Result<Command, RpcError> {
    let enode = text(params, "enode")?;
    let peer = enode.parse::<PeerAddr>().map_err(|error| {
        RpcError::invalid_params(format_args!("`enode` is not a peer: {error}"), ENODE)
    })?;
    Ok(Command::AddPeer(peer))
}

fn subscribe(params: Value) -> Result<RpcCall, RpcError> {
    match text(params, "to")?.as_str() {
        "events" => Ok(RpcCall::Subscribe),
        other => Err(RpcError::invalid_params(
            format_args!("there is no subscription named {other:?}"),
            "subscribe to \"events\"",
        )),
    }
}

/// The parameters of `whisht_send` and `whisht_estimate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendParams {
    /// A public key (65 bytes), or the name of a shared identity.
    to: String,
    /// Only with a public key; drawn at random if absent.
    topic: Option<String>,
    /// The payload in hexadecimal digits.
    payload: Zeroizing<String>,
    /// A level, or the name of a custom one; that of the recipient or of the node if absent.
    level: Option<String>,
    /// Seconds.
    life: Option<u64>,
    /// The identity that signs.
    sign: Option<String>,
    /// Whether the recipient reads without whisht; as its entry in the configuration tells if absent.
    any_client: Option<bool>,
}

/// The name of a custom level, if the parameters name one, and the message.
fn send_request(
    params: Value,
    rng: &mut impl CryptoRng,
) -> Result<(Option<String>, SendRequest), RpcError> {
    let params: SendParams = object(params)?;
    let digits = params.payload.strip_prefix("0x").unwrap_or(&params.payload);
    let payload = hex::decode(digits).map_err(|error| bad("payload", error, "write it in hex"))?;
    let level = params.level.as_deref().map(str::parse).transpose();
    let level = level.map_err(|error| bad("level", error, "see whisht_levels"))?;
    let (custom, level) = match level {
        Some(LevelChoice::Custom(name)) => (Some(name), None),
        Some(LevelChoice::Standard(level)) => (None, Some(level)),
        None => (None, None),
    };
    let topic = params.topic.as_deref().map(parse_topic).transpose();
    let topic = topic.map_err(|error| bad("topic", error, "see whisht_identities"))?;
    let request = SendRequest {
        to: recipient(&params.to, topic, rng)?,
        sign_as: params.sign,
        payload: payload.into(),
        level,
        life: Duration::from_secs(params.life.unwrap_or(DEFAULT_LIFE)),
        reader: if params.any_client.unwrap_or(false) {
            ReaderKind::AnyClient
        } else {
            ReaderKind::Whisht
        },
    };
    Ok((custom, request))
}

fn recipient(
    to: &str,
    topic: Option<Topic>,
    rng: &mut impl CryptoRng,
) -> Result<Recipient, RpcError> {
    let prefixed = to.strip_prefix("0x");
    // No name of an identity begins with a digit.
    let is_key = to.len() >= SHORTEST_KEY || to.starts_with(|c: char| c.is_ascii_digit());
    let digits = prefixed.or_else(|| is_key.then_some(to));
    let Some(digits) = digits else {
        return match topic {
            None => Ok(Recipient::Shared(to.to_owned())),
            Some(_) => Err(bad("topic", "a shared key has its own", "leave it out")),
        };
    };
    let key = public_key(digits).map_err(|cause| {
        bad(
            "to",
            cause,
            "copy the whole key that `whisht id list` shows to the recipient",
        )
    })?;
    let random = || {
        let mut topic = Topic::default();
        rng.fill_bytes(&mut topic.0);
        topic
    };
    Ok(Recipient::Public(key, topic.unwrap_or_else(random)))
}

/// Reads a public key.
///
/// # Errors
///
/// What is wrong with the digits.
fn public_key(digits: &str) -> Result<ClientPublic, String> {
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!(
            "a public key has hexadecimal digits only; this has {wrong:?}"
        ));
    }
    let bytes = hex::decode(digits).map_err(|_| {
        format!(
            "a public key has 130 hexadecimal digits; this has {}",
            digits.len()
        )
    })?;
    match (bytes.len(), bytes.first()) {
        (ADDRESS_BYTES, _) => Err(
            "this is an Ethereum address, which does not contain the public key that a message is \
             encrypted to"
                .to_owned(),
        ),
        (KEY_BYTES, Some(4)) => ClientPublic::from_bytes(&bytes)
            .map_err(|_| "this is not a public key of secp256k1: a digit is wrong".to_owned()),
        (KEY_BYTES, _) => Err("a public key begins with 04; this does not".to_owned()),
        (len, _) => Err(format!(
            "a public key has {KEY_BYTES} bytes that begin with 04; this has {len}"
        )),
    }
}

/// Length of a public key that is not compressed.
const KEY_BYTES: usize = 65;
/// Length of an Ethereum address, which is a part of the hash of a public key.
const ADDRESS_BYTES: usize = 20;

/// The only parameter, by position or by this name.
fn only(params: Value, name: &str) -> Result<Value, RpcError> {
    let found = match params {
        Value::Array(mut list) if list.len() == 1 => list.pop(),
        Value::Object(mut fields) if fields.len() == 1 => fields.remove(name),
        _ => None,
    };
    found.ok_or_else(|| {
        RpcError::invalid_params(format_args!("`{name}` is missing, or not alone"), ONE)
    })
}

pub(super) fn text(params: Value, name: &str) -> Result<String, RpcError> {
    match only(params, name)? {
        Value::String(text) => Ok(text),
        _ => Err(bad(name, "it is not a text", "put it in quotes")),
    }
}

pub(super) fn number(params: Value, name: &str) -> Result<u64, RpcError> {
    only(params, name)?
        .as_u64()
        .ok_or_else(|| bad(name, "it is not a whole number", "give a whole number"))
}

/// The bytes of a relay list.
fn relay_list(params: Value) -> Result<Vec<u8>, RpcError> {
    let digits = text(params, "list")?;
    hex::decode(digits.strip_prefix("0x").unwrap_or(&digits)).map_err(|_| {
        let remedy = "give the bytes of the list as hexadecimal digits";
        bad("list", "it is not hexadecimal", remedy)
    })
}

fn flag(params: Value, name: &str) -> Result<bool, RpcError> {
    only(params, name)?
        .as_bool()
        .ok_or_else(|| bad(name, "it is neither true nor false", "give one of them"))
}

/// Named parameters, or one object among positional ones.
pub(super) fn object<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    let fields = match params {
        Value::Array(mut list) if list.len() == 1 => list.pop().unwrap_or_default(),
        other => other,
    };
    let remedy = "give one object with named fields";
    if fields.is_object() {
        return serde_json::from_value(fields)
            .map_err(|error| RpcError::invalid_params(error, remedy));
    }
    // The library would name a type of this program.
    serde_json::from_value(fields)
        .map_err(|_| RpcError::invalid_params("the parameters are not an object", remedy))
}

fn is_empty(params: &Value) -> bool {
    match params {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

pub(super) fn nothing<T>(params: Value, command: T) -> Result<T, RpcError> {
    if is_empty(&params) {
        Ok(command)
    } else {
        Err(RpcError::invalid_params(
            "the method takes no parameters",
            "leave them out",
        ))
    }
}

pub(super) fn bad(name: &str, cause: impl fmt::Display, remedy: impl fmt::Display) -> RpcError {
    RpcError::invalid_params(format_args!("`{name}`: {cause}"), remedy)
}

const ENODE: &str = "give enode://KEY@ADDRESS:PORT, as `whisht run` prints it";
const ONE: &str = "give exactly one parameter";
/// One hour: long enough for a reader that is away from the network for a moment, and cheap.
pub(crate) const DEFAULT_LIFE: u64 = 3600;
/// A recipient of at least this length is a key; names are shorter.
const SHORTEST_KEY: usize = 64;
