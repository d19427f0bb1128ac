//! The file_tail source.
