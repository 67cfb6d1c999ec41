//! Durations as whole microseconds, for `#[serde(with = "micros")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes the number of microseconds.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

/// Reads a number of microseconds.
///
/// # Errors
/// The deserialiser's.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_micros)
}
