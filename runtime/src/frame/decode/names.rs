//! A small cache of names, so that the few that recur are neither allocated nor checked for each
//! frame.

use std::sync::Arc;

const SLOTS: usize = 128;
/// Longer names are not kept.
const BYTES_MAX: usize = 128;

/// Names of one sort seen lately; a new one replaces the one in its slot.
pub(super) struct Names {
    slots: Box<[Option<Arc<str>>; SLOTS]>,
    is_valid: fn(&str) -> bool,
}

impl Names {
    /// No names yet; those that come must pass `is_valid`.
    pub(super) fn new(is_valid: fn(&str) -> bool) -> Self {
        Self {
            slots: Box::new([const { None }; SLOTS]),
            is_valid,
        }
    }

    /// The name that `bytes` spell, shared with earlier frames where it is still known. `None` when
    /// it is none.
    pub(super) fn intern(&mut self, bytes: &[u8]) -> Option<Arc<str>> {
        let slot = &mut self.slots[slot(bytes)];
        if let Some(known) = slot.as_ref().filter(|known| known.as_bytes() == bytes) {
            return Some(known.clone());
        }
        let name = std::str::from_utf8(bytes)
            .ok()
            .filter(|name| (self.is_valid)(name))?;
        let name: Arc<str> = name.into();
        if bytes.len() <= BYTES_MAX {
            *slot = Some(name.clone());
        }
        Some(name)
    }
}

/// Mixes the length and both ends, where names differ.
fn slot(bytes: &[u8]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let ends = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
        }
        _ => bytes
            .iter()
            .fold(0, |all, byte| (all << 8) | u64::from(*byte)),
    };
    let mixed = (ends ^ bytes.len() as u64).wrapping_mul(ODD);
    (mixed >> 57) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_seen_again_is_the_same_allocation() {
        let mut names = Names::new(|name| name != "bad");
        let first = names.intern(b"master").unwrap();
        assert!(Arc::ptr_eq(&first, &names.intern(b"master").unwrap()));
        assert_eq!(&*names.intern(b"agent").unwrap(), "agent");
        assert_eq!(&*names.intern(&[b'x'; 2000]).unwrap(), "x".repeat(2000));
        assert_eq!(names.intern(b"bad"), None);
        assert_eq!(names.intern(&[0xff]), None);
    }

    #[test]
    fn names_that_are_numbered_fall_into_many_slots() {
        let slots = (0..100).map(|number| slot(format!("executor-{number:04}").as_bytes()));
        let different: std::collections::BTreeSet<_> = slots.collect();
        assert!(different.len() > 50, "{}", different.len());
    }
}
