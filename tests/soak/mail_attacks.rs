//! Attacks on the node as a mail server.

use std::io;
use std::time::Duration;

use circuits::time::UnixSecs;
use rand_core::Rng;
use tokio::time::sleep;
use whisht::bloom::Bloom;
use whisht::gossip::packet::code;
use whisht::link::{Capability, Packing, Priority};
use whisht::mail::RequestId;
use whisht::mail::request::{Limit, MailRequest};

use crate::attackers::Attacker;
use crate::envelope_attacks::{shh, unix_now};

impl Attacker {
    pub(crate) async fn mutant_mail_request(&mut self) -> io::Result<()> {
        for _ in 0..4 {
            let mut connection = self.peer().await?;
            for _ in 0..10 {
                let input = self.mutant("mail_request");
                let Some((&form, payload)) = input.split_first() else {
                    continue;
                };
                let code = match form % 3 {
                    2 => code::P2P_SYNC_REQUEST,
                    _ => code::P2P_REQUEST,
                };
                if shh(&mut connection, code, payload.to_vec()).await.is_err() {
                    break;
                }
                connection.drain_for(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// A pause between requests gets more of them answered.
    pub(crate) async fn mail_flood(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..30 {
            let request = self.request_for_everything();
            shh(&mut connection, code::P2P_REQUEST, request).await?;
            connection.drain_for(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(crate) async fn mail_never_reads(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..60 {
            let request = self.request_for_everything();
            let (priority, code) = (Priority::Gossip, code::P2P_REQUEST.into());
            let sent =
                connection
                    .link
                    .send(priority, Capability::SHH_6, code, request, Packing::Snappy);
            sent.map_err(io::Error::other)?;
        }
        connection.flush().await?;
        sleep(Duration::from_secs(10)).await;
        Ok(())
    }

    /// A valid request for all mail.
    fn request_for_everything(&mut self) -> Vec<u8> {
        let mut id = RequestId([0; 32]);
        self.rng.fill_bytes(&mut id.0);
        let request = MailRequest {
            lower: UnixSecs(0),
            upper: unix_now(),
            bloom: Bloom::FULL,
            limit: Limit::Count(1_000),
            after: None,
            batch: true,
        };
        request.to_plain(id)
    }
}
