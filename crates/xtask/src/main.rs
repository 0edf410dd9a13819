//! The one command list.
fn main() {}
