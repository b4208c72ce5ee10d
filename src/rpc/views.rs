//! Results that are not views of the node: what a call on keys returns, and what a subscriber gets.
//!
//! The types are read by the same code that writes them, so that a caller of this program never looks
//! up a key by its text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::node::Event;

/// The result of `whisht_exportIdentity`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExportView {
    /// The identity's name.
    pub name: String,
    /// Address of the key (20 bytes, hexadecimal); `None` for a shared key.
    #[serde(deserialize_with = "Option::deserialize")]
    pub address: Option<String>,
    /// Text of the encrypted key file.
    pub file: String,
}

/// The result of `whisht_lock`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LockView {
    /// Names of the identities that were locked.
    pub identities: Vec<String>,
    /// Whether contacts and messages are locked.
    pub state: bool,
}

/// The result of `whisht_unlock`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UnlockView {
    /// Names of the identities that the password decrypted.
    pub opened: Vec<String>,
    /// Names of the identities that are still locked.
    pub locked: Vec<String>,
    /// Whether the password unlocked contacts and messages too.
    pub state: bool,
}

/// What a subscriber of events receives.
#[derive(Clone, Debug)]
pub enum EventNotice {
    /// An event of the node.
    Event(Event),
    /// The subscriber did not read fast enough, and this many events were dropped.
    Lost(u64),
}

#[derive(Deserialize)]
struct LostView {
    lost: u64,
}

impl EventNotice {
    /// Reads the content of a subscription message.
    ///
    /// # Errors
    ///
    /// What `serde_json` says if the content is neither an event nor a count of lost events.
    pub fn read(content: Value) -> serde_json::Result<Self> {
        if content.get("lost").is_some() {
            let LostView { lost } = serde_json::from_value(content)?;
            return Ok(Self::Lost(lost));
        }
        serde_json::from_value(content).map(Self::Event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rpc;

    #[test]
    fn notice_of_event_or_loss_is_read_as_it_is_written() {
        let content = |message: Value| message["params"]["result"].clone();
        let event = content(rpc::event("0x1", &Event::Peers(3)).unwrap());
        let read = EventNotice::read(event).unwrap();
        assert!(matches!(read, EventNotice::Event(Event::Peers(3))));
        let read = EventNotice::read(content(rpc::lost("0x1", 7))).unwrap();
        assert!(matches!(read, EventNotice::Lost(7)));
        assert!(EventNotice::read(json!({"weather": "fine"})).is_err());
    }

    #[test]
    fn result_of_a_key_call_without_one_of_its_keys_is_an_error() {
        let export = json!({"name": "desk", "address": null, "file": "{}"});
        assert!(serde_json::from_value::<ExportView>(export).is_ok());
        let less = json!({"name": "desk", "file": "{}"});
        assert!(serde_json::from_value::<ExportView>(less).is_err());
        let less = json!({"opened": []});
        assert!(serde_json::from_value::<UnlockView>(less).is_err());
    }
}
