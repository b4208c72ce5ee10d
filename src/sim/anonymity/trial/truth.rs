//! The truth about a cell. Private to the trial.

/// What only the model knows of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Truth {
    pub(super) sender: u32,
    pub(super) is_loop: bool,
    /// The number of the payload cell at its sender; that of the last one for a loop.
    pub(super) payload_number: u32,
    /// Seconds since its sender's payload cell before it. A message that is composed at a uniform
    /// time takes the next payload cell, so the chance that this one carries it is proportional.
    pub(super) waited: f64,
}
