//! Gangs: offers that a framework gets all at once, when there are enough of them, or not at all.
//!
//! ```text
//!   granted --> kept back, as offers that nobody sees --enough for the gang--> all sent in one message
//!                 |  `gang_timeout`, the framework takes no offers, or a gang that came before could begin with them
//!                 +---> given back, and not wanted for a while
//! ```
//! Several gangs may gather at once, and who came first goes first: where it could begin with what later ones hold besides, these let go of it,
//! the latest first. So nobody waits for one that came later, and no two halves wait for each other. Where it could not, later ones that
//! have enough begin (backfill); but not in the second half of its time, when they let go of all that it can use. Who gathers in vain
//! waits twice as long before the next attempt, and keeps its place. A framework has its gang only until a task of it runs in the role:
//! later offers are single ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_protocol::{
    Capability, FrameworkId, Gang, Offer, OfferId, Quantities, Role, Timestamp,
    gang::{GangStanding, GangState},
    messages::scheduler::Offers,
};

use super::Master;
use crate::effects::Effects;

/// How long a framework is offered nothing of what it let go for a gang that came before.
const YIELD: Duration = Duration::from_secs(5);

/// The longest pause after attempts in vain.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A framework in a role.
type Seat = (FrameworkId, Role);

/// How far one gang is.
#[derive(Clone, Debug)]
struct Attempt {
    /// Who came first has the smaller one.
    number: u64,
    /// Sent to nobody yet.
    hidden: BTreeSet<OfferId>,
    /// Since when it holds something.
    since: Timestamp,
    /// How often it gave up, one time after the other.
    vain: u32,
    /// Until when it is offered nothing of what it held then.
    pause: Timestamp,
}

/// Who gathers, and what they have got so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathering {
    attempts: BTreeMap<Seat, Attempt>,
    hidden: BTreeMap<OfferId, Seat>,
    came: u64,
}

impl Gathering {
    /// Whether nobody knows of the offer.
    pub(super) fn is_hidden(&self, id: &OfferId) -> bool {
        self.hidden.contains_key(id)
    }

    /// The offer is gone.
    pub(super) fn forget(&mut self, id: &OfferId) {
        let seat = self.hidden.remove(id);
        if let Some(attempt) = seat.and_then(|seat| self.attempts.get_mut(&seat)) {
            attempt.hidden.remove(id);
        }
    }

    fn keep(&mut self, now: Timestamp, seat: Seat, offer: OfferId) {
        self.hidden.insert(offer.clone(), seat.clone());
        let attempt = self.attempts.entry(seat).or_insert_with(|| {
            self.came += 1;
            Attempt {
                number: self.came,
                hidden: BTreeSet::new(),
                since: now,
                vain: 0,
                pause: now,
            }
        });
        if attempt.hidden.is_empty() {
            attempt.since = now;
        }
        attempt.hidden.insert(offer);
    }

    /// It has begun, or will not.
    fn end(&mut self, seat: &Seat) {
        if let Some(attempt) = self.attempts.remove(seat) {
            for offer in &attempt.hidden {
                self.hidden.remove(offer);
            }
        }
    }

    /// Those who hold something, in the order in which they came.
    fn holders(&self) -> Vec<Seat> {
        let holders = self
            .attempts
            .iter()
            .filter(|(_, attempt)| !attempt.hidden.is_empty());
        let mut seats: Vec<(u64, Seat)> = holders
            .map(|(seat, attempt)| (attempt.number, seat.clone()))
            .collect();
        seats.sort();
        seats.into_iter().map(|(_, seat)| seat).collect()
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

    /// Keeps an offer back.
    pub(super) fn gather(&mut self, now: Timestamp, offer: &Offer) {
        let seat = (offer.framework_id.clone(), offer.role.clone());
        self.gathering.keep(now, seat, offer.id.clone());
    }

    /// In the order in which they came: sends what is enough, or has later ones let go of what is lacking.
    pub(super) fn settle_gangs(&mut self, now: Timestamp, out: &mut Effects) {
        let seats = self.gathering.holders();
        for (at, seat) in seats.iter().enumerate() {
            if self.has_enough(seat) {
                self.complete_gang(now, seat, out);
                continue;
            }
            let offers = self.to_let_go(now, seat, &seats[at + 1..]);
            for offer in &offers {
                self.set_offer_aside(offer, YIELD, out);
            }
            // What comes of it is seen when the allocator has given it to somebody.
            if !offers.is_empty() {
                return;
            }
        }
    }

    fn held(&self, seat: &Seat) -> impl Iterator<Item = &Offer> {
        let attempt = self.gathering.attempts.get(seat);
        let hidden = attempt.into_iter().flat_map(|attempt| &attempt.hidden);
        hidden.filter_map(|id| self.offers.get(id))
    }

    fn has_enough(&self, seat: &Seat) -> bool {
        let gang = self.gang(&seat.0, &seat.1);
        gang.is_none_or(|gang| is_met_by(gang, self.held(seat)))
    }

    fn complete_gang(&mut self, now: Timestamp, seat: &Seat, out: &mut Effects) {
        let offers: Vec<Offer> = self.held(seat).cloned().collect();
        self.gathering.end(seat);
        self.waits.end(now, &seat.0, &seat.1);
        if let Some(framework) = self.frameworks.get(&seat.0) {
            framework.send(Offers { offers }, out);
        }
    }

    /// What those of `later`, in the order in which they came, let go for a gang: what it can begin with, or, in the second half of its
    /// time, all that it can use.
    fn to_let_go(&self, now: Timestamp, seat: &Seat, later: &[Seat]) -> Vec<OfferId> {
        let attempt = self.gathering.attempts.get(seat);
        let (Some(gang), Some(attempt)) = (self.gang(&seat.0, &seat.1), attempt) else {
            return Vec::new();
        };
        let mut all: Vec<&Offer> = self.held(seat).collect();
        let mut wanted = Vec::new();
        let theirs = later.iter().rev().flat_map(|other| self.held(other));
        for offer in theirs.filter(|offer| self.can_use(seat, offer)) {
            all.push(offer);
            wanted.push(offer.id.clone());
            if is_met_by(gang, all.iter().copied()) {
                return wanted;
            }
        }
        match now.since(attempt.since) >= self.config.gang_timeout / 2 {
            true => wanted,
            false => Vec::new(),
        }
    }

    /// Whether a framework could be offered in a role what another one is.
    fn can_use(&self, (id, role): &Seat, offer: &Offer) -> bool {
        let Some(framework) = self.frameworks.get(id) else {
            return false;
        };
        let constraints = framework.info.constraints.get(role);
        let regions = (self.config.region.as_ref()).zip(offer.attributes.get("region"));
        let near = regions.is_none_or(|(here, there)| here == there);
        let mut entries = offer.resources.iter();
        entries.all(|entry| entry.is_allocatable_to(role))
            && (near || framework.info.can(Capability::RegionAware))
            && constraints.is_none_or(|all| all.are_met_by(&offer.hostname, &offer.attributes))
    }

    /// Gives back what was gathered for too long, or for a framework that takes nothing now.
    pub(super) fn give_up_gangs(&mut self, now: Timestamp, out: &mut Effects) {
        for seat in self.gathering.holders() {
            let (id, role) = &seat;
            let takes = self.frameworks.get(id).is_some_and(|framework| {
                framework.is_active()
                    && framework.info.roles.contains(role)
                    && !framework.suppressed.contains(role)
            });
            let Some(attempt) = self.gathering.attempts.get_mut(&seat) else {
                continue;
            };
            if takes && now.since(attempt.since) < self.config.gang_timeout {
                continue;
            }
            let mut pause = Duration::ZERO;
            if takes {
                let timeout = self.config.gang_timeout;
                pause = timeout.saturating_mul(2_u32.saturating_pow(attempt.vain));
                pause = pause.min(LONGEST_PAUSE);
                attempt.vain = attempt.vain.saturating_add(1);
                attempt.pause = now + pause;
            }
            for offer in attempt.hidden.clone() {
                self.set_offer_aside(&offer, pause, out);
            }
            self.metrics.count("master/gangs_given_up");
        }
        let known = self.gathering.attempts.keys();
        let over: Vec<Seat> = known
            .filter(|(id, role)| self.gang(id, role).is_none())
            .filter(|seat| self.held(seat).next().is_none())
            .cloned()
            .collect();
        over.iter().for_each(|seat| self.gathering.end(seat));
    }

    /// How far the gangs of a framework are that have not begun.
    pub fn gangs(&self, now: Timestamp, id: &FrameworkId) -> Vec<GangStanding> {
        let framework = self.frameworks.get(id);
        let roles = framework.into_iter().flat_map(|it| it.info.gangs.keys());
        let gangs = roles.filter_map(|role| Some((role, self.gang(id, role)?)));
        gangs
            .map(|(role, gang)| self.gang_standing(now, (id.clone(), role.clone()), gang))
            .collect()
    }

    fn gang_standing(&self, now: Timestamp, seat: Seat, gang: &Gang) -> GangStanding {
        let attempt = self.gathering.attempts.get(&seat);
        let rooms = gang.rooms(self.held(&seat).map(|it| (&it.agent_id, &it.resources)));
        let state = match attempt {
            Some(attempt) if !attempt.hidden.is_empty() => GangState::Gathers {
                until: attempt.since + self.config.gang_timeout,
            },
            Some(attempt) if attempt.pause > now => GangState::Pauses {
                until: attempt.pause,
            },
            _ => GangState::Waits,
        };
        let held = (self.held(&seat)).fold(Quantities::new(), |sum, offer| {
            sum + &offer.resources.quantities()
        });
        let came = attempt.map_or(u64::MAX, |attempt| attempt.number);
        let others = self.gathering.attempts.values();
        GangStanding {
            held,
            room: rooms.iter().map(|room| u64::from(*room)).sum(),
            on_agents: rooms.len(),
            state,
            vain: attempt.map_or(0, |attempt| attempt.vain),
            before: others.filter(|other| other.number < came).count(),
            role: seat.1,
            gang: gang.clone(),
        }
    }
}

fn is_met_by<'a>(gang: &Gang, offers: impl Iterator<Item = &'a Offer>) -> bool {
    gang.is_met_by(offers.map(|offer| (&offer.agent_id, &offer.resources)))
}
