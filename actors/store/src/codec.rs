//! How values are written: MessagePack maps keyed by field name, so that a record may gain fields
//! and an older file still reads.

use serde::{Serialize, de::DeserializeOwned};

use crate::{StoreError, Write};

/// A write that sets `key` to the record `value`.
///
/// # Panics
/// When `value` cannot be serialised (a map with keys that are no texts, say): the record's type
/// is wrong, whatever it holds.
pub fn put<T: Serialize>(key: impl Into<String>, value: &T) -> Write {
    let value = rmp_serde::to_vec_named(value).expect("records serialise");
    Write::Put {
        key: key.into(),
        value,
    }
}

/// Reads the record that [`put`] wrote under `key`.
///
/// # Errors
/// [`StoreError::Record`] when the bytes are not such a record.
pub fn get<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(value).map_err(|error| StoreError::Record {
        key: key.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_record_comes_back_and_a_bad_one_names_its_key() {
        let record = BTreeMap::from([("a".to_owned(), 1u32)]);
        let Write::Put { key, value } = put("k", &record) else {
            panic!("put makes a Put")
        };
        assert_eq!(get::<BTreeMap<String, u32>>(&key, &value).unwrap(), record);
        let error = get::<u64>("agents/1", b"\xc1").unwrap_err().to_string();
        assert!(error.contains("agents/1"), "{error}");
    }
}
