//! A small cache of names, so that the few that recur are not allocated for each frame.

use std::sync::Arc;

const SLOTS: usize = 128;
/// Longer names are not kept.
const BYTES_MAX: usize = 128;

/// Names seen lately; a new one replaces the one in its slot.
pub(super) struct Names(Box<[Option<Arc<str>>; SLOTS]>);

impl Default for Names {
    fn default() -> Self {
        Self(Box::new([const { None }; SLOTS]))
    }
}

impl Names {
    /// `name`, shared with earlier frames where it is still known.
    pub(super) fn intern(&mut self, name: &str) -> Arc<str> {
        if name.len() > BYTES_MAX {
            return name.into();
        }
        let slot = &mut self.0[slot(name)];
        match slot {
            Some(known) if **known == *name => known.clone(),
            _ => slot.insert(name.into()).clone(),
        }
    }
}

/// FNV-1a, folded.
fn slot(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_seen_again_is_the_same_allocation() {
        let mut names = Names::default();
        let first = names.intern("master");
        assert!(Arc::ptr_eq(&first, &names.intern("master")));
        assert_eq!(&*names.intern("agent"), "agent");
        assert_eq!(&*names.intern(&"x".repeat(2000)), "x".repeat(2000));
    }
}
