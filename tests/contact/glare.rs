//! Glare: two people who know each other's address write first at the same time.

use super::*;

/// Both begin a conversation, and each finds a request. Both conversations work at first, both nodes agree which
/// one stays, and no message is lost.
#[test]
fn first_messages_that_cross_end_in_one_conversation() {
    let mut scene = Scene::new(Cover::Off);
    let mut ids = Vec::new();
    for (at, name, seed) in [(READER, "press", 7), (SOURCE, "home", 8)] {
        let seed = Zeroizing::new([seed; 32]);
        ids.push(AddressKey::from_seed(seed.clone()).id());
        let name = name.to_owned();
        scene.ask(at, ContactCommand::CreateAddress { name, seed });
    }
    let ends = [(READER, "heron", ids[1]), (SOURCE, "desk", ids[0])];
    for (at, name, id) in ends {
        let name = name.to_owned();
        scene.ask(at, ContactCommand::Add { id, name });
    }
    scene.run_until(Duration::from_secs(3600), |scene| {
        ends.into_iter()
            .all(|(at, name, _)| scene.contact_state(at, name) == ContactState::Ready)
    });
    for (at, name, _) in ends {
        scene.write(at, name, &format!("first of {at}"), Level::Normal);
    }
    scene.run_until(Duration::from_secs(3600), |scene| {
        ends.into_iter()
            .all(|(at, ..)| !scene.requests(at).is_empty())
    });
    for (at, name, _) in ends {
        let of = scene.requests(at).pop().unwrap();
        let name = Some(name.to_owned());
        scene.ask(at, ContactCommand::Accept { of, name });
    }
    for number in 1..=2 {
        for (at, name, _) in ends {
            let text = format!("later {number} of {at}");
            scene.write(at, name, &text, Level::Normal);
        }
        scene.run_until(Duration::from_secs(3600), |scene| {
            ends.into_iter().all(|(at, ..)| {
                let other = READER + SOURCE - at;
                scene.reported(other, &format!("later {number} of {at}")) == 1
            })
        });
    }
    for (at, ..) in ends {
        let other = READER + SOURCE - at;
        assert_eq!(scene.reported(other, &format!("first of {at}")), 1);
    }
    let preferred = ends.map(|(at, name, _)| scene.preferred(at, name));
    assert_eq!(preferred[0], preferred[1], "both write in the same one");
}

impl Scene {
    /// The conversation in which a node writes to a contact.
    fn preferred(&mut self, at: usize, name: &str) -> String {
        match self.ask(at, ContactCommand::Contact(name.to_owned())) {
            ContactReply::Contact(view) => view.conversations[0].clone(),
            other => panic!("{other:?}"),
        }
    }
}
