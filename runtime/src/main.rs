//! The casemate binary.
fn main() {}
