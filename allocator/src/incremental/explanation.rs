//! Why a framework is offered what it is offered, worked out from the state when somebody asks.
//!
//! Runs only note when a seat was served last: what is free after a run is what nobody was to be offered in
//! it, and why not can be told from what is there.

use std::collections::BTreeMap;

use tepui_protocol::{
    Explanation, FrameworkId, Resources,
    explanation::{Reason, Turn},
};

use super::{IncrementalDrf, roles::Seat};
use crate::{
    hierarchical::GpuAgents,
    quota::{NAMES, Portion, Stage, UNLIMITED},
};

impl IncrementalDrf {
    pub(super) fn explanation(&mut self, id: &FrameworkId) -> Option<Explanation> {
        self.count();
        let member = self.members.get(self.members.number(id)?);
        let shares = self.framework_views().remove(id).unwrap_or_default().shares;
        let turns = member.seats.iter().map(|(role, &number)| {
            let mut turn = self.turn(number);
            turn.dominant_share = shares.get(role).map_or(0.0, |share| share.to_f64());
            turn
        });
        Some(Explanation {
            runs: self.runs,
            turns: turns.collect(),
            gangs: Vec::new(),
        })
    }

    fn turn(&self, number: u32) -> Turn {
        let seat = self.roles.get(number);
        let (mut turns, mut before) = (0, None);
        self.roles.find(|other, _| {
            if other == number {
                before = Some(turns);
            }
            turns += 1;
            None::<()>
        });
        let mut agents = BTreeMap::new();
        for agent in self.agents.numbers() {
            let reason = self.reason(number, seat, agent);
            *agents.entry(reason).or_default() += 1;
        }
        Turn {
            role: seat.role.clone(),
            held: self.names.quantities(self.roles.held(number)),
            dominant_share: 0.0,
            before,
            turns,
            served_in: self.roles.served_in(number),
            declined_runs: {
                let id = &self.members.get(seat.framework).id;
                self.patience.declined_runs(id, &seat.role)
            },
            agents,
        }
    }

    fn reason(&self, number: u32, seat: &Seat, agent_number: u32) -> Reason {
        let agent = self.agents.get(agent_number);
        let framework = &self.members.get(seat.framework).state;
        if !framework.takes_offers_in(&seat.role) {
            return Reason::TakesNone;
        }
        if !agent.active || !agent.is_listed(self.whitelist.as_ref()) {
            return Reason::NotOffered;
        }
        if agent.available().is_empty() {
            return Reason::NothingFree;
        }
        let only_for_gpus = self.options.gpu_agents == GpuAgents::ForGpuFrameworks;
        if only_for_gpus && agent.has_gpus() && !framework.takes_gpu_agents() {
            return Reason::ForGpuFrameworks;
        }
        let here = self.options.region.as_deref();
        if agent.is_remote(here) && !framework.takes_remote_agents() {
            return Reason::Remote;
        }
        if !agent.is_taken_by(framework, &seat.role, here) {
            return Reason::Constrained;
        }
        let usable = agent
            .available()
            .filter(|entry| entry.is_allocatable_to(&seat.role) && framework.understands(entry));
        if usable.is_empty() {
            return Reason::NotUsable;
        }
        let worth = framework.minimum(&seat.role, &self.options.min_allocatable);
        let is_worth = |part: &Resources| !part.is_empty() && worth.is_met_by(part);
        if !is_worth(&usable) {
            return Reason::BelowMinimum;
        }
        let offered = self.offered(seat, &usable, &self.agents.free());
        if is_worth(&offered) {
            return match self.filters.block(number, agent_number, &offered) {
                true => Reason::Refused,
                false => Reason::Next,
            };
        }
        match is_worth(&self.offered(seat, &usable, &[UNLIMITED; NAMES])) {
            true => Reason::Headroom,
            false => Reason::Limit,
        }
    }

    /// What quota leaves of `usable` when so much is `free` in the cluster.
    fn offered(&self, seat: &Seat, usable: &Resources, free: &[u64; NAMES]) -> Resources {
        let Some(tree) = self.quota.tree() else {
            return usable.clone();
        };
        let portion = Portion {
            tree,
            free,
            role: &seat.role,
            account: tree.account(&seat.role),
        };
        match portion.of(Stage::Guarantees, usable) {
            part if part.is_empty() => portion.of(Stage::FairShare, usable),
            part => part,
        }
    }
}
