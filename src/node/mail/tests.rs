//! Mail without a node.

use core::time::Duration;

use super::*;
use crate::mail::archive::ArchiveRequest;
use crate::node::command::FetchRequest;
use crate::node::event::{Event, FetchEnd, FetchStage};
use crate::node::fixture::{Fixture, START, envelope, peer};
use crate::node::output::Output;
use crate::node::{MailService, MailSource};

fn mail(test: &Fixture) -> Mail {
    let kept = Secret::init_with(|kept| kept.fill(4));
    Mail::new(&test.config, &test.local, None, &kept).unwrap()
}

fn request(from: Option<MailSource>) -> FetchRequest {
    FetchRequest {
        from,
        since: START.unix.before(3_600),
        until: None,
        topics: Vec::new(),
        narrow: false,
        password: None,
    }
}

#[test]
fn fetch_without_a_known_server_is_refused() {
    let mut test = Fixture::new(|_| {});
    let mut mail = mail(&test);
    let (fx, context) = test.mailing();
    let refused = mail.begin_fetch(fx, START, request(None), context);
    assert!(refused.unwrap_err().remedy.contains("trusted-peers"));
}

#[test]
fn fetch_dials_its_server_and_ends_when_it_cannot_be_reached() {
    let mut test = Fixture::new(|_| {});
    let mut mail = mail(&test);
    let (fx, context) = test.mailing();
    let server = Some(MailSource::At(peer(2)));
    mail.begin_fetch(fx, START, request(server), context)
        .unwrap();
    assert!(matches!(fx.take_actions()[..], [Action::Dial(..)]));
    mail.poll(fx, START, context);
    fx.take_outputs();
    let later = Now {
        mono: START.mono.after(Duration::from_secs(20)),
        unix: START.unix.after(20),
    };
    mail.poll(fx, later, context);
    let outputs = fx.take_outputs();
    assert!(matches!(
        outputs[..],
        [Output::Notify(Event::Fetch(
            _,
            FetchStage::Ended {
                end: FetchEnd::Unreachable,
                ..
            }
        ))]
    ));
}

#[test]
fn server_archives_what_enters_the_mempool() {
    let mut test = Fixture::new(|config| config.mail = Some(MailService::default()));
    let mut mail = mail(&test);
    mail.on_pooled(None, &envelope(1));
    mail.on_pooled(Some(LinkId(1)), &envelope(2));
    let (fx, context) = test.mailing();
    mail.poll(fx, START, context);
    let outputs = fx.take_outputs();
    assert!(matches!(
        &outputs[..],
        [Output::Archive(ArchiveRequest::Keep(_, batch))] if batch.len() == 2
    ));
    assert_eq!(mail.server_view().unwrap().waiting, 2);
}
