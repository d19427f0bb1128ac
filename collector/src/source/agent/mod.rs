//! The agent source.
