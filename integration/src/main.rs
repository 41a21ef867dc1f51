//! The black-box suite.
fn main() {}
