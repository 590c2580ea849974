//! The `bt-tracker` program.

fn main() {}
