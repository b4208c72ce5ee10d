//! Attacks with envelopes and other packets of `shh/6`.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use circuits::time::UnixSecs;
use rand_core::Rng;
use whisht::bloom::Bloom;
use whisht::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use whisht::gossip::packet::{MinPow, code, outgoing, v5};
use whisht::link::Capability;
use whisht::pow::{Generations, PowJob};

use crate::attackers::Attacker;
use crate::connection::PeerConnection;

impl Attacker {
    pub(crate) async fn mutant_shh(&mut self) -> io::Result<()> {
        for _ in 0..8 {
            let mut connection = self.peer().await?;
            for _ in 0..10 {
                let input = self.mutant("shh_packet");
                let Some((&code, payload)) = input.split_first() else {
                    continue;
                };
                if shh(&mut connection, code % 128, payload.to_vec())
                    .await
                    .is_err()
                {
                    break;
                }
                connection.drain_for(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn mutant_shh5(&mut self) -> io::Result<()> {
        let old = Capability::SHH_5;
        for _ in 0..8 {
            let mut connection = PeerConnection::open(&self.target, &mut self.rng, &[old]).await?;
            connection
                .send(old, v5::code::STATUS.into(), v5::status())
                .await?;
            for _ in 0..10 {
                let input = self.mutant("shh5_packet");
                let Some((&code, payload)) = input.split_first() else {
                    continue;
                };
                let said = connection.send(old, u16::from(code % 64), payload.to_vec());
                if said.await.is_err() {
                    break;
                }
                connection.drain_for(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn oversized(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        let code = [code::MESSAGES, code::BLOOM_EXCHANGE, code::P2P_MESSAGE, 40][self.below(4)];
        let payload = vec![0xc1; (1 << 20) + self.below(900_000)];
        shh(&mut connection, code, payload).await?;
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn low_pow(&mut self) -> io::Result<()> {
        let envelopes: Vec<_> = (0..200)
            .map(|_| self.envelope_without_pow(600, ONE_DAY))
            .collect();
        self.send_envelopes(&envelopes).await
    }

    pub(crate) async fn bad_expiry(&mut self) -> io::Result<()> {
        let now = unix_now().0;
        let envelopes: Vec<_> = (0..200)
            .map(|_| {
                let unmined = self.unmined(100, 60);
                let expiry = [now - 1, now - 30, now - 9_999, now + 90, u32::MAX, 0];
                let ttl = [60, 0, 1, u32::MAX];
                let (expiry, ttl) = (expiry[self.below(6)], ttl[self.below(4)]);
                UnminedEnvelope {
                    expiry: UnixSecs(expiry),
                    ttl: Ttl(ttl),
                    ..unmined
                }
                .with_nonce(self.rng.next_u64())
            })
            .collect();
        self.send_envelopes(&envelopes).await
    }

    pub(crate) async fn flood(&mut self) -> io::Result<()> {
        let (len, ttl) = ([100, 600, 600, 9_000][self.below(4)], 20);
        let envelopes: Vec<_> = (0..100).map(|_| self.envelope_with_pow(len, ttl)).collect();
        self.send_envelopes(&envelopes).await
    }

    pub(crate) async fn repetition(&mut self) -> io::Result<()> {
        let envelope = self.envelope_with_pow(600, 60);
        let mut connection = self.peer().await?;
        let same = outgoing::messages(&vec![envelope; 100]);
        for _ in 0..20 {
            shh(&mut connection, code::MESSAGES, same.clone()).await?;
        }
        Ok(())
    }

    pub(crate) async fn policy_flapping(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..500 {
            if self.below(2) == 0 {
                let mut bloom = Bloom::FULL;
                self.rng.fill_bytes(&mut bloom.0);
                shh(
                    &mut connection,
                    code::BLOOM_EXCHANGE,
                    outgoing::bloom_exchange(&bloom),
                )
                .await?;
            } else {
                let min_pow = MinPow::new(f64::from(self.rng.next_u32()) / 1e9).unwrap();
                shh(
                    &mut connection,
                    code::POW_REQUIREMENT,
                    outgoing::pow_requirement(min_pow),
                )
                .await?;
            }
        }
        connection.drain_for(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Sends envelopes in small packets.
    async fn send_envelopes(&mut self, envelopes: &[Envelope]) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for some in envelopes.chunks(5) {
            shh(&mut connection, code::MESSAGES, outgoing::messages(some)).await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    /// An envelope that no key decrypts, with exactly the node's minimum work.
    pub(crate) fn envelope_with_pow(&mut self, data: usize, ttl: u32) -> Envelope {
        self.envelope_with_data_start(&[], data, ttl)
    }

    /// The same; its data begins with these bytes.
    pub(crate) fn envelope_with_data_start(
        &mut self,
        start: &[u8],
        data: usize,
        ttl: u32,
    ) -> Envelope {
        let mut unmined = self.unmined(data, ttl);
        unmined.data[..start.len()].copy_from_slice(start);
        let job = PowJob::for_minimum(&unmined, Generations::Modern, MIN_POW).unwrap();
        let mut search = job.search(&mut self.rng);
        loop {
            if let Some(nonce) = search.step(4_096) {
                return unmined.with_nonce(nonce);
            }
        }
    }

    /// An envelope without proof of work.
    fn envelope_without_pow(&mut self, data: usize, ttl: u32) -> Envelope {
        self.unmined(data, ttl).with_nonce(self.rng.next_u64())
    }

    fn unmined(&mut self, data: usize, ttl: u32) -> UnminedEnvelope {
        let mut unmined = UnminedEnvelope {
            expiry: unix_now().after(ttl),
            ttl: Ttl(ttl),
            topic: Topic::default(),
            hint: EncryptionHint::Absent,
            data: vec![0; data],
        };
        self.rng.fill_bytes(&mut unmined.topic.0);
        self.rng.fill_bytes(&mut unmined.data);
        unmined
    }
}

pub(crate) async fn shh(
    connection: &mut PeerConnection,
    code: u8,
    payload: Vec<u8>,
) -> io::Result<()> {
    connection
        .send(Capability::SHH_6, code.into(), payload)
        .await
}

/// The wall clock.
pub(crate) fn unix_now() -> UnixSecs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixSecs(u32::try_from(since.as_secs()).unwrap())
}

/// The minimum work of a node of the profile `local`.
const MIN_POW: f64 = 0.002;
/// A ttl for which the minimum number of bits is too little work.
const ONE_DAY: u32 = 86_400;
