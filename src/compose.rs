//! Envelope hygiene: what our own envelopes look like.
