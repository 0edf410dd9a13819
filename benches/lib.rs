//! Benches of the whole and of each stage.
