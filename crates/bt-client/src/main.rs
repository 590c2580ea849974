//! The `bt-client` program.

fn main() {}
