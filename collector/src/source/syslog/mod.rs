//! The syslog source.
