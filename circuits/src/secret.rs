//! Values that must not be copied, compared in variable time, or printed.
//!
//! [`Secret`] holds key material: it is wiped on drop and has no `Clone`, no `==`, no `Deref`, and
//! no `Debug` output of its bytes. [`Secret::expose`] is the only access, which makes every use
//! easy to find. [`Redacted`] is for values that are not keys but must not reach a log: addresses,
//! topics, hashes, paths.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
///
/// The bytes are on the heap, so that a move leaves no copy behind.
///
/// ```compile_fail
/// let key = circuits::secret::Secret::<32>::init_with(|bytes| bytes.fill(7));
/// let _copy = key.clone();
/// ```
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Creates a secret by filling it in place.
    pub fn init_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut bytes = Box::new([0; N]);
        fill(&mut bytes);
        Self(bytes)
    }

    /// Copies an array into a secret and wipes the original.
    pub fn take(source: &mut [u8; N]) -> Self {
        let secret = Self(Box::new(*source));
        source.zeroize();
        secret
    }

    /// The bytes. The caller must not copy or log them, or compare them with `==`.
    #[must_use]
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A value of any type that prints as `[redacted]`.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Overwrites the stack below the frame of the caller, where functions that have returned may have
/// left copies of a secret. It reaches 16 KB, more than a multiplication on the curve uses, and costs
/// less than a microsecond. The compiler promises nothing about the stack, so this is a second line
/// after wiping values.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut area = [0_u8; 16 * 1024];
    area.zeroize();
    core::hint::black_box(&area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_debug_shows_no_byte() {
        let key = Secret::<4>::init_with(|bytes| bytes.copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(format!("{key:?}"), "Secret(..)");
    }

    #[test]
    fn secret_take_wipes_source() {
        let mut source = [9; 8];
        let key = Secret::take(&mut source);
        assert_eq!(source, [0; 8]);
        assert_eq!(key.expose(), &[9; 8]);
    }

    #[test]
    fn redacted_value_prints_placeholder() {
        assert_eq!(
            format!("{:?} {}", Redacted("10.1.2.3"), Redacted(7)),
            "[redacted] [redacted]"
        );
    }
}
