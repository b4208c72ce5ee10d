use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;

use super::*;
use crate::contact::id::ContactId;
use crate::rpc::{Permissions, RpcErrorKind};

fn call_as(permissions: Permissions, method: &str, params: Value) -> Result<RpcCall, RpcError> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    RpcCall::read(method, Some(params), permissions, &mut rng)
}

fn call(method: &str, params: Value) -> Result<ContactCommand, RpcError> {
    let permissions = Permissions {
        contacts: true,
        ..Permissions::default()
    };
    match call_as(permissions, method, params)? {
        RpcCall::Node(Command::Contact(command), _) => Ok(command),
        other => panic!("{other:?}"),
    }
}

fn refusal(method: &str, params: Value) -> String {
    call(method, params).unwrap_err().to_string()
}

#[test]
fn program_without_a_token_reads_no_conversation_and_writes_none() {
    for method in CONTACT_METHODS {
        let refused = call_as(Permissions::default(), method, json!([])).unwrap_err();
        assert_eq!(refused.kind, RpcErrorKind::Policy, "{method}");
        assert!(refused.to_string().contains("token"), "{method}: {refused}");
    }
}

#[test]
fn mistyped_address_is_refused_with_its_position_and_the_good_one_is_taken() {
    let id = ContactId([7; 32]);
    let good = ContactAddress::new(id).to_string();
    let added = call(
        "whisht_addContact",
        json!([{"address": good.to_uppercase(), "name": "desk"}]),
    );
    assert!(
        matches!(added, Ok(ContactCommand::Add { id: of, name }) if of == id && name == "desk")
    );
    let mut wrong: Vec<char> = good.chars().collect();
    wrong[9] = if wrong[9] == 'q' { 'p' } else { 'q' };
    let wrong: String = wrong.into_iter().collect();
    let refused = refusal(
        "whisht_addContact",
        json!([{"address": wrong, "name": "desk"}]),
    );
    assert!(
        refused.contains("`address`") && refused.contains("10"),
        "{refused}"
    );
}

#[test]
fn message_has_the_level_and_lifetime_that_were_asked_for() {
    let params = json!([{"to": "desk", "text": "at nine", "level": "dark", "life": 3600}]);
    let Ok(ContactCommand::Send(send)) = call("whisht_reply", params) else {
        panic!("the call is a message");
    };
    assert_eq!((send.to.as_str(), send.text.as_str()), ("desk", "at nine"));
    assert_eq!(send.level, Some(Level::Dark));
    assert_eq!(send.life, Some(Duration::from_secs(3_600)));
    assert!(send.attachment.is_none());
}

#[test]
fn invalid_parameter_of_a_message_is_named() {
    for (method, params, part) in [
        ("whisht_reply", json!([{"text": "x"}]), "to"),
        ("whisht_reply", json!([{"to": "desk", "txt": "x"}]), "txt"),
        (
            "whisht_reply",
            json!([{"to": "desk", "text": "x", "level": "Quick!"}]),
            "`level`",
        ),
        (
            "whisht_reply",
            json!([{"to": "desk", "attachment": {"bytes": "0"}}]),
            "`attachment`",
        ),
        (
            "whisht_introduce",
            json!([{"to": "desk", "about": "heron", "how": "by chance"}]),
            "by chance",
        ),
        ("whisht_conversation", json!([{"after": 1}]), "of"),
        ("whisht_publishCards", json!(["0g"]), "`file`"),
        ("whisht_contacts", json!([1]), "no parameters"),
    ] {
        let refused = refusal(method, params);
        assert!(refused.contains(part), "{method}: {refused}");
    }
}

#[test]
fn message_to_a_contact_may_be_at_a_custom_level() {
    for (method, about) in [("whisht_reply", None), ("whisht_introduce", Some("robin"))] {
        let mut params = json!([{"to": "desk", "text": "hello", "level": "careful"}]);
        if let Some(about) = about {
            params[0]["about"] = json!(about);
        }
        let permissions = Permissions {
            contacts: true,
            ..Permissions::default()
        };
        let called = call_as(permissions, method, params).unwrap();
        let RpcCall::Node(Command::ContactCustom(name, _), _) = called else {
            panic!("another command for {method}");
        };
        assert_eq!(name, "careful");
    }
    // A name that no level has is refused with its rule.
    let params = json!([{"to": "desk", "text": "hello", "level": "Careful!"}]);
    assert!(refusal("whisht_reply", params).contains("`level`"));
}

#[test]
fn history_is_selected_by_time_and_number() {
    let params = json!([{"of": "desk", "since": 1_000, "before": 2_000, "limit": 20}]);
    let command = call("whisht_conversation", params).unwrap();
    let ContactCommand::History { of, query } = command else {
        panic!("another command");
    };
    assert_eq!(of, "desk");
    let expected = HistoryQuery {
        since: Some(UnixSecs(1_000)),
        before: Some(UnixSecs(2_000)),
        limit: Some(20),
        ..HistoryQuery::default()
    };
    assert_eq!(query, expected);
}

#[test]
fn text_of_a_message_is_redacted_in_debug() {
    let params = json!([{"to": "desk", "text": "the hedge"}]);
    let shown = format!("{:?}", call("whisht_reply", params).unwrap());
    assert!(!shown.contains("hedge"), "{shown}");
}

#[test]
fn reply_is_the_view_itself() {
    let sent = SentMessage {
        conversation: "ab".repeat(32),
        number: 3,
    };
    let expected = json!({"conversation": "ab".repeat(32), "number": 3});
    assert_eq!(result(&ContactReply::Sent(sent)), expected);
    assert_eq!(result(&ContactReply::Done), json!(true));
    assert_eq!(result(&ContactReply::CardFile(vec![1, 255])), json!("01ff"));
    assert_eq!(result(&ContactReply::Contacts(Vec::new())), json!([]));
}
