//! The adversary against cases whose answer is known.

use super::super::model::{ChurnModel, RendezvousTrust, Routes};
use super::*;

/// One layer of one relay that serves all senders.
fn single_mix(delay: Duration, waiting: f64) -> MixModel {
    let senders = 400;
    MixModel {
        senders,
        relays: 1,
        hostile: 0.0,
        routes: Routes::Layers(1),
        delay,
        // rate x delay x senders cells wait on average.
        payload_rate: waiting / delay.as_secs_f64() / f64::from(senders),
        loop_rate: 0.0,
        ..MixModel::reference()
    }
}

fn study(model: MixModel, targets: u32) -> Study {
    Study {
        model,
        knowledge: Knowledge::Positions,
        targets,
        linked: 1,
        seed: 1,
    }
}

fn report(study: &Study, worlds: u32) -> ScoreReport {
    let scores: Vec<_> = (0..worlds).map(|number| study.world(number)).collect();
    AnonymityReport::of(&scores).unwrap().most.score
}

#[test]
fn relays_that_all_disclose_name_the_sender() {
    let mut model = single_mix(Duration::from_secs(1), 10.0);
    model.hostile = 1.0;
    let report = report(&study(model, 200), 2);
    assert!(report.best_guess.mean > 0.999 && report.right.mean > 0.999);
    assert!(report.entropy_bits.mean < 1e-6);
}

#[test]
fn cells_without_delay_name_the_sender() {
    let report = report(&study(single_mix(Duration::from_micros(1), 1e-5), 200), 2);
    assert!(report.right.mean > 0.95, "{report:?}");
}

#[test]
fn many_waiting_cells_of_few_senders_approach_a_blind_guess() {
    let mut model = single_mix(Duration::from_secs(60), 10_000.0);
    model.senders = 50;
    model.payload_rate = 10_000.0 / 60.0 / 50.0;
    let report = report(&study(model, 500), 2);
    // Counts fluctuate, so the best guess stays above 1/50.
    assert!(
        (0.020..0.030).contains(&report.best_guess.mean),
        "{report:?}"
    );
    assert!(report.entropy_bits.mean > 5.6, "{report:?}");
}

#[test]
fn stated_probabilities_are_calibrated() {
    let model = MixModel {
        senders: 100,
        relays: 20,
        hostile: 0.3,
        delay: Duration::from_secs(1),
        ..MixModel::reference()
    };
    for knowledge in [Knowledge::Positions, Knowledge::Loops] {
        let mut study = study(model, 1_500);
        study.knowledge = knowledge;
        let report = report(&study, 12);
        let difference = (report.best_guess.mean - report.right.mean).abs();
        let noise = report.best_guess.plus_minus + report.right.plus_minus;
        assert!(difference <= 1.5 * noise, "{knowledge:?}: {report:?}");
        let Interval { mean, plus_minus } = report.calibration;
        assert!(mean.abs() <= 1.5 * plus_minus, "{knowledge:?}: {report:?}");
    }
}

#[test]
fn linked_messages_tell_more_than_one() {
    let mut model = single_mix(Duration::from_secs(2), 10.0);
    model.senders = 100;
    model.payload_rate = 0.05;
    let one = study(model, 300);
    let three = Study { linked: 3, ..one };
    let (one, three) = (report(&one, 3), report(&three, 3));
    assert!(three.right.mean > 2.0 * one.right.mean, "{one:?} {three:?}");
}

#[test]
fn equal_seeds_give_equal_scores() {
    let study = study(single_mix(Duration::from_secs(1), 3.0), 50);
    let twice = [study.world(1), study.world(1)].map(|world| AnonymityReport::of(&[world]));
    assert_eq!(twice[0], twice[1]);
    assert_ne!(twice[0], AnonymityReport::of(&[study.world(2)]));
}

#[test]
fn honest_rendezvous_is_one_more_mix() {
    let model = MixModel {
        senders: 100,
        relays: 20,
        delay: Duration::from_secs(1),
        hostile: 0.3,
        ..MixModel::reference()
    };
    let hostile = report(&study(model, 800), 6);
    let model = MixModel {
        rendezvous: RendezvousTrust::AsRelays,
        ..model
    };
    let shared = report(&study(model, 800), 6);
    assert!(
        shared.best_guess.mean < 0.9 * hostile.best_guess.mean,
        "{hostile:?} {shared:?}"
    );
    let Interval { mean, plus_minus } = shared.calibration;
    assert!(mean.abs() <= 1.5 * plus_minus, "{shared:?}");
}

#[test]
fn lost_cells_leave_stated_probabilities_calibrated() {
    let mut model = single_mix(Duration::from_secs(2), 8.0);
    model.loss = 0.2;
    let report = report(&study(model, 800), 6);
    // A fifth fewer cells wait.
    assert!((0.09..0.16).contains(&report.best_guess.mean), "{report:?}");
    let Interval { mean, plus_minus } = report.calibration;
    assert!(mean.abs() <= 1.5 * plus_minus.max(0.03), "{report:?}");
}

#[test]
fn absent_senders_are_excluded_by_linked_messages() {
    let mut model = single_mix(Duration::from_secs(1), 40.0);
    model.senders = 80;
    model.payload_rate = 0.5;
    let always = Study {
        linked: 7,
        ..study(model, 100)
    };
    let half = Study {
        model: MixModel {
            churn: Some(ChurnModel {
                online: 0.5,
                session: Duration::from_secs(60),
                day: Duration::from_secs(1_000_000),
                relays_replaced: 0.0,
            }),
            payload_rate: 1.0,
            ..model
        },
        ..always
    };
    let (always, half) = (report(&always, 2), report(&half, 2));
    assert!(
        half.right.mean > 1.5 * always.right.mean,
        "{always:?} {half:?}"
    );
}
