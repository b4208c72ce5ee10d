//! A generator that replays the random bytes of a recorded program.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;

/// The bytes to draw, in order. Drawing more is an error of the test.
#[derive(Default)]
pub(crate) struct RecordedRng(VecDeque<u8>);

impl RecordedRng {
    /// The random bytes of one end of a recorded session: its key and nonce, then padding, key and
    /// IV of its packet.
    pub(crate) fn of(end: &Value, packet: &Value) -> Self {
        let mut script = Self::default()
            .then(&bytes(&end["ephemeral_private_key"]))
            .then(&bytes(&end["nonce"]));
        if packet["size_prefix"] != "" {
            let padding = packet["body_padding_len"].as_u64().unwrap();
            let drawn = u32::try_from(padding).unwrap() - 100;
            script = script.then(&drawn.to_le_bytes());
        }
        script
            .then(&bytes(&packet["ecies_ephemeral_private_key"]))
            .then(&bytes(&packet["ecies_iv"]))
    }

    pub(crate) fn then(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.0.pop_front().expect("the script ends too early"))
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

impl TryRng for RecordedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.fill_with(|| self.take::<1>()[0]);
        Ok(())
    }
}

impl TryCryptoRng for RecordedRng {}
