//! The collector's section of the configuration.
