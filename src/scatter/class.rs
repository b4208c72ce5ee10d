//! The shapes of a scattered message: how many shards, how many are needed, how long each is.

use circuits::dispersal::SHAPES;
use circuits::geometry::PACKAGE_OVERHEAD;

/// A shape: `n` shards, of which any `k` yield the message.
///
/// Only the rows of the table exist (spec F12): from two shards on, `n = ceil(1.5 k)`. There is no
/// row for a message that fits into one envelope, which travels unscattered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ScatterClass {
    k: u8,
    n: u8,
}

impl ScatterClass {
    /// Every class, smallest first.
    pub const ALL: [Self; 11] = [
        Self { k: 2, n: 3 },
        Self { k: 3, n: 5 },
        Self { k: 4, n: 6 },
        Self { k: 6, n: 9 },
        Self { k: 8, n: 12 },
        Self { k: 12, n: 18 },
        Self { k: 16, n: 24 },
        Self { k: 24, n: 36 },
        Self { k: 32, n: 48 },
        Self { k: 48, n: 72 },
        Self::LARGEST,
    ];

    /// The largest class.
    pub const LARGEST: Self = Self { k: 64, n: 96 };

    /// The smallest class that holds a message of `len` bytes; `None` if there is none.
    ///
    /// ```
    /// use whisht::scatter::{ScatterClass, ScatterProfile};
    ///
    /// let class = ScatterClass::of_message(ScatterProfile::Conversation, 892).ok_or("too long")?;
    /// assert_eq!((class.k(), class.n()), (2, 3));
    /// assert!(ScatterClass::of_message(ScatterProfile::Conversation, 30_157).is_none());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn of_message(profile: ScatterProfile, len: usize) -> Option<Self> {
        let mut classes = Self::ALL.into_iter();
        classes.find(|class| class.capacity(profile) >= len)
    }

    /// The class whose messages need `k` shards; `None` if there is none.
    #[must_use]
    pub fn of_needed(k: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.k == k)
    }

    /// Number of shards that yield the message.
    #[must_use]
    pub const fn k(self) -> u8 {
        self.k
    }

    /// Number of all shards.
    #[must_use]
    pub const fn n(self) -> u8 {
        self.n
    }

    /// Length of the package, in bytes.
    #[must_use]
    pub fn package_len(self, profile: ScatterProfile) -> usize {
        usize::from(self.k).saturating_mul(profile.shard_len())
    }

    /// Length of the longest message, in bytes.
    #[must_use]
    pub fn capacity(self, profile: ScatterProfile) -> usize {
        self.package_len(profile).saturating_sub(PACKAGE_OVERHEAD)
    }
}

/// What surrounds a shard, which decides how long the shard is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ScatterProfile {
    /// A Whisper message to a public key, in an envelope of the smallest class.
    Asymmetric,
    /// A Whisper message under a shared key, in an envelope of the smallest class.
    Symmetric,
    /// An envelope of a conversation (spec F11).
    Conversation,
}

impl ScatterProfile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Asymmetric, Self::Symmetric, Self::Conversation];

    /// Length of a shard, in bytes; the same for every lifetime of the envelope.
    #[must_use]
    pub const fn shard_len(self) -> usize {
        match self {
            Self::Asymmetric => 397,
            Self::Symmetric => 482,
            Self::Conversation => 472,
        }
    }
}

// Every class has a code, and needs two thirds of its shards.
const _: () = {
    let mut rows: &[ScatterClass] = &ScatterClass::ALL;
    while let [ScatterClass { k, n }, rest @ ..] = rows {
        let mut codes: &[(u8, u8)] = &SHAPES;
        let mut found = false;
        while let [(code_k, code_n), others @ ..] = codes {
            found = found || (*code_k == *k && *code_n == *n);
            codes = others;
        }
        assert!(found && *n == (3 * *k).div_ceil(2));
        rows = rest;
    }
};
