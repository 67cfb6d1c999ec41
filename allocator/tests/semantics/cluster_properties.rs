//! Random clusters: nothing is over-allocated, everything is conserved, refusals are respected, what
//! somebody would take is not left lying, quotas are kept, and equal input gives equal output.

#[path = "explanation_properties.rs"]
mod explanations;
#[path = "quota_properties.rs"]
mod quotas;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use tepui_allocator::{
    AgentOrder, Allocation, Allocator, Counters, FrameworkTerms, Options, Weight,
    invariants::{self, State},
};
use tepui_protocol::{
    AgentId, Capability, Constraints, FrameworkId, Resource, Resources, Role, Timestamp,
    resources::Reservation,
};

use crate::{
    cluster_table::{agent, framework, info, role, roles},
    subject::Subject,
};

const ROLES: [&str; 5] = ["a", "a/x", "a/y", "b", "*"];
const TOTALS: [&str; 6] = [
    "cpus:4;mem:4096",
    "cpus:0.005;mem:16;disk:10",
    "cpus:2;mem:512;ports:[1-10]",
    "cpus:1;mem:100;cpus(a):2;mem(b):64",
    "cpus:8;mem:1000;cpus{REV}:3;gpus:1",
    "cpus:3;mem:300;disk:8;disk[MOUNT:/mnt]:6",
];

#[derive(Clone, Debug)]
pub(crate) enum Event {
    AddAgent(u8, usize),
    ResizeAgent(u8, usize),
    ChangeAttributes(u8, u8),
    RemoveAgent(u8),
    SwitchAgent(u8, bool),
    AddFramework(u8, Vec<usize>, bool),
    UpdateFramework(u8, Vec<usize>, Vec<usize>),
    RemoveFramework(u8),
    SwitchFramework(u8, bool),
    Suppress(u8, Vec<usize>),
    Revive(u8, Vec<usize>),
    Weigh(usize, u64),
    SetQuota(usize, usize),
    Whitelist(Option<Vec<u8>>),
    /// Gives back a held thing, whole or half of its cpus, with a filter of so many seconds.
    GiveBack {
        which: usize,
        half: bool,
        seconds: Option<u64>,
    },
    /// Of a held thing, reserves the cpus to its role, or takes that claim off them.
    Convert(usize),
    Allocate,
    Tick,
    Wait(u64),
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let (id, kind, some) = (
        0..4_u8,
        0..TOTALS.len(),
        prop::collection::vec(0..ROLES.len(), 0..3),
    );
    let event = prop_oneof![
        3 => (id.clone(), kind.clone()).prop_map(|(a, k)| Event::AddAgent(a, k)),
        1 => (id.clone(), kind).prop_map(|(a, k)| Event::ResizeAgent(a, k)),
        1 => (id.clone(), 0..2_u8).prop_map(|(a, v)| Event::ChangeAttributes(a, v)),
        1 => id.clone().prop_map(Event::RemoveAgent),
        1 => (id.clone(), any::<bool>()).prop_map(|(a, on)| Event::SwitchAgent(a, on)),
        3 => (id.clone(), some.clone(), any::<bool>())
            .prop_map(|(f, r, all)| Event::AddFramework(f, r, all)),
        1 => (id.clone(), some.clone(), some.clone())
            .prop_map(|(f, r, s)| Event::UpdateFramework(f, r, s)),
        1 => id.clone().prop_map(Event::RemoveFramework),
        1 => (id.clone(), any::<bool>()).prop_map(|(f, on)| Event::SwitchFramework(f, on)),
        1 => (id.clone(), some.clone()).prop_map(|(f, r)| Event::Suppress(f, r)),
        1 => (id.clone(), some).prop_map(|(f, r)| Event::Revive(f, r)),
        1 => (0..ROLES.len(), 1..5_u64).prop_map(|(r, w)| Event::Weigh(r, w * 700)),
        2 => (0..ROLES.len(), 0..quotas::COUNT).prop_map(|(r, q)| Event::SetQuota(r, q)),
        1 => prop::option::of(prop::collection::vec(id, 0..4)).prop_map(Event::Whitelist),
        8 => (any::<prop::sample::Index>(), any::<bool>(), prop::option::of(0..5_u64)).prop_map(
            |(which, half, seconds)| Event::GiveBack { which: which.index(64), half, seconds }
        ),
        2 => any::<prop::sample::Index>().prop_map(|which| Event::Convert(which.index(64))),
        4 => Just(Event::Allocate),
        4 => Just(Event::Tick),
        1 => (0..4_u64).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 1..80)
}

fn some_roles(indices: &[usize]) -> BTreeSet<Role> {
    roles(&indices.iter().map(|&i| ROLES[i]).collect::<Vec<_>>())
}

fn agent_of(n: u8) -> AgentId {
    agent(&format!("agent{n}"))
}

fn framework_of(n: u8) -> FrameworkId {
    framework(&format!("f{n}"))
}

#[derive(Debug)]
struct Refusal {
    framework: FrameworkId,
    role: Role,
    agent: AgentId,
    refused: Resources,
    until: Timestamp,
    ticks_seen: u32,
}

/// An allocator under test, and a plain list of the refusals that must be in force.
pub(crate) struct World {
    allocator: Box<dyn Allocator>,
    now: Timestamp,
    refusals: Vec<Refusal>,
    terms: BTreeMap<FrameworkId, FrameworkTerms>,
    attributes: BTreeMap<AgentId, u8>,
    whitelist: Option<BTreeSet<String>>,
    /// Refusals hold longer than the list says.
    backs_off: bool,
}

impl World {
    #[allow(dead_code, reason = "both allocators are compared in one place")]
    pub(crate) fn backing_off(allocator: Box<dyn Allocator>) -> Self {
        Self {
            backs_off: true,
            ..Self::of(allocator)
        }
    }

    fn new(seed: u64) -> Self {
        let agent_order = AgentOrder::Shuffled(seed);
        Self::of(Box::new(Subject::new(Options {
            agent_order,
            ..Options::default()
        })))
    }

    pub(crate) fn of(allocator: Box<dyn Allocator>) -> Self {
        Self {
            allocator,
            now: Timestamp::from_secs(1_000),
            refusals: Vec::new(),
            terms: BTreeMap::new(),
            attributes: BTreeMap::new(),
            whitelist: None,
            backs_off: false,
        }
    }

    fn happen(&mut self, event: &Event) -> Vec<Allocation> {
        match event {
            Event::Allocate | Event::Tick => return self.run(event),
            Event::AddAgent(n, kind) => {
                let (id, total) = (agent_of(*n), Resources::parse(TOTALS[*kind]).unwrap());
                let info = info(id.as_str());
                self.attributes.insert(id.clone(), 0);
                self.refusals.retain(|refusal| refusal.agent != id);
                self.allocator
                    .add_agent(&id, &info, total, &BTreeMap::new());
            }
            Event::ResizeAgent(n, kind) => {
                let total = Resources::parse(TOTALS[*kind]).unwrap();
                let attribute = self.attributes.get(&agent_of(*n)).copied().unwrap_or(0);
                self.update_agent(*n, attribute, Some(total));
            }
            Event::ChangeAttributes(n, value) => self.update_agent(*n, *value, None),
            Event::RemoveAgent(n) => {
                self.allocator.remove_agent(&agent_of(*n));
                self.refusals
                    .retain(|refusal| refusal.agent != agent_of(*n));
            }
            Event::SwitchAgent(n, true) => self.allocator.activate_agent(&agent_of(*n)),
            Event::SwitchAgent(n, false) => self.allocator.deactivate_agent(&agent_of(*n)),
            Event::AddFramework(n, in_roles, able) => self.add_framework(*n, in_roles, *able),
            Event::UpdateFramework(n, in_roles, suppressed) => {
                self.update_framework(*n, in_roles, suppressed);
            }
            Event::RemoveFramework(n) => {
                self.terms.remove(&framework_of(*n));
                self.refusals
                    .retain(|refusal| refusal.framework != framework_of(*n));
                self.allocator.remove_framework(&framework_of(*n));
            }
            Event::SwitchFramework(n, true) => {
                self.allocator.activate_framework(&framework_of(*n));
            }
            Event::SwitchFramework(n, false) => {
                self.refusals
                    .retain(|refusal| refusal.framework != framework_of(*n));
                self.allocator.deactivate_framework(&framework_of(*n));
            }
            Event::Suppress(n, named) => {
                self.allocator
                    .suppress(&framework_of(*n), &some_roles(named));
            }
            Event::Revive(n, named) => {
                let (id, named) = (framework_of(*n), some_roles(named));
                self.refusals.retain(|refusal| {
                    refusal.framework != id || !(named.is_empty() || named.contains(&refusal.role))
                });
                self.allocator.revive(&id, &named);
            }
            Event::Weigh(r, milli) => {
                let weight = Weight::from_milli(*milli).unwrap();
                self.allocator
                    .update_weights(&BTreeMap::from([(role(ROLES[*r]), weight)]));
            }
            Event::SetQuota(r, q) => {
                let quota = quotas::some(*q);
                let before = self.allocator.roles();
                let answer = self.allocator.set_quota(&role(ROLES[*r]), quota, true);
                assert!(answer.is_ok() || self.allocator.roles() == before);
            }
            Event::Whitelist(named) => {
                let hosts = |named: &Vec<u8>| named.iter().map(|n| agent_of(*n).into()).collect();
                self.whitelist = named.as_ref().map(hosts);
                self.allocator.set_whitelist(self.whitelist.clone());
            }
            Event::GiveBack {
                which,
                half,
                seconds,
            } => self.give_back(*which, *half, *seconds),
            Event::Convert(which) => self.convert(*which),
            Event::Wait(seconds) => self.now = self.now + Duration::from_secs(*seconds),
        }
        Vec::new()
    }

    fn update_agent(&mut self, n: u8, attribute: u8, total: Option<Resources>) {
        let id = agent_of(n);
        let Some(view) = self.allocator.agents().remove(&id) else {
            return;
        };
        let mut info = info(id.as_str());
        if attribute > 0 {
            info.attributes
                .insert("rack".to_owned(), attribute.to_string());
        }
        if self.attributes.insert(id.clone(), attribute) != Some(attribute) {
            self.refusals.retain(|refusal| refusal.agent != id);
        }
        self.allocator
            .update_agent(&id, &info, total.unwrap_or(view.total));
    }

    fn add_framework(&mut self, n: u8, in_roles: &[usize], able: bool) {
        let capabilities = if able {
            BTreeSet::from([
                Capability::GpuResources,
                Capability::RevocableResources,
                Capability::ReservationRefinement,
            ])
        } else {
            BTreeSet::new()
        };
        let mut terms = FrameworkTerms {
            roles: some_roles(in_roles),
            capabilities,
            ..Default::default()
        };
        if n % 2 == 1 {
            let choosy = Constraints::parse(["rack!=1"]).unwrap();
            let in_role = |role: &Role| (role.clone(), choosy.clone());
            terms.constraints = terms.roles.iter().map(in_role).collect();
        }
        let id = framework_of(n);
        self.forget_left_roles(&id, &terms.roles);
        self.terms.insert(id.clone(), terms.clone());
        self.allocator
            .add_framework(&id, terms, &BTreeSet::new(), &BTreeMap::new());
    }

    fn update_framework(&mut self, n: u8, in_roles: &[usize], suppressed: &[usize]) {
        let id = framework_of(n);
        let Some(terms) = self.terms.get_mut(&id) else {
            return;
        };
        terms.roles = some_roles(in_roles);
        let terms = terms.clone();
        self.forget_left_roles(&id, &terms.roles);
        self.allocator
            .update_framework(&id, terms, &some_roles(suppressed));
    }

    fn forget_left_roles(&mut self, id: &FrameworkId, left_with: &BTreeSet<Role>) {
        self.refusals
            .retain(|refusal| refusal.framework != *id || left_with.contains(&refusal.role));
    }

    fn convert(&mut self, which: usize) {
        let mut held = self.held();
        if held.is_empty() {
            return;
        }
        let (framework, role, agent, mut from) = held.swap_remove(which % held.len());
        let total = &self.allocator.agents()[&agent].total;
        from.retain(|entry| {
            let owner = entry.reserved_to();
            let undone = entry.is_dynamically_reserved();
            let refined = owner.is_none_or(|owner| owner.is_ancestor_of(&role));
            entry.name == "cpus" && !entry.revocable && (undone || refined)
        });
        if from.is_empty() || role == Role::star() || !total.contains(&from.unallocate()) {
            return;
        }
        let to = match from.iter().any(|entry| entry.is_dynamically_reserved()) {
            true => from.without_dynamic_reservations(),
            false => from.push_reservation(&Reservation::dynamic(role, None)),
        };
        self.allocator
            .convert(&framework, &agent, &from, &to)
            .unwrap();
    }

    /// What is held: by whom, in which role, of which agent.
    fn held(&self) -> Vec<(FrameworkId, Role, AgentId, Resources)> {
        let mut held = Vec::new();
        for (agent, view) in self.allocator.agents() {
            for (framework, resources) in view.used {
                for (role, resources) in resources.allocations() {
                    held.push((framework.clone(), role, agent.clone(), resources));
                }
            }
        }
        held
    }

    fn give_back(&mut self, which: usize, half: bool, seconds: Option<u64>) {
        let mut held = self.held();
        if held.is_empty() {
            return;
        }
        let (framework, role, agent, mut part) = held.swap_remove(which % held.len());
        if half {
            part.retain(|entry| entry.name == "cpus");
        }
        let filter = seconds.map(Duration::from_secs);
        self.allocator
            .recover(&framework, &agent, &part, filter, self.now)
            .unwrap();
        let in_role = self
            .terms
            .get(&framework)
            .is_some_and(|t| t.roles.contains(&role));
        if let Some(timeout) = filter
            && !timeout.is_zero()
            && in_role
            && !part.is_empty()
        {
            let until = self.now + timeout.max(Duration::from_secs(1));
            let refused = part.unallocate();
            let ticks_seen = 0;
            self.refusals.push(Refusal {
                framework,
                role,
                agent,
                refused,
                until,
                ticks_seen,
            });
        }
    }

    fn run(&mut self, event: &Event) -> Vec<Allocation> {
        self.expire();
        let before = State::of(&*self.allocator);
        let made = if matches!(event, Event::Tick) {
            self.now = self.now + Duration::from_secs(1);
            self.expire();
            self.allocator.tick(self.now)
        } else {
            self.allocator.allocate(self.now)
        };
        invariants::check_run(&before, &made).unwrap();
        for allocation in &made {
            self.assert_not_refused(allocation);
            self.assert_takes(allocation);
            self.assert_agent_is_offered(&before, &allocation.agent);
        }
        if matches!(event, Event::Tick) {
            if !self.backs_off {
                self.assert_all_is_served();
            }
            self.refusals
                .iter_mut()
                .for_each(|refusal| refusal.ticks_seen += 1);
            self.expire();
        }
        made
    }

    fn assert_all_is_served(&mut self) {
        match self.has_quotas() {
            false => self.assert_nothing_wanted_is_left(),
            true => self.assert_guarantees_are_served(),
        }
        if self.refusals.is_empty() {
            self.assert_nothing_is_next();
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        self.refusals
            .retain(|refusal| refusal.until > now || refusal.ticks_seen == 0);
    }

    fn is_refused(&self, id: &FrameworkId, role: &Role, on: &AgentId, what: &Resources) -> bool {
        self.refusals.iter().any(|refusal| {
            (&refusal.framework, &refusal.role, &refusal.agent) == (id, role, on)
                && refusal.refused.contains(what)
        })
    }

    fn assert_not_refused(&self, allocation: &Allocation) {
        let Allocation {
            framework,
            role,
            agent,
            resources,
        } = allocation;
        assert!(
            !self.is_refused(framework, role, agent, &resources.unallocate()),
            "refused: {allocation:?}"
        );
    }

    fn assert_agent_is_offered(&self, before: &State, id: &AgentId) {
        assert!(before.agents[id].active, "inactive {id} was offered");
        let listed = self
            .whitelist
            .as_ref()
            .is_none_or(|hosts| hosts.contains(id.as_str()));
        assert!(listed, "unlisted {id} was offered");
    }

    /// Whether a framework's constraints let it have an agent.
    pub(super) fn may_have(&self, terms: &FrameworkTerms, role: &Role, on: &AgentId) -> bool {
        let rack = self.attributes.get(on).filter(|rack| **rack > 0);
        let attributes = rack.map(|rack| ("rack".to_owned(), rack.to_string()));
        let attributes = attributes.into_iter().collect();
        let constraints = terms.constraints.get(role);
        constraints.is_none_or(|constraints| constraints.are_met_by(on.as_str(), &attributes))
    }

    fn assert_takes(&self, allocation: &Allocation) {
        let Allocation {
            framework,
            role,
            agent,
            ..
        } = allocation;
        let terms = &self.terms[framework];
        assert!(
            self.may_have(terms, role, agent),
            "against its constraints: {allocation:?}"
        );
    }

    /// After a tick, whatever is free on an offered agent was refused or is not worth an offer.
    fn assert_nothing_wanted_is_left(&self) {
        let frameworks = self.allocator.frameworks();
        for (on, view) in self.allocator.agents() {
            let listed = self
                .whitelist
                .as_ref()
                .is_none_or(|hosts| hosts.contains(on.as_str()));
            if !view.active || !listed {
                continue;
            }
            for (id, terms) in &self.terms {
                let able = terms.capabilities.contains(&Capability::GpuResources);
                if !frameworks[id].active || (!view.total.gpus().is_zero() && !able) {
                    continue;
                }
                for role in terms.roles.difference(&frameworks[id].suppressed) {
                    let free = view.available.allocatable_to(role);
                    let plain = |entry: &Resource| !entry.revocable && entry.reservations.len() < 2;
                    let free = if able { free } else { free.filter(plain) };
                    let worth = free.cpus().milli() >= 10 || free.mem().milli() >= 32_000;
                    let refused =
                        self.is_refused(id, role, &on, &free) || !self.may_have(terms, role, &on);
                    assert!(
                        !worth || refused,
                        "{free:?} on {on} was kept from {id} in {role}"
                    );
                }
            }
        }
    }
}

/// All that a caller can see of a run of events.
pub(crate) fn trace(mut world: World, events: &[Event]) -> (Vec<Vec<Allocation>>, State, Counters) {
    let made = events.iter().map(|event| world.happen(event)).collect();
    (
        made,
        State::of(&*world.allocator),
        world.allocator.counters(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_random_cluster_keeps_the_invariants(events in events(), seed: u64) {
        let mut world = World::new(seed);
        for event in &events {
            world.happen(event);
            invariants::check(&*world.allocator, &BTreeSet::new()).unwrap();
            world.allocator.expire_filters(world.now);
            world.expire();
            let filters = world.allocator.counters().active_filters;
            prop_assert_eq!(filters.values().sum::<usize>(), world.refusals.len());
        }
    }

    #[test]
    fn equal_input_gives_equal_output(events in events(), seed: u64) {
        let run = || trace(World::new(seed), &events);
        prop_assert_eq!(run(), run());
    }
}
