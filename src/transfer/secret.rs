//! The secret of a file, and what derives from it for one attempt.
//!
//! An attempt is named by its answer's start and its number, so that a second answer to the same offer
//! uses neither cookie nor keys again. Each end adds 32 random bytes to the keys of an attempt: two sessions
//! never share a key, also where a node is killed and its state restored (decision 0028).

use core::fmt;

use circuits::secret::Secret;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::schedule::AttemptId;
use crate::contact::kdf::{Key32, Label, expand, extract};

/// The secret of one file: 32 bytes that the sender draws and the offer carries.
pub struct FileSecret(Secret<32>);

impl FileSecret {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Draws the secret of a new offer.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::init_with(|bytes| rng.fill_bytes(bytes)))
    }

    /// The secret of an offer that was received or stored. Wipes the source.
    #[must_use]
    pub fn take(bytes: &mut [u8; Self::LEN]) -> Self {
        Self(Secret::take(bytes))
    }

    /// The bytes, for the offer and for the sealed state.
    #[must_use]
    pub const fn expose(&self) -> &[u8; Self::LEN] {
        self.0.expose()
    }

    /// What derives from the secret for one attempt.
    #[must_use]
    pub fn attempt(&self, attempt: AttemptId) -> AttemptKeys {
        AttemptKeys {
            root: extract(Label::BULK_SALT, &[self.0.expose()]),
            attempt,
        }
    }
}

impl fmt::Debug for FileSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSecret(..)")
    }
}

/// Which end of the file a session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileEnd {
    /// The end that offers the file.
    Sender,
    /// The end that accepts it.
    Receiver,
}

impl FileEnd {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    /// The number of the direction in which this end sends.
    const fn direction(self) -> u8 {
        match self {
            Self::Sender => 0,
            Self::Receiver => 1,
        }
    }
}

/// Cookie and keys of one attempt.
pub struct AttemptKeys {
    root: Key32,
    attempt: AttemptId,
}

impl AttemptKeys {
    /// The cookie by which the two circuits meet.
    #[must_use]
    pub fn cookie(&self) -> [u8; 20] {
        let [start, number] = self.info();
        *expand::<20>(&self.root, Label::BULK_COOKIE, &[&start, &number])
    }

    /// The key of the hello of one end, which holds the random bytes of that end.
    pub(super) fn hello_key(&self, from: FileEnd, salt: &[u8; 32]) -> Key32 {
        let [start, number] = self.info();
        let info: [&[u8]; 4] = [&start, &number, &[from.direction()], salt];
        expand(&self.root, Label::BULK_HELLO, &info)
    }

    /// The key of the frames of one end, once the random bytes of both are known.
    pub(super) fn frame_key(&self, from: FileEnd, salts: &HelloSalts) -> Key32 {
        let [start, number] = self.info();
        let info: [&[u8]; 5] = [
            &start,
            &number,
            &[from.direction()],
            &salts.sender,
            &salts.receiver,
        ];
        expand(&self.root, Label::BULK_KEY, &info)
    }

    /// Start 8 and number 4, as the derivations take them.
    fn info(&self) -> [Zeroizing<Vec<u8>>; 2] {
        let start = u64::from(self.attempt.start().0).to_be_bytes();
        let number = u32::from(self.attempt.number()).to_be_bytes();
        [start.to_vec(), number.to_vec()].map(Zeroizing::new)
    }
}

impl fmt::Debug for AttemptKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptKeys(..)")
    }
}

/// The random bytes of both ends of an attempt.
pub(super) struct HelloSalts {
    /// Those of the sender of the file.
    pub(super) sender: [u8; 32],
    /// Those of its receiver.
    pub(super) receiver: [u8; 32],
}
