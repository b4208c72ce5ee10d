//! Recognises an old copy of the state.
