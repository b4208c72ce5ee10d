//! Drafts as people write them.

use super::*;

const NOW: UnixSecs = UnixSecs(1_764_500_000);

fn text(extra: &str) -> String {
    let id = |digit: &str| digit.repeat(64);
    format!(
        "threshold = 2\nsigners = [\"{}\", \"{}\", \"{}\"]\n{extra}",
        id("a"),
        id("b"),
        id("c")
    )
}

/// The base point of the curve, which is a valid key.
const ENODE: &str = "enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                     483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@93.184.216.34:20819";

fn relays() -> String {
    format!("[[relays]]\nenode = \"{ENODE}\"\nfamily = \"example\"\n")
}

fn parsed(text: &str) -> Result<ListDraft, String> {
    parse(Path::new("draft.toml"), text, NOW).map_err(|failure| format!("{failure:?}"))
}

#[test]
fn draft_begins_with_the_first_epoch_of_its_day_and_lasts_28_days() {
    let draft = parsed(&text(&format!("from = \"2025-12-01\"\n{}", relays()))).unwrap();
    assert_eq!(draft.from, Epoch(1_764_547_200 / Epoch::SECS));
    assert_eq!(draft.until.0 - draft.from.0, 56);
    assert_eq!(draft.network, NetworkId::new(Profile::Main, "whisht"));
    assert_eq!(draft.relays.len(), 1);
    assert_eq!(draft.relays[0].family, 1);
    assert!(draft.next.is_none());
}

#[test]
fn draft_without_a_day_leaves_every_node_an_epoch_to_fetch_it() {
    let draft = parsed(&text(&relays())).unwrap();
    assert_eq!(draft.from, Epoch::at(NOW).next().next());
}

#[test]
fn families_are_numbered_by_name_whatever_their_order() {
    let relay = |family: Option<&str>| RelayText {
        enode: ENODE.to_owned(),
        family: family.map(str::to_owned),
    };
    let numbers = |names: [Option<&str>; 3]| -> Vec<u16> {
        let texts = names.map(relay);
        let relays = relays_of(&texts);
        relays.iter().map(|relay| relay.family).collect()
    };
    assert_eq!(numbers([Some("b"), None, Some("a")]), [2, 0, 1]);
    assert_eq!(numbers([Some("a"), Some("b"), Some("a")]), [1, 2, 1]);
}

fn relays_of(texts: &[RelayText]) -> Vec<ListedRelay> {
    super::relays(texts, Profile::Main).unwrap()
}

/// Nodes would refuse the whole list, and its signers could sign no other for the epoch.
#[test]
fn address_that_the_network_does_not_dial_is_refused_before_a_signer_signs() {
    let local = relays().replace("93.184.216.34", "127.0.0.1");
    let refused = parsed(&text(&local)).unwrap_err();
    assert!(
        refused.contains("127.0.0.1:20819") && refused.contains("profile main do not dial"),
        "{refused}"
    );
    let of_local = |relays: &str| parsed(&text(&format!("profile = \"local\"\n{relays}")));
    assert!(of_local(&local).is_ok());
    let refused = of_local(&relays()).unwrap_err();
    assert!(refused.contains("name a loopback address"), "{refused}");
}

#[test]
fn bad_draft_is_refused_with_file_key_and_rule() {
    for (extra, parts) in [
        (
            format!("days = \"x\"\n{}", relays()),
            ["draft.toml:3", "days"],
        ),
        (
            format!("fromm = \"2025-12-01\"\n{}", relays()),
            ["draft.toml:3", "fromm"],
        ),
        (format!("from = \"soon\"\n{}", relays()), ["`from`", "soon"]),
        (
            "[[relays]]\nenode = \"enode://12@1.2.3.4:5\"\n".to_owned(),
            ["`enode`", "enode://12"],
        ),
        (
            format!("next-threshold = 1\n{}", relays()),
            ["next-threshold", "next-signers"],
        ),
        (
            format!("profile = \"other\"\n{}", relays()),
            ["`profile`", "local"],
        ),
    ] {
        let refused = parsed(&text(&extra)).unwrap_err();
        for part in parts {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}
