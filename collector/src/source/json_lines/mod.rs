//! The json_lines source.
