//! Offers that were too small for any task, kept until more of their agent comes.
//!
//! ```text
//!   offer --too small--> held by agent --another offer of the agent--> one bundle, tried again
//!                             |
//!                             +--held for `Policy::gather_for`--> declined
//! ```
//! While short tasks of a neighbour end one by one, no single offer may ever be large enough for a
//! task; declined, each piece goes back to the neighbour, and a framework that is owed the most gets
//! nothing. Held, the pieces of an agent add up. They count as the framework's share meanwhile, so
//! that holding is no way around fairness. What a bundle is used for is decided in `scheduler.rs`.

use std::{collections::BTreeMap, time::Duration};

use tepui_framework::protocol::{AgentId, Offer, OfferId, Resources, Timestamp};

/// Offers of one agent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bundle {
    pub(crate) agent: AgentId,
    /// Oldest first.
    pub(crate) offers: Vec<Offer>,
    /// Since when the oldest is held.
    pub(crate) since: Timestamp,
}

impl Bundle {
    pub(crate) fn ids(&self) -> Vec<OfferId> {
        self.offers.iter().map(|offer| offer.id.clone()).collect()
    }

    /// What the offers add up to.
    pub(crate) fn resources(&self) -> Resources {
        self.offers.iter().map(|offer| &offer.resources).sum()
    }
}

/// The bundles that are held.
#[derive(Debug, Default)]
pub(crate) struct Gathering(BTreeMap<AgentId, Bundle>);

impl Gathering {
    /// Joins an offer with what is held of its agent; nothing is held of that agent then.
    pub(crate) fn join(&mut self, offer: Offer, now: Timestamp) -> Bundle {
        let agent = offer.agent_id.clone();
        let held = self.0.remove(&agent);
        let mut bundle = held.unwrap_or_else(|| Bundle {
            agent,
            offers: Vec::new(),
            since: now,
        });
        bundle.offers.push(offer);
        bundle
    }

    pub(crate) fn hold(&mut self, bundle: Bundle) {
        self.0.insert(bundle.agent.clone(), bundle);
    }

    /// How many agents something is held of.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything that is held; nothing is any more.
    pub(crate) fn take(&mut self) -> Vec<Bundle> {
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// What has been held for `span`; it is not any more.
    pub(crate) fn take_due(&mut self, now: Timestamp, span: Duration) -> Vec<Bundle> {
        let due = |bundle: &Bundle| bundle.since + span <= now;
        let (due, held) = self.take().into_iter().partition(due);
        let (due, held): (Vec<_>, Vec<_>) = (due, held);
        held.into_iter().for_each(|bundle| self.hold(bundle));
        due
    }

    /// An offer is void.
    pub(crate) fn forget(&mut self, offer: &OfferId) {
        for bundle in self.0.values_mut() {
            bundle.offers.retain(|held| held.id != *offer);
        }
        self.0.retain(|_, bundle| !bundle.offers.is_empty());
    }

    /// All offers are void.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
