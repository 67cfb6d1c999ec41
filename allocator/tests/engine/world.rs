//! Random events for an engine of two resources, and a plain copy of what it should know.
//!
//! Roles: `a`, `b`, and `a/x` below `a`, with weights 1, 2 and 1. Frameworks join any of them.

use proptest::prelude::*;
use tepui_allocator::{
    Share, Weight,
    engine::{Agent, Decision, Engine, Refused, Seat, Slot, Task},
    order::{NodeId, Rule},
};

pub(crate) const L: usize = 2;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    AddAgent([u64; L]),
    ResizeAgent(usize, [u64; L]),
    SwitchAgent(usize, bool),
    RemoveAgent(usize),
    AddFramework(usize, u64, [u64; L]),
    RemoveFramework(usize),
    Want(usize, u64),
    Demand(usize, [u64; L]),
    Weigh(usize, u64),
    Refuse(usize, usize, u64),
    Revive(usize),
    End(usize),
    Wait(u64),
    Decide(usize),
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let n = any::<usize>;
    let demand = || {
        prop_oneof![
            2 => Just([1, 1]),
            2 => Just([3, 1]),
            1 => [0..4_u64, 1..5_u64],
            1 => [0..70_000_u64, 1..90_000_u64],
        ]
    };
    let total = || prop_oneof![3 => [0..12_u64, 0..12_u64], 1 => [0..100_000_u64, 0..100_000_u64]];
    let event = prop_oneof![
        4 => total().prop_map(Event::AddAgent),
        1 => (n(), total()).prop_map(|(a, t)| Event::ResizeAgent(a, t)),
        1 => (n(), any::<bool>()).prop_map(|(a, on)| Event::SwitchAgent(a, on)),
        1 => n().prop_map(Event::RemoveAgent),
        4 => (0..3_usize, 1..4_u64, demand()).prop_map(|(r, w, d)| Event::AddFramework(r, w, d)),
        1 => n().prop_map(Event::RemoveFramework),
        6 => (n(), 1..6_u64).prop_map(|(f, more)| Event::Want(f, more)),
        1 => (n(), demand()).prop_map(|(f, d)| Event::Demand(f, d)),
        1 => (0..3_usize, 1..4_u64).prop_map(|(r, w)| Event::Weigh(r, w)),
        2 => (n(), n(), 0..20_u64).prop_map(|(f, a, t)| Event::Refuse(f, a, t)),
        1 => n().prop_map(Event::Revive),
        6 => n().prop_map(Event::End),
        1 => (0..12_u64).prop_map(Event::Wait),
        6 => (1..12_usize).prop_map(Event::Decide),
    ];
    prop::collection::vec(event, 1..120)
}

pub(crate) struct PlainAgent {
    slot: Slot<Agent>,
    total: [u64; L],
    open: bool,
}

pub(crate) struct PlainSeat {
    slot: Slot<Seat>,
    /// From the top: node, weight, order of declaration.
    role: usize,
    weight: u64,
    label: usize,
    demand: [u64; L],
    wants: u64,
    count: u64,
    /// `(agent, until)`
    refusals: Vec<(Slot<Agent>, u64)>,
}

struct PlainTask {
    slot: Slot<Task>,
    seat: Slot<Seat>,
    agent: Slot<Agent>,
    demand: [u64; L],
}

/// An engine, and what it should know.
pub(crate) struct World {
    pub(crate) engine: Engine<L>,
    pub(crate) agents: Vec<PlainAgent>,
    pub(crate) seats: Vec<PlainSeat>,
    tasks: Vec<PlainTask>,
    /// Node, weight, allocations so far, order of declaration; `a`, `b`, `a/x`.
    roles: [(NodeId, u64, u64, usize); 3],
    now: u64,
    labels: usize,
}

impl World {
    pub(crate) fn new(rule: Rule) -> Self {
        let mut engine = Engine::new(rule);
        let weight = |w: u64| Weight::from_milli(w * 1000).unwrap();
        let a = engine.add_role(NodeId::ROOT, weight(1));
        let b = engine.add_role(NodeId::ROOT, weight(2));
        let x = engine.add_role(a, weight(1));
        Self {
            engine,
            agents: Vec::new(),
            seats: Vec::new(),
            tasks: Vec::new(),
            roles: [(a, 1, 0, 1), (b, 2, 0, 2), (x, 1, 0, 3)],
            now: 0,
            labels: 3,
        }
    }

    /// Carries out an event; decisions are checked one by one.
    pub(crate) fn happen(&mut self, event: &Event) -> Vec<Decision> {
        match *event {
            Event::AddAgent(total) => {
                let slot = self.engine.add_agent(total).unwrap();
                self.agents.push(PlainAgent {
                    slot,
                    total,
                    open: true,
                });
            }
            Event::ResizeAgent(n, total) => {
                if let Some(agent) = pick(&mut self.agents, n) {
                    agent.total = total;
                    self.engine.resize_agent(agent.slot, total).unwrap();
                }
            }
            Event::SwitchAgent(n, open) => {
                if let Some(agent) = pick(&mut self.agents, n) {
                    agent.open = open;
                    match open {
                        true => self.engine.open_agent(agent.slot),
                        false => self.engine.close_agent(agent.slot),
                    }
                }
            }
            Event::RemoveAgent(n) => self.remove_agent(n),
            Event::AddFramework(role, weight, demand) => self.add_framework(role, weight, demand),
            Event::RemoveFramework(n) => self.remove_framework(n),
            Event::Want(n, more) => {
                if let Some(seat) = pick(&mut self.seats, n) {
                    seat.wants += more;
                    self.engine.want(seat.slot, more);
                }
            }
            Event::Demand(n, demand) => {
                if let Some(seat) = pick(&mut self.seats, n) {
                    seat.demand = demand;
                    self.engine.set_demand(seat.slot, demand);
                }
            }
            Event::Weigh(n, weight) => {
                self.roles[n].1 = weight;
                let weight = Weight::from_milli(weight * 1000).unwrap();
                self.engine.set_weight(self.roles[n].0, weight);
            }
            Event::Refuse(f, a, ticks) => {
                let agent = pick(&mut self.agents, a).map(|agent| agent.slot);
                if let (Some(seat), Some(agent)) = (pick(&mut self.seats, f), agent) {
                    let until = self.now + ticks.max(1);
                    seat.refusals.push((agent, until));
                    self.engine.refuse(seat.slot, agent, self.now + ticks);
                }
            }
            Event::Revive(n) => {
                if let Some(seat) = pick(&mut self.seats, n) {
                    seat.refusals.clear();
                    self.engine.revive(seat.slot);
                }
            }
            Event::End(n) => self.end(n),
            Event::Wait(ticks) => {
                self.now += ticks;
                self.engine.advance(self.now);
                for seat in &mut self.seats {
                    seat.refusals.retain(|(_, until)| *until > self.now);
                }
            }
            Event::Decide(times) => return (0..times).map_while(|_| self.decide()).collect(),
        }
        Vec::new()
    }

    fn remove_agent(&mut self, n: usize) {
        let Some(slot) = pick(&mut self.agents, n).map(|agent| agent.slot) else {
            return;
        };
        let running = self.tasks.iter().filter(|task| task.agent == slot).count();
        let answer = self.engine.remove_agent(slot);
        if running > 0 {
            let running = u32::try_from(running).unwrap();
            assert_eq!(answer, Err(Refused::InUse { running }));
            return;
        }
        answer.unwrap();
        self.agents.retain(|agent| agent.slot != slot);
        for seat in &mut self.seats {
            seat.refusals.retain(|(agent, _)| *agent != slot);
        }
    }

    fn add_framework(&mut self, role: usize, weight: u64, demand: [u64; L]) {
        let node = self.roles[role].0;
        let own = Weight::from_milli(weight * 1000).unwrap();
        self.labels += 1;
        self.seats.push(PlainSeat {
            slot: self.engine.add_framework(node, own, demand).unwrap(),
            role,
            weight,
            label: self.labels,
            demand,
            wants: 0,
            count: 0,
            refusals: Vec::new(),
        });
    }

    fn remove_framework(&mut self, n: usize) {
        let Some(slot) = pick(&mut self.seats, n).map(|seat| seat.slot) else {
            return;
        };
        let running = self.tasks.iter().filter(|task| task.seat == slot).count();
        let answer = self.engine.remove_framework(slot);
        if running == 0 {
            answer.unwrap();
            self.seats.retain(|seat| seat.slot != slot);
        } else {
            let running = u32::try_from(running).unwrap();
            assert_eq!(answer, Err(Refused::InUse { running }));
        }
    }

    fn end(&mut self, n: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let task = self.tasks.swap_remove(n % self.tasks.len());
        assert!(self.engine.end(task.slot));
        assert!(!self.engine.end(task.slot), "a task ends once");
    }

    fn decide(&mut self) -> Option<Decision> {
        let wanted: Vec<usize> = (0..self.seats.len())
            .filter(|&n| {
                self.agents
                    .iter()
                    .any(|agent| self.takes(&self.seats[n], agent))
            })
            .collect();
        let Some(decision) = self.engine.decide() else {
            assert!(wanted.is_empty(), "seats {wanted:?} want tasks and fit");
            return None;
        };
        let n = self
            .seats
            .iter()
            .position(|seat| seat.slot == decision.seat)
            .unwrap();
        let agent = self
            .agents
            .iter()
            .find(|agent| agent.slot == decision.agent)
            .unwrap();
        assert!(
            self.takes(&self.seats[n], agent),
            "over-allocated or refused"
        );
        self.check_turn(n, &wanted);
        let seat = &mut self.seats[n];
        (seat.wants, seat.count) = (seat.wants - 1, seat.count + 1);
        let demand = seat.demand;
        let mut role = Some(seat.role);
        while let Some(at) = role {
            self.roles[at].2 += 1;
            role = (at == 2).then_some(0);
        }
        let Decision {
            task: slot,
            seat,
            agent,
        } = decision;
        self.tasks.push(PlainTask {
            slot,
            seat,
            agent,
            demand,
        });
        Some(decision)
    }

    /// Whether a task of the seat may go to the agent.
    fn takes(&self, seat: &PlainSeat, agent: &PlainAgent) -> bool {
        let used = self.used(|task| task.agent == agent.slot);
        let fits = (0..L).all(|j| seat.demand[j] <= agent.total[j].saturating_sub(used[j]));
        let refused = seat
            .refusals
            .iter()
            .any(|(refused, _)| *refused == agent.slot);
        seat.wants > 0 && agent.open && fits && !refused
    }

    fn used(&self, of: impl Fn(&PlainTask) -> bool) -> [u64; L] {
        let tasks = self.tasks.iter().filter(|task| of(task));
        tasks.fold([0; L], |sum, task| {
            std::array::from_fn(|j| sum[j] + task.demand[j])
        })
    }

    /// By exact shares, from the top down: nobody who wants a task and fits comes before the chosen one.
    fn check_turn(&self, chosen: usize, wanted: &[usize]) {
        if self.engine.tree().rule() != Rule::Sum {
            return;
        }
        let best = wanted
            .iter()
            .copied()
            .min_by_key(|&n| self.path(n))
            .unwrap();
        assert_eq!(
            self.path(chosen),
            self.path(best),
            "it was not the turn of {chosen} but of {best}"
        );
        assert_eq!(chosen, best);
    }

    /// The keys of a seat and the roles above it, from the top.
    fn path(&self, n: usize) -> Vec<(Share, u64, usize)> {
        let seat = &self.seats[n];
        let in_role = |role: usize, other: usize| other == role || (role == 0 && other == 2);
        let of_role = |role: usize| {
            let (_, weight, count, label) = self.roles[role];
            let member = |slot| {
                self.seats
                    .iter()
                    .find(|seat| seat.slot == slot)
                    .unwrap()
                    .role
            };
            let held = self.used(|task| in_role(role, member(task.seat)));
            (self.share(held, weight), count, label)
        };
        let mut path = match seat.role {
            2 => vec![of_role(0), of_role(2)],
            role => vec![of_role(role)],
        };
        let held = self.used(|task| task.seat == seat.slot);
        path.push((self.share(held, seat.weight), seat.count, seat.label));
        path
    }

    fn share(&self, held: [u64; L], weight: u64) -> Share {
        let weight = Weight::from_milli(weight * 1000).unwrap();
        let total: [u64; L] =
            std::array::from_fn(|j| self.agents.iter().map(|agent| agent.total[j]).sum());
        let parts = (0..L).filter_map(|j| Share::of(held[j], total[j], weight));
        parts.max().unwrap_or_default()
    }

    /// What is free and held adds up, for every agent, seat and role, and for the cluster.
    pub(crate) fn check_sums(&self) {
        for agent in &self.agents {
            let used = self.used(|task| task.agent == agent.slot);
            let free = std::array::from_fn(|j| match agent.open {
                true => agent.total[j].saturating_sub(used[j]),
                false => 0,
            });
            assert_eq!(self.engine.agent(agent.slot), Some((agent.total, free)));
        }
        for seat in &self.seats {
            let node = self.engine.node(seat.slot).unwrap();
            assert_eq!(
                *self.engine.held(node),
                self.used(|task| task.seat == seat.slot)
            );
            let running = self
                .tasks
                .iter()
                .filter(|task| task.seat == seat.slot)
                .count();
            let standing = (u32::try_from(running).unwrap(), seat.wants);
            assert_eq!(self.engine.standing(seat.slot), Some(standing));
        }
        assert_eq!(*self.engine.held(NodeId::ROOT), self.used(|_| true));
        assert_eq!(self.engine.running(), self.tasks.len());
        let (total, free) = self.engine.amounts();
        let sums = self
            .agents
            .iter()
            .map(|agent| self.engine.agent(agent.slot).unwrap());
        let sums = sums.fold([[0; L]; 2], |sums, (total, free)| {
            std::array::from_fn(|k| std::array::from_fn(|j| sums[k][j] + [total, free][k][j]))
        });
        assert_eq!([*total, *free], sums);
    }
}

fn pick<T>(all: &mut [T], n: usize) -> Option<&mut T> {
    let at = n.checked_rem(all.len())?;
    all.get_mut(at)
}
