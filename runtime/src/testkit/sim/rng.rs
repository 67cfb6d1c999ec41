//! Randomness of a simulation: everything follows from the seed and from what it is wanted for.

use rand::{SeedableRng, rngs::StdRng};

/// A number for `purpose`.
pub fn number(seed: u64, purpose: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    purpose.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23)
    })
}

/// A generator for `purpose`.
pub fn generator(seed: u64, purpose: &str) -> StdRng {
    StdRng::seed_from_u64(number(seed, purpose))
}

/// A digest of bytes, for comparing runs.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
