//! Any sequence of events, sensible or not, keeps the invariants and the allocator's books in step.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tepui_protocol::{
    Capability, Filters, Gang, Operation, Quota, Resources, Role, TaskState, Unavailability,
    maintenance::{Schedule, Window},
    messages::{
        operator::{
            DrainAgent, GetTasks, ReactivateAgent, ReserveResources, StartMaintenance,
            StopMaintenance, UnreserveResources, UpdateMaintenanceSchedule, UpdateQuota,
        },
        scheduler::{Accept, Kill, Teardown},
    },
    operation::{ReservationChange, Tracked},
    resources::Reservation,
};

use crate::{
    config::{MasterConfig, RevokeFor},
    testing::*,
};

/// What happens; small numbers choose among who is there.
#[derive(Clone, Debug)]
enum Event {
    Agent(u8),
    AgentExits(u8),
    AgentReturns { agent: u8, with: u8 },
    Silence(u8),
    Subscribe(u8),
    FrameworkExits(u8),
    Teardown(u8),
    Accept { offer: u8, tasks: u8 },
    Operate { offer: u8, kind: u8 },
    Reserve { agent: u8, kind: u8 },
    Maintain { machines: u8, kind: u8 },
    Drain { agent: u8, back: bool },
    Decline { offer: u8, filter: bool },
    Update { task: u8, state: u8 },
    Acknowledge(u8),
    Kill(u8),
    Reconcile(u8),
    Quota { role: u8, amounts: u8 },
    Time(u8),
    Restart,
    CrashAllocator,
}

fn event() -> impl Strategy<Value = Event> {
    let small = 0..6_u8;
    prop_oneof![
        3 => small.clone().prop_map(Event::Agent),
        2 => small.clone().prop_map(Event::AgentExits),
        3 => (small.clone(), any::<u8>()).prop_map(|(agent, with)| Event::AgentReturns { agent, with }),
        1 => small.clone().prop_map(Event::Silence),
        4 => small.clone().prop_map(Event::Subscribe),
        1 => small.clone().prop_map(Event::FrameworkExits),
        1 => small.clone().prop_map(Event::Teardown),
        8 => (small.clone(), 0..4_u8).prop_map(|(offer, tasks)| Event::Accept { offer, tasks }),
        4 => (small.clone(), 0..4_u8).prop_map(|(offer, kind)| Event::Operate { offer, kind }),
        2 => (small.clone(), 0..4_u8).prop_map(|(agent, kind)| Event::Reserve { agent, kind }),
        2 => (0..64_u8, 0..4_u8).prop_map(|(machines, kind)| Event::Maintain { machines, kind }),
        1 => (small.clone(), any::<bool>()).prop_map(|(agent, back)| Event::Drain { agent, back }),
        3 => (small.clone(), any::<bool>()).prop_map(|(offer, filter)| Event::Decline { offer, filter }),
        8 => (any::<u8>(), 0..14_u8).prop_map(|(task, state)| Event::Update { task, state }),
        6 => any::<u8>().prop_map(Event::Acknowledge),
        2 => any::<u8>().prop_map(Event::Kill),
        1 => small.prop_map(Event::Reconcile),
        4 => any::<u8>().prop_map(Event::Time),
        2 => (0..3_u8, 0..6_u8).prop_map(|(role, amounts)| Event::Quota { role, amounts }),
        1 => Just(Event::Restart),
        1 => Just(Event::CrashAllocator),
    ]
}

const STATES: [TaskState; 14] = [
    TaskState::Starting,
    TaskState::Running,
    TaskState::Finished,
    TaskState::Failed,
    TaskState::Killed,
    TaskState::Lost,
    TaskState::Staging,
    TaskState::Error,
    TaskState::Killing,
    TaskState::Dropped,
    TaskState::Unreachable,
    TaskState::Gone,
    TaskState::GoneByOperator,
    TaskState::Unknown,
];

#[derive(Default)]
struct Names {
    tasks: u32,
    lives: u64,
    last_update: Option<(tepui_protocol::task::Task, uuid::Uuid)>,
}

fn apply(cluster: &mut Cluster, names: &mut Names, event: Event) {
    let agents = cluster.master.agents();
    let frameworks = cluster.master.frameworks();
    let offers = cluster.master.offers();
    let tasks = cluster.master.tasks(&GetTasks::default());
    let of = |n: u8, count: usize| (count > 0).then(|| usize::from(n) % count);
    match event {
        Event::Agent(n) => {
            names.lives += 1;
            let call = tepui_protocol::messages::agent::Register {
                pid: pid(&format!("a{n}"), names.lives),
                info: agent_info(&format!("a{n}"), "cpus:4;mem:512;ports:[1-100]"),
                version: String::new(),
            };
            cluster.event(|master, now, out| master.on_register(now, call, out));
        }
        Event::AgentExits(n) => {
            let Some(at) = of(n, agents.len()) else {
                return;
            };
            if let Some(pid) = &agents[at].pid {
                cluster.exit(pid);
            }
        }
        Event::AgentReturns { agent, with } => {
            let Some(at) = of(agent, agents.len()) else {
                return;
            };
            let id = agents[at].info.id.clone().unwrap();
            let here = tasks
                .iter()
                .map(|t| t.task.clone())
                .filter(|t| t.info.agent_id == id);
            // It has lost some of its tasks.
            let kept: Vec<_> = here
                .filter(|task| !task.state.is_terminal())
                .enumerate()
                .filter(|(n, _)| with & (1 << (n % 8)) != 0)
                .map(|(_, mut task)| {
                    if task.state == TaskState::Unreachable {
                        task.state = TaskState::Running;
                        task.status_update_state = None;
                    }
                    task
                })
                .collect();
            let life = agents[at].pid.as_ref().map_or(1, |pid| pid.incarnation());
            names.lives += 1;
            let life = if with % 2 == 0 { life } else { names.lives };
            let name = agents[at].info.hostname.clone();
            cluster.reregister(&name, &id, life, &kept);
        }
        Event::Silence(n) => {
            let Some(at) = of(n, agents.len()) else {
                return;
            };
            let id = agents[at].info.id.clone().unwrap();
            if !cluster.silent.remove(&id) {
                cluster.silent.insert(id);
            }
        }
        Event::Subscribe(n) => {
            let name = format!("f{n}");
            let known = frameworks
                .iter()
                .find(|framework| framework.info.name == name);
            let mut info = match n {
                0 => legacy(&name),
                _ => tepui_protocol::FrameworkInfo::new(
                    &name,
                    role(["r", "r/s", "*"][usize::from(n) % 3]),
                ),
            };
            if n == 4 {
                let own = info.roles.iter().next().unwrap().clone();
                let each = "cpus:2".parse().unwrap();
                info.gangs.insert(
                    own,
                    Gang {
                        tasks: 3,
                        each,
                        agents: 2,
                    },
                );
            }
            if n > 2 {
                info.capabilities.insert(Capability::ReservationRefinement);
            }
            info.name.clone_from(&name);
            info.id = known.and_then(|framework| framework.info.id.clone());
            names.lives += u64::from(n) % 2;
            let _ = cluster.try_subscribe(pid(&name, names.lives + 1), info);
        }
        Event::FrameworkExits(n) => {
            let Some(at) = of(n, frameworks.len()) else {
                return;
            };
            if let Some(pid) = &frameworks[at].pid {
                cluster.exit(pid);
            }
        }
        Event::Teardown(n) => {
            let Some(at) = of(n, frameworks.len()) else {
                return;
            };
            let call = Teardown {
                framework_id: frameworks[at].info.id.clone().unwrap(),
            };
            cluster.event(|master, now, out| master.on_teardown(now, call, out));
        }
        Event::Accept { offer, tasks } => {
            let Some(at) = of(offer, offers.len()) else {
                return;
            };
            let offer = &offers[at];
            let mut infos = Vec::new();
            for _ in 0..tasks {
                names.tasks += 1;
                // Every seventh name is used twice.
                let name = format!(
                    "t{}",
                    names.tasks - u32::from(names.tasks.is_multiple_of(7))
                );
                infos.push(task(&name, offer, "cpus:1.5;mem:100"));
            }
            cluster.accept_with(&offer.framework_id, &[offer], infos, Filters::NONE);
        }
        Event::Operate { offer, kind } => {
            let Some(at) = of(offer, offers.len()) else {
                return;
            };
            let offer = &offers[at];
            let what = reservable(kind, &offer.resources.unallocate(), &offer.role);
            names.tasks += 1;
            let tracked = |what| Tracked {
                id: format!("o{}", names.tasks).parse().unwrap(),
                change: ReservationChange::Reserve(what),
            };
            let call = Accept {
                framework_id: offer.framework_id.clone(),
                offer_ids: vec![offer.id.clone()],
                operations: vec![match kind % 2 {
                    0 => Operation::Tracked(tracked(what)),
                    _ => Operation::Unreserve(what),
                }],
                filters: Filters::NONE,
            };
            cluster.event(|master, now, out| master.on_accept(now, call, out));
        }
        Event::Reserve { agent, kind } => {
            let Some(at) = of(agent, agents.len()) else {
                return;
            };
            let agent_id = agents[at].info.id.clone().unwrap();
            let role = role(["r", "r/s"][usize::from(kind / 2)]);
            let resources = reservable(kind, &agents[at].info.resources, &role);
            if kind % 2 == 0 {
                let call = ReserveResources {
                    agent_id,
                    resources,
                    source: None,
                };
                cluster.event(|master, now, out| master.on_reserve_resources(now, call, 1, out));
            } else {
                let call = UnreserveResources {
                    agent_id,
                    resources,
                };
                cluster.event(|master, now, out| master.on_unreserve_resources(now, call, 1, out));
            }
        }
        Event::Maintain { machines, kind } => {
            let names = (0..6)
                .filter(|n| machines & (1 << n) != 0)
                .map(|n| format!("a{n}"));
            let machines: BTreeSet<String> = names.collect();
            let unavailability = Unavailability {
                start: cluster.now,
                duration: None,
            };
            let windows = vec![Window {
                machines: machines.clone(),
                unavailability,
            }];
            let schedule = Schedule { windows };
            cluster.event(|master, now, out| match kind {
                0 => master.on_start_maintenance(now, StartMaintenance { machines }, 1, out),
                1 => master.on_stop_maintenance(now, StopMaintenance { machines }, 1, out),
                _ => {
                    let call = UpdateMaintenanceSchedule { schedule };
                    master.on_update_maintenance_schedule(now, call, 1, out);
                }
            });
        }
        Event::Drain { agent, back } => {
            let Some(at) = of(agent, agents.len()) else {
                return;
            };
            let agent_id = agents[at].info.id.clone().unwrap();
            if back {
                let call = ReactivateAgent { agent_id };
                cluster.event(|master, now, out| master.on_reactivate_agent(now, call, 1, out));
            } else {
                let call = DrainAgent {
                    agent_id,
                    max_grace_period: None,
                };
                cluster.event(|master, now, out| master.on_drain_agent(now, call, 1, out));
            }
        }
        Event::Decline { offer, filter } => {
            let Some(at) = of(offer, offers.len()) else {
                return;
            };
            let seconds = if filter { 3.0 } else { 0.0 };
            cluster.decline(&offers[at].framework_id, &offers[at], seconds);
        }
        Event::Update { task, state } => {
            let Some(at) = of(task, tasks.len()) else {
                return;
            };
            let state = STATES[usize::from(state)];
            let task = tasks[at].task.clone();
            // An agent does not change its mind about an end.
            let end = task
                .statuses
                .iter()
                .map(|s| s.state)
                .find(|state| state.is_terminal());
            let known_end = Some(task.state).filter(|state| state.is_terminal());
            let state = match end.or(known_end) {
                Some(end) if state.is_terminal() => end,
                _ => state,
            };
            let uuid = cluster.update(&task, state, end.or(known_end).unwrap_or(state));
            names.last_update = Some((task, uuid));
        }
        Event::Acknowledge(n) => {
            if let Some((task, uuid)) = &names.last_update {
                let uuid = if n % 5 == 0 {
                    uuid::Uuid::from_u128(5)
                } else {
                    *uuid
                };
                cluster.acknowledge(task, uuid);
            }
        }
        Event::Kill(n) => {
            let Some(at) = of(n, tasks.len()) else { return };
            let task = &tasks[at].task;
            let call = Kill {
                framework_id: task.framework_id.clone(),
                task_id: task.info.id.clone(),
                agent_id: None,
                kill_policy: None,
            };
            cluster.event(|master, now, out| master.on_kill(now, call, out));
        }
        Event::Reconcile(n) => {
            let Some(at) = of(n, frameworks.len()) else {
                return;
            };
            let id = frameworks[at].info.id.clone().unwrap();
            cluster.reconcile(&id, &[]);
        }
        Event::Quota { role: n, amounts } => {
            let (guarantees, limits) = [
                ("", ""),
                ("", "cpus:3"),
                ("cpus:2;mem:200", ""),
                ("cpus:1", "cpus:4;mem:300"),
                ("cpus:9", ""),
                ("", "mem:0"),
            ][usize::from(amounts)];
            let call = UpdateQuota {
                role: role(["r", "r/s", "*"][usize::from(n)]),
                quota: Quota {
                    guarantees: guarantees.parse().unwrap(),
                    limits: limits.parse().unwrap(),
                },
                force: amounts > 3,
            };
            cluster.event(|master, now, out| master.on_update_quota(now, call, 1, out));
        }
        Event::Time(n) => cluster.advance(secs(u64::from(n))),
        Event::Restart => cluster.restart_master(),
        Event::CrashAllocator => cluster.crash_allocator(),
    }
}

/// Some of it to reserve to the role, or to take a claim off; perhaps more than there is.
fn reservable(kind: u8, of: &Resources, role: &Role) -> Resources {
    if kind % 2 == 1 {
        return of.dynamically_reserved();
    }
    let wanted = resources(["cpus:1;mem:10", "cpus:3;ports:[5-9]"][usize::from(kind / 2)]);
    let part = of.find(&wanted).unwrap_or(wanted);
    part.push_reservation(&Reservation::dynamic(role.clone(), None))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold(events in prop::collection::vec(event(), 1..120)) {
        let config = MasterConfig {
            max_completed_tasks: 4,
            max_unreachable_tasks: 4,
            max_completed_frameworks: 2,
            max_unreachable_agents: 3,
            offer_timeout: Some(secs(40)),
            revoke_after: Some(secs(20)),
            revoke_for: RevokeFor::FairShare,
            decline_backoff: Some(secs(30)),
            gang_timeout: secs(10),
            ..MasterConfig::default()
        };
        let mut cluster = Cluster::with(config);
        let mut names = Names::default();
        for event in events {
            apply(&mut cluster, &mut names, event);
            cluster.check_books();
        }
    }
}
