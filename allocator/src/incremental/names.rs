//! Names of scalars as lanes of arrays, so that sums and shares need neither maps nor texts.

use std::collections::BTreeSet;

use tepui_protocol::{Quantities, Resources, Scalar};

/// Names that count for shares and views; resources of further names are given and taken like all
/// others, but nobody's share knows them.
pub(super) const LANES: usize = 8;

/// Thousandths of each scalar.
pub(super) type Amounts = [u64; LANES];

/// Which name is which lane, in the order in which names were met.
#[derive(Clone, Debug)]
pub(super) struct Names {
    names: Vec<String>,
    excluded: BTreeSet<String>,
}

impl Names {
    /// No names yet. Those `excluded` count for no share.
    pub(super) fn new(excluded: BTreeSet<String>) -> Self {
        Self {
            names: Vec::new(),
            excluded,
        }
    }

    /// The scalars of `resources`; copies of a shared one count once.
    pub(super) fn amounts(&mut self, resources: &Resources) -> Amounts {
        let mut amounts = [0; LANES];
        if resources.iter().any(|entry| entry.shared) {
            for (name, amount) in &resources.quantities() {
                self.add(&mut amounts, name, amount);
            }
            return amounts;
        }
        for entry in resources {
            if let Some(amount) = entry.amount() {
                self.add(&mut amounts, &entry.name, amount);
            }
        }
        amounts
    }

    fn add(&mut self, amounts: &mut Amounts, name: &str, amount: Scalar) {
        let known = self.names.iter().position(|known| known == name);
        let lane = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        if let Some(sum) = amounts.get_mut(lane) {
            *sum += amount.milli().unsigned_abs();
        }
    }

    /// Amounts by name.
    pub(super) fn quantities(&self, amounts: &Amounts) -> Quantities {
        let named = self.names.iter().zip(amounts);
        let scalar = |milli: u64| Scalar::from_milli(i64::try_from(milli).unwrap_or(i64::MAX));
        named
            .filter(|(_, amount)| **amount > 0)
            .map(|(name, &amount)| (name.clone(), scalar(amount)))
            .collect()
    }

    /// What counts for shares: the total, without what is excluded.
    pub(super) fn fair(&self, total: &Amounts) -> Amounts {
        let mut fair = *total;
        for (amount, name) in fair.iter_mut().zip(&self.names) {
            if self.excluded.contains(name) {
                *amount = 0;
            }
        }
        fair
    }
}
