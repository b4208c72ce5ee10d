//! Descriptors in reserve for the owner's own connections.
//!
//! A flood of links may use up the descriptors of the process. The owner must still be able to ask
//! the node for its status, so a few descriptors are held open, and one is given up when the local
//! socket could not accept a client otherwise. It is taken back when that client leaves. Links must
//! not use the reserve.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The descriptors in reserve.
#[derive(Clone, Debug, Default)]
pub(super) struct DescriptorReserve(Arc<Mutex<Vec<UnixDatagram>>>);

impl DescriptorReserve {
    /// Fills the reserve as far as the operating system permits.
    pub(super) fn new() -> Self {
        let reserve = Self::default();
        reserve.refill();
        reserve
    }

    /// Whether an operation failed because no descriptor was left, and one has been given up since.
    pub(super) fn release_after(&self, error: &io::Error) -> bool {
        is_out_of_descriptors(error) && self.lock().pop().is_some()
    }

    /// Takes back what was given up, as far as the operating system permits.
    pub(super) fn refill(&self) {
        let mut held = self.lock();
        while held.len() < RESERVED_DESCRIPTORS {
            match UnixDatagram::unbound() {
                Ok(socket) => held.push(socket),
                Err(_) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnixDatagram>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the process or the machine has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Error numbers, the same on Linux, the BSDs and macOS.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// Local clients that are served while no other descriptor is left.
const RESERVED_DESCRIPTORS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_gives_up_descriptors_only_when_none_is_left() {
        let reserve = DescriptorReserve::new();
        let other = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(!reserve.release_after(&other));
        let none_left = io::Error::from_raw_os_error(EMFILE);
        for _ in 0..RESERVED_DESCRIPTORS {
            assert!(reserve.release_after(&none_left));
        }
        assert!(!reserve.release_after(&none_left), "the reserve is used up");
        reserve.refill();
        assert!(reserve.release_after(&none_left));
    }
}
