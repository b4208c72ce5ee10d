//! The key of the state, and the rows sealed under it.
