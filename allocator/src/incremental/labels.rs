//! Numbers that sort names, with gaps for more names in between: what breaks ties in the tree.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

/// Names in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(BTreeMap<Box<str>, u32>);

/// Names often come in order; then each takes a step.
const STEP: u32 = 1 << 12;

impl Labels {
    /// Gives a new name a number between its neighbours'. None if there is none left: the name is in, and
    /// all are to be [spread](Labels::spread).
    pub(super) fn insert(&mut self, name: &str) -> Option<u32> {
        let before = self.0.range::<str, _>((Unbounded, Excluded(name)));
        let mut before = before;
        let before = before.next_back().map_or(0, |(_, label)| *label);
        let after = self.0.range::<str, _>((Excluded(name), Unbounded)).next();
        let label = match after {
            None => before.checked_add(STEP),
            Some((_, after)) => Some(before + (after - before) / 2),
        };
        let label = label.filter(|&label| label > before);
        self.0.insert(name.into(), label.unwrap_or(0));
        label
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn of(&self, name: &str) -> u32 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Gives all names numbers anew, evenly.
    ///
    /// # Panics
    /// With 2^31 names.
    pub(super) fn spread(&mut self) -> Vec<(Box<str>, u32)> {
        let count = u32::try_from(self.0.len()).expect("fewer than 2^31 names");
        let step = (u32::MAX / 2 / count.max(1)).min(STEP);
        assert!(step > 0, "fewer than 2^31 names");
        for (label, n) in self.0.values_mut().zip(1..) {
            *label = step * n;
        }
        let labels = self.0.iter();
        labels.map(|(name, label)| (name.clone(), *label)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn labels_sort_as_names_do(names in prop::collection::vec("[a-c]{1,12}", 1..200)) {
            let mut labels = Labels::default();
            for name in names {
                if !labels.0.contains_key(&*name) && labels.insert(&name).is_none() {
                    labels.spread();
                }
                prop_assert!(labels.0.values().is_sorted_by(|a, b| a < b));
            }
        }
    }
}
