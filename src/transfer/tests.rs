//! Whole attempts between two sessions.
