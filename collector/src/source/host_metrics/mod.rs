//! The host_metrics source.
