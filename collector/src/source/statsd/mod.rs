//! The statsd source.
