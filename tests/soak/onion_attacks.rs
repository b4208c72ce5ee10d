//! Attacks with packets of `onion/1`.

use std::io;
use std::time::Duration;

use circuits::directory::DescriptorRequest;
use circuits::geometry::CELL_LEN;
use circuits::ids::Epoch;
use rand_core::Rng;
use whisht::envelope::EnvelopeHash;
use whisht::link::Capability;
use whisht::onion_wire::OnionMessage;

use crate::attackers::Attacker;
use crate::envelope_attacks::unix_now;

impl Attacker {
    pub(crate) async fn mutant_onion(&mut self) -> io::Result<()> {
        for _ in 0..8 {
            let mut connection = self.peer().await?;
            for _ in 0..10 {
                let input = self.mutant("onion_packet");
                let Some((&code, payload)) = input.split_first() else {
                    continue;
                };
                let (code, payload) = (u16::from(code % 16), payload.to_vec());
                if connection
                    .send(Capability::ONION_1, code, payload)
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

    pub(crate) async fn cells(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        let mut cell = Box::new([0; CELL_LEN]);
        for number in 0..300 {
            // Every third equals the one before it.
            if number % 3 != 0 {
                let noise = self.mutant("cell");
                self.rng.fill_bytes(&mut cell[..]);
                let len = noise.len().min(CELL_LEN);
                cell[..len].copy_from_slice(&noise[..len]);
            }
            connection
                .send_onion(&OnionMessage::Cell(cell.clone()))
                .await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn stems(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..100 {
            let envelope = self.envelope_with_pow(400, 60);
            connection.send_onion(&OnionMessage::Stem(envelope)).await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn hashes(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for number in 0..40 {
            let mut hashes = vec![EnvelopeHash([0; 32]); 256];
            for hash in &mut hashes {
                self.rng.fill_bytes(&mut hash.0);
            }
            let message = match number % 2 {
                0 => OnionMessage::Announce(hashes),
                _ => OnionMessage::GetEnvelopes(hashes),
            };
            connection.send_onion(&message).await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn descriptors(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..60 {
            let epoch = Epoch(Epoch::at(unix_now()).0 + u32::try_from(self.below(3)).unwrap());
            let message = match self.below(3) {
                0 => {
                    let (bucket, have) = (Some(7), vec![[7; 8]; self.below(2_000)]);
                    OnionMessage::GetDescriptors(DescriptorRequest {
                        epoch,
                        bucket,
                        have,
                    })
                }
                // The packet accepts a list of two bytes as a descriptor; the directory does not.
                1 => OnionMessage::Descriptors(vec![vec![0xc1, 0x80]; 60]),
                _ => {
                    let raw = self.mutant("descriptor");
                    connection.send(Capability::ONION_1, 1, raw).await?;
                    continue;
                }
            };
            connection.send_onion(&message).await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }
}
