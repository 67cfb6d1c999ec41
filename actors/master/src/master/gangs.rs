//! Gangs: offers that a framework gets all at once, when there are enough of them, or not at all.
//!
//! ```text
//!   granted --> kept back, as offers that nobody sees --enough for the gang--> all sent in one message
//!                 |  `gang_timeout`, or the framework takes no offers
//!                 +---> given back, and not wanted for a while
//! ```
//! One framework gathers at a time, so that two halves do not wait for each other; what is granted to others with a gang meanwhile goes back
//! at once. Who gathers in vain waits twice as long before the next attempt. A framework has its gang only until a task of it
//! runs in the role: later offers are single ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_protocol::{
    FrameworkId, Gang, Offer, OfferId, Role, Timestamp, messages::scheduler::Offers,
};

use super::Master;
use crate::effects::Effects;

/// A framework in a role.
type Seat = (FrameworkId, Role);

/// Who gathers, and what it has got so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathering {
    seat: Option<Seat>,
    since: Timestamp,
    /// Of that seat; sent to nobody yet.
    hidden: BTreeSet<OfferId>,
    /// Attempts in vain, one after the other.
    vain: BTreeMap<Seat, u32>,
}

impl Gathering {
    /// Whether nobody knows of the offer.
    pub(super) fn is_hidden(&self, id: &OfferId) -> bool {
        self.hidden.contains(id)
    }

    /// The offer is gone.
    pub(super) fn forget(&mut self, id: &OfferId) {
        self.hidden.remove(id);
    }
}

impl Master {
    /// What a framework needs to begin in a role, if it has not begun.
    pub(crate) fn gang(&self, id: &FrameworkId, role: &Role) -> Option<&Gang> {
        let framework = self.frameworks.get(id)?;
        let gang = framework.info.gangs.get(role)?;
        let in_role = |task: &tepui_protocol::task::Task| {
            let mut accounts = task
                .info
                .resources
                .iter()
                .map(|entry| entry.allocation.as_ref());
            !task.state.is_terminal() && accounts.any(|account| account == Some(role))
        };
        let mut tasks = framework
            .tasks
            .values()
            .chain(framework.unreachable.values());
        (!tasks.any(in_role)).then_some(gang)
    }

    /// Whether a grant to a framework with a gang is kept for it; others go back.
    pub(super) fn may_gather(&mut self, now: Timestamp, id: &FrameworkId, role: &Role) -> bool {
        let seat = (id.clone(), role.clone());
        match &self.gathering.seat {
            Some(other) => *other == seat,
            None => {
                self.gathering.since = now;
                self.gathering.seat = Some(seat);
                true
            }
        }
    }

    /// Keeps an offer back.
    pub(super) fn gather(&mut self, offer: &Offer) {
        self.gathering.hidden.insert(offer.id.clone());
    }

    /// Sends what was gathered, if it is enough.
    pub(super) fn complete_gang(&mut self, now: Timestamp, out: &mut Effects) {
        let Some((id, role)) = self.gathering.seat.clone() else {
            return;
        };
        let hidden = self
            .gathering
            .hidden
            .iter()
            .filter_map(|id| self.offers.get(id));
        let offers: Vec<Offer> = hidden.cloned().collect();
        let gang = self.gang(&id, &role);
        let enough = gang.is_none_or(|gang| {
            gang.is_met_by(
                offers
                    .iter()
                    .map(|offer| (&offer.agent_id, &offer.resources)),
            )
        });
        if !enough {
            return;
        }
        let seat = (id.clone(), role);
        self.gathering.vain.remove(&seat);
        self.gathering.seat = None;
        self.gathering.hidden.clear();
        if !offers.is_empty() {
            self.waits.end(now, &id, &seat.1);
        }
        if let Some(framework) = self.frameworks.get(&id).filter(|_| !offers.is_empty()) {
            framework.send(Offers { offers }, out);
        }
    }

    /// Gives back what was gathered for too long, or for a framework that takes nothing now.
    pub(super) fn give_up_gang(&mut self, now: Timestamp, out: &mut Effects) {
        let Some(seat) = self.gathering.seat.clone() else {
            return;
        };
        let (id, role) = &seat;
        let takes = self.frameworks.get(id).is_some_and(|framework| {
            framework.is_active()
                && framework.info.roles.contains(role)
                && !framework.suppressed.contains(role)
        });
        let late = now.since(self.gathering.since) >= self.config.gang_timeout;
        if takes && !late {
            return;
        }
        let pause = match takes {
            true => self.pause(&seat),
            false => Duration::ZERO,
        };
        let hidden = std::mem::take(&mut self.gathering.hidden);
        for offer in &hidden {
            self.return_offer(offer, Some(pause), out);
        }
        self.metrics.count("master/gangs_given_up");
        self.gathering.seat = None;
    }
    /// How long a framework that gathered in vain is offered nothing of that.
    fn pause(&mut self, seat: &Seat) -> Duration {
        let frameworks = &self.frameworks;
        let vain = &mut self.gathering.vain;
        vain.retain(|(id, _), _| frameworks.contains_key(id));
        let vain = vain.entry(seat.clone()).or_default();
        let pause = self
            .config
            .gang_timeout
            .saturating_mul(2_u32.saturating_pow(*vain));
        *vain = vain.saturating_add(1);
        pause.min(Duration::from_secs(600))
    }
}
