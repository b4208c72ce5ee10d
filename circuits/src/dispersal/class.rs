//! The table of classes: the possible shapes of a set.
//!
//! The rendezvous sees the shape of a set. There are therefore few shapes, and they are the same at
//! every level. From two shards on, `n = 3 * ceil(k / 2)`: a set survives the loss of one of three
//! lanes.

use crate::geometry::{PACKAGE_OVERHEAD, SHARD_LEN};

/// Shape of a set: `n` shards, of which `k` rebuild a package of `k` times 615 bytes.
///
/// Only the rows of the specification exist (spec.md F5).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Class {
    k: u8,
    n: u8,
}

impl Class {
    /// Every class, smallest first.
    pub const ALL: [Self; 8] = [
        Self { k: 1, n: 1 },
        Self { k: 2, n: 3 },
        Self { k: 4, n: 6 },
        Self { k: 8, n: 12 },
        Self { k: 16, n: 24 },
        Self { k: 32, n: 48 },
        Self { k: 64, n: 96 },
        Self { k: 107, n: 162 },
    ];

    /// The class of a package that travels in a single cell, without a threshold.
    #[must_use]
    pub const fn whole() -> Self {
        Self { k: 1, n: 1 }
    }

    /// The smallest class with a threshold that fits an envelope of this length in bytes; `None`
    /// above 65,753.
    ///
    /// ```
    /// use circuits::dispersal::Class;
    ///
    /// let class = Class::converge(563).ok_or("too long")?;
    /// assert_eq!((class.k(), class.n(), class.package_len()), (2, 3, 1230));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn converge(envelope_len: usize) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.k >= 2 && envelope_len <= class.capacity())
    }

    /// The class with the parameters of a header; `None` if the table has no such row.
    #[must_use]
    pub fn from_parts(k: u8, n: u8, package_len: u32) -> Option<Self> {
        let package_len = usize::try_from(package_len).ok()?;
        Self::ALL
            .into_iter()
            .find(|class| class.k == k && class.n == n && class.package_len() == package_len)
    }

    /// Number of shards that rebuild a package.
    #[must_use]
    pub const fn k(self) -> u8 {
        self.k
    }

    /// Total number of shards of a set.
    #[must_use]
    pub const fn n(self) -> u8 {
        self.n
    }

    /// Length of the package, in bytes.
    #[must_use]
    pub fn package_len(self) -> usize {
        usize::from(self.k).saturating_mul(SHARD_LEN)
    }

    /// Maximum length of an envelope, in bytes.
    #[must_use]
    pub fn capacity(self) -> usize {
        self.package_len().saturating_sub(PACKAGE_OVERHEAD)
    }

    /// Whether this is the class for an envelope of this length in bytes: the single-cell class, or
    /// the smallest class with a threshold that fits it.
    #[must_use]
    pub fn suits(self, envelope_len: usize) -> bool {
        if self == Self::whole() {
            envelope_len <= self.capacity()
        } else {
            Self::converge(envelope_len) == Some(self)
        }
    }
}

// Any two of three lanes must carry enough shards to rebuild the package.
const _: () = {
    let mut rows: &[Class] = &Class::ALL;
    while let [Class { k, n }, rest @ ..] = rows {
        assert!(*k == 1 && *n == 1 || *n == 3 * k.div_ceil(2));
        rows = rest;
    }
};
