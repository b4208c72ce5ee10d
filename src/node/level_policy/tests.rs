//! Which level applies, and which limits refuse.

use core::time::Duration;

use circuits::ids::Profile;
use circuits::secret::Secret;

use super::*;
use crate::envelope::Topic;
use crate::message::ClientSecret;
use crate::node::command::RefusalKind;

fn public(byte: u8) -> ClientPublic {
    let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(byte)));
    secret.unwrap().public()
}

fn request(to: Recipient, level: Option<Level>) -> SendRequest {
    SendRequest {
        to,
        sign_as: None,
        payload: b"hello".to_vec().into(),
        level,
        life: Duration::from_secs(60),
        reader: ReaderKind::default(),
    }
}

fn to_key(byte: u8) -> Recipient {
    Recipient::Public(public(byte), Topic([1; 4]))
}

fn careful(limits: LevelLimits) -> CustomLevel {
    CustomLevel::new("careful", Level::Dark, limits).unwrap()
}

fn policy() -> LevelPolicy {
    let key = format!("0x{}", hex::encode(public(7).to_bytes()));
    let entry = |to: &str, level: &str, reader| {
        RecipientPolicy::new(to, level.parse().unwrap(), reader).unwrap()
    };
    let recipients = vec![
        entry(&key, "careful", ReaderKind::Whisht),
        entry("band", "swift", ReaderKind::AnyClient),
    ];
    LevelPolicy::new(vec![careful(LevelLimits::default())], recipients).unwrap()
}

fn estimate() -> EstimateView {
    EstimateView {
        level: Level::Dark,
        envelope_bytes: 563,
        envelopes: 3,
        expected_hashes: 1e6,
        sealing_ms: None,
        cells: 3,
        own_bytes: 0,
        network_bytes: 17_568,
        flood_bytes: 1_689,
        wait_ms: 2_200,
        median_ms: 30_000,
        p95_ms: 60_001,
        first_attempt: Some(0.96),
        profile: Profile::Main,
    }
}

const NETWORK: LimitedNetwork = LimitedNetwork {
    relays: 60,
    pool: Some(75),
};

#[test]
fn message_then_recipient_then_node_decides_the_level() {
    let policy = policy();
    let level = |name: Option<&str>, request: &SendRequest| {
        let chosen = policy.choose(Level::Normal, name, request).unwrap();
        (
            chosen.level,
            chosen.custom.map(CustomLevel::name),
            chosen.reader,
        )
    };
    let shared = |name: &str| Recipient::Shared(name.to_owned());
    assert_eq!(
        level(None, &request(to_key(9), None)),
        (Level::Normal, None, None)
    );
    let band = request(shared("band"), None);
    assert_eq!(
        level(None, &band),
        (Level::Swift, None, Some(ReaderKind::AnyClient))
    );
    let whisht = Some(ReaderKind::Whisht);
    assert_eq!(
        level(None, &request(to_key(7), None)),
        (Level::Dark, Some("careful"), whisht)
    );
    let named = request(to_key(7), Some(Level::Hush));
    assert_eq!(level(None, &named), (Level::Hush, None, whisht));
    let custom = request(to_key(9), None);
    assert_eq!(
        level(Some("careful"), &custom),
        (Level::Dark, Some("careful"), None)
    );
}

#[test]
fn contact_has_the_level_of_its_entry_unless_the_message_names_one() {
    let policy = policy();
    let level = |name: Option<&str>, level: Option<Level>, contact: Option<&str>| {
        let chosen = policy.choose_for_contact(name, level, contact).unwrap();
        chosen.map(|chosen| (chosen.level, chosen.custom.map(CustomLevel::name)))
    };
    assert_eq!(level(None, None, Some("heron")), None);
    assert_eq!(level(None, None, None), None);
    assert_eq!(level(None, None, Some("band")), Some((Level::Swift, None)));
    let named = level(None, Some(Level::Hush), Some("band"));
    assert_eq!(named, Some((Level::Hush, None)));
    let custom = level(Some("careful"), None, Some("heron"));
    assert_eq!(custom, Some((Level::Dark, Some("careful"))));
    assert!(
        policy
            .choose_for_contact(Some("carefull"), None, None)
            .is_err()
    );
}

#[test]
fn unknown_custom_level_is_refused_with_the_nearest_name() {
    let policy = policy();
    let refusal = policy.choose(Level::Normal, Some("carefull"), &request(to_key(9), None));
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Usage);
    assert!(refusal.remedy.contains("`careful`"), "{refusal}");
}

#[test]
fn limit_refuses_by_policy_and_names_value_and_limit() {
    let limits = [
        (
            "max-seconds",
            LevelLimits {
                max_seconds: Some(60),
                ..LevelLimits::default()
            },
            "61",
        ),
        (
            "max-bytes",
            LevelLimits {
                max_bytes: Some(17_567),
                ..LevelLimits::default()
            },
            "17568",
        ),
        (
            "min-pool",
            LevelLimits {
                min_pool: Some(76),
                ..LevelLimits::default()
            },
            "75",
        ),
        (
            "min-relays",
            LevelLimits {
                min_relays: Some(61),
                ..LevelLimits::default()
            },
            "60",
        ),
    ];
    for (key, limits, value) in limits {
        let refusal = careful(limits).check(&estimate(), &NETWORK).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Policy);
        assert!(
            refusal.cause.contains(key) && refusal.cause.contains(value),
            "{refusal}"
        );
    }
    let met = LevelLimits {
        max_seconds: Some(61),
        max_bytes: Some(17_568),
        min_pool: Some(75),
        min_relays: Some(60),
    };
    assert!(careful(met).check(&estimate(), &NETWORK).is_ok());
}

#[test]
fn unmeasured_pool_does_not_satisfy_a_limit() {
    let limits = LevelLimits {
        min_pool: Some(1),
        ..LevelLimits::default()
    };
    let unknown = LimitedNetwork {
        pool: None,
        ..NETWORK
    };
    assert!(careful(limits).check(&estimate(), &unknown).is_err());
}

#[test]
fn policy_with_contradicting_entries_is_refused() {
    let twice = vec![careful(LevelLimits::default()); 2];
    let error = LevelPolicy::new(twice, Vec::new()).unwrap_err();
    assert_eq!(error, LevelPolicyError::Twice("careful".into()));
    let entry = |level: &str| {
        let level = level.parse().unwrap();
        RecipientPolicy::new("band", level, ReaderKind::Whisht).unwrap()
    };
    let error = LevelPolicy::new(Vec::new(), vec![entry("swift"), entry("normal")]);
    assert_eq!(error.unwrap_err(), LevelPolicyError::RecipientTwice);
    let error = LevelPolicy::new(Vec::new(), vec![entry("careful")]);
    assert_eq!(
        error.unwrap_err(),
        LevelPolicyError::Unknown("careful".into())
    );
}

#[test]
fn debug_output_does_not_name_a_recipient() {
    let text = format!("{:?}", policy());
    assert!(!text.contains("band") && !text.contains(&hex::encode(public(7).to_bytes())));
}
