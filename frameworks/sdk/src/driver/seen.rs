//! Updates that were handed to the scheduler, so that it does not get them twice.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

/// Updates remembered; an older one that is sent once more reaches the scheduler again.
const REMEMBERED: usize = 16_384;

/// What is known of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Never seen.
    New,
    /// The scheduler has it, and has not acknowledged it.
    Delivered,
    /// Acknowledged; whoever sends it again has not heard so.
    Acknowledged,
}

/// The latest updates by uuid.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    acknowledged: BTreeMap<Uuid, bool>,
    order: VecDeque<Uuid>,
}

impl Seen {
    /// What was known of `uuid`; it counts as delivered from now on.
    pub(crate) fn deliver(&mut self, uuid: Uuid) -> Sight {
        match self.acknowledged.get(&uuid) {
            Some(true) => return Sight::Acknowledged,
            Some(false) => return Sight::Delivered,
            None => {}
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.acknowledged.remove(&oldest);
        }
        self.order.push_back(uuid);
        self.acknowledged.insert(uuid, false);
        Sight::New
    }

    /// Notes that `uuid` was acknowledged.
    pub(crate) fn acknowledge(&mut self, uuid: Uuid) {
        if let Some(acknowledged) = self.acknowledged.get_mut(&uuid) {
            *acknowledged = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_new_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        let uuid = Uuid::from_u128;
        assert_eq!(seen.deliver(uuid(1)), Sight::New);
        assert_eq!(seen.deliver(uuid(1)), Sight::Delivered);
        seen.acknowledge(uuid(1));
        assert_eq!(seen.deliver(uuid(1)), Sight::Acknowledged);
        for n in 2..=REMEMBERED as u128 + 1 {
            assert_eq!(seen.deliver(uuid(n)), Sight::New);
        }
        assert_eq!(seen.order.len(), REMEMBERED);
        assert_eq!(seen.acknowledged.len(), REMEMBERED);
        assert_eq!(seen.deliver(uuid(1)), Sight::New);
    }
}
