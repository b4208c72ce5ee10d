//! Attacks on the link by peers that completed Hello.

use std::io;
use std::time::Duration;

use circuits::directory::DescriptorRequest;
use circuits::ids::Epoch;
use tokio::time::sleep;
use whisht::bloom::Bloom;
use whisht::gossip::packet::{MinPow, code, outgoing};
use whisht::link::{Capability, DisconnectReason};
use whisht::onion_wire::OnionMessage;

use crate::attackers::Attacker;
use crate::connection::{PeerConnection, until_closed, write};
use crate::envelope_attacks::unix_now;
use crate::handshake_attacks::RawConnection;

impl Attacker {
    /// A peer that completed Hello and status.
    pub(crate) async fn peer(&mut self) -> io::Result<PeerConnection> {
        let capabilities = [Capability::ONION_1, Capability::SHH_6];
        let mut connection =
            PeerConnection::open(&self.target, &mut self.rng, &capabilities).await?;
        let (network, epoch) = (self.target.network, Epoch::at(unix_now()));
        connection
            .send_onion(&OnionMessage::Status {
                network,
                epoch,
                time: None,
            })
            .await?;
        let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
        connection
            .send(Capability::SHH_6, code::STATUS.into(), status)
            .await?;
        Ok(connection)
    }

    pub(crate) async fn broken_frames(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::with_hello(&self.target, &mut self.rng).await?;
        let wire = if self.below(2) == 0 {
            self.junk(4_096)
        } else {
            let payload = self.junk(2_000);
            let code = u16::try_from(self.below(200)).unwrap();
            let mut wire = raw.seal(code, &payload);
            let at = self.below(wire.len());
            wire[at] ^= 1 << self.below(8);
            wire
        };
        write(&mut raw.stream, &wire).await?;
        until_closed(&mut raw.stream, Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn unfinished_frame(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::with_hello(&self.target, &mut self.rng).await?;
        let len = 2_000_000 + self.below(400_000);
        let mut wire = raw.seal(SHH_MESSAGES, &vec![0; len]);
        wire.truncate(1_900_000);
        write(&mut raw.stream, &wire).await?;
        until_closed(&mut raw.stream, Duration::from_secs(3)).await;
        Ok(())
    }

    pub(crate) async fn snappy_bomb(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::with_hello(&self.target, &mut self.rng).await?;
        let bomb = match self.below(3) {
            // The payload announces four gigabytes.
            0 => [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &self.junk(1_000)].concat(),
            // The payload has the maximum length, and a few bytes on the wire.
            1 => {
                let zeros = vec![0; 2 << 20];
                snap::raw::Encoder::new().compress_vec(&zeros).unwrap()
            }
            _ => {
                let packed = snap::raw::Encoder::new().compress_vec(&[7; 5_000]).unwrap();
                self.mutate(&packed)
            }
        };
        raw.frame(SHH_MESSAGES, &bomb).await?;
        until_closed(&mut raw.stream, Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn pings(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::with_hello(&self.target, &mut self.rng).await?;
        // An empty list as one Snappy literal. The answers are never read.
        let mut wire = Vec::new();
        for _ in 0..5_000 {
            raw.sealer.seal(PING, &[1, 0, 0xc0], &mut wire).unwrap();
        }
        write(&mut raw.stream, &wire).await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn early_disconnect(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        let envelope = self.envelope_with_pow(100, 60);
        connection
            .send(
                Capability::SHH_6,
                code::MESSAGES.into(),
                outgoing::messages(&[envelope]),
            )
            .await?;
        match self.below(3) {
            0 => connection.leave(DisconnectReason::Quitting).await,
            1 => connection.stream.set_zero_linger(),
            _ => Ok(()),
        }
    }

    pub(crate) async fn never_reads(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        let question = OnionMessage::GetDescriptors(DescriptorRequest {
            epoch: Epoch::at(unix_now()),
            bucket: None,
            have: Vec::new(),
        });
        let body = question.encode().unwrap();
        for _ in 0..2_000 {
            let code = question.code().into();
            let (priority, packing) = (
                whisht::link::Priority::Control,
                whisht::link::Packing::Snappy,
            );
            let sent =
                connection
                    .link
                    .send(priority, Capability::ONION_1, code, body.clone(), packing);
            sent.map_err(io::Error::other)?;
        }
        connection.flush().await?;
        sleep(Duration::from_secs(10)).await;
        Ok(())
    }
}

/// Ping of the base protocol.
const PING: u16 = 2;
/// The code of envelopes where `onion/1` is shared too.
pub(crate) const SHH_MESSAGES: u16 = 16 + 16 + 1;
