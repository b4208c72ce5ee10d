//! Reports the death of a thread that the node cannot do without.
//!
//! A thread that panics must not leave a node behind that looks alive and stores nothing.

use std::thread;

/// Calls its function if the thread that holds it panics.
pub(super) struct PanicAlarm<F: FnMut()>(F);

impl<F: FnMut()> PanicAlarm<F> {
    /// An alarm for the thread that holds it until its end.
    pub(super) const fn new(on_panic: F) -> Self {
        Self(on_panic)
    }
}

impl<F: FnMut()> Drop for PanicAlarm<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)();
        }
    }
}
