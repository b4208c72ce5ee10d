//! Floods of connections against the limits.

use std::time::Duration;

use tokio::time::timeout;

use super::*;

const LIMITS: AcceptLimits = AcceptLimits {
    slots: 256,
    unproven: 96,
    per_source: 32,
    closing: 4,
    loopback_only: false,
    eviction: Eviction::Random,
};
/// Clients of the RPC endpoints.
const CLIENTS: AcceptLimits = AcceptLimits {
    slots: 8,
    unproven: 4,
    per_source: 0,
    closing: 0,
    loopback_only: true,
    eviction: Eviction::Oldest,
};

/// A link arrives.
fn arrive(limiter: &AcceptLimiter, from: &str) -> AcceptPermit {
    limiter.admit(from.parse().unwrap()).unwrap()
}

/// A client arrives.
fn connect(limiter: &AcceptLimiter) -> AcceptPermit {
    arrive(limiter, "127.0.0.1")
}

/// Whether the connection has to make room. Asked once of each connection.
async fn is_evicted(permit: &AcceptPermit) -> bool {
    timeout(Duration::from_millis(1), permit.evicted())
        .await
        .is_ok()
}

async fn evicted(permits: &[AcceptPermit]) -> usize {
    let mut evicted = 0;
    for permit in permits {
        evicted += usize::from(is_evicted(permit).await);
    }
    evicted
}

#[tokio::test(start_paused = true)]
async fn flood_from_one_source_evicts_only_connections_of_that_source() {
    let limiter = AcceptLimiter::new(LIMITS);
    let other = arrive(&limiter, "198.51.100.1");
    let flood: Vec<_> = (0..500).map(|_| arrive(&limiter, "192.0.2.1")).collect();
    let mapped = arrive(&limiter, "::ffff:192.0.2.77");
    assert!(!is_evicted(&other).await);
    assert_eq!(evicted(&flood).await, 500 - LIMITS.per_source + 1);
    drop(mapped);
}

#[tokio::test(start_paused = true)]
async fn unproven_connection_makes_room_for_another() {
    let limiter = AcceptLimiter::new(LIMITS);
    let permits: Vec<_> = (0..=LIMITS.unproven).map(|_| connect(&limiter)).collect();
    assert_eq!(evicted(&permits).await, 1);
    assert_eq!(limiter.lock().unproven.len(), LIMITS.unproven);
}

/// Attack: silent connections arrive faster than links finish their handshakes.
#[tokio::test(start_paused = true)]
async fn silent_flood_evicts_neither_proven_links_nor_links_in_their_handshake() {
    let limiter = AcceptLimiter::new(LIMITS);
    let proven = connect(&limiter);
    let in_handshake = connect(&limiter);
    assert!(proven.promote());
    in_handshake.note_received();
    let flood: Vec<_> = (0..4_000).map(|_| connect(&limiter)).collect();
    assert!(!is_evicted(&proven).await);
    assert!(!is_evicted(&in_handshake).await);
    assert!(in_handshake.promote());
    assert_eq!(evicted(&flood).await, 4_000 - LIMITS.unproven + 1);
}

#[tokio::test(start_paused = true)]
async fn process_without_descriptors_evicts_unproven_connections_only() {
    let limiter = AcceptLimiter::new(LIMITS);
    let (proven, silent) = (connect(&limiter), connect(&limiter));
    assert!(proven.promote());
    limiter.make_room();
    limiter.make_room();
    assert!(is_evicted(&silent).await && !is_evicted(&proven).await);
}

#[tokio::test(start_paused = true)]
async fn connections_that_close_return_their_slot_and_the_oldest_is_cut() {
    let limiter = AcceptLimiter::new(LIMITS);
    let links: Vec<_> = (0..LIMITS.slots)
        .map(|_| connect(&limiter))
        .inspect(|link| assert!(link.promote()))
        .collect();
    let late = connect(&limiter);
    assert!(!late.promote(), "all slots are taken");
    for link in &links[..=LIMITS.closing] {
        link.close();
    }
    assert!(late.promote());
    assert!(is_evicted(&links[0]).await);
    assert_eq!(evicted(&links[1..]).await, 0);
}

#[tokio::test]
async fn loopback_only_limiter_admits_no_other_address() {
    let limiter = AcceptLimiter::new(AcceptLimits {
        loopback_only: true,
        ..LIMITS
    });
    assert!(limiter.admit([192, 0, 2, 1].into()).is_none());
    for local in ["127.0.0.9", "::1"] {
        assert_eq!(arrive(&limiter, local).source(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_connections_do_not_keep_the_owner_out() {
    let limiter = AcceptLimiter::new(CLIENTS);
    let owner = connect(&limiter);
    assert!(
        owner.promote() && owner.promote(),
        "a second promotion changes nothing"
    );
    let silent: Vec<_> = (0..=CLIENTS.unproven).map(|_| connect(&limiter)).collect();
    assert!(is_evicted(&silent[0]).await, "the oldest");
    assert_eq!(evicted(&silent[1..]).await, 0);
    assert!(!is_evicted(&owner).await);
}

#[tokio::test]
async fn returned_slot_can_be_taken_again() {
    let limiter = AcceptLimiter::new(CLIENTS);
    let clients: Vec<_> = (0..CLIENTS.slots)
        .map(|_| connect(&limiter))
        .inspect(|client| assert!(client.promote()))
        .collect();
    let late = connect(&limiter);
    assert!(!late.promote() && limiter.admit_proven().is_none());
    drop(clients);
    assert!(late.promote() && limiter.admit_proven().is_some());
    drop(late);
    assert!(limiter.lock().unproven.is_empty());
}
