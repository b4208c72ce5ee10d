//! Blooms of topics, their union, and the match rule.

use serde_json::Value;
use whisht::bloom::Bloom;
use whisht::envelope::Topic;

use super::{array, cases, name};

fn of_kind(kind: &str) -> Vec<Value> {
    let mut cases = cases("bloom", "cases");
    cases.retain(|case| case["kind"] == kind);
    assert!(!cases.is_empty());
    cases
}

#[test]
fn topic_blooms_match_recorded_bits() {
    for case in of_kind("topic") {
        let bloom = Bloom::assigned(Topic(array(&case["topic"])));
        assert_eq!(bloom.0, array(&case["bloom"]), "{}", name(&case));
    }
}

#[test]
fn bloom_unions_match_recorded() {
    for case in of_kind("aggregate") {
        let mut union = Bloom::EMPTY;
        for topic in case["topics"].as_array().unwrap() {
            union.add(&Bloom::assigned(Topic(array(topic))));
        }
        assert_eq!(union.0, array(&case["bloom"]));
    }
}

#[test]
fn bloom_matches_agree_with_recorded() {
    for case in of_kind("match") {
        // An absent filter matches everything.
        let filter = match &case["filter"] {
            Value::Null => Bloom::FULL,
            filter => Bloom(array(filter)),
        };
        let sample = Bloom(array(&case["sample"]));
        assert_eq!(
            filter.contains(&sample),
            case["match"] == true,
            "{}",
            name(&case)
        );
        assert_eq!(
            filter.is_full(),
            case["full_node"] == true,
            "{}",
            name(&case)
        );
    }
}
