//! Reservations that are made and undone while the cluster runs: by frameworks on what they are offered, by
//! operators on what no task uses.
//!
//! ```text
//!   RESERVE    [.. claims] --> [.. claims, claim]      the new claim refines those below it
//!   UNRESERVE  [.. claims, claim] --> [.. claims]
//!   RESERVE of a source, by operators alone   [.. common, old claims] --> [.. common, new claims]
//! ```
//! An agent's record in the registry has them among its resources. The agent itself does not know of them: what it
//! says it has when it comes back is reserved anew.
//
//= mesos, differs: agents checkpoint reservations there; here one write to the registry decides

mod change;

use tepui_protocol::{
    AgentId, Capability, OfferId, Resources, Timestamp,
    messages::operator::{AgentStanding, ReserveResources, UnreserveResources},
};

use self::change::Change;
pub(super) use self::change::Kind;
use super::{Master, registry, tasks::Lot, validation};
use crate::effects::{Call, Effect, Effects, Outcome};

/// What an agent has that says it has `said`, when `reserved` was reserved on it before: as far as it still
/// has that.
pub(super) fn renew(said: &Resources, reserved: &Resources) -> Resources {
    let mut all = said.without_dynamic_reservations();
    for entry in &reserved.dynamically_reserved() {
        let plain = Resources::from(entry.clone()).without_dynamic_reservations();
        let part = &all - &(&all - &plain);
        all -= &part;
        for mut piece in part {
            piece.reservations.clone_from(&entry.reservations);
            all.add_resource(piece);
        }
    }
    all
}

impl Master {
    /// A framework reserves offered resources, or takes a claim off them. Says why not, if it is not valid.
    pub(super) fn change_offered(
        &mut self,
        lot: &mut Lot,
        kind: Kind,
        named: &Resources,
        out: &mut Effects,
    ) -> Result<(), String> {
        let change = match self.check_offered(lot, kind, named) {
            Ok(change) => change,
            Err(problem) => {
                let framework = &lot.framework_id;
                tracing::warn!(%framework, ?kind, problem, "operation dropped");
                self.metrics.count(kind.counter(false));
                return Err(problem);
            }
        };
        lot.left -= &change.from;
        lot.left += &change.to;
        let agent = lot.agent_id.clone();
        self.rewrite(&agent, &change, out);
        self.metrics.count(kind.counter(true));
        out.push(Effect::Allocator(Call::Convert {
            framework: lot.framework_id.clone(),
            agent,
            from: change.from,
            to: change.to,
        }));
        Ok(())
    }

    fn check_offered(&self, lot: &Lot, kind: Kind, named: &Resources) -> Result<Change, String> {
        let named = validation::on_account_of(named, &lot.role);
        validation::check_resources(&named, &lot.role, "operation")?;
        let change = Change::of(kind, &named)?;
        let framework = self.frameworks.get(&lot.framework_id);
        let refines = framework.is_some_and(|f| f.info.can(Capability::ReservationRefinement));
        for entry in &named {
            if kind == Kind::Reserve && entry.reserved_to() != Some(&lot.role) {
                return Err(format!(
                    "{}: the offers are for role {}, and so must be the reservation",
                    Resources::from(entry.clone()).unallocate(),
                    lot.role
                ));
            }
            if entry.reservations.len() > 1 && !refines {
                return Err(
                    "reservations of reserved resources need RESERVATION_REFINEMENT".to_owned(),
                );
            }
        }
        if !lot.left.contains(&change.from) {
            return Err(format!(
                "it needs {}, of the offers {} is left",
                change.from.unallocate(),
                lot.left.unallocate()
            ));
        }
        Ok(change)
    }

    /// Writes a change into the books and the registry; allocations do not matter.
    fn rewrite(&mut self, id: &AgentId, change: &Change, out: &mut Effects) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.info.resources -= &change.from.unallocate();
        agent.info.resources += &change.to.unallocate();
        registry::admit(id, &agent.info, out);
    }

    /// An operator reserves resources.
    pub fn on_reserve_resources(
        &mut self,
        _now: Timestamp,
        call: ReserveResources,
        token: u64,
        out: &mut Effects,
    ) {
        let named = call.resources.unallocate();
        let change = match &call.source {
            Some(source) => Change::anew(&source.unallocate(), &named),
            None => Change::of(Kind::Reserve, &named),
        };
        let outcome =
            change.and_then(|change| self.change_free(Kind::Reserve, &call.agent_id, change, out));
        out.push(Effect::Answer { token, outcome });
    }

    /// An operator takes claims off resources.
    pub fn on_unreserve_resources(
        &mut self,
        _now: Timestamp,
        call: UnreserveResources,
        token: u64,
        out: &mut Effects,
    ) {
        let change = Change::of(Kind::Unreserve, &call.resources.unallocate());
        let outcome = change
            .and_then(|change| self.change_free(Kind::Unreserve, &call.agent_id, change, out));
        out.push(Effect::Answer { token, outcome });
    }

    fn change_free(
        &mut self,
        kind: Kind,
        id: &AgentId,
        change: Change,
        out: &mut Effects,
    ) -> Outcome {
        let listed = self.config.roles.as_ref();
        let mut owners = change.to.iter().filter_map(|entry| entry.reserved_to());
        if kind == Kind::Reserve
            && let Some(role) = owners.find(|role| listed.is_some_and(|all| !all.contains(*role)))
        {
            return Err(format!(
                "role {role} is not on this cluster's list of roles"
            ));
        }
        let present = |agent: &&super::Agent| agent.standing != AgentStanding::Recovered;
        let agent = self.agents.get(id).filter(present).ok_or_else(|| {
            format!("agent {id} is not registered; see `tepui agents` for those that are")
        })?;
        let from = &change.from;
        if !agent.info.resources.contains(from) {
            let has = &agent.info.resources;
            return Err(format!("agent {id} has no {from}; it has {has}"));
        }
        let unused = &agent.info.resources - &agent.used_sum().unallocate();
        if !unused.contains(from) {
            return Err(format!(
                "tasks on agent {id} use parts of {from}; of what it has, {unused} is not used"
            ));
        }
        for offer in self.offers_of(id, from) {
            if self
                .agents
                .get(id)
                .is_some_and(|agent| !agent.available().contains(from))
            {
                self.rescind(&offer, out);
            }
        }
        self.rewrite(id, &change, out);
        self.metrics.count(kind.counter(true));
        // What the allocator grants at this moment is void by that.
        self.offer_anew(id, out);
        Ok(())
    }

    /// The offers that hold something of these resources of an agent.
    fn offers_of(&self, id: &AgentId, resources: &Resources) -> Vec<OfferId> {
        let holds = |id: &&OfferId| {
            self.offers.get(*id).is_some_and(|offer| {
                let held = offer.resources.unallocate();
                held != &held - resources
            })
        };
        let agent = self.agents.get(id);
        let offers = agent.into_iter().flat_map(|agent| &agent.offers);
        offers.filter(holds).cloned().collect()
    }
}
