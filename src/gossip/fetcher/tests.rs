use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);

/// A fetcher with its randomness and its clock.
struct FetcherFixture {
    fetcher: EnvelopeFetcher,
    rng: ChaCha20Rng,
    now: Instant,
}

impl FetcherFixture {
    fn new(seed: u8) -> Self {
        Self {
            fetcher: EnvelopeFetcher::new(),
            rng: ChaCha20Rng::from_seed([seed; 32]),
            now: Instant::from_micros(1_000_000),
        }
    }

    fn announce(&mut self, link: LinkId, number: u32) {
        let hash = hash(number);
        self.fetcher
            .on_announced(&mut self.rng, self.now, link, hash);
    }

    fn wait(&mut self, time: Duration) -> FetchRound {
        self.now = self.now.after(time);
        self.fetcher.run(&mut self.rng, self.now)
    }

    /// Waits longer than any request delay, and less than any timeout.
    fn wait_out(&mut self) -> FetchRound {
        self.wait(Duration::from_secs(3))
    }
}

fn hash(number: u32) -> EnvelopeHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    EnvelopeHash(bytes)
}

fn asked(round: &FetchRound) -> Vec<(LinkId, usize)> {
    round
        .requests
        .iter()
        .map(|(link, list)| (*link, list.len()))
        .collect()
}

#[test]
fn hash_is_requested_once_after_delay_from_a_random_announcer() {
    let mut chosen = [0; 4];
    for seed in 0..200 {
        let mut fixture = FetcherFixture::new(seed);
        for link in [A, B, C] {
            fixture.announce(link, 7);
        }
        assert_eq!(fixture.wait(Duration::ZERO), FetchRound::default());
        let round = fixture.wait_out();
        assert_eq!(round.requests.values().flatten().count(), 1);
        let (link, _) = asked(&round)[0];
        chosen[usize::try_from(link.0).unwrap()] += 1;
        assert_eq!(
            fixture.wait(Duration::from_millis(1)),
            FetchRound::default()
        );
    }
    // 66.7 expected for each, standard deviation 6.7.
    assert!(
        chosen[1..].iter().all(|count| (40..=94).contains(count)),
        "{chosen:?}"
    );
}

#[test]
fn timed_out_fetch_goes_to_another_peer() {
    let mut fixture = FetcherFixture::new(1);
    fixture.announce(A, 7);
    let _ = fixture.wait_out();
    fixture.announce(B, 7);
    let round = fixture.wait(DELIVERY_TIMEOUT);
    assert_eq!(round.failed, [A]);
    assert_eq!(asked(&round), [(B, 1)]);
    let round = fixture.wait(DELIVERY_TIMEOUT);
    assert_eq!(round.failed, [B]);
    assert_eq!(fixture.fetcher.len(), 0, "no peer is left to ask");
    assert_eq!(fixture.fetcher.next_due(), None);
}

#[test]
fn timed_out_peer_is_asked_only_if_no_other_announced() {
    for seed in 0..30 {
        let mut fixture = FetcherFixture::new(seed);
        fixture.announce(A, 1);
        let _ = fixture.wait_out();
        let _ = fixture.wait(DELIVERY_TIMEOUT);
        fixture.announce(A, 2);
        fixture.announce(B, 2);
        fixture.announce(A, 3);
        assert_eq!(asked(&fixture.wait_out()), [(A, 1), (B, 1)]);
        // After a delivery, the peer is asked like any other.
        let announcers = fixture.fetcher.on_arrived(fixture.now, &hash(3));
        assert_eq!(announcers, [A]);
        assert!(!fixture.fetcher.peers[&A].timed_out);
    }
}

#[test]
fn slow_peer_has_limited_total_time() {
    let mut fixture = FetcherFixture::new(1);
    for number in 0..100 {
        fixture.announce(A, number);
    }
    let _ = fixture.wait_out();
    for number in 0..14 {
        let round = fixture.wait(Duration::from_secs(4));
        assert_eq!(round, FetchRound::default(), "after {number}");
        let _ = fixture.fetcher.on_arrived(fixture.now, &hash(number));
    }
    let round = fixture.wait(Duration::from_secs(4));
    assert_eq!(round.failed.len(), 86);
}

#[test]
fn peer_has_at_most_one_packet_of_requests_in_flight() {
    let mut fixture = FetcherFixture::new(1);
    for number in 0..600 {
        fixture.announce(A, number);
    }
    assert_eq!(asked(&fixture.wait_out()), [(A, MAX_HASHES)]);
    assert_eq!(fixture.wait(BUSY_RETRY_INTERVAL), FetchRound::default());
    for number in 0..600 {
        let _ = fixture.fetcher.on_arrived(fixture.now, &hash(number));
    }
    assert_eq!(fixture.fetcher.len(), 0);
}

#[test]
fn flood_of_invented_hashes_is_bounded_and_does_not_block_other_peers() {
    let mut fixture = FetcherFixture::new(1);
    for number in 0..100_000 {
        fixture.announce(A, number);
    }
    assert_eq!(fixture.fetcher.len(), MAX_CHARGED);
    fixture.announce(B, 200_000);
    assert_eq!(asked(&fixture.wait_out()), [(A, MAX_HASHES), (B, 1)]);
    // Many such peers together do not exceed the total bound.
    for link in 10..40 {
        for number in 0..3_000 {
            fixture.announce(LinkId(link), u32::try_from(link).unwrap() << 20 | number);
        }
    }
    assert_eq!(fixture.fetcher.len(), MAX_PENDING);
}

#[test]
fn announcements_of_closed_link_are_requested_from_others_or_dropped() {
    let mut fixture = FetcherFixture::new(1);
    fixture.announce(A, 1);
    fixture.announce(A, 2);
    fixture.announce(B, 2);
    fixture.announce(A, 3);
    let _ = fixture.wait_out();
    fixture.announce(B, 1);
    fixture.fetcher.remove_peer(fixture.now, A);
    assert_eq!(fixture.fetcher.len(), 2);
    let round = fixture.wait(DELIVERY_TIMEOUT);
    assert!(round.failed.iter().all(|link| *link == B));
    fixture.fetcher.remove_peer(fixture.now, B);
    assert_eq!(fixture.fetcher.len(), 0);
    assert!(fixture.fetcher.schedule.is_empty() && fixture.fetcher.peers.is_empty());
}

#[test]
fn arrival_returns_all_announcers() {
    let mut fixture = FetcherFixture::new(1);
    for link in [A, B, C] {
        fixture.announce(link, 1);
    }
    let _ = fixture.wait_out();
    let mut announcers = fixture.fetcher.on_arrived(fixture.now, &hash(1));
    announcers.sort();
    assert_eq!(announcers, [A, B, C]);
    assert!(fixture.fetcher.on_arrived(fixture.now, &hash(1)).is_empty());
}

#[test]
fn rejected_envelope_is_not_requested_again_for_a_minute() {
    let mut fixture = FetcherFixture::new(1);
    fixture.announce(A, 1);
    fixture.fetcher.reject(fixture.now, hash(1));
    fixture.announce(B, 1);
    assert_eq!(fixture.wait_out(), FetchRound::default());
    let _ = fixture.wait(REJECTED_TIMEOUT);
    fixture.announce(B, 1);
    assert_eq!(asked(&fixture.wait_out()), [(B, 1)]);
    for number in 0..10_000 {
        fixture.fetcher.reject(fixture.now, hash(number));
    }
    assert_eq!(fixture.fetcher.rejected.len(), MAX_REJECTED);
}

#[derive(Clone, Copy, Debug)]
enum FetchEvent {
    Announce(u64, u32),
    Arrive(u32),
    Decline(u32),
    Close(u64),
    Wait(u64),
}

fn event() -> impl Strategy<Value = FetchEvent> {
    prop_oneof![
        6 => (1..5_u64, 0..12_u32).prop_map(|(link, number)| FetchEvent::Announce(link, number)),
        2 => (0..12_u32).prop_map(FetchEvent::Arrive),
        1 => (0..12_u32).prop_map(FetchEvent::Decline),
        1 => (1..5_u64).prop_map(FetchEvent::Close),
        3 => (0..8_000_u64).prop_map(FetchEvent::Wait),
    ]
}

proptest! {
    #[test]
    fn counters_match_contents_after_any_sequence(events in prop::collection::vec(event(), 1..200)) {
        let mut fixture = FetcherFixture::new(3);
        for event in events {
            match event {
                FetchEvent::Announce(link, number) => fixture.announce(LinkId(link), number),
                FetchEvent::Arrive(number) => {
                    let _ = fixture.fetcher.on_arrived(fixture.now, &hash(number));
                }
                FetchEvent::Decline(number) => fixture.fetcher.reject(fixture.now, hash(number)),
                FetchEvent::Close(link) => fixture.fetcher.remove_peer(fixture.now, LinkId(link)),
                FetchEvent::Wait(millis) => {
                    let round = fixture.wait(Duration::from_millis(millis));
                    for (link, envelopes) in &round.requests {
                        prop_assert!(envelopes.len() <= MAX_HASHES);
                        for envelope in envelopes {
                            let asked = fixture.fetcher.pending[envelope].requested_from;
                            prop_assert_eq!(asked.map(|(asked, _)| asked), Some(*link));
                        }
                    }
                }
            }
            let schedule: BTreeSet<_> = fixture
                .fetcher
                .pending
                .iter()
                .map(|(envelope, fetch)| (fetch.due, *envelope))
                .collect();
            prop_assert_eq!(&schedule, &fixture.fetcher.schedule);
            for (link, peer) in &fixture.fetcher.peers {
                let fetch = || fixture.fetcher.pending.values();
                let named = fetch().filter(|fetch| fetch.charged_to == *link).count();
                let asked = |fetch: &&PendingFetch| fetch.requested_from.is_some_and(|(asked, _)| asked == *link);
                prop_assert_eq!(peer.charged, named);
                prop_assert_eq!(peer.in_flight, fetch().filter(asked).count());
            }
        }
    }
}
