//! Attacks before and during the handshake.

use std::io::{self, ErrorKind};
use std::time::Duration;

use circuits::ids::RelayKey;
use rand_chacha::ChaCha20Rng;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use whisht::link::frame::Sealer;
use whisht::link::handshake::{Ack, Initiator, Reading};
use whisht::link::{Capability, hello};

use crate::attackers::Attacker;
use crate::connection::{connect, new_key, until_closed, write};
use crate::testbed::TargetNode;

impl Attacker {
    pub(crate) async fn silence(&mut self) -> io::Result<()> {
        let mut stream = connect(&self.target).await?;
        until_closed(&mut stream, HANDSHAKE_WAIT).await;
        Ok(())
    }

    pub(crate) async fn slow_handshake(&mut self) -> io::Result<()> {
        let initiator = Initiator::new(new_key(&mut self.rng), self.target.key, &mut self.rng);
        let mut stream = connect(&self.target).await?;
        for byte in initiator.unwrap().auth() {
            write(&mut stream, &[*byte]).await?;
            sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }

    pub(crate) async fn noise(&mut self) -> io::Result<()> {
        let mut stream = connect(&self.target).await?;
        let junk = self.junk(8_192);
        write(&mut stream, &junk).await?;
        until_closed(&mut stream, HANDSHAKE_WAIT).await;
        Ok(())
    }

    pub(crate) async fn churn(&mut self) -> io::Result<()> {
        for _ in 0..40 {
            let stream = connect(&self.target).await?;
            // Half of them with a reset instead of a Disconnect.
            stream
                .set_zero_linger()
                .ok()
                .filter(|()| self.below(2) == 0);
        }
        Ok(())
    }

    pub(crate) async fn mutant_auth(&mut self) -> io::Result<()> {
        let mut stream = connect(&self.target).await?;
        let packet = if self.below(2) == 0 {
            self.mutant("rlpx_handshake")
        } else {
            let key = new_key(&mut self.rng);
            let initiator = Initiator::new(key, self.target.key, &mut self.rng).unwrap();
            self.mutate(initiator.auth())
        };
        write(&mut stream, &packet).await?;
        until_closed(&mut stream, HANDSHAKE_WAIT).await;
        Ok(())
    }

    pub(crate) async fn half_handshake(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::handshake(&self.target, &mut self.rng).await?;
        if self.below(2) == 0 {
            until_closed(&mut raw.stream, HANDSHAKE_WAIT).await;
        }
        Ok(())
    }

    pub(crate) async fn mutant_hello(&mut self) -> io::Result<()> {
        let mut raw = RawConnection::handshake(&self.target, &mut self.rng).await?;
        let hello = if self.below(2) == 0 {
            self.mutant("hello")
        } else {
            self.mutate(&raw.hello())
        };
        let code = u16::try_from(self.below(3)).unwrap() / 2;
        raw.frame(code, &hello).await?;
        until_closed(&mut raw.stream, Duration::from_secs(1)).await;
        Ok(())
    }
}

/// A connection with agreed keys, whose frames may have any content.
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    pub(crate) sealer: Sealer,
    us: RelayKey,
}

impl RawConnection {
    /// Agrees on keys with a new identity.
    pub(crate) async fn handshake(target: &TargetNode, rng: &mut ChaCha20Rng) -> io::Result<Self> {
        let key = new_key(rng);
        let us = key.public();
        let initiator = Initiator::new(key, target.key, rng).unwrap();
        let mut stream = connect(target).await?;
        write(&mut stream, initiator.auth()).await?;
        let mut ack = vec![0; Ack::LEN];
        let read = async {
            stream.read_exact(&mut ack).await?;
            loop {
                match initiator.read_ack(&ack) {
                    Ok(Reading::Needs(total)) => {
                        let had = ack.len();
                        ack.resize(total, 0);
                        stream.read_exact(&mut ack[had..]).await?;
                    }
                    Ok(Reading::Done(session, _)) => return Ok(session.sealer),
                    Err(_) => return Err(io::Error::from(ErrorKind::InvalidData)),
                }
            }
        };
        let sealer = timeout(HANDSHAKE_WAIT, read).await??;
        Ok(Self { stream, sealer, us })
    }

    /// The same, and a valid Hello.
    pub(crate) async fn with_hello(target: &TargetNode, rng: &mut ChaCha20Rng) -> io::Result<Self> {
        let mut raw = Self::handshake(target, rng).await?;
        let hello = raw.hello();
        raw.frame(0, &hello).await?;
        Ok(raw)
    }

    fn hello(&self) -> Vec<u8> {
        let capabilities = [Capability::ONION_1, Capability::SHH_6];
        hello::encode("Geth/v1.9.25-stable", 0, &capabilities, &self.us)
    }

    /// A message in its form on the wire; its payload is not compressed.
    pub(crate) fn seal(&mut self, code: u16, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        self.sealer.seal(code, payload, &mut wire).unwrap();
        wire
    }

    pub(crate) async fn frame(&mut self, code: u16, payload: &[u8]) -> io::Result<()> {
        let wire = self.seal(code, payload);
        write(&mut self.stream, &wire).await
    }
}

/// Longer than the node's handshake timeout.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(7);
