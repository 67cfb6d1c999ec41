//! The scheduler in a cluster where everything may happen in any order.

mod cluster;

use proptest::prelude::*;
use tepui_framework::protocol::{Reason, TaskId, TaskState, Timestamp, Unavailability};

use super::*;
use crate::job::Group;
use cluster::Cluster;

const SECOND: Duration = Duration::from_secs(1);

fn group(name: &str, count: u32, retries: u32, after: &[&str]) -> Group {
    let resources = "cpus:1;mem:100".parse().unwrap();
    let after = after.iter().map(|name| (*name).to_owned()).collect();
    Group {
        retries,
        after,
        ..Group::new(name, "work {index}", count, resources)
    }
}

fn map_reduce(retries: u32) -> Job {
    let groups = vec![
        group("map", 3, retries, &[]),
        group("reduce", 1, retries, &["map"]),
    ];
    Job {
        name: "job".to_owned(),
        groups,
    }
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

impl Cluster {
    fn of(job: Job) -> Self {
        Self::new(job, Policy::default())
    }

    /// A task enters a state, and the scheduler hears of it.
    fn tell(&mut self, task: &str, state: TaskState) {
        self.enter(&id(task), state, None);
        self.deliver_all();
    }

    fn launched(&self) -> Vec<&str> {
        self.launches.iter().map(|task| task.id.as_str()).collect()
    }
}

#[test]
fn as_many_tasks_as_fit_are_packed_and_the_rest_is_declined() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:2.5;mem:1000");
    assert_eq!(cluster.launched(), ["job.map.0.0", "job.map.1.0"]);
    assert_eq!(
        cluster.launches[1].command.as_ref().unwrap().value,
        "work 1"
    );
    cluster.offer("b", "cpus:0.5;mem:1000");
    assert!(!cluster.suppressed, "one is pending");
    cluster.offer("c", "cpus:9;mem:100");
    assert_eq!(cluster.launched().len(), 3);
    assert!(cluster.suppressed, "nothing is pending");
    assert_eq!(cluster.declined, 1, "what was held is not needed");
    let progress = &cluster.scheduler.progress().groups[0];
    assert_eq!(
        (progress.pending, progress.staging, progress.running),
        (0, 3, 0)
    );
}

#[test]
fn pieces_of_an_agent_are_held_until_they_add_up() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:0.5;mem:60");
    cluster.offer("b", "cpus:0.5;mem:60");
    assert_eq!((cluster.launched().len(), cluster.declined), (0, 0));
    cluster.offer("a", "cpus:0.5;mem:60");
    assert_eq!(cluster.launched(), ["job.map.0.0"]);
    assert_eq!(
        cluster.outstanding.len(),
        1,
        "that of the other agent is held"
    );
}

#[test]
fn pieces_are_declined_after_a_while() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:0.5;mem:60");
    cluster.advance(3 * SECOND);
    cluster.offer("b", "cpus:0.5;mem:60");
    cluster.advance(2 * SECOND);
    assert_eq!(cluster.declined, 1, "the older one");
    cluster.advance(3 * SECOND);
    assert_eq!(cluster.declined, 2);
}

#[test]
fn no_more_agents_are_held_than_there_are_tasks() {
    let mut cluster = Cluster::of(map_reduce(0));
    for agent in ["a", "b", "c", "d", "e"] {
        cluster.offer(agent, "cpus:0.5;mem:60");
    }
    assert_eq!((cluster.outstanding.len(), cluster.declined), (3, 2));
}

#[test]
fn void_pieces_do_not_count() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:0.5;mem:60");
    cluster.rescind(0);
    cluster.offer("a", "cpus:0.5;mem:60");
    assert_eq!(cluster.launched().len(), 0);
    cluster.disconnect();
    cluster.offer("a", "cpus:0.5;mem:60");
    assert_eq!(cluster.launched().len(), 0);
}

#[test]
fn a_limit_of_tasks_per_offer_holds() {
    let policy = Policy {
        tasks_per_offer: Some(1),
        ..Policy::default()
    };
    let mut cluster = Cluster::new(map_reduce(0), policy);
    cluster.offer("a", "cpus:9;mem:1000");
    assert_eq!(cluster.launched(), ["job.map.0.0"]);
}

#[test]
fn a_group_starts_when_all_it_waits_for_has_finished() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:9;mem:1000");
    cluster.tell("job.map.0.0", TaskState::Finished);
    cluster.tell("job.map.1.0", TaskState::Finished);
    assert!(cluster.suppressed && cluster.revives == 0);
    cluster.tell("job.map.2.0", TaskState::Finished);
    assert!(!cluster.suppressed && cluster.revives == 1);
    cluster.offer("a", "cpus:9;mem:1000");
    let reduce = cluster.launches.last().unwrap();
    assert_eq!(reduce.id.as_str(), "job.reduce.0.0");
    let environment = &reduce.command.as_ref().unwrap().environment;
    assert_eq!(
        environment["TEPUI_TASKS_MAP"],
        "job.map.0.0 job.map.1.0 job.map.2.0"
    );
    cluster.tell("job.reduce.0.0", TaskState::Finished);
    assert_eq!(cluster.result(), Some(JobResult::Succeeded));
    assert_eq!(cluster.ended, Some(End::Teardown));
    let outcome = cluster.scheduler.outcome().unwrap();
    assert_eq!(outcome.tasks["map"].len(), 3);
    assert!(outcome.is_success());
}

#[test]
fn a_failed_task_is_tried_again_as_often_as_it_may() {
    let mut cluster = Cluster::of(map_reduce(1));
    cluster.offer("a", "cpus:9;mem:1000");
    cluster.tell("job.map.1.0", TaskState::Running);
    cluster.tell("job.map.1.0", TaskState::Failed);
    assert_eq!(cluster.revives, 1);
    cluster.offer("a", "cpus:9;mem:1000");
    assert_eq!(cluster.launched()[3], "job.map.1.1");
    assert_eq!(cluster.scheduler.progress().groups[0].failed, 1);
    cluster.enter(
        &id("job.map.1.1"),
        TaskState::Failed,
        Some(Reason::CommandExecutorFailed),
    );
    cluster.deliver_all();
    let Some(JobResult::Failed { task_id, message }) = cluster.result() else {
        panic!("failed")
    };
    assert_eq!(task_id, Some(id("job.map.1.1")));
    let expected = "job.map.1.1 failed 2 times, as often as it may: REASON_COMMAND_EXECUTOR_FAILED";
    assert_eq!(message, expected);
    assert!(cluster.live().is_empty(), "what was running is killed");
    assert_eq!(cluster.ended, Some(End::Teardown));
}

#[test]
fn a_failed_job_ends_even_if_its_tasks_do_not() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:9;mem:1000");
    cluster.set_reachable(&id("job.map.0.0"), false);
    cluster.deliver_all();
    cluster.tell("job.map.1.0", TaskState::Failed);
    assert_eq!((cluster.live().len(), cluster.ended), (1, None));
    cluster.advance(KILL_PATIENCE);
    assert_eq!(cluster.ended, Some(End::Teardown));
}

#[test]
fn an_invalid_task_is_not_tried_again() {
    let mut cluster = Cluster::of(map_reduce(9));
    cluster.offer("a", "cpus:9;mem:1000");
    cluster.tell("job.map.0.0", TaskState::Error);
    let Some(JobResult::Failed { message, .. }) = cluster.result() else {
        panic!("failed")
    };
    assert_eq!(message, "job.map.0.0 is invalid: TASK_ERROR");
}

#[test]
fn losses_are_made_good_without_retries() {
    let mut cluster = Cluster::of(map_reduce(0));
    for attempt in 0..3 {
        cluster.offer("a", "cpus:9;mem:1000");
        let state = [TaskState::Lost, TaskState::Dropped, TaskState::Gone][attempt];
        cluster.tell(&format!("job.map.0.{attempt}"), state);
    }
    assert_eq!(cluster.scheduler.progress().groups[0].lost, 3);
    assert!(cluster.heal());
    assert_eq!(cluster.result(), Some(JobResult::Succeeded));
}

#[test]
fn an_unreachable_task_is_replaced_after_a_while_and_killed_when_it_is_back() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:9;mem:1000");
    let lost = id("job.map.0.0");
    cluster.tell("job.map.0.0", TaskState::Running);
    cluster.set_reachable(&lost, false);
    cluster.deliver_all();
    cluster.advance(9 * SECOND);
    assert!(cluster.suppressed, "it may be back");
    cluster.advance(SECOND);
    assert!(!cluster.suppressed);
    cluster.offer("b", "cpus:9;mem:1000");
    assert_eq!(cluster.launched()[3], "job.map.0.1");
    cluster.set_reachable(&lost, true);
    cluster.deliver_all();
    assert_eq!(cluster.tasks[&lost].state, TaskState::Killed);
    assert!(cluster.heal());
    assert_eq!(
        cluster.scheduler.outcome().unwrap().tasks["map"][0],
        id("job.map.0.1")
    );
}

#[test]
fn a_task_that_is_back_in_time_goes_on() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.offer("a", "cpus:9;mem:1000");
    cluster.set_reachable(&id("job.map.0.0"), false);
    cluster.deliver_all();
    cluster.advance(5 * SECOND);
    cluster.set_reachable(&id("job.map.0.0"), true);
    cluster.deliver_all();
    cluster.advance(60 * SECOND);
    assert!(cluster.suppressed);
    assert!(cluster.heal());
    assert_eq!(cluster.launches.len(), 4);
}

#[test]
fn the_state_of_another_job_is_refused() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.job = Job::single("other", "true", "cpus:1".parse().unwrap(), 1).unwrap();
    cluster.restart();
    assert!(cluster.failure.unwrap().contains("another job, \"job\""));
}

#[test]
fn a_refusal_is_the_jobs_outcome() {
    let mut cluster = Cluster::of(map_reduce(0));
    cluster.scheduler.error(&mut Calls::default(), "torn down");
    let outcome = cluster.scheduler.board().outcome().unwrap();
    let JobResult::Failed { message, .. } = &outcome.result else {
        panic!("failed")
    };
    assert_eq!(message, "the master refuses the framework: torn down");
}

/// A run in which the process dies after exactly `calls` calls, wherever that is.
fn run_with_crash(calls: usize) -> (Cluster, bool) {
    let mut cluster = Cluster::of(map_reduce(1));
    cluster.crash_after = Some(calls);
    cluster.offer("a", "cpus:2;mem:1000");
    for state in [TaskState::Running, TaskState::Failed] {
        if cluster.tasks.contains_key(&id("job.map.0.0")) {
            cluster.tell("job.map.0.0", state);
        }
    }
    cluster.deliver_all();
    assert!(
        cluster.heal(),
        "died after {calls} calls: {:?}",
        cluster.scheduler.progress()
    );
    let died = cluster.crash_after.is_none();
    (cluster, died)
}

#[test]
fn the_job_is_finished_wherever_the_process_dies() {
    for calls in 0.. {
        let (cluster, died) = run_with_crash(calls);
        assert_eq!(
            cluster.result(),
            Some(JobResult::Succeeded),
            "died after {calls} calls"
        );
        assert_eq!(cluster.finals(), 4);
        if !died {
            assert!(calls > 15, "there were that many points to die at: {calls}");
            return;
        }
    }
}

#[test]
fn a_job_that_has_failed_stays_failed_wherever_the_process_dies() {
    for calls in 0.. {
        let mut cluster = Cluster::of(map_reduce(0));
        cluster.offer("a", "cpus:9;mem:1000");
        cluster.crash_after = Some(calls);
        cluster.tell("job.map.1.0", TaskState::Failed);
        let died = cluster.crash_after.is_none();
        assert!(cluster.heal());
        let failed = matches!(cluster.result(), Some(JobResult::Failed { .. }));
        assert!(failed, "died after {calls} calls: {:?}", cluster.result());
        assert_eq!(cluster.launches.len(), 3, "nothing is launched after that");
        if !died {
            return assert!(calls > 5, "there were that many points to die at: {calls}");
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Offer(u8, u8),
    Enter(usize, TaskState),
    Reachable(usize, bool),
    Deliver(usize),
    DeliverTwice(usize),
    Reconcile(usize),
    Rescind(usize),
    Disconnect,
    Advance(u8),
    DieAfter(usize),
}

fn event() -> impl Strategy<Value = Event> {
    use TaskState::*;
    let states = prop::sample::select(vec![
        Starting,
        Running,
        Running,
        Finished,
        Finished,
        Finished,
        Failed,
        Killed,
        Lost,
        Dropped,
        Gone,
        GoneByOperator,
    ]);
    prop_oneof![
        4 => (0..3u8, 1..12u8).prop_map(|(agent, halves)| Event::Offer(agent, halves)),
        6 => (any::<usize>(), states).prop_map(|(task, state)| Event::Enter(task, state)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(task, up)| Event::Reachable(task, up)),
        8 => any::<usize>().prop_map(Event::Deliver),
        2 => any::<usize>().prop_map(Event::DeliverTwice),
        1 => any::<usize>().prop_map(Event::Reconcile),
        1 => any::<usize>().prop_map(Event::Rescind),
        1 => Just(Event::Disconnect),
        2 => (1..15u8).prop_map(Event::Advance),
        1 => (0..6usize).prop_map(Event::DieAfter),
    ]
}

impl Cluster {
    fn apply(&mut self, event: Event) {
        let pick = |ids: Vec<TaskId>, n: usize| ids.get(n % ids.len().max(1)).cloned();
        match event {
            Event::Offer(agent, halves) => {
                let cpus = f32::from(halves) / 2.0;
                self.offer(&format!("a{agent}"), &format!("cpus:{cpus};mem:1000"));
            }
            Event::Enter(n, state) => {
                if let Some(id) = pick(self.live(), n) {
                    self.enter(&id, state, None);
                }
            }
            Event::Reachable(n, reachable) => {
                if let Some(id) = pick(self.live(), n) {
                    self.set_reachable(&id, reachable);
                }
            }
            Event::Deliver(n) => self.deliver(n, false),
            Event::DeliverTwice(n) => self.deliver(n, true),
            Event::Reconcile(n) => {
                if let Some(id) = pick(self.tasks.keys().cloned().collect(), n) {
                    self.reconcile(&id);
                }
            }
            Event::Rescind(n) => self.rescind(n),
            Event::Disconnect => self.disconnect(),
            Event::Advance(seconds) => self.advance(u32::from(seconds) * SECOND),
            Event::DieAfter(calls) => self.crash_after = Some(calls),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// `BA-1` and `BA-2` hold all the time (the cluster checks them), the job is finished in the
    /// end, and no attempt is ever launched twice.
    #[test]
    fn each_instance_finishes_exactly_once_whatever_happens(
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut job = map_reduce(10_000);
        job.groups.push(group("last", 2, 10_000, &["reduce", "map"]));
        let mut cluster = Cluster::of(job);
        events.into_iter().for_each(|event| cluster.apply(event));
        prop_assert!(cluster.heal(), "{:?}", cluster.scheduler.progress());
        prop_assert_eq!(cluster.result(), Some(JobResult::Succeeded));
        prop_assert_eq!(cluster.finals(), 6);
    }
}

#[test]
fn nothing_begins_on_a_machine_whose_time_has_come() {
    let mut cluster = Cluster::of(map_reduce(0));
    let window = |start: Timestamp| Unavailability {
        start,
        duration: Some(60 * SECOND),
    };
    let now = cluster.now;
    cluster.offer_until("a", "cpus:1;mem:100", Some(window(now)));
    assert_eq!((cluster.launched().len(), cluster.declined), (0, 1));
    cluster.offer_until("b", "cpus:1;mem:100", Some(window(now + SECOND)));
    assert_eq!(cluster.launched(), ["job.map.0.0"], "there is still time");
    cluster.now = now + 60 * SECOND;
    cluster.offer_until("a", "cpus:1;mem:100", Some(window(now)));
    assert_eq!(cluster.launched().len(), 2, "it is back");
}
