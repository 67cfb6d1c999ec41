//! The resources that revocation and service levels count, as arrays.

use tepui_allocator::quota;
use tepui_protocol::{Quantities, Resources, resources};

/// Their names.
pub(super) const NAMES: [&str; 4] = [
    resources::CPUS,
    resources::MEM,
    resources::DISK,
    resources::GPUS,
];

/// An amount of each, in thousandths.
pub(super) type Amounts = [u64; NAMES.len()];

/// What counts of resources: what is neither reserved nor revocable.
pub(super) fn counted(resources: &Resources) -> Amounts {
    amounts(&resources.filter(quota::is_counted).quantities())
}

pub(super) fn amounts(quantities: &Quantities) -> Amounts {
    NAMES.map(|name| u64::try_from(quantities.get(name).milli()).unwrap_or(0))
}

pub(super) fn plus(sum: &mut Amounts, more: &Amounts) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}
