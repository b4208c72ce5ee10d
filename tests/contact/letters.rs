//! Letters: a source that keeps twelve words and nothing else.

use whisht::contact::id::ContactId;
use whisht::contact::letter::LetterRoot;
use whisht::node::SentMessage;

use super::*;

/// A node becomes a source with these words, and finds the card of the reader.
fn become_source(scene: &mut Scene, at: usize, id: ContactId) {
    let root = LetterRoot::from_seed(&[3; 64]);
    let reply = scene.ask(at, ContactCommand::OpenLetters(root));
    assert!(matches!(reply, ContactReply::Done), "{reply:?}");
    let name = "desk".to_owned();
    scene.ask(at, ContactCommand::Add { id, name });
    scene.run_until(PATIENCE, |scene| {
        scene.contact_state(at, "desk") == ContactState::Ready
    });
}

/// A network with a reader, and the reader's id.
fn with_reader() -> (Scene, ContactId) {
    let mut scene = Scene::new(Cover::Off);
    let seed = Zeroizing::new([7; 32]);
    let id = AddressKey::from_seed(seed.clone()).id();
    let name = "press".to_owned();
    scene.ask(READER, ContactCommand::CreateAddress { name, seed });
    (scene, id)
}

fn send(scene: &mut Scene, at: usize, to: &str, text: &str) -> SentMessage {
    let send = message(to, text, Level::Normal);
    match scene.ask(at, ContactCommand::Send(send)) {
        ContactReply::Sent(sent) => sent,
        other => panic!("{other:?}"),
    }
}

/// The source writes, and its node and all that it stored are gone before the answer is written. A new node
/// has the words only: it reads the answer, and answers in turn.
#[test]
fn new_node_with_the_same_words_reads_the_answer_and_writes_on() {
    let (mut scene, id) = with_reader();
    become_source(&mut scene, SOURCE, id);
    send(&mut scene, SOURCE, "desk", "letter 1");
    scene.accept();
    scene.world.kill(SOURCE);
    send(&mut scene, READER, "source", "answer 1");
    scene.world.run(Duration::from_secs(1_800));

    let peers = [2, 4, 6];
    let start = Instant::from_micros(0);
    let again = scene.world.add_node(false, &peers, start, |_| {}).unwrap();
    scene.world.run(Duration::from_secs(60));
    become_source(&mut scene, again, id);
    scene.run_until(PATIENCE, |scene| !scene.texts(again, "desk").is_empty());
    assert_eq!(
        scene.texts(again, "desk"),
        [(1, "answer 1".to_owned())],
        "the words give the keys of the answer"
    );
    send(&mut scene, again, "desk", "letter 2");
    scene.run_until(PATIENCE, |scene| scene.texts(READER, "source").len() == 2);
    assert_eq!(
        scene.texts(READER, "source"),
        [(1, "letter 1".to_owned()), (2, "letter 2".to_owned())]
    );
    assert_eq!(scene.answered(READER), 1, "letter 2 says what was seen");
    assert_eq!(scene.requests(READER), Vec::<String>::new());
    assert_eq!(scene.reported(again, "answer 1"), 1);
}

/// A letter that is sent again has other envelopes, and the number that it had. The reader's power fails in
/// between.
#[test]
fn letter_that_comes_twice_appears_once_and_survives_a_restart_of_the_reader() {
    let (mut scene, id) = with_reader();
    become_source(&mut scene, SOURCE, id);
    let sent = send(&mut scene, SOURCE, "desk", "once");
    scene.accept();
    scene.world.kill(READER);
    scene.world.restart(READER).unwrap();
    let mut is_sent_again = false;
    scene.run_until(PATIENCE, |scene| {
        let again = ContactCommand::SendAgain(sent.clone());
        let patience = Duration::from_secs(1);
        let again = scene.world.ask(SOURCE, Command::Contact(again), patience);
        is_sent_again |= again.is_ok();
        is_sent_again
    });
    scene.world.run(Duration::from_secs(1_800));
    assert_eq!(scene.texts(READER, "source"), [(1, "once".to_owned())]);
    assert_eq!(scene.requests(READER), Vec::<String>::new());
    assert_eq!(scene.reported(READER, "once"), 1);
}

const PATIENCE: Duration = Duration::from_secs(3_600);
