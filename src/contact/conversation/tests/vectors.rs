//! Chains and slots against the check values of the specification, computed by an independent program.

use crate::contact::chain::{ChainState, Direction};
use crate::contact::epoch::EpochSecret;
use crate::contact::kdf::{Label, expand};
use crate::contact::resync::ResyncSlots;
use circuits::time::UnixSecs;
use zeroize::Zeroizing;

const X_0: &str = "057459f0578e84de9300994d0ad85a3d82db1dfb359556d68308d77097a531ce";

fn epoch_secret() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hex::decode(X_0).unwrap().try_into().unwrap())
}

#[test]
fn steps_of_both_chains_agree_with_the_check_values() {
    for (direction, index, message, topics, key) in [
        (
            Direction::FromInitiator,
            0,
            "cb9759081e37e47c",
            ["0e2b7c0a", "a03937e9"],
            "2248d0fa59d8b34a5164183db8df7adba110f4532431f118e627d51083aa1456",
        ),
        (
            Direction::FromInitiator,
            1,
            "d6ad5be1ab7f7784",
            ["d3d4927d", "a4f6eb0d"],
            "927c8710bb21662100d397ed7b3226fa97f3400dcba44a28a4e5070dc0bf7009",
        ),
        (
            Direction::FromReader,
            0,
            "cd52226b1b34eb2e",
            ["c9a54c4e", "66109daa"],
            "9e266786bfdb8fc8a1566ff014f41081ebc574b13d56241a59dfccdd7ef534e0",
        ),
        (
            Direction::FromReader,
            1,
            "8526bd6c3db242a2",
            ["afd29df3", "3be165b7"],
            "9017f906c4568ecc84a45f130b5edc1676ff11b30fc309061c3978e0a96e1cfd",
        ),
    ] {
        let mut chain = ChainState::start(&epoch_secret(), direction);
        let step = (0..=index).map(|_| chain.step()).last().unwrap();
        assert_eq!(hex::encode(&step.expose()[..8]), message);
        assert_eq!([0, 1].map(|shard| hex::encode(step.topic(shard).0)), topics);
        assert_eq!(hex::encode(*step.key(0, &[0x44; 32])), key);
    }
}

#[test]
fn roots_and_slots_of_an_epoch_agree_with_the_check_values() {
    let secret = epoch_secret();
    let root = expand::<32>(&secret, Label::CONV_RESYNC_ROOT, &[]);
    assert_eq!(
        hex::encode(*root),
        "fb9c7fe2098e4ebbd477b142424ca96781b20b23484429d3e43e1a4acc59902a"
    );
    let carry = EpochSecret::new(secret.clone()).carry();
    assert_eq!(
        hex::encode(*carry),
        "9537d1bfd6c4df95949a646f6db4223bc0eea2f790511bf605a241ca0607f3c0"
    );
    let day = UnixSecs(20_833 * 86_400);
    // The end that receives from the reader is the initiator: it takes its own first slot of the day.
    let mut slots = ResyncSlots::start(&secret, Direction::FromReader, day);
    let key = slots.take(day).unwrap();
    assert_eq!(hex::encode(key.topic(0).0), "22e55fe3");
}
