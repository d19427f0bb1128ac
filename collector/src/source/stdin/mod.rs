//! The stdin source.
