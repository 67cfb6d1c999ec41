//! Maintenance of machines: the schedule, machines that are down, and frameworks that are asked to leave.
//!
//! ```text
//!   scheduled --> offers carry when; frameworks that use an agent there get an inverse offer, one at a time
//!   down      --> agents there are ended and removed, and refused when they come
//!   up        --> welcome again, no longer in the schedule
//! ```
//! Answers to inverse offers are noted for operators and change nothing. They are not kept over restarts of the
//! master, which asks anew; the schedule and what is down are in the registry.
//
//= mesos, maintenance

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{
    AgentId, FrameworkId, InverseOffer, OfferId, Timestamp, Unavailability,
    maintenance::{Answer, Mode, Schedule},
    messages::{
        agent::Shutdown,
        operator::{
            InverseAnswer, MachineSummary, MaintenanceSummary, StartMaintenance, StopMaintenance,
            UpdateMaintenanceSchedule,
        },
        scheduler::{
            AcceptInverseOffers, DeclineInverseOffers, InverseOffers, RescindInverseOffer,
        },
    },
};

use super::{Agent, Master, registry};
use crate::effects::{Effect, Effects, Outcome, tell};

/// A framework on an agent.
type Place = (AgentId, FrameworkId);

/// What is planned, and what was said to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Maintenance {
    pub(super) schedule: Schedule,
    pub(super) down: BTreeSet<String>,
    /// Inverse offers that wait for an answer.
    asked: BTreeMap<OfferId, InverseOffer>,
    /// The last answers of frameworks in use of agents that are in the schedule.
    answers: BTreeMap<Place, (Answer, Timestamp)>,
    /// Who is not asked before when.
    quiet: BTreeMap<Place, Timestamp>,
}

impl Maintenance {
    pub(super) fn recovered(schedule: Schedule, down: BTreeSet<String>) -> Self {
        Self {
            schedule,
            down,
            ..Self::default()
        }
    }

    fn is_idle(&self) -> bool {
        self.schedule.windows.is_empty() && self.asked.is_empty() && self.answers.is_empty()
    }

    /// A framework has a new connection: what it was asked on another is void.
    pub(super) fn forget_asked(&mut self, id: &FrameworkId) {
        self.asked.retain(|_, offer| offer.framework_id != *id);
    }

    /// A framework wants to hear of everything again.
    pub(super) fn forget_refusals(&mut self, id: &FrameworkId) {
        self.quiet.retain(|(_, framework), _| framework != id);
    }

    pub(super) fn is_down(&self, hostname: &str) -> bool {
        self.down.contains(&hostname.to_ascii_lowercase())
    }
}

impl Master {
    /// When an agent will not be there.
    pub(super) fn unavailability(&self, agent: &Agent) -> Option<Unavailability> {
        self.maintenance.schedule.of(&agent.info.hostname).copied()
    }

    /// Why an agent of a machine is refused, if it is.
    pub(super) fn refused_by_maintenance(&self, hostname: &str) -> Option<String> {
        self.maintenance.is_down(hostname).then(|| {
            format!(
                "machine {hostname} is down for maintenance; run `tepui maintenance up {hostname}` and start \
                 the agent again"
            )
        })
    }

    /// An operator replaces the schedule.
    pub fn on_update_maintenance_schedule(
        &mut self,
        now: Timestamp,
        call: UpdateMaintenanceSchedule,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.update_schedule(now, call.schedule, out);
        out.push(Effect::Answer { token, outcome });
    }

    fn update_schedule(
        &mut self,
        now: Timestamp,
        mut schedule: Schedule,
        out: &mut Effects,
    ) -> Outcome {
        schedule.validate()?;
        let down = self.maintenance.down.iter();
        if let Some(name) = down.into_iter().find(|name| schedule.of(name).is_none()) {
            return Err(format!(
                "machine {name} is down and must stay in the schedule; `tepui maintenance up {name}` takes it out"
            ));
        }
        self.replace_schedule(now, schedule, out);
        Ok(())
    }

    fn replace_schedule(&mut self, now: Timestamp, schedule: Schedule, out: &mut Effects) {
        let before = std::mem::replace(&mut self.maintenance.schedule, schedule);
        self.keep_maintenance(out);
        let (maintenance, agents) = (&self.maintenance, &self.agents);
        let changed = |id: &AgentId| {
            let name = agents.get(id).map(|agent| agent.info.hostname.as_str());
            name.is_none_or(|name| before.of(name) != maintenance.schedule.of(name))
        };
        let affected: Vec<AgentId> = agents.keys().filter(|id| changed(id)).cloned().collect();
        let stale = |place: &Place| changed(&place.0);
        let (answers, quiet) = (&maintenance.answers, &maintenance.quiet);
        let stale: Vec<Place> = answers
            .keys()
            .chain(quiet.keys())
            .filter(|p| stale(p))
            .cloned()
            .collect();
        for place in stale {
            self.maintenance.answers.remove(&place);
            self.maintenance.quiet.remove(&place);
        }
        for id in affected {
            self.rescind_offers_of_agent(&id, out);
        }
        self.ask_to_leave(now, out);
    }

    fn keep_maintenance(&self, out: &mut Effects) {
        registry::keep_maintenance(&self.maintenance.schedule, &self.maintenance.down, out);
    }

    /// An operator takes machines down.
    pub fn on_start_maintenance(
        &mut self,
        now: Timestamp,
        call: StartMaintenance,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.take_down(now, &lower(&call.machines), out);
        out.push(Effect::Answer { token, outcome });
    }

    fn take_down(
        &mut self,
        now: Timestamp,
        machines: &BTreeSet<String>,
        out: &mut Effects,
    ) -> Outcome {
        if machines.is_empty() {
            return Err("no machines are named".to_owned());
        }
        for name in machines {
            if self.maintenance.down.contains(name) {
                return Err(format!("machine {name} is down already"));
            }
            if self.maintenance.schedule.of(name).is_none() {
                return Err(format!(
                    "machine {name} is not in the schedule; put it there first with `tepui maintenance schedule {name}`"
                ));
            }
        }
        self.maintenance.down.extend(machines.iter().cloned());
        self.keep_maintenance(out);
        let there = |agent: &Agent| machines.contains(&agent.info.hostname.to_ascii_lowercase());
        let agents = self.agents.iter().filter(|(_, agent)| there(agent));
        let agents: Vec<_> = agents
            .map(|(id, agent)| (id.clone(), agent.connected().cloned()))
            .collect();
        for (id, pid) in agents {
            if let Some(pid) = pid {
                let message = "its machine is taken down for maintenance".to_owned();
                out.push(tell(&pid, Shutdown { message }));
            }
            self.metrics
                .count("master/slave_removals/reason_maintenance");
            self.drop_agent(now, &id, "its machine is taken down for maintenance", out);
        }
        self.ask_to_leave(now, out);
        Ok(())
    }

    /// An operator has machines back.
    pub fn on_stop_maintenance(
        &mut self,
        now: Timestamp,
        call: StopMaintenance,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.bring_up(now, &lower(&call.machines), out);
        out.push(Effect::Answer { token, outcome });
    }

    fn bring_up(
        &mut self,
        now: Timestamp,
        machines: &BTreeSet<String>,
        out: &mut Effects,
    ) -> Outcome {
        if machines.is_empty() {
            return Err("no machines are named".to_owned());
        }
        if let Some(name) = machines.difference(&self.maintenance.down).next() {
            return Err(format!(
                "machine {name} is not down; `tepui maintenance cancel {name}` takes it out of the schedule"
            ));
        }
        self.maintenance
            .down
            .retain(|name| !machines.contains(name));
        let schedule = self.maintenance.schedule.without(machines);
        self.replace_schedule(now, schedule, out);
        Ok(())
    }

    /// Withdraws inverse offers that are void, and asks frameworks that use agents of the schedule and were
    /// not asked, or not lately.
    pub(super) fn ask_to_leave(&mut self, now: Timestamp, out: &mut Effects) {
        if self.maintenance.is_idle() {
            return;
        }
        self.withdraw_inverse_offers(out);
        let uses = |(agent, framework): &Place| {
            let agent = self.agents.get(agent);
            agent.is_some_and(|agent| {
                agent.used.contains_key(framework) && self.unavailability(agent).is_some()
            })
        };
        let gone: Vec<Place> = self
            .maintenance
            .answers
            .keys()
            .filter(|p| !uses(p))
            .cloned()
            .collect();
        for place in gone {
            self.maintenance.answers.remove(&place);
        }
        self.maintenance.quiet.retain(|_, until| *until > now);
        let mut letters = BTreeMap::<FrameworkId, Vec<InverseOffer>>::new();
        for offer in self.inverse_offers_due() {
            let place = (offer.agent_id.clone(), offer.framework_id.clone());
            let answers = &mut self.maintenance.answers;
            answers.entry(place).or_insert((Answer::Unknown, now));
            self.maintenance
                .asked
                .insert(offer.id.clone(), offer.clone());
            letters
                .entry(offer.framework_id.clone())
                .or_default()
                .push(offer);
        }
        for (id, inverse_offers) in letters {
            if let Some(framework) = self.frameworks.get(&id) {
                framework.send(InverseOffers { inverse_offers }, out);
            }
        }
    }

    fn withdraw_inverse_offers(&mut self, out: &mut Effects) {
        let holds = |offer: &InverseOffer| {
            let agent = self
                .agents
                .get(&offer.agent_id)
                .filter(|agent| agent.is_active());
            agent.is_some_and(|agent| {
                agent.used.contains_key(&offer.framework_id)
                    && self.unavailability(agent) == Some(offer.unavailability)
            })
        };
        let void: Vec<_> = self
            .maintenance
            .asked
            .values()
            .filter(|offer| !holds(offer))
            .map(|offer| (offer.id.clone(), offer.framework_id.clone()))
            .collect();
        for (inverse_offer_id, framework) in void {
            self.maintenance.asked.remove(&inverse_offer_id);
            if let Some(framework) = self.frameworks.get(&framework) {
                framework.send(RescindInverseOffer { inverse_offer_id }, out);
            }
        }
    }

    fn inverse_offers_due(&mut self) -> Vec<InverseOffer> {
        let asked = self.maintenance.asked.values();
        let asked: BTreeSet<(&AgentId, &FrameworkId)> = asked
            .map(|offer| (&offer.agent_id, &offer.framework_id))
            .collect();
        let mut due = Vec::new();
        for (agent_id, agent) in self.agents.iter().filter(|(_, agent)| agent.is_active()) {
            let Some(unavailability) = self.unavailability(agent) else {
                continue;
            };
            for (framework_id, used) in &agent.used {
                let place = (agent_id.clone(), framework_id.clone());
                let framework = self.frameworks.get(framework_id);
                if !framework.is_some_and(super::Framework::is_active)
                    || asked.contains(&(agent_id, framework_id))
                    || self.maintenance.quiet.contains_key(&place)
                {
                    continue;
                }
                let number = self.offers_made + due.len() as u64;
                due.push(InverseOffer {
                    id: OfferId::nth(&self.id, number),
                    framework_id: place.1,
                    agent_id: place.0,
                    unavailability,
                    resources: used.clone(),
                });
            }
        }
        self.offers_made += due.len() as u64;
        due
    }

    /// A framework will leave.
    pub fn on_accept_inverse_offers(
        &mut self,
        now: Timestamp,
        call: AcceptInverseOffers,
        _out: &mut Effects,
    ) {
        let until = now + call.filters.refuse();
        self.note_answers(
            now,
            &call.framework_id,
            &call.inverse_offer_ids,
            Answer::Accept,
            until,
        );
    }

    /// A framework cannot leave.
    pub fn on_decline_inverse_offers(
        &mut self,
        now: Timestamp,
        call: DeclineInverseOffers,
        _out: &mut Effects,
    ) {
        let until = now + call.filters.refuse();
        self.note_answers(
            now,
            &call.framework_id,
            &call.inverse_offer_ids,
            Answer::Decline,
            until,
        );
    }

    fn note_answers(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        ids: &[OfferId],
        answer: Answer,
        until: Timestamp,
    ) {
        for id in ids {
            let own = |offer: &&InverseOffer| offer.framework_id == *framework;
            if self.maintenance.asked.get(id).filter(own).is_none() {
                tracing::debug!(%framework, inverse_offer = %id, "answer to an inverse offer that is void");
                continue;
            }
            if let Some(offer) = self.maintenance.asked.remove(id) {
                let place = (offer.agent_id, offer.framework_id);
                self.maintenance
                    .answers
                    .insert(place.clone(), (answer, now));
                self.maintenance.quiet.insert(place, until);
            }
        }
    }

    /// Inverse offers could not be sent: they are made again at the next interval.
    pub(super) fn on_inverse_offers_undelivered(&mut self, letter: &InverseOffers) {
        for offer in &letter.inverse_offers {
            self.maintenance.asked.remove(&offer.id);
        }
    }

    /// What is planned, and where it stands.
    pub fn maintenance(&self) -> MaintenanceSummary {
        let schedule = &self.maintenance.schedule;
        let machines = schedule.machines().map(|name| self.machine(name));
        let drained = self
            .drains
            .keys()
            .map(|id| (id.clone(), self.live_tasks_on(id)));
        MaintenanceSummary {
            schedule: schedule.clone(),
            machines: machines.collect(),
            drained: drained.collect(),
        }
    }

    fn machine(&self, name: &str) -> MachineSummary {
        let there = |agent: &Agent| agent.info.hostname.eq_ignore_ascii_case(name);
        let agents = self.agents.iter().filter(|(_, agent)| there(agent));
        let agents: BTreeMap<AgentId, usize> = agents
            .map(|(id, _)| (id.clone(), self.live_tasks_on(id)))
            .collect();
        let answers = self.maintenance.answers.iter();
        let answers = answers.filter(|((agent, _), _)| agents.contains_key(agent));
        let answers = answers.map(|((agent_id, framework_id), (answer, at))| InverseAnswer {
            framework_id: framework_id.clone(),
            agent_id: agent_id.clone(),
            answer: *answer,
            at: *at,
        });
        MachineSummary {
            hostname: name.to_owned(),
            mode: match self.maintenance.is_down(name) {
                true => Mode::Down,
                false => Mode::Draining,
            },
            unavailability: self.maintenance.schedule.of(name).copied(),
            answers: answers.collect(),
            agents,
        }
    }
}

fn lower(machines: &BTreeSet<String>) -> BTreeSet<String> {
    let names = machines.iter().map(|name| name.trim().to_ascii_lowercase());
    names.collect()
}
