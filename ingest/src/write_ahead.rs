//! write_ahead
