//! Tests of chains.
