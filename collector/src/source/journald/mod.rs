//! The journald source.
