//! Data directories that earlier releases wrote are opened by this one, and nothing in them is lost.
//!
//! `tests/vectors/data-dir-VERSION` is the directory of a node of that version: two identities, one with a
//! password, a received message, a message in the outbox, an own address, a contact, guards and onion keys.
//! A release adds its own directory and changes none. The clock of a test is that of the recording.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use circuits::time::{Instant, Now, UnixSecs};

use super::*;
use crate::config::{Config, Settings};
use crate::keystore::{Cost, Password};
use crate::link::LinkKey;
use crate::node::{
    ClientId, Command, CommandId, ContactCommand, ContactReply, InboxQuery, Input, Node, NodeKeys,
    Output, Refusal, Reply, Restored,
};
use crate::shell::identity_set::IdentitySet;
use crate::shell::state_store;
use crate::shell::store::{self, Storage};

/// A copy of a recorded directory, with the permissions that git does not keep.
fn copy(version: &str) -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = root.join(format!("tests/vectors/data-dir-{version}"));
    let scratch = tempfile::tempdir().unwrap();
    copy_private(&recorded, scratch.path());
    scratch
}

fn copy_private(from: &Path, to: &Path) {
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&copied).unwrap();
            copy_private(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), &copied).unwrap();
            fs::set_permissions(&copied, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// A node on a recorded directory, at the time of the recording.
struct RecordedNode {
    node: Node,
    now: Now,
    commands: u64,
    _scratch: tempfile::TempDir,
}

impl RecordedNode {
    fn start(version: &str, network: &str, recorded_at: u32, password: &str) -> Self {
        let scratch = copy(version);
        let dir = DataDir::open(scratch.path(), Profile::Local, network).unwrap();
        let dir = Arc::new(dir);
        let password = Password::new(password.to_owned().into()).unwrap();
        state_store::unlock(&dir, &password, Cost::DangerLight).unwrap();
        let opened = dir.state().take_opened().unwrap().unwrap();
        assert!(
            !opened.is_stale,
            "a directory that was moved is no older copy"
        );
        let mut identities = IdentitySet::read(&Storage::Disk(Arc::clone(&dir))).unwrap();
        identities.unlock(&password).unwrap();
        let settings = Settings {
            profile: Some(Profile::Local),
            network: Some(network.parse().unwrap()),
            relay: Some(true),
            ..Settings::default()
        };
        let mut link = *dir.node_key().unwrap().expose();
        let keys = NodeKeys {
            link: LinkKey::from_bytes(&mut link).unwrap(),
            guard_seed: dir.guard_seed().unwrap(),
            mail_password: None,
        };
        let restored = Restored {
            state: Some(opened.rows),
            ..store::load(&dir).unwrap()
        };
        assert!(restored.onion_keys.len() == 2 && !restored.guards.is_empty());
        let now = Now {
            mono: Instant::ZERO,
            unix: UnixSecs(recorded_at),
        };
        let config = Config::build(settings).unwrap().node;
        let node = Node::new(config, keys, restored, &[7; 32], now).unwrap();
        let mut recorded = Self {
            node,
            now,
            commands: 0,
            _scratch: scratch,
        };
        for command in identities.into_commands() {
            recorded.ask(command).unwrap();
        }
        recorded
    }

    fn ask(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        let id = CommandId {
            number: self.commands,
            client: ClientId::OWN,
        };
        let outputs = self.node.handle(self.now, Input::Command(id, command));
        let mut replies = outputs.filter_map(|output| match output {
            Output::Reply(to, reply) if to == id => Some(reply),
            _ => None,
        });
        replies.next().expect("a reply in the same turn")
    }

    fn contacts(&mut self, command: ContactCommand) -> ContactReply {
        match self.ask(Command::Contact(command)) {
            Ok(Reply::Contact(reply)) => *reply,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn data_directory_of_0_1_0_opens_with_identities_messages_outbox_address_and_contact() {
    // 2026-11-30 02:44:34 UTC, when the node was stopped.
    let mut node = RecordedNode::start(
        "0.1.0",
        "recorded",
        1_796_006_674,
        "a hedge full of sparrows",
    );

    let Ok(Reply::Node(view)) = node.ask(Command::Node) else {
        panic!("no node")
    };
    assert!(view.key.starts_with("ada85aa4c856eb434b5f2321123c4567"));

    let Ok(Reply::Identities(identities)) = node.ask(Command::Identities) else {
        panic!("no identities")
    };
    let names: Vec<(&str, bool)> = identities
        .iter()
        .map(|identity| (identity.name.as_str(), identity.locked))
        .collect();
    assert_eq!(names, [("desk", false), ("open-desk", false)]);

    let Ok(Reply::Inbox(messages)) = node.ask(Command::Inbox(InboxQuery::All)) else {
        panic!("no inbox")
    };
    // The second message is the one in the outbox, which the node has written to itself.
    assert_eq!(messages.len(), 2);
    assert!(messages[0].id.starts_with("39cfb5b4d496") && messages[0].to == "desk");

    let Ok(Reply::Outbox(outgoing)) = node.ask(Command::Outbox) else {
        panic!("no outbox")
    };
    assert_eq!(outgoing.len(), 1, "{outgoing:?}");

    let ContactReply::Addresses(addresses) = node.contacts(ContactCommand::Addresses) else {
        panic!("no addresses")
    };
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[0].name, "newsroom");
    assert!(addresses[0].id.starts_with("11d63fb0651c894d"));

    let ContactReply::Contacts(contacts) = node.contacts(ContactCommand::Contacts) else {
        panic!("no contacts")
    };
    let names: Vec<&str> = contacts
        .iter()
        .map(|contact| contact.name.as_str())
        .collect();
    assert_eq!(names, ["colleague"]);
}
