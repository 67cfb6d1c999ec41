//! Randomness of a simulation: everything follows from the seed and from what it is wanted for.

pub use tepui_runtime::testkit::sim::rng::{digest, generator, number};
