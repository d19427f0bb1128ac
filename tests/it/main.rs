//! The tests that drive the whole program, one module a subject.
fn main() {}
